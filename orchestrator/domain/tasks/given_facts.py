"""What callers give for facts of a task, and how it is checked; see :mod:`orchestrator.domain.tasks.facts`.

They are in separate modules, because commands that take or end a task do not need this one.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, TypedDict

import msgspec
from msgspec.structs import replace

from orchestrator.domain.tasks import checks
from orchestrator.domain.tasks.fact_values import (
    CLEARED,
    USUAL,
    Board,
    Check,
    Kind,
    add_commits,
    by,
    check_artifacts,
    check_estimate,
    check_labels,
    check_touches,
    find_gate,
    find_parent,
    part_of_checks,
)
from orchestrator.domain.tasks.facts import NO_FACTS, TaskFacts
from orchestrator.domain.validation import check_line, check_priority, check_title


class StepFacts(msgspec.Struct, kw_only=True):
    """The facts of a task that a step of a formula may give: a subset of what callers may give.

    Attributes:
        priority: None: the priority of the task that the workflow was poured on.
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
    meta: dict[str, str] = {}
    estimate: float | str | None = None


STEP_FACTS = StepFacts.__struct_fields__


class Fact(msgspec.Struct, frozen=True):
    """A fact that callers may give for a task.

    Attributes:
        help: What it is, in one sentence.
        kind: The form of its values.
        check: Checks a value, and returns what is kept; None: as all texts, times ... are checked.
        field: The field of :class:`TaskFacts` where it is kept; empty: that of the same name.
        metavar: What the help of its option calls a value.
        singular: Another name of its option, for one value.
        filter: What the option of ``task list`` does that filters by it; empty: there is none.
        is_rare: The help leaves its option out unless all is asked for.
    """

    help: str
    kind: Kind = "text"
    check: Check | None = None
    field: str = ""
    metavar: str = ""
    singular: str = ""
    filter: str = ""
    is_rare: bool = False


class GivenFacts(TypedDict, total=False):
    """The facts that callers may give for a task, besides its title.

    None is as if it were not given; an empty text or list clears it.
    """

    description: Annotated[str | None, Fact("What is to be done.")]
    type: Annotated[
        str | None, Fact("A word such as task, bug, feature.", "word", filter="Only of this type.")
    ]
    priority: Annotated[
        int | Literal[""] | None,
        Fact(
            "1 comes first; 5 if not given.",
            "integer",
            by(check_priority),
            filter="Only of this priority.",
        ),
    ]
    labels: Annotated[
        Iterable[str] | None,
        Fact(
            "Words to find it by.",
            "words",
            by(check_labels),
            singular="label",
            filter="Only with all of these labels.",
        ),
    ]
    acceptance: Annotated[str | None, Fact("What must be true when it is done.")]
    estimate: Annotated[
        float | Literal[""] | None,
        Fact(
            "Minutes of work, or a duration: 90, 2h.", "minutes", by(check_estimate), is_rare=True
        ),
    ]
    needs: Annotated[
        Iterable[str] | None, Fact("Tasks that must be done before.", "tasks", metavar="IDS")
    ]
    needs_failure_of: Annotated[
        Iterable[str] | None,
        Fact(
            "Tasks that must fail before; it is cancelled once one of them is done.",
            "tasks",
            metavar="IDS",
            is_rare=True,
        ),
    ]
    touches: Annotated[
        Iterable[str] | None,
        Fact(
            "Resources it needs while it runs: git, src/**, db:shared.",
            "words",
            check_touches,
            metavar="NAMES",
        ),
    ]
    parent: Annotated[
        str | None,
        Fact(
            "The task that it is a part of.",
            "task",
            find_parent,
            filter="Only the parts of this task.",
        ),
    ]
    waits_for: Annotated[
        str | None,
        Fact(
            "Children it waits for: all or any of its own; all:ID.",
            "word",
            find_gate,
            field="gate",
            metavar="WHICH",
            is_rare=True,
        ),
    ]
    defer: Annotated[
        str | None,
        Fact("Not to be taken before: 2026-12-01, tomorrow, 3d.", "time", field="defer_until"),
    ]
    due: Annotated[str | None, Fact("When it should be done: 2026-12-01, friday, 3d.", "time")]
    commits: Annotated[
        Iterable[str] | None,
        Fact(
            "Commits that belong to it, by id.",
            "words",
            add_commits,
            metavar="SHA",
            singular="commit",
            is_rare=True,
        ),
    ]
    external_ref: Annotated[
        str | None,
        Fact(
            "Its name in another system: gh-9.",
            check=by(lambda text: check_line("external_ref", text)),
            metavar="REF",
            filter="Only with this name in another system.",
            is_rare=True,
        ),
    ]
    meta: Annotated[
        Mapping[str, str] | Iterable[str] | None,
        Fact(
            "Facts of your own, in the order given; an empty value removes one. Repeatable.",
            "pairs",
            filter="Only with all of these facts. Repeatable.",
            is_rare=True,
        ),
    ]
    verify: Annotated[
        Iterable[str] | None,
        Fact(
            "A command that must succeed first; no shell reads it. Repeatable.",
            "lines",
            part_of_checks(checks.with_commands),
            field="checks",
            metavar="CMD",
        ),
    ]
    verify_timeout: Annotated[
        float | str | None,
        Fact(
            "How long each of them may take: 30m; else 10m.",
            "duration",
            part_of_checks(checks.with_timeout),
            field="checks",
            is_rare=True,
        ),
    ]
    artifacts: Annotated[
        Iterable[str] | None,
        Fact(
            "A file or folder that must exist then and not be empty. Repeatable.",
            "lines",
            check_artifacts,
            field="checks",
            metavar="PATH",
            singular="artifact",
            is_rare=True,
        ),
    ]
    review: Annotated[
        bool | None,
        Fact(
            "Another agent than the worker must approve it.",
            "flag",
            part_of_checks(lambda checks, review: replace(checks, review=review)),
            field="checks",
        ),
    ]


FACTS: dict[str, Fact] = {
    "title": Fact("One line that says what is to be done.", check=by(check_title)),
    **{name: hint.__metadata__[0] for name, hint in GivenFacts.__annotations__.items()},
}
"""Every fact that callers may give, by name."""

TIMES = {fact.field or name for name, fact in FACTS.items() if fact.kind == "time"}
"""The fields that hold a time."""


def check_fact(name: str, value: Any, before: Any = None, board: Board | None = None) -> Any:
    """Check a given fact, and return the value to store; see :data:`Check`.

    An empty text restores the default of the fact.
    """
    fact = FACTS[name]
    if value == "" and fact.kind in CLEARED:
        return getattr(NO_FACTS, fact.field or name)
    if fact.check is not None:
        return fact.check(value, before, board)
    return USUAL[fact.kind](name, value, before, board)


def changed_facts(
    given: Mapping[str, Any], before: TaskFacts, board: Board | None
) -> dict[str, Any]:
    """Check the given facts of a task.

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
        old = fields.get(field, getattr(before, field))
        fields[field] = check_fact(name, value, old, board)
    return {field: value for field, value in fields.items() if value != getattr(before, field)}
