"""Commits that name open tasks. The output of git is data: it is never executed.

git runs without a shell, pager, hooks, signature checks and the configuration of the user; its time and the
number of commits are limited.
"""

import os
import re
from collections.abc import Iterable, Iterator

import msgspec

from orchestrator.core import processes, repository
from orchestrator.core.errors import InputOutputError, NotFound, TimedOut
from orchestrator.core.moments import moment
from orchestrator.core.multimap import multimap
from orchestrator.core.printable import one_line
from orchestrator.domain.state import State
from orchestrator.domain.tasks.records import Task
from orchestrator.engine import Engine

MOST = 1000
"""Commits that are read: the newest of all branches."""

SECONDS = 30.0
"""How long git may take."""

_BYTES = 16 * 1024 * 1024
_SUBJECT = 120
_OPTIONS = (
    "--no-pager",
    *("-c", f"core.hooksPath={os.devnull}", "-c", "core.fsmonitor=false"),
    *("-c", "log.showSignature=false", "-c", "core.commitGraph=false"),
)
_FORMAT = ("-z", "--encoding=UTF-8", "--format=%H %cI%n%an%n%B")
_PLAIN = ("--no-color", "--no-show-signature", "--no-mailmap", "--no-notes", "--no-decorate")
_VARIABLES = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "LC_ALL": "C",
}
_RECORD = re.compile(r"^([0-9a-f]{40,64}) (\S+)\n(.*)\n([\s\S]*)", re.MULTILINE)
_WORD = re.compile(r"[\w.+@-]+")


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """A commit; ``subject`` is the first line of its message."""

    id: str
    date: str
    author: str
    subject: str


class Orphan(msgspec.Struct, frozen=True, kw_only=True):
    """An open task, and the commits that name it, the newest first."""

    task: Task
    commits: list[Commit]


class Orphans(msgspec.Struct, frozen=True, kw_only=True):
    """The open tasks that the commits name.

    Attributes:
        read: How many commits were read.
        is_cut: Whether there are more.
    """

    tasks: list[Orphan]
    read: int
    is_cut: bool


def orphans(engine: Engine, folder: str, *, since: str | None = None) -> Orphans:
    """Return the open tasks that commits name.

    Args:
        engine: The board.
        folder: A folder of the repository; outside of a repository, that of the board is used.
        since: Only commits since this time or age: ``2w``.

    Raises:
        NotFound: There is no repository, or no git.
        TimedOut: git took too long.
        InputOutputError: git failed.
    """
    begin = moment(since, engine.now(), is_past=True) if since is not None else ""
    places = (repository.around(place) for place in (folder, engine.folder) if place)
    place = next(filter(None, places), None)
    if place is None:
        raise NotFound(
            "There is no git repository here", code="no_repository", hint="Run it in a worktree."
        )
    commits = [*_commits(_log(place.common, begin))]
    state = engine.read()
    named = multimap(
        (task, commit) for commit, message in commits[:MOST] for task in _named(state, message)
    )
    tasks = [Orphan(task=state.tasks[task], commits=made) for task, made in named.items()]
    return Orphans(tasks=tasks, read=min(len(commits), MOST), is_cut=len(commits) > MOST)


def _log(git_folder: str, since: str) -> str:
    """Return the output of ``git log`` for all branches and HEAD, the newest commits first."""
    words = ["git", *_OPTIONS, f"--git-dir={git_folder}", "log", *_PLAIN, *_FORMAT]
    words += [f"--max-count={MOST + 1}", "--branches", "--ignore-missing", "HEAD"]
    words += [f"--since={since}"] if since else []
    try:
        done = processes.run(
            words,
            folder=git_folder,
            variables=processes.passed_on(os.environ) | _VARIABLES,
            timeout=SECONDS,
            kept=_BYTES,
        )
    except FileNotFoundError:
        raise NotFound("git is not installed", code="no_git") from None
    if done.status is None:
        hint = "`orphans --since 2w` asks it for less."
        raise TimedOut(f"git took longer than {SECONDS:g} s", hint=hint)
    if done.status:
        raise InputOutputError(f"git failed: {one_line(done.output, 200)}")
    return done.output


def _commits(log: str) -> Iterator[tuple[Commit, str]]:
    """Yield commits with their whole messages; other output of git is ignored."""
    for record in log.split("\0"):
        if match := _RECORD.search(record):
            id, date, author, message = match.groups()
            subject = one_line(message.lstrip().partition("\n")[0], _SUBJECT)
            yield Commit(id=id, date=date, author=author, subject=subject), message


def _named(state: State, message: str) -> Iterable[str]:
    """The open tasks whose ids are in a message, each once."""
    words = (word.strip(".-+@") for word in _WORD.findall(message))
    return [word for word in dict.fromkeys(words) if state.tasks.is_open(word)]
