"""``orc convoy``: tasks that are followed together until all of them have ended."""

from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.core.printable import escape
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import CONVOY
from orchestrator.interfaces.cli.hooks import assignments
from orchestrator.interfaces.cli.layout import (
    bar,
    counted,
    facts,
    outlined,
    parts,
    progress_of,
    shown_time,
)
from orchestrator.interfaces.cli.merges import INTO, line_of
from orchestrator.interfaces.cli.parameters import DRY_RUN, REASON, argument, flag, option
from orchestrator.interfaces.cli.rendering import Answer, Joined, listing, present
from orchestrator.interfaces.cli.run import Run, given

if TYPE_CHECKING:
    from orchestrator.domain.agents.dispatch import Assignment
    from orchestrator.domain.convoys.commands import ConvoyStatus
    from orchestrator.domain.convoys.records import Convoy
    from orchestrator.domain.merges.records import Strategy, Submission

_NAME = argument("name", "The convoy.", types.CONVOY_NAME)
_TASKS = argument("tasks...", "Ids or prefixes.", types.TASK_ID, metavar="TASK...")


@CONVOY.command("create", example="create release 299833bc 17ab3f00 --notify ann,@ws:build")
@argument("name", "Its name.", types.NAME)
@argument("[tasks...]", "Ids or prefixes.", types.TASK_ID, metavar="TASK...")
@option("--description", "One line.", default="")
@option(
    "--notify",
    "Addresses that get a message when it lands; me if not given.",
    types.AGENT_NAME,
    metavar="WHO",
    many=True,
)
@option(
    "--target",
    "A branch for this convoy: the branches of its tasks are merged into it.",
    metavar="BRANCH",
)
def create(run: Run, name: str, tasks: tuple[str, ...], **settings: Any) -> "Answer[Convoy]":
    """Create a convoy of tasks, from any workstreams."""
    convoy = run.orc.convoys.create(name, tasks, **given(**settings))
    return _changed(run, convoy, "Created convoy")


@CONVOY.command("add", example="add release 299833bc", idempotent=True)
@_NAME
@_TASKS
def add(run: Run, name: str, tasks: tuple[str, ...]) -> "Answer[Convoy]":
    """Add tasks to a convoy; a landed convoy opens again if one of them is open."""
    return _changed(run, run.orc.convoys.add(name, tasks), "Added to convoy")


@CONVOY.command("remove", example="remove release 299833bc", idempotent=True)
@_NAME
@_TASKS
def remove(run: Run, name: str, tasks: tuple[str, ...]) -> "Answer[Convoy]":
    """Take tasks out of a convoy; they stay as they are."""
    return _changed(run, run.orc.convoys.remove(name, tasks), "Removed from convoy")


class _StartAssignments(msgspec.Struct):
    """The tasks that were given to agents."""

    assigned: "list[Assignment]"


@CONVOY.command("start", example="start release --dispatch")
@_NAME
@flag("--dispatch", "Give its ready tasks to agents.")
@DRY_RUN
def start(
    run: Run, name: str, dispatch: bool, dry_run: bool
) -> "Answer[Joined[Convoy, _StartAssignments]]":
    """Start a convoy; with --dispatch, also assign its ready tasks to agents."""
    with run.rehearsed(dry_run):
        if dispatch:
            started, given = run.orc.dispatch.start_convoy(name)
        else:
            started, given = run.orc.convoys.start(name), []
    return Answer(
        Joined(started, _StartAssignments(given)),
        lambda: parts(
            f"{'Would start' if dry_run else 'Started'} convoy: {_line(started)}",
            run.unchanged,
            assignments(given, dry_run) if dispatch else "",
        ),
    )


@CONVOY.command("cancel", example="cancel release", destructive=True)
@_NAME
@REASON
def cancel(run: Run, name: str, reason: str) -> "Answer[Convoy]":
    """Cancel a convoy; its tasks stay as they are."""
    return _changed(run, run.orc.convoys.cancel(name, reason=reason), "Cancelled convoy")


@CONVOY.command("land", example="land release", idempotent=True)
@_NAME
@INTO
def land(
    run: Run, name: str, target: str | None, strategy: "Strategy | None"
) -> "Answer[Submission]":
    """Submit the target branch of a convoy, so that its work is merged as one.

    All of its tasks must have ended.
    """
    submission = run.orc.merges.land(name, **given(target=target, strategy=strategy))
    return run.changed(submission, f"Submitted: {line_of(submission)}")


@CONVOY.command("list", example="list --all", reads=True)
@flag("--all", "Also landed and cancelled ones.")
def list_(run: Run, all: bool) -> "Answer[list[Convoy]]":
    """List the open convoys."""
    return listing(
        run.orc.convoys.all(ended=all),
        ("convoy", "name"),
        "status",
        ("progress", lambda convoy: bar(convoy.percent)),
        ("ended", lambda convoy: f"{convoy.ended}/{len(convoy.tasks)}"),
        "description",
        empty="No convoys.",
    )


@CONVOY.command("status", example="status release", reads=True)
@_NAME
def status(run: Run, name: str) -> "Answer[ConvoyStatus]":
    """Show the progress of a convoy, with each of its tasks."""
    return present(run.orc.convoys.status(name), _page)


def _changed(run: Run, convoy: "Convoy", what: str) -> "Answer[Convoy]":
    return run.changed(convoy, f"{what}: {_line(convoy)}")


def _line(convoy: "Convoy") -> str:
    progress = f"{convoy.status}, {convoy.ended} of {len(convoy.tasks)} ended"
    return f"{escape(convoy.name)} ({progress})"


def _page(status: "ConvoyStatus") -> str:
    convoy = status.convoy
    known = facts(
        convoy,
        "description",
        ("progress", lambda _: progress_of(status)),
        ("tasks", lambda _: counted(status.counts) or "no tasks"),
        ("ready", lambda _: status.ready or None),
        "notify",
        ("created", lambda _: f"{shown_time(convoy.created_at)} by {convoy.created_by}"),
        ("started", "started_at"),
        ("ended", "ended_at"),
        "target",
        "reason",
    )
    return parts(f"[{convoy.status}] {escape(convoy.name)}", known, outlined(status.tasks))
