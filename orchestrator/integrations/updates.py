"""Updates of tasks on the board by an import: only changes of the other tracker are applied."""

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import takewhile
from typing import Any

from msgspec.structs import replace

from orchestrator.core.multimap import multimap
from orchestrator.core.transaction import Desk, Transaction
from orchestrator.domain.state import State
from orchestrator.domain.tasks.archive import CLOSE
from orchestrator.domain.tasks.edit_events import REIMPORTED, TaskReimported
from orchestrator.domain.tasks.events import TaskImported
from orchestrator.domain.tasks.records import ENDED, HELD, Note, Task
from orchestrator.domain.tasks.relations import Signal

NEEDS = NEED, FAILURE_NEED = "need", "need-of-failure"
"""The kinds of the signals that replace a need, and a need of a failure."""

HAS_CHECKS = "ends of tasks that have checks here"
OWN_WORK = "acceptance of tasks of the importing agent (--reason TEXT imports it)"
OPEN_NEEDS = "open needs of tasks that ended there"
OLDER = "tasks that changed here later"
ENDED_HERE = "statuses of tasks that have ended here"
HELD_HERE = "statuses of tasks that agents have"

_STANDING = ("status", "assigned_to", "lease", "lease_until", "result", "reason", "ended_at")
_COMPARED = [
    field for field in REIMPORTED if field not in ("lease", "lease_until", "notes", "ended_at")
]
"""What an import compares field by field."""

_WHO = ("status", "assigned_to")
"""They go together: a status without an agent is that of a task that is free."""

_MANY = 20
"""How many tasks are looked up one by one before the log is read in one pass."""

_IMPORTS = (TaskImported.TYPE, TaskReimported.TYPE)
_TO_THE_MINUTE = ":00.000Z"


class Update:
    """The update of a task by an import.

    Attributes:
        changes: The new values, by field; empty if there are none.
        kept: Facts that stay although they differ in the tracker, as kinds of losses.
    """

    def __init__(
        self, mine: Task, theirs: Task, same: Task, now: str, *, untouched: Callable[[], bool]
    ) -> None:
        """Compare.

        Args:
            mine: The task on the board.
            theirs: The task as the tracker has it.
            same: The task as the tracker would have it without changes there.
            now: The time.
            untouched: Returns whether only imports have changed it here.
        """
        self.kept: list[str] = []
        self.changes: dict[str, Any] = {
            field: getattr(theirs, field)
            for field in _COMPARED
            if _differ(theirs, same, field) and _differ(theirs, mine, field)
        }
        if notes := _new_notes(theirs, same):
            self.changes["notes"] = (*mine.notes, *notes)
        if not self.changes:
            return
        is_untouched = untouched()
        if not _is_newer(theirs.updated_at, mine.updated_at, equal=is_untouched):
            self.changes = {}
            self.kept.append(OLDER)
            return
        if not is_untouched:
            self._keep_own_needs(mine)
        self._stand(mine, theirs, now, untouched=is_untouched)
        if self.changes:
            self.changes["updated_at"] = max(theirs.updated_at, mine.updated_at)

    def _keep_own_needs(self, mine: Task) -> None:
        for field in ("needs", "needs_failure_of", "links", "signals"):
            if field in self.changes:
                both = dict.fromkeys(getattr(mine, field)) | dict.fromkeys(self.changes[field])
                self.changes[field] = tuple(both)

    def _stand(self, mine: Task, theirs: Task, now: str, *, untouched: bool) -> None:
        """Apply status and result of the tracker, unless those of the board have priority."""
        if self.changes.keys().isdisjoint(_STANDING):
            return
        kept = ""
        if not untouched and mine.status in ENDED:
            kept = ENDED_HERE
        elif not untouched and mine.status in (*HELD, "in_review") and not mine.has_lapsed(now):
            kept = HELD_HERE
        elif theirs.status == "done" and mine.status not in ENDED and mine.checks is not None:
            kept = HAS_CHECKS
        for field in _STANDING:
            self.changes.pop(field, None)
            is_other = field in _WHO or getattr(theirs, field) != getattr(mine, field)
            if not kept and is_other:
                self.changes[field] = getattr(theirs, field)
        if kept:
            self.kept.append(kept)
        elif theirs.status in ENDED and mine.status in ENDED:
            self.changes.pop("ended_at", None)


class Histories:
    """Finds out which tasks of the board were changed by imports only.

    Args:
        tx: The transaction.
        desk: The board.
        tasks: The tasks that it is used for.
    """

    def __init__(self, tx: Transaction[State], desk: Desk[State], tasks: Iterable[Task]) -> None:
        self._tx, self._desk, self._tasks = tx, desk, tasks
        self._asked = 0
        self._own: set[int] | None = None
        self._last = 0

    def is_untouched(self, task: Task) -> bool:
        """Whether only imports have changed a task."""
        self._asked += 1
        if self._asked == _MANY:
            self._read_log()
        return all(map(self._is_import, reversed(task.events)))

    def _is_import(self, number: int) -> bool:
        if self._own is not None and number <= self._last:
            return number in self._own
        return self._tx.event(number).type in _IMPORTS

    def _read_log(self) -> None:
        """Find the events of imports in one pass, if the log is not much longer than the histories."""
        numbers = [number for task in self._tasks for number in task.events]
        first, self._last = min(numbers), max(numbers)
        if self._last - first < CLOSE * len(numbers):
            log = takewhile(lambda record: record.id >= first, self._desk.read_backwards())
            self._own = {record.id for record in log if record.type in _IMPORTS}


def is_as_here(theirs: Task, mine: Task) -> bool:
    """Whether a task is equal to the one on the board."""
    is_other = any(_differ(theirs, mine, name) for name in _COMPARED)
    return not is_other and not _new_notes(theirs, mine)


def _new_notes(theirs: Task, mine: Task) -> tuple[Note, ...]:
    known = Counter((note.agent, note.text) for note in mine.notes)
    new = []
    for note in theirs.notes:
        if known[note.agent, note.text] > 0:
            known[note.agent, note.text] -= 1
        else:
            new.append(note)
    return tuple(new)


def _differ(theirs: Task, mine: Task, field: str) -> bool:
    """Whether two tasks differ in a field by more than the order of a list."""
    values = [getattr(theirs, field), getattr(mine, field)]
    if field == "signals":
        values = [tuple(map(_without_time, signals)) for signals in values]
    if all(isinstance(value, tuple) for value in values):
        return {*values[0]} != {*values[1]}
    return bool(values[0] != values[1])


def _without_time(signal: Signal) -> Signal:
    """A signal for a need that does not block: its time is that of the import that found this."""
    is_given = signal.kind in NEEDS and signal.given_at
    return replace(signal, given_at="given") if is_given else signal


def _is_newer(theirs: str, mine: str, *, equal: bool) -> bool:
    length = 16 if theirs.endswith(_TO_THE_MINUTE) else len(mine)
    return theirs[:length] > mine[:length] or (equal and theirs[:length] == mine[:length])


def find_known(state: State, tasks: Iterable[tuple[str, str, str]]) -> dict[str, str]:
    """Find the tasks that are on the board already, by id, else by external reference.

    Args:
        state: The board.
        tasks: The id in the tracker, the id here, and the external reference of each task.

    Returns:
        The id of the task on the board, by the id in the tracker.
    """
    tasks = list(tasks)
    known = {theirs: here for theirs, here, _ in tasks if is_known(state, here)}
    if len(known) == len(tasks):
        return known
    taken = set(known.values())
    references = multimap(
        (task.external_ref, task.id)
        for task in state.tasks.values()
        if task.external_ref and task.id not in taken
    )
    for theirs, _, reference in tasks:
        if theirs in known:
            continue
        for name in (theirs, reference):
            ids = references.get(name, [])
            if len(ids) == 1:
                known[theirs] = ids.pop()
                break
    return known


def is_known(state: State, task_id: str) -> bool:
    """Whether a task is on the board or in its archive."""
    return task_id in state.tasks or task_id in state.tasks.archived


def is_same(mine: Task, theirs: Task, workstream: str) -> bool:
    """Whether two tasks with an equal id are the same task, and not of different projects."""
    if theirs.created_at:
        return theirs.created_at[:16] == mine.created_at[:16]
    return mine.workstream == workstream
