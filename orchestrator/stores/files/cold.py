"""The cold files of a board, in ``state/cold/``."""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from orchestrator.core import system
from orchestrator.core.cold_map import ColdDamage
from orchestrator.core.errors import InputOutputError, Refused
from orchestrator.core.store import FilePart, OpenFiles
from orchestrator.stores.files import disk


class OpenFile:
    """An open file of a board; implements the StoredFile port."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = disk.Descriptor.of_file(path, os.O_RDONLY)
        status = os.fstat(self._file.fd)
        if not stat.S_ISREG(status.st_mode):
            raise Refused(f"{path} is not a regular file", code="not_a_file", path=path)
        self.size = status.st_size

    def read(self, offset: int, length: int) -> bytes:
        with disk.naming("read", self._path):
            return system.read_part(self._file.fd, length, offset)


def open_file(path: str) -> OpenFile | None:
    """Open a file; None if it does not exist."""
    with disk.naming("read", path):
        try:
            return OpenFile(path)
        except FileNotFoundError:
            return None


@contextmanager
def _as_damage() -> Iterator[None]:
    """Convert the error of a file that cannot be read: the log has everything that is in it."""
    try:
        yield
    except (InputOutputError, Refused) as error:
        raise ColdDamage(error.message) from error


class OpenColdFiles:
    """Open cold files; implements the OpenFiles port."""

    def __init__(self, files: dict[str, OpenFile]) -> None:
        self._files = files
        self.sizes = {name: file.size for name, file in files.items()}

    def read(self, parts: Sequence[FilePart]) -> list[bytes]:
        with _as_damage():
            return [self._files[name].read(offset, length) for name, offset, length in parts]


class FolderOfColdFiles:
    """The folder; implements the ColdFiles port."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def where(self, name: str) -> str:
        return os.path.join(self._folder, name)

    def names(self) -> list[str]:
        return [name for name in disk.names_in(self._folder) if name.endswith(".jsonl")]

    def open(self, names: Iterable[str]) -> OpenFiles:
        with _as_damage():
            opened = [(name, open_file(self.where(name))) for name in names]
        return OpenColdFiles({name: file for name, file in opened if file is not None})

    def write(self, name: str, data: bytes) -> None:
        path = self.where(name)
        if os.path.islink(path):  # in place of a file that is now made again
            disk.remove(path)
        disk.replace(path, data)

    def remove(self, name: str) -> None:
        disk.remove(self.where(name))
