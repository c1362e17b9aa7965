"""``orc task lint``, ``similar``, ``timeline``, ``orphans``: questions about tasks."""

import os
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypedDict

from orchestrator.core import clock
from orchestrator.core.printable import escape, few
from orchestrator.domain.event_log import EventObject, as_dict
from orchestrator.domain.tasks.transitions import way_on
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import BOARD, TASK
from orchestrator.interfaces.cli.layout import lines
from orchestrator.interfaces.cli.moments import sentence_line
from orchestrator.interfaces.cli.parameters import (
    IN_WORKSTREAM,
    ONLY_WORKSTREAM,
    WHERE,
    argument,
    option,
)
from orchestrator.interfaces.cli.rendering import Answer, Joined, present_lines, warn
from orchestrator.interfaces.cli.run import Run
from orchestrator.interfaces.cli.task_lines import line
from orchestrator.reports.timeline import LAST, Timeline

if TYPE_CHECKING:
    from orchestrator.core.events import Recorded
    from orchestrator.integrations.commits import Commit, Orphan, Orphans
    from orchestrator.reports.lint import Flaw
    from orchestrator.reports.similar import Similar


@TASK.command("lint", example="lint build --where 'priority <= 2'", reads=True)
@ONLY_WORKSTREAM
@WHERE
def lint(run: Run, workstream: str | None, where: str) -> "Answer[list[Flaw]]":
    """Check open tasks: each flaw with the command that corrects it. Exit 0 clean, 1 flaws."""
    flaws = run.orc.lint(workstream, where=where)
    return Answer(flaws, lambda: _page(run.prog, flaws), 1 if flaws else 0)


def _page(prog: str, flaws: "list[Flaw]") -> str:
    texts: list[str] = []
    tasks = 0
    for (task, title), group in groupby(flaws, lambda flaw: (flaw.task, flaw.title)):
        texts.append(f"{task}: {escape(title)}")
        texts += [f"    {escape(f.says)}: `{prog} {escape(f.command)}`" for f in group]
        tasks += 1
    if not texts:
        return "Nothing is wrong with the open tasks."
    return lines([*texts, f"Flaws: {len(flaws)}, tasks: {tasks}."], empty="")


@BOARD.command("similar", example='similar "Write a parser"', reads=True)
@argument("text", "A task, or a title.", types.TASK_ID, metavar="ID|TEXT")
@WHERE
@option("--limit", "At most so many.", types.POSITIVE, default=10)
def similar(run: Run, text: str, where: str, limit: int) -> "Answer[list[Similar]]":
    """List nearly equal tasks with their similarity: candidates for duplicates."""
    return present_lines(
        run.orc.similar(text, where=where, limit=limit),
        lambda like: f"{like.likeness:.0%} {line(like.task)}",
        empty="No task is like it.",
    )


class _InTimeline(TypedDict):
    """The place of an event in a timeline: the seconds after the one before, and its sentence."""

    after: float
    says: str


@BOARD.command("timeline", example="timeline 299833bc --since 2d", reads=True, filters_agent=True)
@argument("[subject]", "A task, a workstream or an agent.", types.TASK_ID, metavar="TASK|WS|AGENT")
@IN_WORKSTREAM
@option("--type", "Only of this type; task.* is every type of a noun.", types.NAME, metavar="TYPE")
@option("--since", "From a time on, or that long ago, or after an event: 2h, 4711.", types.WHEN)
@option("--before", "Only before this event: 4711.", types.ID, metavar="EVENT")
@option("--last/-n", "At most so many events, the newest ones.", types.POSITIVE, default=LAST)
def timeline(
    run: Run, subject: str | None, **how: Any
) -> "Answer[list[Joined[EventObject, _InTimeline]]]":
    """Show the events of the board, a task, a workstream or an agent, with the pauses between them."""
    line = run.orc.timeline(subject, **how)
    says = sentence_line(run.orc, subject=line.task)
    with clock.exact_times(True):  # of the answer for programs
        value = [
            Joined(as_dict(event), _InTimeline(after=after, says=says(event)))
            for event, after in zip(line.events, line.after, strict=True)
        ]
    return Answer(value, lambda: lines(_with_gaps(line, says), empty="No events."))


GAP = 60.0
"""The shortest pause between two events that a timeline shows, in seconds."""


def _with_gaps(line: "Timeline", says: "Callable[[Recorded], str]") -> Iterator[str]:
    for event, after in zip(line.events, line.after, strict=True):
        if after >= GAP:
            yield f"  {clock.spoken(after)} later"
        yield says(event)


SHOWN = 3
"""How many commits of a task are shown; the others are counted."""


@BOARD.command("orphans", example="orphans --since 2w", reads=True, local=True)
@option("--since", "Only commits from then on, or that long ago: 2w.", types.TIME)
def orphans(run: Run, since: str | None) -> "Answer[Orphans]":
    """List open tasks that commits of this git repository name: perhaps they are done."""
    from orchestrator.integrations.commits import orphans

    answer = orphans(run.orc.engine, os.getcwd(), since=since)
    if answer.is_cut:
        warn(f"the newest {answer.read} commits were read; --since takes fewer")
    texts = (text for orphan in answer.tasks for text in _orphan(run, orphan))
    return Answer(answer, lambda: lines(texts, empty="No commit names an open task."))


def _orphan(run: Run, orphan: "Orphan") -> Iterator[str]:
    task = orphan.task
    yield f"{line(task)} (`{run.prog} {way_on(task)}`)"
    yield from (f"    {text}" for text in few(orphan.commits, SHOWN, _commit))


def _commit(commit: "Commit") -> str:
    return f"{commit.id[:9]} {commit.date[:10]} {escape(f'{commit.author}: {commit.subject}')}"
