"""The rules that answer requests for permission on this machine, by board and agent."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from orchestrator.core import names
from orchestrator.core.errors import NotFound
from orchestrator.core.user_files import UserFile
from orchestrator.domain.permissions.records import Behavior
from orchestrator.domain.permissions.rules import decide, parse_pattern

AgentRules = dict[str, dict[str, Behavior]]
"""Whether a pattern of tools is allowed or denied, by agent and pattern."""


class RuleFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of the file: the rules of each board, by its real path."""

    boards: dict[str, AgentRules] = {}


class PermissionRules(UserFile[RuleFile]):
    """The rules of the user of this machine for the agents of a board.

    Args:
        board: The folder of the board.
        folder: Where the file is kept; else the folder for the data of programs of this user.
    """

    FILE = "permissions.json"
    CONTENT = RuleFile
    WHAT = "is allowed"
    COMMAND = "permission"
    DAMAGED = "bad_rule_file"

    def __init__(self, board: str, folder: str | None = None) -> None:
        super().__init__(folder, project=board)
        self._board = os.path.realpath(board)

    def all(self) -> AgentRules:
        """The rules of this board."""
        return self.read().boards.get(self._board, {})

    def decide(self, agent: str, tool: str, tool_input: Mapping[str, Any]) -> Behavior | None:
        """The answer of the rules of an agent; None: people are asked."""
        return decide(self.all().get(agent, {}), tool, tool_input)

    def set(self, agent: str, pattern: str, behavior: Behavior) -> str:
        """Set a rule, and return its pattern in the one form that is kept.

        Raises:
            BadInput: The pattern is none.
            Refused: An agent that an event started asks for it.
        """
        names.agent(agent)
        text = str(parse_pattern(pattern))
        self._edit(agent, lambda rules: {**rules, text: behavior})
        return text

    def remove(self, agent: str, pattern: str) -> str:
        """Remove a rule, and return its pattern.

        Raises:
            NotFound: There is no such rule.
            Refused: An agent that an event started asks for it.
        """
        text = str(parse_pattern(pattern))

        def without(rules: dict[str, Behavior]) -> dict[str, Behavior]:
            if text not in rules:
                raise NotFound(
                    f"There is no rule {text!a} for {agent}",
                    code="rule_not_found",
                    hint="`permission rules` lists them.",
                )
            return {known: behavior for known, behavior in rules.items() if known != text}

        self._edit(agent, without)
        return text

    def _edit(self, agent: str, edit: Callable[[dict[str, Behavior]], dict[str, Behavior]]) -> None:
        def changed(file: RuleFile) -> RuleFile:
            agents = file.boards.get(self._board, {})
            rules = {**agents, agent: edit(agents.get(agent, {}))}
            kept = {name: patterns for name, patterns in rules.items() if patterns}
            return RuleFile({**file.boards, self._board: kept})

        self.change(changed)
