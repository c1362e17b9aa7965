"""``orc copy``: move a board between stores, such as from files to a database and back.

The lines of the log stay the same, with their ids, times and checksums. A copy that was interrupted goes on
where it stopped: what is there already is the beginning of the same log.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from orchestrator import snapshot
from orchestrator.core.errors import Damage, Refused, UsageError
from orchestrator.core.events import Recorded
from orchestrator.core.progress import ShowProgress, no_progress
from orchestrator.core.store import START, Documents, Store
from orchestrator.domain.state import State

if TYPE_CHECKING:
    from orchestrator.engine import Engine

_FOLDERS = ("knowledge", "formulas", "queries")
_PATIENCE = 60.0
"""Seconds to wait for the right to write of each board."""


class Copied(msgspec.Struct, frozen=True):
    """How many events and documents a copy wrote, without those that were there already."""

    events: int
    documents: int


def copy_board(source: "Engine", target: "Engine", progress: ShowProgress = no_progress) -> Copied:
    """Copy the log and the documents of a board to an empty one, and compare the states of both.

    Both boards are locked meanwhile, so that no change is left behind.

    Args:
        source: The board.
        target: The board that becomes equal to it.
        progress: Shows how many events are copied.

    Raises:
        Refused: The target has other events.
        UsageError: Both are the same board.
        Damage: The source is damaged, or the states differ afterwards.
    """
    old, new = source.store, target.store
    if old.documents.where("") == new.documents.where(""):
        raise UsageError("A board cannot be copied to itself")
    last = source.read().event
    with old.locked("copy", _PATIENCE), new.locked("copy", _PATIENCE):
        state, events = State(), 0
        copied = _CopiedEvents(new)
        for chunk in progress(old.read(START), "Copying events", last):
            state.fold(chunk.events)
            if fresh := copied.without(chunk.events):
                copied.end = new.append(fresh, copied.end)
                events += len(fresh)
        copied.check_all_found()
        documents = _copy_documents(old.documents, new.documents)
        written = State()
        for chunk in progress(new.read(START), "Comparing events", last):
            written.fold(chunk.events)
    if snapshot.encode(written, START) != snapshot.encode(state, START):
        raise Damage("The copy has another state than the board", code="copy_differs")
    return Copied(events, documents)


class _CopiedEvents:
    """The events that the target has already, in their order."""

    def __init__(self, store: Store) -> None:
        self.end = START
        for chunk in store.read(START):
            self.end = chunk.end
        self._events = (record for chunk in store.read(START) for record in chunk.events)

    def without(self, records: list[Recorded]) -> list[Recorded]:
        """The records that are not there yet.

        Raises:
            Refused: Another event is there in place of one of them.
        """
        if any(known != record for record, known in zip(records, self._events, strict=False)):
            raise _other_board()
        return [record for record in records if record.id > self.end.id]

    def check_all_found(self) -> None:
        """Check that the target has no further events.

        Raises:
            Refused: It has.
        """
        if next(self._events, None) is not None:
            raise _other_board()


def _other_board() -> Refused:
    return Refused(
        "The target has events that the board does not have",
        code="not_empty",
        hint="Copy to a new board, or merge them: `board merge`.",
    )


def _copy_documents(old: Documents, new: Documents) -> int:
    paths = ["config.toml", *(path for folder in _FOLDERS for path in _below(old, folder))]
    count = 0
    for path in paths:
        data = old.read(path)
        if data is not None and new.read(path) != data:
            new.write(path, data)
            count += 1
    return count


def _below(documents: Documents, folder: str) -> Iterator[str]:
    yield from (f"{folder}/{name}" for name in documents.names(folder))
    for name in documents.folders(folder):
        yield from _below(documents, f"{folder}/{name}")
