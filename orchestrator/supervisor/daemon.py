"""A runner in the background: how it is started, says that it is ready, and writes its own log."""

import io
import os
import sys
from collections.abc import Sequence
from typing import IO, Any

import msgspec

from orchestrator.core import system
from orchestrator.core.errors import (
    Damage,
    InputOutputError,
    NoBoard,
    OrchestratorError,
    Refused,
    TimedOut,
    UsageError,
)
from orchestrator.supervisor.processes import AgentLog, runner_folder

VARIABLE = "_ORC_DAEMON"
"""Set for a runner that is to go on in the background."""

_READY = b"ready"
_ERRORS: tuple[type[OrchestratorError], ...] = (
    UsageError,
    NoBoard,
    Damage,
    TimedOut,
    InputOutputError,
)


class RunnerLog(io.RawIOBase):
    """``state/runner/runner.log``, to which a runner in the background writes what it prints.

    Args:
        board: The folder of the board.
    """

    def __init__(self, board: str) -> None:
        self._log = AgentLog(runner_folder(board, "runner"), "runner", lambda _: None)

    @property
    def path(self) -> str:
        """The file; an older one has the same name with ``.1``."""
        return self._log.path

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: Any) -> int:
        """Append to the file."""
        self._log.append(bytes(data))
        return len(data)


def start(words: Sequence[str], folder: str) -> int:
    """Start a runner in the background, wait until it is ready, and return its pid.

    Args:
        words: Its command line, with ``--json`` for its errors.
        folder: Its working folder.

    Raises:
        OrchestratorError: It has ended; as it reports.
    """
    pid, output, wait = system.start_daemon(words, folder, {**os.environ, VARIABLE: "1"})
    printed: list[bytes] = []
    with output:
        for line in output:
            if line.strip() == _READY:
                return pid
            printed.append(line)
    raise _reported(b"".join(printed), wait())


def detach(board: str) -> str:
    """Write what this process prints to its log from now on, except for errors until it is ready.

    Returns:
        The path of the log.
    """
    log = RunnerLog(board)
    sys.stdout = _text(log)
    return log.path


def report_ready() -> None:
    """Tell the process that has started this one that it is ready, and leave its pipe."""
    os.write(1, _READY + b"\n")
    sys.stderr = sys.stdout
    null = system.open_file(os.devnull, os.O_RDWR)  # the pipe ends here
    for descriptor in (1, 2):
        os.dup2(null, descriptor)
    os.close(null)


def _text(stream: io.RawIOBase) -> IO[str]:
    buffer = io.BufferedWriter(stream)
    return io.TextIOWrapper(buffer, "utf-8", "backslashreplace", line_buffering=True)


def _reported(printed: bytes, status: int) -> OrchestratorError:
    """The error of a runner that has ended before it was ready."""
    kind = next((kind for kind in _ERRORS if kind.exit_status == status), Refused)
    try:
        error = msgspec.json.decode(printed[printed.index(b'{\n  "error"') :])["error"]
        return kind(error["message"], hint=error["hint"], code=error["code"])
    except (ValueError, KeyError, msgspec.MsgspecError):
        lines = printed.decode("utf-8", "replace").strip().splitlines()
        why = lines[-1] if lines else f"its exit status is {status}"
        return Refused(f"The runner did not start: {why}", code="runner_ended", output=printed)
