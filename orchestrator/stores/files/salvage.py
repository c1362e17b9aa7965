"""Copy the readable lines of a damaged log. The log itself is never changed.

A line is readable if it matches its checksum, started from that of an earlier line.
"""

import os
import re
from collections.abc import Callable, Iterator

from orchestrator.core import system
from orchestrator.core.errors import Damage
from orchestrator.core.events import Recorded
from orchestrator.stores.files import disk
from orchestrator.stores.files.archived import open_sealed
from orchestrator.stores.files.lines import UNREADABLE, crc_of, decode_line, has_crc
from orchestrator.stores.files.reading import CHUNK
from orchestrator.stores.files.segment import Segment

_SEALED = re.compile(r"events-(\d+)\.jsonl")
_REACH = 1000  # lines of one side of a merge conflict


def salvage(
    state_folder: str, header: str, line_of: Callable[[Recorded], str | None], now: str
) -> str:
    """Write ``state/salvage/<time>.jsonl``, and the lines that were left out to a second file.

    See :meth:`orchestrator.core.store.Upkeep.salvage`.
    """
    folder = os.path.join(state_folder, "salvage")
    disk.make_folder(folder)
    path = os.path.join(folder, now.replace(":", "").replace(".", "") + ".jsonl")
    checksums = [0]
    with (
        open(path, "x", encoding="utf-8", newline="\n") as kept,
        open(f"{path}.left-out", "xb") as left_out,
    ):
        kept.write(header)
        for line in _lines(state_folder):
            record = _record(line, checksums)
            text = line_of(record) if record is not None else None
            if text is None:
                left_out.write(line + b"\n")
            else:
                kept.write(text)
        for file in (kept, left_out):
            file.flush()
            system.sync(file.fileno())
    return path


def _record(line: bytes, checksums: list[int]) -> Recorded | None:
    """The record of a line that matches its checksum; ``checksums`` are those of the lines before."""
    try:
        crc = crc_of(line)
    except ValueError:
        return None
    # After a lost or inserted line, and in a merge conflict, the line follows an earlier line.
    sound = any(has_crc(line, before) for before in checksums[:-_REACH:-1])
    checksums.append(crc)
    try:
        return decode_line(line) if sound else None
    except UNREADABLE:
        return None


def _lines(state_folder: str) -> Iterator[bytes]:
    names = [name for name in os.listdir(state_folder) if _SEALED.fullmatch(name)]
    for name in [*sorted(names, key=_first_id), "events.jsonl"]:
        segment = open_sealed(os.path.join(state_folder, name), _first_id(name))
        if segment is not None:
            yield from (line.strip(b"\r\n\xef\xbb\xbf") for line in _lines_of(segment))


def _lines_of(segment: Segment) -> Iterator[bytes]:
    rest = b""
    for offset in range(0, segment.size(), CHUNK):
        try:
            *lines, rest = (rest + segment.read(offset, CHUNK)).split(b"\n")
        except Damage:
            continue  # of a compressed segment; the damaged part stays in its file
        yield from lines
    if rest:
        yield rest


def _first_id(name: str) -> int:
    found = _SEALED.fullmatch(name)
    return int(found[1]) if found else 0
