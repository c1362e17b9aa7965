"""The one runner of a board on a machine: its lock, and the note that names its process."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec
from filelock import FileLock, Timeout

from orchestrator.core import clock, system
from orchestrator.core.errors import InputOutputError, NotFound, Refused
from orchestrator.core.machine import this_machine
from orchestrator.supervisor.processes import ProcessIdentity, runner_folder

_PAUSE = 0.05
_ENDING = 20.0  # seconds in which a runner that is ending gives its lock away


class RunnerNote(msgspec.Struct, frozen=True, kw_only=True):
    """The runner of a board on this machine.

    Attributes:
        options: The words of its command line after ``runner run``.
        log: What it prints, if it runs in the background.
    """

    process: ProcessIdentity
    options: tuple[str, ...] = ()
    log: str = ""

    @property
    def pid(self) -> int:
        """Its process."""
        return self.process.pid

    def seconds(self) -> float:
        """How long it runs."""
        return max(time.time() - self.process.since, 0.0)

    def stop(self) -> None:
        """Ask it to end, and wait until its agents have finished."""
        system.ask_to_end(self.pid)
        while self.process.is_alive:
            time.sleep(_PAUSE)


class RunnerPlace:
    """Where the runner of a board on this machine leaves its note and its lock.

    Args:
        board: The folder of the board.
    """

    def __init__(self, board: str) -> None:
        self.board = board
        folder = runner_folder(board, "runner")
        machine = this_machine()
        self._path = os.path.join(folder, f"{machine}.json")
        self._lock = os.path.join(folder, f"{machine}.lock")

    def current(self) -> RunnerNote | None:
        """The runner that runs now; None if none does."""
        try:
            with os.fdopen(system.open_file(self._path, os.O_RDONLY), "rb") as file:
                note = msgspec.json.decode(file.read(1_000_000), type=RunnerNote)
        except (OSError, msgspec.MsgspecError):
            return None
        return note if note.process.is_alive else None

    def needed(self) -> RunnerNote:
        """The runner that runs now.

        Raises:
            NotFound: None does.
        """
        note = self.current()
        if note is None:
            raise NotFound(
                "No runner runs here", code="no_runner", hint="`runner start` starts it."
            )
        return note

    @contextmanager
    def held(self, options: tuple[str, ...] = (), log: str = "", keeper: int = 0) -> Iterator[None]:
        """Be the runner until the block ends.

        Args:
            options: As in the note.
            log: As in the note.
            keeper: The process that the user has started, if it has become the keeper of this one.

        Raises:
            Refused: There is a runner, or an event has started this process.
        """
        if os.environ.get("ORC_CAUSE"):
            raise Refused("An agent that an event has started cannot be a runner", code="not_yours")
        lock = FileLock(self._lock, mode=0o600)
        try:
            # One whose keeper was killed, or that is ending, has the lock for a moment longer.
            lock.acquire(timeout=0 if self.current() else _ENDING)
        except Timeout:
            raise self.refusal() from None
        except OSError as error:
            raise InputOutputError(f"{self._lock} cannot be locked: {error.strerror}") from None
        try:
            self._write(
                RunnerNote(
                    process=ProcessIdentity.of(keeper or os.getpid()), options=options, log=log
                )
            )
            yield
        finally:
            with suppress(OSError):
                os.unlink(self._path)
            lock.release()

    def refusal(self) -> Refused:
        """The refusal of a second runner."""
        note = self.current()
        if note is None:
            return Refused("A runner begins or ends just now", code="runner_runs")
        return Refused(
            f"A runner runs on this board, process {note.pid}, for {clock.spoken(note.seconds())}",
            code="runner_runs",
            hint="`runner stop` ends it when its agents have finished.",
        )

    def _write(self, note: RunnerNote) -> None:
        new = f"{self._path}.new"
        try:
            with suppress(FileNotFoundError):
                os.unlink(new)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            with os.fdopen(system.open_file(new, flags), "wb") as file:
                file.write(msgspec.json.encode(note))
            system.replace(new, self._path)
        except OSError as error:
            raise InputOutputError(f"{self._path} cannot be written: {error.strerror}") from None
