"""The steps of a formula during compilation: a flat graph, and the ways to rewire it.

Order is never lost: when a step is replaced, surrounded or removed, the steps that waited for it wait for its
replacements or its prerequisites. Every pass changes the graph in these ways only.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain

from orchestrator.core.errors import BadInput, did_you_mean
from orchestrator.core.multimap import multimap
from orchestrator.core.problems import Problems
from orchestrator.formulas.steps import (
    Draft,
    awaited,
    last_of,
    map_texts,
    task_gates,
    unique,
    with_references,
)
from orchestrator.formulas.values import Values

MOST_STEPS = 10_000
"""Steps that a formula may compile to."""

MOST_NEEDS = 200_000
"""Needs that all steps of a compilation may have together."""


class StepGraph:
    """Drafts by id, in order.

    Args:
        values: Fill ids, and references to other steps, as soon as a step is added: steps are found by them.
    """

    def __init__(self, values: Values) -> None:
        self._values = values
        self._drafts: dict[str, Draft] = {}
        self._needs = 0
        self._added = 0

    def __iter__(self) -> Iterator[Draft]:
        return iter(sorted(self._drafts.values(), key=lambda draft: draft.rank))

    def __len__(self) -> int:
        return len(self._drafts)

    def __getitem__(self, step: str) -> Draft:
        return self._drafts[step]

    @property
    def is_full(self) -> bool:
        """Whether no step can be added."""
        return len(self._drafts) >= MOST_STEPS

    def find(self, step: str, place: str, problems: Problems) -> Draft | None:
        """The draft with this id; if there is none, note the problem."""
        draft = self._drafts.get(step)
        if draft is None and step:
            near = did_you_mean(step, [draft.id for draft in self])
            problems.note(place, f"there is no step {step!a}{near}")
        return draft

    def add(self, drafts: Iterable[Draft]) -> None:
        """Add drafts at the end.

        Raises:
            BadInput: An id is taken, or there are too many.
        """
        for draft in drafts:
            self._added += 1
            self._put(self._with_filled_references(draft), (self._added,))

    def _put(self, draft: Draft, rank: tuple[int, ...]) -> None:
        other = self._drafts.get(draft.id)
        if other is not None:
            where = f" ({other.place})" if other.place != draft.place else ""
            raise BadInput(f"there are two steps with the id {draft.id!a}{where}")
        if self.is_full:
            raise BadInput(f"there are more than {MOST_STEPS} steps")
        draft.rank = rank
        self._drafts[draft.id] = draft

    # Rewiring

    def replace(self, target: Draft, new: list[Draft]) -> None:
        """Replace a draft without children by others.

        The first of them wait for what the target waited for; who waited for the target waits for the last.

        Raises:
            BadInput: An id is taken, there are too many, or another step waits for the children of the
                target, or for any child of its parent.
        """
        for draft in self._drafts.values():
            if draft.waits_for and awaited(draft)[1] == target.id:
                raise BadInput(f"{draft.id!a} waits for its children, but other steps replace it")
        ids = {draft.id for draft in new}
        last = [draft.id for draft in last_of(new)]
        top = [draft for draft in new if draft.parent is None]
        if len(top) > 1:
            self._check_siblings_allowed(target)
        for draft in top:
            draft.parent = target.parent
            if ids.isdisjoint(draft.needs):
                draft.needs = unique(target.needs + draft.needs)
                draft.gates = target.gates + draft.gates
                _wait_too(draft, target)
        del self._drafts[target.id]
        for number, draft in enumerate(new):
            self._put(draft, (*target.rank, number))
        self._wait_instead(target.id, last, but=ids)

    def put_before(self, target: Draft, new: Draft) -> None:
        """Insert a step before a target: it takes over the needs and task gates of the target.

        Other gates stay with the target: the new step can be done while someone decides.

        Raises:
            BadInput: Its id is taken, or another step waits for any child of the parent.
        """
        self._put_beside(target, new, 0)
        new.needs = unique(target.needs + new.needs)
        new.gates = (*task_gates(target), *new.gates)
        if awaited(target)[1] != target.id:
            _wait_too(new, target)
        target.needs = (new.id,)

    def put_after(self, target: Draft, new: Draft) -> None:
        """Insert a step after a target: who waited for the target waits for it.

        Raises:
            BadInput: As :meth:`put_before`.
        """
        self._put_beside(target, new, 1)
        self._wait_instead(target.id, [new.id], but={new.id})
        new.needs = unique((target.id, *new.needs))

    def _put_beside(self, target: Draft, new: Draft, position: int) -> None:
        self._check_siblings_allowed(target)
        new.parent = target.parent
        rank = target.rank
        target.rank = (*rank, 1 - position)
        self._put(new, (*rank, position))

    def _check_siblings_allowed(self, target: Draft) -> None:
        """Refuse more children where any child is enough: a part of the target would be enough then."""
        for draft in self._drafts.values():
            if draft.waits_for and target.parent and awaited(draft) == ("any", target.parent):
                raise BadInput(
                    f"{draft.id!a} waits for any child of {target.parent!a}, so no child can be added"
                )

    def _wait_instead(self, old: str, new: list[str], *, but: set[str]) -> None:
        for draft in self._drafts.values():
            if old in draft.needs and draft.id not in but:
                self.count_needs(len(new))
                needs = (new if need == old else [need] for need in draft.needs)
                draft.needs = unique(chain.from_iterable(needs))

    def count_needs(self, number: int) -> None:
        """Count needs that are added.

        Raises:
            BadInput: There are too many.
        """
        self._needs += number
        if self._needs > MOST_NEEDS:
            raise BadInput(f"its steps have more than {MOST_NEEDS} needs")

    def remove(self, removed: set[str], milestones: Mapping[str, Draft]) -> None:
        """Remove steps; milestones replace some of them."""
        self._drafts = {
            step: milestones.get(step, draft)
            for step, draft in self._drafts.items()
            if step not in removed or step in milestones
        }

    # Relations

    def ancestors(self, draft: Draft) -> Iterator[Draft]:
        """The parents of a step, the nearest first."""
        while draft.parent is not None:
            draft = self._drafts[draft.parent]
            yield draft

    def children(self) -> dict[str, list[str]]:
        """The children of each step that has some."""
        drafts = self._drafts.values()
        return multimap((draft.parent, draft.id) for draft in drafts if draft.parent is not None)

    def prerequisites(self, draft: Draft, children: Mapping[str, list[str]]) -> Iterator[str]:
        """What must be done before a step is ready: its needs, those of its parents, awaited children."""
        for step in chain([draft], self.ancestors(draft)):
            yield from (need for need in step.needs if need in self._drafts)
        yield from children.get(draft.id, ())
        yield from children.get(awaited(draft)[1] or "", ())

    # Texts

    def rewrite(self, draft: Draft, change: Callable[[str], str]) -> Draft:
        """A draft with every text changed, including references and its loop."""

        def changed(text: str) -> str:
            return self._values.spend(change(text)) if "{" in text else text

        rewritten: Draft = map_texts(draft, changed)
        return self._with_filled_references(rewritten)

    def rename(self, draft: Draft, new_ids: Mapping[str, str]) -> Draft:
        """A draft that has a new id, and refers to other steps by their new ids."""

        def new(step: str) -> str:
            return new_ids.get(self._values.fill(step), step)

        renamed = with_references(draft, new)
        renamed.id = new(draft.id)
        renamed.parent = None if draft.parent is None else new(draft.parent)
        return renamed

    def _with_filled_references(self, draft: Draft) -> Draft:
        """Fill the id of a draft, and its references to other steps."""
        fill = self._values.fill
        draft.id, draft.waits_for = fill(draft.id), fill(draft.waits_for)
        draft.needs = unique(map(fill, draft.needs))
        draft.parent = None if draft.parent is None else fill(draft.parent)
        draft.expand = fill(draft.expand)
        return draft


def _wait_too(draft: Draft, target: Draft) -> None:
    """Let a step wait for the children that another one waits for.

    Raises:
        BadInput: It already waits for other children.
    """
    if draft.waits_for not in ("", target.waits_for) and target.waits_for:
        raise BadInput(f"{draft.id!a} cannot wait for {draft.waits_for} and {target.waits_for}")
    draft.waits_for = target.waits_for or draft.waits_for
