"""``orc convoy``: tasks that are followed together until all of them have ended."""

from typing import TYPE_CHECKING

from orchestrator.core.printable import escape
from orchestrator.interfaces.cli.commands import CONVOY
from orchestrator.interfaces.cli.hooks import assignments
from orchestrator.interfaces.cli.parameters import (
    AGENT_NAME,
    CONVOY_NAME,
    DRY_RUN,
    TASK_ID,
    argument,
    flag,
    option,
)
from orchestrator.interfaces.cli.rendering import Answer, bar, fields, parts, plain, say, table
from orchestrator.interfaces.cli.run import Run

if TYPE_CHECKING:
    from orchestrator.domain.convoys.commands import ConvoyStatus
    from orchestrator.domain.convoys.records import Convoy

_NAME = argument("name", type=CONVOY_NAME, help="The convoy.")
_TASKS = argument("tasks", type=TASK_ID, metavar="TASK...", many=True, help="Ids or prefixes.")


@CONVOY.command("create", example="create release 299833bc 17ab3f00 --notify ann,@ws:build")
@argument("name", help="Its name.")
@argument(
    "tasks", type=TASK_ID, metavar="TASK...", required=False, many=True, help="Ids or prefixes."
)
@option("--description", default="", help="One line.")
@option(
    "--notify",
    type=AGENT_NAME,
    metavar="WHO",
    many=True,
    help="Addresses of those who are told when it lands; me if not given.",
)
def create(
    run: Run, name: str, tasks: tuple[str, ...], description: str, notify: tuple[str, ...] | None
) -> Answer:
    """Begin to follow tasks of any workstreams together."""
    convoy = run.orc.convoys.create(name, tasks, description=description, notify=notify or ())
    return _said(convoy, "Created convoy")


@CONVOY.command("add", example="add release 299833bc")
@_NAME
@_TASKS
def add(run: Run, name: str, tasks: tuple[str, ...]) -> Answer:
    """Add tasks to a convoy; one that has landed is open again if one of them is."""
    return _said(run.orc.convoys.add(name, tasks), "Added to convoy")


@CONVOY.command("remove", example="remove release 299833bc")
@_NAME
@_TASKS
def remove(run: Run, name: str, tasks: tuple[str, ...]) -> Answer:
    """Take tasks out of a convoy; they stay as they are."""
    return _said(run.orc.convoys.remove(name, tasks), "Removed from convoy")


@CONVOY.command("start", example="start release --dispatch")
@_NAME
@flag("--dispatch", help="Give its ready tasks to agents.")
@DRY_RUN
def start(run: Run, name: str, dispatch: bool, dry_run: bool) -> Answer:
    """Say that a convoy begins, and perhaps give its ready tasks to agents."""
    with run.rehearsed(dry_run):
        if dispatch:
            started, given = run.orc.dispatch.start_convoy(name)
        else:
            started, given = run.orc.convoys.start(name), []
    return Answer(
        {**plain(started), "assigned": plain(given)},
        lambda: parts(f"Started convoy: {_line(started)}", assignments(given) if dispatch else ""),
    )


@CONVOY.command("cancel", example="cancel release")
@_NAME
@option("--reason", default="", help="Why.")
def cancel(run: Run, name: str, reason: str) -> Answer:
    """Follow a convoy no more; its tasks stay as they are."""
    return _said(run.orc.convoys.cancel(name, reason=reason), "Cancelled convoy")


@CONVOY.command("list", example="list --all", reads=True)
@flag("--all", help="Also those that have landed or were cancelled.")
def list_(run: Run, all: bool) -> Answer:
    """List the convoys that are open."""
    found = run.orc.convoys.all(ended=all)
    rows = [
        (
            c.name,
            c.status,
            bar(_percent(c)),
            f"{len(c.tasks) - c.open_tasks}/{len(c.tasks)}",
            c.description,
        )
        for c in found
    ]
    headers = ("convoy", "status", "progress", "ended", "description")
    return Answer(found, lambda: table(headers, rows) if rows else "No convoys.")


@CONVOY.command("status", example="status release", reads=True)
@_NAME
def status(run: Run, name: str) -> Answer:
    """Show how far a convoy is, with each of its tasks."""
    found = run.orc.convoys.status(name)
    return Answer(found, lambda: _page(found))


def _said(convoy: "Convoy", what: str) -> Answer:
    return say(convoy, f"{what}: {_line(convoy)}")


def _line(convoy: "Convoy") -> str:
    ended = len(convoy.tasks) - convoy.open_tasks
    return f"{escape(convoy.name)} ({convoy.status}, {ended} of {len(convoy.tasks)} ended)"


def _percent(convoy: "Convoy") -> int:
    total = len(convoy.tasks)
    return 100 * (total - convoy.open_tasks) // total if total else 0


def _page(found: "ConvoyStatus") -> str:
    convoy = found.convoy
    counts = ", ".join(f"{n} {status}" for status, n in found.counts.items()) or "no tasks"
    facts = (
        ("description", convoy.description),
        (
            "progress",
            f"{bar(found.percent)} {found.percent}%, {found.ended} of {found.total} ended",
        ),
        ("tasks", counts),
        ("ready", found.ready or None),
        ("notify", ", ".join(convoy.notify)),
        ("created", f"{convoy.created_at} by {convoy.created_by}"),
        ("started", convoy.started_at),
        ("ended", convoy.ended_at),
        ("reason", convoy.reason),
    )
    rows = [(row["task"], row["status"], row["assigned_to"], row["title"]) for row in found.tasks]
    listed = table(("task", "status", "agent", "title"), rows) if rows else ""
    return parts(f"[{convoy.status}] {escape(convoy.name)}", fields(facts), listed)
