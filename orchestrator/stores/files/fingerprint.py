"""The fingerprint of a log: what its files were up to a position, to see later whether they changed.

A comparison reads the status of each file, and reads again only files whose status changed. Appending changes
the status of the active file, too. So that this costs no more as the file grows, it is read again only while
it is small, when it has grown by an eighth, and when it is sealed.
"""

import zlib

import msgspec

from orchestrator.stores.files import damage
from orchestrator.stores.files.lines import Position
from orchestrator.stores.files.reading import end_of, read_forward, refuse
from orchestrator.stores.files.segment import FileStatus, Segment
from orchestrator.stores.files.segments import Segments

SMALL = 1 << 20
"""Up to this size in bytes, the active file is read again whenever it has changed."""

_BLOCK = 1 << 22


class FilePrint(msgspec.Struct, array_like=True):
    """The beginning of one file of the log.

    Attributes:
        number: The id of its first event.
        end: How many of its bytes this is about.
        crc: The CRC32 of these bytes.
        read_at: Its size when these bytes were read as a whole.
        status: The status of the file at that time or later.
    """

    number: int
    end: int
    crc: int
    read_at: int
    status: FileStatus


def fingerprint(segments: Segments, end: Position, known: str) -> str:
    """See :meth:`orchestrator.core.store.Store.fingerprint`."""
    before = (
        {p.number: p for p in msgspec.json.decode(known, type=list[FilePrint])} if known else {}
    )
    prints = []
    for number in sorted({*segments.numbers(), *before}):
        if number > end.segment:
            break
        segment, is_active = segments.needed(number)
        length = end.end if number == end.segment else segment.size()
        prints.append(_compared(segments, segment, before.get(number), length, is_active))
    return msgspec.json.encode(prints).decode()


def _compared(
    segments: Segments, segment: Segment, known: FilePrint | None, end: int, is_active: bool
) -> FilePrint:
    status = segment.status()
    if known is None:
        return FilePrint(segment.number, end, _crc(segment, 0, end), end, status)
    if known.status == status and known.end == end:
        return known
    read_at = known.read_at
    if not (is_active and _has_only_grown(known, status)):
        if _crc(segment, 0, known.end) != known.crc:
            raise _difference(segments, segment, known)
        read_at = end
    return FilePrint(segment.number, end, _crc(segment, known.end, end, known.crc), read_at, status)


def _has_only_grown(known: FilePrint, status: FileStatus) -> bool:
    """Whether the change can be that of an append, and reading the file again would cost too much."""
    is_appended = status.file == known.status.file and status.size > known.status.size
    return is_appended and known.end > SMALL and status.size < known.read_at * 9 // 8


def _crc(segment: Segment, start: int, end: int, crc: int = 0) -> int:
    for offset in range(start, end, _BLOCK):
        crc = zlib.crc32(segment.read(offset, min(_BLOCK, end - offset)), crc)
    return crc


def _difference(segments: Segments, segment: Segment, known: FilePrint) -> Exception:
    """The error for a file that is not as it was: for its damaged line, or for another history."""
    earlier = [number for number in segments.numbers() if number < segment.number]
    crc = end_of(segments, earlier[-1]).crc if earlier else 0
    start = Position(id=segment.number - 1, segment=segment.number, crc=crc)
    number = start.id
    for chunk in read_forward(segments, start, refuse):
        assert isinstance(chunk.end, Position)
        number = chunk.end.id
        if chunk.end.segment > segment.number:
            break
    return damage.behind(segment.path, number, segment, known.end)
