"""Which board is meant, and which folder it is."""

import os

from orchestrator import stores
from orchestrator.core.errors import NoBoard
from orchestrator.stores.files import layout

FOLDER = ".orchestrator"
"""The folder that is looked for here and above, as git looks for ``.git``."""


def named(board: str | None) -> tuple[str, str | None]:
    """The scheme and location of the board that is named, here or by ``$ORCHESTRATOR_DIR``.

    Raises:
        UsageError: No store has the URL's scheme.
    """
    return stores.parse(board or os.environ.get("ORCHESTRATOR_DIR") or None)


def locate(
    board: str | None = None, *, start: str | None = None, checkout: str | None = None
) -> str:
    """The folder of the board; one that is named and not there yet, or is empty, is made.

    A folder that holds ``state/`` is a board, and so is the ``.orchestrator/`` in it.

    Args:
        board: A named folder; None to search.
        start: Where the search for a board begins, to go on in the folders above; the working folder if
            None.
        checkout: The folder that serves when nothing is named or found: the checkout of a script.

    Raises:
        NoBoard: Nothing is named or found, or what is named is a folder of other things.
    """
    folder = _in(board) if board else _search(start or os.getcwd()) or checkout
    if folder is None:
        raise NoBoard(
            f"There is no board here: no {FOLDER}/ in this folder or above",
            hint="`init` makes one; --board DIR or ORCHESTRATOR_DIR names one.",
        )
    folder = os.path.abspath(folder)
    layout.refuse_links(folder)
    if not layout.is_folder(os.path.join(folder, "state")):
        if layout.is_folder(folder) and os.listdir(folder) and folder != checkout:
            raise NoBoard(
                f"{folder} is no board: it holds other files and no state/ folder",
                hint="Name an empty or a new folder, or the board itself.",
            )
        layout.make(folder)
    return folder


def _in(folder: str) -> str:
    """The board of a named folder: the folder itself, or its ``.orchestrator/``."""
    inner = os.path.join(folder, FOLDER)
    return (
        inner
        if not layout.is_folder(os.path.join(folder, "state")) and layout.is_folder(inner)
        else folder
    )


def _search(start: str) -> str | None:
    """The closest board in the folder or above."""
    for folder in layout.upwards(start):
        inner = os.path.join(folder, FOLDER)
        if layout.exists(inner):
            return inner if layout.is_folder(inner) else None
        # Other projects have a folder `state`, too: both parts of a new board, or its log.
        if all(
            layout.is_folder(os.path.join(folder, name)) for name in layout.FOLDERS
        ) or layout.exists(os.path.join(folder, "state", "events.jsonl")):
            return folder
    return None
