"""``orc guard``: files that another agent works on are neither committed nor edited."""

import os
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from orchestrator.core import processes
from orchestrator.core.errors import NoBoard, OrchestratorError, UsageError
from orchestrator.core.paths import inside
from orchestrator.core.printable import amount, escape
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import GUARD
from orchestrator.interfaces.cli.layout import is_terminal, lines, shown_time
from orchestrator.interfaces.cli.parameters import DRY_RUN, argument, flag
from orchestrator.interfaces.cli.rendering import Answer, say, warn
from orchestrator.interfaces.cli.run import Run

if TYPE_CHECKING:
    from orchestrator.domain.locks.commands import HeldPath
    from orchestrator.integrations.guard.git_hooks import Installation

SHOWN = 10
"""How many files are named; the others are counted."""


@GUARD.command("check", example="check src/app.py", reads=True)
@argument("[paths...]", "Files; a hook of a client names those of the edit.", types.FILE)
@flag("--staged", "The files of the next commit.")
def check(run: Run, paths: tuple[str, ...], staged: bool) -> "Answer[list[HeldPath]]":
    """Check files: exit 1 if another agent has locked them or works on them, with who and until when."""
    from orchestrator.integrations.guard.edited_paths import edited_paths

    names = [*paths, *edited_paths(run.hook_facts)]
    if not names and not staged and not run.hook_facts:
        raise UsageError("No file is named", hint="`guard check --staged` checks the next commit.")
    if staged:
        names += _staged()
    try:
        _act_as_session(run)
        held = run.orc.locks.held_paths(_as_locked(names))
    except NoBoard:
        if not staged:
            raise
        held = []  # a repository with the hook may have no board
    if not held:
        return say(held, "" if staged else "No other agent works on this.")
    return Answer(held, lambda: _refusal(run, held, staged), 1)


@GUARD.command("link", example="link", reads=())
@argument(
    "[revision]", "The commit; HEAD if not given.", types.WORD, metavar="REVISION", default="HEAD"
)
def link(run: Run, revision: str) -> "Answer[dict[str, Any]]":
    """Record a commit with the tasks that its message names in lines `Task: ID`; a hook of git calls it."""
    from orchestrator.integrations.guard.staged import named_tasks

    named = named_tasks(os.getcwd(), revision)
    linked: list[str] = []
    if not named.tasks:
        return say({"commit": named.commit, "tasks": linked}, "")
    _act_as_session(run)
    for name in named.tasks:
        try:
            linked.append(run.orc.tasks.edit(name, commits=[named.commit]).id)
        except OrchestratorError as error:
            warn(f"the commit is not recorded with task {name}: {error.message}")
    short = named.commit[:9]
    texts = [f"Linked commit {short} to {escape(task)}" for task in linked]
    return say({"commit": named.commit, "tasks": linked}, lines(texts, empty=""))


@GUARD.command("install", example="install --dry-run", reads=True)
@flag("--remove", "Take it out; hooks that were there before are as they were.")
@DRY_RUN
def install(run: Run, remove: bool, dry_run: bool) -> "Answer[Installation]":
    """Install hooks of git that check each commit and link it to its tasks, after the hooks that are there.

    Where husky, pre-commit or lefthook rule the hooks, the guard goes into their files.
    """
    from orchestrator.integrations.guard import git_hooks
    from orchestrator.interfaces.cli.setup import program

    words = (*program(), *run.board_words)
    done = git_hooks.install(os.getcwd(), words, removes=remove, dry=dry_run)
    verbs = {"create": "Created", "change": "Changed", "delete": "Deleted"}
    texts = [
        f"{f'Would {file.action}' if dry_run else verbs[file.action]} {escape(file.path)}"
        for file in done.files
        if file.action != "keep"
    ]
    empty = "The guard is not installed." if remove else "The guard is installed."
    return Answer(done, lambda: lines(texts, empty=empty))


def _act_as_session(run: Run) -> None:
    """Act as the agent of the program that this is a part of, if the agent has no other name."""
    if run.agent is None:
        known = run.orc.sessions.in_host(processes.host_process())
        if known is not None:
            run.act_as(known.agent)


def _staged() -> list[str]:
    from orchestrator.core import repository
    from orchestrator.integrations.guard.staged import staged_paths

    paths = staged_paths(os.getcwd())
    here = repository.here(os.getcwd())
    return [os.path.join(here.root if here else "", path) for path in paths]


def _as_locked(files: Iterable[str]) -> Iterator[str]:
    """Files by the names under which agents lock them: from the top of the worktree, else from here.

    A file of a submodule has its name from the top of the superproject too.
    """
    from orchestrator.core import names, repository

    tops = [os.getcwd()]
    here = repository.here(os.getcwd())
    if here is not None:
        tops = [here.root]
        around = repository.around(os.path.dirname(here.root))
        if around is not None and around.common != here.common:
            tops.append(around.root)
    real_path = cache(os.path.realpath)
    for path in files:
        # The folders are resolved, not the file: a link is edited or committed itself.
        folder, name = os.path.split(os.path.abspath(path))
        real = os.path.join(real_path(folder), name)
        for top in tops:
            yield names.tidy_path(inside(real, real_path(top)) or real)


def _refusal(run: Run, held: "list[HeldPath]", staged: bool) -> str:
    texts = []
    for item in held[:SHOWN]:
        whose = f" for task {item.task} {escape(item.title)}" if item.task else ""
        how = "works on" if item.task else "has locked"
        what = "" if item.resource == item.path else f", as part of {escape(item.resource)}"
        until = shown_time(item.until)
        texts.append(
            f"{escape(item.path)}: {escape(item.agent)} {how} it{what}{whose}, until {until}"
        )
    if len(held) > SHOWN:
        texts.append(f"and {amount(len(held) - SHOWN, 'more file')}")
    first = held[0].agent
    texts.append(
        f"Leave these files alone until then, or ask: `{run.prog} say {escape(first)} SUBJECT TEXT`."
    )
    if staged and run.agent is None and is_terminal():  # agents are not led past it
        texts.append("You act as no agent. `git commit --no-verify` commits them all the same.")
    return lines(texts, empty="")
