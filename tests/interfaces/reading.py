"""What a command line means, without running its command."""

from collections.abc import Sequence
from typing import Any

from orchestrator.interfaces.cli.commands import BOARD
from orchestrator.interfaces.cli.groups import Command, Group
from orchestrator.interfaces.cli.run import Run, Settings


class Call(Run):
    """A line that was understood: which command, with which values, under which global options."""

    command: Command
    values: dict[str, Any]

    def execute(self, command: Command, values: dict[str, Any]) -> int:
        self.command, self.values = command, values
        return 0

    @property
    def facts(self) -> tuple[Command, dict[str, Any], Settings]:
        return self.command, self.values, self.settings


def read(words: Sequence[str], top: Group = BOARD) -> Call:
    """Read a line; raises what click raises for one that means nothing."""
    call = Call()
    with top.make_context("orc", list(words), obj=call) as context:
        top.invoke(context)
    return call
