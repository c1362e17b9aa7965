"""The facts of a task, each declared once.

A field of :class:`TaskFacts` says how a fact is kept and shown; a key of :class:`GivenFacts` says what
callers give for it and how that is checked. All else derives from these two: the record and its events, the
signatures of ``tasks.add`` and ``tasks.edit``, batch files, command-line options, ``task show``, briefs,
imports.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal, Protocol, TypedDict

import msgspec
from msgspec.structs import replace

from orchestrator.core import names
from orchestrator.core.errors import UsageError
from orchestrator.domain.tasks import checks, resources
from orchestrator.domain.tasks.checks import NO_CHECKS, Checks
from orchestrator.domain.tasks.relations import Gate, Link, Signal
from orchestrator.domain.validation import check_priority, check_text, check_title, parse_moment


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """How a fact is kept and shown.

    Attributes:
        label: What ``task show`` calls it; empty: it has a place of its own there.
        is_long: It is shown as a section, not as a line.
        brief: The share of a brief that it may have, as a section of quoted text; 0: none.
        is_final: It never changes after the task was added.
        beads: The field of an issue of beads that holds the same text or time.
    """

    label: str = ""
    is_long: bool = False
    brief: float = 0.0
    is_final: bool = False
    beads: str = ""


class TaskFacts(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """What a task is, as it is kept.

    Attributes:
        priority: 1 comes first.
        estimate: Minutes, or None.
        parent: The task that it is a part of; what keeps the parent back keeps it back too.
        gate: Children that it waits for.
        signals: What it waits for from outside the graph.
        milestone: It completes automatically as soon as nothing keeps it back, unless it has checks.
        until: What ends its parts early, in words; those that are not begun are cancelled then.
        workflow: The root of the workflow that it is a step of.
        assignee: The agent that gets it once nothing keeps it back.
        links: Links that never block.
        touches: Resources it needs while it runs, exclusive or ``:shared``.
        defer_until: Not to be taken before this time.
        due: When it should be done.
        commits: Commits of a version control that belong to it.
        checks: What must be shown before it is done; None if nothing.
    """

    title: str
    description: Annotated[str, Kept(label="Description", is_long=True, brief=0.2)] = ""
    type: Annotated[str, Kept(label="type")] = "task"
    priority: Annotated[int, Kept(label="priority")] = 5
    labels: Annotated[tuple[str, ...], Kept(label="labels")] = ()
    acceptance: Annotated[
        str, Kept(label="Acceptance", is_long=True, brief=0.1, beads="acceptance_criteria")
    ] = ""
    estimate: Annotated[float | None, Kept(label="estimate")] = None
    needs: Annotated[tuple[str, ...], Kept(label="needs")] = ()
    parent: Annotated[str | None, Kept(label="parent")] = None
    gate: Annotated[Gate | None, Kept(label="waits for")] = None
    signals: Annotated[tuple[Signal, ...], Kept(label="signals", is_final=True)] = ()
    milestone: Annotated[bool, Kept(label="milestone")] = False
    until: Annotated[str, Kept(label="until", is_final=True)] = ""
    workflow: Annotated[str | None, Kept(label="workflow", is_final=True)] = None
    assignee: Annotated[str, Kept(label="to be given to")] = ""
    links: Annotated[tuple[Link, ...], Kept(label="links")] = ()
    touches: Annotated[tuple[str, ...], Kept(label="touches", brief=0.03)] = ()
    defer_until: Annotated[str, Kept(label="put off until", beads="defer_until")] = ""
    due: Annotated[str, Kept(label="due", beads="due_at")] = ""
    commits: Annotated[tuple[str, ...], Kept(label="commits")] = ()
    checks: Annotated[Checks | None, Kept(label="Checks", is_long=True)] = None


class StepFacts(msgspec.Struct, kw_only=True):
    """The facts of a task that a step of a formula may give: a subset of what callers may give.

    Attributes:
        priority: None: that of the task that the workflow is for.
        verify_timeout: Seconds, or a duration as text.
        estimate: Minutes, or a duration as text.
    """

    title: str = ""
    description: str = ""
    type: str = ""
    priority: int | None = None
    labels: tuple[str, ...] = ()
    acceptance: str = ""
    verify: tuple[str, ...] = ()
    verify_timeout: float | str | None = None
    artifacts: tuple[str, ...] = ()
    review: bool = False
    touches: tuple[str, ...] = ()
    estimate: float | str | None = None


STEP_FACTS = StepFacts.__struct_fields__


class Board(Protocol):
    """What the checks of given facts ask about the board and the task.

    Attributes:
        now: The time.
        task: The id of the task that is added or edited.
    """

    now: str
    task: str

    def find_live(self, text: str) -> str:
        """Return the id of the task that a text names; refuse an archived one."""
        ...

    def resolve(self, text: str) -> str:
        """Return the id of the task, archived or not, that a text names."""
        ...


Kind = Literal[
    "text", "word", "task", "time", "integer", "minutes", "duration", "words", "tasks", "lines", "flag"
]  # fmt: skip
"""What form a given fact has; interfaces and batch files read values by it.

``words``, ``tasks`` and ``lines`` are lists. A text is split into words, but not into lines, because those
may hold commas and blanks.
"""

Check = Callable[[Any, Any, Any], Any]
"""Makes what is kept from what was given, what was kept before, and the :class:`Board`."""


class Fact(msgspec.Struct, frozen=True):
    """What callers may give for a task.

    Attributes:
        help: What it is, in one sentence.
        kind: The form of its values.
        check: Checks a value, and returns what is kept.
        field: The field of :class:`TaskFacts` where it is kept; empty: that of the same name.
        metavar: What the help of its option calls a value.
        singular: Another name of its option, for one value.
    """

    help: str
    kind: Kind
    check: Check
    field: str = ""
    metavar: str = ""
    singular: str = ""


def _by(check: Callable[[Any], Any]) -> Check:
    return lambda value, _before, _board: check(value)


def _text(name: str) -> Check:
    return lambda text, _before, _board: check_text(name, text)


def _time(name: str) -> Check:
    return lambda text, _before, board: parse_moment(name, text, board.now)


def _estimate(minutes: float) -> float:
    if not 0 <= minutes < 1e9:
        raise UsageError(f"{minutes} is no estimate", hint="Give minutes.")
    return minutes


def _labels(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names.name("label", word) for word in words))


def _needs(ids: Iterable[str], _before: object, board: Board) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(board.resolve, ids)))


def _touches(texts: Iterable[str]) -> tuple[str, ...]:
    """Of ``git`` and ``git:shared``, keep the stricter one."""
    needs: dict[str, bool] = {}
    for need in map(resources.parse, texts):
        needs[need.resource] = need.shared and needs.get(need.resource, True)
    return tuple(name + resources.SHARED if shared else name for name, shared in needs.items())


def _parent(text: str, _before: object, board: Board) -> str | None:
    return board.find_live(text) if text else None


def _gate(text: str, _before: object, board: Board) -> Gate | None:
    if not text:
        return None
    how, _, of = text.partition(":")
    if how not in ("all", "any"):
        raise UsageError(
            f"{text!a} is nothing to wait for", hint="Write all, any, all:ID or any:ID."
        )
    return Gate(how, board.find_live(of) if of else board.task)


def _commits(texts: Iterable[str], before: tuple[str, ...], _board: object) -> tuple[str, ...]:
    """Add commits to those that are linked."""
    for text in (texts := [*texts]):
        if not re.fullmatch(r"[0-9a-fA-F]{4,64}", text):
            raise UsageError(f"{text!a} is no commit", hint="Give 4 to 64 hex digits.")
    return tuple(dict.fromkeys((*before, *map(str.lower, texts))))


def _checks(change: Callable[[Checks, Any], Checks]) -> Check:
    """One of the facts that together are the checks of a task."""

    def check(value: Any, before: Checks | None, _board: object) -> Checks | None:
        new = change(before or NO_CHECKS, value)
        return new if new.are_due or new.review else None

    return check


class GivenFacts(TypedDict, total=False):
    """What callers may give for a task beside its title; None is as if it were not given."""

    description: Annotated[str | None, Fact("What is to be done.", "text", _text("description"))]
    type: Annotated[
        str | None,
        Fact(
            "A word such as task, bug, feature; agents with capabilities are chosen by it.",
            "word",
            _by(lambda text: names.name("task type", text)),
        ),
    ]
    priority: Annotated[
        int | None,
        Fact("1 comes first; 5 if not given.", "integer", _by(check_priority)),
    ]
    labels: Annotated[
        Iterable[str] | None,
        Fact("Words to find it by.", "words", _by(_labels), singular="label"),
    ]
    acceptance: Annotated[
        str | None, Fact("What must be true when it is done.", "text", _text("acceptance"))
    ]
    estimate: Annotated[
        float | None,
        Fact("Minutes of work, or a duration: 90, 2h.", "minutes", _by(_estimate)),
    ]
    needs: Annotated[
        Iterable[str] | None,
        Fact("Tasks that must be done before.", "tasks", _needs, metavar="IDS"),
    ]
    touches: Annotated[
        Iterable[str] | None,
        Fact(
            "Resources it needs while it runs: git, src/**, db:shared.",
            "words",
            _by(_touches),
            metavar="NAMES",
        ),
    ]
    parent: Annotated[str | None, Fact("The task that it is a part of.", "task", _parent)]
    waits_for: Annotated[
        str | None,
        Fact(
            "Children it waits for: all or any of its own; all:ID.",
            "word",
            _gate,
            field="gate",
            metavar="WHICH",
        ),
    ]
    defer: Annotated[
        str | None,
        Fact(
            "Not to be taken before: 2026-12-01, or 3d from now.",
            "time",
            _time("defer"),
            field="defer_until",
        ),
    ]
    due: Annotated[
        str | None,
        Fact("When it should be done, in the same forms.", "time", _time("due")),
    ]
    commits: Annotated[
        Iterable[str] | None,
        Fact(
            "Commits that belong to it, by id.",
            "words",
            _commits,
            metavar="SHA",
            singular="commit",
        ),
    ]
    verify: Annotated[
        Iterable[str] | None,
        Fact(
            "A command that must succeed before it is complete; no shell reads it. Repeatable.",
            "lines",
            _checks(checks.with_commands),
            field="checks",
            metavar="CMD",
        ),
    ]
    verify_timeout: Annotated[
        float | str | None,
        Fact(
            "How long each of them may take: 30m; else 10m.",
            "duration",
            _checks(checks.with_timeout),
            field="checks",
        ),
    ]
    artifacts: Annotated[
        Iterable[str] | None,
        Fact(
            "A file or folder that must be there then, and hold something. Repeatable.",
            "lines",
            _checks(checks.with_artifacts),
            field="checks",
            metavar="PATH",
            singular="artifact",
        ),
    ]
    review: Annotated[
        bool | None,
        Fact(
            "Another agent than the worker must approve it.",
            "flag",
            _checks(lambda checks, review: replace(checks, review=review)),
            field="checks",
        ),
    ]


FACTS: dict[str, Fact] = {
    "title": Fact("One line that says what is to be done.", "text", _by(check_title)),
    **{name: hint.__metadata__[0] for name, hint in GivenFacts.__annotations__.items()},
}
"""Every fact that callers may give, by name."""

KEPT: dict[str, Kept] = {
    name: hint.__metadata__[0]
    for name, hint in TaskFacts.__annotations__.items()
    if hasattr(hint, "__metadata__")
}
"""How every fact but the title is kept, by field."""

TIMES = {fact.field or name for name, fact in FACTS.items() if fact.kind == "time"}
"""The fields that hold a time."""

FINAL = {field for field, kept in KEPT.items() if kept.is_final}
"""The fields that never change after the task was added."""

MOVING = {"needs", "parent", "gate"}
"""The fields that say what a task waits for."""

NO_FACTS = TaskFacts(title="")
"""What a task is before anything is given."""


def changed_facts(
    given: Mapping[str, Any], before: TaskFacts, board: Board | None
) -> dict[str, Any]:
    """Check what was given for a task.

    Args:
        given: Facts by name; None is as if it were not given.
        before: The task as it is, or :data:`NO_FACTS`.
        board: What the checks ask about; None if no given fact names a task or a time.

    Returns:
        The fields of :class:`TaskFacts` that change, with their new values.

    Raises:
        UsageError: A value is not allowed.
    """
    fields: dict[str, Any] = {}
    for name in [name for name in FACTS if given.get(name) is not None]:
        fact, value = FACTS[name], given[name]
        field = fact.field or name
        fields[field] = fact.check(value, fields.get(field, getattr(before, field)), board)
    return {field: value for field, value in fields.items() if value != getattr(before, field)}
