"""``orc goal``: dates with tasks that should have ended by then."""

from typing import TYPE_CHECKING

import msgspec

from orchestrator.core.clock import spoken
from orchestrator.core.printable import amount, escape, one_line
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import GOAL
from orchestrator.interfaces.cli.layout import (
    bar,
    counted,
    facts,
    outlined,
    parts,
    section,
    shown_time,
    table,
)
from orchestrator.interfaces.cli.parameters import REASON, argument, flag, option
from orchestrator.interfaces.cli.rendering import Answer, Joined, listing
from orchestrator.interfaces.cli.run import Run, given

if TYPE_CHECKING:
    from orchestrator.domain.goals.progress import GoalStatus
    from orchestrator.domain.goals.records import Goal
    from orchestrator.reports.report.records import GoalOutlook

_NAME = argument("name", "The goal.", types.GOAL_NAME)
_TASKS = argument("tasks...", "Ids or prefixes.", types.TASK_ID, metavar="TASK...")


@GOAL.command(
    "create",
    example='create beta 299833bc 17ab3f00 --due 2026-12-01 --description "Users can try it"',
)
@argument("name", "Its name.", types.NAME)
@argument("[tasks...]", "Ids or prefixes.", types.TASK_ID, metavar="TASK...")
@option("--due", "The date: 2026-12-01, friday, 3d.", types.TIME, required=True)
@option("--description", "What is to be reached.")
def create(
    run: Run, name: str, tasks: tuple[str, ...], due: str, description: str | None
) -> "Answer[Goal]":
    """Set a goal: a date, and the tasks that should have ended by then."""
    goal = run.orc.goals.create(name, tasks, due=due, **given(description=description))
    return _changed(run, goal, "Set goal")


@GOAL.command("add", example="add beta 299833bc", idempotent=True)
@_NAME
@_TASKS
def add(run: Run, name: str, tasks: tuple[str, ...]) -> "Answer[Goal]":
    """Add tasks to a goal."""
    return _changed(run, run.orc.goals.add(name, tasks), "Added to goal")


@GOAL.command("remove", example="remove beta 299833bc", idempotent=True)
@_NAME
@_TASKS
def remove(run: Run, name: str, tasks: tuple[str, ...]) -> "Answer[Goal]":
    """Remove tasks from a goal; they stay as they are."""
    return _changed(run, run.orc.goals.remove(name, tasks), "Removed from goal")


@GOAL.command(
    "edit", example='edit beta --due 2026-12-08 --reason "The tests came late"', idempotent=True
)
@_NAME
@option("--due", "The new date; the earlier ones are kept.", types.TIME)
@option("--description", "What is to be reached.")
@REASON
def edit(run: Run, name: str, **changes: str | None) -> "Answer[Goal]":
    """Move the date of a goal, or change its description."""
    return _changed(run, run.orc.goals.edit(name, **given(**changes)), "Changed goal")


@GOAL.command("reach", example="reach beta")
@_NAME
def reach(run: Run, name: str) -> "Answer[Goal]":
    """End a goal as reached; its tasks must have ended."""
    return _changed(run, run.orc.goals.reach(name), "Reached goal")


@GOAL.command("drop", example='drop beta --reason "Not wanted any more"')
@_NAME
@REASON
def drop(run: Run, name: str, reason: str) -> "Answer[Goal]":
    """End a goal that is not pursued any more; its tasks stay as they are."""
    return _changed(run, run.orc.goals.drop(name, reason=reason), "Dropped goal")


@GOAL.command("reopen", example="reopen beta")
@_NAME
def reopen(run: Run, name: str) -> "Answer[Goal]":
    """Open a goal that was reached or dropped."""
    return _changed(run, run.orc.goals.reopen(name), "Reopened goal")


@GOAL.command("list", example="list --all", reads=True)
@flag("--all", "Also reached and dropped ones.")
def list_(run: Run, all: bool) -> "Answer[list[GoalStatus]]":
    """List the open goals, the next date first."""
    goals = [run.orc.goals.status(goal.name) for goal in run.orc.goals.all(ended=all)]
    return listing(
        goals,
        ("goal", lambda status: status.goal.name),
        ("due", lambda status: shown_time(status.goal.due)),
        ("status", lambda status: "late" if status.late else status.goal.status),
        ("progress", lambda status: bar(status.percent)),
        ("done", lambda status: f"{status.done}/{status.total}"),
        ("description", lambda status: one_line(status.goal.description, _SHORT)),
        empty="No goals.",
    )


class _DateOutlook(msgspec.Struct):
    """Whether its tasks will have ended by its date."""

    outlook: "GoalOutlook"


@GOAL.command("show", example="show beta", reads=True, long=True)
@_NAME
def show(run: Run, name: str) -> "Answer[Joined[GoalStatus, _DateOutlook]]":
    """Show a goal: its tasks, whether they will have ended by its date, and its earlier dates."""
    status = run.orc.goals.status(name)
    outlook = run.orc.outlook(name, progress=run.progress)
    return Answer(Joined(status, _DateOutlook(outlook)), lambda: _page(status, outlook))


_SHORT = 60
"""Characters of a description in a list."""


def _changed(run: Run, goal: "Goal", what: str) -> "Answer[Goal]":
    about = f"{goal.status}, due {shown_time(goal.due)}, {amount(len(goal.tasks), 'task')}"
    return run.changed(goal, f"{what}: {escape(goal.name)} ({about})")


def _page(status: "GoalStatus", outlook: "GoalOutlook") -> str:
    goal = status.goal
    known = facts(
        goal,
        ("due", lambda _: _due(status)),
        (
            "progress",
            lambda _: (
                f"{bar(status.percent)} {status.percent}%, {status.done} of {status.total} done"
            ),
        ),
        ("tasks", lambda _: counted(status.counts) or "no tasks"),
        ("blocked", lambda _: status.blocked or None),
        ("left", lambda _: _left(status)),
        ("forecast", lambda _: _forecast(outlook)),
        ("created", lambda _: f"{shown_time(goal.created_at)} by {goal.created_by}"),
        (
            goal.status,
            lambda _: f"{shown_time(goal.ended_at)} by {goal.ended_by}" if goal.ended_at else "",
        ),
        "reason",
    )
    moves = [
        (
            shown_time(m.before),
            shown_time(m.after),
            f"{shown_time(m.moved_at)} by {m.agent}",
            m.reason,
        )
        for m in goal.moves
    ]
    return parts(
        f"[{goal.status}] {escape(goal.name)}",
        section("Description", goal.description),
        known,
        table(("from", "to", "moved", "because"), moves) if moves else "",
        outlined(status.tasks),
    )


def _due(status: "GoalStatus") -> str:
    from orchestrator.reports.report.sections import later

    moves = status.goal.moves
    late = f", late by {spoken(status.late)}" if status.late else ""
    if not moves:
        return f"{shown_time(status.goal.due)}{late}"
    times = f"moved {len(moves)} times" if len(moves) > 1 else "moved once"
    by = f"{later(status.moved)} than at first" if status.moved else "to where it was"
    return f"{shown_time(status.goal.due)}{late}; {times}, {by}"


def _left(status: "GoalStatus") -> str:
    if not status.open:
        return ""
    estimated = f"{spoken(status.estimate * 60)} by the estimates" if status.estimate else ""
    unknown = f"{status.without_estimate} without an estimate" if status.without_estimate else ""
    return ", ".join(filter(None, (estimated, unknown)))


def _forecast(outlook: "GoalOutlook") -> str:
    from orchestrator.reports.report.sections import slip

    if outlook.outcome == "ended" and outlook.slip is None:
        return ""
    if outlook.p50 is None or outlook.p85 is None:
        return slip(outlook)
    days = f"85 % by {shown_time(outlook.p85)}, half by {shown_time(outlook.p50)}"
    return f"{days}; {slip(outlook)}"
