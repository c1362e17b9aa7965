r"""The lines of the log: encode records, and parse and verify lines.

A line is one JSON object in UTF-8, closed by one ``\\n``; its last field is ``crc``, the CRC32 of the line
without that field, started from the crc of the line before. So the checksum of a line covers all earlier
lines. Characters that move the cursor, hide text or reorder it are escaped; older lines are pure ASCII.
"""

import io
import struct
import zlib

import msgspec

from orchestrator.core.errors import BadInput
from orchestrator.core.events import Recorded
from orchestrator.core.store import LARGEST_RECORD, Cursor
from orchestrator.core.strict_json import visible_json

LONGEST_LINE = LARGEST_RECORD
"""The largest length of a line in bytes, without its newline."""

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""The errors of decoding a damaged line."""

_CRC_FIELD = 18  # len(',"crc":"9a0b1c2d"}')
_BEFORE_CRC = -_CRC_FIELD - 1
"""Where the field begins, as an index from the end of a line with its newline."""

_HEAD = b'{"id":'
_ZEROS = b"\0" * 8  # a block that was never written; another encoding has only single zeros


class Position(Cursor, frozen=True, gc=False, kw_only=True):
    """The line of an event in the files of the log.

    Attributes:
        segment: The id of the first event of its file.
        offset: The byte where the line begins.
        end: The byte after its newline.
        crc: Its checksum.
    """

    segment: int = 0
    offset: int = 0
    end: int = 0
    crc: int = 0


class ParsedLines(msgspec.Struct):
    """Whole commits, their end, and why reading stopped.

    Attributes:
        events: The events of the commits.
        end: The last line of the commits.
        problem: Why reading stopped; empty if the data ended with a whole commit.
        torn: The data after ``end`` may be an interrupted write: it contains no later line of the log.
        offset: The first byte of the line with the problem.
    """

    events: list[Recorded]
    end: Position
    problem: str = ""
    torn: bool = False
    offset: int = 0


decode_line = msgspec.json.Decoder(Recorded).decode
_decode_lines = msgspec.json.Decoder(Recorded).decode_lines


def encode_line(record: Recorded, previous_crc: int) -> tuple[bytes, int]:
    """Encode a record as a line with its newline; return the line and its crc.

    Raises:
        BadInput: The line would be over 16 MiB.
    """
    body = visible_json(msgspec.json.encode(record)[:-1])
    if len(body) + _CRC_FIELD > LONGEST_LINE:
        raise BadInput(
            f"An event of {len(body)} bytes is larger than the limit of {LONGEST_LINE} bytes"
        )
    crc = zlib.crc32(body, previous_crc)
    return b'%b,"crc":"%08x"}\n' % (body, crc), crc


def id_of(line: bytes) -> int:
    """The id at the beginning of a line; 0 if the line does not begin like an event."""
    digits, comma, _ = line[len(_HEAD) :].partition(b",")
    # Without the comma it may be the beginning of a longer number.
    return int(digits) if line.startswith(_HEAD) and comma and digits.isdigit() else 0


def crc_of(line: bytes) -> int:
    """The checksum at the end of a line without its newline.

    Raises:
        ValueError: The line has no checksum.
    """
    return int(line[-10:-2], 16)


def has_crc(line: bytes, previous_crc: int) -> bool:
    """Whether a line without its newline matches its checksum, given that of the line before."""
    crc = zlib.crc32(line[:-_CRC_FIELD], previous_crc)
    return line[-_CRC_FIELD:] == b',"crc":"%08x"}' % crc


def parse(data: bytes, start: Position) -> ParsedLines:
    """Parse and verify the lines after ``start`` in a segment, up to the last closed commit.

    Args:
        data: Bytes of the segment from ``start.end`` on.
        start: The line before the data, with the number of their segment.
    """
    return _parse_sound(data, start) or _parse_to_problem(data, start)


def _parse_sound(data: bytes, start: Position) -> ParsedLines | None:
    """The result if every whole line is valid, else None; it does few steps for each line, for speed."""
    lines, rest = _split(data)
    try:
        events = _decode_lines(data[: len(data) - len(rest)])
    except UNREADABLE:
        return None
    count = len(lines)
    if _chained_crc(lines, start.crc) is None:
        return None
    if [record.id for record in events] != list(range(start.id + 1, start.id + 1 + count)):
        return None
    end = _closed_end(data, events, start)
    if rest or end.id < start.id + count:
        return ParsedLines(
            events, end, "the last commit is not complete", torn=True, offset=end.end
        )
    return ParsedLines(events, end)


def last_chained(data: bytes, start: Position) -> Position | None:
    """The last whole line of data, or ``start`` if there is none; None if a line does not match its checksum.

    The events are not decoded: a line that has the right checksum is as it was written.
    """
    lines, rest = _split(data)
    crc = _chained_crc(lines, start.crc)
    if not lines or crc is None:
        return None if lines else start
    number, end = start.id + len(lines), start.end + len(data) - len(rest)
    if id_of(lines[-1][:32]) != number:
        return None
    offset = end - len(lines[-1])
    return Position(id=number, segment=start.segment, offset=offset, end=end, crc=crc)


def _split(data: bytes) -> tuple[list[bytes], bytes]:
    """The whole lines with their newlines, and the rest."""
    lines = io.BytesIO(data).readlines()  # three times faster than `split`, which checks each byte
    rest = lines.pop() if lines and not data.endswith(b"\n") else b""
    return lines, rest


def _chained_crc(lines: list[bytes], crc: int) -> int | None:
    """The checksum of the last line; None if one of them does not follow from the checksum before it."""
    crc32 = zlib.crc32
    crcs = [crc := crc32(line[:_BEFORE_CRC], crc) for line in lines]
    # One comparison of all checksums takes half the time of a comparison for each line.
    fields = struct.pack(f">{len(lines)}I", *crcs).hex("|", 4).replace("|", '"}\n,"crc":"')
    expected = f',"crc":"{fields}"}}\n'.encode() if lines else b""
    return crc if b"".join([line[_BEFORE_CRC:] for line in lines]) == expected else None


def _closed_end(data: bytes, events: list[Recorded], start: Position) -> Position:
    """The end of the last closed commit; later events are removed from the list."""
    after = data.rfind(b"\n") + 1
    while events and events[-1].more:
        events.pop()
        after = data.rfind(b"\n", 0, after - 1) + 1
    if not events:
        return start
    begin = data.rfind(b"\n", 0, after - 1) + 1
    return Position(
        id=events[-1].id,
        segment=start.segment,
        offset=start.end + begin,
        end=start.end + after,
        crc=crc_of(data[begin : after - 1]),
    )


def _parse_to_problem(data: bytes, start: Position) -> ParsedLines:
    """The whole commits before the first invalid line, and the problem of that line."""
    crc, number, offset = start.crc, start.id, start.end
    events: list[Recorded] = []
    lines = data.split(b"\n")
    problem = ""
    for line in lines:
        number += 1
        result = _verified(line, crc, number)
        if isinstance(result, str):
            problem = result
            break
        events.append(result)
        crc = crc_of(line)
        offset += len(line) + 1
    sound = data[: offset - start.end]
    end = _closed_end(sound, events, start)
    remainder = data[offset - start.end :]
    torn = _ZEROS in remainder and not _holds_event(remainder)
    return ParsedLines(events, end, f"line at byte {offset} {problem}", torn, offset)


def _verified(line: bytes, previous_crc: int, number: int) -> Recorded | str:
    """The record of a line, or the problem of the line."""
    if not has_crc(line, previous_crc):
        return "does not match its checksum"
    try:
        record = decode_line(line)
    except UNREADABLE as error:
        return f"is not an event: {error}"
    return record if record.id == number else f"has the id {record.id} instead of {number}"


def _holds_event(data: bytes) -> bool:
    """Whether any line of the data is an event, so that the data cannot be one torn write."""
    for line in data.split(b"\n"):
        if line.startswith(_HEAD) and b"\0" not in line:
            try:
                decode_line(line)
            except UNREADABLE:
                continue
            return True
    return False
