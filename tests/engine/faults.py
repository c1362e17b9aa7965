"""Faults at every system call of a command: the call fails, writes only half, or the process is killed."""

import errno
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from orchestrator.core import system

CALLS = [
    (os, "write"),
    (os, "pwrite"),
    (os, "fsync"),
    (os, "replace"),
    (os, "link"),
    (os, "ftruncate"),
    (os, "unlink"),
    (os, "mkdir"),
    (os, "open"),
    (system, "sync_data"),
]
"""Where a command meets the disk; ``sync_data`` is ``fdatasync`` under the name the stores use."""

Action = Callable[[str, Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]


class Faults:
    """Counts the calls, and replaces chosen ones.

    Args:
        action: What happens instead of the call.
        first: The number of the first call that is replaced.
        last: The number of the last call that is replaced; None for all later calls.
    """

    def __init__(self, action: Action, first: int, last: int | None = -1) -> None:
        self.action = action
        self.first = first
        self.last = first if last == -1 else last
        self.names: list[str] = []

    def call(
        self, name: str, real: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        number = len(self.names)
        self.names.append(name)
        if number < self.first or (self.last is not None and number > self.last):
            return real(*args, **kwargs)
        return self.action(name, real, args, kwargs)


@contextmanager
def named(what: str) -> Iterator[None]:
    """Let an error of the block say after which fault it happened."""
    try:
        yield
    except BaseException as error:
        error.add_note(what)
        raise


@contextmanager
def injected(faults: Faults) -> Iterator[Faults]:
    """Within the block, the calls of :data:`CALLS` go through ``faults``."""
    real = [(module, name, getattr(module, name)) for module, name in CALLS]

    def through(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **kwargs: faults.call(name, function, args, kwargs)

    try:
        for module, name, function in real:
            setattr(module, name, through(name, function))
        yield faults
    finally:
        for module, name, function in real:
            setattr(module, name, function)


def goes_through(name: str, real: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    return real(*args, **kwargs)


def fails(name: str, real: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def fails_after(name: str, real: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """The kernel does the call, but reports an error."""
    real(*args, **kwargs)
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def disk_full(name: str, real: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Write half of the data, then report a full disk."""
    if name == "write":
        real(args[0], args[1][: len(args[1]) // 2])
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def short_write(name: str, real: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """``write`` may write less than requested, which is not an error."""
    if name == "write" and len(args[1]) > 1:
        return real(args[0], args[1][: len(args[1]) // 2])
    return real(*args, **kwargs)


def dies_before(name: str, real: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def dies_after(name: str, real: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    try:
        real(*args, **kwargs)
    finally:
        os.kill(os.getpid(), signal.SIGKILL)


def dies_halfway(name: str, real: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    if name == "write":
        real(args[0], args[1][: len(args[1]) // 2])
    os.kill(os.getpid(), signal.SIGKILL)
