"""Verification: check the artifacts of a task and run its commands, outside the board's lock.

The commands run without a shell (:mod:`orchestrator.core.processes`), and only if they are trusted.
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
from msgspec.structs import asdict

from orchestrator.core import repository, system
from orchestrator.core.calls import split_list
from orchestrator.core.errors import Refused, UsageError
from orchestrator.core.printable import first_of
from orchestrator.core.transaction import Desk
from orchestrator.domain.merges.policy import Handover
from orchestrator.domain.state import State
from orchestrator.domain.tasks.checks import Checks, words_of
from orchestrator.domain.tasks.records import Evidence
from orchestrator.domain.worktrees.records import folder_there


def gather(desk: Desk[State], task: str, checks: Checks, *, agent: str) -> tuple[Evidence, ...]:
    """Check every artifact and run every command, in the worktree of the task, else in the working folder.

    Commands that are not trusted do not run, and do not pass.

    Args:
        desk: The board; its folder is ``$ORCHESTRATOR_DIR`` of the commands, if it has one.
        task: The id of the task, ``$ORC_TASK`` of the commands.
        checks: The checks.
        agent: Who holds the task, ``$ORC_AGENT`` of the commands.

    Raises:
        Refused: The folder of the worktree is gone.
    """
    folder = _folder_of(desk, task)
    desk.pause()  # that look took the board

    def evidence_of(**facts: Any) -> Evidence:
        return Evidence(at=desk.now(), agent=agent, **facts)

    evidence = [
        evidence_of(kind="artifact", what=path, **_look(_place(path, folder)))
        for path in checks.artifacts
    ]
    named = {"ORC_TASK": task, "ORC_AGENT": agent}
    if desk.folder is not None:
        named["ORCHESTRATOR_DIR"] = desk.folder
    for command in checks.verify:
        ended = CommandResult(
            passed=False, problem="not run: it came by import and nobody trusted it"
        )
        if checks.trusted:
            ended = run_command(command, folder, named, checks.patience, desk.check_awaited)
        evidence.append(evidence_of(kind="verify", what=command, **asdict(ended)))
    return tuple(evidence)


def _folder_of(desk: Desk[State], task: str) -> str:
    """The folder in which the checks of a task run."""
    state = desk.read()
    worktree = state.worktrees.get(task)
    if worktree is None:
        return os.getcwd()
    return folder_there(worktree, desk.folder, state.machine)


class CommandResult(msgspec.Struct, frozen=True):
    """How a command ended; the fields are those of evidence.

    Attributes:
        passed: Whether it succeeded.
    """

    passed: bool
    problem: str = ""
    status: int | None = None
    seconds: float | None = None
    output: str = ""


def run_command(
    command: str,
    folder: str,
    variables: dict[str, str],
    timeout: float,
    look: Callable[[], object],
) -> CommandResult:
    """Run a command of a task or of the board, without a shell.

    Args:
        command: Its words as one text.
        folder: Its working folder.
        variables: More variables for it.
        timeout: Seconds after which it is killed.
        look: Called repeatedly while it runs; an exception kills it.
    """
    from orchestrator.core import processes

    variables = {**processes.passed_on(os.environ), **variables}
    try:
        words = words_of(command)
        ended = processes.run(words, folder=folder, variables=variables, timeout=timeout, look=look)
    except UsageError as error:  # it was imported, and imports do not split commands
        return CommandResult(passed=False, problem=error.message)
    except OSError as error:
        return CommandResult(passed=False, problem=f"cannot be run: {error.strerror}")
    if ended.status is None:
        problem = f"killed after {timeout:g}s"
    elif ended.status < 0:
        problem = f"ended by signal {-ended.status}"
    else:
        problem = f"exit status {ended.status}" if ended.status else ""
    return CommandResult(
        passed=not problem,
        problem=problem,
        status=ended.status,
        seconds=ended.seconds,
        output=ended.output,
    )


def _place(path: str, folder: str) -> str:
    """The path of an artifact: in the working folder, else from the top of its git worktree."""
    here = os.path.join(folder, path)
    tree = None if os.path.exists(here) else repository.here(folder)
    return os.path.join(tree.root, path) if tree else here


def _look(path: str) -> dict[str, Any]:
    """Check an artifact. Links are followed, except links to folders inside a folder."""
    try:
        kind = os.stat(path).st_mode
        if stat.S_ISREG(kind):
            size, digest = _file(path)
            problem = "" if size else "is empty"
        elif stat.S_ISDIR(kind):
            size, digest = _folder(path)
            problem = "" if size else "holds nothing"
        else:
            return {"passed": False, "problem": "is neither a file nor a folder"}
    except FileNotFoundError:
        return {"passed": False, "problem": "is not there"}
    except OSError as error:
        return {"passed": False, "problem": f"cannot be read: {error.strerror}"}
    return {"passed": not problem, "problem": problem, "size": size, "sha256": digest}


def _file(path: str) -> tuple[int, str]:
    import hashlib

    with open(system.open_file(path, os.O_RDONLY, follow=True), "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return file.tell(), digest


def _folder(path: str) -> tuple[int, str]:
    import hashlib

    digest, total = hashlib.sha256(), 0
    for name in sorted(_files(path)):
        size, of_file = _file(os.path.join(path, name))
        total += size
        digest.update(of_file.encode() + b" " + os.fsencode(name) + b"\0")
    return total, digest.hexdigest()


def _files(path: str) -> Iterator[str]:
    """Yield the regular files below a folder, by their path in it."""

    def fail(error: OSError) -> None:
        raise error

    for above, _, names in os.walk(path, onerror=fail):
        for name in names:
            file = os.path.join(above, name)
            if os.path.isfile(file):
                yield os.path.relpath(file, path).replace(os.sep, "/")


def check_failed(task: str, evidence: Iterable[Evidence], failure: Evidence) -> Refused:
    """Return the refusal to complete a task whose check did not pass."""
    failed = [item.what for item in evidence if not item.passed]
    more = f" ({len(failed) - 1} more did not)" if len(failed) > 1 else ""
    hint = f"Mend that and complete the task again; `t show {task}` prints all it wrote."
    if failure.kind == "artifact" and "," in failure.what:
        import shlex

        paths = [item.what for item in evidence if item.kind == "artifact"]
        words = [path for text in paths for path in split_list(text)]
        options = " ".join(f"--artifacts {shlex.quote(path)}" for path in words)
        hint = f"If these are several paths: `t edit {task} {options} --reason WHY`."
    return Refused(
        f"The {_KINDS[failure.kind]} {failure.what!a} of task {task} did not pass:"
        f" {failure.problem}{more}",
        code="check_failed",
        hint=hint,
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
    """Return the refusal to run commands that came by import."""
    listed = first_of(checks.verify, 3, ascii)
    return Refused(
        f"The checks of task {task} came by import and nobody has trusted them: {listed}",
        code="not_trusted",
        hint=f"Read them with `t show {task}`; `t trust {task}` lets them run.",
        task=task,
        commands=list(checks.verify),
    )


def checks_changed(task: str) -> Refused:
    """Return the refusal of evidence for checks that are no longer those of the task."""
    return Refused(
        f"The checks of task {task} were changed while they ran",
        code="checks_changed",
        hint="Complete it again.",
    )


class ChecksDue(Exception):
    """Before a task is completed, its checks run and its branch is looked at, outside the lock."""

    def __init__(
        self,
        task: str,
        token: int | None,
        holder: str,
        checks: Checks | None,
        handover: Handover | None,
    ) -> None:
        super().__init__(task)
        self.task, self.token, self.holder = task, token, holder
        self.checks, self.handover = checks, handover
