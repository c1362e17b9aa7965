"""Salvage: what can still be read of a damaged log, as a new file that ``import`` takes.

The log itself is never touched. A line is kept if it matches its checksum, started from that of a line before
it, and if the state allows its event; it is renumbered. Equal lines (both sides of a merge conflict) are kept
once. What was left out, a changed line among it, stands in a file beside it.
"""

import os
import zlib
from collections.abc import Iterator

import msgspec

from orchestrator.core import system
from orchestrator.core.errors import OrchestratorError
from orchestrator.core.events import Recorded
from orchestrator.domain.state import State
from orchestrator.maintenance.backup import export_line, header_line
from orchestrator.stores.files import disk

_REACH = 1000  # lines of one side of a merge conflict

_decode = msgspec.json.Decoder(Recorded).decode


def salvage(state_folder: str, now: str) -> str:
    """Write ``state/salvage/<time>.jsonl`` and, beside it, the lines that were left out.

    Returns:
        The path of the file to import into a new board.
    """
    folder = os.path.join(state_folder, "salvage")
    disk.make_folder(folder)
    path = os.path.join(folder, now.replace(":", "").replace(".", "") + ".jsonl")
    state, seen, chain = State(), set[bytes](), [0]
    with (
        open(path, "x", encoding="utf-8", newline="\n") as kept,
        open(f"{path}.left-out", "xb") as left_out,
    ):
        kept.write(header_line())
        for line in _lines(state_folder):
            at = _event(line, state, seen) if _is_sound(line, chain) else None
            if at is None:
                left_out.write(line + b"\n")
            else:
                kept.write(export_line(at))
        for file in (kept, left_out):
            file.flush()
            system.sync(file.fileno())
    return path


def _is_sound(line: bytes, chain: list[int]) -> bool:
    """Whether the line has its checksum; ``chain`` holds those of the lines before, newest last."""
    try:
        crc = int(line[-10:-2], 16)
    except ValueError:
        return False
    # Behind a line that was lost or put in, and in a merge conflict, it follows an earlier one.
    sound = any(zlib.crc32(line[:-18], before) == crc for before in chain[:-_REACH:-1])
    chain.append(crc)
    return sound


def _event(line: bytes, state: State, seen: set[bytes]) -> Recorded | None:
    """The event of a line, renumbered behind what was kept, if it can be kept."""
    try:
        at = _decode(line)
        # Each line stands for itself: the commit that it was part of may not be whole.
        at = msgspec.structs.replace(at, id=state.event + 1, more=False, req=None, crc="")
        facts = msgspec.json.encode([at.ts, at.agent, at.type, at.payload])
        if facts in seen:
            return None
        state.fold((at,))
    except (msgspec.MsgspecError, OrchestratorError, KeyError, ValueError):
        return None
    seen.add(facts)
    return at


def _lines(state_folder: str) -> Iterator[bytes]:
    names = [name for name in os.listdir(state_folder) if name.startswith("events-")]
    for name in [*sorted(names, key=_first_id), "events.jsonl"]:
        path = os.path.join(state_folder, name)
        try:
            file = open(path, "rb")  # noqa: SIM115  # closed below
        except FileNotFoundError:
            continue
        with file:
            yield from (line.strip(b"\r\n\xef\xbb\xbf") for line in file)


def _first_id(name: str) -> int:
    digits = name.removeprefix("events-").removesuffix(".jsonl")
    return int(digits) if digits.isdecimal() else 0
