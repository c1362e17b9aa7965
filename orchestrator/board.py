"""Locate the board: one for a git repository with all its work trees."""

import os
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from orchestrator import stores
from orchestrator.core import paths, repository
from orchestrator.core.errors import Damage, NoBoard, Refused
from orchestrator.core.repository import Repository
from orchestrator.core.store import Store
from orchestrator.stores.files import layout

FOLDER = ".orchestrator"
"""The folder that is searched here and above, as git searches ``.git``."""


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


class Opened(NamedTuple):
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
    light: bool = False,
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
    store = stores.open_store(scheme, location, light=light, warn=warn)
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
        folder, warning = _search(os.path.abspath(start or os.getcwd()), reads=reads)
        if folder is None and checkout is not None:
            folder = home = _in_main(checkout)
    if folder is None:
        raise NoBoard(
            f"There is no board here: no {FOLDER}/ in this folder or above",
            hint="`init` makes one; --board DIR or ORCHESTRATOR_DIR names one.",
        )
    folder = os.path.abspath(folder)
    layout.refuse_links(folder)
    if paths.is_folder(os.path.join(folder, "state")):
        return Located(folder, warning=warning)
    if paths.is_folder(folder) and os.listdir(folder) and folder != home:
        raise NoBoard(
            f"{folder} is not a board: it holds other files and no state/ folder",
            hint="Name an empty or a new folder, or the board itself.",
        )
    if reads:
        raise NoBoard(
            f"There is no board {folder}",
            hint=f"`orc init {_quoted(folder)}` makes it, and so does the first change.",
        )
    layout.make(folder)
    return Located(folder, is_new=bool(board), warning=warning)


def place_for_new() -> str:
    """Where ``init`` makes a board that is not named: here, or beside the main work tree's ``.git``."""
    here = os.getcwd()
    place = repository.here(here)
    if place is None or not place.is_linked:
        return os.path.join(here, FOLDER)
    return _of_main(here, place) or os.path.join(place.main, FOLDER)


def _in(folder: str) -> str:
    """The board of a named folder: the folder itself, or its ``.orchestrator/``."""
    inner = os.path.join(folder, FOLDER)
    return (
        inner
        if not paths.is_folder(os.path.join(folder, "state")) and paths.is_folder(inner)
        else folder
    )


def _search(start: str, *, reads: bool) -> tuple[str | None, str]:
    """The board of a folder, by its repository, with a warning about a second board that is ignored."""
    place = repository.here(start)
    if place is None and (root := repository.broken_tree(start)):
        return _in_broken_tree(start, root)
    if place is None or not place.is_linked:
        return _closest(start), ""
    main, own = _of_main(start, place), _closest(start, top=place.root)
    if main is None and own is not None:
        return own, "" if reads else _only_linked(own, place)
    if main is None or own is None or own == main or not _has_own_events(own, main):
        return main or _closest(start), ""
    if not reads:
        raise _two_boards(own, main)
    return main, f"This is the board {main}; {own} has events of its own, which are not shown"


def _in_broken_tree(start: str, root: str) -> tuple[str, str]:
    """The board in a work tree whose ``.git`` leads nowhere, with a warning; no other board is searched."""
    lost = f"{os.path.join(root, '.git')} leads to no repository"
    own = _closest(start, top=root)
    if own is None:
        raise NoBoard(
            f"{lost}, so the board of its work trees cannot be found",
            hint="`git worktree repair` in the main work tree finds it again;"
            " --board DIR or ORCHESTRATOR_DIR names a board.",
        )
    return own, f"{lost}: {own} is the board of this work tree alone"


def _of_main(start: str, place: Repository) -> str | None:
    """The board of the main work tree for the same relative folder."""
    inner = paths.inside(start, place.root) or "."
    board = _closest(os.path.normpath(os.path.join(place.main, inner)))
    return board if board and paths.is_folder(os.path.join(board, "state")) else None


def _in_main(checkout: str) -> str:
    """The folder of the main work tree that corresponds to a checkout."""
    place = repository.around(checkout)
    if place is None or not place.is_linked:
        return checkout
    is_bare = not paths.exists(os.path.join(place.main, ".git"))
    return os.path.join(place.main, FOLDER if is_bare else paths.inside(checkout, place.root) or "")


def _closest(start: str, *, top: str | None = None) -> str | None:
    """The closest board in the folder or above, up to a top."""
    for folder in paths.upwards(start):
        inner = os.path.join(folder, FOLDER)
        if paths.exists(inner):
            return inner if paths.is_folder(inner) else None
        # Other projects have a folder `state`, too: both parts of a new board, or its log.
        if all(
            paths.is_folder(os.path.join(folder, name)) for name in layout.FOLDERS
        ) or paths.exists(os.path.join(folder, "state", "events.jsonl")):
            return folder
        if folder == top:
            break
    return None


def _has_own_events(board: str, main: str) -> bool:
    """Whether a board holds what the main one does not; a versioned log is checked out in each work tree."""
    from orchestrator.stores.files import reading  # only a repository with two boards needs it
    from orchestrator.stores.files.segments import Segments

    own, others = (Segments(os.path.join(folder, "state")) for folder in (board, main))
    try:
        return not reading.is_continued(own, others)
    except Damage:
        return True


def _two_boards(own: str, main: str) -> Refused:
    mine, theirs = _quoted(own), _quoted(main)
    return Refused(
        f"One repository has two boards: {main} is that of all work trees, and {own} has events of its own",
        code="two_boards",
        hint=f"To drop the second: `mv {mine} {_quoted(_beside(own))}`. To take its tasks over first:"
        f" `orc --board {mine} export beads tasks.jsonl`, `orc --board {theirs} import beads tasks.jsonl`.",
        board=main,
        other=own,
    )


def _beside(own: str) -> str:
    """A name beside the work tree of a board, where git does not see it."""
    tree = os.path.dirname(own)
    return os.path.join(os.path.dirname(tree), f"{os.path.basename(tree)}-board.old")


def _only_linked(own: str, place: Repository) -> str:
    move = f"mv {_quoted(own)} {_quoted(os.path.join(place.main, FOLDER))}"
    return f"{own} is in a linked work tree, and the others do not see it; `{move}` shares it"


def _quoted(path: str) -> str:
    import shlex  # a command that finds its board does not need it

    return shlex.quote(path)
