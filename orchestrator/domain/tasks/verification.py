"""Done means shown: what a task must show before it is done, and what was found when it was looked at.

Commands and artifacts are looked at outside the board's lock; what they showed is recorded under it. The
commands run without a shell (:mod:`orchestrator.core.processes`), and only if somebody here wrote or
trusted them.
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from orchestrator.core import clock, system
from orchestrator.core.errors import Refused, UsageError
from orchestrator.domain.tasks.records import Checks, Evidence
from orchestrator.domain.validation import (
    check_required,
)

LONGEST_TIMEOUT = 24 * 3600.0
"""Seconds that one command may take at most: the lease of the task is extended by as much."""

MOST = 50
"""Commands, and artifacts, that one task may have."""

LONGEST = 4096
"""Characters of a command or path."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What was found outside the lock, and for which claim and checks it counts."""

    task: str
    token: int | None
    checks: Checks | None
    evidence: tuple[Evidence, ...]

    @property
    def failure(self) -> Evidence | None:
        """The first check that did not pass."""
        return next((item for item in self.evidence if not item.passed), None)


def checks_of(
    old: Checks | None,
    *,
    verify: Iterable[str] | None,
    artifacts: Iterable[str] | None,
    review: bool | None,
    timeout: float | str | None,
) -> Checks | None:
    """The checks of a task after some were given; None leaves one as it was, an empty one clears it.

    Whoever gives commands here has written them, so they are trusted.

    Raises:
        UsageError: A command cannot be split into words, or a timeout is given without a command.
    """
    new = old or Checks()
    if verify is not None:
        commands = _texts("command", verify)
        for command in commands:
            words_of(command)
        new = replace(new, verify=commands, trusted=bool(commands))
    if artifacts is not None:
        new = replace(new, artifacts=_texts("artifact", artifacts))
    if review is not None:
        new = replace(new, review=review)
    if timeout is not None:
        new = replace(new, timeout=_timeout(timeout))
        if new.timeout is not None and not new.verify:
            raise UsageError("A timeout needs a command that is checked: --verify")
    if not new.verify:
        new = replace(new, timeout=None)
    return new if new.are_due or new.review else None


def words_of(command: str) -> list[str]:
    """The words of a command, as a shell splits them; nothing is expanded.

    Raises:
        UsageError: A quote is not closed, or there is no word.
    """
    import shlex

    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(
            f"{command!a} cannot be split into words: {error}",
            hint="No shell reads it; `sh -c '...'` does.",
        ) from None
    if not words or not words[0]:
        raise UsageError(f"{command!a} names no program")
    return words


def _texts(kind: str, texts: Iterable[str]) -> tuple[str, ...]:
    if isinstance(texts, str):
        raise UsageError(f"Several {kind}s are a list, not one text")
    found = tuple(dict.fromkeys(check_required(kind, text) for text in texts))
    if len(found) > MOST or any(len(text) > LONGEST for text in found):
        raise UsageError(f"A task has at most {MOST} {kind}s of {LONGEST} characters")
    return found


def _timeout(given: float | str) -> float | None:
    if given == "":
        return None
    seconds = clock.duration(given)
    if not 0 < seconds <= LONGEST_TIMEOUT:
        raise UsageError("A check may take up to 24h, and longer than nothing")
    return seconds


def gather(
    task: str, checks: Checks, *, agent: str, board: str | None, now: Callable[[], str]
) -> tuple[Evidence, ...]:
    """Look at every artifact and run every command, in the caller's working folder.

    Commands that nobody has trusted are not run; they did not pass.

    Args:
        task: The id of the task, ``$ORC_TASK`` of the commands.
        checks: What to look at.
        agent: Who holds the task, ``$ORC_AGENT`` of the commands.
        board: The folder of the board, ``$ORCHESTRATOR_DIR`` of the commands, if there is one.
        now: The clock.
    """
    folder = os.getcwd()

    def found(**facts: Any) -> Evidence:
        return Evidence(at=now(), agent=agent, **facts)

    evidence = [
        found(kind="artifact", what=path, **_look(os.path.join(folder, path)))
        for path in checks.artifacts
    ]
    named = {"ORC_TASK": task, "ORC_AGENT": agent}
    if board is not None:
        named["ORCHESTRATOR_DIR"] = board
    for command in checks.verify:
        facts = {"passed": False, "problem": "not run: it came by import and nobody trusted it"}
        if checks.trusted:
            facts = _run(command, folder, named, checks.patience)
        evidence.append(found(kind="verify", what=command, **facts))
    return tuple(evidence)


def _run(command: str, folder: str, named: dict[str, str], timeout: float) -> dict[str, Any]:
    from orchestrator.core import processes

    variables = {**processes.passed_on(os.environ), **named}
    try:
        words = words_of(command)
        ended = processes.run(words, folder=folder, variables=variables, timeout=timeout)
    except UsageError as error:  # it came by import, where it was not split
        return {"passed": False, "problem": error.message}
    except OSError as error:
        return {"passed": False, "problem": f"cannot be run: {error.strerror}"}
    if ended.status is None:
        problem = f"killed after {timeout:g}s"
    elif ended.status < 0:
        problem = f"ended by signal {-ended.status}"
    else:
        problem = f"exit status {ended.status}" if ended.status else ""
    return {
        "passed": not problem,
        "problem": problem,
        "status": ended.status,
        "seconds": ended.seconds,
        "output": ended.output,
    }


def _look(path: str) -> dict[str, Any]:
    """What an artifact is; links are followed, but for those to folders inside a folder."""
    try:
        kind = os.stat(path).st_mode
        if stat.S_ISREG(kind):
            size, digest = _file(path)
            problem = "" if size else "is empty"
        elif stat.S_ISDIR(kind):
            size, digest = _folder(path)
            problem = "" if size else "holds nothing"
        else:
            return {"passed": False, "problem": "is no file and no folder"}
    except FileNotFoundError:
        return {"passed": False, "problem": "is not there"}
    except OSError as error:
        return {"passed": False, "problem": f"cannot be read: {error.strerror}"}
    return {"passed": not problem, "problem": problem, "size": size, "sha256": digest}


def _file(path: str) -> tuple[int, str]:
    import hashlib

    digest, size = hashlib.sha256(), 0
    with open(system.open_file(path, os.O_RDONLY, follow=True), "rb") as file:
        while chunk := file.read(1024 * 1024):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()


def _folder(path: str) -> tuple[int, str]:
    import hashlib

    digest, total = hashlib.sha256(), 0
    for name in sorted(_files(path)):
        size, of_file = _file(os.path.join(path, name))
        total += size
        digest.update(of_file.encode() + b" " + os.fsencode(name) + b"\0")
    return total, digest.hexdigest()


def _files(path: str) -> Iterator[str]:
    """The regular files of a folder and the folders in it, by their path in it."""

    def fail(error: OSError) -> None:
        raise error

    for above, _, names in os.walk(path, onerror=fail):
        for name in names:
            file = os.path.join(above, name)
            if os.path.isfile(file):
                yield os.path.relpath(file, path)


def check_failed(task: str, found: Found, failure: Evidence) -> Refused:
    """The refusal to complete a task whose check did not pass; the evidence is kept."""
    failed = [item.what for item in found.evidence if not item.passed]
    more = f" ({len(failed) - 1} more did not)" if len(failed) > 1 else ""
    return Refused(
        f"The {_KINDS[failure.kind]} {failure.what!a} of task {task} did not pass:"
        f" {failure.problem}{more}",
        code="check_failed",
        hint=f"`t show {task}` prints what it wrote. Mend that and complete the task again.",
        task=task,
        kind=failure.kind,
        check=failure.what,
        problem=failure.problem,
        status=failure.status,
        output=failure.output,
        failed=failed,
    )


_KINDS = {"verify": "check", "artifact": "artifact"}


def not_trusted(task: str, checks: Checks) -> Refused:
    """The refusal to run commands that came by import."""
    listed = ", ".join(ascii(command) for command in checks.verify[:3])
    more = f" and {len(checks.verify) - 3} more" if len(checks.verify) > 3 else ""
    return Refused(
        f"The checks of task {task} came by import and nobody has trusted them: {listed}{more}",
        code="not_trusted",
        hint=f"Read them with `t show {task}`; `t trust {task}` lets them run.",
        task=task,
        commands=list(checks.verify),
    )


def checks_changed(task: str) -> Refused:
    """The refusal of evidence for checks that are not those of the task any more."""
    return Refused(
        f"The checks of task {task} were changed while they ran",
        code="checks_changed",
        hint="Complete it again.",
    )


class ChecksDue(Exception):
    """A task can be completed as soon as its checks have been looked at, outside the lock."""

    def __init__(self, task: str, token: int | None, holder: str, checks: Checks) -> None:
        super().__init__(task)
        self.task, self.token, self.holder, self.checks = task, token, holder, checks
