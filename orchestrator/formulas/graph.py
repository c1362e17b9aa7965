"""The steps of a formula while it is cooked: a flat graph in order, and the few ways in which it is rewired.

Nothing may be overtaken: a step that is replaced, goes around another or is left out hands on what it waited
for to those that waited for it. Every pass of cooking changes the graph by these ways only.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain

import msgspec

from orchestrator.core.errors import BadInput
from orchestrator.domain.checks import LONGEST_TEXT
from orchestrator.domain.cooked import MILESTONE
from orchestrator.formulas.schema import Gate, Loop, Step

MOST_STEPS = 10_000
"""Steps that a formula may be cooked to."""

MOST_TEXT = 64 * 1024 * 1024
"""Characters that all texts of a cooking may have together."""


class Draft(msgspec.Struct, kw_only=True):
    """A step in the making; see :class:`orchestrator.formulas.schema.Step` for what the fields mean.

    Attributes:
        parent: The step that it is a part of.
        conditions: It is left out unless all of them are true.
        inserted: An aspect put it there, so no aspect goes around it.
        at: Where it was written.
    """

    id: str
    title: str = ""
    description: str = ""
    type: str = ""
    priority: int | None = None
    labels: list[str] = []
    needs: list[str] = []
    parent: str | None = None
    waits_for: str = ""
    gates: list[Gate] = []
    assignee: str = ""
    acceptance: str = ""
    conditions: list[str] = []
    expand: str = ""
    expand_vars: dict[str, str] = {}
    loop: Loop | None = None
    until: str = ""
    verify: list[str] = []
    verify_timeout: str = ""
    artifacts: list[str] = []
    review: bool = False
    touches: list[str] = []
    estimate: str | float | None = None
    inserted: bool = False
    at: str = ""


TEXTS = (
    "id", "title", "description", "type", "waits_for", "assignee", "acceptance", "expand", "until",
    "verify_timeout",
)  # fmt: skip
LISTS = ("labels", "needs", "conditions", "verify", "artifacts", "touches")


def drafts_of(steps: Iterable[Step], parent: str | None = None) -> Iterator[Draft]:
    """The drafts of steps and of their children, each behind its parent."""
    for step in steps:
        yield Draft(
            id=step.id,
            title=step.title,
            description=step.description,
            type=step.type,
            priority=step.priority,
            labels=list(step.labels),
            needs=_once((*step.needs, *step.depends_on)),
            parent=parent,
            waits_for=step.waits_for,
            gates=list(step.gate),
            assignee=step.assignee,
            acceptance=step.acceptance,
            conditions=[step.condition] if step.condition.strip() else [],
            expand=step.expand,
            expand_vars=dict(step.expand_vars),
            loop=step.loop,
            until=step.until,
            verify=list(step.verify),
            verify_timeout=step.verify_timeout,
            artifacts=list(step.artifacts),
            review=step.review,
            touches=list(step.touches),
            estimate=step.estimate,
            at=step.at,
        )
        yield from drafts_of(step.children, step.id)


class Graph:
    """The drafts in their order, by id."""

    def __init__(self, drafts: Iterable[Draft] = ()) -> None:
        self._drafts: dict[str, Draft] = {}
        self._text = 0
        self.add(drafts)

    def __iter__(self) -> Iterator[Draft]:
        return iter([*self._drafts.values()])

    def __len__(self) -> int:
        return len(self._drafts)

    def get(self, draft_id: str) -> Draft | None:
        """The draft of this id."""
        return self._drafts.get(draft_id)

    def add(self, drafts: Iterable[Draft]) -> None:
        """Add drafts at the end.

        Raises:
            BadInput: An id is taken, or there are too many.
        """
        for draft in drafts:
            self._check_new(draft)
            self._drafts[draft.id] = draft

    def ancestors(self, draft: Draft) -> Iterator[Draft]:
        """The steps that a step is a part of, the nearest first."""
        while draft.parent is not None:
            draft = self._drafts[draft.parent]
            yield draft

    # Rewiring

    def replace(self, target: Draft, new: list[Draft]) -> None:
        """Let drafts take the place of one without children.

        Those of them that wait for no other of them wait for what the target waited for; those that no
        other of them waits for are waited for in its place.

        Raises:
            BadInput: An id is taken, there are too many, or somebody waits for the children of the target.
        """
        waiting = [draft.id for draft in self if waits_of(draft)[1] == target.id]
        if waiting and waiting != [target.id]:
            raise BadInput(f"{waiting[0]!a} waits for children of it, and others take its place")
        ids = {draft.id for draft in new}
        waited_for = set(chain.from_iterable(draft.needs for draft in new))
        top = [draft for draft in new if draft.parent is None]
        for draft in top:
            draft.parent = target.parent
            if ids.isdisjoint(draft.needs):
                draft.needs = _once([*target.needs, *draft.needs])
                draft.gates = [*target.gates, *draft.gates]
        ends = [draft.id for draft in top if draft.id not in waited_for]
        self._put(target.id, new, keep=False)
        self._wait_instead(target.id, ends, but=ids)

    def put_before(self, target: Draft, new: Draft) -> None:
        """Let a new step wait for what the target waits for, and the target for it."""
        new.parent = target.parent
        new.needs = _once([*target.needs, *new.needs])
        target.needs = [new.id]
        self._put(target.id, [new, target], keep=True)

    def put_after(self, target: Draft, new: Draft) -> None:
        """Let a new step wait for the target, and whoever waits for the target for it."""
        new.parent = target.parent
        self._wait_instead(target.id, [new.id], but={new.id})
        new.needs = _once([target.id, *new.needs])
        self._put(target.id, [target, new], keep=True)

    def _put(self, at: str, drafts: list[Draft], *, keep: bool) -> None:
        """Put drafts where one stands, in its place or (``keep``) around it."""
        order: dict[str, Draft] = {}
        for draft_id, draft in self._drafts.items():
            if draft_id != at:
                order[draft_id] = draft
                continue
            for new in drafts:
                if not (keep and new.id == at):
                    self._check_new(new, instead_of=None if keep else at, beside=order)
                order[new.id] = new
        self._drafts = order

    def _check_new(
        self, draft: Draft, *, instead_of: str | None = None, beside: Iterable[str] = ()
    ) -> None:
        if draft.id in beside or (draft.id in self._drafts and draft.id != instead_of):
            other = self._drafts.get(draft.id)
            where = f" ({other.at})" if other is not None and other.at != draft.at else ""
            raise BadInput(f"there are two steps with the id {draft.id!a}{where}")
        if len(self._drafts) >= MOST_STEPS:
            raise BadInput(f"there are more than {MOST_STEPS} steps")

    def _wait_instead(self, old: str, new: list[str], *, but: set[str]) -> None:
        for draft in self._drafts.values():
            if draft.id not in but and old in draft.needs:
                draft.needs = _once(
                    chain.from_iterable(new if need == old else [need] for need in draft.needs)
                )

    # Leaving out

    def leave_out(self, dropped: set[str]) -> None:
        """Take steps out, with all of their parts; nobody overtakes what a dropped one waited for.

        Whoever needed a dropped step waits for what that waited for. A parent that would be done too early
        keeps the dropped part as a milestone.
        """
        gone = {
            draft.id
            for draft in self
            if draft.id in dropped or any(above.id in dropped for above in self.ancestors(draft))
        }
        if not gone:
            return
        parts = self.parts()
        handed = {draft_id: self._behind(draft_id, gone, parts) for draft_id in gone}
        milestones: dict[str, Draft] = {}
        for draft in (draft for draft in self if draft.id not in gone):
            kept = [need for need in draft.needs if need not in gone]
            behind = chain.from_iterable(handed[need] for need in draft.needs if need in gone)
            draft.needs = self._needed(draft, kept, behind)
            own = parts.get(draft.id, [])
            if own and gone.issuperset(own):
                self._lose_parts(draft, own, handed)
            else:
                for part in self._still_waited_for(draft, own, handed, parts):
                    milestones[part] = _milestone(self._drafts[part], handed[part])
            self._wait_for_lost(draft, parts, gone, handed)
        self._drafts = {
            draft_id: milestones.get(draft_id, draft)
            for draft_id, draft in self._drafts.items()
            if draft_id not in gone or draft_id in milestones
        }

    def _behind(self, draft_id: str, gone: set[str], parts: Mapping[str, list[str]]) -> list[str]:
        """The kept steps that a dropped one waited for, directly or by way of dropped ones."""
        found: dict[str, None] = {}
        seen = {draft_id}
        waiting = [draft_id]
        while waiting:
            for other in self.waits(self._drafts[waiting.pop()], parts):
                if other not in gone:
                    found[other] = None
                elif other not in seen:
                    seen.add(other)
                    waiting.append(other)
        return list(found)

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

    def _needed(self, draft: Draft, kept: Iterable[str], handed: Iterable[str]) -> list[str]:
        """The needs of a step with those that were handed on, unless its parents have them anyway."""
        known = {draft.id, *chain.from_iterable(above.needs for above in self.ancestors(draft))}
        return _once((*kept, *(need for need in handed if need not in known)))

    def _lose_parts(self, draft: Draft, parts: list[str], handed: Mapping[str, list[str]]) -> None:
        """A step whose parts were all dropped waits for what they waited for."""
        behind = chain.from_iterable(handed[part] for part in parts)
        draft.needs = self._needed(draft, draft.needs, behind)
        if waits_of(draft)[1] == draft.id:
            draft.waits_for = ""
        draft.until = ""

    def _still_waited_for(
        self,
        draft: Draft,
        own: list[str],
        handed: Mapping[str, list[str]],
        parts: Mapping[str, list[str]],
    ) -> Iterator[str]:
        """The dropped parts of a step by way of which it waited for something that it would overtake now."""
        dropped = [part for part in own if part in handed]
        if dropped:
            above = chain.from_iterable(above.needs for above in self.ancestors(draft))
            known = {*_below(draft.id, parts), *draft.needs, *above}
            yield from (part for part in dropped if not known.issuperset(handed[part]))

    def _wait_for_lost(
        self,
        draft: Draft,
        parts: Mapping[str, list[str]],
        gone: set[str],
        handed: Mapping[str, list[str]],
    ) -> None:
        """A step that waited for parts of another one, all of them gone, waits for what they waited for."""
        of = waits_of(draft)[1]
        if of is None or of == draft.id:
            return
        awaited = parts.get(of, [])
        if of in gone or (awaited and gone.issuperset(awaited)):
            behind = chain(handed.get(of, ()), *(handed[part] for part in awaited))
            draft.needs = self._needed(draft, draft.needs, behind)
            draft.waits_for = ""

    # Texts

    def spend(self, text: str) -> str:
        """Count a text that was made, so that no formula can blow up.

        Raises:
            BadInput: It is too long, or all texts together are.
        """
        self._text += len(text)
        if len(text) > LONGEST_TEXT or self._text > MOST_TEXT:
            raise BadInput(
                f"its texts grow beyond {MOST_TEXT} characters, or one beyond {LONGEST_TEXT}"
            )
        return text

    def rewritten(self, draft: Draft, change: Callable[[str], str]) -> Draft:
        """A draft with every text of it changed."""

        def new(text: str) -> str:
            return self.spend(change(text)) if "{" in text else text

        fields: dict[str, object] = {name: new(getattr(draft, name)) for name in TEXTS}
        fields |= {name: [new(text) for text in getattr(draft, name)] for name in LISTS}
        fields["expand_vars"] = {key: new(text) for key, text in draft.expand_vars.items()}
        fields["parent"] = None if draft.parent is None else new(draft.parent)
        fields["gates"] = [gate_with(gate, new) for gate in draft.gates]
        if isinstance(draft.estimate, str):
            fields["estimate"] = new(draft.estimate)
        return msgspec.structs.replace(draft, **fields)


def inherit(draft: Draft, target: Draft) -> None:
    """Give a step that takes the place of another one, or goes around it, what it does not say itself."""
    draft.priority = target.priority if draft.priority is None else draft.priority
    draft.assignee = draft.assignee or target.assignee
    draft.labels = _once([*target.labels, *draft.labels])


def gate_with(gate: Gate, change: Callable[[str], str]) -> Gate:
    """A gate with every text of it changed."""
    return msgspec.structs.replace(
        gate,
        id=change(gate.id),
        condition=change(gate.condition),
        timeout=change(gate.timeout),
    )


def waits_of(draft: Draft) -> tuple[str, str | None]:
    """How many (``all``, ``any``) children of which step a step waits for; ``all`` of none if it does not."""
    text = draft.waits_for
    for how in ("all", "any"):
        if text in (how, f"{how}-children"):
            return how, draft.id
        if text.startswith(f"{how}:"):
            return how, text[len(how) + 1 :]
    if text.startswith("children-of(") and text.endswith(")"):
        return "all", text[len("children-of(") : -1].strip()
    return "all", None


def _milestone(draft: Draft, needs: list[str]) -> Draft:
    """What stays of a dropped step, so that its parent waits as long as before."""
    return Draft(
        id=draft.id,
        title=draft.title,
        type=MILESTONE,
        needs=needs,
        parent=draft.parent,
        at=draft.at,
    )


def _below(draft_id: str, parts: Mapping[str, list[str]]) -> Iterator[str]:
    waiting = [draft_id]
    while waiting:
        below = parts.get(waiting.pop(), [])
        yield from below
        waiting += below


def _once(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))
