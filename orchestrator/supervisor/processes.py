"""The processes of agents: each has its own group, which ends completely, and its output is in a log.

The note of a process is written before it starts, in ``state/runner/``. If the runner is killed, the next one
ends what its notes name, by pid, start time and boot id, and by a mark in the environment.
"""

import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Literal

import msgspec

from orchestrator.core import system
from orchestrator.core.errors import InputOutputError
from orchestrator.core.machine import this_machine
from orchestrator.core.names import file_name
from orchestrator.core.processes import MARK, passed_on
from orchestrator.runtimes.output import AttemptResult, OutputReader
from orchestrator.runtimes.port import Launch
from orchestrator.supervisor.places import place_in_state

GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL."""

LOG_BYTES = 10_000_000
"""The size at which the log of an agent begins a new file; one older file is kept."""

_PATIENCE = 5.0  # seconds until a process that was killed must be gone
_PAUSE = 0.01
_WRITING = 60.0  # seconds in which a note is written in any case
_UNFINISHED = ".new"  # at the end of the name of a note that is being written
_STARTING = 0.2  # seconds until a program that is being started is itself


def runner_folder(board: str, name: str) -> str:
    """The folder of :func:`place_in_state`, made if it does not exist; git ignores it.

    Raises:
        Refused: It would be outside of the board, because it is a link.
        InputOutputError: It cannot be made.
    """
    path = place_in_state(board, name)
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        _ignore(board, name)
    except OSError as error:
        raise InputOutputError(f"{path} cannot be made: {error.strerror}") from None
    return path


def _ignore(board: str, name: str) -> None:
    """Add a folder to ``state/.gitignore`` of a board that was made before there was such a folder."""
    path = os.path.join(board, "state", ".gitignore")
    with suppress(FileNotFoundError):  # git does not version this board
        with os.fdopen(system.open_file(path, os.O_RDONLY), "rb") as file:
            text = file.read(1_000_000)
        if f"{name}/".encode() not in text.splitlines():
            end = "" if text.endswith(b"\n") else "\n"
            with os.fdopen(system.open_file(path, os.O_WRONLY | os.O_APPEND), "wb") as file:
                file.write(f"{end}{name}/\n".encode())


class ProcessIdentity(msgspec.Struct, frozen=True):
    """A process, told apart from a later one with the same pid."""

    pid: int
    started: int
    boot: str
    since: float

    @classmethod
    def of(cls, pid: int) -> "ProcessIdentity":
        """The identity of a running process."""
        return cls(pid, *system.identity(pid), time.time())

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        return system.condition(self.pid, self.started, self.boot, self.since) != "gone"


class AttemptNote(msgspec.Struct, frozen=True, kw_only=True):
    """What the next runner must know of an attempt if this one is killed; a task, or else an event."""

    machine: str
    runner: ProcessIdentity
    agent: str
    event: int
    mark: str
    task: str = ""


class NoteFile:
    """The file of a note: the note, and in a second line the process once it has started.

    Args:
        folder: The folder of the notes.
        note: The note.

    Raises:
        InputOutputError: It cannot be written.
    """

    def __init__(self, folder: str, note: AttemptNote) -> None:
        self.mark = note.mark
        self.path = os.path.join(folder, f"{note.mark}.note")
        new = f"{self.path}{_UNFINISHED}"
        with self._writing():  # a kill leaves the whole note or none
            _append(new, note, os.O_CREAT | os.O_EXCL)
            system.replace(new, self.path)

    def add_process(self, pid: int) -> None:
        """Add the process to the note."""
        with self._writing():
            _append(self.path, ProcessIdentity.of(pid), 0)

    def remove(self) -> None:
        """Remove the note: the log has the end of the attempt."""
        with suppress(OSError):
            os.unlink(self.path)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InputOutputError(f"{self.path} cannot be written: {error.strerror}") from None


def _append(path: str, line: msgspec.Struct, flags: int) -> None:
    fd = system.open_file(path, os.O_WRONLY | os.O_APPEND | flags)
    with os.fdopen(fd, "wb") as file:
        file.write(msgspec.json.encode(line) + b"\n")


class Leftover(msgspec.Struct, frozen=True):
    """An attempt whose runner is gone.

    Attributes:
        is_taken_over: Another runner works on its event or task.
    """

    path: str
    note: AttemptNote
    process: ProcessIdentity | None
    is_taken_over: bool

    def end(self) -> bool:
        """Kill every process of it, also those that left its group; False if some are still there."""
        return kill_all(self._pids)

    def remove(self) -> None:
        """Remove the note, and the files of the attempt."""
        shutil.rmtree(files_folder(os.path.dirname(self.path), self.note.mark), ignore_errors=True)
        with suppress(OSError):
            os.unlink(self.path)

    def _pids(self) -> list[int]:
        pids = system.processes_with(MARK, self.note.mark)
        if self.process is not None and self.process.is_alive:
            pids.append(self.process.pid)
        return pids


def files_folder(notes: str, mark: str) -> str:
    """The folder for the files of an attempt, beside its note."""
    return os.path.join(notes, f"{mark}.files")


def kill_all(pids: Callable[[], list[int]]) -> bool:
    """Kill processes until there are none; False if some are still there."""
    deadline = time.monotonic() + _PATIENCE
    while alive := pids():
        for pid in alive:
            system.kill_group(pid)
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE)
    return True


def remove_unfinished(folder: str) -> None:
    """Remove notes that a killed runner had begun to write: it had not started their processes."""
    oldest = time.time() - _WRITING
    for name in os.listdir(folder):
        if name.endswith(_UNFINISHED):
            path = os.path.join(folder, name)
            with suppress(OSError):  # its runner still wrote it, or another one removed it first
                if os.stat(path).st_mtime < oldest:
                    os.unlink(path)


def leftovers(folder: str) -> list[Leftover]:
    """The attempts of runners of this machine that are gone."""
    gone: list[tuple[str, AttemptNote, ProcessIdentity | None]] = []
    taken: set[tuple[str, int, str]] = set()
    for path, note, process in _notes(folder):
        if note.runner.is_alive:
            taken.add((note.agent, note.event, note.task))
        else:
            gone.append((path, note, process))
    return [
        Leftover(path, note, process, (note.agent, note.event, note.task) in taken)
        for path, note, process in gone
    ]


def _notes(folder: str) -> Iterator[tuple[str, AttemptNote, ProcessIdentity | None]]:
    """The notes of this machine, each with its path and its process."""
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".note"):
            continue
        path = os.path.join(folder, name)
        try:
            with os.fdopen(system.open_file(path, os.O_RDONLY), "rb") as file:
                lines = file.read(1_000_000).split(b"\n")
            note = msgspec.json.decode(lines[0], type=AttemptNote)
        except (OSError, msgspec.MsgspecError):
            continue  # a torn one of an older version: its process was not started
        process = None
        with suppress(IndexError, msgspec.MsgspecError):
            process = msgspec.json.decode(lines[1], type=ProcessIdentity)
        if note.machine == this_machine():
            yield path, note, process


class Keeper:
    """A process that ends the agents of this one if it is killed.

    Args:
        notes: The folder of the notes.
        runner: This process.
    """

    def __init__(self, notes: str, runner: ProcessIdentity) -> None:
        program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "keeper.py")
        words = [sys.executable, program, notes, msgspec.json.encode(runner).decode()]
        variables = {**passed_on(os.environ), MARK: "keeper"}  # it is not left of an attempt
        reading, self._pipe = os.pipe()
        try:
            with os.fdopen(reading, "rb") as stdin:
                _, output, self._wait = system.start_daemon(words, notes, variables, stdin)
        except OSError:
            os.close(self._pipe)
            raise
        output.close()

    def close(self) -> None:
        """End it: the agents have ended."""
        with suppress(OSError):
            os.write(self._pipe, b"end")
        os.close(self._pipe)
        self._wait()


def end_leftovers(folder: str, runner: str) -> None:
    """End what a runner has left that ends just now; its notes stay for the next one.

    Args:
        folder: The folder of the notes.
        runner: Its process, as JSON.
    """
    process = msgspec.json.decode(runner, type=ProcessIdentity)
    deadline = time.monotonic() + _PATIENCE
    while process.is_alive and time.monotonic() < deadline:
        time.sleep(_PAUSE)
    for _ in range(2):  # again, because an agent that was just being started had no mark yet
        for leftover in leftovers(folder):
            leftover.end()
        time.sleep(_STARTING)


class AgentLog:
    """``state/logs/<agent>.log``: what an agent writes. Threads share it.

    Args:
        folder: The folder of the logs.
        agent: The agent.
        warn: Gets a sentence if it cannot be written, once.
        most: Bytes at which it begins a new file.
    """

    def __init__(
        self,
        folder: str,
        agent: str,
        warn: Callable[[str], object],
        *,
        most: int = LOG_BYTES,
    ) -> None:
        self.path = os.path.join(folder, f"{file_name(agent)}.log")
        self._most = most
        self._warn = warn
        self._lock = threading.Lock()
        self._fd: int | None = None
        self._size = 0
        self._has_failed = False

    def write(self, lines: Sequence[str]) -> None:
        """Append lines. An error is a warning: the work of the agent goes on."""
        self.append("".join(f"{line}\n" for line in lines).encode("utf-8", "replace"))

    def append(self, data: bytes) -> None:
        """Append bytes, as :meth:`write` does."""
        with self._lock:
            try:
                self._append(data)
                self._has_failed = False
            except OSError as error:
                if not self._has_failed:
                    self._warn(f"{self.path} cannot be written: {error.strerror}")
                self._has_failed = True

    def close(self) -> None:
        """Close the file; the next line opens it again."""
        with self._lock:
            self._close()

    def _append(self, data: bytes) -> None:
        if self._fd is None:
            self._fd = system.open_file(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            self._size = os.fstat(self._fd).st_size
        if self._size and self._size + len(data) > self._most:
            self._close()
            system.replace(self.path, f"{self.path}.1")
            self._fd = system.open_file(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            self._size = 0
        while data:
            count = os.write(self._fd, data)
            self._size += count
            data = data[count:]

    def _close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


class AttemptEnd(msgspec.Struct, frozen=True):
    """How the process of an attempt ended.

    Attributes:
        ended_by: What ended it before its time; empty if nothing did.
    """

    result: AttemptResult
    ended_by: Literal["", "timeout", "stop"] = ""


class _Stopped(Exception):
    """The process is to end."""


class AgentProcess:
    """The process of an attempt.

    Args:
        launch: What is started.
        output: Reads its output.
        mark: The value of ``MARK``.
        keep: Called with the lines of its output.
        grace: Seconds between SIGTERM and SIGKILL.
    """

    def __init__(
        self,
        launch: Launch,
        output: OutputReader,
        *,
        mark: str,
        keep: Callable[[list[str]], object],
        grace: float = GRACE,
    ) -> None:
        self._output = output
        self._mark = mark
        self._keep = keep
        self._grace = grace
        self._is_stopped = False
        self._begun = time.monotonic()
        # A file, because a pipe is full after 64 KiB of a payload that the agent does not read.
        with tempfile.TemporaryFile() as stdin:
            stdin.write(launch.stdin)
            stdin.seek(0)
            self._program = system.Program(
                launch.words,
                launch.folder,
                {**launch.variables, MARK: mark},
                lambda data: self._feed(data, stderr=False),
                lambda data: self._feed(data, stderr=True),
                stdin,
            )
        self.pid = self._program.pid

    def stop(self) -> None:
        """Ask it to end; it is killed after the grace. Any thread may call this."""
        self._is_stopped = True

    def kill(self) -> int:
        """Kill it and all that it has started, as :meth:`wait` does at the end; return its exit status."""
        try:
            return self._program.end()
        finally:
            kill_all(lambda: system.left_behind(MARK, self._mark))

    def wait(self, timeout: float) -> AttemptEnd:
        """Wait until the process has ended, was stopped or reached its timeout; nothing of it runs then.

        Args:
            timeout: Seconds from its start.
        """
        ended_by: Literal["", "timeout", "stop"] = ""
        try:
            try:
                if not self._program.wait(self._begun + timeout, self._look):
                    ended_by = "timeout"
            except _Stopped:
                ended_by = "stop"
            if ended_by:
                self._program.terminate()
                self._program.wait(time.monotonic() + self._grace, lambda: None)
        finally:
            status = self.kill()
        seconds = round(time.monotonic() - self._begun, 3)
        lines, result = self._output.end(status, seconds)
        self._keep(lines)
        return AttemptEnd(result, ended_by)

    def _look(self) -> None:
        if self._is_stopped:
            raise _Stopped

    def _feed(self, data: bytes, *, stderr: bool) -> None:
        if data and (lines := self._output.feed(data, stderr=stderr)):
            self._keep(lines)
