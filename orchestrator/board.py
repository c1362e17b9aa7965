"""Which folder is the board."""

import os
import stat

from orchestrator.core.errors import InputOutputError, NoBoard
from orchestrator.stores.files import layout

FOLDER = ".orchestrator"
"""The folder that is looked for here and above, as git looks for ``.git``."""


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
    layout.refuse_links(found)
    if not _is_folder(os.path.join(found, "state")):
        if _is_folder(found) and os.listdir(found) and found != checkout:
            raise NoBoard(
                f"{found} is no board: it holds other files and no state/ folder",
                hint="Name an empty or a new folder, or the board itself.",
            )
        layout.make(found)
    return found


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


def _search(start: str) -> str | None:
    found = layout.nearest(start, FOLDER)
    return found if found and _is_folder(found) else None
