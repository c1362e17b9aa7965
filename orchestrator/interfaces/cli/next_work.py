"""``orc next``, ``task next``, ``claim`` and ``review``: take work, with a brief."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from orchestrator.core.errors import NOTHING_LEFT, OrchestratorError
from orchestrator.core.printable import escape, few
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import BOARD, TASK
from orchestrator.interfaces.cli.layout import parts
from orchestrator.interfaces.cli.parameters import (
    LEASE,
    ONLY_WORKSTREAM,
    argument,
    flag,
    option,
    together,
)
from orchestrator.interfaces.cli.rendering import Answer, Joined, say, warn
from orchestrator.interfaces.cli.run import Run
from orchestrator.interfaces.cli.task_words import Words, done, refuse_more, split_task, task_words

if TYPE_CHECKING:
    from orchestrator.domain.mail.records import Message
    from orchestrator.domain.tasks.records import Task
    from orchestrator.domain.worktrees.records import Worktree
    from orchestrator.planning.next_work import Next
    from orchestrator.planning.standstill import Standstill
    from orchestrator.planning.work_brief import WorkBrief

T = TypeVar("T")

_EMPTY = 1
"""The exit status when there is nothing to take now."""

BRIEF = together(
    option("--budget", "Tokens that the brief may have; 400 if not given.", types.COUNT, rare=True),
    flag("--quiet", "The first line alone, without the brief."),
)
"""How much is printed after the first line of an answer that gives work."""

_WORKTREE = flag("--worktree", "Also make its branch and its worktree, as `worktree add` does.")

_ASKING = together(
    ONLY_WORKSTREAM,
    argument("[agent]", "Who takes it.", types.AGENT_NAME),
    LEASE,
    option("--wait", "How long to wait for work: 10m.", types.DURATION, default=0),
    flag("--no-mail", "Do not answer with new mail."),
    _WORKTREE,
    BRIEF,
)


class ClaimedWorktree(msgspec.Struct):
    """The worktree of the task that was claimed.

    Attributes:
        worktree: With ``--worktree``, or if the task has one already; not for a review.
    """

    worktree: "Worktree | UnsetType" = UNSET

    @property
    def line(self) -> str:
        """What a person reads of it; empty without one."""
        if isinstance(self.worktree, UnsetType):
            return ""
        from orchestrator.interfaces.cli.worktrees import worktree_line

        return worktree_line(self.worktree)


class BriefOfNext(ClaimedWorktree):
    """What an agent must know for the work that it was given."""

    brief: "WorkBrief | None" = None


@BOARD.command("next", example="next --wait 10m --agent agent-1")
@_ASKING
@flag("--no-review", "No reviews, only tasks.")
def next_(
    run: Run,
    workstream: str | None,
    agent: str | None,
    no_review: bool,
    no_mail: bool,
    worktree: bool,
    **how: Any,
) -> "Answer[Joined[Next, BriefOfNext]]":
    """Take the next work, a review before a new task, with a brief.

    Without work it shows new mail, or the reasons why there is none, with the commands that help. The exit
    status is 0 for a task or a review, 1 for mail or no work now, and 6 once every task has ended.
    """
    quiet, budget = how.pop("quiet"), how.pop("budget")
    answer = run.orc.next(
        workstream, agent=run.actor(agent), review=not no_review, mail=not no_mail, **how
    )
    made = _worktree_for(run, answer.task, answer.agent, wanted=worktree)
    brief = _brief_for(run, answer.task, answer.agent, quiet=quiet)
    status = {"task": 0, "review": 0, "ended": NOTHING_LEFT}.get(answer.kind, _EMPTY)
    value = Joined(answer, BriefOfNext(worktree=made.worktree, brief=brief))
    return Answer(value, lambda: _page(run, answer, made, brief, quiet, budget), status)


@TASK.command("next", example="next build agent-1 --wait 30s")
@_ASKING
@flag("--review", "Also reviews of the work of others.")
def next_task(
    run: Run,
    workstream: str | None,
    agent: str | None,
    no_mail: bool,
    worktree: bool,
    **how: Any,
) -> "Answer[Joined[Task, ClaimedWorktree] | None]":
    """Take the next task: by workstream priority, task priority, age.

    It differs from ``orc next``: reviews only with ``--review``, the record of the task or null as JSON, and
    exit status 1 also when every task has ended.
    """
    quiet, budget = how.pop("quiet"), how.pop("budget")
    answer = run.orc.next(workstream, agent=run.actor(agent), mail=not no_mail, **how)
    made = _worktree_for(run, answer.task, answer.agent, wanted=worktree)
    brief = None if run.settings.json else _brief_for(run, answer.task, answer.agent, quiet=quiet)
    status = _EMPTY if answer.task is None else 0
    value = None if answer.task is None else Joined(answer.task, made)
    return Answer(value, lambda: _page(run, answer, made, brief, quiet, budget), status)


@TASK.command("claim", example="claim build 299833bc agent-1", idempotent=True)
@task_words("[AGENT]", "The task, and who takes it.")
@LEASE
@_WORKTREE
@BRIEF
def claim(
    run: Run, words: Words, lease: str | None, worktree: bool, quiet: bool, budget: int | None
) -> "Answer[Joined[Task, ClaimedWorktree]]":
    """Take a task under a lease."""
    task, rest = split_task(run, words)
    agent = run.actor(rest[0] if rest else None)
    refuse_more(rest[1:])
    claimed = run.orc.tasks.claim(task, agent=agent, lease=lease)
    holder = claimed.assigned_to or ""
    made = _worktree_for(run, claimed, holder, wanted=worktree)
    first = parts(f"Claimed: {escape(claimed.title)} -> {escape(holder)}", made.line)
    answer = with_brief(run, claimed, holder, first, quiet=quiet, budget=budget)
    return Answer(Joined(claimed, made), answer.text)


@TASK.command("review", example="review 299833bc bob")
@task_words(
    "[AGENT]",
    "The task in review, the one that I review if not given, and who reviews it.",
    or_mine=True,
)
@LEASE
@flag("--release", "Give the review back, so that another agent can do it.")
@BRIEF
def review(
    run: Run, words: Words, lease: str | None, release: bool, quiet: bool, budget: int | None
) -> "Answer[Task]":
    """Take the review of another agent's work under a lease; `approve` or `reject` ends it."""
    task, rest = split_task(run, words) if words else (None, ())
    agent = run.actor(rest[0] if rest else None)
    refuse_more(rest[1:])
    if release:
        return done(run, run.orc.reviews.release(task, agent=agent), "Review released")
    claimed = run.orc.reviews.claim(task, agent=agent, lease=lease)
    reviewer = claimed.reviewer or ""
    first = f"Reviewing: {escape(claimed.title)} -> {escape(reviewer)}"
    return with_brief(run, claimed, reviewer, first, quiet=quiet, budget=budget)


def with_brief(
    run: Run, task: "Task", agent: str, first: str, *, quiet: bool, budget: int | None
) -> "Answer[Task]":
    """The answer of a command that gave work to an agent: the first line, then the short brief."""
    brief = None if run.settings.json else _brief_for(run, task, agent, quiet=quiet)
    page = _brief_page(run, task, agent, brief, budget) if brief else ""
    return say(task, parts(first, run.unchanged, page))


def _worktree_for(run: Run, task: "Task | None", agent: str, *, wanted: bool) -> ClaimedWorktree:
    """Make the worktree of claimed work, if it is wanted or was made before; a reviewer needs none.

    Raises:
        OrchestratorError: It cannot be made; the claim stands, and the hint says so.
    """
    if task is None or task.status == "in_review":
        return ClaimedWorktree()
    if not wanted:
        again = f"`{run.prog} worktree path {task.id}` finds its worktree"
        known = _looked(lambda: _known_worktree(run, task.id), again)
        return ClaimedWorktree(known or UNSET)
    try:
        return ClaimedWorktree(run.orc.worktrees.add(task.id, agent=agent))
    except OrchestratorError as error:
        again = f"Task {task.id} is yours; `{run.prog} worktree add {task.id}` tries it again."
        error.hint = f"{error.hint} {again}".strip()
        raise


def _known_worktree(run: Run, task: str) -> "Worktree | None":
    # Most tasks have none: the modules of worktrees are not loaded for them.
    is_made = task in run.orc.engine.read().worktrees
    return run.orc.worktrees.get(task) if is_made else None


def _brief_for(run: Run, task: "Task | None", agent: str, *, quiet: bool) -> "WorkBrief | None":
    """Return the brief of claimed work; None if it is not wanted, or cannot be made."""
    if task is None or (quiet and not run.settings.json):
        return None
    from orchestrator.planning.work_brief import brief_work

    return _looked(
        lambda: brief_work(run.orc.engine, task, agent, prog=run.prog_as(agent)),
        f"`{run.prog} show {task.id}` shows it",
    )


def _looked(look: Callable[[], T], again: str) -> T | None:
    """Return what a function reads after a claim. The claim is committed, so a failure is a warning.

    Args:
        look: The function.
        again: The end of the warning: a command that reads it again, and what that command does.
    """
    try:
        return look()
    except (OrchestratorError, OSError) as error:
        warn(f"{error}. The work is yours; {again}.")
        return None


def _brief_page(run: Run, task: "Task", agent: str, brief: "WorkBrief", budget: int | None) -> str:
    from orchestrator.planning.work_brief import BUDGET, brief_text

    tokens = BUDGET if budget is None else budget
    prog, now = run.prog_as(agent), run.orc.engine.now()
    return brief_text(task, brief, budget=tokens, prog=prog, now=now)


def _page(
    run: Run,
    answer: "Next",
    made: ClaimedWorktree,
    brief: "WorkBrief | None",
    quiet: bool,
    budget: int | None,
) -> str:
    task = answer.task
    if task is not None:
        first = f"Claimed next {answer.kind}: {task.id} - {escape(task.title)}"
        first = parts(first, made.line)
        page = _brief_page(run, task, answer.agent, brief, budget) if brief else ""
        return parts(first, page)
    first = f"No pending tasks{' in this workstream' if answer.workstream else ''}."
    if quiet:
        return first
    prog, reasons = run.prog_as(answer.agent), answer.standstill
    assert reasons is not None
    if answer.kind == "ended" or not reasons.open:
        return parts(first, _letters(prog, answer.mail), _ended(prog, reasons))
    return parts(first, _letters(prog, answer.mail), *reasons.lines(prog, answer.waited))


_LETTERS = 3
"""How many messages are named; the others are counted."""


def _letters(prog: str, mail: "tuple[Message, ...]") -> str:
    if not mail:
        return ""
    named = few(mail, _LETTERS, lambda m: f"{m.id} from {escape(m.sender)}: {escape(m.subject)}")
    return f"New mail ({len(mail)}): {'; '.join(named)} (`{prog} mail read {mail[0].id}`)"


def _ended(prog: str, reasons: "Standstill") -> str:
    scope = f" in {reasons.workstream}" if reasons.workstream else ""
    if not reasons.ended:
        return f"There are no tasks{scope} yet: `{prog} add TITLE` adds one, `{prog} next --wait 10m` waits."
    counts = ", ".join(f"{count} {status}" for status, count in reasons.ended.items())
    failed = f" `{prog} ls --status failed` shows why." if "failed" in reasons.ended else ""
    return f"Every task{scope} has ended: {counts}.{failed}"
