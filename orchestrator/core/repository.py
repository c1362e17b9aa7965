"""The git repository around a folder, read from the files of git: git is never run.

``.git`` is the folder of git, or a file that names it. The folder of a linked work tree names the common one
in its file ``commondir``; that of a submodule has no such file: a submodule is a repository of its own.
"""

import os
from collections.abc import Mapping
from contextlib import suppress

import msgspec

from orchestrator.core import paths

_MOST = 65536
"""Bytes that are read of a file of git."""


class Repository(msgspec.Struct, frozen=True):
    """A git repository, seen from one of its work trees.

    Attributes:
        root: The top folder of this work tree.
        common: The folder of git that all work trees share.
        main: The top folder of the main work tree; of a bare repository, which has none, the folder that
            contains it.
        is_linked: This is another work tree than the main one.
    """

    root: str
    common: str
    main: str
    is_linked: bool


def around(folder: str, variables: Mapping[str, str] | None = None) -> Repository | None:
    """The repository that a folder is in; None if it is in none.

    Args:
        folder: An absolute path.
        variables: ``GIT_DIR``, ``GIT_WORK_TREE`` and ``GIT_COMMON_DIR`` of the environment, which git obeys
            in the working folder; None for another folder.
    """
    named = {name: os.path.join(folder, path) for name, path in (variables or {}).items() if path}
    git = named.get("GIT_DIR")
    if git is None:
        root, git = _discovered(folder)
    else:
        root = named.get("GIT_WORK_TREE") or _work_tree_of(git, folder)
    if not git or not paths.is_folder(git):
        return None
    git = os.path.realpath(git)
    common = named.get("GIT_COMMON_DIR") or _line(os.path.join(git, "commondir"))
    if common:
        common = os.path.realpath(os.path.join(git, common))
        return Repository(root, common, _main(common), is_linked=common != git)
    main = _main(git) if "GIT_DIR" in named else root
    return Repository(root, git, main, is_linked=paths.inside(folder, main) is None)


def here(folder: str) -> Repository | None:
    """The repository that git would work on in a folder, by the variables of the environment."""
    names = ("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR")
    return around(folder, {name: os.environ.get(name, "") for name in names})


def within(path: str, near: str | None) -> str:
    """An absolute path in a work tree of the repository as a path from the top of that tree; else the path.

    Args:
        path: The path.
        near: A folder of the repository; where that is in none, the repository is that of the working folder.
    """
    own = around(path)
    place = (around(near) if near else None) or here(os.getcwd())
    if own is None or place is None or own.common != place.common:
        return path
    return paths.inside(path.rstrip("/") or path, own.root) or path


def _discovered(folder: str) -> tuple[str, str]:
    """The top of the work tree around a folder, and its folder of git; empty if there is none."""
    for above in paths.upwards(folder):
        git = os.path.join(above, ".git")
        if paths.exists(git):
            if paths.is_folder(git):
                return above, git
            target = _line(git).removeprefix("gitdir:").strip()
            return above, os.path.join(above, target) if target else ""
    return folder, ""


def _work_tree_of(git: str, folder: str) -> str:
    """The work tree of a folder of git that is named: the one it names, if the folder is in it."""
    back = _line(os.path.join(git, "gitdir"))
    named = os.path.dirname(back) if back else ""
    return named if named and paths.inside(folder, named) is not None else folder


def _main(common: str) -> str:
    """The main work tree by the common folder of git: the one that is configured, else what contains it."""
    named = _configured_work_tree(common)
    return os.path.realpath(os.path.join(common, named)) if named else os.path.dirname(common)


def _configured_work_tree(common: str) -> str:
    """The value of ``core.worktree``; submodules and folders of git elsewhere have it."""
    value = ""
    for name in ("config", "config.worktree"):
        section = ""
        for line in _text(os.path.join(common, name)).splitlines():
            words = line.strip()
            if words.startswith("["):
                section = words.strip("[]").strip().lower()
            key, _, text = words.partition("=")
            if section == "core" and key.strip().lower() == "worktree":
                value = text.strip().strip('"')
    return value


def _line(path: str) -> str:
    """The first line of a file of git; empty if there is no such file."""
    return _text(path).partition("\n")[0].strip()


def _text(path: str) -> str:
    with suppress(OSError), open(path, "rb") as file:
        return file.read(_MOST).decode("utf-8", "surrogateescape")
    return ""
