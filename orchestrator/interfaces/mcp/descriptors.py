"""Stdin and stdout of a server, taken before other code can print there; nothing of the SDK is imported."""

import os
import sys

import msgspec

from orchestrator.core import system
from orchestrator.core.errors import UsageError


class Descriptors(msgspec.Struct, frozen=True):
    """Stdin and stdout of this process, which only the protocol has.

    Attributes:
        incoming: Where the host writes.
        outgoing: Where the host reads.
    """

    incoming: int
    outgoing: int


def take_descriptors() -> Descriptors:
    """Take stdin and stdout away from all other code and from child processes.

    They read nothing from now on, and what they print goes to stderr.

    Raises:
        UsageError: The process has no stdin or no stdout.
    """
    if sys.stdin is None or sys.stdout is None:
        raise UsageError("A server needs stdin and stdout", hint="An agent's program starts it.")
    sys.stdout.flush()
    taken = Descriptors(os.dup(0), os.dup(1))
    null = system.open_file(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null if sys.stderr is None else 2, 1)
    os.close(null)
    return taken
