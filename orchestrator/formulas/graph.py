"""The steps of a formula while it is cooked: a flat graph in order, and the few ways in which it is rewired.

Nothing may be overtaken: a step that is replaced, goes around another or is left out hands on what it waited
for to those that waited for it. Every pass of cooking changes the graph by these ways only.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import TypeVar

import msgspec

from orchestrator.core.errors import BadInput
from orchestrator.domain.cooked import MILESTONE
from orchestrator.domain.ordering import in_order
from orchestrator.formulas.schema import Gate, Loop, Step
from orchestrator.formulas.variables import Budget

MOST_STEPS = 10_000
"""Steps that a formula may be cooked to."""

MOST_NEEDS = 200_000
"""Needs that all steps of a cooking may have together."""

NEVER = "no == yes"
"""The condition of a step that is left out whatever the variables are, as a loop without rounds is."""


class Draft(msgspec.Struct, kw_only=True):
    """A step in the making; see :class:`orchestrator.formulas.schema.Step` for what the fields mean.

    Attributes:
        parent: The step that it is a part of.
        conditions: It is left out unless all of them are true.
        inserted: An aspect put it there, so no aspect goes around it.
        rank: Where it stands: what takes the place of a step stands there too.
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
    rank: tuple[int, ...] = ()
    at: str = ""


TEXTS = (
    "title", "description", "type", "assignee", "acceptance", "expand", "until", "verify_timeout",
)  # fmt: skip
LISTS = ("labels", "conditions", "verify", "artifacts", "touches")


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
                draft.needs = _once([*target.needs, *draft.needs])
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
        new.needs = _once([*target.needs, *new.needs])
        new.gates = [*_tasks_of(target), *new.gates]
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
        new.needs = _once([target.id, *new.needs])

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
                draft.needs = _once(
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
        handed = self._handed(gone, parts)
        milestones: dict[str, Draft] = {}
        for draft in [draft for draft in self if draft.id not in gone]:
            dropped_needs = [need for need in draft.needs if need in gone]
            if dropped_needs:
                kept = [need for need in draft.needs if need not in gone]
                self._take_over(draft, kept, [handed[need] for need in dropped_needs])
            own = parts.get(draft.id, [])
            if own and gone.issuperset(own):
                self._lose_parts(draft, own, handed)
            else:
                for part in self._still_waited_for(draft, own, handed, parts):
                    milestones[part] = _milestone(self._drafts[part])
                    self._take_over(milestones[part], (), [handed[part]])
            self._wait_for_lost(draft, parts, gone, handed)
        self._drafts = {
            draft_id: milestones.get(draft_id, draft)
            for draft_id, draft in self._drafts.items()
            if draft_id not in gone or draft_id in milestones
        }

    def _handed(self, gone: set[str], parts: Mapping[str, list[str]]) -> dict[str, "Handed"]:
        """What each dropped step waited for among those that stay, directly or by way of dropped ones."""
        waits = {step: [*self.waits(self._drafts[step], parts)] for step in gone}
        rank = {draft.id: number for number, draft in enumerate(self)}
        order, circle = in_order(
            {s: gone.intersection(w) for s, w in waits.items()}, rank.__getitem__
        )
        found: dict[str, Handed] = {}
        size, before = 0, -1
        # Once in order is enough; those that wait for one another in a circle hand on the same in the end.
        while not found or (circle and size != before):
            for step in sorted(gone, key=rank.__getitem__) if circle else order:
                found[step] = self._sum_of(self._drafts[step], waits[step], gone, found)
            size, before = sum(len(one.needs) + len(one.gates) for one in found.values()), size
        return found

    def _sum_of(
        self, draft: Draft, others: list[str], gone: set[str], found: Mapping[str, "Handed"]
    ) -> "Handed":
        behind = [found[one] for one in others if one in found]
        self.count_needs(sum(len(one.needs) for one in behind))
        needs = chain((o for o in others if o not in gone), *(one.needs for one in behind))
        tasks = map(_tasks_of, chain([draft], self.ancestors(draft)))
        gates = chain(*tasks, *(one.gates for one in behind))
        return Handed(needs=_once(needs), gates=[*{gate.id: gate for gate in gates}.values()])

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

    def _take_over(self, draft: Draft, kept: Iterable[str], handed: Iterable["Handed"]) -> None:
        """Let a step wait for what was handed on to it, unless its parents do so anyway."""
        handed = [*handed]
        above = [*self.ancestors(draft)]
        known = {draft.id, *chain.from_iterable(one.needs for one in above)}
        more = (need for one in handed for need in one.needs if need not in known)
        draft.needs = _once((*kept, *more))
        has = {gate.id for one in (draft, *above) for gate in _tasks_of(one)}
        gates = (gate for one in handed for gate in one.gates if gate.id not in has)
        draft.gates = [*draft.gates, *{gate.id: gate for gate in gates}.values()]

    def _lose_parts(self, draft: Draft, parts: list[str], handed: Mapping[str, "Handed"]) -> None:
        """A step whose parts were all dropped waits for what they waited for."""
        self._take_over(draft, draft.needs, [handed[part] for part in parts])
        if waits_of(draft)[1] == draft.id:
            draft.waits_for = ""
        draft.until = ""

    def _still_waited_for(
        self,
        draft: Draft,
        own: list[str],
        handed: Mapping[str, "Handed"],
        parts: Mapping[str, list[str]],
    ) -> Iterator[str]:
        """The dropped parts of a step by way of which it waited for something that it would overtake now.

        Whoever waits for any part waited for none of them in particular.
        """
        dropped = [part for part in own if part in handed]
        if dropped and waits_of(draft)[0] != "any":
            above = [draft, *self.ancestors(draft)]
            known = {*_below(draft.id, parts), *chain.from_iterable(one.needs for one in above)}
            tasks = {gate.id for one in above for gate in _tasks_of(one)}
            for part in dropped:
                behind = handed[part]
                if not known.issuperset(behind.needs) or any(
                    g.id not in tasks for g in behind.gates
                ):
                    yield part

    def _wait_for_lost(
        self,
        draft: Draft,
        parts: Mapping[str, list[str]],
        gone: set[str],
        handed: Mapping[str, "Handed"],
    ) -> None:
        """A step that waited for parts of another one that are gone waits for what they waited for.

        A step that is done with any of its parts keeps none of them for those that wait for all.
        """
        how, of = waits_of(draft)
        if of is None or of == draft.id:
            return
        awaited = parts.get(of, [])
        lost = [part for part in awaited if part in gone]
        if of in gone or (awaited and len(lost) == len(awaited)):
            self._take_over(draft, draft.needs, [handed[part] for part in awaited])
            draft.waits_for = ""
        elif lost and how == "all" and waits_of(self._drafts[of])[0] == "any":
            self._take_over(draft, draft.needs, [handed[part] for part in lost])

    # Texts

    def spend(self, text: str) -> str:
        """Count a text that was made; see :class:`Budget`."""
        self._budget.spend(len(text))
        return text

    def rewritten(self, draft: Draft, change: Callable[[str], str]) -> Draft:
        """A draft with every text of it changed, what it says of other steps and of its loop too."""

        def new(text: str) -> str:
            return self.spend(change(text)) if "{" in text else text

        made = self.filled(draft, new)
        made.id, made.waits_for = new(draft.id), new(draft.waits_for)
        made.needs = [new(need) for need in draft.needs]
        made.parent = None if draft.parent is None else new(draft.parent)
        made.expand_vars = {key: new(text) for key, text in draft.expand_vars.items()}
        made.loop = None if draft.loop is None else _loop_with(draft.loop, new)
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
        draft.loop = None if draft.loop is None else _loop_renamed(draft.loop, new)
        draft.id = new(draft.id)

    @staticmethod
    def filled(draft: Draft, new: Callable[[str], str]) -> Draft:
        """A draft with the texts changed that no other step names."""
        fields: dict[str, object] = {name: new(getattr(draft, name)) for name in TEXTS}
        fields |= {name: [new(text) for text in getattr(draft, name)] for name in LISTS}
        fields["gates"] = [_gate_with(gate, new) for gate in draft.gates]
        if isinstance(draft.estimate, str):
            fields["estimate"] = new(draft.estimate)
        return msgspec.structs.replace(draft, **fields)

    def _settled(self, draft: Draft) -> Draft:
        """The same draft with its id, and what it says of other steps, filled."""
        draft.id, draft.waits_for = self._fill(draft.id), self._fill(draft.waits_for)
        draft.needs = _once(map(self._fill, draft.needs))
        draft.parent = None if draft.parent is None else self._fill(draft.parent)
        draft.expand = self._fill(draft.expand)
        return draft


class Handed(msgspec.Struct, frozen=True):
    """What a dropped step hands on: the steps, and the tasks of the board, that it waited for."""

    needs: list[str]
    gates: list[Gate]


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


def ends_of(drafts: Iterable[Draft]) -> list[Draft]:
    """Those of several steps, parts aside, that must be done for all of them to be done.

    What only a part waits for that its parent may be done without is an end too.
    """
    by_id = {draft.id: draft for draft in drafts}
    loose = {
        draft.id for draft in by_id.values() if draft.until or waits_of(draft) == ("any", draft.id)
    }
    waited_for: set[str] = set()
    for draft in by_id.values():
        above = draft.parent
        while above is not None and above not in loose:
            above = by_id[above].parent
        if above is None:
            waited_for.update(draft.needs)
    return [
        draft for draft in by_id.values() if draft.parent is None and draft.id not in waited_for
    ]


ITERATION = "iteration"
"""What the body of every loop calls the number of the round, counted from 1."""


def _loop_with(loop: Loop, change: Callable[[str], str]) -> Loop:
    """A loop with every text of it and of its body changed.

    The names that a body has of its own round are not touched in it: they hide those of the same name around.
    """
    own = "|".join(map(re.escape, filter(None, (ITERATION, loop.var))))
    hidden = re.compile(rf"(\{{\{{\s*(?:{own})\s*\}}\}}|\{{(?:{own})\}})")

    def inside(text: str) -> str:
        pieces = hidden.split(text)
        return "".join(p if at % 2 else change(p) for at, p in enumerate(pieces))

    body = tuple(_step_with(step, inside) for step in loop.body)
    return _with_texts(loop, change, body=body)


def _step_with(step: Step, change: Callable[[str], str]) -> Step:
    return _with_texts(
        step,
        change,
        gate=tuple(_gate_with(gate, change) for gate in step.gate),
        children=tuple(_step_with(child, change) for child in step.children),
        loop=None if step.loop is None else _loop_with(step.loop, change),
        expand_vars={key: change(text) for key, text in step.expand_vars.items()},
    )


R = TypeVar("R", Loop, Step)


def _with_texts(record: R, change: Callable[[str], str], **fields: object) -> R:
    """A record with its texts and lists of texts changed, and some of its fields given."""
    for name in record.__struct_fields__:
        value = getattr(record, name)
        if name == "at" or name in fields:
            continue
        if isinstance(value, str):
            fields[name] = change(value)
        elif isinstance(value, tuple):
            fields[name] = tuple(map(change, value))
    return msgspec.structs.replace(record, **fields)


def _loop_renamed(loop: Loop, new: Callable[[str], str]) -> Loop:
    """A loop whose body speaks of the steps around it by their new ids; its own ones hide them."""
    own = {draft.id for draft in drafts_of(loop.body)}

    def named(text: str) -> str:
        return text if text in own else new(text)

    def renamed(step: Step) -> Step:
        how, of = waits_of(step)
        return msgspec.structs.replace(
            step,
            needs=tuple(map(named, step.needs)),
            depends_on=tuple(map(named, step.depends_on)),
            waits_for=step.waits_for if of in (None, step.id) else f"{how}:{named(of or '')}",
            children=tuple(map(renamed, step.children)),
            loop=None if step.loop is None else _loop_renamed(step.loop, named),
        )

    return msgspec.structs.replace(loop, body=tuple(map(renamed, loop.body)))


def inherit(draft: Draft, target: Draft) -> None:
    """Give a step that takes the place of another one, or goes around it, what it does not say itself."""
    draft.priority = target.priority if draft.priority is None else draft.priority
    if draft.type != MILESTONE:  # a loop hands it on to its rounds
        draft.assignee = draft.assignee or target.assignee
    draft.labels = _once([*target.labels, *draft.labels])
    draft.touches = _once([*target.touches, *draft.touches])


def show_what_it_shows(draft: Draft, target: Draft) -> None:
    """Give the last step of those that take the place of another one what that had to show.

    Raises:
        BadInput: It is a milestone, which is done by itself and so shows nothing.
    """
    if is_milestone(draft) and (target.verify or target.artifacts or target.review):
        raise BadInput(
            f"{target.id!a} has checks, and what is last in its place, {draft.id!a}, is a milestone:"
            " it is done by itself, so it shows nothing"
        )
    if target.acceptance and target.acceptance not in draft.acceptance:
        draft.acceptance = "\n\n".join(filter(None, [draft.acceptance, target.acceptance]))
    draft.verify = _once([*draft.verify, *target.verify])
    draft.verify_timeout = draft.verify_timeout or target.verify_timeout
    draft.artifacts = _once([*draft.artifacts, *target.artifacts])
    draft.review = draft.review or target.review


def is_milestone(step: Draft | Step) -> bool:
    """Whether a step is done by itself, as the one that holds the rounds of a loop with ``until`` is."""
    return step.type == MILESTONE or (step.loop is not None and bool(step.loop.until))


def _tasks_of(draft: Draft) -> list[Gate]:
    """The tasks of the board that a step waits for."""
    return [gate for gate in draft.gates if gate.type == "task"]


def _gate_with(gate: Gate, change: Callable[[str], str]) -> Gate:
    """A gate with every text of it changed."""
    return msgspec.structs.replace(
        gate,
        id=change(gate.id),
        condition=change(gate.condition),
        timeout=change(gate.timeout),
    )


def waits_of(draft: Draft | Step) -> tuple[str, str | None]:
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


def _below(draft_id: str, parts: Mapping[str, list[str]]) -> Iterator[str]:
    waiting = [draft_id]
    while waiting:
        below = parts.get(waiting.pop(), [])
        yield from below
        waiting += below


def _once(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))
