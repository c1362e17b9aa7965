"""Remove the steps whose condition is false, with all of their children.

Order is kept: a step that waited for a removed step waits for the prerequisites of that step.
"""

from collections.abc import Iterable, Iterator
from itertools import chain

import msgspec

from orchestrator.core.topological import topological_order
from orchestrator.domain.workflows.compiled import MILESTONE
from orchestrator.formulas.graph import StepGraph
from orchestrator.formulas.schema import StepGate
from orchestrator.formulas.steps import Draft, awaited, task_gates, unique


def prune(graph: StepGraph, dropped: set[str]) -> None:
    """Remove steps from a graph.

    A parent that would complete too early keeps a removed child as a milestone.

    Args:
        graph: Is changed.
        dropped: The steps; their children are removed too.

    Raises:
        BadInput: There are too many needs afterwards.
    """
    removed = {
        draft.id
        for draft in graph
        if draft.id in dropped or any(parent.id in dropped for parent in graph.ancestors(draft))
    }
    if removed:
        _Pruning(graph, removed).apply()


class _Prerequisites(msgspec.Struct, frozen=True):
    """The remaining steps, and the tasks of the board, for which a removed step waited."""

    needs: tuple[str, ...]
    gates: tuple[StepGate, ...]


class _Pruning:
    """The removed steps, and the prerequisites of each."""

    def __init__(self, graph: StepGraph, removed: set[str]) -> None:
        self._graph = graph
        self._removed = removed
        self._children = graph.children()
        self._prerequisites: dict[str, _Prerequisites] = {}
        self._collect()

    def apply(self) -> None:
        """Give the prerequisites to the kept steps, and remove the others."""
        milestones: dict[str, Draft] = {}
        for draft in [draft for draft in self._graph if draft.id not in self._removed]:
            lost = [need for need in draft.needs if need in self._removed]
            draft.needs = tuple(need for need in draft.needs if need not in self._removed)
            self._take_over(draft, lost)
            children = self._children.get(draft.id, [])
            if children and self._removed.issuperset(children):
                self._lose_children(draft, children)
            else:
                for child in self._still_needed(draft, children):
                    milestones[child] = _milestone(self._graph[child])
                    self._take_over(milestones[child], [child])
            self._lose_awaited(draft)
        self._graph.remove(self._removed, milestones)

    # The prerequisites of removed steps

    def _collect(self) -> None:
        """Find the kept prerequisites of each removed step, also through other removed steps."""
        graph = self._graph
        waits = {
            draft.id: [*graph.prerequisites(draft, self._children)]
            for draft in graph
            if draft.id in self._removed
        }
        among = {step: self._removed.intersection(others) for step, others in waits.items()}
        order, circle = topological_order(among)
        order = [*waits] if circle else order
        size, before = 0, -1
        # One pass in order is enough; in a circle the sets grow until they are equal.
        while before < 0 or (circle and size != before):
            for step in order:
                self._prerequisites[step] = self._sum_of(graph[step], waits[step])
            sums = self._prerequisites.values()
            size, before = sum(len(p.needs) + len(p.gates) for p in sums), size

    def _sum_of(self, draft: Draft, waits: list[str]) -> _Prerequisites:
        indirect = [self._prerequisites[step] for step in waits if step in self._prerequisites]
        self._graph.count_needs(sum(len(p.needs) for p in indirect))
        kept = (step for step in waits if step not in self._removed)
        tasks = map(task_gates, (draft, *self._graph.ancestors(draft)))
        gates = chain(*tasks, *(p.gates for p in indirect))
        needs = chain(kept, *(p.needs for p in indirect))
        return _Prerequisites(needs=unique(needs), gates=_unique_gates(gates))

    # The steps that take them over

    def _take_over(self, draft: Draft, removed: Iterable[str]) -> None:
        """Let a step wait for the prerequisites of removed ones, unless its parents do already."""
        prerequisites = [self._prerequisites[step] for step in removed]
        known, tasks = self._known(draft)
        known.add(draft.id)
        needs = chain.from_iterable(p.needs for p in prerequisites)
        draft.needs = unique((*draft.needs, *(need for need in needs if need not in known)))
        gates = chain.from_iterable(p.gates for p in prerequisites)
        draft.gates += _unique_gates(gate for gate in gates if gate.id not in tasks)

    def _known(self, draft: Draft) -> tuple[set[str], set[str]]:
        """The steps, and the tasks, that a step or one of its parents waits for."""
        lineage = [draft, *self._graph.ancestors(draft)]
        tasks = {gate.id for step in lineage for gate in task_gates(step)}
        return {need for step in lineage for need in step.needs}, tasks

    def _lose_children(self, draft: Draft, children: list[str]) -> None:
        """A step whose children are all removed waits for their prerequisites."""
        self._take_over(draft, children)
        if awaited(draft)[1] == draft.id:
            draft.waits_for = ""
        draft.until = ""

    def _still_needed(self, draft: Draft, children: list[str]) -> Iterator[str]:
        """Removed children whose prerequisites must be kept.

        A step that waits for any child did not wait for a particular one.
        """
        removed = [child for child in children if child in self._removed]
        if not removed or awaited(draft)[0] == "any":
            return
        known, tasks = self._known(draft)
        known.update(self._descendants(draft.id))
        for child in removed:
            prerequisites = self._prerequisites[child]
            gates = {gate.id for gate in prerequisites.gates}
            if not (known.issuperset(prerequisites.needs) and tasks.issuperset(gates)):
                yield child

    def _descendants(self, step: str) -> Iterator[str]:
        for child in self._children.get(step, ()):
            yield child
            yield from self._descendants(child)

    def _lose_awaited(self, draft: Draft) -> None:
        """A step that waits for removed children of another step waits for their prerequisites.

        If that step completes with any of its children, it keeps none of them for those that wait for all.
        """
        how, of = awaited(draft)
        if of is None or of == draft.id:
            return
        children = self._children.get(of, [])
        lost = [child for child in children if child in self._removed]
        if of in self._removed or (children and len(lost) == len(children)):
            self._take_over(draft, lost)
            draft.waits_for = ""
        elif lost and how == "all" and awaited(self._graph[of])[0] == "any":
            self._take_over(draft, lost)


def _unique_gates(gates: Iterable[StepGate]) -> tuple[StepGate, ...]:
    return tuple({gate.id: gate for gate in gates}.values())


def _milestone(draft: Draft) -> Draft:
    """The milestone in the place of a removed step, so that its parent waits as long as before."""
    kept = {name: getattr(draft, name) for name in ("id", "title", "parent", "rank", "place")}
    return Draft(**kept, type=MILESTONE)
