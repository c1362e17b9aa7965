"""Faults inside Python: an ``Orchestrator`` whose system calls fail, stop halfway, or kill the process.

For faults that ``strace`` cannot make: half of a write, death right after a call, files with a time in the
name, and above all a process that continues with the same object after the fault. Every run is a forked
child.
"""

import errno
import fcntl
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator import Orchestrator
from orchestrator.core import system
from orchestrator.core.errors import OrchestratorError
from tests.boards import check_law

from . import harness, sealing, sweep
from .situations import Command, Situation

if TYPE_CHECKING:
    from .sweep import Sweep

WRITES = {"write", "pwrite"}
CALLS = (
    *(
        "open",
        "write",
        "pwrite",
        "pread",
        "fsync",
        "fdatasync",
        "ftruncate",
        "replace",
        "rename",
        "link",
    ),
    *("unlink", "mkdir", "utime", "fstat", "stat", "lstat", "listdir", "scandir", "chmod"),
)

FAULTS = (
    ("killed before", "once"),
    ("killed after", "once"),
    ("half written, killed", "once"),
    ("half written, ENOSPC", "once"),
    ("half written, EIO", "on"),
    ("half written", "once"),
    ("interrupted", "once"),
    ("EIO", "once"),
    ("EIO", "on"),
    ("ENOSPC", "once"),
    ("EROFS", "on"),
)


@dataclass(frozen=True)
class Case:
    """The fault at the ``number``-th call on the board (of those that write, for half a write).

    A ``warm`` object has read the board before.
    """

    situation: str
    command: str
    number: int
    fault: str
    mode: str
    warm: bool

    @property
    def name(self) -> str:
        warm = "warm" if self.warm else "cold"
        return f"{self.situation}:{self.command}/{warm}#{self.number}/{self.fault}/{self.mode}"


def cases_of(situation: str, command: str, places: int) -> Iterator[Case]:
    """Every fault at every call; some of the last calls are never reached."""
    for fault, mode in FAULTS:
        for number in range(1, 7 if fault.startswith("half") else places + 1):
            for warm in (False, True):
                yield Case(situation, command, number, fault, mode, warm)


class Shim:
    """The module ``os`` with a fault in it."""

    def __init__(self, board: str, case: Case) -> None:
        self._board = board
        self._case = case
        self._half = case.fault.startswith("half")
        self._paths: dict[int, str] = {}
        self._left = case.number
        self.armed = False
        self.reached = False
        for name in CALLS:
            setattr(os, name, self._wrapped(name, getattr(os, name)))
        fcntl.flock = self._wrapped("flock", fcntl.flock)
        system.sync_data = os.fdatasync

    def _wrapped(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if self.armed and self._is_ours(args) and (not self._half or name in WRITES):
                return self._strike(name, call, args, kwargs)
            return self._done(name, args, call(*args, **kwargs))

        return wrapper

    def _done(self, name: str, args: tuple[Any, ...], result: Any) -> Any:
        if name == "open" and isinstance(args[0], str):
            self._paths[result] = args[0]
        return result

    def _is_ours(self, args: tuple[Any, ...]) -> bool:
        path = self._paths.get(args[0], "") if args and isinstance(args[0], int) else args[:1]
        path = path[0] if isinstance(path, tuple) and path else path
        return isinstance(path, str) and path.startswith(self._board)

    def _strike(
        self, name: str, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        self._left -= 1
        if self._left > 0 or (self._left < 0 and self._case.mode == "once"):
            return self._done(name, args, call(*args, **kwargs))
        self.reached = True
        fault = self._case.fault
        if self._half:
            data = bytes(args[1])
            result = call(args[0], data[: len(data) // 2 or 1], *args[2:])
            fault = fault.partition(", ")[2]
        elif fault in ("killed after", "interrupted"):
            result = self._done(name, args, call(*args, **kwargs))
        if fault.startswith("killed"):
            os.kill(os.getpid(), signal.SIGKILL)
        if fault == "interrupted":
            os.kill(os.getpid(), signal.SIGINT)
        elif fault and fault != "killed after":
            number = getattr(errno, fault)
            raise OSError(number, os.strerror(number))
        return result


class Report(msgspec.Struct):
    """The report of the child: the status of the command, and its error."""

    status: int
    errors: str
    reached: bool
    opened: bool = False


def run(ground: "Sweep", case: Case, types: list[str]) -> tuple[str, list[str]]:
    """Run a case; return the outcome of the command and the violations."""
    situation = ground.situations[case.situation]
    command = ground.command(case.situation, case.command)
    board = ground.copy(situation)
    situation.words["board"] = board
    then = f"{board}.then"
    pid = os.fork()
    if pid == 0:
        _child(situation, command, board, case)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        if status == -signal.SIGKILL:
            return "killed", _judged(ground, situation, command, board, types, None, "")
        report = msgspec.json.decode(Path(f"{board}.report").read_bytes(), type=Report)
        if not report.reached:
            return "not reached", []
        living = Path(f"{board}.living").read_text()
        wrong = _judged(ground, situation, command, then, types, report.status, report.errors)
        if living:
            wrong.append(f"the object that lived on: {living}")
        elif report.opened:
            wrong += harness.all_hold(board, ground.before(situation))
        if wrong:
            wrong.append(f"it ended with {report.status}, saying {report.errors[-600:]!r}")
        return f"exit {report.status}", wrong
    finally:
        for path in (board, then):
            shutil.rmtree(path, ignore_errors=True)
        for end in ("report", "living"):
            Path(f"{board}.{end}").unlink(missing_ok=True)


def _judged(
    ground: "Sweep",
    situation: Situation,
    command: Command,
    board: str,
    types: list[str],
    status: int | None,
    errors: str,
) -> list[str]:
    # Whoever interrupts a living process cannot know whether the command was done.
    status = harness.UNKNOWN if status == 130 else status
    before = ground.before(situation)
    situation.words["board"] = board
    return sweep.judge(situation, command, board, before, types, (0, status), "", errors)


def _child(situation: Situation, command: Command, board: str, case: Case) -> None:
    try:
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if situation.segment_size is not None:
            sealing.seal_at(situation.segment_size)
        shim = Shim(board, case)
        orc, report = _struck(shim, situation, command, board, case)
        shim.armed = False
        report.reached, report.opened = shim.reached, orc is not None
        if os.path.isdir(board):
            shutil.copytree(board, f"{board}.then")
            sweep.link_again(board, f"{board}.then")
        Path(f"{board}.report").write_bytes(msgspec.json.encode(report))
        Path(f"{board}.living").write_text(_lives_on(orc, situation, command))
    except BaseException:
        Path(f"{board}.report").write_bytes(msgspec.json.encode(Report(-1, "", True)))
        Path(f"{board}.living").write_text(f"the harness failed: {traceback.format_exc()}")
    finally:
        os._exit(0)


def _struck(
    shim: Shim, situation: Situation, command: Command, board: str, case: Case
) -> tuple[Orchestrator | None, Report]:
    """Run the command under the fault."""
    orc = None
    shim.armed = not case.warm
    try:
        orc = Orchestrator.open(board, timeout=5.0)
        if case.warm:
            orc.engine.read()
            shim.armed = True
        return orc, Report(_on(orc, situation, command), "", False)
    except OrchestratorError as error:
        return orc, Report(error.exit_status, f"{error.message} {error.hint}", False)
    except KeyboardInterrupt:
        return orc, Report(130, "", False)
    except OSError as error:  # the command line gives these a name
        return orc, Report(74, f"a bare {error!r}: {traceback.format_exc()}", False)
    except Exception:
        return orc, Report(-1, traceback.format_exc(), False)


def _on(orc: Orchestrator, situation: Situation, command: Command) -> int:
    request = sweep.REQUEST if command.repeats else None
    return harness.on(orc, situation.line(command), request)[0]


def _lives_on(orc: Orchestrator | None, situation: Situation, command: Command) -> str:
    """The violations of the object after the fault."""
    if orc is None:
        return ""
    try:
        if command.repeats:
            _on(orc, situation, command)
        orc.events.log("ben", "check.living")
        check_law(orc)
    except (Exception, AssertionError):
        return traceback.format_exc()[-1500:]
    return ""
