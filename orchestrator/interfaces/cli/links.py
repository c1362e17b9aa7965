"""``orc task ready``, ``blocked``, ``dep``, ``graph``: ready tasks, waiting tasks and their links."""

from itertools import islice
from typing import Any

import msgspec

from orchestrator.core.printable import escape
from orchestrator.domain.tasks.dependencies import Blocked, Branch, Graph
from orchestrator.domain.tasks.records import Task
from orchestrator.domain.tasks.relations import BLOCKING, KINDS, EdgeKind
from orchestrator.interfaces.cli import drawing, types
from orchestrator.interfaces.cli.commands import DEP, TASK
from orchestrator.interfaces.cli.layout import shown_time
from orchestrator.interfaces.cli.parameters import (
    LIMIT,
    ONLY_WORKSTREAM,
    WHERE,
    argument,
    flag,
    option,
)
from orchestrator.interfaces.cli.rendering import Answer, Joined, present_lines, say, to_json, warn
from orchestrator.interfaces.cli.run import Run
from orchestrator.interfaces.cli.task_lines import line, line_of, why
from orchestrator.interfaces.cli.task_words import named

MANY = 500
"""Default number of tasks in a drawing; a larger one is not readable."""

_TASK = argument("task", "The task.", types.TASK_ID, metavar="ID")
_OTHER = argument("other", "The other task.", types.TASK_ID)
_REASON = option("--reason", "Why; kept in the log.", default="")
_WEAKER = option("--reason", "Why a task that I have need not wait for it any more.", default="")
_LINK_TYPE = types.choice(*BLOCKING, *KINDS)
_LIMIT = option("--limit", f"At most so many tasks; {MANY} in a drawing.", types.COUNT)


# Ready and blocked tasks


@TASK.command("ready", example="ready build --limit 5", reads=True)
@ONLY_WORKSTREAM
@WHERE
@LIMIT
def ready(run: Run, workstream: str | None, where: str, limit: int | None) -> "Answer[list[Task]]":
    """List the tasks that can be claimed now, in the order in which they are taken."""
    return present_lines(
        run.orc.links.ready(workstream, where=where, limit=limit), line, empty="No task is ready."
    )


@TASK.command("blocked", example="blocked build", reads=True)
@ONLY_WORKSTREAM
def blocked(run: Run, workstream: str | None) -> "Answer[list[Blocked]]":
    """List the free tasks that cannot be claimed now, each with its reasons."""
    return present_lines(
        run.orc.links.blocked(workstream), _blocked_lines, empty="Nothing is blocked."
    )


def _blocked_lines(blocked: Blocked) -> str:
    return "\n".join([line(blocked.task), *(f"    {why(blocker)}" for blocker in blocked.by)])


@TASK.command("stale", example="stale build --days 30", reads=True)
@ONLY_WORKSTREAM
@option("--days", "Days without an event.", types.COUNT, default=14)
def stale(run: Run, workstream: str | None, days: int) -> "Answer[list[Task]]":
    """List the open tasks that did not change for some days, longest first."""
    return present_lines(
        run.orc.links.stale(days, workstream),
        lambda task: f"{line(task)} (since {shown_time(task.updated_at)})",
        empty="No task is stale.",
    )


@TASK.command("defer", example="defer 299833bc 3d", idempotent=True)
@_TASK
@argument("until", 'Until when: 2026-12-01, monday, or 3d from now; "" ends it.', types.TIME)
def defer(run: Run, task: str, until: str) -> "Answer[Task]":
    """Defer a task: no agent gets it before that time."""
    changed = run.orc.tasks.edit(task, defer=until)
    when = (
        f"put off until {shown_time(changed.defer_until)}"
        if changed.defer_until
        else "not put off any more"
    )
    return run.changed(changed, f"{named(changed)}: {when}")


@TASK.command("signal", example="signal 299833bc.deploy approved --agent ann")
@_TASK
@argument("[name]", "Which signal, by its name or kind; all if not given.", types.NAME)
@option("--text", "A comment, kept as a note.", default="")
def signal(run: Run, task: str, name: str | None, text: str) -> "Answer[Task]":
    """Give a signal that a task waits for: an approval, a condition that came true.

    A signal for a loop ends the loop: rounds that have not begun are cancelled.
    """
    signalled = run.orc.workflows.signal(task, name, text=text)
    parts = signalled.progress if signalled.until else None
    ended = f" ({parts.cancelled} of {parts.total} parts are cancelled)" if parts else ""
    return say(signalled, f"Signalled: {named(signalled)}{ended}")


# Links


@DEP.command("add", example="add 299833bc 5d41402a --type needs")
@_TASK
@_OTHER
@option(
    "--type",
    "What it is: this task needs, is a part of, waits for the children of ... the other one.",
    _LINK_TYPE,
    name="kind",
    default="needs",
)
@flag("--any", "With waits-for: one child that is done is enough.")
@_WEAKER
def add(run: Run, task: str, other: str, kind: EdgeKind, any: bool, reason: str) -> "Answer[Task]":
    """Link a task to another one; needs, failure, parent and waits-for keep it back, others never do."""
    linked = run.orc.links.add(task, other, kind=kind, any=any, reason=reason)
    return run.changed(linked, f"Linked: {named(linked)} {kind} {escape(other)}")


@DEP.command("remove", example="remove 299833bc 5d41402a")
@_TASK
@_OTHER
@option("--type", "Which, if there are several between the two.", _LINK_TYPE, name="kind")
@_WEAKER
def remove(run: Run, task: str, other: str, kind: EdgeKind | None, reason: str) -> "Answer[Task]":
    """Remove a link of a task to another one.

    An agent that works on the task gives a --reason to remove an open need or part of it.
    """
    unlinked = run.orc.links.remove(task, other, kind=kind, reason=reason)
    return say(unlinked, f"Unlinked: {named(unlinked)} from {escape(other)}")


@DEP.command("tree", example="tree 299833bc --up", reads=True)
@_TASK
@flag("--up", "What waits for it, instead.")
@_LIMIT
def tree(run: Run, task: str, up: bool, limit: int | None) -> "Answer[list[Branch]]":
    """Show the needs and parts of a task, and theirs in turn."""
    most = _most(run, limit)
    branches = list(islice(run.orc.links.tree(task, up=up), None if most is None else most + 1))
    shown = branches[:most]
    if len(shown) < len(branches):
        warn(f"the tree goes on; its first {most} lines are shown (--limit N)")
    return Answer(shown, lambda: drawing.tree(iter(shown)))


@TASK.command("graph", example="graph build --format mermaid", reads=True)
@ONLY_WORKSTREAM
@option("--task", "Only what is connected with this task.", types.TASK_ID)
@option(
    "--format", "How it is drawn.", types.choice("text", "mermaid", "dot", "json"), default="text"
)
@flag("--all", "Also tasks that have ended.", name="ended")
@_LIMIT
def graph(
    run: Run, workstream: str | None, format: str, limit: int | None, **filters: Any
) -> "Answer[Joined[Graph, _CriticalTasks]]":
    """Draw the tasks and their links; an arrow points to what a task needs or belongs to."""
    whole = run.orc.links.graph(workstream, **filters)
    shown = _first(whole, limit if format == "json" else _most(run, limit))
    value = Joined(shown, _CriticalTasks(_critical(run, workstream, shown)))
    draw = {
        "text": lambda: drawing.text(shown, lambda each: line_of(run, each)),
        "mermaid": lambda: drawing.mermaid(shown),
        "dot": lambda: drawing.dot(shown),
        "json": lambda: to_json(value).decode().rstrip("\n"),
    }
    return Answer(value, draw[format])


class _CriticalTasks(msgspec.Struct):
    """The tasks of the critical path that are shown, in their order."""

    critical: list[str]


def _critical(run: Run, workstream: str | None, shown: Graph) -> list[str]:
    """The tasks of the critical path that are shown, in their order."""
    from orchestrator.planning.critical_path import longest_chain

    names = {task.id for task in shown.tasks}
    return [
        task.id for task in longest_chain(run.orc.engine.read(), workstream) if task.id in names
    ]


def _most(run: Run, limit: int | None) -> int | None:
    """How many tasks are shown: programs get all of them."""
    return MANY if limit is None and not run.settings.json else limit


def _first(graph: Graph, most: int | None) -> Graph:
    if most is None or len(graph.tasks) <= most:
        return graph
    warn(
        f"{most} of {len(graph.tasks)} tasks are shown; --limit N shows more, a workstream or"
        " --task ID fewer"
    )
    tasks = graph.tasks[:most]
    kept = {task.id for task in tasks}
    edges = [edge for edge in graph.edges if edge.task in kept and edge.other in kept]
    return Graph(tasks=tasks, edges=edges)


# Tasks in place of others


@TASK.command("duplicate", example="duplicate 299833bc 5d41402a")
@_TASK
@argument("of", "The task that says the same.", types.TASK_ID)
@_REASON
def duplicate(run: Run, task: str, of: str, reason: str) -> "Answer[Task]":
    """Cancel a task as a duplicate of another one; its dependants then need the other task."""
    return _cancelled(run, run.orc.links.duplicate(task, of, reason=reason))


@TASK.command("supersede", example='supersede 299833bc 5d41402a --reason "The API changed"')
@_TASK
@argument("by", "The task that takes its place.", types.TASK_ID)
@_REASON
def supersede(run: Run, task: str, by: str, reason: str) -> "Answer[Task]":
    """Cancel a task because another one replaces it; its dependants then need the other task."""
    return _cancelled(run, run.orc.links.supersede(task, by, reason=reason))


def _cancelled(run: Run, task: "Task") -> "Answer[Task]":
    return run.changed(task, f"Cancelled: {named(task)}: {escape(task.reason)}")
