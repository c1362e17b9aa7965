"""Who worked on which task from when to when: the spans of work in a period."""

from itertools import takewhile

import msgspec

from orchestrator.core.errors import NotFound
from orchestrator.core.events import Recorded, decode
from orchestrator.domain.event_log import beginning
from orchestrator.domain.state import State
from orchestrator.domain.tasks.commands import Tasks
from orchestrator.domain.tasks.events import TaskClaimed, TaskEvent
from orchestrator.engine import Engine
from orchestrator.reports.timeline import is_from

PERIOD = "24h"
"""How far spans of work go back, unless another time is given."""


class WorkSpan(msgspec.Struct, frozen=True, kw_only=True):
    """The time in which an agent had a task in progress, from a claim to its end.

    Attributes:
        since: When it began, also if that was before the period.
        until: When it ended, or its lease ended; None while it goes on.
        status: That of the task after it; ``in_progress`` while it goes on, ``lapsed`` if its lease ended.
    """

    agent: str
    task: str
    title: str
    since: str
    until: str | None
    status: str


def spans(
    engine: Engine, *, since: str | int | None = None, agent: str | None = None
) -> list[WorkSpan]:
    """Return the spans of work that ended after a time or go on, in the order of their beginning.

    Args:
        since: From this time on, that long ago (``2h``), or after this event; a day ago if not given.
        agent: Only those of this agent.
    """
    state, now = engine.read(), engine.now()
    limit = beginning(PERIOD if since is None else since, now)
    newest = takewhile(lambda event: is_from(event, limit), engine.read_backwards())
    work = _Work(engine, state, now)
    for event in [event for event in newest if event.type.startswith("task.")][::-1]:
        work.follow(event)
    work.close_running()
    wanted = (span for span in work.spans if agent in (None, span.agent))
    return sorted(wanted, key=lambda span: (span.since, span.task))


class _Work:
    """Follows events of tasks, and collects the spans of work."""

    def __init__(self, engine: Engine, state: State, now: str) -> None:
        self.spans: list[WorkSpan] = []
        self._engine, self._state, self._now = engine, state, now
        self._begun: dict[str, Recorded] = {}
        self._seen: set[str] = set()

    def follow(self, record: Recorded) -> None:
        """Begin or end a span, if the event does."""
        event = decode(record)
        if not isinstance(event, TaskEvent) or event.STATUS is None:
            return
        claim = self._begun.pop(event.task, None)
        if claim is None and event.task not in self._seen:
            claim = self._claim_before(event.task, record.id)
        self._seen.add(event.task)
        if claim is not None:
            status = "lapsed" if record.type == "task.lapsed" else event.STATUS
            self._add(event.task, claim, record.ts, status)
        if isinstance(event, TaskClaimed):
            self._begun[event.task] = record

    def close_running(self) -> None:
        """Add the spans of the tasks that are in progress now."""
        for task in self._state.schedule.running():
            claim = self._begun.get(task.id)
            if claim is None and task.token is not None:
                claim = self._engine.event(task.token)
            if claim is None:
                continue
            is_over = task.lease_until <= self._now
            until = task.lease_until if is_over else None
            self._add(task.id, claim, until, "lapsed" if is_over else "in_progress")

    def _claim_before(self, id: str, event: int) -> Recorded | None:
        """The claim that an event at the beginning of the period ends; None if it ends none."""
        try:
            history = Tasks(self._engine).history(id)
        except NotFound:
            return None
        for record in reversed([record for record in history if record.id < event]):
            known = decode(record)
            if isinstance(known, TaskEvent) and known.STATUS is not None:
                return record if isinstance(known, TaskClaimed) else None
        return None

    def _add(self, id: str, claim: Recorded, until: str | None, status: str) -> None:
        task = self._state.tasks.tasks.get(id)
        name = self._state.agents.aliases.get(claim.agent, claim.agent)
        title = task.title if task else ""
        self.spans.append(
            WorkSpan(agent=name, task=id, title=title, since=claim.ts, until=until, status=status)
        )
