"""The operations on files that a board needs; each happens completely or not at all.

:func:`naming` converts every error of the operating system to a named error.
"""

import errno
import itertools
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from orchestrator.core import system
from orchestrator.core.errors import InputOutputError, NoBoard, OrchestratorError, Refused

FOLDER = ".orchestrator"
"""The folder of a board that is searched here and above, as git searches ``.git``."""

FOLDERS = ("state", "knowledge")
"""The folders in every board."""

_NEVER_LINKS = (*FOLDERS, "state/cold", "state/checkpoints")
"""Also the folders whose files are removed when they are not needed: a link could lead to files of others."""

_numbers = itertools.count()


class Descriptor:
    """An open file that is closed when its last reference is gone.

    Threads share the log's descriptor: if it were closed while another thread reads, that thread could read
    from the next file that gets the same number.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        status = os.fstat(fd)
        self.identity = (status.st_dev, status.st_ino)

    @classmethod
    def of_file(cls, path: str, flags: int) -> "Descriptor":
        """Open a file."""
        return cls(system.open_file(path, flags))

    def is_still(self, path: str) -> bool:
        """Whether the path still names this file."""
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            return False
        return (status.st_dev, status.st_ino) == self.identity

    def __del__(self) -> None:
        os.close(self.fd)


class SharedFile:
    """A small file that processes write in place; it is opened on demand, and again after it was deleted."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.opened: Descriptor | None = None

    def open(self) -> Descriptor:
        """Return the current file; create it if it does not exist."""
        if self.opened is None or os.fstat(self.opened.fd).st_nlink == 0:
            self.opened = Descriptor.of_file(self._path, os.O_RDWR | os.O_CREAT)
        return self.opened


@contextmanager
def naming(doing: str, path: str) -> Iterator[None]:
    """Convert an error of the operating system in the block to a named error."""
    try:
        yield
    except OSError as error:
        raise failed(error, doing, path) from error


def failed(error: OSError, doing: str, path: str) -> OrchestratorError:
    """The named error for an error of the operating system."""
    if error.errno == errno.ELOOP:
        return is_link(path)
    why = os.strerror(error.errno) if error.errno else str(error)
    return InputOutputError(
        f"Could not {doing} {path}: {why}",
        hint="Nothing was changed. Remove the cause and repeat the command.",
        path=path,
        errno=errno.errorcode.get(error.errno or 0, ""),
    )


def is_link(path: str) -> Refused:
    """The error for a symbolic link in the place of a board's file."""
    return Refused(
        f"{path} is a symbolic link, and the files of a board are never links",
        code="symlink",
        hint="Put the file itself there.",
        path=path,
    )


def make_folder(path: str) -> None:
    """Create a folder of a board; only ``init`` creates the board itself.

    Raises:
        NoBoard: The board's folder does not exist.
        InputOutputError: It could not be created.
    """
    try:
        os.mkdir(path)
    except FileExistsError:
        if os.path.islink(path):
            raise is_link(path) from None
        return
    except FileNotFoundError:
        raise NoBoard(
            f"{os.path.dirname(path)} does not exist", hint="`orc init` makes a board."
        ) from None
    except OSError as error:
        raise failed(error, "create", path) from error


def names_in(path: str) -> list[str]:
    """The sorted names in a folder; none if it does not exist.

    Raises:
        InputOutputError: It could not be read: a failing disk must not look like an empty folder.
    """
    with naming("list", path):
        try:
            return sorted(os.listdir(path))
        except FileNotFoundError:
            return []


def write_all(fd: int, data: bytes) -> None:
    """Write all data: a single ``write`` may write less."""
    written = os.write(fd, data)
    while written < len(data):
        data = data[written:]
        written = os.write(fd, data)


def write_new(path: str, data: bytes, *, exclusive: bool = False) -> None:
    """Write and sync a file that no process reads yet; overwrite a leftover of the same name."""
    fd = system.open_file(path, os.O_WRONLY | os.O_CREAT | (os.O_EXCL if exclusive else os.O_TRUNC))
    try:
        write_all(fd, data)
        system.sync(fd)
    finally:
        os.close(fd)


def replace(path: str, data: bytes) -> None:
    """Replace a file atomically and durably; create its folder if it is missing.

    Raises:
        Refused: The path is a symbolic link.
        InputOutputError: It could not be written.
    """
    folder, name = os.path.split(path)
    new = f"{folder}/.{name}.{os.getpid()}-{next(_numbers)}.new"
    with naming("write", path):
        if os.path.islink(path):
            raise is_link(path)
        make_folder(folder)
        try:
            write_new(new, data)
            system.replace(new, path)
        except BaseException:
            remove(new)
            raise
        system.sync_folder(folder)


def remove(path: str) -> None:
    """Remove a temporary file if possible."""
    with suppress(OSError):
        os.unlink(path)


def read(path: str, *, most: int = sys.maxsize) -> bytes | None:
    """All bytes of a regular file, if it has no more than ``most``; None if it does not exist.

    Raises:
        Refused: The path is a symbolic link or no regular file, or is too long.
        InputOutputError: It could not be read.
    """
    with naming("read", path):
        try:
            fd = system.open_file(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        with open(fd, "rb", buffering=0) as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise Refused(f"{path} is not a regular file", code="not_a_file", path=path)
            if os.fstat(fd).st_size > most:
                raise Refused(f"{path} is longer than {most} bytes", code="too_long", path=path)
            return file.readall()


def refuse_links(folder: str) -> None:
    """Refuse a board with a symbolic link in the place of a folder."""
    for name in _NEVER_LINKS:
        path = os.path.join(folder, name)
        if os.path.islink(path):
            raise Refused(
                f"{path} is a symbolic link, and the folders of a board are never links",
                code="symlink",
                hint="Make the board in its real place, and name it with --board DIR.",
            )
