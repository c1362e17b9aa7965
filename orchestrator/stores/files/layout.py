"""The folders and files of a new board, and its protection from git.

In a git worktree, either a line in git's ``info/exclude`` makes git ignore the board, or the board is
versioned, and two files of the board stop git from changing its log.
"""

import os
from typing import Literal

from orchestrator.core import paths, repository
from orchestrator.core.errors import InputOutputError
from orchestrator.stores.files import disk
from orchestrator.stores.files.disk import FOLDERS, refuse_links

Care = Literal["excluded", "versioned", ""]
"""What git does with a board: ignore it or version it; empty if the board is in no worktree."""

_IGNORED = """\
# The log (events*.jsonl) is the board; everything here is local or derived from it.
.lock
.queue
.holder
state.json
cold/
*.new
*.tmp
index.db*
presence/
cursors/
checkpoints/
quarantine/
backups/
logs/
runner/
"""

_ATTRIBUTES = """\
# A changed byte breaks the chain of checksums: no line-end conversion, no merging by lines.
state/events*.jsonl -text -merge
state/events*.jsonl.zst -text -merge
"""


def make(folder: str, *, versioned: bool = False) -> str:
    """Create the missing folders and files of a board, and return its absolute path.

    Args:
        folder: The folder of the board.
        versioned: Let git version the board, if it is in a worktree.

    Raises:
        InputOutputError: A folder or file cannot be made.
        Refused: A part of it is a symbolic link.
    """
    folder = os.path.abspath(folder)
    refuse_links(folder)
    is_new = not paths.is_folder(os.path.join(folder, "state"))
    try:
        if is_new and not versioned:
            _exclude(folder)
        for name in FOLDERS:
            os.makedirs(os.path.join(folder, name), exist_ok=True)
        if versioned:
            _include(folder)
        if git_care(folder) == "versioned":
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
    """The files that protect a versioned board from git, by path, with their texts."""
    return {
        os.path.join(folder, "state", ".gitignore"): _IGNORED,
        os.path.join(folder, ".gitattributes"): _ATTRIBUTES,
    }


def git_care(folder: str) -> Care:
    """What git does with a board, according to the files of its repository."""
    place = repository.around(folder)
    if place is None:
        return ""
    line = _pattern(folder, place) or "/state/"  # a board that is the whole worktree
    for path in (_exclude_file(place), os.path.join(place.root, ".gitignore")):
        if any(_names(written, line) for written in _lines(path)):
            return "excluded"
    return "versioned"


def _exclude(folder: str) -> None:
    """Make git ignore a new board, if git's folder is writable; else the board is versioned."""
    place = repository.around(folder)
    line = _pattern(folder, place) if place else ""
    if place is None or not line or git_care(folder) == "excluded":
        return
    path = _exclude_file(place)
    if os.path.islink(path):
        return
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        _write(path, [*_lines(path), line])
    except (PermissionError, InputOutputError):
        return  # a sandbox protects git's folder


def _include(folder: str) -> None:
    """Remove the line of :func:`_exclude`."""
    place = repository.around(folder)
    if place is None:
        return
    path, line = _exclude_file(place), _pattern(folder, place)
    written = _lines(path)
    if line in written:
        _write(path, [kept for kept in written if kept != line])


def _write(path: str, lines: list[str]) -> None:
    disk.replace(path, "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape"))


def _exclude_file(place: repository.Repository) -> str:
    return os.path.join(place.common, "info", "exclude")


def _pattern(folder: str, place: repository.Repository) -> str:
    """The line that makes git ignore a board; empty if the board is the whole worktree."""
    inner = paths.inside(folder, place.root)
    return "" if inner in (None, ".") else f"/{inner.replace(os.sep, '/')}/"


def _names(written: str, line: str) -> bool:
    """Whether a line of a git file names the board: ``.orchestrator``, ``/.orchestrator/*`` ..."""
    text = written.strip()
    name = text.removeprefix("**/").strip("/")
    # A line with a slash at its beginning or inside names one place only.
    is_anchored = text.startswith("/") or "/" in name
    wanted = line.strip("/")
    name = name.removesuffix("/*")
    return bool(name) and name == (wanted if is_anchored else wanted.rpartition("/")[2])


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", newline=None, errors="surrogateescape") as file:
            return file.read().splitlines()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
