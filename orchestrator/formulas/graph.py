"""The steps of a formula while it is cooked: a flat graph in order, and the few ways in which it is rewired.

Nothing may be overtaken: a step that is replaced, goes around another or is left out hands on what it waited
for to those that waited for it. Every pass of cooking changes the graph by these ways only.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain

from orchestrator.core.errors import BadInput
from orchestrator.formulas.drafts import (
    Draft,
    ends_of,
    filled,
    loop_renamed,
    loop_with,
    once,
    tasks_of,
    waits_of,
)
from orchestrator.formulas.variables import Budget

MOST_STEPS = 10_000
"""Steps that a formula may be cooked to."""

MOST_NEEDS = 200_000
"""Needs that all steps of a cooking may have together."""


class StepGraph:
    """The drafts in their order, by id.

    Args:
        fill: Fills the placeholders of a text. Ids, and what steps say of one another, are filled as soon as
            a step is there: by them it is found.
        budget: What all texts may have together.
    """

    def __init__(self, fill: Callable[[str], str], budget: Budget) -> None:
        self._fill = fill
        self._budget = budget
        self._drafts: dict[str, Draft] = {}
        self._needs = 0
        self._added = 0

    def __iter__(self) -> Iterator[Draft]:
        return iter(sorted(self._drafts.values(), key=lambda draft: draft.rank))

    def __len__(self) -> int:
        return len(self._drafts)

    @property
    def is_full(self) -> bool:
        """Whether no step can be added."""
        return len(self._drafts) >= MOST_STEPS

    def __getitem__(self, draft_id: str) -> Draft:
        return self._drafts[draft_id]

    def get(self, draft_id: str) -> Draft | None:
        """The draft of this id."""
        return self._drafts.get(draft_id)

    def add(self, drafts: Iterable[Draft]) -> None:
        """Add drafts at the end.

        Raises:
            BadInput: An id is taken, or there are too many.
        """
        for draft in drafts:
            self._added += 1
            self._put(self._settled(draft), (self._added,))

    def ancestors(self, draft: Draft) -> Iterator[Draft]:
        """The steps that a step is a part of, the nearest first."""
        while draft.parent is not None:
            draft = self._drafts[draft.parent]
            yield draft

    def _put(self, draft: Draft, rank: tuple[int, ...]) -> None:
        other = self._drafts.get(draft.id)
        if other is not None:
            where = f" ({other.at})" if other.at != draft.at else ""
            raise BadInput(f"there are two steps with the id {draft.id!a}{where}")
        if self.is_full:
            raise BadInput(f"there are more than {MOST_STEPS} steps")
        draft.rank = rank
        self._drafts[draft.id] = draft

    # Rewiring

    def replace(self, target: Draft, new: list[Draft]) -> None:
        """Let drafts take the place of one without children.

        Those of them that wait for no other of them wait for what the target waited for; those that no
        other of them waits for are waited for in its place.

        Raises:
            BadInput: An id is taken, there are too many, or somebody waits for the children of the target, or
                for any of the steps beside it.
        """
        for draft in self._drafts.values():
            if draft.waits_for and waits_of(draft)[1] == target.id:
                raise BadInput(f"{draft.id!a} waits for children of it, and others take its place")
        ids = {draft.id for draft in new}
        ends = [draft.id for draft in ends_of(new)]
        top = [draft for draft in new if draft.parent is None]
        if len(top) > 1:
            self._refuse_more_parts(target)
        for draft in top:
            draft.parent = target.parent
            if ids.isdisjoint(draft.needs):
                draft.needs = once([*target.needs, *draft.needs])
                draft.gates = [*target.gates, *draft.gates]
                _wait_too(draft, target)
        del self._drafts[target.id]
        for number, draft in enumerate(new):
            self._put(draft, (*target.rank, number))
        self._wait_instead(target.id, ends, but=ids)

    def put_before(self, target: Draft, new: Draft) -> None:
        """Let a new step wait for the steps and tasks that the target waits for, and the target for it.

        The signals of the target stay with it: what comes before it may be done while somebody decides.

        Raises:
            BadInput: Its id is taken, or somebody waits for any of the steps beside it.
        """
        self._put_beside(target, new, before=True)
        new.needs = once([*target.needs, *new.needs])
        new.gates = [*tasks_of(target), *new.gates]
        if waits_of(target)[1] != target.id:
            _wait_too(new, target)
        target.needs = [new.id]

    def put_after(self, target: Draft, new: Draft) -> None:
        """Let a new step wait for the target, and whoever waits for the target for it.

        Raises:
            BadInput: As :meth:`put_before`.
        """
        self._put_beside(target, new, before=False)
        self._wait_instead(target.id, [new.id], but={new.id})
        new.needs = once([target.id, *new.needs])

    def _put_beside(self, target: Draft, new: Draft, *, before: bool) -> None:
        self._refuse_more_parts(target)
        new.parent = target.parent
        rank = target.rank
        target.rank = (*rank, 1 if before else 0)
        self._put(new, (*rank, 0 if before else 1))

    def _refuse_more_parts(self, target: Draft) -> None:
        """Nobody may wait for any of the parts that the target is among: a piece of it would be enough."""
        for draft in self._drafts.values():
            if draft.waits_for and target.parent and waits_of(draft) == ("any", target.parent):
                raise BadInput(
                    f"{draft.id!a} waits for any part of {target.parent!a}, so no part can be added"
                )

    def _wait_instead(self, old: str, new: list[str], *, but: set[str]) -> None:
        for draft in self._drafts.values():
            if old in draft.needs and draft.id not in but:
                self.count_needs(len(new))
                draft.needs = once(
                    chain.from_iterable(new if need == old else [need] for need in draft.needs)
                )

    def count_needs(self, number: int) -> None:
        """Count needs that are made, so that no formula can blow up.

        Raises:
            BadInput: There are too many.
        """
        self._needs += number
        if self._needs > MOST_NEEDS:
            raise BadInput(f"its steps have more than {MOST_NEEDS} needs")

    def remove(self, gone: set[str], milestones: Mapping[str, Draft]) -> None:
        """Take steps out; some of them leave a milestone in their place."""
        self._drafts = {
            draft_id: milestones.get(draft_id, draft)
            for draft_id, draft in self._drafts.items()
            if draft_id not in gone or draft_id in milestones
        }

    # What waits for what

    def waits(self, draft: Draft, parts: Mapping[str, list[str]]) -> Iterator[str]:
        """All that must be done before a step can be taken: needs, those of its parents, its parts."""
        for one in chain([draft], self.ancestors(draft)):
            yield from (need for need in one.needs if need in self._drafts)
        yield from parts.get(draft.id, ())
        of = waits_of(draft)[1]
        if of is not None:
            yield from parts.get(of, ())

    def parts(self) -> dict[str, list[str]]:
        """The parts of each step that has some."""
        parts: dict[str, list[str]] = {}
        for draft in self._drafts.values():
            if draft.parent is not None:
                parts.setdefault(draft.parent, []).append(draft.id)
        return parts

    # Texts

    def spend(self, text: str) -> str:
        """Count a text that was made; see :class:`Budget`."""
        self._budget.spend(len(text))
        return text

    def rewritten(self, draft: Draft, change: Callable[[str], str]) -> Draft:
        """A draft with every text of it changed, what it says of other steps and of its loop too."""

        def new(text: str) -> str:
            return self.spend(change(text)) if "{" in text else text

        made = filled(draft, new)
        made.id, made.waits_for = new(draft.id), new(draft.waits_for)
        made.needs = [new(need) for need in draft.needs]
        made.parent = None if draft.parent is None else new(draft.parent)
        made.expand_vars = {key: new(text) for key, text in draft.expand_vars.items()}
        made.loop = None if draft.loop is None else loop_with(draft.loop, new)
        return self._settled(made)

    def renamed(self, draft: Draft, new_ids: Mapping[str, str]) -> None:
        """Let a step, and the body of its loop, speak of other steps by their new ids."""

        def new(named: str) -> str:
            return new_ids.get(self._fill(named), named)

        how, of = waits_of(draft)
        if of is not None and of != draft.id:
            draft.waits_for = f"{how}:{new(of)}"
        draft.needs = [new(need) for need in draft.needs]
        draft.parent = None if draft.parent is None else new(draft.parent)
        draft.loop = None if draft.loop is None else loop_renamed(draft.loop, new)
        draft.id = new(draft.id)

    def _settled(self, draft: Draft) -> Draft:
        """The same draft with its id, and what it says of other steps, filled."""
        draft.id, draft.waits_for = self._fill(draft.id), self._fill(draft.waits_for)
        draft.needs = once(map(self._fill, draft.needs))
        draft.parent = None if draft.parent is None else self._fill(draft.parent)
        draft.expand = self._fill(draft.expand)
        return draft


def _wait_too(draft: Draft, target: Draft) -> None:
    """Let a step wait for the children that another one waits for.

    Raises:
        BadInput: It waits for others already.
    """
    if not target.waits_for:
        return
    if draft.waits_for not in ("", target.waits_for):
        raise BadInput(f"{draft.id!a} cannot wait for {draft.waits_for} and {target.waits_for}")
    draft.waits_for = target.waits_for
