"""What the supervisor knows of a runtime: what is started for an agent, and how its output is read.

:func:`runtime_of` gives the adapter of an agent; its ``launch`` says what is started, and
:func:`write_files` writes what must be there before. The ``reader`` of the adapter gets the output as it
comes, gives lines for the log of the agent, and at the end the result.
"""

import importlib
import os
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import msgspec

from orchestrator.core import system
from orchestrator.core.errors import NotFound, Refused
from orchestrator.core.paths import inside
from orchestrator.core.printable import escape
from orchestrator.core.processes import passed_on
from orchestrator.runtimes.output import OutputReader
from orchestrator.supervisor.agent_files import AgentFile
from orchestrator.supervisor.agent_schema import TASK_WORKTREE, AgentSettings
from orchestrator.trees import entering

NETWORK = (
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
    *("NODE_EXTRA_CA_CERTS", "SSL_CERT_DIR", "SSL_CERT_FILE"),
    *("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"),
)
"""Variables with which programs reach the network and find their own files."""


class AgentRun(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent is started for.

    Attributes:
        event: The event, as ``events list --limit`` prints it; of a task, the one that claimed it.
        task: The task that it is given.
        brief: The brief of the task.
        is_review: It reviews the task.
        project: The folder of the project.
        board: The folder or URL of the board.
        scratch: A folder of this attempt only, for large values. It is deleted when the attempt ends.
        variables: The environment of the runner.
        commands: Folders that come first in ``PATH``.
        attempt: The number of the attempt.
        cause: The name of the event as a cause (``engine.cause_mark``).
        session: The session of the runtime that the agent reported last.
    """

    agent: AgentFile
    event: Mapping[str, Any] = {}
    task: str = ""
    brief: str = ""
    is_review: bool = False
    project: str
    board: str
    scratch: str
    variables: Mapping[str, str]
    commands: tuple[str, ...] = ()
    attempt: int = 1
    cause: str = ""
    session: str = ""

    @property
    def work(self) -> str:
        """What the agent works on: the brief, or the event as one line of JSON."""
        return self.brief or msgspec.json.encode(self.event).decode() + "\n"

    @property
    def resumed(self) -> str:
        """The session to go on in; empty: a new one, also for a retry, because the session may be gone."""
        return self.session if self.agent.settings.resume and self.attempt == 1 else ""


class ProgramCall(msgspec.Struct, frozen=True, kw_only=True):
    """The call of a program, as an adapter gives it.

    Attributes:
        words: The program and its arguments.
        stdin: What it reads.
        variables: Variables beside those of every agent.
        files: Files of the scratch folder by name.
    """

    words: tuple[str, ...]
    stdin: str = ""
    variables: Mapping[str, str] = {}
    files: Mapping[str, str] = {}


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """What is started.

    Attributes:
        words: The path of the program, and its arguments.
        folder: Its working folder.
        variables: Its whole environment.
        stdin: What it reads, to the end.
        files: What must be in the scratch folder, by name.
    """

    words: tuple[str, ...]
    folder: str
    variables: dict[str, str]
    stdin: bytes
    files: dict[str, bytes]


class Runtime(ABC):
    """An adapter for a program that runs agents.

    Attributes:
        passes: Variables of the runner that the program gets too, as its credentials.
        source: Where the program comes from, for the error when it is missing.
        reader: What reads the output of one call: plain lines, unless the adapter knows more.
    """

    passes: tuple[str, ...] = ()
    source: str = ""
    reader: type[OutputReader] = OutputReader

    @abstractmethod
    def call(self, run: AgentRun) -> ProgramCall:
        """The call of the program."""

    def launch(self, run: AgentRun) -> Launch:
        """What is started for an agent.

        Raises:
            NotFound: The program is not there (``program_not_found``).
            BadInput: The event holds a value that the program cannot take.
            Refused: The working folder is outside of the project, because its path contains a symbolic link.
        """
        call = self.call(run)
        folder = _working_folder(run)
        variables = {**self._variables(run), **call.variables}
        program = find_program(call.words[0], folder, variables.get("PATH", ""), self.source)
        return Launch(
            words=(*_way_to_worktree(run), program, *call.words[1:]),
            folder=folder,
            variables=variables,
            stdin=call.stdin.encode("utf-8", "replace"),
            files={name: text.encode("utf-8", "replace") for name, text in call.files.items()},
        )

    def _variables(self, run: AgentRun) -> dict[str, str]:
        """The environment: an allowlist of the runner's variables, and who the agent is."""
        agent, given = run.agent, run.variables
        allowed = {*self.passes, *agent.settings.env}
        variables = {name: value for name, value in given.items() if name in allowed}
        variables |= passed_on(given)
        path = [*run.commands, *filter(None, [given.get("PATH")])]
        variables |= {
            "PATH": os.pathsep.join(path),
            "ORC_AGENT": agent.id,
            "ORC_ATTEMPT": str(run.attempt),
            "ORCHESTRATOR_DIR": run.board,
        }
        if run.task:
            variables["ORC_TASK"] = run.task
        if agent.settings.workdir == TASK_WORKTREE and (data := given.get("XDG_DATA_HOME")):
            variables["XDG_DATA_HOME"] = data  # where it stands whether setup commands are trusted
        if run.cause:
            variables["ORC_CAUSE"] = run.cause
        return variables


def _working_folder(run: AgentRun) -> str:
    if not run.agent.settings.folder:
        return run.project
    folder = os.path.join(run.project, run.agent.settings.folder)
    if inside(os.path.realpath(folder), os.path.realpath(run.project)) is None:
        raise Refused(f"The workdir {folder} leads out of the project by a link", code="symlink")
    return folder


def _way_to_worktree(run: AgentRun) -> tuple[str, ...]:
    """The words before the program of an agent that works in the worktree of its task.

    What they start makes the worktree and becomes the program, so that its setup commands are a part of the
    attempt, and keep no other agent waiting.
    """
    if run.agent.settings.workdir != TASK_WORKTREE or not run.task:
        return ()
    return (sys.executable, "-P", entering.__file__, run.board, run.task, "--")


def runtime_of(settings: AgentSettings) -> Runtime:
    """The adapter for an agent."""
    module = importlib.import_module(f"orchestrator.runtimes.{settings.runtime}")
    runtime = module.RUNTIME
    assert isinstance(runtime, Runtime)
    return runtime


def find_program(word: str, folder: str, path: str, source: str = "") -> str:
    """The path of a program.

    Args:
        word: Its name, or a path from the folder on.
        folder: The folder in which the agent works.
        path: The folders of ``PATH``.
        source: Where the program comes from.

    Raises:
        NotFound: It is not there, or cannot be run.
    """
    if os.path.dirname(word):
        program = shutil.which(os.path.abspath(os.path.join(folder, word)))
    else:
        program = shutil.which(word, path=path)
    if program is None:
        raise NotFound(
            f"There is no program {escape(word)}",
            code="program_not_found",
            hint=f"Install it: {source}" if source else "PATH has to contain it.",
        )
    return program


def write_files(run: AgentRun, launch: Launch) -> None:
    """Write the files of a launch, readable for this user only; without files, no folder is made."""
    if launch.files:
        os.makedirs(run.scratch, mode=0o700, exist_ok=True)
    for name, data in launch.files.items():
        path = os.path.join(run.scratch, name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        with os.fdopen(system.open_file(path, flags), "wb") as file:
            file.write(data)
