"""Open a board: by its name, or the nearest one of a folder."""

import os
from collections.abc import Callable

import msgspec

from orchestrator import stores
from orchestrator.core import paths
from orchestrator.core.errors import NoBoard
from orchestrator.core.store import Store
from orchestrator.stores.files.disk import FOLDER, refuse_links


class Located(msgspec.Struct, frozen=True):
    """The location of a board.

    Attributes:
        is_new: It was named, and has just been created.
        warning: A sentence that a person should know; empty if there is none.
    """

    folder: str
    is_new: bool = False
    warning: str = ""


def named(board: str | None) -> tuple[str, str | None]:
    """The scheme and location of the board that the caller or ``$ORCHESTRATOR_DIR`` names.

    Raises:
        UsageError: No store has the URL's scheme.
    """
    scheme, location = stores.parse(board or os.environ.get("ORCHESTRATOR_DIR") or None)
    return scheme, os.path.expanduser(location) if location and scheme == "file" else location


class Opened(msgspec.Struct, frozen=True):
    """The store of a board, its folder (None if it has none), and whether the board was just created."""

    store: Store
    folder: str | None
    is_new: bool


def open_store(
    board: str | None,
    *,
    start: str | None = None,
    checkout: str | None = None,
    reads: bool = False,
    warn: Callable[[str], None],
) -> Opened:
    """Open the store of a board: of a named one, or of the one that :func:`locate` finds.

    Raises:
        NoBoard: See :func:`locate`.
        UsageError: No store has the URL's scheme.
    """
    scheme, location = named(board)
    is_new = False
    if scheme == "file":
        located = locate(location, start=start, checkout=checkout, reads=reads)
        location, is_new = located.folder, located.is_new
        if located.warning:
            warn(located.warning)
    store = stores.open_store(scheme, location, warn=warn)
    return Opened(store, location if scheme == "file" else None, is_new)


def locate(
    board: str | None = None,
    *,
    start: str | None = None,
    checkout: str | None = None,
    reads: bool = False,
) -> Located:
    """Find the board; a named folder that does not exist or is empty becomes a board.

    A folder that holds ``state/`` is a board, and so is the ``.orchestrator/`` in it. From a linked work tree
    of a git repository the board of the main one is found.

    Args:
        board: A named folder; None to search.
        start: The folder where the search begins, which continues in the folders above; the working folder if
            None.
        checkout: The folder that is used if no board is named or found: the checkout of a script.
        reads: The caller changes nothing, so no board is created.

    Raises:
        NoBoard: Nothing is named or found, or what is named is a folder of other things; if ``reads``, also a
            folder that is not there yet or is empty.
        Refused: The linked work tree holds another board with events of its own, unless ``reads``.
    """
    warning, home = "", None
    if board:
        folder: str | None = _in(board)
    else:
        from orchestrator import board_search  # a named board needs no search

        folder, warning = board_search.search(os.path.abspath(start or os.getcwd()), reads=reads)
        if folder is None and checkout is not None:
            folder = home = board_search.in_main(checkout)
    if folder is None:
        raise NoBoard(
            f"There is no board here: no {FOLDER}/ in this folder or above",
            hint="`init` makes one; --board DIR or ORCHESTRATOR_DIR names one.",
        )
    folder = os.path.abspath(folder)
    refuse_links(folder)
    if paths.is_folder(os.path.join(folder, "state")):
        return Located(folder, warning=warning)
    if paths.is_folder(folder) and os.listdir(folder) and folder != home:
        raise NoBoard(
            f"{folder} is not a board: it holds other files and no state/ folder",
            hint="Name an empty or a new folder, or the board itself.",
        )
    if reads:
        import shlex  # only this message needs it

        raise NoBoard(
            f"There is no board {folder}",
            hint=f"`orc init {shlex.quote(folder)}` makes it, and so does the first change.",
        )
    from orchestrator.stores.files import layout  # only a new board needs it

    layout.make(folder)
    return Located(folder, is_new=bool(board), warning=warning)


def _in(folder: str) -> str:
    """The board of a named folder: the folder itself, or its ``.orchestrator/``."""
    inner = os.path.join(folder, FOLDER)
    return (
        inner
        if not paths.is_folder(os.path.join(folder, "state")) and paths.is_folder(inner)
        else folder
    )
