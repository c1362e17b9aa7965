"""``orc decision``: record and show decisions."""

from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.core.errors import UsageError
from orchestrator.core.printable import escape, escape_lines
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import DECISION
from orchestrator.interfaces.cli.parameters import argument, option, text_file
from orchestrator.interfaces.cli.rendering import Answer, Joined, listing, present_lines, say
from orchestrator.interfaces.cli.run import Run, either, given

if TYPE_CHECKING:
    from orchestrator.domain.decisions.commands import DecisionVersion
    from orchestrator.domain.decisions.records import Decision

_NUMBER = argument("number", "The number of the decision.", types.INTEGER)


@DECISION.command(
    "add",
    example='add "Settings are TOML" --context "YAML surprised us" --task 299833bc',
    signed=True,
)
@argument("title", "One line that says what was decided.")
@option("--context", "The reason for the decision.")
@option("--decision", "What was decided, and why; else the title.")
@option("--consequences", "What follows from it.")
@option("--task", "The task that it is made for.", types.TASK_ID)
def add(run: Run, title: str, **texts: str | None) -> "Answer[Decision]":
    """Record a decision under the next number, as knowledge/decisions/NNNN-title.md."""
    added = run.orc.decisions.add(title, **given(**texts))
    return say(added, f"Added decision: {_line(added)}")


@DECISION.command("list", example="list", reads=True)
def list_(run: Run) -> "Answer[list[Decision]]":
    """List the decisions with their status."""
    return present_lines(run.orc.decisions.all(), _line, empty="(no decisions)")


class _Digest(msgspec.Struct):
    """What ``edit --replaces`` takes.

    Attributes:
        digest: The digest of its title and sections.
    """

    digest: str


@DECISION.command("show", example="show 3", reads=True)
@_NUMBER
def show(run: Run, number: int) -> "Answer[Joined[Decision, _Digest]]":
    """Print a decision record."""
    from orchestrator.domain.decisions.commands import digest

    decision = run.orc.decisions.get(number)
    value = Joined(decision, _Digest(digest(decision)))
    return Answer(value, lambda: escape_lines(decision.document.removesuffix("\n")))


@DECISION.command("edit", example='edit 3 --title "Settings are TOML files"', idempotent=True)
@_NUMBER
@option("--title", "The decision in one line.")
@option("--text", "Its sections in markdown.")
@text_file("the sections")
@option("--replaces", "Only if it has this digest: `show --json`.")
def edit(
    run: Run, number: int, text: str | None, file: str | None, **options: Any
) -> "Answer[Decision]":
    """Change the title or the sections of a decision; its history keeps the old ones."""
    sections = either("text", text, file)
    if sections is None and options["title"] is None:
        raise UsageError("There is nothing to change", hint="Give --title, --text or --file.")
    edited = run.orc.decisions.edit(number, text=sections, **options)
    return run.changed(edited, f"Edited decision: {_line(edited)}")


@DECISION.command("history", example="history 3", reads=True)
@_NUMBER
def history(run: Run, number: int) -> "Answer[list[DecisionVersion]]":
    """List the versions of a decision, oldest first."""
    return listing(
        run.orc.decisions.history(number),
        "version",
        ("time", "changed_at"),
        "author",
        "title",
        ("characters", lambda version: len(version.text)),
        empty="",
    )


@DECISION.command("supersede", example="supersede 3 7")
@_NUMBER
@argument("by", "The number of the newer decision.", types.INTEGER)
def supersede(run: Run, number: int, by: int) -> "Answer[Decision]":
    """Mark a decision as replaced by a newer one."""
    changed = run.orc.decisions.supersede(number, by)
    return run.changed(changed, f"Superseded decision: {_line(changed)}")


def _line(decision: "Decision") -> str:
    by = f" by {decision.superseded_by}" if decision.superseded_by else ""
    task = f" (task {decision.task})" if decision.task else ""
    return f"[{decision.status}{by}] {decision.number}: {escape(decision.title)}{task}"
