"""Remove the torn tail of an interrupted write, so that the log ends with a whole commit again.

This happens only under the lock, and only after the last closed commit; no data is deleted.
"""

import os
import time
from collections.abc import Callable

from orchestrator.core import clock, system
from orchestrator.stores.files import disk
from orchestrator.stores.files.lines import ParsedLines, parse
from orchestrator.stores.files.segment import Segment


def repair(
    segment: Segment, parsed: ParsedLines, quarantine: str, warn: Callable[[str], None]
) -> ParsedLines | None:
    """Close the last commit if only its final newline is missing, else set the torn tail aside.

    Args:
        segment: The active file of the log.
        parsed: The parsed lines; the log is valid up to their end.
        quarantine: The folder where the tail is kept.
        warn: Receives a sentence about the repair.

    Returns:
        The commit that was closed, if there was one.

    Raises:
        InputOutputError: Nothing was changed, or the tail is in both places.
    """
    end = parsed.end.end
    rest = segment.read(end, segment.size() - end)
    whole = parse(rest + b"\n", parsed.end)
    if not whole.problem:
        segment.append(b"\n", end + len(rest))
        warn(f"{segment.path} had lost its final newline; it was restored.")
        return whole
    kept = _set_aside(rest, end, quarantine)
    segment.truncate(end)
    warn(
        f"{segment.path} ended with an interrupted write of {len(rest)} bytes after event"
        f" {parsed.end.id}; they were set aside in {kept}."
    )
    return None


def _set_aside(rest: bytes, offset: int, quarantine: str) -> str:
    now = clock.timestamp(time.time()).replace(":", "").replace("-", "")
    attempt = 0
    with disk.naming("write", quarantine):
        disk.make_folder(quarantine)
        while True:
            path = f"{quarantine}/{now}-{offset}{f'-{attempt}' if attempt else ''}.torn"
            try:
                disk.write_new(path, rest, exclusive=True)
            except FileExistsError:
                attempt += 1
                continue
            system.sync_folder(quarantine)
            system.sync_folder(os.path.dirname(quarantine))
            return path
