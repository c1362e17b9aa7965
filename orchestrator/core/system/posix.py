"""Linux and macOS; the package describes each name."""

import errno
import fcntl
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import IO, NoReturn

assert sys.platform != "win32"

HAS_MODES = True
DESKTOP = "macosx" if sys.platform == "darwin" else "dbus"
DESKTOP_NEEDS = (
    "it needs terminal-notifier (brew install terminal-notifier)"
    if sys.platform == "darwin"
    else "no session bus of this user answers"
)
HAS_FLOCK = True
INTERRUPTS = (signal.SIGINT, signal.SIGTERM)
VARIABLES: tuple[str, ...] = ()

_CHUNK = 65536
_REST = 1024 * 1024  # the largest size of a pipe; a process that escaped may continue to fill it
_LONGEST_PAUSE = 50  # milliseconds between two checks of a program that prints nothing
_own: set[int] = set()  # the programs of this process that are not reaped
_starting = threading.Lock()  # held while a program is started that is not in _own yet


def after_fork(action: Callable[[], object]) -> None:
    """Call a function in each process that is forked from this one."""
    os.register_at_fork(after_in_child=action)


def session_bus() -> str:
    """The address of the bus of this user's desktop; programs that cron starts know it only by its place."""
    folder = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    return os.environ.get("DBUS_SESSION_BUS_ADDRESS") or f"unix:path={folder}/bus"


def open_file(path: str, flags: int, *, follow: bool = False) -> int:
    """Open a file without waiting for the other end of a fifo; a link is refused unless ``follow``."""
    return os.open(path, flags | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW), 0o666)


OPEN_ALREADY = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")
"""How the paths of what this process has open begin."""


def interrupt(number: int) -> None:
    """Send a signal to this process, so that what its main thread waits for ends."""
    os.kill(os.getpid(), number)


def become(words: Sequence[str]) -> NoReturn:
    """Go on as another program, in this process; without a shell."""
    os.execv(words[0], [*words])  # noqa: S606


def file_watches() -> int | None:
    """How many folders a process may watch for changes; None if the system has no such limit."""
    try:
        with open("/proc/sys/fs/inotify/max_user_watches", encoding="ascii", newline="") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def wait_for_input(fd: int) -> None:
    """Let reading from a pipe that :func:`open_file` opened wait for what comes."""
    os.set_blocking(fd, True)


_AT_ONCE = 4096
"""Bytes that a pipe or socket with room takes in one write."""


def takes_at_once(fd: int, size: int) -> bool:
    """Whether a write of so many bytes to a pipe or socket certainly does not wait for its reader."""
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return size <= _AT_ONCE and poll.poll(0) == [(fd, select.POLLOUT)]


def open_folder(path: str) -> int:
    """Open a folder that is not a link."""
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def read_part(fd: int, length: int, offset: int) -> bytes:
    """Read up to so many bytes from an offset."""
    return os.pread(fd, length, offset)


def forget_cached(fd: int) -> None:
    """Let the next reading of a synced file come from its disk, where the system can."""
    if sys.platform == "linux":
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


def write_part(fd: int, data: bytes, offset: int) -> int:
    """Write bytes to an offset, and return how many were written."""
    return os.pwrite(fd, data, offset)


def replace(new: str, path: str) -> None:
    """Replace a file by another atomically."""
    os.replace(new, path)


def link(path: str, name: str) -> None:
    """Give a file a second name."""
    os.link(path, name, follow_symlinks=False)


def touch(path: str) -> None:
    """Set the time of a file, or of the link in its place, to now."""
    os.utime(path, follow_symlinks=False)


def try_lock(fd: int) -> bool:
    """Lock an open file or folder; False if another descriptor has locked it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # some file systems report the second one
        return False
    return True


def lock(fd: int) -> None:
    """Lock an open file or folder; wait in the order of the calls."""
    fcntl.flock(fd, fcntl.LOCK_EX)


def unlock(fd: int) -> None:
    """Unlock a file, also for a forked child that has a copy of the descriptor."""
    fcntl.flock(fd, fcntl.LOCK_UN)


def shell_line(words: Sequence[str]) -> str:
    """Words as a line of the shell, whatever is in them."""
    import shlex  # only what starts clients and hooks needs it

    return shlex.join(words)


def user_data_folder() -> str:
    """The folder for what programs keep for this user."""
    if sys.platform == "darwin":
        return os.path.expanduser("~/Library/Application Support")
    named = os.environ.get("XDG_DATA_HOME", "")
    return named if os.path.isabs(named) else os.path.expanduser("~/.local/share")


def sync_folder(path: str) -> None:
    """Make the names in a folder durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        sync(fd)
    finally:
        os.close(fd)


if sys.platform == "darwin":
    from orchestrator.core.system.polling import PollingAlarm
    from orchestrator.core.system.processes import *  # noqa: F403

    FileAlarm = PollingAlarm
    LIMITS: tuple[str, ...] = (
        "A disk that ignores F_FULLFSYNC (some network and USB disks do) may lose commits when power fails.",
    )
    _NO_FULL_SYNC = {errno.ENOTSUP, errno.EINVAL, errno.ENOTTY, errno.ENODEV}

    def sync(fd: int) -> None:
        """Make a file durable; ``fsync`` alone would leave it in the cache of the disk."""
        try:
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
        except OSError as error:
            if error.errno not in _NO_FULL_SYNC:
                raise
            os.fsync(fd)

    sync_data = sync

    def path_key(path: str) -> str:
        """Ignore case and normal form, as the file system of macOS does."""
        from orchestrator.core.system.paths import folded

        return folded(path)

    def file_system_kind(folder: str) -> str:
        """The type of the file system of a folder; empty if unknown."""
        device = os.stat(folder).st_dev
        for local in ("/", "/System/Volumes/Data"):  # importing psutil costs more than this
            with suppress(OSError):
                if os.stat(local).st_dev == device:
                    return "apfs"
        import psutil

        for partition in psutil.disk_partitions(all=True):
            with suppress(OSError):
                if os.stat(partition.mountpoint).st_dev == device:
                    return partition.fstype
        return ""

    def _has_ended(pid: int) -> bool:
        """Whether a child has ended; it is not reaped."""
        import psutil

        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            raise ChildProcessError(errno.ECHILD, os.strerror(errno.ECHILD)) from None

else:
    LIMITS: tuple[str, ...] = ()
    sync_data = os.fdatasync

    def sync(fd: int) -> None:
        """Make a file durable."""
        os.fsync(fd)

    def path_key(path: str) -> str:
        """The path itself: two spellings never name the same file."""
        return path

    def identity(pid: int | None = None) -> tuple[int, str]:
        """When a process (else this one) started, in ticks since the boot, and the boot's id."""
        return _status(pid or os.getpid())[1], _boot_id()

    def processes_with(variable: str, value: str) -> list[int]:
        """The processes that were started with this value of a variable, as far as this user may see."""
        wanted = f"{variable}={value}".encode()
        names = filter(str.isdecimal, os.listdir("/proc"))
        return [pid for pid in map(int, names) if wanted in _environment(pid)]

    from orchestrator.core.system.linux import InotifyAlarm

    FileAlarm = InotifyAlarm

    _is_adopting = False

    def adopt_orphans() -> None:
        """Become the parent of what the programs of this process leave behind."""
        from orchestrator.core.system.linux import adopt_orphans

        global _is_adopting  # noqa: PLW0603 -- it is a property of the process
        _is_adopting = adopt_orphans()

    def go_on_as_child() -> int:
        """Go on in a child of this process, which itself becomes the keeper; the pid of that, or 0."""
        from orchestrator.core.system.linux import go_on_as_child

        return go_on_as_child(_starting)

    def left_behind(variable: str, value: str) -> list[int]:
        """What is left of a program that has ended and was started with this value of a variable.

        What was started without the variable is left of a program too; it is listed once no program runs.
        """
        if not _is_adopting:
            return processes_with(variable, value)
        wanted, name = f"{variable}={value}".encode(), f"{variable}=".encode()
        pids = []
        with _starting:
            for pid in _orphans():
                variables = _environment(pid)
                is_marked = any(text.startswith(name) for text in variables)
                if wanted in variables or not (is_marked or _own):
                    pids.append(pid)
        return pids

    def _orphans() -> list[int]:
        """The children of this process that it has not started itself; those that have ended are reaped."""
        main = os.getpid()  # the system gives orphans to the main thread
        pids = []
        with open(f"/proc/self/task/{main}/children", "rb") as file:
            children = file.read().split()
        for pid in map(int, children):
            with suppress(ChildProcessError):
                if pid not in _own and os.waitpid(pid, os.WNOHANG) == (0, 0):
                    pids.append(pid)
        return pids

    def _environment(pid: int) -> list[bytes]:
        with suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
            return file.read().split(b"\0")
        return []

    def words(pid: int) -> list[str]:
        """The command line of a process; empty if it is not known."""
        with suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
            return [os.fsdecode(word) for word in file.read().split(b"\0")[:-1]]
        return []

    def parent(pid: int) -> tuple[int, str]:
        """The parent of a process, and the name of the process; 0 if it is gone."""
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                head, _, rest = file.read().rpartition(b")")
            return int(rest.split()[1]), head.partition(b"(")[2].decode(errors="replace")
        except (OSError, IndexError, ValueError):
            return 0, ""

    def condition(pid: int, started: int, boot: str, since: float) -> str:
        """``running``, ``stopped`` or ``gone``: a pid alone may be that of another process by now.

        Args:
            pid: The process that recorded its identity.
            started: When it started, by :func:`identity`.
            boot: The boot in which it ran, by :func:`identity`.
            since: Not used: the boot and the start time are enough.
        """
        state, began = _status(pid)
        if boot != _boot_id() or began != started or state == "Z":
            return "gone"
        return "stopped" if state in "Tt" else "running"

    def _status(pid: int) -> tuple[str, int]:
        """State and start time of a process."""
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
            return fields[0].decode(), int(fields[19])
        except (OSError, IndexError, ValueError):
            return "?", 0

    def _boot_id() -> str:
        try:
            with open("/proc/sys/kernel/random/boot_id", "rb") as file:
                return file.read().decode().strip()
        except OSError:
            return ""

    def file_system_kind(folder: str, table: str = "/proc/self/mountinfo") -> str:
        """The type of the file system of a folder; empty if unknown."""
        try:
            with open(table, "rb") as file:
                mounts = file.read()
        except OSError:
            return ""
        device = os.stat(folder).st_dev
        start = mounts.rfind(b" %d:%d " % (os.major(device), os.minor(device)))
        if start >= 0:
            return _type_of(mounts[start:].partition(b"\n")[0])
        return _type_by_path(os.path.realpath(folder), mounts)

    def _type_by_path(folder: str, mounts: bytes) -> str:
        """Use the path: some file systems (btrfs) give files another device number than the mount."""
        longest, kind = "", ""
        for line in mounts.splitlines():
            point = line.split(b" ", 5)[4].decode("utf-8", "surrogateescape")
            inside = folder == point or folder.startswith(point.rstrip("/") + "/")
            if inside and len(point) >= len(longest):
                longest, kind = point, _type_of(line)
        return kind

    def _type_of(line: bytes) -> str:
        return line.partition(b" - ")[2].partition(b" ")[0].decode("ascii", "replace")

    def _has_ended(pid: int) -> bool:
        """Whether a child has ended. It is not reaped, so its pid is not reused."""
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def ask_to_end(pid: int) -> None:
    """Send SIGTERM to a process, if it is there."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)


def kill_group(pid: int) -> None:
    """Kill a process and its group, if it is the leader of one."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


class PosixProgram:
    """A running program in a session and group of its own.

    Args:
        words: The program and its arguments.
        folder: Its working folder.
        variables: Its whole environment.
        keep: Called with each piece of its output.
        keep_errors: Called with what it writes to stderr; else this is a part of its output.
        stdin: An open file that is its stdin; else it has none.
    """

    def __init__(
        self,
        words: Sequence[str],
        folder: str,
        variables: Mapping[str, str],
        keep: Callable[[bytes], object],
        keep_errors: Callable[[bytes], object] | None = None,
        stdin: IO[bytes] | None = None,
    ) -> None:
        import subprocess

        self._ending = threading.Lock()
        self._is_reaped = False
        self._pipes: dict[int, Callable[[bytes], object]] = {}
        ends = [self._pipe(keep)]
        try:
            if keep_errors is not None:
                ends.append(self._pipe(keep_errors))
            with _starting:
                self._process = subprocess.Popen(  # noqa: S603 -- no shell; the caller checks the words
                    words,
                    cwd=folder,
                    env=variables,
                    stdin=stdin or subprocess.DEVNULL,
                    stdout=ends[0],
                    stderr=ends[-1],
                    start_new_session=True,
                )
                _own.add(self._process.pid)
        except BaseException:
            self._close()
            raise
        finally:
            for end in ends:
                os.close(end)
        self.pid = self._process.pid

    def terminate(self) -> None:
        """Ask it and its group to end; any thread may call this."""
        with self._ending:
            if not self._is_reaped:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.pid, signal.SIGTERM)

    def wait(self, deadline: float, look: Callable[[], object]) -> bool:
        """Read its output until it ends (True) or the monotonic clock passes ``deadline``.

        Call ``look`` repeatedly; an exception from it ends the wait.
        """
        import select

        readable = select.poll()
        for fd in self._pipes:
            readable.register(fd, select.POLLIN)
        pause = 1
        while not _has_ended(self.pid):
            look()
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            if ready := readable.poll(min(pause, left * 1000)):
                for fd, _ in ready:
                    if not self._read(fd):
                        readable.unregister(fd)
                pause = 1
            else:
                pause = min(pause * 2, _LONGEST_PAUSE)
        return True

    def end(self) -> int:
        """Kill it with its whole group, and return its exit status: negative for a signal.

        Read the rest of its pipes, but do not wait for a process that left the group and keeps them open.
        """
        try:
            # It is not reaped yet, so its pid cannot belong to another group.
            with self._ending:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.pid, signal.SIGKILL)
                status = self._process.wait()
                self._is_reaped = True
                _own.discard(self.pid)
            for fd in self._pipes:
                os.set_blocking(fd, False)
                rest = _REST
                with suppress(BlockingIOError):
                    while rest > 0 and (count := self._read(fd)):
                        rest -= count
        finally:
            self._close()
        return status

    def _pipe(self, keep: Callable[[bytes], object]) -> int:
        """Make a pipe, and return the end to write to."""
        pipe, end = os.pipe()
        self._pipes[pipe] = keep
        return end

    def _close(self) -> None:
        for fd in self._pipes:
            os.close(fd)

    def _read(self, fd: int) -> int:
        data = os.read(fd, _CHUNK)
        self._pipes[fd](data)
        return len(data)


Program = PosixProgram
