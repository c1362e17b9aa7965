"""Agents that come with the toolkit: folders of agent files, which a person copies, reads and trusts."""

import os

import msgspec

from orchestrator.core import system
from orchestrator.core.errors import InputOutputError, NotFound, Refused, did_you_mean
from orchestrator.core.files import markdown_files, read_text
from orchestrator.supervisor.agent_files import AgentFile, load_agents


class AgentTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """Agents that work together.

    Attributes:
        about: What they do, in a line.
        begin: The command that gives them work.
    """

    name: str
    about: str
    begin: str

    @property
    def folder(self) -> str:
        """The folder of their files."""
        return os.path.join(os.path.dirname(os.path.abspath(__file__)), self.name)

    @property
    def agents(self) -> list[AgentFile]:
        """The agents by name."""
        return [*load_agents(self.folder).agents.values()]


TEMPLATES = {
    template.name: template
    for template in (
        AgentTemplate(
            name="plan-code-review",
            about="Plans a request, writes the code and reviews it, until the review approves.",
            begin="busytown plan FILE",
        ),
        AgentTemplate(
            name="team",
            about="Divides a request into tasks, works them side by side and reviews them.",
            begin='orc request "WHAT YOU WANT" --agent NAME',
        ),
    )
}
"""The templates by name."""


def find_template(name: str) -> AgentTemplate:
    """A template by its name.

    Raises:
        NotFound: There is none of this name.
    """
    if name not in TEMPLATES:
        raise NotFound(
            f"There is no template {name!a}{did_you_mean(name, TEMPLATES)}",
            code="template_not_found",
            hint="`agent template list` shows them.",
        )
    return TEMPLATES[name]


def add_template(template: AgentTemplate, folder: str) -> list[str]:
    """Copy the files of a template to a folder, and return their paths; all of them or none.

    Raises:
        Refused: A file of one of these names is there, or the folder is a link.
        InputOutputError: A file cannot be written.
    """
    if os.path.islink(folder):
        raise Refused(f"{folder} is a symbolic link, which is not followed", code="symlink")
    texts = {
        os.path.join(folder, os.path.basename(path)): read_text(path)
        for path in markdown_files(template.folder)
    }
    if known := [path for path in texts if os.path.lexists(path)]:
        raise Refused(
            f"{known[0]} exists, and nothing is overwritten",
            code="agent_file_exists",
            hint="Rename or remove it, or name another folder with --agents-dir.",
        )
    written: list[str] = []
    try:
        os.makedirs(folder, exist_ok=True)
        for path, text in texts.items():
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            with os.fdopen(system.open_file(path, flags), "wb") as file:
                written.append(path)
                file.write(text.encode())
    except OSError as error:
        for path in written:
            os.unlink(path)
        raise InputOutputError(f"{folder} cannot be written: {error.strerror}") from None
    return written
