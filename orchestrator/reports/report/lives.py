"""The history of tasks, evidence, knowledge and decisions, from one pass over the log.

Each task has a few small records, so memory grows with the tasks and not with the log.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from orchestrator.core import clock
from orchestrator.core.errors import Damage
from orchestrator.core.events import Recorded, decode, types
from orchestrator.core.progress import ShowProgress
from orchestrator.core.store import START
from orchestrator.domain.decisions.events import DecisionAdded
from orchestrator.domain.knowledge.events import (
    KnowledgeDeleted,
    KnowledgeEdited,
    KnowledgeWritten,
    VersionEvent,
)
from orchestrator.domain.state import State
from orchestrator.domain.tasks import edit_events, events
from orchestrator.domain.tasks.facts import TaskFacts
from orchestrator.domain.tasks.verification_events import (
    TaskApproved,
    TaskChecked,
    TaskRejected,
    TaskSubmitted,
)
from orchestrator.engine import Engine
from orchestrator.planning.cycle_report import Learned
from orchestrator.planning.survey import about
from orchestrator.reports.report.records import Decided


class Change(msgspec.Struct, frozen=True, gc=False):
    """A change of a task's status: its event, its time (seconds since 1970), the new status and the agent.

    ``is_lapse``: its agent had left it, so the time before was not work.
    """

    event: int
    moment: float
    status: str
    agent: str
    is_lapse: bool = False


class Life(msgspec.Struct, gc=False):
    """The history of a task.

    Attributes:
        added: When it was added.
        changes: The changes of its status, beginning with its addition.
        facts: Its facts, once it is known to be in the report.
    """

    added: float
    changes: list[Change]
    facts: TaskFacts | None = None

    @property
    def named(self) -> dict[str, str]:
        """The facts that name it in a list."""
        assert self.facts is not None
        return about(self.facts)

    @property
    def last(self) -> Change:
        """The last change."""
        return self.changes[-1]

    @property
    def own(self) -> list[Change]:
        """The changes on this board, without those before an import."""
        first = self.changes[0]
        return [change for change in self.changes if change is first or change.event > first.event]

    def spans(self, end: float) -> Iterator[tuple[Change, float]]:
        """Each change with the time of the next one, or ``end``; also if the clock went back."""
        for change, following in zip(self.changes, self.changes[1:], strict=False):
            yield change, max(change.moment, following.moment)
        yield self.last, max(self.last.moment, end)


class Checked(msgspec.Struct, frozen=True, gc=False):
    """The result of a check, or of a review."""

    task: str
    moment: float
    passed: int = 0
    failed: tuple[str, ...] = ()
    forced: bool = False
    approved: bool | None = None


class Chronicle(msgspec.Struct):
    """The history from the log, up to the state of the report.

    Attributes:
        knowledge: Changes of topics, each with its event.
        began: The time of the first event.
        before: The last event before the period.
    """

    lives: dict[str, Life] = {}
    checks: list[Checked] = []
    knowledge: list[tuple[int, Learned]] = []
    decisions: list[Decided] = []
    began: str = ""
    before: int = 0


def read_chronicle(engine: Engine, state: State, since: str, progress: ShowProgress) -> Chronicle:
    """Read the log once, up to the last event of the state; tasks that left without a trace are left out.

    Raises:
        Damage: The log cannot be read up to there.
    """
    reader = _Chronicler(state, since)
    last = 0
    try:
        for chunk in progress(engine.store.read(START), "Reading the log"):
            for record in chunk.events:
                if record.id <= state.event:
                    reader.note(record)
            last = chunk.end.id
    except Damage:
        if last < state.event:
            raise
    chronicle = reader.chronicle
    for task_id, task in state.tasks.items():
        if task_id in chronicle.lives:
            chronicle.lives[task_id].facts = task
    lives = chronicle.lives.items()
    chronicle.lives = {task: life for task, life in lives if life.facts is not None}
    return chronicle


class _Chronicler:
    """Collects what a report needs from each event; of other events it reads only the type."""

    def __init__(self, state: State, since: str) -> None:
        self.chronicle = Chronicle()
        self._since = since
        self._format_at = state.board.format_at
        self._aliases = state.agents.aliases

    def note(self, record: Recorded) -> None:
        """Note an event."""
        if not self.chronicle.began:
            self.chronicle.began = record.ts
        if record.ts < self._since:
            self.chronicle.before = record.id
        if note := _NOTES.get(record.type):
            event = decode(record, self._format_at(record.id))
            if event is not None:
                note(self, record, event)

    def _name(self, agent: str | None) -> str:
        return self._aliases.get(agent or "", agent or "")

    def added(self, record: Recorded, event: events.TaskAdded) -> None:
        moment = clock.seconds(record.ts)
        first = Change(record.id, moment, "pending", self._name(record.agent))
        self.chronicle.lives[event.id] = Life(moment, [first])

    def imported(self, record: Recorded, event: events.TaskImported) -> None:
        """An imported task keeps the times of its tracker."""
        task, now = event.record, record.ts
        added = clock.seconds(task.created_at or now)
        changes = [Change(record.id, added, "pending", self._name(record.agent))]
        for moment, status in ((task.claimed_at, "in_progress"), (task.ended_at, task.status)):
            if moment:
                agent = self._name(task.assigned_to)
                changes.append(Change(record.id, clock.seconds(moment), status, agent))
        if changes[-1].status != task.status:
            agent = self._name(task.assigned_to)
            moment = task.updated_at or now
            changes.append(Change(record.id, clock.seconds(moment), task.status, agent))
        self.chronicle.lives[task.id] = Life(added, changes)

    def reimported(self, record: Recorded, event: edit_events.TaskReimported) -> None:
        facts = event.facts()
        if "status" in facts:
            self._change(record, event.task, facts["status"], moment=facts.get("ended_at"))

    def moved(self, record: Recorded, event: events.TaskEvent) -> None:
        """An event after which a task has another status."""
        assert event.STATUS is not None
        agent = getattr(event, "worker", "") or getattr(event, "to", "") or record.agent
        is_lapse = isinstance(event, events.TaskLapsed)
        self._change(record, event.task, event.STATUS, agent=agent, is_lapse=is_lapse)
        if isinstance(event, (events.TaskCompleted, TaskSubmitted)):
            if event.reason:
                self._checked(record, event.task, forced=True)
        elif isinstance(event, TaskRejected):
            self._checked(record, event.task, approved=False)

    def _change(
        self,
        record: Recorded,
        task: str,
        status: str,
        *,
        agent: str = "",
        moment: str | None = None,
        is_lapse: bool = False,
    ) -> None:
        life = self.chronicle.lives.get(task)
        if life is not None:
            when = clock.seconds(moment or record.ts)
            name = self._name(agent or record.agent)
            life.changes.append(Change(record.id, when, status, name, is_lapse))

    def checked(self, record: Recorded, event: TaskChecked) -> None:
        checks = [item for item in event.evidence if item.kind in ("verify", "artifact")]
        failed = tuple(item.what or item.kind for item in checks if not item.passed)
        self._checked(record, event.task, passed=len(checks) - len(failed), failed=failed)

    def approved(self, record: Recorded, event: TaskApproved) -> None:
        self._checked(record, event.task, approved=True)

    def _checked(
        self,
        record: Recorded,
        task: str,
        *,
        passed: int = 0,
        failed: tuple[str, ...] = (),
        forced: bool = False,
        approved: bool | None = None,
    ) -> None:
        moment = clock.seconds(record.ts)
        self.chronicle.checks.append(Checked(task, moment, passed, failed, forced, approved))

    def archived(self, _record: Recorded, event: events.TaskArchived) -> None:
        if life := self.chronicle.lives.get(event.record.id):
            life.facts = event.record

    def learned(self, record: Recorded, event: VersionEvent | KnowledgeDeleted) -> None:
        change = record.type.partition(".")[2]
        agent = self._name(record.agent)
        learned = Learned(topic=event.topic, change=change, agent=agent, at=record.ts)
        self.chronicle.knowledge.append((record.id, learned))

    def decided(self, record: Recorded, event: DecisionAdded) -> None:
        agent = self._name(record.agent)
        decided = Decided(number=event.number, title=event.title, agent=agent, at=record.ts)
        self.chronicle.decisions.append(decided)


_NOTES: dict[str, Callable[[_Chronicler, Recorded, Any], None]] = {
    **{
        name: _Chronicler.moved
        for name, cls in types().items()
        if issubclass(cls, events.TaskEvent) and cls.STATUS is not None
    },
    events.TaskAdded.TYPE: _Chronicler.added,
    events.TaskImported.TYPE: _Chronicler.imported,
    edit_events.TaskReimported.TYPE: _Chronicler.reimported,
    events.TaskArchived.TYPE: _Chronicler.archived,
    TaskChecked.TYPE: _Chronicler.checked,
    TaskApproved.TYPE: _Chronicler.approved,
    KnowledgeWritten.TYPE: _Chronicler.learned,
    KnowledgeEdited.TYPE: _Chronicler.learned,
    KnowledgeDeleted.TYPE: _Chronicler.learned,
    DecisionAdded.TYPE: _Chronicler.decided,
}
"""The function for each type of event."""


def ending_text(engine: Engine, change: Change) -> str | None:
    """Read the result of a task, or the reason of its failure, from the log."""
    event = decode(engine.event(change.event))
    return event.result if isinstance(event, events.TaskCompleted) else getattr(event, "reason", "")
