"""Archived segments: their data are in another folder or compressed, and a reference is in their place.

A reference is one line of the log, with the id and the checksum of the segment's place in it. No event has
its type. So an older version of the program reports a log of a newer version, instead of a shorter log.
"""

import os
import stat
import threading
import zlib
from typing import Annotated, Any

import msgspec

from orchestrator.core import system
from orchestrator.core.errors import ArchiveMissing, Damage, UsageError
from orchestrator.core.events import Recorded
from orchestrator.stores.files import disk
from orchestrator.stores.files.lines import UNREADABLE, Position, decode_line, encode_line, has_crc
from orchestrator.stores.files.segment import FileStatus, Segment

TYPE = "board.archived"
LONGEST_REFERENCE = 1 << 13
"""The largest size of a reference in bytes."""

COMPRESSED = ".zst"
_FRAME = 1 << 18  # so many bytes are decompressed to read one line
_LEVEL = 9


class Reference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the data of an archived segment are, and what they are.

    Attributes:
        path: Their file; a name alone is that of a file in the folder of the log.
        last: The id of the last event.
        bytes: The size of the lines, not compressed.
        crc: The checksum of the last line.
        before: The checksum of the line before the segment; 0 if there is none.
        mover: Which folder the reference was written in, as :func:`mark_of` says; a copy of the board is
            another one.
    """

    path: Annotated[str, msgspec.Meta(pattern=r"^[^\0]*$")]
    last: int
    bytes: int
    crc: int
    before: int
    mover: int = 0


def mark_of(folder: str) -> int:
    """A number for a folder. A copy of the folder has another number; so has the folder after a move."""
    return zlib.crc32(os.fsencode(f"{os.path.realpath(folder)}\0{os.stat(folder).st_ino}"))


def reference_line(number: int, reference: Reference, ts: str) -> bytes:
    """The content of the file of a reference to the segment that begins with an event."""
    payload = msgspec.Raw(msgspec.json.encode(reference))
    return encode_line(Recorded(number, ts, "system", TYPE, payload), reference.before)[0]


def reference_of(segment: Segment) -> Reference | None:
    """The reference in the file of a sealed segment; None if it is the segment itself."""
    size = segment.size()
    if size > LONGEST_REFERENCE:
        return None
    data = segment.read(0, size)
    if data.find(b"\n") != len(data) - 1:
        return None
    line = data[:-1]
    try:
        record = decode_line(line)
        if record.type != TYPE or record.id != segment.number:
            return None
        reference = msgspec.json.decode(record.payload, type=Reference)
    except UNREADABLE:
        return None
    return reference if has_crc(line, reference.before) else None


class ArchivedSegment(Segment):
    """A segment whose data are in the file that its reference names; the first read opens this file.

    Args:
        place: The open file of the reference.
        reference: Its content.
    """

    __slots__ = ("_data", "_place", "reference")

    def __init__(self, place: Segment, reference: Reference) -> None:
        self.path = os.path.join(os.path.dirname(place.path), reference.path)
        self.number = place.number
        self.reference = reference
        self._place = place
        self._data: Segment | CompressedFile | None = None

    @property
    def identity(self) -> tuple[int, int]:
        return self._place.identity

    @property
    def end(self) -> Position:
        """The end of the last line, also if the data are not there. The offset of this line is not known."""
        known = self.reference
        return Position(id=known.last, segment=self.number, end=known.bytes, crc=known.crc)

    def size(self) -> int:
        return self.reference.bytes

    def status(self) -> FileStatus:
        """The present status of the reference: the data may be on a disk that is not there."""
        return self._place.status()

    def read(self, offset: int, length: int) -> bytes:
        if self._data is None:
            self._data = self._opened()
        return self._data.read(offset, length)

    def _opened(self) -> "Segment | CompressedFile":
        with disk.naming("open", self.path):
            data = open_data(self.path, self.number)
        if data is None:
            return self._moved()
        if (size := data.size()) != self.reference.bytes:
            raise Damage(
                f"{self.path} has {size} bytes of the log in place of {self.reference.bytes}",
                hint="Restore the file from a backup.",
                path=self.path,
            )
        return data

    def _moved(self) -> Segment:
        """The segment where it is now: another process may have moved it since the reference was read."""
        now = open_sealed(self._place.path, self.number)
        if now is None or now.identity == self.identity:
            raise self.unreachable()
        return now

    def unreachable(self) -> ArchiveMissing:
        """The error for data that are not there, most often on a disk that is not mounted."""
        return ArchiveMissing(
            f"{self.path} is missing: it has the events {self.number} to {self.reference.last} of the log",
            hint=f"Mount the disk of {os.path.dirname(self.path)}, or restore the file from a backup.",
            path=self.path,
            first=self.number,
            last=self.reference.last,
        )


def open_sealed(path: str, number: int) -> Segment | None:
    """A sealed segment by its path in the folder of the log, wherever its data are; None if there is none."""
    segment = Segment.open(path, number)
    reference = reference_of(segment) if segment is not None else None
    return ArchivedSegment(segment, reference) if segment and reference else segment


def open_data(path: str, number: int) -> "Segment | CompressedFile | None":
    """The data of a segment by their path; None if the file does not exist."""
    if not path.endswith(COMPRESSED):
        return Segment.open(path, number)
    try:
        return CompressedFile(path)
    except FileNotFoundError:
        return None


class CompressedFile:
    """A file in the seekable format of Zstandard: ``zstd -d`` reads it whole, this class reads any part."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._zstd = zstd()
        self._lock = threading.Lock()
        fd = system.open_file(path, os.O_RDONLY)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise self._damaged("it is not a regular file")
        file = os.fdopen(fd, "rb")
        try:
            self._file: Any = self._zstd.SeekableZstdFile(file, "r")
        except (self._zstd.SeekableFormatError, self._zstd.ZstdError, EOFError) as error:
            raise self._damaged(error) from None

    def size(self) -> int:
        """The size of the data, not compressed."""
        return int(self._file.seek_table_info[2])

    def read(self, offset: int, length: int) -> bytes:
        """Read bytes from an offset; fewer only at the end of the data."""
        try:
            with self._lock, disk.naming("read", self.path):
                self._file.seek(offset)
                data: bytes = self._file.read(length)
                return data
        except (self._zstd.ZstdError, EOFError) as error:
            raise self._damaged(error) from None

    def _damaged(self, error: object) -> Damage:
        return Damage(
            f"{self.path} cannot be decompressed: {error}",
            hint="Restore the file from a backup.",
            path=self.path,
        )


def compressing(file: Any) -> Any:
    """A file that compresses what is written to it, and writes the result to another file."""
    parameter = zstd().CParameter
    option = {parameter.compressionLevel: _LEVEL, parameter.checksumFlag: 1}
    return zstd().SeekableZstdFile(file, "w", level_or_option=option, max_frame_content_size=_FRAME)


def zstd() -> Any:
    """The library that reads and writes compressed segments.

    Raises:
        UsageError: It is not installed.
    """
    try:
        import pyzstd  # an extra
    except ImportError:
        raise UsageError(
            "Compressed segments of the log need the package pyzstd",
            code="extra_missing",
            hint="Install the extra: pip install 'agent-orchestrator[archive]'",
        ) from None
    return pyzstd
