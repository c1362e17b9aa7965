"""Agent files: ``agents/<name>.md``, markdown with frontmatter. All problems of one are reported at once."""

import os
import re
from typing import Any

import msgspec
import yaml

from orchestrator.core import names
from orchestrator.core.errors import BadInput, OrchestratorError
from orchestrator.core.files import markdown_files, read_text
from orchestrator.core.problems import Problems
from orchestrator.core.trust import digest_of
from orchestrator.domain.knowledge import frontmatter
from orchestrator.supervisor.agent_schema import AgentSettings, Lines, read_settings
from orchestrator.supervisor.templates import Script, check_script


class AgentFile(msgspec.Struct, frozen=True, kw_only=True):
    """An agent that was read from its file.

    Attributes:
        id: The slug of the name of the file.
        digest: The SHA-256 of the file, which is what a person trusts.
        body: The system prompt, or the script of a shell agent.
        script: The checked script; None if it is none.
    """

    id: str
    path: str
    digest: str
    settings: AgentSettings
    body: str
    script: Script | None = None


class AgentFiles(msgspec.Struct, frozen=True):
    """The agents of a folder by id, and the files that are not usable, each with all of its problems."""

    agents: dict[str, AgentFile]
    bad: dict[str, OrchestratorError]

    @property
    def problems(self) -> dict[str, list[str]]:
        """The problems of each file that is not usable."""
        return {path: problems_of(error) for path, error in self.bad.items()}


def problems_of(error: OrchestratorError) -> list[str]:
    """The problems that an error about a file names."""
    problems = error.details.get("problems")
    return [*map(str, problems)] if isinstance(problems, list) else [error.message]


def load_agents(folder: str) -> AgentFiles:
    """Read the agent files of a folder; a bad one is reported and skipped."""
    agents: dict[str, AgentFile] = {}
    bad: dict[str, OrchestratorError] = {}
    twice: set[str] = set()
    for path in markdown_files(folder):
        try:
            agent = load_agent(path)
        except OrchestratorError as error:
            bad[path] = error
            continue
        if (other := agents.get(agent.id)) is not None:
            twice.add(agent.id)
            bad[path] = BadInput(f"{path} and {other.path} are both the agent {agent.id}")
        agents.setdefault(agent.id, agent)
    for id in twice:
        path = agents.pop(id).path
        bad[path] = BadInput(f"{path} is not the only file of the agent {id}")
    return AgentFiles(agents, bad)


def load_agent(path: str) -> AgentFile:
    """Read an agent file.

    Raises:
        BadInput: With every problem and its line.
        NotFound: There is no such file.
    """
    text = read_text(path)
    return parse_agent(path, text)


def parse_agent(path: str, text: str) -> AgentFile:
    """Read the text of an agent file; see :func:`load_agent`."""
    problems = Problems(
        f"{path} cannot be used",
        code="bad_agent_file",
        hint="Correct these lines; the agent is skipped until then.",
    )
    id = problems.attempt("its name", agent_id, path) or ""
    lines = text.replace("\r\n", "\n").split("\n")
    end = next((n for n, line in enumerate(lines[1:], 1) if line.rstrip() == "---"), None)
    if lines[0].rstrip() != "---" or end is None:
        problems.note("line 1", "frontmatter between two lines `---` is expected")
        raise problems.error()
    # The empty line in place of the first `---` lets YAML count as the file does.
    head = "\n".join(["", *lines[1:end]])
    metadata = problems.attempt("frontmatter", frontmatter.load, head)
    if not isinstance(metadata, dict):
        if metadata is not None:
            problems.note("line 2", "`field: value` lines are expected")
        raise problems.error()
    places = problems.attempt("frontmatter", _lines_of, head)
    if places is None:
        raise problems.error()
    settings = read_settings(metadata, places, problems)
    body = "\n".join(lines[end + 1 :])
    script = None
    if settings.runtime == "shell":
        if not body.strip():
            problems.note(f"line {end + 1}", "the script is missing below the frontmatter")
        script = check_script(body, problems, unsafe=settings.unsafe, above=end + 1)
    problems.sort(key=lambda place: int(place.removeprefix("line ")) if place[:4] == "line" else 0)
    problems.check()
    digest = digest_of(text.encode())
    return AgentFile(id=id, path=path, digest=digest, settings=settings, body=body, script=script)


def agent_id(path: str) -> str:
    """The id of the agent of a file: the slug of its name.

    Raises:
        BadName: The slug cannot name an agent.
    """
    stem = os.path.splitext(os.path.basename(path))[0]
    slug = re.sub(r"[^\w-]", "", re.sub(r"\s+", "-", stem.strip()), flags=re.ASCII).lower()
    return names.agent(slug)


def _lines_of(head: str) -> Lines:
    """The line of each value of valid frontmatter, by its path; keys are at the line of their name."""
    lines: dict[tuple[str | int, ...], int] = {}

    def walk(node: Any, path: tuple[str | int, ...]) -> None:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                lines[(*path, key.value)] = key.start_mark.line + 1
                walk(value, (*path, key.value))
        elif isinstance(node, yaml.SequenceNode):
            for number, item in enumerate(node.value):
                lines[(*path, number)] = item.start_mark.line + 1
                walk(item, (*path, number))

    try:
        walk(yaml.compose(head, Loader=yaml.SafeLoader), ())
    except yaml.YAMLError:  # below the values, where their reader does not look
        raise BadInput("it is not valid YAML") from None
    return lines
