"""``orc workstream``: the streams that tasks belong to."""

from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from orchestrator.core.errors import UsageError
from orchestrator.core.printable import escape
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import WORKSTREAM
from orchestrator.interfaces.cli.layout import facts, lines, paint, shown_time
from orchestrator.interfaces.cli.parameters import REASON, argument, option
from orchestrator.interfaces.cli.rendering import Answer, Joined
from orchestrator.interfaces.cli.run import Run, given, once

if TYPE_CHECKING:
    from orchestrator.domain.workstreams.records import Workstream

_NAME = argument("name", "The workstream.", types.WORKSTREAM_NAME)


@WORKSTREAM.command("create", example='create build "Build things" 1')
@argument("name", "Its name, unique on the board.", types.NAME)
@argument("[desc]", "What it is for.")
@argument("[number]", "Its priority; 1 comes first.", types.PRIORITY, metavar="PRIORITY")
@option("--description", "What it is for.")
@option("--priority", "1 comes first; 5 if not given.", types.PRIORITY)
@option("--prefix", "What ids of new tasks begin with: build makes build-a3f8.", types.NAME)
def create(
    run: Run, name: str, desc: str | None, number: int | None, **facts: Any
) -> "Answer[Workstream]":
    """Begin a workstream."""
    facts["description"] = once("description", desc, facts["description"])
    facts["priority"] = once("priority", number, facts["priority"])
    made = run.orc.workstreams.create(name, **given(**facts))
    return run.changed(made, f"Created workstream: {escape(made.name)}")


@WORKSTREAM.command("list", example="list", reads=True)
def list_(run: Run) -> "Answer[list[_Counted]]":
    """List the workstreams with their counts, by priority."""
    streams = [
        (stream, run.orc.workstreams.counts(stream.name)) for stream in run.orc.workstreams.all()
    ]
    return Answer(
        [_record(stream, counts) for stream, counts in streams],
        lambda: lines((_lines(*stream) for stream in streams), empty="No workstreams."),
    )


@WORKSTREAM.command("show", example="show build", reads=True)
@_NAME
def show(run: Run, name: str) -> "Answer[_Counted]":
    """Show a workstream with its counts and times."""
    stream = run.orc.workstreams.get(name)
    counts = run.orc.workstreams.counts(name)
    known = facts(
        stream,
        "status",
        "prefix",
        ("created", lambda stream: f"{shown_time(stream.created_at)} by {stream.created_by}"),
        ("updated", "updated_at"),
    )
    return Answer(_record(stream, counts), lambda: f"{_lines(stream, counts)}\n{known}")


@WORKSTREAM.command("edit", example="edit build --priority 2", idempotent=True)
@_NAME
@option("--description", "What it is for.")
@option("--priority", "1 comes first.", types.PRIORITY)
@option("--prefix", "What ids of new tasks begin with; an empty one: digits only.")
def edit(run: Run, name: str, **changes: Any) -> "Answer[Workstream]":
    """Change the description, the priority or the prefix of a workstream; tasks keep their ids."""
    if not given(**changes):
        raise UsageError(
            "There is nothing to change", hint="Give --description, --priority or --prefix."
        )
    stream = run.orc.workstreams.edit(name, **changes)
    return run.changed(stream, f"Edited workstream: {escape(name)}")


@WORKSTREAM.command("close", example="close build --reason shipped", idempotent=True)
@_NAME
@REASON
def close(run: Run, name: str, reason: str) -> "Answer[Workstream]":
    """Close a workstream: it gives out and takes in no more tasks."""
    return run.changed(
        run.orc.workstreams.close(name, reason=reason), f"Closed workstream: {escape(name)}"
    )


@WORKSTREAM.command("reopen", example="reopen build", idempotent=True)
@_NAME
def reopen(run: Run, name: str) -> "Answer[Workstream]":
    """Make a closed workstream active again."""
    return run.changed(run.orc.workstreams.reopen(name), f"Reopened workstream: {escape(name)}")


class _StatusCounts(msgspec.Struct):
    """How many tasks of each status it has."""

    counts: dict[str, int]


_Counted: TypeAlias = "Joined[Workstream, _StatusCounts]"


def _record(stream: "Workstream", counts: dict[str, int]) -> "_Counted":
    return Joined(stream, _StatusCounts(counts))


def _lines(stream: "Workstream", counts: dict[str, int]) -> str:
    usual = {"pending": "pending", "in_progress": "active", "done": "done"}
    shown = [f"{counts.get(status, 0)} {word}" for status, word in usual.items()]
    shown += [f"{n} {status}" for status, n in counts.items() if status not in usual]
    closed = " [closed]" if stream.status == "closed" else ""
    title = paint(f"[P{stream.priority}] {escape(stream.name)}", "bold")
    return f"{title} - {escape(stream.description) or '(no desc)'}{closed}\n  Tasks: {', '.join(shown)}"
