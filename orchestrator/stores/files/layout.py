"""What a new board of files holds, and what keeps git from harming it."""

import os
import stat
from collections.abc import Callable, Iterator

from orchestrator.core.errors import InputOutputError, Refused

FOLDERS = ("state", "knowledge")

_ABSENT = (FileNotFoundError, NotADirectoryError)

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


def make(folder: str) -> str:
    """Lay out a board; what exists stays as it is. Returns the absolute path.

    Raises:
        InputOutputError: A folder or file cannot be made.
        Refused: A part of it is a symbolic link.
    """
    folder = os.path.abspath(folder)
    refuse_links(folder)
    try:
        for name in FOLDERS:
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


def refuse_links(folder: str) -> None:
    """Refuse a board of which a folder is a symbolic link."""
    for name in FOLDERS:
        path = os.path.join(folder, name)
        if os.path.islink(path):
            raise Refused(
                f"{path} is a symbolic link, and the folders of a board are never links",
                code="symlink",
                hint="Make the board where it is to be, and name it with --board DIR.",
            )


def git_files(folder: str) -> dict[str, str]:
    """The files that keep git from harming a board inside a work tree: paths and texts."""
    return {
        os.path.join(folder, "state", ".gitignore"): _IGNORED,
        os.path.join(folder, ".gitattributes"): _ATTRIBUTES,
    }


def in_git_work_tree(folder: str) -> bool:
    """Whether git would see the folder."""
    return any(exists(os.path.join(above, ".git")) for above in upwards(folder))


def upwards(folder: str) -> Iterator[str]:
    """The folder and each one above it, as absolute paths."""
    folder = os.path.abspath(folder)
    yield folder
    while (above := os.path.dirname(folder)) != folder:
        yield (folder := above)


def exists(path: str) -> bool:
    """Whether the path exists; one that this user may not see does not."""
    return _mode(os.lstat, path, (*_ABSENT, PermissionError)) is not None


def is_folder(path: str) -> bool:
    """Whether the folder is there."""
    return stat.S_ISDIR(_mode(os.stat, path, _ABSENT) or 0)


def _mode(
    read: Callable[[str], os.stat_result], path: str, absent: tuple[type[OSError], ...]
) -> int | None:
    """The mode of a path. A failing disk must not lead to the board of a folder above."""
    try:
        return read(path).st_mode
    except absent:
        return None
    except OSError as error:
        raise InputOutputError(
            f"{path} cannot be looked at: {error.strerror}", errno=error.errno
        ) from None
