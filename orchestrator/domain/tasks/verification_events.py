"""The events of checks, reviews and trust, which change the evidence, status and checks of a task."""

from typing import Any

from msgspec.structs import replace

from orchestrator.core.events import Event, Recorded, event
from orchestrator.domain.merges.records import Proposal
from orchestrator.domain.state import State
from orchestrator.domain.tasks.derived import change_task
from orchestrator.domain.tasks.events import UNHELD, UNREVIEWED, UNSUBMITTED, TaskEvent
from orchestrator.domain.tasks.records import Evidence, Note, Task


@event("task.checked")
class TaskChecked(TaskEvent):
    """The checks of the task ran; the new results replace the old ones."""

    evidence: tuple[Evidence, ...]

    def changed(self, task: Task, record: Recorded) -> Task:
        lasting = (item for item in task.evidence if item.kind in ("review", "change"))
        return replace(task, evidence=(*lasting, *self.evidence))


@event("task.submitted")
class TaskSubmitted(TaskEvent):
    """The worker handed in the work, which another agent must approve, or whose branch must be merged.

    ``reason``: why it is handed in although a check failed; ``proposal``: the branch to merge.
    """

    STATUS = "in_review"

    result: str | None = None
    reason: str = ""
    proposal: Proposal | None = None

    def changed(self, task: Task, record: Recorded) -> Task:
        return replace(
            task,
            status=self.STATUS,
            result=self.result,
            reason=self.reason,
            proposal=self.proposal,
            lease_until="",
            token=None,
        )


@event("task.approved")
class TaskApproved(TaskEvent):
    """Another agent than the worker approved the work; the task is completed with it."""

    comment: str = ""

    def changed(self, task: Task, record: Recorded) -> Task:
        evidence = (*task.evidence, _review(self.comment, True, record))
        return replace(task, evidence=evidence, **UNREVIEWED)


@event("task.rejected")
class TaskRejected(TaskEvent):
    """Another agent than the worker rejected the work; no agent has the task any more."""

    STATUS = "pending"

    reason: str

    def changed(self, task: Task, record: Recorded) -> Task:
        evidence = (*task.evidence, _review(self.reason, False, record))
        sent_back = _sent_back(task, self.reason, record)
        return replace(task, status=self.STATUS, evidence=evidence, **sent_back)


@event("task.returned")
class TaskReturned(TaskEvent):
    """The branch of the task was not merged; no agent has the task any more."""

    STATUS = "pending"

    reason: str

    def changed(self, task: Task, record: Recorded) -> Task:
        return replace(task, status=self.STATUS, **_sent_back(task, self.reason, record))


@event("task.trusted")
class TaskTrusted(TaskEvent):
    """The imported commands of the task may run here."""

    def changed(self, task: Task, record: Recorded) -> Task:
        return _trusting(task, True)


@event("task.distrusted")
class TaskDistrusted(Event):
    """The log came from another board: the commands of these tasks do not run until they are trusted."""

    tasks: tuple[str, ...]

    def apply(self, state: State, record: Recorded) -> None:
        for task_id in self.tasks:
            task = state.tasks[task_id]
            change_task(state, task, _trusting(task, False), record)


def _sent_back(task: Task, reason: str, record: Recorded) -> dict[str, Any]:
    """The fields to change when work that was handed in is refused; the reason becomes a note."""
    return {
        "notes": (*task.notes, Note(record.agent, record.ts, reason)),
        "result": None,
        "reason": "",
        **UNHELD,
        **UNREVIEWED,
        **UNSUBMITTED,
    }


def _trusting(task: Task, trusted: bool) -> Task:
    return replace(task, checks=task.checks and replace(task.checks, trusted=trusted))


def _review(text: str, passed: bool, record: Recorded) -> Evidence:
    return Evidence(kind="review", what=text, passed=passed, at=record.ts, agent=record.agent)
