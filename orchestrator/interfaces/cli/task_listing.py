"""``orc ls`` and ``task list``: tasks, one on each line."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from orchestrator.core import clock
from orchestrator.core.errors import UsageError, did_you_mean
from orchestrator.core.printable import escape
from orchestrator.domain.tasks.filters import GROUPS
from orchestrator.domain.tasks.records import ENDED, Task
from orchestrator.domain.tasks.stages import STAGES, STANDINGS, stage_of
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import BOARD, TASK
from orchestrator.interfaces.cli.layout import is_terminal, lines, parts, table
from orchestrator.interfaces.cli.parameters import ONLY_WORKSTREAM, WHERE, flag, option, together
from orchestrator.interfaces.cli.rendering import Answer
from orchestrator.interfaces.cli.run import Run, given
from orchestrator.interfaces.cli.task_lines import COLOURS, line_of, review_of
from orchestrator.interfaces.cli.task_options import FACT_FILTERS

SHOWN = 50
"""Lines of a listing; the number of the other tasks follows."""

_SORTED: "dict[str, Callable[[Task], Any]]" = {
    "priority": lambda task: task.priority,
    "age": lambda task: task.created_at,
    "updated": lambda task: (-clock.seconds(task.updated_at), task.created_at),
    "due": lambda task: (not task.due, task.due),
    "title": lambda task: task.title.casefold(),
    "agent": lambda task: (not task.assigned_to, task.assigned_to or ""),
}

_FILTERS = together(
    ONLY_WORKSTREAM,
    WHERE,
    option("--status", "Only in one of these.", types.choice(*STANDINGS, *GROUPS), many=True),
    FACT_FILTERS,
    option(
        "--any-labels/--any-label",
        "Only with one of these at least.",
        types.WORDS,
        many=True,
        rare=True,
    ),
    flag("--overdue", "Only open ones that should be done by now."),
    flag("--ready", "Only tasks that can be claimed now."),
    flag("--open", "Only tasks that have not ended."),
    flag("--mine", "Only what I hold or held last."),
    option("--text", "Only with this text in title or description."),
    option("--since", "Only what changed since then: 2h, a time, an event.", types.WHEN),
    option("--sort", "By this instead of by stage.", types.choice(*_SORTED)),
    option("--limit", f"At most so many; {SHOWN} if not given.", types.COUNT),
    flag("--all", "Every task that the other options leave."),
)


@BOARD.command("ls", example="ls --open --label ui", reads=True, filters_agent=True)
@_FILTERS
def ls(run: Run, **how: Any) -> "Answer[list[Task]]":
    """Show tasks: work that goes on, work to take, the rest; with priority, agent and age.

    Ended tasks come last, the newest first. The age counts from when a task ended or was taken, else from
    when it was added.
    """
    return _listed(run, **how)


@TASK.command("list", example="list build --status pending,blocked", reads=True, filters_agent=True)
@_FILTERS
def list_(run: Run, **how: Any) -> "Answer[list[Task]]":
    """List tasks; in a pipe in the order they were added, at a terminal as `orc ls`."""
    is_new = is_terminal() or any(
        how[name] for name in ("open", "mine", "text", "since", "sort", "limit", "all")
    )
    return _listed(run, original=not is_new, **how)


def _listed(
    run: Run,
    *,
    original: bool = False,
    workstream: str | None,
    agent: str | None,
    mine: bool,
    sort: str | None,
    limit: int | None,
    all: bool,
    **filters: Any,
) -> "Answer[list[Task]]":
    if mine:
        agent = run.agent
        if agent is None:
            raise UsageError("--mine needs to know who you are", hint="Set ORC_AGENT=NAME.")
    filters = given(workstream=workstream, agent=agent, **filters)
    filters = {name: value for name, value in filters.items() if value or type(value) is int}
    if original:
        tasks = run.orc.tasks.all(**filters)
        return Answer(tasks, lambda: lines((line_of(run, t) for t in tasks), empty="No tasks."))
    most = SHOWN if limit is None else limit
    shows_all = all or (limit is None and run.settings.json)
    if filters or sort or shows_all:
        tasks = run.orc.tasks.all(**filters)
        tasks.sort(key=_SORTED[sort] if sort is not None else _by_stage(run))
        shown = tasks if shows_all else tasks[:most]
        others = len(tasks) - len(shown)
    else:
        shown, others = _first(run, most)
    if shown or others:
        only = f"Only those of {escape(agent)}" if agent and not mine else ""
        return Answer(shown, lambda: parts(_table(run, shown, others), only))
    labels = [*(filters.get("labels") or ()), *(filters.get("any_labels") or ())]
    named = [("label", label) for label in labels]
    named += [("type", filters["type"])] if filters.get("type") else []
    named += [("agent", agent)] if agent else []
    return Answer(shown, lambda: parts("No tasks.", *_unknown(run, named)))


def _first(run: Run, most: int) -> "tuple[list[Task], int]":
    """The first tasks of all, and the number of the others. Ended tasks are read only as far as necessary."""
    tasks = run.orc.engine.read().tasks
    shown = sorted(tasks.open(), key=_by_stage(run))[:most]
    ended = (task for task in reversed(tasks.tasks.values()) if task.status in ENDED)
    shown += islice(ended, most - len(shown))
    return shown, len(tasks) - len(shown)


def _unknown(run: Run, named: list[tuple[str, str]]) -> "Iterator[str]":
    """Warnings about values of filters that no task has, which may be mistyped."""
    tasks = run.orc.engine.read().tasks.values()
    values: dict[str, Callable[[Task], tuple[str, ...]]] = {
        "label": lambda task: task.labels,
        "type": lambda task: (task.type,),
        "agent": lambda task: (task.assigned_to,) if task.assigned_to else (),
    }
    for noun, word in named:
        known = {value for task in tasks for value in values[noun](task)}
        if word not in known:
            yield f"No task has the {noun} {word!a}{did_you_mean(word, known)}"


def _by_stage(run: Run) -> "Callable[[Task], tuple[int, int, int]]":
    """The order of a listing: open tasks by stage and priority, then ended ones, the newest first."""
    state, now = run.orc.engine.read(), run.orc.engine.now()
    ranks = {stage: rank for rank, stage in enumerate(STAGES)}

    def place(task: Task) -> tuple[int, int, int]:
        if task.status in ENDED:
            return len(STAGES), 0, -task.events[0]
        return ranks[stage_of(state, task, now)], task.priority, task.events[0]

    return place


def _table(run: Run, tasks: "Iterable[Task]", others: int) -> str:
    state, now = run.orc.engine.read(), run.orc.engine.now()
    rows = []
    for task in tasks:
        stage = stage_of(state, task, now)
        rows.append(
            (
                task.id,
                f"P{task.priority}",
                stage,
                _age(task, now),
                ", ".join(filter(None, (task.assigned_to, review_of(task, now)))),
                task.title,
            )
        )
    more = f"{others} more: --all shows them" if others else ""
    return parts(table(("id", "prio", "stage", "age", "agent", "title"), rows, COLOURS), more)


def _age(task: "Task", now: str) -> str:
    """How long ago a task has ended, was taken, or else was added, in the largest unit: ``3d``."""
    taken = task.claimed_at if task.assigned_to else None
    return clock.spoken(clock.between(task.ended_at or taken or task.created_at, now), units=1)
