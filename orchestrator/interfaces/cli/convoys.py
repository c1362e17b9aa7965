"""``orc convoy``: tasks that are followed together until all of them have ended."""

from typing import TYPE_CHECKING

from orchestrator.core.printable import escape
from orchestrator.interfaces.cli.commands import CONVOY
from orchestrator.interfaces.cli.grammar import Argument, Option
from orchestrator.interfaces.cli.hooks import assignments
from orchestrator.interfaces.cli.rendering import Answer, bar, fields, parts, plain, say, table
from orchestrator.interfaces.cli.run import DRY_RUN, Run

if TYPE_CHECKING:
    from orchestrator.domain.convoys.commands import Convoy, ConvoyStatus

_NAME = Argument("name", "The convoy.", completes="convoys")
_TASKS = Argument("tasks", "Ids or prefixes.", "TASK...", many=True, completes="tasks")


@CONVOY.command(
    "create",
    Argument("name", "Its name."),
    Argument("tasks", "Ids or prefixes.", "TASK...", False, many=True, completes="tasks"),
    Option(("--description",), "One line.", default=""),
    Option(
        ("--notify",),
        "Addresses of those who are told when it lands; me if not given.",
        "WHO",
        many=True,
        completes="agents",
    ),
    example="create release 299833bc 17ab3f00 --notify ann,@ws:build",
)
def create(
    run: Run, name: str, tasks: tuple[str, ...], description: str, notify: tuple[str, ...] | None
) -> Answer:
    """Begin to follow tasks of any workstreams together."""
    convoy = run.orc.convoys.create(name, tasks, description=description, notify=notify or ())
    return _said(convoy, "Created convoy")


@CONVOY.command("add", _NAME, _TASKS, example="add release 299833bc")
def add(run: Run, name: str, tasks: tuple[str, ...]) -> Answer:
    """Add tasks to a convoy; one that has landed is open again if one of them is."""
    return _said(run.orc.convoys.add(name, tasks), "Added to convoy")


@CONVOY.command("remove", _NAME, _TASKS, aliases=("rm",), example="remove release 299833bc")
def remove(run: Run, name: str, tasks: tuple[str, ...]) -> Answer:
    """Take tasks out of a convoy; they stay as they are."""
    return _said(run.orc.convoys.remove(name, tasks), "Removed from convoy")


@CONVOY.command(
    "start",
    _NAME,
    Option(("--dispatch",), "Give its ready tasks to agents.", flag=True),
    DRY_RUN,
    example="start release --dispatch",
)
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


@CONVOY.command(
    "cancel", _NAME, Option(("--reason",), "Why.", default=""), example="cancel release"
)
def cancel(run: Run, name: str, reason: str) -> Answer:
    """Follow a convoy no more; its tasks stay as they are."""
    return _said(run.orc.convoys.cancel(name, reason=reason), "Cancelled convoy")


@CONVOY.command(
    "list",
    Option(("--all",), "Also those that have landed or were cancelled.", flag=True),
    aliases=("ls",),
    example="list --all",
    reads=True,
)
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


@CONVOY.command("status", _NAME, aliases=("show",), example="status release", reads=True)
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
