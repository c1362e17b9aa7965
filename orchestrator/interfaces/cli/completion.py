"""Completion in shells: the script for each shell, and the words of the board that it offers."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from orchestrator.core.errors import OrchestratorError

if TYPE_CHECKING:
    from orchestrator import Orchestrator

SHELLS = ("bash", "zsh", "fish")

VARIABLE = "_ORC_COMPLETE"
"""The variable by which a shell asks for completions."""


def script(shell: str) -> str:
    """The script that makes a shell complete ``orc``."""
    from click.shell_completion import get_completion_class

    from orchestrator.interfaces.cli.click_app import group
    from orchestrator.interfaces.cli.commands import BOARD

    made = get_completion_class(shell)
    assert made is not None
    return made(group(BOARD, is_top=True), {}, "orc", VARIABLE).source()


def words(kind: str, board: str | None) -> list[str]:
    """What the board has of a kind; nothing where there is no board, for a shell has no use for errors."""
    if not kind:
        return []
    from orchestrator import Orchestrator

    try:
        with Orchestrator.open(board, light=True) as orc:
            return list(_words(kind, orc))
    except (OrchestratorError, OSError):
        return []


def _words(kind: str, orc: "Orchestrator") -> Iterable[str]:
    if kind == "workstreams":
        return [workstream.name for workstream in orc.workstreams.all()]
    if kind == "tasks":
        return [task.id for task in orc.tasks.all()]
    if kind == "agents":
        return [agent.id for agent in orc.agents.all()]
    if kind == "resources":
        return [lock.resource for lock in orc.locks.all()]
    if kind == "formulas":
        return orc.formulas.names()
    if kind == "workflows":
        return [workflow.root for workflow in orc.workflows.all()]
    return [topic.name for topic in orc.knowledge.all()]
