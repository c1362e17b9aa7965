"""Check the chain of checksums of a log without decoding its events, which takes much longer."""

from collections.abc import Iterator, Mapping

from orchestrator.core.errors import ArchiveMissing
from orchestrator.core.store import Problem
from orchestrator.stores.files import damage
from orchestrator.stores.files.archived import ArchivedSegment
from orchestrator.stores.files.lines import Position, last_chained, parse
from orchestrator.stores.files.reading import CHUNK
from orchestrator.stores.files.segment import Segment
from orchestrator.stores.files.segments import Segments


def check_chain(
    segments: Segments, end: Position, known: Mapping[int, Position]
) -> Iterator[Problem | None]:
    """Check every line up to a position, from the first one on.

    Args:
        segments: The log.
        end: The position.
        known: The last lines of segments that need not be read, by the number of the segment.

    Yields:
        None for each part that was checked; a problem for an archived segment that is not there.

    Raises:
        Damage: A line is missing or changed, or the log has another line at ``end``.
    """
    position = Position(segment=1)
    while True:
        if position.segment in known:
            position = known[position.segment]
            position = Position(id=position.id, segment=position.id + 1, crc=position.crc)
            continue
        segment, _ = segments.needed(position.segment)
        is_last = segment.number == end.segment
        try:
            for checked in check_segment(segment, position, end.end if is_last else segment.size()):
                position = checked
                yield None
        except ArchiveMissing as error:
            if not isinstance(segment, ArchivedSegment):
                raise
            position = segment.end
            yield Problem(check="archive", message=error.message, hint=error.hint)
        if is_last:
            break
        position = Position(id=position.id, segment=position.id + 1, crc=position.crc)
    if (position.id, position.crc) != (end.id, end.crc):
        raise damage.behind(segment.path, end.id, segment, end.offset)


def check_segment(segment: Segment, position: Position, size: int) -> Iterator[Position]:
    """Check the lines of a segment after a position, up to a size; see :func:`check_chain`."""
    want = CHUNK
    while position.end < size or position.end == 0:
        data = segment.read(position.end, min(want, size - position.end))
        last = last_chained(data, position)
        if last is not None and last.end > position.end:
            position, want = last, CHUNK
            yield position
        elif last is None or len(data) < want:
            raise damage.in_line(segment, parse(data, position))
        else:
            want *= 2  # the line is longer than the data
