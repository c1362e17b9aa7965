"""Where the files of agents and of a runner are; light, because each `events push` looks there."""

import os
import sys

from orchestrator.core.errors import Refused

FOLDER = "agents"
"""The folder of the agent files in a board."""


def default_folder(board: str | None) -> str:
    """The folder of the agent files unless another one is named: in the board, or else here."""
    here = os.path.abspath(FOLDER)
    own = os.path.join(board, FOLDER) if board else here
    return here if os.path.isdir(here) and not os.path.isdir(own) else own


def project_of(board: str) -> str:
    """The folder that agents work in: around a board ``.orchestrator``, else that of the board."""
    return os.path.dirname(board) if os.path.basename(board) == ".orchestrator" else board


def board_name(board: str) -> str:
    """The name of a board for people: that of its folder, or of the folder around it if it is hidden."""
    above, name = os.path.split(os.path.normpath(board))
    return os.path.basename(above) if name.startswith(".") else name


def place_in_state(board: str, name: str) -> str:
    """The path of a folder in ``state/`` that only this machine uses.

    Raises:
        Refused: It would be outside of the board, because it is a link.
    """
    path = os.path.join(board, "state", name)
    if os.path.islink(path):
        raise Refused(f"{path} is a symbolic link, which is not followed", code="symlink")
    return path


def command_line(board: str) -> list[str]:
    """The first words of a command line for a board, whose process may go on when this one ends."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return [sys.executable, package, "--board", board]
