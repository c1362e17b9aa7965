"""``orc merge``: the merge queue."""

from typing import TYPE_CHECKING

from orchestrator.core.printable import escape, escape_lines, one_line
from orchestrator.domain.merges.records import Strategy, Submission
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import MERGE
from orchestrator.interfaces.cli.layout import facts, parts, shown_time, table, titled
from orchestrator.interfaces.cli.parameters import REASON, argument, flag, option, together
from orchestrator.interfaces.cli.rendering import Answer, listing, present
from orchestrator.interfaces.cli.run import Run, given

if TYPE_CHECKING:
    from orchestrator.domain.merges.commands import SubmissionView
    from orchestrator.domain.tasks.records import Task

INTO = together(
    option("--target", "The branch to merge it into.", metavar="BRANCH"),
    option(
        "--strategy",
        "How to merge it; config.toml has the default.",
        types.choice("merge", "squash", "rebase"),
    ),
)
"""Options that name the target branch of a merge and the way to merge."""

_SUBMISSION = argument(
    "submission", "Its number, its task or its branch.", types.Type("ID", completes="merges.number")
)


@MERGE.command("submit", example="submit 299833bc --target main", idempotent=True)
@argument(
    "[what]",
    "The task or the branch. Without it: the branch of this folder, else the task that I work on.",
    types.Type("TASK|BRANCH", completes="tasks.id"),
)
@INTO
def submit(
    run: Run, what: str | None, target: str | None, strategy: "Strategy | None"
) -> "Answer[Submission | Task]":
    """Submit a branch to be merged; if its task is in work, this completes the task.

    The checks of the task run first. If the task needs a review, the approval submits the branch. Submit a
    branch again to replace the commit that waits. Everything must be committed.
    """
    submitted = run.orc.merges.submit(what, **given(target=target, strategy=strategy))
    if isinstance(submitted, Submission):
        return run.changed(submitted, f"Submitted: {line_of(submitted)}")
    text = f"To be reviewed: {escape(submitted.title)}\nThe approval submits its branch."
    return run.changed(submitted, text)


@MERGE.command("list", example="list --all", reads=True)
@flag("--all", "Also list submissions that have ended.")
def list_(run: Run, all: bool) -> "Answer[list[Submission]]":
    """List the submissions that wait to be merged, in the order of the queue."""
    return listing(
        run.orc.merges.all(ended=all),
        "number",
        "status",
        ("branch", lambda s: s.branch),
        ("target", lambda s: s.target),
        ("task", lambda s: s.task or ""),
        ("author", lambda s: s.author),
        ("retries", lambda s: s.retries or ""),
        ("since", lambda s: shown_time(s.ended_at or s.submitted_at)),
        ("reason", lambda s: one_line(s.reason, _SHORT)),
        empty="Nothing waits to be merged.",
    )


@MERGE.command("show", example="show 3", reads=True)
@_SUBMISSION
def show(run: Run, submission: str) -> "Answer[SubmissionView]":
    """Show a submission: its place in the queue and the reason for it, or how it ended."""
    return present(run.orc.merges.show(submission), _page)


@MERGE.command("retry", example="retry 3", idempotent=True)
@_SUBMISSION
def retry(run: Run, submission: str) -> "Answer[Submission]":
    """Put a submission that ended without a merge back into the queue, with the same commit.

    If the branch has new commits, use `t complete` or `merge submit` instead.
    """
    return _changed(run, run.orc.merges.retry(submission), "Waits again")


@MERGE.command("reject", example='reject 3 "The parser must stay"', idempotent=True)
@_SUBMISSION
@argument("reason", "Why it is not merged.")
def reject(run: Run, submission: str, reason: str) -> "Answer[Submission]":
    """End a submission without a merge; its task goes back to the author, with the reason."""
    return _changed(run, run.orc.merges.reject(submission, reason), "Rejected")


@MERGE.command("withdraw", example="withdraw 3", idempotent=True)
@_SUBMISSION
@REASON
def withdraw(run: Run, submission: str, reason: str) -> "Answer[Submission]":
    """Take a submission out of the queue; its task goes back to the author."""
    return _changed(run, run.orc.merges.withdraw(submission, reason=reason), "Withdrawn")


_SHORT = 60
"""Characters of a reason in a list."""


def _changed(run: Run, submission: "Submission", what: str) -> "Answer[Submission]":
    return run.changed(submission, f"{what}: {line_of(submission)}")


def line_of(submission: Submission) -> str:
    """A submission on one line."""
    task = f" for task {submission.task}" if submission.task else ""
    names = f"{escape(submission.branch)} into {escape(submission.target)}"
    return f"{submission.number} {names}{task} ({submission.status})"


def _page(view: "SubmissionView") -> str:
    known = facts(
        view,
        ("place", lambda v: v.position),
        ("task", "task"),
        ("convoy", "convoy"),
        ("commit", "commit"),
        ("strategy", "strategy"),
        ("author", "author"),
        ("submitted", lambda v: shown_time(v.submitted_at)),
        ("retries", lambda v: v.retries or None),
        ("runner", lambda v: v.runner if v.status == "merging" else ""),
        ("until", lambda v: shown_time(v.until)),
        ("merged as", "merge_commit"),
        (view.status, lambda v: f"{shown_time(v.ended_at)} by {v.ended_by}" if v.ended_at else ""),
        ("kind", "kind"),
        ("reason", "reason"),
    )
    names = f"{escape(view.branch)} into {escape(view.target)}"
    score = view.score
    rows = [(part.part, f"{part.points:g}", part.why) for part in score.parts] if score else []
    return parts(
        f"[{view.status}] {view.number} {names}",
        known,
        titled("In conflict", "\n".join(map(escape, view.files))),
        titled("Output", escape_lines(view.tail.rstrip("\n"))),
        table(("score", f"{score.points:g}", "why"), rows) if score else "",
    )
