"""The board of a server, which may be moved, deleted or replaced while the server runs."""

import os
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from orchestrator import AsyncOrchestrator, Orchestrator
from orchestrator.core import system
from orchestrator.core.errors import NoBoard

R = TypeVar("R")


class ServedBoard(AsyncOrchestrator):
    """A board that each call finds in its place, or says what became of it.

    Args:
        orc: The board.
    """

    def __init__(self, orc: Orchestrator) -> None:
        super().__init__(orc)
        self._held: int | None = None
        if orc.folder is not None:
            with suppress(OSError):  # a system that opens no folders
                # While it is open no other folder can get its inode.
                self._held = system.open_folder(orc.folder)

    async def run(
        self,
        name: str,
        function: Callable[[Orchestrator], R],
        *,
        earlier: Orchestrator | None = None,
    ) -> R:
        """Run a function of the board.

        Raises:
            NoBoard: It is not in its place any more.
        """
        self._check_place()
        return await super().run(name, function, earlier=earlier)

    def _check_place(self) -> None:
        if self._held is None or self.folder is None:
            return
        try:
            status = os.stat(self.folder)
        except OSError:
            raise NoBoard(
                f"The board {self.folder!a} was moved or deleted while this server ran",
                hint="Put it back, or start the server again.",
            ) from None
        if not os.path.samestat(status, os.fstat(self._held)):
            raise NoBoard(
                f"Another board is at {self.folder!a} than when this server started",
                hint="Start the server again to work on this one.",
            )
