"""Open a board: by its name, or the nearest one of a folder."""

import os
from collections.abc import Callable

import msgspec

from orchestrator import stores
from orchestrator.core import paths
from orchestrator.core.errors import NoBoard, Refused, UsageError
from orchestrator.core.store import START, LocalFiles, Store
from orchestrator.stores.files import disk
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
    """The scheme and location of the board that the caller or the environment names.

    The variables are ``$ORCHESTRATOR_DIR``, and ``$ORCHESTRATOR_URL`` if that is not set.

    Raises:
        UsageError: No store has the URL's scheme.
    """
    variables = ("ORCHESTRATOR_DIR", "ORCHESTRATOR_URL")
    given = (value for name in variables if (value := os.environ.get(name)))
    scheme, location = stores.parse(board or next(given, None))
    return scheme, os.path.expanduser(location) if location and scheme == "file" else location


class Opened(msgspec.Struct, frozen=True):
    """The store of a board, its folder (None if it has none), and whether the board was just created.

    The folder of a board in a database has what belongs to this machine, with the files of its documents.
    """

    store: Store
    folder: str | None
    is_new: bool
    local: LocalFiles | None = None


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
    folder: str | None = None
    is_new = False
    local: LocalFiles | None = None
    if scheme == "file":
        located = locate(location, start=start, checkout=checkout, reads=reads)
        location = folder = located.folder
        is_new = located.is_new
        if located.warning:
            warn(located.warning)
        if url := store_of(folder):
            scheme, location = stores.parse(url)
            local = stores.local_files(folder)
    store, is_made = stores.open_store(scheme, location, reads=reads, warn=warn)
    return Opened(store, folder, is_new or is_made, local)


def store_of(folder: str) -> str:
    """The URL of the board to which a folder leads by its ``config.toml``; empty if it is the board itself.

    Raises:
        BadInput: The file cannot be read.
    """
    try:
        with open(os.path.join(folder, "config.toml"), "rb") as file:
            data = file.read()
    except OSError:
        return ""
    if b"store" not in data:
        return ""
    from orchestrator.domain.board.settings import settings  # few boards have such a file

    return settings(data).store


def lead_to(folder: str, url: str) -> bool:
    """Let a folder lead to a board in a database, which is made if it is not there.

    Args:
        folder: A new folder of a board; nothing has happened on its own board.
        url: The URL of the board.

    Returns:
        Whether the board in the database was made.

    Raises:
        Refused: The folder has events of its own, or leads to another board.
        UsageError: The URL does not name a database.
    """
    scheme, location = stores.parse(url)
    if scheme in ("file", "memory"):
        raise UsageError(f"{url!a} does not name a board in a database", hint=_FOR_EXAMPLE)
    path = os.path.join(folder, "config.toml")
    if store_of(folder) != url and (os.path.lexists(path) or _has_events(folder)):
        raise Refused(
            f"{folder} is a board of its own already",
            code="not_empty",
            hint=f"`orc copy` copies it to a database; then write `store` into a new {path}.",
        )
    _, is_made = stores.open_store(scheme, location, warn=_ignore)
    if not os.path.lexists(path):
        disk.replace(path, f"store = {msgspec.json.encode(url).decode()}\n".encode())
    return is_made


_FOR_EXAMPLE = "For example: --store 'postgresql://localhost/work?board=website'"


def _has_events(folder: str) -> bool:
    return (
        next(iter(stores.open_store("file", folder, warn=_ignore)[0].read(START)), None) is not None
    )


def _ignore(_sentence: str) -> None:
    """Ignore a warning about a store that is only looked into."""


def locate(
    board: str | None = None,
    *,
    start: str | None = None,
    checkout: str | None = None,
    reads: bool = False,
) -> Located:
    """Find the board; a named folder that does not exist or is empty becomes a board.

    A folder that holds ``state/`` is a board, and so is the ``.orchestrator/`` in it. From a linked worktree
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
        Refused: The linked worktree holds another board with events of its own, unless ``reads``.
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
