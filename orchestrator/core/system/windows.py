"""Windows; the package describes each name."""

import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import IO, TYPE_CHECKING, NoReturn, TypeVar

from orchestrator.core.system.paths import folded
from orchestrator.core.system.polling import PollingAlarm
from orchestrator.core.system.processes import *  # noqa: F403

if TYPE_CHECKING:
    import psutil

assert not TYPE_CHECKING or sys.platform == "win32"

HAS_MODES = False
DESKTOP = "windows"
DESKTOP_NEEDS = "it needs pywin32 (pip install pywin32)"
HAS_FLOCK = False
INTERRUPTS: tuple[signal.Signals, ...] = (signal.SIGINT, signal.SIGTERM)
if hasattr(signal, "SIGBREAK"):
    INTERRUPTS += (signal.SIGBREAK,)
VARIABLES = (
    *("APPDATA", "COMSPEC", "LOCALAPPDATA", "PATHEXT", "PROGRAMDATA", "SYSTEMDRIVE"),
    *("SYSTEMROOT", "TEMP", "TMP", "USERNAME", "USERPROFILE", "WINDIR"),
)
LIMITS: tuple[str, ...] = (
    "Folders cannot be synced here: a file that was new at a power failure may be missing.",
    "Only `.lock` separates two writers, so it must not be deleted while a program runs.",
    "Processes that wait for the lock have no order, so turns are less even.",
    "The log stays a single file: a file that readers have open cannot be renamed.",
    "A process that a check leaves behind may continue if it hides from the list of processes.",
)

FileAlarm = PollingAlarm
_T = TypeVar("_T")
_CHUNK = 65536
_PATIENCE = 2.0  # seconds that another program may keep a file open
_REMOTE = 4  # DRIVE_REMOTE
_part = threading.Lock()


def _patiently(action: Callable[[], _T]) -> _T:
    """Retry an action that is denied while another program has the file open, for a few seconds."""
    deadline, pause = time.monotonic() + _PATIENCE, 0.001
    while True:
        try:
            return action()
        except PermissionError:
            if time.monotonic() > deadline:
                raise
        time.sleep(pause)
        pause = min(pause * 2, 0.05)


def open_file(path: str, flags: int, *, follow: bool = False) -> int:
    """Open a file in binary mode; a link is refused unless ``follow``."""
    if not follow and os.path.islink(path):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
    if os.path.isdir(path):  # the system would report it as denied
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    return _patiently(lambda: os.open(path, flags | os.O_BINARY, 0o666))


OPEN_ALREADY: tuple[str, ...] = ()
"""Nothing that is open has a path."""


def interrupt(number: int) -> None:
    """Raise a signal in this process; ``os.kill`` would end the process at once."""
    signal.raise_signal(number)


def become(words: Sequence[str]) -> NoReturn:
    """Run another program, without a shell, and end with its status: no process becomes another one here."""
    import subprocess  # only a process that becomes a program needs it

    sys.exit(subprocess.call([*words]))  # noqa: S603


def file_watches() -> int | None:
    """None: the system has no limit."""
    return None


def wait_for_input(fd: int) -> None:
    """Let reading from a pipe that :func:`open_file` opened wait for what comes."""


def takes_at_once(_fd: int, _size: int) -> bool:
    """Return False: pipes cannot be asked here."""
    return False


def open_folder(path: str) -> int:
    """Raise an error: folders cannot be opened here."""
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)


def read_part(fd: int, length: int, offset: int) -> bytes:
    """Read up to so many bytes from an offset. Threads share the position, so the lock is needed."""
    with _part:
        os.lseek(fd, offset, os.SEEK_SET)
        return os.read(fd, length)


def forget_cached(fd: int) -> None:
    """Do nothing: the system has no such call."""


def write_part(fd: int, data: bytes, offset: int) -> int:
    """Write bytes to an offset, and return how many were written."""
    with _part:
        os.lseek(fd, offset, os.SEEK_SET)
        return os.write(fd, data)


def replace(new: str, path: str) -> None:
    """Replace a file by another atomically; wait while a program has it open."""
    _patiently(lambda: os.replace(new, path))


def link(path: str, name: str) -> None:
    """Raise an error, so that the log stays a single file: it cannot be replaced while it is open."""
    raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP), path)


def touch(path: str) -> None:
    """Set the time of a file to now; skip a link."""
    if not os.path.islink(path):
        os.utime(path)


def try_lock(fd: int) -> bool:
    """Succeed: only filelock's lock counts here, because a lock of Windows also blocks readers."""
    return True


def lock(fd: int) -> None:
    """Do nothing; see :func:`try_lock`."""


def unlock(fd: int) -> None:
    """Do nothing; see :func:`try_lock`."""


def sync(fd: int) -> None:
    """Make a file durable."""
    os.fsync(fd)


sync_data = sync


def shell_line(words: Sequence[str]) -> str:
    """Words as a line of the shell, whatever is in them."""
    import subprocess

    return subprocess.list2cmdline(words)


def after_fork(_action: Callable[[], object]) -> None:
    """Do nothing: no process is forked here."""


def session_bus() -> str:
    """There is none."""
    return ""


def user_data_folder() -> str:
    """The folder for what programs keep for this user."""
    return os.environ.get("LOCALAPPDATA") or os.path.expanduser("~\\AppData\\Local")


def sync_folder(path: str) -> None:
    """Do nothing: Windows cannot sync folders."""


def path_key(path: str) -> str:
    """Ignore case, normal form and kinds of separators."""
    return folded(path.replace("\\", "/"))


def file_system_kind(folder: str) -> str:
    """``smbfs`` for a folder on another machine, else empty."""
    import ctypes

    path = os.path.realpath(folder)
    drive = os.path.splitdrive(path)[0]
    if drive.startswith("\\\\") and not drive.startswith(("\\\\?\\", "\\\\.\\")):
        return "smbfs"
    kind = ctypes.windll.kernel32.GetDriveTypeW(f"{drive}\\")
    return "smbfs" if kind == _REMOTE else ""


def ask_to_end(pid: int) -> None:
    """Send Ctrl-Break to a process, if it is there."""
    with suppress(OSError):
        os.kill(pid, signal.CTRL_BREAK_EVENT)


def kill_group(pid: int) -> None:
    """Kill a process and those that it started."""
    import psutil

    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for child in (*process.children(recursive=True), process):
            with suppress(psutil.Error):
                child.kill()


class WindowsProgram:
    """A running program in a group of its own.

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

        self._children: set[psutil.Process] = set()
        self._process = subprocess.Popen(  # noqa: S603 -- no shell; the caller checks the words
            words,
            cwd=folder,
            env=variables,
            stdin=stdin or subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if keep_errors is None else subprocess.PIPE,
            creationflags=subprocess.CREATE_NEW_PROCESS_GROUP,
        )
        pipes = ((self._process.stdout, keep), (self._process.stderr, keep_errors))
        self._readers = [
            threading.Thread(target=_read, args=(pipe, kept), daemon=True)
            for pipe, kept in pipes
            if pipe is not None and kept is not None
        ]
        for reader in self._readers:
            reader.start()
        self.pid = self._process.pid

    def terminate(self) -> None:
        """Ask it and its group to end; any thread may call this."""
        with suppress(OSError, ValueError):
            self._process.send_signal(signal.CTRL_BREAK_EVENT)

    def wait(self, deadline: float, look: Callable[[], object]) -> bool:
        """Wait until it ends (True) or the monotonic clock passes ``deadline``.

        Call ``look`` repeatedly; an exception from it ends the wait.
        """
        pause = 0.001
        while self._process.poll() is None:
            look()
            if time.monotonic() > deadline:
                return False
            self._collect_children()
            time.sleep(pause)
            pause = min(pause * 2, 0.05)
        return True

    def end(self) -> int:
        """Kill it and the processes that it started, and return its exit status.

        Read the rest of its output; wait at most one second for a process that keeps the pipe open.
        """
        import psutil

        self._collect_children()
        for child in self._children:
            with suppress(psutil.Error):
                child.kill()
        self._process.kill()
        status = self._process.wait()
        for reader in self._readers:
            reader.join(1)
        return status

    def _collect_children(self) -> None:
        import psutil

        with suppress(psutil.Error):
            self._children.update(psutil.Process(self._process.pid).children(recursive=True))


def _read(pipe: IO[bytes], keep: Callable[[bytes], object]) -> None:
    with pipe:
        while data := os.read(pipe.fileno(), _CHUNK):
            keep(data)


Program = WindowsProgram
