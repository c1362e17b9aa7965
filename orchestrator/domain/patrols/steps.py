"""What a patrol does about its findings: nudges with growing pauses, an escalation, the end of leases."""

from collections.abc import Iterable

import msgspec

from orchestrator.core import clock
from orchestrator.domain.agents.records import OVERSEER
from orchestrator.domain.board.commands import ended_holds, lapsed_tasks
from orchestrator.domain.board.settings import PatrolSettings
from orchestrator.domain.patrols.findings import PatrolFinding
from orchestrator.domain.patrols.records import WatchedConcern
from orchestrator.domain.state import State
from orchestrator.domain.tasks.records import Task


class Steps(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done now.

    Attributes:
        lapses: Whether the lease of a running task, a review or a lock has ended: they go back.
        settled: What is over.
        nudges: What is told to whom.
        escalations: What the overseer is told.
    """

    lapses: bool
    settled: tuple[WatchedConcern, ...]
    nudges: dict[str, list[PatrolFinding]]
    escalations: list[PatrolFinding]

    def __bool__(self) -> bool:
        return bool(self.lapses or self.settled or self.nudges or self.escalations)


def steps(state: State, now: str, found: Iterable[PatrolFinding], limits: PatrolSettings) -> Steps:
    """What is to be done about findings; nothing is done twice, because the state says what was done."""
    nudges: dict[str, list[PatrolFinding]] = {}
    escalations: list[PatrolFinding] = []
    keys: set[str] = set()
    for finding in found:
        keys.add(finding.key)
        due = next_step(state.patrols.get(finding.key), finding.to, limits)
        if due is None or due[1] > now:
            continue
        if due[0] == "nudge":
            nudges.setdefault(finding.to, []).append(finding)
        else:
            escalations.append(finding)
    return Steps(
        lapses=bool(
            lapsed_tasks(state, now) or ended_reviews(state, now) or ended_holds(state, now)
        ),
        settled=tuple(watch for key, watch in state.patrols.items() if key not in keys),
        nudges=nudges,
        escalations=escalations,
    )


def next_step(
    watch: WatchedConcern | None, to: str, limits: PatrolSettings
) -> tuple[str, str] | None:
    """The next step about a concern, ``nudge`` or ``escalate``, and when it is due; None: there is no more.

    What the overseer is told anyway is not escalated, and told only so often.

    Args:
        watch: What was done; None if nothing was.
        to: Who is told.
        limits: How often, and how long the pauses are.
    """
    if watch is None:
        return "nudge", ""
    due = watch.due_at(clock.duration(limits.pause), clock.duration(limits.longest_pause))
    if watch.nudges < limits.nudges:
        return "nudge", due
    if to == OVERSEER or watch.escalated_at:
        return None
    return "escalate", due


def ended_reviews(state: State, now: str) -> list[Task]:
    """The tasks whose review has ended by its lease."""
    return [task for task in state.schedule.reviews.reviewed() if task.review_until <= now]
