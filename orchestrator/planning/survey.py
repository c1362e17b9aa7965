"""The input of the planner: the tasks that can be taken now, and the holds of their resources."""

from collections.abc import Iterable

import msgspec

from orchestrator.domain.state import State
from orchestrator.domain.tasks import resources
from orchestrator.domain.tasks.facts import TaskFacts
from orchestrator.domain.tasks.ready_queue import HeldResource
from orchestrator.domain.tasks.records import Task, rank_of


class Candidate(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A task that can be taken.

    Attributes:
        value: The value of running it: 9 for priority 1, down to 1 from priority 9 on.
        order: Workstream priority, age, id: unique; decides between equal values.
        modes: The resources that it touches, and whether it only shares each.
    """

    task: Task
    value: int
    order: tuple[int, int, str]
    modes: dict[str, bool]

    @property
    def preference(self) -> tuple[int, tuple[int, int, str]]:
        """The sort key by which the more valuable candidate comes first."""
        return -self.value, self.order


class Survey(msgspec.Struct):
    """The candidates of a board, and the holds of their resources.

    Attributes:
        candidates: Every ready task of an active workstream, lapsed ones included.
        held: For each touched resource, the holds that exclude it; resources without holds are left out.
    """

    state: State
    now: str
    candidates: list[Candidate]
    held: dict[resources.Need, list[HeldResource]]

    def is_free(self, candidate: Candidate) -> bool:
        """Return whether no resource of the task is held."""
        needs = (resources.Need(*mode) for mode in candidate.modes.items())
        return not self.held or self.held.keys().isdisjoint(needs)


def survey(state: State, now: str, workstream: str | None = None) -> Survey:
    """Survey the board or a workstream."""
    needs: dict[str, resources.Need] = {}
    candidates = []
    for task in state.schedule.ready(workstream, now):
        modes: dict[str, bool] = {}
        for text in task.touches:
            need = needs[text] = needs.get(text) or resources.parse(text)
            modes[need.resource] = need.shared and modes.get(need.resource, True)
        order = (state.workstreams[task.workstream].priority, task.events[0], task.id)
        candidates.append(Candidate(task, max(1, 10 - task.priority), order, modes))
    holds = {need: state.schedule.collisions(need, None, now) for need in set(needs.values())}
    return Survey(state, now, candidates, {need: held for need, held in holds.items() if held})


def best_of(board: Survey, candidates: Iterable[Candidate]) -> Task | None:
    """Return the task of a workstream to take next: by priority, then age, colliding tasks last."""
    ranked = ((not board.is_free(c), rank_of(c.task), c.task) for c in candidates)
    best = min(ranked, default=None, key=lambda entry: entry[:2])
    return best[2] if best else None


def about(task: TaskFacts) -> dict[str, str]:
    """Return the facts that name a task in the records of a plan."""
    return {"workstream": task.workstream, "task": task.id, "title": task.title}


def place(task: Task) -> str:
    """Return a task as the original writes it: ``workstream/id``."""
    return f"{task.workstream}/{task.id}"
