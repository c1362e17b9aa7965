"""A table of ``config.toml`` with commands, which count only once a person has trusted them on this machine.

The file may have come with the repository. Each table is trusted for itself, as it is: another table may
change, and a change of its own takes the trust away.
"""

import os
from functools import cached_property
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from orchestrator.core.errors import Refused
from orchestrator.core.transaction import Desk
from orchestrator.domain.board.settings import FILE
from orchestrator.domain.state import State

if TYPE_CHECKING:
    from orchestrator.core.trust import Trust

S = TypeVar("S", bound=msgspec.Struct)


class TrustedSettings(Generic[S]):
    """The settings of a table, and whether they are trusted.

    Args:
        desk: The board.
        table: The name of the table.
        settings: What it sets.
    """

    def __init__(self, desk: Desk[State], table: str, settings: S) -> None:
        self.settings = settings
        self._table = table
        self._board = desk.folder

    @property
    def is_trusted(self) -> bool:
        """Whether a person has trusted these settings on this machine."""
        return self._board is not None and self._trusted.is_trusted(self._path, self._digest)

    def allow(self) -> None:
        """Trust the settings as they are.

        Raises:
            Refused: The board is not in a folder, or an agent that an event started asks for it.
        """
        if self._board is None:
            raise Refused("This board is not in a folder: nothing of it can be trusted here")
        self._trusted.add({self._path: self._digest})

    def revoke(self) -> None:
        """Trust the settings no more."""
        if self._board is not None:
            self._trusted.remove([self._path])

    @cached_property
    def _trusted(self) -> "Trust":
        from orchestrator.core.trust import Trust

        return Trust(project=self._board)

    @property
    def _path(self) -> str:
        """What the settings are trusted as."""
        assert self._board is not None
        return os.path.join(self._board, FILE, self._table)

    @property
    def _digest(self) -> str:
        from orchestrator.core.trust import digest_of

        return digest_of(msgspec.json.encode(self.settings))
