"""Reading the files of the log: forward with the chain of checksums, backward, and by id."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice

from orchestrator.core.errors import NotFound
from orchestrator.core.events import Recorded
from orchestrator.core.store import Chunk
from orchestrator.stores.files import damage
from orchestrator.stores.files.archived import ArchivedSegment
from orchestrator.stores.files.lines import (
    LONGEST_LINE,
    UNREADABLE,
    ParsedLines,
    Position,
    crc_of,
    decode_line,
    has_crc,
    id_of,
    parse,
)
from orchestrator.stores.files.segment import Segment
from orchestrator.stores.files.segments import Segments

CHUNK = 1 << 20
"""How many bytes are read and verified at once."""

_BLOCK = 1 << 16
_CRC_TAIL = 19  # len(',"crc":"9a0b1c2d"}\\n')

Tail = Callable[[Segment, ParsedLines], ParsedLines | None]
"""Called where the log does not end with a closed commit; may return recovered events."""


def read_forward(segments: Segments, after: Position, tail: Tail) -> Iterator[Chunk]:
    """The verified whole commits after a line; see :meth:`orchestrator.core.store.Store.read`."""
    position = after if after.id else Position(segment=1)
    located = segments.find(position.segment)
    if located is None:
        if after.id:
            raise damage.behind(segments.path, after.id, None)
        if segments.numbers():
            raise segments.missing(1)
        return
    _verify(located[0], after, tail if located[1] else refuse)
    while True:
        segment, active = located
        for parsed in _read_segment(segment, position, tail if active else refuse):
            position = parsed.end
            yield Chunk(parsed.events, position)
        if active:
            return
        if position.end == 0:
            raise damage.no_event(segment)  # a sealed segment without a line
        position = Position(id=position.id, segment=position.id + 1, crc=position.crc)
        located = segments.needed(position.segment)


def _verify(segment: Segment, after: Position, tail: Tail) -> None:
    """Check that the last line that was read is still in its place."""
    if after.end == 0:
        return  # no line of this segment was read yet
    line, before = _line_at(segment, after)
    if _is_line(line, before, after):
        return
    if before and _is_line(line + b"\n", before, after):
        # An editor removed the final newline: treat the line like an interrupted write.
        end = Position(
            id=after.id - 1, segment=after.segment, end=after.offset, crc=crc_of(before[:-1])
        )
        problem = "the last line has lost its newline"
        tail(segment, ParsedLines([], end, problem, torn=True, offset=end.end))
        return
    raise damage.behind(segment.path, after.id, segment, after.offset)


def _line_at(segment: Segment, after: Position) -> tuple[bytes, bytes]:
    """The bytes of the line, and the end of the line before it with its checksum."""
    length = after.end - after.offset
    if after.offset < 0 or not 0 < length <= LONGEST_LINE + 1:
        return b"", b""
    before = min(after.offset, _CRC_TAIL)
    data = segment.read(after.offset - before, before + length)
    return data[before:], data[:before]


def _is_line(line: bytes, before: bytes, after: Position) -> bool:
    if id_of(line[:32]) != after.id or not line.endswith(b',"crc":"%08x"}\n' % after.crc):
        return False
    if len(line) != after.end - after.offset:
        return False
    if not before and after.id != 1:
        return True  # the line before is in another file
    try:
        return has_crc(line[:-1], crc_of(before[:-1]) if before else 0)
    except ValueError:
        return False


def refuse(segment: Segment, parsed: ParsedLines) -> None:
    """Raise the error for a tail that is not an interrupted write."""
    raise damage.in_line(segment, parsed)


def _read_segment(segment: Segment, position: Position, tail: Tail) -> Iterator[ParsedLines]:
    size = segment.size()
    want = CHUNK
    while position.end < size:
        data = segment.read(position.end, min(want, size - position.end))
        parsed = parse(data, position)
        last = len(data) < want
        if parsed.events:
            position, want = parsed.end, CHUNK
            yield parsed
        else:
            # The commit is longer than the data, or this is damage or a torn write, which is known only
            # after all data behind it has been read.
            want *= 2
        if last:
            saved = tail(segment, parsed) if parsed.problem else None
            if saved is not None and saved.events:
                yield saved
            return


def read_backward(segments: Segments, before: int | None) -> Iterator[Recorded]:
    """Events from the newest to the oldest; ids have no gap, but checksums are not compared.

    Raises:
        Damage: An event is missing, as when a segment is.
    """
    numbers = segments.numbers()
    latest = numbers[-1] if numbers else 0
    # Of the last segment, the event before the given one may not exist yet.
    expected = before - 1 if before is not None and before <= latest else None
    for number in reversed(numbers):
        if before is not None and number >= before:
            continue
        segment, whole = _closed(segments, number)
        end = _offset_of(segment, before, whole) if before is not None else whole
        before = None
        if end == whole and expected and (last := end_of(segments, number).id) < expected:
            _check_unlisted(segments, last + 1, numbers)
            yield from read_backward(segments, expected + 1)
            return
        for offset, line in _lines_backward(segment, end):
            record = _event(segment, offset, line)
            if expected not in (None, record.id):
                raise damage.other_id(segment, offset, record.id, expected)
            yield record
            expected = record.id - 1
        expected = number - 1
    if expected and expected > 0:
        _check_unlisted(segments, 1, numbers)
        yield from read_backward(segments, expected + 1)


def find_event(segments: Segments, number: int) -> Recorded:
    """One event by its id; see :meth:`orchestrator.core.store.Store.event`."""
    return find_events(segments, number, 1)[0]


def find_events(segments: Segments, number: int, most: int) -> list[Recorded]:
    """One event by its id, and those behind it in its segment, up to so many.

    Raises:
        NotFound: The log has no such event.
    """
    return [_event(*found) for found in islice(_lines_forward(segments, number), most)]


def find_line(segments: Segments, number: int) -> tuple[bytes, Position]:
    """The line of an event and its position; see :meth:`orchestrator.core.store.Store.line`."""
    segment, offset, line = next(_lines_forward(segments, number))
    try:
        crc = crc_of(line)
    except ValueError:
        raise damage.no_event(segment, offset) from None
    end = offset + len(line) + 1
    return line, Position(id=number, segment=segment.number, offset=offset, end=end, crc=crc)


def _lines_forward(segments: Segments, number: int) -> Iterator[tuple[Segment, int, bytes]]:
    """The lines from an event to the end of its segment, each with its segment and offset.

    Raises:
        NotFound: The log has no such event.
        Damage: The segment that contains it is missing.
    """
    numbers = segments.numbers()
    first_ids = [first for first in numbers if first <= number]
    segment, end = _closed(segments, first_ids[-1]) if first_ids else (None, 0)
    offset = _offset_of(segment, number, end) if segment else 0
    if segment is None or offset == end:
        if not 0 < number < (numbers[-1] if numbers else 0):
            raise NotFound(f"The log has no event {number}", event=number)
        first = end_of(segments, segment.number).id + 1 if segment else 1
        _check_unlisted(segments, first, numbers)
        yield from _lines_forward(segments, number)
        return
    while offset < end:
        line_end = _line_end(segment, offset, end)
        yield segment, offset, segment.read(offset, line_end - offset - 1)
        offset = line_end


def _check_unlisted(segments: Segments, number: int, listed: list[int]) -> None:
    """Check that a segment is there that a list of the folder lacked, so that another list has it.

    Raises:
        Damage: It is missing, or the list had it: then the files have the events of other ones.
    """
    if number in listed or segments.needed(number)[0].number != number:
        raise segments.missing(number)


def end_of(segments: Segments, number: int) -> Position:
    """The last line of a sealed segment; of an archived one also if its data are not there.

    Raises:
        Damage: The segment is missing, or its last line is no event.
    """
    segment, end = _closed(segments, number)
    if isinstance(segment, ArchivedSegment):
        return segment.end
    for offset, line in _lines_backward(segment, end):
        with suppress(ValueError):
            if last := id_of(line[:32]):
                return Position(id=last, segment=number, offset=offset, end=end, crc=crc_of(line))
        break
    raise damage.no_event(segment)


def check_complete(segments: Segments) -> None:
    """Check that no segment is missing.

    Raises:
        Damage: One is.
    """
    after = 1
    for number in segments.numbers():
        if number > after:
            segments.needed(after)
        after = end_of(segments, number).id + 1


def surplus(segments: Segments) -> list[int]:
    """The segments that are no part of the log, because the one before has their first event.

    Raises:
        Damage: The last line of a segment is no event.
    """
    found, after = [], 1
    for number in segments.numbers()[:-1]:
        if number < after:
            found.append(number)
        else:
            after = end_of(segments, number).id + 1
    return found


def is_continued(log: Segments, by: Segments) -> bool:
    """Whether another log begins with all events of this log."""
    for last in read_backward(log, None):
        try:
            return find_event(by, last.id) == last
        except NotFound:
            return False
    return True


def _closed(segments: Segments, number: int) -> tuple[Segment, int]:
    """A segment, and the end of its last closed commit."""
    segment, active = segments.needed(number)
    end = _closed_end(segment) if active else segment.size()
    if end == 0 and not active:
        raise damage.no_event(segment)
    return segment, end


def _closed_end(segment: Segment) -> int:
    for offset, line in _lines_backward(segment, segment.size()):
        try:
            if not decode_line(line).more:
                return offset + len(line) + 1
        except UNREADABLE:
            continue  # skip the torn tail after the last closed commit
    return 0


def _lines_backward(segment: Segment, end: int) -> Iterator[tuple[int, bytes]]:
    """Each line before ``end`` with its offset, newest first; data after the last newline is skipped."""
    position, block, data = end, _BLOCK, b""
    while position > 0:
        start = max(0, position - block)
        data = segment.read(start, position - start) + data
        position = start
        first, *lines = data.split(b"\n")
        if lines:
            end = position + len(data) - len(lines.pop())
            for line in reversed(lines):
                end -= len(line) + 1
                yield end, line
            data = first + b"\n"
        # With doubling, a line of many blocks is not copied for each block.
        block = block if lines else block * 2
    if data.endswith(b"\n"):
        yield 0, data[:-1]


def _offset_of(segment: Segment, number: int, end: int) -> int:
    """The offset of the first event with at least that id, by bisection; ``end`` if there is none."""
    low, high = 0, end
    while low < high:
        middle = (low + high) // 2
        start = _line_end(segment, middle - 1, end) if middle else 0
        if start >= end or _id_at(segment, start) >= number:
            high = middle
        else:
            low = start + 1
    return _line_end(segment, low - 1, end) if low else 0


def _id_at(segment: Segment, offset: int) -> int:
    line = segment.read(offset, 32)
    number = id_of(line)
    if not number:
        raise damage.no_event(segment, offset)
    return number


def _line_end(segment: Segment, offset: int, end: int) -> int:
    """The byte after the next newline at or after an offset; ``end`` if there is none."""
    block = 512
    while offset < end:
        data = segment.read(offset, min(block, end - offset))
        newline = data.find(b"\n")
        if newline >= 0:
            return offset + newline + 1
        offset, block = offset + max(len(data), 1), _BLOCK
    return end


def _event(segment: Segment, offset: int, line: bytes) -> Recorded:
    try:
        return decode_line(line)
    except UNREADABLE:
        raise damage.no_event(segment, offset) from None
