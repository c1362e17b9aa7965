"""The answer of every command that changes the status of a task: its first line and the consequences."""

from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from orchestrator.core.errors import OrchestratorError, UsageError
from orchestrator.core.printable import escape, few, one_line
from orchestrator.core.transaction import SYSTEM
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.layout import parts
from orchestrator.interfaces.cli.parameters import TOKEN, flag, option, together
from orchestrator.interfaces.cli.rendering import Answer, Joined, say, warn
from orchestrator.interfaces.cli.run import Run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.domain.agents.sessions import Done
    from orchestrator.domain.tasks.records import Evidence, Task
    from orchestrator.domain.workflows.commands import Advanced
    from orchestrator.planning.aftermath import Aftermath, Neighbour, News, StillWaiting


class NextCommand(msgspec.Struct):
    """The command to go on with; empty for the system itself."""

    next_command: str


End: TypeAlias = "Task | Advanced | Done"
"""What a command that ended a step gives to programs."""

Ended: TypeAlias = "End | Joined[End, Joined[Aftermath, NextCommand]]"
"""The same, with what it changed if that can be read."""

_LISTED = 3
"""How many tasks are named; the others are counted."""

_MESSAGES = 2
"""How many unread messages are named; more are counted."""

_TITLE = 60
"""Characters of a title or a check in a list."""


COMPLETING = together(
    flag(
        "--force", "Ignore a missing claim, open needs or parts, and failed checks; with --reason."
    ),
    option("--reason", "The reason for --force, kept in the evidence.", default=""),
    TOKEN,
    flag(
        "--continue",
        "Also claim the next ready step of the workflow, in the same commit.",
        name="go_on",
    ),
    option(
        "--lease",
        "With --continue: the lease of the next step, such as 30m; by default as before.",
        types.DURATION,
        rare=True,
    ),
)


def completed(
    run: Run, task: str | None, result: str, *, go_on: bool, lease: str | None, **how: Any
) -> "Answer[Ended]":
    """Complete a task, or the one that the agent works on, and give the answer."""
    if lease is not None and not go_on:
        raise UsageError("--lease goes with --continue", hint="`t renew --lease` extends a claim.")
    if go_on:
        advanced = run.orc.workflows.advance(task, lease=lease, result=result or None, **how)
        count = f" ({advanced.ended} of {advanced.total} steps ended)"
        step, then = advanced.completed, _next_step(run, advanced)
        return ended(
            run, step, completion_word(step), count=count, value=advanced, checked=True, then=then
        )
    done = run.orc.tasks.complete(task, result=result or None, **how)
    is_another = bool(result.strip()) and result.strip() != (done.result or "").strip()
    show = f"`{run.prog} show {done.id}`"
    remark = f"It had another result already; yours is a note: {show}." if is_another else ""
    return ended(run, done, completion_word(done), checked=not is_another, remark=remark)


def completion_word(task: "Task") -> str:
    """The first word of the answer of a command that completed a task."""
    if task.waits_for:
        return "To be merged"
    return "Completed" if task.status == "done" else "To be reviewed"


def _next_step(run: Run, advanced: "Advanced") -> str:
    following = advanced.next
    if following is not None:
        return f"Claimed next step: {following.id} - {escape(following.title)}"
    if advanced.complete:
        return f"Workflow {advanced.workflow} is complete."
    return f"No step is ready: `{run.prog} formula current {advanced.workflow}` shows what they wait for."


def ended(
    run: Run,
    task: "Task",
    what: str,
    *,
    count: str = "",
    value: "End | None" = None,
    checked: bool = False,
    remark: str = "",
    then: str = "",
) -> "Answer[Ended]":
    """The answer of a command that ended a step.

    Args:
        run: The run of the command.
        task: The task after the command.
        what: What was done to it.
        count: More for the first line.
        value: The record for programs; the task if not given.
        checked: Its checks ran now: name them.
        remark: A sentence about it.
        then: The text after the first line, in place of the next command.
    """
    first = f"{what}: {escape(task.title)}{count}"
    end = task if value is None else value
    try:
        after = run.orc.aftermath(task, agent=run.agent)
    except (OrchestratorError, OSError) as error:
        # The change is committed, even if reading the board again fails.
        warn(f"what the step changed cannot be shown: {error}")
        return say(end, first)
    prog = run.prog_as(after.agent)
    next_command = "" if after.agent == SYSTEM else f"{prog} next"

    def page() -> str:
        return parts(
            first,
            run.unchanged or remark,
            then,
            _checks(task) if checked and not run.unchanged else "",
            _awaited(run.prog, task, after),
            _others("Free now", after.freed),
            _others("Waits for it", after.kept_back),
            _others("Its open parts stay, and it keeps them back no longer", after.parts),
            "" if after.freed else "; ".join(map(_still, after.still_waiting)),
            _mail(prog, after.news),
            f"Next: `{next_command}`" if next_command and not then else "",
        )

    return Answer(Joined(end, Joined(after, NextCommand(next_command))), page)


def _checks(task: "Task") -> str:
    """Name the checks that ran, with the time that each command took."""
    checks = task.checks  # evidence of checks that it has no longer is of an earlier try
    named = () if checks is None else (*checks.verify, *checks.artifacts)
    ran = [_check(item) for item in task.evidence if item.what in named and item.kind != "force"]
    past = [item.problem for item in task.evidence if item.kind == "force" and item.problem]
    return parts(
        f"Checks: {', '.join(ran)}" if ran else "",
        f"By force, although {escape(past[-1])}" if past else "",
    )


def _check(item: "Evidence") -> str:
    there = "is there" if item.kind == "artifact" else "passed"
    outcome = there if item.passed else "FAILED"
    took = "" if item.seconds is None else f" in {item.seconds:.1f}s"
    return f"{escape(one_line(item.what, _TITLE))} {outcome}{took}"


def _awaited(prog: str, task: "Task", after: "Aftermath") -> str:
    """Say what a task in review waits for: the merge of its branch, or a reviewer."""
    if task.waits_for and task.proposal is not None:
        branch, target = escape(task.proposal.branch), escape(task.proposal.target)
        return f"Done when {branch} is merged into {target}: `{prog} merge show {task.id}`"
    if not task.awaits_review:
        return ""
    workers = ", ".join(map(escape, task.all_workers))
    anyone = f"any agent{f' but {workers}' if workers else ''}"
    asked = ", ".join(map(escape, after.reviewers))
    return f"May approve: {anyone}{f', such as {asked}' if asked else ''}"


def _still(waiting: "StillWaiting") -> str:
    return f"Still waits: {_named(waiting)} needs {_named(waiting.needs)}"


def _mail(prog: str, news: "Sequence[News]") -> str:
    """Name unread messages if there are few."""
    if len(news) > _MESSAGES:
        return f"{len(news)} unread: `{prog} mail inbox`"
    subjects = [f"{escape(m.sender)}: {escape(one_line(m.subject, _TITLE))}" for m in news]
    reads = (f"`{prog} mail read {message.id}`" for message in news)
    return parts(
        *(f"Unread from {text} ({read})" for text, read in zip(subjects, reads, strict=True))
    )


def _others(title: str, tasks: "Sequence[Neighbour]") -> str:
    names = few(tasks, _LISTED, _named, "{} more")
    return f"{title}: {'; '.join(names)}" if names else ""


def _named(task: "Neighbour") -> str:
    return f"{task.id} {escape(one_line(task.title, _TITLE))}"
