"""A program run to its end: without a shell, with bounds on its time and on what is kept of its output.

It gets a closed stdin and a few variables only: keys and tokens in the environment of the board's process
are not passed on. What it leaves running in its group ends with it.
"""

import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

from orchestrator.core import system
from orchestrator.core.interrupts import Interrupts

TAIL = 4096
"""Bytes of the output that are kept: the last ones."""

PASSED_ON = (
    *("HOME", "LOGNAME", "PATH", "SHELL", "TMPDIR", "USER"),
    *("LANG", "LANGUAGE", "TERM", "TZ"),
    *system.VARIABLES,
    "ORCHESTRATOR_DIR",
)
"""Variables that a program is given; those of the locale (``LC_*``) beside them."""


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
    words: Sequence[str],
    *,
    folder: str,
    variables: Mapping[str, str],
    timeout: float,
    look: Callable[[], object] = lambda: None,
) -> Ended:
    """Run a program and wait for it, not for the programs that it leaves behind.

    Args:
        words: The program and its arguments.
        folder: Where it runs.
        variables: Its whole environment.
        timeout: Seconds after which it is killed, with every process of its group.
        look: Called again and again while it runs; what it raises kills the program too.

    Raises:
        OSError: It cannot be started, or its exit status was given to another part of this process.
    """
    output = bytearray()

    def keep(data: bytes) -> None:
        output.extend(data)
        del output[:-TAIL]

    begun = time.monotonic()
    interrupts = Interrupts()
    interrupts.hold()  # a signal right after the start would leave the program running, known to nobody
    try:
        program = system.Program(words, folder, variables, keep)
        try:
            interrupts.release()
            in_time = program.wait(begun + timeout, look)
        finally:
            interrupts.hold()
            status = program.end()
    finally:
        interrupts.release()
    return Ended(status if in_time else None, round(time.monotonic() - begun, 3), _text(output))


def _text(output: bytearray) -> str:
    start = 0
    if len(output) == TAIL:  # perhaps cut within a character
        start = next((i for i in range(4) if output[i] & 0xC0 != 0x80), 0)
    return bytes(output[start:]).decode("utf-8", "replace")
