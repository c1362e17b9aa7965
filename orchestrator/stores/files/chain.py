"""Check the chain of checksums of a log without decoding its events, which takes much longer."""

from collections.abc import Iterator

from orchestrator.stores.files import damage
from orchestrator.stores.files.lines import Position, last_chained, parse
from orchestrator.stores.files.reading import CHUNK
from orchestrator.stores.files.segment import Segment
from orchestrator.stores.files.segments import Segments


def check_chain(segments: Segments, end: Position) -> Iterator[Position]:
    """Check every line up to a position, from the first one on.

    Yields:
        The position after each part that was checked.

    Raises:
        Damage: A line is missing or changed, or the log has another line at ``end``.
    """
    position = Position(segment=1)
    while True:
        located = segments.find(position.segment)
        if located is None:
            raise segments.missing(position.segment)
        segment = located[0]
        is_last = segment.number == end.segment
        for checked in _checked(segment, position, end.end if is_last else segment.size()):
            position = checked
            yield checked
        if is_last:
            break
        position = Position(id=position.id, segment=position.id + 1, crc=position.crc)
    if (position.id, position.crc) != (end.id, end.crc):
        raise damage.behind(segment.path, end.id, segment, end.offset)


def _checked(segment: Segment, position: Position, size: int) -> Iterator[Position]:
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
