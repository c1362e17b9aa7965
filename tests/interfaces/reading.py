"""Parses command lines without running their commands."""

from collections.abc import Sequence
from typing import Any

from orchestrator.interfaces.cli.commands import BOARD
from orchestrator.interfaces.cli.groups import Command, Group
from orchestrator.interfaces.cli.run import Run, Settings


class Call(Run):
    """A parsed line: its command, values and global options."""

    command: Command
    values: dict[str, Any]

    def execute(self, command: Command, values: dict[str, Any]) -> int:
        self.command, self.values = command, values
        return 0

    @property
    def facts(self) -> tuple[Command, dict[str, Any], Settings]:
        return self.command, self.values, self.settings


def read(words: Sequence[str], top: Group = BOARD) -> Call:
    """Parse a line; an invalid line raises the exception of click."""
    call = Call()
    with top.make_context("orc", list(words), obj=call) as context:
        top.invoke(context)
    return call
