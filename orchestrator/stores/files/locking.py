"""The right to write: one lock between all threads and processes that share a board.

Two guards: ``state/.lock``, which other programs can hold too, and the folder ``state/`` itself, which
keeps two writers apart when somebody deletes the lock file (`git clean`). Neither is waited for while
the other is held.
Whoever holds both writes its name into ``state/.holder``, for those who wait in vain.
"""

import fcntl
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Protocol

import msgspec

from orchestrator.core import clock
from orchestrator.core.errors import TimedOut
from orchestrator.stores.files import disk, mounts

NEXT = 0.0001
"""Seconds between two tries of the one process that is next in the queue. filelock's own 0.05 starves:
of 8 processes one got 715 turns, one got 1."""

TURNS = 4
"""How often in a row a process may take the lock before it queues up: a lock that changes hands at every
turn is idle while the next process wakes up."""

COURTESY = 0.25
"""Seconds without any turn after which a process tries without being next: whoever is may be stopped."""

_RECORD = 512
_COMMAND = 150
_HELD_AT = 8  # len('{"held":')


class Guard(Protocol):
    """A lock that is tried, never waited for."""

    def acquire(self) -> bool:
        """Take it, if nobody has it."""
        ...

    def release(self) -> None:
        """Give it back, if it is held."""
        ...


class LibraryGuard:
    """``state/.lock`` held by ``filelock``."""

    def __init__(self, path: str) -> None:
        import filelock

        self._path = path
        self._lock = filelock.FileLock(path, fallback_to_soft=False, thread_local=False)
        self._taken = filelock.Timeout
        self._in_doubt = False

    def acquire(self) -> bool:
        """Take it, if nobody has it."""
        if self._in_doubt:
            with disk.naming("unlock", self._path):
                self._lock.release()
            self._in_doubt = False
        try:
            self._lock.acquire(blocking=False)
        except self._taken:
            return False
        return True

    def release(self) -> None:
        """Give it back, if it is held.

        The commit stands, whatever happens to the lock; what failed here is done before it is taken again.
        """
        self._in_doubt = True
        with suppress(OSError):
            self._lock.release()
            self._in_doubt = False


class RawGuard:
    """``state/.lock`` held by a bare ``flock``, the call that ``filelock`` makes as well.

    For one-shot commands, which would pay more for importing ``filelock`` than for all their work.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: disk.Descriptor | None = None

    def acquire(self) -> bool:
        """Take it, if nobody has it."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        file = disk.Descriptor(self._path, flags)
        # The name may lead to another file by now: a lock on a deleted file excludes nobody.
        if _try_flock(file.fd) and file.is_still(self._path):
            self._file = file
            return True
        return False

    def release(self) -> None:
        """Give it back, if it is held."""
        file, self._file = self._file, None
        if file is not None:
            # A forked child may have a copy of the descriptor: closing this one would not unlock.
            with suppress(OSError):  # closed it is in any case, and the commit stands
                fcntl.flock(file.fd, fcntl.LOCK_UN)


class FolderGuard:
    """A ``flock`` on the folder itself, which nobody deletes by tidying up."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._folder: disk.Descriptor | None = None

    def look(self) -> disk.Descriptor:
        """The folder that is there now.

        Raises:
            Refused: It is a symbolic link: whoever goes on would write outside of the board.
        """
        folder = self._folder
        if folder is None or not folder.is_still(self._path):
            if os.path.islink(self._path):
                raise disk.is_link(self._path)
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
            folder = self._folder = disk.Descriptor(self._path, flags)
        return folder

    def acquire(self) -> bool:
        """Take it, if nobody has it."""
        folder = self._folder or self.look()
        if not _try_flock(folder.fd):
            return False
        if folder.is_still(self._path):
            return True
        self._folder = None  # the folder was replaced: its lock goes with its descriptor
        return False

    def release(self) -> None:
        """Give it back, if it is held."""
        if self._folder is not None:
            try:
                fcntl.flock(self._folder.fd, fcntl.LOCK_UN)
            except OSError:
                self._folder = None  # closing it unlocks, too


class Queue:
    """``state/.queue``: who is next. A courtesy that makes turns even; it guards nothing.

    Without it, whoever releases the lock takes it again before a waiting process has woken up. The kernel
    keeps those who block on one ``flock`` in the order in which they came, and takes no CPU for it: a
    hundred processes that all ask again and again leave the holder no time to work. As blocking knows no
    timeout, a thread does it.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: disk.Descriptor | None = None
        self._change = threading.Lock()
        self._is_wanted = False
        self._is_blocked = False
        self._is_next = threading.Event()

    def join(self) -> None:
        """Take the last place; nothing if there is one already."""
        with self._change:
            self._is_wanted = True
            if self._is_blocked:
                return  # the place of an earlier try that ran out of time
            self._is_next.clear()
            try:
                file = self._open()
                if _try_flock(file.fd):
                    self._is_next.set()
                    return
                thread = threading.Thread(target=self._block, args=(file,), daemon=True)
                self._is_blocked = True
                thread.start()
            except (OSError, RuntimeError):  # RuntimeError: no more threads
                self._is_blocked = False
                self._is_next.set()  # no queue, no order: everybody may try

    def is_next(self, timeout: float) -> bool:
        """Whether this process is the next one; waits up to so many seconds to be."""
        return self._is_next.wait(timeout)

    def leave(self) -> None:
        """Let another one be the next."""
        with self._change:
            self._is_wanted = False
            if not self._is_blocked:
                self._unlock()

    def _block(self, file: disk.Descriptor) -> None:
        with suppress(OSError):
            fcntl.flock(file.fd, fcntl.LOCK_EX)
        with self._change:
            self._is_blocked = False
            if self._is_wanted:
                self._is_next.set()
            else:
                self._unlock()

    def _unlock(self) -> None:
        self._is_next.clear()
        if self._file is not None:
            with suppress(OSError):
                fcntl.flock(self._file.fd, fcntl.LOCK_UN)

    def _open(self) -> disk.Descriptor:
        file = self._file
        if file is None or os.fstat(file.fd).st_nlink == 0:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
            file = self._file = disk.Descriptor(self._path, flags)
        return file


class Holder:
    """``state/.holder``: who has the lock. A courtesy to those who wait, so its errors pass."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: disk.Descriptor | None = None
        self._me = b""

    def announce(self, command: str) -> bool:
        """Write down who holds the lock; True if the holder before did not live to release it."""
        text = msgspec.json.encode(ascii(command)[1:-1][:_COMMAND])
        since = time.time()
        record = b'{"held":1,%b,"since":%.3f,"command":%b}' % (self._identity(), since, text)
        try:
            fd = self._open().fd
            before = os.pread(fd, 1, _HELD_AT)
            os.pwrite(fd, record.ljust(_RECORD - 1) + b"\n", 0)
        except OSError:
            return True  # not known; the answer costs the caller a sync and is right in any case
        return before != b"0"

    def clear(self) -> None:
        """Write down that the lock was released."""
        try:
            if self._file is not None:
                os.pwrite(self._file.fd, b"0", _HELD_AT)
        except OSError:
            pass  # the next holder then syncs the log once more than it must

    def stamp(self) -> bytes:
        """Bytes that every turn at the lock changes; none if that cannot be told."""
        try:
            return os.pread(self._open().fd, _RECORD, 0)
        except OSError:
            return b""

    def describe(self) -> str:
        """Who holds the lock, as the subject of a sentence."""
        record = self._read()
        if record.get("held") != 1:
            return "somebody who left no name"
        since = clock.timestamp(float(record["since"]))
        who = f"pid {record['pid']} (`{record['command']}`), since {since}"
        return who + _condition(int(record["pid"]), int(record["started"]), str(record["boot"]))

    def _read(self) -> dict[str, Any]:
        try:
            data = disk.read(self._path) or b"{}"
            record = msgspec.json.decode(data, type=dict[str, Any])
            return record if {"pid", "started", "boot", "since", "command"} <= record.keys() else {}
        except Exception:  # noqa: BLE001  # whatever stands there, the answer is: not known
            return {}

    def _open(self) -> disk.Descriptor:
        file = self._file
        if file is None or os.fstat(file.fd).st_nlink == 0:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
            file = self._file = disk.Descriptor(self._path, flags)
        return file

    def _identity(self) -> bytes:
        if not self._me:
            pid = os.getpid()
            started = _process(pid)[1]
            self._me = b'"pid":%d,"started":%d,"boot":"%b"' % (pid, started, _boot_id().encode())
        return self._me


class BoardLock:
    """Both guards and the threads of this process, under one timeout.

    Args:
        folder: The folder ``state/``.
        light: Do without ``filelock``; both ways exclude each other.
        warn: Told when the file system is of a kind that may not be local.
    """

    def __init__(self, folder: str, *, light: bool, warn: Callable[[str], None]) -> None:
        self._folder = folder
        self._light = light
        self._warn = warn
        self._checked = False
        self._start()

    def _start(self) -> None:
        self._pid = os.getpid()
        self._threads = threading.Lock()
        self._owner = 0
        path = f"{self._folder}/.lock"
        self._path = path
        self._file: Guard | None = None
        self._guard = FolderGuard(self._folder)
        self._turns = 0
        self._queue = Queue(f"{self._folder}/.queue")
        self._holder = Holder(f"{self._folder}/.holder")
        self.left_unsynced = False

    def held(self, command: str, timeout: float) -> "Hold":
        """A context that holds the lock; see :meth:`orchestrator.core.store.Store.locked`."""
        return Hold(self, command, timeout)

    def is_mine(self) -> bool:
        """Whether this thread holds the lock."""
        return self._owner == threading.get_ident() and self._pid == os.getpid()

    def acquire(self, command: str, timeout: float) -> None:
        """Take the lock: at once if it is free, else in the order of the queue."""
        if self._pid != os.getpid():
            # Locks are shared with the parent after a fork; begin with descriptors of our own.
            self._start()
        if self.is_mine():
            raise RuntimeError("this thread holds the lock of the board already")
        deadline = time.monotonic() + timeout
        if not self._threads.acquire(timeout=min(max(timeout, 0), threading.TIMEOUT_MAX)):
            raise self._timed_out(timeout)
        try:
            with disk.naming("lock", self._path):
                self._wait(deadline, timeout)
            self._owner = threading.get_ident()
            self.left_unsynced = self._holder.announce(command) or self.left_unsynced
        except BaseException:
            # Also an interrupt that came after both guards were taken.
            self._let_go()
            raise

    def release(self) -> None:
        """Give the lock back; a forked child has none to give."""
        if self._pid == os.getpid():
            try:
                self._holder.clear()
            finally:
                self._let_go()

    def _let_go(self) -> None:
        """Release everything, also when an interrupt comes in between: nobody else could."""
        self._owner = 0
        try:
            if self._file is not None:
                self._file.release()
        finally:
            try:
                self._guard.release()
            finally:
                self._threads.release()

    def _wait(self, deadline: float, timeout: float) -> None:
        """Try at once, a few times in a row at most; then queue up, and try often when next."""
        file = self._prepare()
        self._guard.look()
        if self._turns < TURNS and self._try(file):
            self._turns += 1
            return
        self._turns = 0
        seen = b""
        try:
            self._queue.join()
            while True:
                left = deadline - time.monotonic()
                if self._queue.is_next(max(0.0, min(left, COURTESY))):
                    if self._try(file):
                        return
                    time.sleep(NEXT)
                else:
                    # Whoever is next may be stopped: if nobody had a turn since, the order is given up.
                    seen, before = self._holder.stamp(), seen
                    if (seen == before or left <= 0) and self._try(file):
                        return
                if left <= 0:
                    raise self._timed_out(timeout)
        finally:
            self._queue.leave()

    def _prepare(self) -> Guard:
        if self._file is None:
            if not os.path.isdir(self._folder):
                disk.make_folder(self._folder)
            if not self._checked:
                mounts.check_local(self._folder, self._warn)
                self._checked = True
            self._file = RawGuard(self._path) if self._light else LibraryGuard(self._path)
        return self._file

    def _try(self, file: Guard) -> bool:
        # The folder first: asking for it costs one system call, so waiting takes no CPU from the holder.
        if not self._guard.acquire():
            return False
        is_taken = False
        try:
            is_taken = file.acquire()
        finally:
            if not is_taken:
                self._guard.release()
        return is_taken

    def _timed_out(self, timeout: float) -> TimedOut:
        return TimedOut(
            f"The board is locked by {self._holder.describe()}; waited {timeout:g} s",
            hint="Repeat the command; if it never ends, look at what that process does.",
            path=self._path,
        )


class Hold:
    """The lock held for the length of a ``with`` block."""

    __slots__ = ("_command", "_lock", "_timeout")

    def __init__(self, lock: BoardLock, command: str, timeout: float) -> None:
        self._lock = lock
        self._command = command
        self._timeout = timeout

    def __enter__(self) -> None:
        self._lock.acquire(self._command, self._timeout)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()


def _try_flock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _condition(pid: int, started: int, boot: str) -> str:
    state, began = _process(pid)
    if boot != _boot_id() or began != started:
        return " (that process is gone; one that it started may hold the lock)"
    if state in "Tt":
        return " (that process is stopped, and holds the lock until it goes on or ends)"
    return ""


def _process(pid: int) -> tuple[str, int]:
    """State and start time of a process: a pid alone may be another process by now."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return fields[0].decode(), int(fields[19])
    except (OSError, IndexError, ValueError):
        return "?", 0


def _boot_id() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""
