"""Make the worktree of a task, go there, and become another program.

``python entering.py BOARD TASK -- PROGRAM [ARGUMENT]...``: what the runner starts for an agent whose file
says ``workdir: task``. Whoever reviews the task gets the worktree that is there, else stays in this folder.
"""

import os
import sys

if not __package__:
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from orchestrator.api import Orchestrator
from orchestrator.core import system
from orchestrator.core.errors import OrchestratorError


def enter(board: str, task: str) -> None:
    """Change the working folder to the worktree of a task.

    Raises:
        OrchestratorError: It cannot be made.
    """
    with Orchestrator.open(board, warn=_warn) as orc:
        if orc.tasks.get(task).status != "in_review":
            folder = orc.worktrees.add(task).path
        elif task in orc.engine.read().worktrees:
            folder = orc.worktrees.path(task)
        else:
            return
    os.chdir(folder)
    os.environ["PWD"] = folder


def main(board: str, task: str, _dashes: str, *words: str) -> None:
    """Go to the worktree, and become the program."""
    try:
        enter(board, task)
    except OrchestratorError as error:
        output = str(error.details.get("output", ""))
        sys.exit("\n".join(filter(None, (output.rstrip("\n"), error.message, error.hint))))
    system.become(words)  # the runner has checked the words


def _warn(text: str) -> None:
    print(f"Warning: {text}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
