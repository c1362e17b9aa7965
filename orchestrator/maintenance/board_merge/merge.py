"""Merge another board into this one, in one commit; a second merge of the same board changes nothing."""

import os
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import msgspec

from orchestrator.core import clock, names
from orchestrator.core.errors import BadName, NotFound, UsageError
from orchestrator.core.events import Event, Recorded, is_reserved
from orchestrator.core.progress import ShowProgress, no_progress
from orchestrator.core.transaction import Committed, Transaction
from orchestrator.domain.board.events import BoardMerged, BoardUpgraded, MergeConflict
from orchestrator.domain.decisions.events import DecisionAdded, DecisionEdited, DecisionSuperseded
from orchestrator.domain.event_log import check_type
from orchestrator.domain.knowledge.events import KnowledgeDeleted, KnowledgeEdited, KnowledgeWritten
from orchestrator.domain.state import State
from orchestrator.engine import Engine
from orchestrator.maintenance.backup import check_names
from orchestrator.maintenance.board_merge import noun_rules, submission_rules, task_rules
from orchestrator.maintenance.board_merge.merging import MergeInProgress
from orchestrator.maintenance.board_merge.text_rules import Texts
from orchestrator.maintenance.board_merge.two_logs import OtherBoard, TwoLogs, mark_of

_MOST_CONFLICTS, _LARGEST = 1000, 4 * 1024 * 1024
"""How many conflicts an event contains at most, and how many characters before the last of them."""

_UNFIT = (LookupError, ValueError, TypeError, AttributeError, AssertionError, NotFound, BadName)
"""The errors of an event that does not fit this board."""


class MergeReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a merge did.

    Attributes:
        other: The other board.
        shared: The last event that both boards have had from the beginning; 0: they have none in common.
        head: The last event of the other board.
        taken: How many events were copied.
        left: How many were not, by type: they count only there, or had lost.
        renamed: What has another name here than there.
        conflicts: What both boards say differently, with what counts now.
    """

    other: str
    shared: int
    head: int
    taken: int = 0
    left: dict[str, int] = {}
    renamed: dict[str, str] = {}
    conflicts: tuple[MergeConflict, ...] = ()


class _Unfit(Exception):
    """An event of the other board does not fit this board, for a reason that no rule foresaw."""

    def __init__(self, event: int, reason: str) -> None:
        super().__init__(reason)
        self.event, self.reason = event, reason


def merge_board(
    engine: Engine,
    other: Engine,
    *,
    name: str,
    dry_run: bool = False,
    progress: ShowProgress = no_progress,
) -> MergeReport:
    """Copy what another board recorded after the two went apart; a second merge changes nothing.

    Args:
        engine: The board that gets the events.
        other: The other board, which is only read.
        name: The name of the other board, for the log.
        dry_run: Change nothing; only report what would be merged.
        progress: Shows how many events are considered.

    Raises:
        Damage: The log of one of the boards is damaged.
        UsageError: Both are the same board.
        BadInput: A file of knowledge that was edited by hand cannot be read.
    """
    if is_same(engine.folder, other.folder) or engine.store is other.store:
        raise UsageError(f"{name} is this board", hint="Name the other one.")
    board = _read(other, name)
    unfit: dict[int, str] = {}
    while True:
        try:
            with engine.rehearsal() if dry_run else nullcontext():
                body = partial(_merge, engine, other, board, unfit, progress)
                return engine.run("board.merge", body, _reported, (name,))
        except _Unfit as error:
            if error.event in unfit:
                raise
            unfit[error.event] = error.reason


def is_same(folder: str | None, other: str | None) -> bool:
    """Whether two boards on disk are one."""
    return folder is not None and other is not None and os.path.samefile(folder, other)


def _read(engine: Engine, name: str) -> OtherBoard:
    state, end = engine.read(), engine.position
    for _ in engine.store.read(end):  # raises the damage of which `read` only warns
        break
    check_names(state)
    return OtherBoard(name, engine.store, state, end)


def _reported(_state: State, events: Committed) -> MergeReport:
    """The report of a merge, from its events."""
    merged = [
        event for record, event in events if isinstance(event, BoardMerged) and not record.is_copy
    ]
    first = merged[0]
    return MergeReport(
        other=first.other,
        shared=first.shared,
        head=first.head.event,
        taken=first.taken,
        left=first.left,
        renamed=first.renamed,
        conflicts=tuple(conflict for event in merged for conflict in event.conflicts),
    )


def _merge(
    engine: Engine,
    other_engine: Engine,
    other: OtherBoard,
    unfit: dict[int, str],
    progress: ShowProgress,
    tx: Transaction[State],
) -> MergeReport | None:
    """The body of the command."""
    logs = TwoLogs(engine.store, tx.state, other, progress)
    merging = MergeInProgress(tx, other, logs)
    texts = Texts(merging)
    rules = _rules(texts)
    earlier: list[tuple[Recorded, Event]] = []
    for record, known in logs.incoming():
        merging.begin(record)
        if known is not None:
            merging.recognise(record, known)
            texts.recognise(record, known)
            continue
        event = _checked(merging, record)
        if isinstance(event, BoardMerged):
            earlier.append((record, event))
            continue
        _consider(merging, record, event, rules, unfit)
    merging.begin(merging.last)
    task_rules.finish(merging)
    texts.take_hand_edits(other_engine)
    texts.finish()
    if not (merging.taken or merging.conflicts or tx.events):
        return MergeReport(
            other=other.name, shared=logs.shared, head=other.end.id, left=merging.left
        )
    for record, event in earlier:
        merging.copy(event, record)
    _close(merging, logs)
    return None


def _rules(texts: Texts) -> dict[type[Event], Callable[[MergeInProgress, Any], None]]:
    own: dict[type[Event], Callable[[Any], None]] = {
        DecisionAdded: texts.decide,
        DecisionEdited: texts.edit_decision,
        DecisionSuperseded: texts.supersede,
        KnowledgeDeleted: texts.take,
        KnowledgeEdited: texts.take,
        KnowledgeWritten: texts.take,
    }
    bound = {type_: lambda _merging, event, rule=rule: rule(event) for type_, rule in own.items()}
    tasks = dict.fromkeys((*task_rules.NEW, *task_rules.RULES), task_rules.take)
    return {**noun_rules.RULES, **submission_rules.RULES, **tasks, **bound}


def _checked(merging: MergeInProgress, record: Recorded) -> Event | None:
    """The event of a record, whose agent, time and type are checked as those of an import are."""
    names.agent(record.agent)
    clock.check(record.ts)
    format = merging.other.state.board.format_at(record.id)
    if not is_reserved(record.type, format):
        check_type(record.type, format)
    return merging.event_of(record)


def _consider(
    merging: MergeInProgress,
    record: Recorded,
    event: Event | None,
    rules: dict[type[Event], Callable[[MergeInProgress, Any], None]],
    unfit: dict[int, str],
) -> None:
    if record.id in unfit:
        merging.leave()
        what = f"event {record.id} ({record.type})"
        merging.conflict(what, "fit", unfit[record.id], bytes(record.payload).decode(), "here")
        return
    if record.type.startswith(noun_rules.LOCAL) and type(event) not in rules:
        merging.leave()
        return
    if merging.other.state.board.format > merging.state.board.format:
        merging.follow(BoardUpgraded(format=merging.other.state.board.format))
    try:
        if event is None:
            merging.copy_own(record)
        elif (rule := rules.get(type(event))) is not None:
            rule(merging, event)
        else:
            merging.leave()
    except _UNFIT as error:
        raise _Unfit(record.id, str(error)) from error


def _close(merging: MergeInProgress, logs: TwoLogs) -> None:
    """Record what the merge did."""
    batches = _batches(merging.conflicts)
    for conflicts in batches:
        merging.tx.record(
            BoardMerged(
                other=merging.other.name,
                head=mark_of(merging.last),
                shared=logs.shared,
                taken=merging.taken,
                left=merging.left,
                renamed=merging.renamed,
                conflicts=tuple(conflicts),
                settled=merging.settled() if conflicts is batches[0] else {},
            )
        )


def _batches(conflicts: list[MergeConflict]) -> list[list[MergeConflict]]:
    """The conflicts in lists that fit into an event; one list if there are none."""
    batches: list[list[MergeConflict]] = [[]]
    size = 0
    for conflict in conflicts:
        if size > _LARGEST or len(batches[-1]) == _MOST_CONFLICTS:
            batches.append([])
            size = 0
        batches[-1].append(conflict)
        size += len(conflict.here) + len(conflict.there)
    return batches
