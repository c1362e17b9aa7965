"""Find the board of a folder: one for a git repository with all its worktrees."""

import os

from orchestrator.core import paths, repository
from orchestrator.core.errors import Damage, NoBoard, Refused
from orchestrator.core.repository import Repository
from orchestrator.stores.files import reading
from orchestrator.stores.files.disk import FOLDER, FOLDERS
from orchestrator.stores.files.segments import Segments


def place_for_new() -> str:
    """Where ``init`` makes a board that is not named: here, or beside git's common folder."""
    here = os.getcwd()
    place = repository.here(here)
    if place is None and (top := repository.bare(here)):
        return os.path.join(os.path.dirname(top), FOLDER)
    if place is None or not place.is_linked:
        return os.path.join(here, FOLDER)
    return _of_main(here, place) or os.path.join(place.main, FOLDER)


def search(start: str, *, reads: bool) -> tuple[str | None, str]:
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
    """The board in a worktree whose ``.git`` leads nowhere, with a warning; no other board is searched."""
    lost = f"{os.path.join(root, '.git')} leads to no repository"
    own = _closest(start, top=root)
    if own is None:
        raise NoBoard(
            f"{lost}, so the board of its worktrees cannot be found",
            hint="`git worktree repair` in the main worktree finds it again;"
            " --board DIR or ORCHESTRATOR_DIR names a board.",
        )
    return own, f"{lost}: {own} is the board of this worktree alone"


def _of_main(start: str, place: Repository) -> str | None:
    """The board of the main worktree for the same relative folder."""
    inner = paths.inside(start, place.root) or "."
    board = _closest(os.path.normpath(os.path.join(place.main, inner)))
    return board if board and paths.is_folder(os.path.join(board, "state")) else None


def in_main(checkout: str) -> str:
    """The folder of the main worktree that corresponds to a checkout."""
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
        if all(paths.is_folder(os.path.join(folder, name)) for name in FOLDERS) or paths.exists(
            os.path.join(folder, "state", "events.jsonl")
        ):
            return folder
        if folder == top:
            break
    return None


def _has_own_events(board: str, main: str) -> bool:
    """Whether a board holds what the main one does not; a versioned log is checked out in each worktree."""
    own, others = (Segments(os.path.join(folder, "state")) for folder in (board, main))
    try:
        return not reading.is_continued(own, others)
    except Damage:
        return True


def _two_boards(own: str, main: str) -> Refused:
    mine, theirs = _quoted(own), _quoted(main)
    return Refused(
        f"One repository has two boards: {main} is that of all worktrees, and {own} has events of its own",
        code="two_boards",
        hint=f"To drop the second: `mv {mine} {_quoted(_beside(own))}`. To take its work over first:"
        f" `orc --board {theirs} board merge {mine}`.",
        board=main,
        other=own,
    )


def _beside(own: str) -> str:
    """A name beside the worktree of a board, where git does not see it."""
    tree = os.path.dirname(own)
    return os.path.join(os.path.dirname(tree), f"{os.path.basename(tree)}-board.old")


def _only_linked(own: str, place: Repository) -> str:
    move = f"mv {_quoted(own)} {_quoted(os.path.join(place.main, FOLDER))}"
    return f"{own} is in a linked worktree, and the others do not see it; `{move}` shares it"


def _quoted(path: str) -> str:
    import shlex  # only messages need it

    return shlex.quote(path)
