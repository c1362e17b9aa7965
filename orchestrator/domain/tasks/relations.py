"""The relations of a task: links, gates, progress of children, and signals from outside the graph."""

from typing import Literal, get_args

import msgspec
from msgspec.structs import replace

from orchestrator.domain.slices import Record

LinkKind = Literal["related", "discovered-from", "duplicates", "supersedes", "caused-by"]

KINDS: tuple[LinkKind, ...] = get_args(LinkKind)
"""Links that never block: this task is related to, was discovered from ... the other one."""


BlockingKind = Literal["needs", "needs-failure-of", "parent", "waits-for"]

BLOCKING: tuple[BlockingKind, ...] = get_args(BlockingKind)
"""Relations that can block a task: a need, a need of a failure, its parent, the children of a task."""

EdgeKind = Literal[BlockingKind, LinkKind]

GateKind = Literal["all", "any"]
"""The children that a task waits for: all that are wanted, or one."""

GATE_KINDS: dict[str, GateKind] = {"all": "all", "any": "any"}


class Link(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, array_like=True):
    """A link to another task that never blocks."""

    kind: LinkKind
    task: str


class Gate(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, array_like=True):
    """A gate: a task waits for ``all`` or ``any`` of the children of a task, itself or another one."""

    how: GateKind
    of: str


class Progress(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, array_like=True):
    """The progress of the children of a task, archived ones included."""

    total: int
    done: int
    cancelled: int

    def passes(self, how: GateKind) -> bool:
        """Whether a gate is open: any child is done, or there are some and all that are wanted are done."""
        if how == "any":
            return self.done > 0
        return 0 < self.total == self.done + self.cancelled

    @property
    def text(self) -> str:
        """Return it in words; an empty text if there are no children."""
        cancelled = f", {self.cancelled} cancelled" if self.cancelled else ""
        return f"{self.done} of {self.total} done{cancelled}" if self.total else ""

    def moved(self, before: str | None, after: str | None) -> "Progress":
        """Return the progress after the status of a child changed; None: it is not a child then."""
        done = (after == "done") - (before == "done")
        cancelled = (after == "cancelled") - (before == "cancelled")
        total = (after is not None) - (before is not None)
        return Progress(self.total + total, self.done + done, self.cancelled + cancelled)


NO_CHILDREN = Progress(0, 0, 0)


class ForEach(Record, frozen=True, kw_only=True):
    """What a milestone adds before it is done: a formula for each item of a list in the result of a step.

    Attributes:
        step: The step.
        list: Where the list is in its result: ``output.legs``.
        formula: The name of the formula.
        variables: Values with ``{item}``, ``{item.name}`` and ``{index}``.
        sequential: Each item waits for the one before.
    """

    step: str
    list: str
    formula: str
    variables: dict[str, str] = {}
    sequential: bool = False


class Signal(Record, frozen=True, kw_only=True):
    """A signal from outside the graph that a task waits for.

    Attributes:
        kind: timer, human (a person's word), event, mail, condition; another word waits for its name too.
        name: The type of the event, the subject of the mail, the name of the condition.
        seconds: Of a timer: how long, once nothing else keeps the task back. Of others: when it is overdue.
        until: When that is.
        given_at: When it was given; empty: it still keeps the task back.
    """

    kind: str
    name: str = ""
    seconds: float | None = None
    until: str = ""
    given_at: str = ""

    @property
    def key(self) -> str:
        """The same for all signals that are given together."""
        return f"{self.kind}:{self.name}"

    def keeps_back(self, now: str) -> bool:
        """Whether it was not given yet, or is a timer that runs."""
        return not self.given_at or (self.kind == "timer" and self.until > now)

    def again(self) -> "Signal":
        """Return the signal of a task that is done again: a word must be given anew, what happened has."""
        has_happened = self.kind in ("timer", "event", "mail")
        return self if has_happened else replace(self, given_at="", until="")

    def given(self, now: str) -> "Signal":
        """Return the signal once it was given; the time of a timer is over then, begun or not."""
        until = now if self.kind == "timer" else self.until
        return replace(self, given_at=now, until=until)
