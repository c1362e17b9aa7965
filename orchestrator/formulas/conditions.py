"""Leaving steps out: those whose condition is false, with all of their parts.

Nobody overtakes what a dropped step waited for: whoever waited for the step waits for that.
"""

from collections.abc import Iterable, Iterator
from itertools import chain

import msgspec

from orchestrator.core.topological import topological_order
from orchestrator.domain.workflows.compiled import MILESTONE
from orchestrator.formulas.drafts import Draft, once, tasks_of, waits_of
from orchestrator.formulas.graph import StepGraph
from orchestrator.formulas.schema import StepGate


def leave_out(graph: StepGraph, dropped: set[str]) -> None:
    """Take steps out of a graph.

    Whoever needed a dropped step waits for what that waited for. A parent that would be done too early keeps
    the dropped part as a milestone.

    Args:
        graph: Is changed.
        dropped: The steps; their parts go with them.

    Raises:
        BadInput: There are too many needs then.
    """
    gone = {
        draft.id
        for draft in graph
        if draft.id in dropped or any(above.id in dropped for above in graph.ancestors(draft))
    }
    if gone:
        _LeavingOut(graph, gone).apply()


class _Handed(msgspec.Struct, frozen=True):
    """What a dropped step hands on: the steps, and the tasks of the board, that it waited for."""

    needs: list[str]
    gates: list[StepGate]


class _LeavingOut:
    """The steps that go, and what each of them hands on."""

    def __init__(self, graph: StepGraph, gone: set[str]) -> None:
        self._graph = graph
        self._gone = gone
        self._parts = graph.parts()
        self._handed: dict[str, _Handed] = {}
        self._hand_on()

    def apply(self) -> None:
        """Let those that stay wait for what was handed on, and take the others out."""
        milestones: dict[str, Draft] = {}
        for draft in [draft for draft in self._graph if draft.id not in self._gone]:
            lost = [need for need in draft.needs if need in self._gone]
            if lost:
                draft.needs = [need for need in draft.needs if need not in self._gone]
                self._take_over(draft, lost)
            own = self._parts.get(draft.id, [])
            if own and self._gone.issuperset(own):
                self._lose_parts(draft, own)
            else:
                for part in self._still_waited_for(draft, own):
                    milestones[part] = _milestone(self._graph[part])
                    self._take_over(milestones[part], [part])
            self._wait_for_lost(draft)
        self._graph.remove(self._gone, milestones)

    # What is handed on

    def _hand_on(self) -> None:
        """Find what each dropped step waited for among those that stay, by way of dropped ones too."""
        waits = {
            draft.id: [*self._graph.waits(draft, self._parts)]
            for draft in self._graph
            if draft.id in self._gone
        }
        among = {step: self._gone.intersection(others) for step, others in waits.items()}
        order, circle = topological_order(among)
        if circle:
            order = [*waits]
        size, before = 0, -1
        # Once in order is enough; those that wait for one another in a circle hand on the same in the end.
        while before < 0 or (circle and size != before):
            for step in order:
                self._handed[step] = self._sum_of(self._graph[step], waits[step])
            said = self._handed.values()
            size, before = sum(len(one.needs) + len(one.gates) for one in said), size

    def _sum_of(self, draft: Draft, others: list[str]) -> _Handed:
        behind = [self._handed[one] for one in others if one in self._handed]
        self._graph.count_needs(sum(len(one.needs) for one in behind))
        stay = (other for other in others if other not in self._gone)
        needs = chain(stay, *(one.needs for one in behind))
        tasks = map(tasks_of, chain([draft], self._graph.ancestors(draft)))
        gates = chain(*tasks, *(one.gates for one in behind))
        return _Handed(needs=once(needs), gates=[*{gate.id: gate for gate in gates}.values()])

    # Who takes it over

    def _take_over(self, draft: Draft, dropped: Iterable[str]) -> None:
        """Let a step wait for what dropped ones hand on, unless its parents do so anyway."""
        handed = [self._handed[step] for step in dropped]
        above = [*self._graph.ancestors(draft)]
        known = {draft.id, *chain.from_iterable(one.needs for one in above)}
        more = (need for one in handed for need in one.needs if need not in known)
        draft.needs = once((*draft.needs, *more))
        has = {gate.id for one in (draft, *above) for gate in tasks_of(one)}
        gates = (gate for one in handed for gate in one.gates if gate.id not in has)
        draft.gates = [*draft.gates, *{gate.id: gate for gate in gates}.values()]

    def _lose_parts(self, draft: Draft, parts: list[str]) -> None:
        """A step whose parts were all dropped waits for what they waited for."""
        self._take_over(draft, parts)
        if waits_of(draft)[1] == draft.id:
            draft.waits_for = ""
        draft.until = ""

    def _still_waited_for(self, draft: Draft, own: list[str]) -> Iterator[str]:
        """The dropped parts of a step by way of which it waited for something that it would overtake now.

        Whoever waits for any part waited for none of them in particular.
        """
        dropped = [part for part in own if part in self._gone]
        if dropped and waits_of(draft)[0] != "any":
            above = [draft, *self._graph.ancestors(draft)]
            known = {*self._below(draft.id), *chain.from_iterable(one.needs for one in above)}
            tasks = {gate.id for one in above for gate in tasks_of(one)}
            for part in dropped:
                behind = self._handed[part]
                named = {gate.id for gate in behind.gates}
                if not (known.issuperset(behind.needs) and tasks.issuperset(named)):
                    yield part

    def _below(self, step: str) -> Iterator[str]:
        waiting = [step]
        while waiting:
            below = self._parts.get(waiting.pop(), [])
            yield from below
            waiting += below

    def _wait_for_lost(self, draft: Draft) -> None:
        """A step that waited for parts of another one that are gone waits for what they waited for.

        A step that is done with any of its parts keeps none of them for those that wait for all.
        """
        how, of = waits_of(draft)
        if of is None or of == draft.id:
            return
        awaited = self._parts.get(of, [])
        lost = [part for part in awaited if part in self._gone]
        if of in self._gone or (awaited and len(lost) == len(awaited)):
            self._take_over(draft, lost)
            draft.waits_for = ""
        elif lost and how == "all" and waits_of(self._graph[of])[0] == "any":
            self._take_over(draft, lost)


def _milestone(draft: Draft) -> Draft:
    """What stays of a dropped step, so that its parent waits as long as before."""
    return Draft(
        id=draft.id,
        title=draft.title,
        type=MILESTONE,
        parent=draft.parent,
        rank=draft.rank,
        at=draft.at,
    )
