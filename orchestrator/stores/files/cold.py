"""The cold files of a board, in ``state/cold/``."""

import os

from orchestrator.core import system
from orchestrator.core.store import ColdFile
from orchestrator.stores.files import disk


class OpenColdFile:
    """An open file; implements the ColdFile port."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = disk.Descriptor.of_file(path, os.O_RDONLY)
        self.size = os.fstat(self._file.fd).st_size

    def read(self, offset: int, length: int) -> bytes:
        with disk.naming("read", self._path):
            return system.read_part(self._file.fd, length, offset)


class FolderOfColdFiles:
    """The folder; implements the ColdFiles port."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def where(self, name: str) -> str:
        return os.path.join(self._folder, name)

    def names(self) -> list[str]:
        return [name for name in disk.names_in(self._folder) if name.endswith(".jsonl")]

    def open(self, name: str) -> ColdFile | None:
        with disk.naming("read", self.where(name)):
            try:
                return OpenColdFile(self.where(name))
            except FileNotFoundError:
                return None

    def write(self, name: str, data: bytes) -> None:
        disk.replace(self.where(name), data)

    def remove(self, name: str) -> None:
        disk.remove(self.where(name))
