"""``orc worktree``: the branch and the folder in which a task is worked on."""

from typing import TYPE_CHECKING

import msgspec

from orchestrator.core.printable import amount, escape
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import WORKTREE
from orchestrator.interfaces.cli.layout import (
    facts,
    is_terminal,
    lines,
    parts,
    section,
    shown_time,
)
from orchestrator.interfaces.cli.parameters import DRY_RUN, LEASE, argument, option
from orchestrator.interfaces.cli.rendering import Answer, listing, present
from orchestrator.interfaces.cli.run import Run
from orchestrator.interfaces.cli.task_words import (
    Words,
    only_task,
    refuse_more,
    split_task,
    task_words,
)
from orchestrator.interfaces.cli.trusting import TRUSTING, settle, trust_page

if TYPE_CHECKING:
    from orchestrator.domain.worktrees.records import SetupResult, Worktree
    from orchestrator.trees.kept import Removal
    from orchestrator.trees.worktrees import WorktreeView

BASE = option(
    "--base",
    "The branch to start at. Without it: the target of its convoy, else the branch of the main worktree.",
    types.Type("BRANCH"),
)


@WORKTREE.command("add", example="add 299833bc --agent ann", idempotent=True, local=True)
@task_words("[AGENT]", "The task, and who takes it.")
@BASE
@LEASE
def add(run: Run, words: Words, base: str | None, lease: str | None) -> "Answer[Worktree]":
    """Claim a task and make its branch and its worktree beside the repository.

    The branch is task/ID-TITLE, the folder REPOSITORY.worktrees/ID. Then the setup commands of `config.toml`
    run there, if they are trusted: `worktree trust`. An existing worktree stays as it is.
    """
    task, rest = split_task(run, words)
    agent = run.actor(rest[0] if rest else None)
    refuse_more(rest[1:])
    made = run.orc.worktrees.add(task, base=base, agent=agent, lease=lease)
    return run.changed(made, worktree_line(made))


def worktree_line(worktree: "Worktree") -> str:
    """The line about a worktree behind the line about its task."""
    return f"Worktree: {escape(worktree.path)} (branch {escape(worktree.branch)})"


@WORKTREE.command("list", example="list", reads=True)
def list_(run: Run) -> "Answer[list[WorktreeView]]":
    """List the worktrees of tasks, and those of git that the board does not know."""
    now = run.orc.engine.now()
    return listing(
        run.orc.worktrees.all(),
        ("task", lambda view: view.task or "(unknown)"),
        ("status", lambda view: view.status),
        "agent",
        "branch",
        ("ahead", lambda view: view.ahead),
        ("behind", lambda view: view.behind),
        ("state", _state_of),
        ("made", lambda view: shown_time(view.made_at, now)),
        "path",
        empty="(no worktrees)",
    )


@WORKTREE.command("show", example="show 299833bc", reads=True)
@task_words()
def show(run: Run, words: Words) -> "Answer[WorktreeView]":
    """Show the worktree of a task: its branch, what is not committed, how it was set up."""
    return present(run.orc.worktrees.show(only_task(run, words)), _page)


@WORKTREE.command("path", example="path 299833bc", reads=True, local=True)
@task_words()
def path(run: Run, words: Words) -> "Answer[str]":
    """Print the folder of the worktree of a task: `cd "$(orc worktree path ID)"`."""
    return present(
        run.orc.worktrees.path(only_task(run, words)),
        lambda folder: escape(folder) if is_terminal() else folder,
    )


@WORKTREE.command("remove", example="remove 299833bc", destructive=True, local=True)
@argument("worktree", "The task, or the folder.", types.TASK_ID, metavar="ID")
def remove(run: Run, worktree: str) -> "Answer[Removal]":
    """Remove the worktree of a task, and its branch if it is merged completely.

    It is refused if work would be lost: changed and untracked files, stashes of its branch, commits that
    are neither merged nor pushed. Files that git ignores are removed with the folder.
    """
    return present(
        run.orc.worktrees.remove(worktree), lambda removal: _removal_line(removal, "Removed")
    )


@WORKTREE.command("prune", example="prune --dry-run", destructive=True, local=True)
@DRY_RUN
def prune(run: Run, dry_run: bool) -> "Answer[list[Removal]]":
    """Remove the worktrees of ended tasks if no work would be lost; print why the others stay."""
    removals = run.orc.worktrees.prune(dry_run=dry_run)
    verb = "Would remove" if dry_run else "Removed"
    texts = (_removal_line(removal, verb) for removal in removals)
    return Answer(removals, lambda: lines(texts, empty="(no worktrees)"))


class _TrustView(msgspec.Struct):
    """The settings of worktrees, and whether they are trusted.

    Attributes:
        folder: The folder that contains the worktrees, as the settings name it.
        setup: The commands that run in a new worktree.
    """

    folder: str
    setup: tuple[str, ...]
    trusted: bool


@WORKTREE.command("trust", example="trust --yes", reads=("yes", "revoke"), local=True)
@TRUSTING
def trust(run: Run, yes: bool, revoke: bool) -> "Answer[_TrustView]":
    """Show what `[worktree]` in `config.toml` would run, and allow it on this machine with --yes.

    If these settings change, they must be allowed again.
    """
    from orchestrator.trees.preparation import Preparation

    preparation = Preparation(run.orc.engine)
    settle(preparation, yes=yes, revoke=revoke)
    settings = preparation.settings
    return present(_TrustView(settings.folder, settings.setup, preparation.is_trusted), _trust_page)


def _trust_page(view: _TrustView) -> str:
    if not view.setup and not view.folder:
        return "config.toml sets nothing for worktrees."
    folder = f"folder: {escape(view.folder)}" if view.folder else ""
    setup = [f"setup: {escape(command)}" for command in view.setup]
    return trust_page([folder, *setup], view.trusted)


def _state_of(view: "WorktreeView") -> str:
    if view.problem:
        return "unreadable"
    if not view.is_there:
        return "gone"
    counts = [(view.changed, "changed"), (view.untracked, "untracked")]
    texts = [f"{count} {word}" for count, word in counts if count]
    texts += ["locked"] if view.lock else []
    return ", ".join(texts) or "clean"


def _page(view: "WorktreeView") -> str:
    text = facts(
        view,
        "task",
        "title",
        "status",
        "agent",
        "path",
        "branch",
        "base",
        "commit",
        ("ahead", lambda v: None if v.ahead is None else amount(v.ahead, "commit")),
        ("behind", lambda v: None if v.behind is None else amount(v.behind, "commit")),
        ("state", _state_of),
        "lock",
        "problem",
        "made_at",
        ("setup", lambda v: _setup_text(v.setup)),
    )
    return parts(text, section("output", view.setup.output.rstrip("\n") if view.setup else ""))


def _setup_text(setup: "SetupResult | None") -> str:
    if setup is None:
        return ""
    return "passed" if setup.passed else f"{setup.command}: {setup.problem}"


def _removal_line(removal: "Removal", verb: str) -> str:
    name = removal.task or "(unknown)"
    if removal.removed:
        branch = "and its branch, which is merged" if removal.branch_deleted else ""
        kept = f"branch {escape(removal.branch)} stays" if not branch and removal.commit else ""
        return f"{verb} {name}: {escape(removal.path)} {branch or kept}".rstrip()
    texts = "; ".join(escape(reason.text) for reason in removal.reasons)
    return f"Kept {name}: {escape(removal.path)}: {texts}"
