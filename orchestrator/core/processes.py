"""A program run to its end: without a shell, with bounds on its time and on what is kept of its output.

It runs in a session of its own, with a closed stdin and a few variables only: what a board's process knows
(keys, tokens) is not the program's business. What it leaves running in its group ends with it.
"""

import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

import msgspec

from orchestrator.core.interrupts import Interrupts

TAIL = 4096
"""Bytes of the output that are kept: the last ones."""

PASSED_ON = (
    *("HOME", "LOGNAME", "PATH", "SHELL", "TMPDIR", "USER"),
    *("LANG", "LANGUAGE", "TERM", "TZ"),
    "ORCHESTRATOR_DIR",
)
"""Variables that a program is given; those of the locale (``LC_*``) beside them."""

_CHUNK = 65536
_REST = 1024 * 1024  # a pipe holds that much at most; a process that escaped may go on filling it
_LONGEST_PAUSE = 50  # milliseconds between two looks at a program that says nothing


class Ended(msgspec.Struct, frozen=True):
    """How a program ended.

    Attributes:
        status: Its exit status, the negative number of the signal that ended it, or None: it was killed
            because its time was over.
        seconds: How long it ran.
        output: The end of what it wrote to stdout and stderr.
    """

    status: int | None
    seconds: float
    output: str


def passed_on(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables of a process that a program is given."""
    return {k: v for k, v in variables.items() if k in PASSED_ON or k.startswith("LC_")}


def run(
    words: Sequence[str], *, folder: str, variables: Mapping[str, str], timeout: float
) -> Ended:
    """Run a program and wait for it, not for what it leaves behind.

    Args:
        words: The program and its arguments.
        folder: Where it runs.
        variables: Its whole environment.
        timeout: Seconds after which it is killed, with every process of its group.

    Raises:
        OSError: It cannot be started, or somebody else was told how it ended.
    """
    pipe, end = os.pipe()
    begun = time.monotonic()
    # A signal that came while the program is being started would leave it running, known to nobody.
    interrupts = Interrupts()
    interrupts.hold()
    try:
        try:
            process = subprocess.Popen(  # noqa: S603 -- no shell; whoever calls has judged the words
                words,
                cwd=folder,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=end,
                stderr=end,
                start_new_session=True,
            )
        finally:
            os.close(end)
        output = bytearray()
        try:
            interrupts.release()
            status = _watch(process.pid, pipe, output, begun + timeout)
        finally:
            interrupts.hold()
            # The leader is not reaped yet, so its number cannot be that of another group.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        seconds = round(time.monotonic() - begun, 3)
        _drain(pipe, output)
    finally:
        os.close(pipe)
        interrupts.release()
    return Ended(status, seconds, _text(output))


def _watch(pid: int, pipe: int, output: bytearray, deadline: float) -> int | None:
    """Read the output until the program ends (its status) or its time is over (None)."""
    readable = select.poll()
    readable.register(pipe, select.POLLIN)
    pause, is_open = 1, True
    while True:
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is not None:
            return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
        left = deadline - time.monotonic()
        if left <= 0:
            return None
        if readable.poll(min(pause, left * 1000)):
            if not _take(pipe, output) and is_open:
                readable.unregister(pipe)
                is_open = False
            pause = 1
        else:
            pause = min(pause * 2, _LONGEST_PAUSE)


def _take(pipe: int, output: bytearray) -> int:
    """Read what is there, keep the end of all that was read, and tell how much came."""
    chunk = os.read(pipe, _CHUNK)
    output += chunk
    del output[:-TAIL]
    return len(chunk)


def _drain(pipe: int, output: bytearray) -> None:
    """Read what is left; whoever still holds the other end is not waited for."""
    os.set_blocking(pipe, False)
    rest = _REST
    with suppress(BlockingIOError):
        while rest > 0 and (count := _take(pipe, output)):
            rest -= count


def _text(output: bytearray) -> str:
    start = 0
    if len(output) == TAIL:  # perhaps cut within a character
        start = next((i for i in range(4) if output[i] & 0xC0 != 0x80), 0)
    return bytes(output[start:]).decode("utf-8", "replace")
