"""Append one event to the golden log: ``python tests/golden/append.py task.noted ann '{"task": ...}'``.

The lines that are there are never changed: they are what boards out there hold.
"""

import json
import sys
from pathlib import Path

import msgspec

from orchestrator.core.events import Cause, Recorded
from orchestrator.core.strict_json import encode_payload
from orchestrator.stores.files.lines import Position, encode_line, parse

GOLDEN = Path(__file__).with_name("events.jsonl")


def append(
    type_name: str, agent: str, payload: object, *, version: int = 1, cause: Cause | None = None
) -> None:
    parsed = parse(GOLDEN.read_bytes(), Position())
    if parsed.problem:
        raise SystemExit(parsed.problem)
    raw = msgspec.Raw(bytes(encode_payload(payload)))
    number, ts = parsed.end.id + 1, "2026-11-21T06:13:00.123Z"
    record = Recorded(number, ts, agent, type_name, raw, version, cause=cause)
    with GOLDEN.open("ab") as file:
        file.write(encode_line(record, parsed.end.crc)[0])


if __name__ == "__main__":
    append(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
