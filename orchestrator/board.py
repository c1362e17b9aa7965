"""Which folder is the board, and what is in a new one."""

import os
import stat

from orchestrator.core.errors import InputOutputError, NoBoard, Refused

FOLDER = ".orchestrator"
"""The folder that is looked for here and above, as git looks for ``.git``."""

_FOLDERS = ("state", "knowledge")

_IGNORED = """\
# The log (events*.jsonl) is the board; everything here is local or derived from it.
.lock
.queue
.holder
state.json
*.new
*.tmp
index.db*
presence/
cursors/
quarantine/
backups/
"""

_ATTRIBUTES = """\
# A changed byte breaks the chain of checksums: no line-end conversion, no merging by lines.
state/events*.jsonl -text -merge
"""


def locate(
    board: str | None = None, *, start: str | None = None, checkout: str | None = None
) -> str:
    """The folder of the board; one that is named and not there yet, or is empty, is made.

    Args:
        board: A named folder; else ``$ORCHESTRATOR_DIR``.
        start: Where the search for ``.orchestrator/`` begins; the working folder if None.
        checkout: The folder that serves when nothing is named or found: the checkout of a script.

    Raises:
        NoBoard: Nothing is named or found, or what is named is a folder of other things.
    """
    named = board or os.environ.get("ORCHESTRATOR_DIR") or None
    found = named or _search(start or os.getcwd()) or checkout
    if found is None:
        raise NoBoard(
            f"There is no board here: no {FOLDER}/ in this folder or above",
            hint="`init` makes one; --board DIR or ORCHESTRATOR_DIR names one.",
        )
    found = os.path.abspath(found)
    _refuse_links(found)
    if not _is_folder(os.path.join(found, "state")):
        if _is_folder(found) and os.listdir(found) and found != checkout:
            raise NoBoard(
                f"{found} is no board: it holds other files and no state/ folder",
                hint="Name an empty or a new folder, or the board itself.",
            )
        make(found)
    return found


def make(folder: str) -> str:
    """Lay out a board; what is there stays as it is. Gives the absolute path.

    Raises:
        InputOutputError: A folder or file cannot be made.
        Refused: A part of it is a symbolic link.
    """
    folder = os.path.abspath(folder)
    _refuse_links(folder)
    try:
        for name in _FOLDERS:
            os.makedirs(os.path.join(folder, name), exist_ok=True)
        if in_git_work_tree(folder):
            for path, text in git_files(folder).items():
                if not os.path.lexists(path):
                    with open(path, "x", encoding="utf-8", newline="\n") as file:
                        file.write(text)
    except OSError as error:
        raise InputOutputError(
            f"The board {folder} cannot be made: {error.strerror}", errno=error.errno
        ) from None
    return folder


def git_files(folder: str) -> dict[str, str]:
    """The files that keep git from harming a board inside a work tree: paths and texts."""
    return {
        os.path.join(folder, "state", ".gitignore"): _IGNORED,
        os.path.join(folder, ".gitattributes"): _ATTRIBUTES,
    }


def in_git_work_tree(folder: str) -> bool:
    """Whether git keeps the folder or one above it."""
    return _nearest(folder, ".git") is not None


def _is_folder(path: str) -> bool:
    """Whether the folder is there; a disk that does not answer is no answer."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise InputOutputError(
            f"{path} cannot be looked at: {error.strerror}", errno=error.errno
        ) from None


def _is_there(path: str) -> bool:
    """Whether something has that name: else a failing disk would lead to the board of a folder above."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return False
    except OSError as error:
        raise InputOutputError(
            f"{path} cannot be looked at: {error.strerror}", errno=error.errno
        ) from None
    return True


def _refuse_links(folder: str) -> None:
    for name in _FOLDERS:
        path = os.path.join(folder, name)
        if os.path.islink(path):
            raise Refused(
                f"{path} is a symbolic link, and the folders of a board are never links",
                code="symlink",
                hint="Make the board where it is to be, and name it with --board DIR.",
            )


def _search(start: str) -> str | None:
    found = _nearest(start, FOLDER)
    return found if found and _is_folder(found) else None


def _nearest(start: str, name: str) -> str | None:
    folder = os.path.abspath(start)
    while not _is_there(os.path.join(folder, name)):
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above
    return os.path.join(folder, name)
