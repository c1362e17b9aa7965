"""What only Linux has: the report of changed files, the adoption of orphans, a parent that is a keeper."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress

from orchestrator.core.system import polling

assert sys.platform != "win32"

_CHANGES = 0x2 | 0x4 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400 | 0x800
"""Written, other attributes, an entry moved away, moved here, made or deleted, and gone itself."""

_SUBREAPER = 36
_PATIENCE = 5.0  # seconds until processes that were killed must be gone
_PAUSE = 0.01


class InotifyAlarm:
    """Rings when files, or the entries of folders, may have changed.

    Args:
        paths: The files and folders.

    Attributes:
        is_told: Whether the system reports all changes; else the caller has to look for itself.
    """

    _fd = -1

    def __init__(self, paths: Iterable[str]) -> None:
        import ctypes  # only what waits needs it

        self._library = ctypes.CDLL(None)
        self._fd = self._library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        add = self._library.inotify_add_watch
        self._watches = [add(self._fd, os.fsencode(path), _CHANGES) for path in paths]
        # It fails for a path that is missing, and for a user who has too many alarms.
        self.is_told = min((self._fd, *self._watches)) >= 0

    def wait(self, seconds: float) -> bool:
        """Wait until it rings; False after so many seconds. The next wait waits for the next change."""
        if not self.is_told:
            return polling.rest(seconds)
        import select

        readable = select.poll()
        readable.register(self._fd, select.POLLIN)
        if not readable.poll(seconds * 1000):
            return False
        with suppress(BlockingIOError):  # another thread was faster
            os.read(self._fd, 65536)
        return True

    def ring(self) -> None:
        """End a wait in another thread."""
        for watch in self._watches:
            self._library.inotify_rm_watch(self._fd, watch)

    def close(self) -> None:
        """End the reports. The system takes some 10 ms for it."""
        fd, self._fd, self.is_told = self._fd, -1, False
        if fd >= 0:
            os.close(fd)

    __del__ = close


def adopt_orphans() -> bool:
    """Become the parent of descendants whose parent has ended; whether the system does that."""
    import ctypes

    has_children = os.path.exists(f"/proc/self/task/{os.getpid()}/children")
    return has_children and not ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def go_on_as_child(starting: threading.Lock) -> int:
    """Go on in a child of this process, which becomes the keeper: its parent, and that of its orphans.

    The keeper is ``linux_keeper.py``, with the signals blocked that it waits for. If it is killed, this
    process ends at once, with all that it has started.

    Args:
        starting: Held while a program is started.

    Returns:
        The pid of the keeper, in the child; 0 in this process if the system cannot do that.
    """
    if not adopt_orphans():
        return 0
    parent = os.getpid()
    blocked = {signal.SIGINT, signal.SIGTERM, signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    reading, writing = os.pipe()
    if child := os.fork():
        os.set_inheritable(writing, True)  # it closes when the keeper ends
        program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "linux_keeper.py")
        os.execv(sys.executable, [sys.executable, program, str(child)])  # noqa: S606 -- no shell
    os.setpgid(0, 0)  # the keeper passes on what the terminal, or another one, sends to its group
    # This process may print, although its group is in the background.
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    os.close(writing)
    threading.Thread(target=_end_with, args=(reading, starting), daemon=True).start()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return parent


def _end_with(keeper: int, starting: threading.Lock) -> None:
    """End this process, with all that it has started, when its keeper ends."""
    os.read(keeper, 1)
    with starting:
        end_descendants()
        os.kill(os.getpid(), signal.SIGKILL)


def end_descendants() -> None:
    """Kill every descendant of this process until none is left; orphans must become its children."""
    deadline = time.monotonic() + _PATIENCE
    while (pids := _descendants()) and time.monotonic() < deadline:
        for pid in pids:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(_PAUSE)


def _descendants() -> list[int]:
    """The descendants of this process that have not ended."""
    children: dict[int, list[int]] = {}
    for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))):
        with suppress(OSError, IndexError, ValueError), open(f"/proc/{pid}/stat", "rb") as file:
            state, parent = file.read().rpartition(b")")[2].split()[:2]
            if state not in b"ZX":
                children.setdefault(int(parent), []).append(pid)
    pids = [os.getpid()]
    for pid in pids:
        pids += children.get(pid, ())
    return pids[1:]
