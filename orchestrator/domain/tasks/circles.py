"""Circles in the work graph: a task must never wait for itself.

They are refused when a link is recorded, whatever the status of its tasks (an ended task may be reopened), so
that work can always continue. Waiting for any child counts here like waiting for all.
"""

from collections.abc import Callable, Iterable, Iterator

from orchestrator.core.errors import Refused
from orchestrator.domain.state import State
from orchestrator.domain.tasks.facts import TaskFacts


def check_no_circle(state: State, task_id: str, facts: TaskFacts) -> None:
    """Refuse facts with which a task, new or not, would wait for itself.

    A task waits for its needs, for those of every parent, and for the children behind its gate. Its own
    needs keep its children back too, so they may not lead back to any task below it.

    Raises:
        Refused: With the tasks of the circle in order.
    """
    is_new = task_id not in state.tasks
    if is_new and facts.gate is None and facts.parent not in state.tasks.awaited_by:
        return  # no task waits for a new one, unless it waits for the children of its parent
    if facts.needs or facts.needs_failure_of or facts.parent is not None or facts.gate is not None:
        _Circles(state, task_id, facts).check()


class _Circles:
    """The graph as it would be if one task had other facts."""

    def __init__(self, state: State, task_id: str, facts: TaskFacts) -> None:
        self.tasks = state.tasks
        self.id = task_id
        self.facts = facts

    def check(self) -> None:
        above = list(self._above(self.id))
        if self.id in above[1:]:
            raise _circle(above, "The parents")
        needs = [need for task_id in above for need in self._needs(task_id)]
        self._search(needs, lambda task_id: self.id in self._above(task_id))
        if self.facts.gate is not None:
            self._search(self._children(self.facts.gate.of), lambda task_id: task_id == self.id)

    def _search(self, starts: Iterable[str], is_back: Callable[[str], bool]) -> None:
        came_from: dict[str, str] = dict.fromkeys(starts, self.id)
        waiting = list(came_from)
        while waiting:
            current = waiting.pop()
            if is_back(current):
                raise _circle(self._path(current, came_from), "These links")
            for need in self._waits_for(current):
                if need not in came_from:
                    came_from[need] = current
                    waiting.append(need)

    def _path(self, end: str, came_from: dict[str, str]) -> list[str]:
        path = [end]
        while path[-1] != self.id or len(path) == 1:
            path.append(came_from[path[-1]])
        path.reverse()
        return path if path[-1] == self.id else [*path, self.id]

    def _waits_for(self, task_id: str) -> Iterator[str]:
        for above in self._above(task_id):
            yield from self._needs(above)
        facts = self._facts(task_id)
        if facts is not None and facts.gate is not None:
            yield from self._children(facts.gate.of)

    def _above(self, task_id: str) -> Iterator[str]:
        """Yield a task and its live parents."""
        seen: set[str] = set()
        facts = self._facts(task_id)
        while facts is not None:
            yield task_id
            if task_id in seen or facts.parent is None:
                return
            seen.add(task_id)
            task_id = facts.parent
            facts = self._facts(task_id)

    def _children(self, task_id: str) -> Iterator[str]:
        children = self.tasks.children.get(task_id, ())
        yield from (child for child in children if child != self.id)
        if self.facts.parent == task_id:
            yield self.id

    def _needs(self, task_id: str) -> tuple[str, ...]:
        facts = self._facts(task_id)
        return () if facts is None else (*facts.needs, *facts.needs_failure_of)

    def _facts(self, task_id: str) -> TaskFacts | None:
        return self.facts if task_id == self.id else self.tasks.get(task_id)


def _circle(circle: list[str], what: str) -> Refused:
    shown = " -> ".join(circle)
    return Refused(
        f"{what} would close a circle: {shown}",
        code="circle",
        hint="`t dep tree` shows what waits for what.",
        circle=circle,
    )
