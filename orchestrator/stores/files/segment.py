"""One file of the log: read it at any offset, append to it durably or not at all."""

import os

import msgspec

from orchestrator.core import system
from orchestrator.core.errors import Damage, OutcomeUnknown
from orchestrator.stores.files import disk
from orchestrator.stores.files.lines import id_of

SETTLED = 5 * 10**9
"""Nanoseconds after a change in which another one may get the same time, with a margin."""


class FileStatus(msgspec.Struct, frozen=True, array_like=True):
    """What the system knows about a file: its inode and size, and when its data and status changed."""

    file: int
    size: int
    modified: int
    changed: int

    def is_settled(self, now: int) -> bool:
        """Whether a later change will have another time than the last one."""
        return max(self.modified, self.changed) < now - SETTLED

    @classmethod
    def of(cls, status: os.stat_result) -> "FileStatus":
        """Select it from what the system reports."""
        return cls(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


class Segment:
    """One open file of the log."""

    __slots__ = ("_file", "_writer", "number", "path")

    def __init__(self, path: str, file: disk.Descriptor, number: int | None = None) -> None:
        self.path = path
        self._file = file
        self._writer: disk.Descriptor | None = None
        self.number = id_of(self.read(0, 32)) if number is None else number

    @classmethod
    def open(cls, path: str, number: int | None = None) -> "Segment | None":
        """Open a file of the log; None if it does not exist."""
        with disk.naming("open", path):
            try:
                return cls(path, disk.Descriptor.of_file(path, os.O_RDONLY), number)
            except FileNotFoundError:
                return None

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode: equal for two names of the same file."""
        return self._file.identity

    def size(self) -> int:
        """The current size in bytes."""
        with disk.naming("read", self.path):
            return os.fstat(self._file.fd).st_size

    def status(self) -> FileStatus:
        """The present status of the file."""
        with disk.naming("read", self.path):
            return FileStatus.of(os.fstat(self._file.fd))

    def read(self, offset: int, length: int) -> bytes:
        """Read bytes from an offset; fewer only at the end of the file."""
        with disk.naming("read", self.path):
            data = system.read_part(self._file.fd, length, offset)
            if len(data) == length:
                return data
            parts = [data]
            while data:
                offset, length = offset + len(data), length - len(data)
                data = system.read_part(self._file.fd, length, offset)
                parts.append(data)
            return b"".join(parts)

    def append(self, data: bytes, size: int) -> None:
        """Append data durably to a file of ``size`` bytes, or remove it again.

        Raises:
            InputOutputError: It could not be written and is not in the file.
            OutcomeUnknown: It could neither be written nor removed, or another process wrote too.
        """
        fd = self._for_writing()
        try:
            disk.write_all(fd, data)
            system.sync_data(fd)
        except BaseException as error:
            self._take_back(fd, size, error)
            if isinstance(error, OSError):
                raise disk.failed(error, "write", self.path) from error
            raise
        try:
            now = os.fstat(fd).st_size
        except OSError as error:
            raise unknown(self.path, str(error)) from error
        if now != size + len(data):
            # Truncating to the old size could remove data of another process.
            raise unknown(self.path, "its size does not match the data that was written")

    def truncate(self, size: int) -> None:
        """Truncate the file durably."""
        with disk.naming("truncate", self.path):
            fd = self._for_writing()
            os.ftruncate(fd, size)
            system.sync(fd)

    def sync(self) -> None:
        """Sync data of a process that may have died before it synced them."""
        with disk.naming("sync", self.path):
            # Not every system syncs a file that is open only for reading.
            system.sync_data(self._for_writing())

    def _take_back(self, fd: int, size: int, error: BaseException) -> None:
        try:
            os.ftruncate(fd, size)
            system.sync(fd)
        except OSError as second:
            raise unknown(self.path, f"{error}, and then: {second}") from error

    def _for_writing(self) -> int:
        if self._writer is None:
            with disk.naming("write", self.path):
                writer = disk.Descriptor.of_file(self.path, os.O_WRONLY | os.O_APPEND)
            if writer.identity != self.identity:
                raise changed(self.path)
            self._writer = writer
        return self._writer.fd


def changed(path: str) -> Damage:
    """The error for a log that changed while this process held the lock."""
    return Damage(
        f"{path} was changed by a program that does not hold the lock",
        code="log_changed",
        hint="Nothing was written. Find what writes there (an editor, git), then repeat the command.",
        path=path,
    )


def unknown(path: str, why: str) -> OutcomeUnknown:
    """The error for a commit that may or may not be in the log."""
    return OutcomeUnknown(
        f"It is not known whether the commit is in {path}: {why}",
        hint="Repeat the command with the same request id: it has one effect.",
        path=path,
    )
