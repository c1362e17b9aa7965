"""Windows; see the package for what each name is for."""

import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from orchestrator.core.system.paths import folded
from orchestrator.core.system.processes import condition as condition
from orchestrator.core.system.processes import identity as identity

if TYPE_CHECKING:
    import psutil

assert not TYPE_CHECKING or sys.platform == "win32"

HAS_MODES = False
HAS_FLOCK = False
INTERRUPTS: tuple[signal.Signals, ...] = (signal.SIGINT, signal.SIGTERM)
if hasattr(signal, "SIGBREAK"):
    INTERRUPTS += (signal.SIGBREAK,)
VARIABLES = (
    *("APPDATA", "COMSPEC", "LOCALAPPDATA", "PATHEXT", "PROGRAMDATA", "SYSTEMDRIVE"),
    *("SYSTEMROOT", "TEMP", "TMP", "USERNAME", "USERPROFILE", "WINDIR"),
)
LIMITS: tuple[str, ...] = (
    "Names of files cannot be synced here: a file that was new when power failed may be missing.",
    "Only `.lock` keeps two writers apart, so it must not be deleted while a program runs.",
    "Processes that wait for the lock have no order, so turns are less even.",
    "The log stays one file: a file that readers have open cannot be renamed.",
    "A program that a check leaves behind may go on if it hides from the list of processes.",
)

_T = TypeVar("_T")
_CHUNK = 65536
_PATIENCE = 2.0  # seconds that another program may keep a file open
_REMOTE = 4  # DRIVE_REMOTE
_part = threading.Lock()


def _patiently(action: Callable[[], _T]) -> _T:
    """Do something that is denied while another program has the file open, at most for some seconds."""
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
    if os.path.isdir(path):  # it would be refused as denied
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    return _patiently(lambda: os.open(path, flags | os.O_BINARY, 0o666))


def open_folder(path: str) -> int:
    """Refused: folders cannot be opened here."""
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)


def read_part(fd: int, length: int, offset: int) -> bytes:
    """Read up to so many bytes from an offset; only the threads of this process share the position."""
    with _part:
        os.lseek(fd, offset, os.SEEK_SET)
        return os.read(fd, length)


def write_part(fd: int, data: bytes, offset: int) -> int:
    """Write bytes to an offset; gives how many were written."""
    with _part:
        os.lseek(fd, offset, os.SEEK_SET)
        return os.write(fd, data)


def replace(new: str, path: str) -> None:
    """Rename a file over another one in one step; wait for those who have that one open."""
    _patiently(lambda: os.replace(new, path))


def link(path: str, name: str) -> None:
    """Refused, so that the log stays one file: it could not be replaced while somebody has it open."""
    raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP), path)


def touch(path: str) -> None:
    """Set the time of a file to now, not that of a link."""
    if not os.path.islink(path):
        os.utime(path)


def try_lock(fd: int) -> bool:
    """Grant: only filelock's guard counts here, because a lock of Windows also keeps readers out."""
    return True


def lock(fd: int) -> None:
    """Grant; see :func:`try_lock`."""


def unlock(fd: int) -> None:
    """Do nothing; see :func:`try_lock`."""


def sync(fd: int) -> None:
    """Make a file durable."""
    os.fsync(fd)


sync_data = sync


def sync_folder(path: str) -> None:
    """Do nothing: Windows has no way to make names durable."""


def path_key(path: str) -> str:
    """Fold case, normal form and separators."""
    return folded(path.replace("\\", "/"))


def file_system_kind(folder: str) -> str:
    """``smbfs`` for a folder on another machine; empty for all others."""
    import ctypes

    path = os.path.realpath(folder)
    drive = os.path.splitdrive(path)[0]
    if drive.startswith("\\\\") and not drive.startswith(("\\\\?\\", "\\\\.\\")):
        return "smbfs"
    kind = ctypes.windll.kernel32.GetDriveTypeW(f"{drive}\\")
    return "smbfs" if kind == _REMOTE else ""


class WindowsProgram:
    """A running program in a group of its own, without stdin.

    Args:
        words: The program and its arguments.
        folder: Where it runs.
        variables: Its whole environment.
        keep: Called with each piece of what it prints.
    """

    def __init__(
        self,
        words: Sequence[str],
        folder: str,
        variables: Mapping[str, str],
        keep: Callable[[bytes], object],
    ) -> None:
        import subprocess

        self._keep = keep
        self._children: set[psutil.Process] = set()
        self._process = subprocess.Popen(  # noqa: S603 -- no shell; the caller checks the words
            words,
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            creationflags=subprocess.CREATE_NEW_PROCESS_GROUP,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait(self, deadline: float, look: Callable[[], object]) -> bool:
        """Wait until it ends (True) or the monotonic clock passes ``deadline``.

        Call ``look`` in between; what it raises ends the wait.
        """
        pause = 0.001
        while self._process.poll() is None:
            look()
            if time.monotonic() > deadline:
                return False
            self._look_for_children()
            time.sleep(pause)
            pause = min(pause * 2, 0.05)
        return True

    def end(self) -> int:
        """Kill it and the programs that it started, and give its exit status.

        What it printed is read; a process that holds the pipe open is waited for one second at most.
        """
        import psutil

        self._look_for_children()
        for child in self._children:
            with suppress(psutil.Error):
                child.kill()
        self._process.kill()
        status = self._process.wait()
        self._reader.join(1)
        return status

    def _look_for_children(self) -> None:
        import psutil

        with suppress(psutil.Error):
            self._children.update(psutil.Process(self._process.pid).children(recursive=True))

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as pipe:
            while data := os.read(pipe.fileno(), _CHUNK):
                self._keep(data)


Program = WindowsProgram
