"""A line of the log: how it is written, chained and read, and how changes are detected."""

import random
import zlib
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator import BadInput
from orchestrator.core.events import Recorded, RequestMark
from orchestrator.core.printable import escape
from orchestrator.core.strict_json import encode_payload
from orchestrator.stores.files.lines import LONGEST_LINE, Position, encode_line, parse

START = Position()
TS = "2026-11-21T06:13:00.123Z"
texts = st.text(st.characters(codec="utf-8"), max_size=20)


def record(number: int, *, more: bool = False, **payload: Any) -> Recorded:
    return Recorded(number, TS, "ann", "ci.note", encode_payload(payload), more=more)


def log_of(*sizes: int) -> bytes:
    """A log of commits with the given numbers of events."""
    lines, crc, number = [], 0, 0
    for size in sizes:
        for index in range(size):
            number += 1
            line, crc = encode_line(
                record(number, more=index < size - 1, text=f"caf\u00e9 {number}"), crc
            )
            lines.append(line)
    return b"".join(lines)


LOG = log_of(1, 3, 1, 2, 1)
BEFORE_COMMIT = [0, 1, 4, 5, 7, 8]
"""How many events may stand when the log is cut: whole commits only."""


def numbers(data: bytes) -> list[int]:
    return [entry.id for entry in parse(data, START).events]


# Writing


def test_a_line_is_as_the_design_shows_it():
    line, crc = encode_line(
        Recorded(17, TS, "agent-1", "task.claimed", msgspec.Raw(b'{"task":"299833bc"}')), 0
    )
    body = (
        b'{"id":17,"ts":"2026-11-21T06:13:00.123Z","agent":"agent-1","type":"task.claimed",'
        b'"payload":{"task":"299833bc"}'
    )
    assert crc == zlib.crc32(body)
    assert line == body + b',"crc":"%08x"}\n' % crc


def test_more_request_and_version_are_written_only_when_they_are_not_empty():
    line, _ = encode_line(record(1), 0)
    assert all(word not in line for word in (b"more", b"req", b'"v"'))
    full = msgspec.structs.replace(
        record(1), more=True, v=2, req=RequestMark("r", "tasks.add", "00", 1)
    )
    line, _ = encode_line(full, 0)
    assert all(word in line for word in (b'"more":true', b'"req":{', b'"v":2'))


@given(agent=texts, text=texts)
def test_a_line_is_visible_utf_8_and_has_a_single_newline_with_any_content(agent: str, text: str):
    entry = Recorded(1, TS, agent, "ci.note", encode_payload({"text": text}))
    line, _ = encode_line(entry, 0)
    shown = line.decode()[:-1]
    assert escape(shown) == shown
    assert line.count(b"\n") == 1
    parsed = parse(line, START)
    assert not parsed.problem
    assert parsed.events[0].agent == agent
    assert msgspec.json.decode(parsed.events[0].payload) == {"text": text}


def test_a_text_stands_in_the_log_as_it_was_written():
    line, _ = encode_line(record(1, text="caf\u00e9 \u4f60\u597d \N{GRINNING FACE} \u202e"), 0)
    assert '"caf\u00e9 \u4f60\u597d \N{GRINNING FACE} \\u202e"' in line.decode()


@pytest.mark.parametrize("separator", ["\u2028", "\u0085", "\x0b", "\x0c", "\x1c", "\r"])
def test_only_the_newline_ends_a_line(separator: str):
    data, crc = encode_line(record(1, text=f"a{separator}b"), 0)
    data += encode_line(record(2), crc)[0]
    assert numbers(data) == [1, 2]


def test_a_line_may_have_16_mib_and_not_one_byte_more():
    line, _ = encode_line(record(1, text=""), 0)
    room = LONGEST_LINE - len(line.rstrip(b"\n"))
    longest, _ = encode_line(record(1, text="x" * room), 0)
    assert len(longest) == LONGEST_LINE + 1
    with pytest.raises(BadInput):
        encode_line(record(1, text="x" * (room + 1)), 0)


# Reading


def test_reading_gives_every_event_and_the_position_of_the_last_line():
    parsed = parse(LOG, START)
    last = LOG.splitlines(keepends=True)[-1]
    assert [entry.id for entry in parsed.events] == list(range(1, 9))
    assert parsed.end == Position(
        id=8, offset=len(LOG) - len(last), end=len(LOG), crc=int(last[-11:-3], 16)
    )
    assert not parsed.problem


def test_reading_goes_on_from_any_position():
    positions = [START]
    for size in (1, 3, 1, 2, 1):
        rest = LOG[positions[-1].end :]
        length = sum(len(line) for line in rest.splitlines(keepends=True)[:size])
        parsed = parse(rest[:length], positions[-1])
        assert not parsed.problem
        positions.append(parsed.end)
    assert [position.id for position in positions] == BEFORE_COMMIT
    for position in positions:
        parsed = parse(LOG[position.end :], position)
        assert [entry.id for entry in parsed.events] == list(range(position.id + 1, 9))


@pytest.mark.parametrize("cut", range(len(LOG)))
def test_a_log_cut_anywhere_gives_whole_commits_and_calls_the_rest_torn(cut: int):
    parsed = parse(LOG[:cut], START)
    assert len(parsed.events) in BEFORE_COMMIT
    assert LOG[: parsed.end.end] == LOG[:cut][: parsed.end.end]
    whole = parsed.end.end == cut
    assert bool(parsed.problem) is not whole
    assert parsed.torn is not whole


# Damage


def test_every_changed_bit_is_found():
    """Except in the newline at the end, which makes a torn tail and no damage."""
    for index in range(len(LOG) - 1):
        for bit in range(8):
            changed = bytearray(LOG)
            changed[index] ^= 1 << bit
            parsed = parse(bytes(changed), START)
            assert parsed.problem, f"bit {bit} of byte {index}"
            assert numbers_are_whole_commits_before(parsed.end.id, index)


def numbers_are_whole_commits_before(last: int, index: int) -> bool:
    lines = LOG.splitlines(keepends=True)
    return last in BEFORE_COMMIT and sum(map(len, lines[:last])) <= index


@given(seed=st.integers(0, 2**32))
@settings(max_examples=300)
def test_a_random_mutation_never_yields_an_event_that_was_not_written(seed: int):
    dice = random.Random(seed)
    data = bytearray(LOG)
    for _ in range(dice.randrange(1, 4)):
        start = dice.randrange(len(data))
        end = min(len(data), start + dice.randrange(1, 200))
        kind = dice.randrange(5)
        if kind == 0:
            del data[start:end]
        elif kind == 1:
            data[start:start] = data[start:end]
        elif kind == 2:
            data[start:end] = dice.randbytes(end - start)
        elif kind == 3:
            data[start:end] = bytes(end - start)
        else:
            data[start:end] = data[start:end][::-1]
    written = parse(LOG, START).events
    mutated = parse(bytes(data), START)
    assert mutated.events == written[: len(mutated.events)]
    assert len(mutated.events) in BEFORE_COMMIT
    if bytes(data) != LOG and not LOG.startswith(bytes(data)):
        assert mutated.problem


@pytest.mark.parametrize("change", ["swap", "drop", "double", "first dropped"])
def test_a_line_that_is_swapped_missing_or_doubled_is_found(change: str):
    lines = log_of(1, 1, 1, 1).splitlines(keepends=True)
    if change == "swap":
        lines[1], lines[2] = lines[2], lines[1]
    elif change == "drop":
        del lines[1]
    elif change == "double":
        lines[1:1] = [lines[1]]
    else:
        del lines[0]
    parsed = parse(b"".join(lines), START)
    assert parsed.problem
    assert not parsed.torn
    assert len(parsed.events) < 4


@pytest.mark.parametrize(
    "tail", [b"\0" * 10, b"\0" * 5000, b'{"id":9,"ts":"20', b"\0" * 10 + b"\n"]
)
def test_zeros_and_halves_at_the_end_are_a_torn_write(tail: bytes):
    parsed = parse(LOG + tail, START)
    assert (len(parsed.events), parsed.end.end, parsed.torn) == (8, len(LOG), True)


@pytest.mark.parametrize("tail", [b"x\n", b"\n", b"<<<<<<< HEAD\n", b"{}\n", b"[]\n", b"null\n"])
def test_a_whole_line_that_is_not_an_event_is_damage_and_no_torn_write(tail: bytes):
    parsed = parse(LOG + tail, START)
    assert (len(parsed.events), parsed.offset, parsed.torn) == (8, len(LOG), False)


def test_zeros_before_whole_events_are_damage_and_no_torn_write():
    """A torn write is always the last: nothing after it was ever acknowledged."""
    lines = LOG.splitlines(keepends=True)
    data = b"".join([*lines[:4], b"\0" * len(lines[4]), *lines[5:]])
    parsed = parse(data, START)
    assert len(parsed.events) == 4
    assert parsed.problem
    assert not parsed.torn


def test_a_right_chain_with_a_gap_in_the_ids_is_found():
    first, crc = encode_line(record(1), 0)
    third, _ = encode_line(record(3), crc)
    parsed = parse(first + third, START)
    assert len(parsed.events) == 1
    assert "3 instead of 2" in parsed.problem
