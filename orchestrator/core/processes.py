"""Run a program to its end: without a shell, with limits for its time and for the kept output.

The program gets an empty stdin, unless it is given a file, and only a few variables: keys and tokens in the
environment are not passed on. Processes of its group are killed when it ends.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO

import msgspec

from orchestrator.core import machine, system
from orchestrator.core.interrupts import Interrupts

TAIL = 4096
"""How many of the last bytes of the output are kept, unless the caller wants more."""

ATTEMPT = "ORC_ATTEMPT"
"""The variable of what the runner starts: all attempts of a worker are the same agent."""

_MOST_ABOVE = 8
"""How many processes above this one may be launchers."""

MARK = "ORC_PROCESS"
"""The variable that every process inherits which must be found and ended, such as those of an attempt."""

PASSED_ON = (
    *("HOME", "LOGNAME", "PATH", "SHELL", "TMPDIR", "USER"),
    *("LANG", "LANGUAGE", "TERM", "TZ"),
    *system.VARIABLES,
    "ORCHESTRATOR_DIR",
    "ORCHESTRATOR_URL",
    machine.VARIABLE,
    MARK,
)
"""Variables that are passed to a program, together with those of the locale (``LC_*``)."""


class ProgramResult(msgspec.Struct, frozen=True):
    """How a program ended.

    Attributes:
        status: Its exit status, or the negative number of the signal that ended it; None if it was killed
            at the timeout.
        seconds: How long it ran.
        output: The end of its output to stdout and stderr.
    """

    status: int | None
    seconds: float
    output: str


def passed_on(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables of a process that are passed to a program."""
    return {k: v for k, v in variables.items() if k in PASSED_ON or k.startswith("LC_")}


SHELLS = ("sh", "bash", "dash", "zsh", "ksh", "fish", "cmd.exe", "powershell.exe", "pwsh")
"""Programs that run what is typed."""

LAUNCHERS = frozenset(
    (
        *SHELLS,
        "env",
        "timeout",
        "nice",
        "nohup",
        "sudo",
        "uv",
        "uvx",
        "npx",
        "git",
        "orc",
        "orc.exe",
    )
)
"""Programs that only start another one."""


def host_process() -> str:
    """The process of the program that started this one, shells left out; empty if it is not known.

    Hooks and servers of one program have the same one.
    """
    pid = os.getppid()
    for _ in range(_MOST_ABOVE):
        above, name = system.parent(pid)
        if above <= 0:
            return ""
        if name not in LAUNCHERS:
            started, boot = system.identity(pid)
            return f"{pid} {started} {boot}"
        pid = above
    return ""


def host_runs(host: str, since: float) -> bool:
    """Whether a process that :func:`host_process` named still runs.

    Args:
        host: The process.
        since: When it was named, in seconds since 1970.
    """
    pid, _, rest = host.partition(" ")
    started, _, boot = rest.partition(" ")
    if not (pid.isdecimal() and started.isdecimal()):
        return False
    return system.condition(int(pid), int(started), boot, since) != "gone"


def host_words(host: str) -> list[str]:
    """The command line of a process that :func:`host_process` named; empty if it is not known."""
    pid = host.partition(" ")[0]
    return system.words(int(pid)) if pid.isdecimal() else []


def run(
    words: Sequence[str],
    *,
    folder: str,
    variables: Mapping[str, str],
    timeout: float,
    kept: int = TAIL,
    look: Callable[[], object] = lambda: None,
    stdin: IO[bytes] | None = None,
) -> ProgramResult:
    """Run a program and wait for it, but not for the processes that it leaves behind.

    Args:
        words: The program and its arguments.
        folder: Its working folder.
        variables: Its whole environment.
        timeout: Seconds after which it is killed, with every process of its group.
        kept: How many of the last bytes of its output are kept.
        look: Called repeatedly while it runs; an exception kills the program.
        stdin: Its stdin; else it is empty.

    Raises:
        OSError: It cannot be started, or another part of this process collected its exit status.
    """
    output = bytearray()

    def keep(data: bytes) -> None:
        output.extend(data)
        del output[:-kept]

    begun = time.monotonic()
    status = to_the_end(
        lambda: system.Program(words, folder, variables, keep, stdin=stdin), timeout, look
    )
    return ProgramResult(status, round(time.monotonic() - begun, 3), _text(output, kept))


def to_the_end(
    start: Callable[[], system.Program],
    timeout: float,
    look: Callable[[], object] = lambda: None,
    *,
    patience: float = 0.0,
) -> int | None:
    """Start a program and wait for it, as :func:`run` does.

    Args:
        start: Starts the program.
        timeout: Seconds after which it is killed.
        look: As in :func:`run`.
        patience: Seconds that the program gets to end before it is killed, when the time is
            over or this process is interrupted.

    Returns:
        Its exit status, or the negative number of the signal that ended it; None if it was ended at the
        timeout.
    """
    interrupts = Interrupts()
    interrupts.hold()  # a signal right after the start would leave the program running unnoticed
    try:
        program = start()
        has_ended = False
        try:
            interrupts.release()
            has_ended = program.wait(time.monotonic() + timeout, look)
        finally:
            interrupts.hold()
            try:
                if not has_ended and patience:
                    program.terminate()
                    program.wait(time.monotonic() + patience, lambda: None)
            finally:
                status = program.end()
    finally:
        interrupts.release()
    return status if has_ended else None


def _text(output: bytearray, kept: int) -> str:
    start = 0
    if len(output) == kept:  # the cut may be inside a character
        start = next((i for i in range(4) if output[i] & 0xC0 != 0x80), 0)
    return bytes(output[start:]).decode("utf-8", "replace")
