"""``orc task renew``, ``complete``, ``fail``, ...: transitions of a task's status after its claim."""

from typing import TYPE_CHECKING, Any

from orchestrator.core.errors import UsageError
from orchestrator.core.printable import escape
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import TASK
from orchestrator.interfaces.cli.endings import COMPLETING, Ended, completed, completion_word, ended
from orchestrator.interfaces.cli.layout import lines, shown_time
from orchestrator.interfaces.cli.parameters import (
    LEASE,
    TOKEN,
    argument,
    flag,
    option,
    text_file,
)
from orchestrator.interfaces.cli.rendering import Answer, present_lines, say
from orchestrator.interfaces.cli.run import Run
from orchestrator.interfaces.cli.task_words import (
    Words,
    all_changed,
    done,
    mine_or_named,
    mine_or_only,
    only_task,
    reason_words,
    refuse_more,
    several,
    task_and_text,
    task_words,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.domain.tasks.records import Task
    from orchestrator.domain.tasks.several import Verb

# Claims


@TASK.command("renew", example="renew 299833bc --lease 1h")
@task_words(help="The task, mine if not given.", or_mine=True)
@LEASE
@TOKEN
def renew(run: Run, words: Words, lease: str | None, token: int | None) -> "Answer[Task]":
    """Extend the lease of a task, from now."""
    task = run.orc.tasks.renew(mine_or_only(run, words), lease=lease, token=token)
    return say(task, f"Renewed: {escape(task.title)} (until {shown_time(task.lease_until)})")


@TASK.command("release", example="release 299833bc")
@reason_words(or_mine=True)
@TOKEN
def release(run: Run, **given: Any) -> "Answer[list[Task] | Ended]":
    """Give a task back, or the review of one; another agent can take it then."""
    return _ended(run, "release", "Released", mine_or_named, **given)


# Outcomes


@TASK.command(
    "complete",
    example='complete 299833bc "Shipped as v1.0.2" --token 17',
    signed=("force",),
    idempotent=True,
)
@task_words(
    "[RESULT...]", "The task, mine if not given, and the result.", or_mine=True, or_ids=True
)
@option("--result", "The result, for the tasks that need this one.")
@text_file("the result")
@COMPLETING
def complete(
    run: Run,
    words: Words,
    ids: Words | None,
    result: str | None,
    file: str | None,
    **how: Any,
) -> "Answer[list[Task] | Ended]":
    """Complete a task; its checks run here first.

    Checks run in the current folder, without a shell, and with few variables. If one fails, the task stays
    with its holder, and `task show` prints the output. A task with a review then waits for `task approve`.
    With `--ids` all tasks are completed in one commit, or none; a task with checks is completed alone.
    """
    if ids is not None:
        how["continue"] = how.pop("go_on")
        tasks = several(run, "complete", ids, words, result, file, name="result", **how)
        return all_changed(run, tasks, lambda t: f"{completion_word(t)}: {escape(t.title)}")
    task, text = mine_or_named(run, words, option=result, file=file, name="result")
    return completed(run, task, text, **how)


@TASK.command("fail", example='fail 299833bc "The API is gone"')
@reason_words(or_mine=True)
@TOKEN
def fail(run: Run, **given: Any) -> "Answer[list[Task] | Ended]":
    """Say that a task was tried and cannot be done."""
    return _ended(run, "fail", "Failed", mine_or_named, **given)


@TASK.command("block", example='block 299833bc "Waiting for a key"')
@reason_words(required=True, or_mine=True)
def block(run: Run, **given: Any) -> "Answer[list[Task] | Ended]":
    """Set a task aside for a reason outside the board."""
    return _ended(run, "block", "Blocked", mine_or_named, required=True, **given)


@TASK.command("unblock", example="unblock 299833bc")
@task_words(or_ids=True)
def unblock(run: Run, words: Words, ids: Words | None) -> "Answer[list[Task] | Task]":
    """Make a blocked task pending again."""
    if ids is not None:
        refuse_more(words)
        return _all_done(run, several(run, "unblock", ids, words), "Unblocked")
    return done(run, run.orc.tasks.unblock(only_task(run, words)), "Unblocked")


@TASK.command("cancel", example='cancel 299833bc "Not wanted any more"', destructive=True)
@reason_words()
def cancel(run: Run, **given: Any) -> "Answer[list[Task] | Ended]":
    """End a task that is not wanted any more."""
    return _ended(run, "cancel", "Cancelled", task_and_text, **given)


@TASK.command("reopen", example='reopen 299833bc "The fix did not hold" --downstream')
@reason_words()
@flag("--downstream", "Also all that was done after it, directly or not.")
def reopen(
    run: Run, words: Words, ids: Words | None, reason: str | None, downstream: bool
) -> "Answer[list[Task] | Task]":
    """Make an ended task pending again.

    Its dependants wait again. Tasks that were done after it stay done, unless ``--downstream`` reopens them.
    The root of a cancelled workflow reopens the steps that were cancelled with it.
    """
    if ids is not None:
        tasks = several(run, "reopen", ids, words, reason, downstream=downstream)
        return _all_done(run, tasks, "Reopened")
    task, text = task_and_text(run, words, option=reason, name="reason")
    reopened = run.orc.tasks.reopen(task, downstream=downstream, reason=text)
    return done(
        run, reopened, f"Reopened{', with all that was done after it' if downstream else ''}"
    )


def _ended(
    run: Run,
    verb: "Verb",
    done_to: str,
    find: "Callable[..., tuple[str | None, str]]",
    *,
    words: Words,
    ids: Words | None,
    reason: str | None,
    required: bool = False,
    **options: Any,
) -> "Answer[list[Task] | Ended]":
    """End the work on a task, or on all tasks that ``--ids`` names, for a reason.

    Args:
        run: The run of the command.
        verb: The command.
        done_to: The first word of the answer.
        find: Splits the words into task and reason.
        words: The words of the line.
        ids: The tasks of ``--ids``.
        reason: The option ``--reason``.
        required: Whether a reason is needed.
        options: The other options, which are only for one task.
    """
    if ids is not None:
        tasks = several(run, verb, ids, words, reason, required=required, **options)
        return _all_done(run, tasks, done_to)
    task, text = find(run, words, option=reason, name="reason", required=required)
    return ended(run, getattr(run.orc.tasks, verb)(task, reason=text, **options), done_to)


def _all_done(run: Run, tasks: "list[Task]", done_to: str) -> "Answer[list[Task]]":
    return all_changed(run, tasks, lambda task: f"{done_to}: {escape(task.title)}")


@TASK.command("archive", example="archive --older-than 30d")
@argument("[tasks...]", "Tasks that have ended.", types.TASK_ID, metavar="IDS...")
@option("--older-than", "Every task that ended so long ago: 30d.", types.DURATION)
def archive(run: Run, tasks: Words, older_than: str | None) -> "Answer[list[Task]]":
    """Remove ended tasks from the state; the log and `t show` keep them."""
    if not tasks and older_than is None:
        raise UsageError("Nothing to archive is named", hint="Give ids or --older-than 30d.")
    return present_lines(
        run.orc.tasks.archive(tasks, older_than=older_than),
        lambda task: f"Archived: {escape(task.title)}",
        empty="Nothing to archive.",
    )


# Reviews


@TASK.command("approve", example='approve 299833bc "Reads well" --agent bob')
@task_words(
    "[COMMENT...]", "The task, the one that I review if not given, and what to say.", or_mine=True
)
@option("--comment", "A comment.")
def approve(run: Run, words: Words, comment: str | None) -> "Answer[Ended]":
    """Approve the work of another agent: it is done."""
    task, text = mine_or_named(run, words, option=comment, name="comment")
    return ended(run, run.orc.reviews.approve(task, comment=text), "Approved")


@TASK.command("reject", example='reject 299833bc "The migration has no test" --agent bob')
@task_words(
    "REASON...", "The task, the one that I review if not given, and what is missing.", or_mine=True
)
@option("--reason", "What is missing.")
def reject(run: Run, words: Words, reason: str | None) -> "Answer[Ended]":
    """Give the work of another agent back to it, with the reason."""
    task, text = mine_or_named(run, words, option=reason, name="reason", required=True)
    return ended(run, run.orc.reviews.reject(task, reason=text), "Rejected")


@TASK.command("trust", example="trust 299833bc", local=True)
@argument("tasks...", "Tasks that came by import.", types.TASK_ID, metavar="IDS...")
def trust(run: Run, tasks: Words) -> "Answer[list[Task]]":
    """Let the commands run that tasks came with by import; `task show` prints them."""
    trusted = run.orc.reviews.trust(tasks)
    texts = (
        f"Trusted: {escape(task.title)}: {escape(command)}"
        for task in trusted
        if task.checks is not None
        for command in task.checks.verify
    )
    return Answer(trusted, lambda: lines(texts, empty="Nothing to trust."))
