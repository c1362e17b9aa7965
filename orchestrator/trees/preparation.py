"""Where new worktrees are made, and the setup commands that run in them.

Both come from ``config.toml``, which may have come with the repository. So commands, and a folder outside of
the repository, count only once a person has trusted them on this machine.
"""

import os
from collections.abc import Callable

from orchestrator.core.errors import Refused
from orchestrator.core.paths import inside
from orchestrator.core.transaction import Desk
from orchestrator.domain.board.settings import FILE, WorktreeSettings, settings
from orchestrator.domain.state import State
from orchestrator.domain.worktrees.records import SetupResult
from orchestrator.trees.trusted_settings import TrustedSettings

LONGEST_SETUP = 30 * 60.0
"""Seconds that one setup command may take."""


class Preparation(TrustedSettings[WorktreeSettings]):
    """The settings of worktrees of a board, and whether they are trusted.

    Args:
        desk: The board.

    Raises:
        BadInput: ``config.toml`` cannot be used.
    """

    def __init__(self, desk: Desk[State]) -> None:
        super().__init__(desk, "worktree", settings(desk.documents.read(FILE)).worktree)

    def folder(self, main: str) -> str:
        """The folder that contains the worktrees.

        Args:
            main: The main worktree.

        Raises:
            Refused: It is another one than usual, not in the repository, and not trusted.
        """
        if not self.settings.folder:
            return f"{main.rstrip(os.sep)}.worktrees"
        named = os.path.join(main, os.path.expanduser(self.settings.folder))
        place = os.path.realpath(named)
        if inside(place, os.path.realpath(main)) is None and not self.is_trusted:
            raise Refused(
                f"{FILE} puts worktrees into {place!a}, and nobody has trusted it here",
                code="not_trusted",
                hint="`worktree trust` shows the settings and allows them.",
            )
        return place

    def run(
        self, folder: str, variables: dict[str, str], look: Callable[[], object]
    ) -> SetupResult:
        """Run the trusted setup commands in a new worktree, one after the other, until one fails.

        Args:
            folder: The worktree.
            variables: More variables for them.
            look: Called repeatedly while they run; an exception ends them.
        """
        from orchestrator.domain.tasks.verification import run_command

        seconds = 0.0
        for command in self.settings.setup:
            ended = run_command(command, folder, variables, LONGEST_SETUP, look)
            seconds += ended.seconds or 0.0
            if ended.problem:
                return SetupResult(
                    passed=False,
                    command=command,
                    problem=ended.problem,
                    output=ended.output,
                    seconds=seconds,
                )
        return SetupResult(passed=True, seconds=seconds)
