"""The git repository of a folder, read from git's files: git is never run.

``.git`` is git's folder, or a file that names this folder. Git's folder of a linked worktree names the
common folder in its file ``commondir``; a submodule has no such file, because it is a separate repository.
"""

import os
from collections.abc import Mapping

import msgspec

from orchestrator.core import files, paths
from orchestrator.core.errors import NotFound, OrchestratorError

_MOST = 65536
"""How many bytes of a git file are read."""


class Repository(msgspec.Struct, frozen=True):
    """A git repository, seen from one of its worktrees.

    Attributes:
        root: The top folder of this worktree.
        git: Git's folder of this worktree.
        common: Git's folder, which all worktrees share.
        main: The top folder of the main worktree; for a bare repository, which has none, the folder that
            contains it.
        is_linked: This is not the main worktree.
    """

    root: str
    git: str
    common: str
    main: str
    is_linked: bool


def top_of(folder: str) -> str:
    """The folder of the project: the top of the worktree, else the folder itself."""
    place = around(folder)
    return place.root if place else os.path.abspath(folder)


def around(folder: str, variables: Mapping[str, str] | None = None) -> Repository | None:
    """The repository that contains a folder; None if there is none.

    Args:
        folder: An absolute path.
        variables: ``GIT_DIR``, ``GIT_WORK_TREE`` and ``GIT_COMMON_DIR`` of the environment, which apply to
            the working folder; None for another folder.
    """
    named = {name: os.path.join(folder, path) for name, path in (variables or {}).items() if path}
    git = named.get("GIT_DIR")
    if git is None:
        root, git = _discovered(folder)
    else:
        root = named.get("GIT_WORK_TREE") or _worktree_of(git, folder)
    if not git or not paths.is_folder(git):
        return None
    git = os.path.realpath(git)
    common = named.get("GIT_COMMON_DIR") or _line(os.path.join(git, "commondir"))
    if common:
        common = os.path.join(git, common)
        if not paths.is_folder(common):
            return None
        common = os.path.realpath(common)
        return Repository(root, git, common, _main(common), is_linked=common != git)
    main = _main(git) if "GIT_DIR" in named else root
    return Repository(root, git, git, main, is_linked=paths.inside(folder, main) is None)


def here(folder: str) -> Repository | None:
    """The repository that git would use in a folder, given the variables of the environment.

    Variables that lead to no repository are ignored.
    """
    names = ("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR")
    variables = {name: value for name in names if (value := os.environ.get(name))}
    place = around(folder, variables)
    return around(folder) if place is None and variables else place


def nearest(folder: str | None) -> Repository | None:
    """The repository that contains a folder, such as that of a board; else the one of the working folder."""
    return (around(folder) if folder else None) or here(os.getcwd())


def broken_tree(folder: str) -> str | None:
    """The top of the worktree that contains a folder, if its ``.git`` leads to no repository; else None.

    The main worktree was moved or deleted, or the file is damaged.
    """
    root, _ = _discovered(folder)
    has_git = paths.exists(os.path.join(root, ".git"))
    return root if has_git and around(folder) is None else None


def bare(folder: str) -> str | None:
    """The bare repository that contains a folder, None if there is none."""
    for top in paths.upwards(folder):
        if all(paths.exists(os.path.join(top, part)) for part in ("HEAD", "objects", "refs")):
            return top
    return None


def within(path: str, near: str | None) -> str:
    """Make a path relative to the top of its worktree, if that belongs to the repository of ``near``.

    Args:
        path: The path.
        near: A folder of the repository; if it is in none, the repository of the working folder counts.
    """
    try:
        repository = around(path)
        expected = nearest(near)
    except OrchestratorError:  # a git file that cannot be read
        return path
    if repository is None or expected is None or repository.common != expected.common:
        return path
    return paths.inside(path.rstrip("/") or path, repository.root) or path


def _discovered(folder: str) -> tuple[str, str]:
    """The top of the worktree that contains a folder, and git's folder, which is empty if there is none."""
    for above in paths.upwards(folder):
        git = os.path.join(above, ".git")
        if paths.exists(git):
            if paths.is_folder(git):
                return above, git
            try:
                target = _line(git).removeprefix("gitdir: ")
            except OrchestratorError:  # a fifo, a loop of links, or what this user may not read
                target = ""
            return above, os.path.join(above, target) if target else ""
    return folder, ""


def _worktree_of(git: str, folder: str) -> str:
    """The worktree for a given ``GIT_DIR``: the tree that it names, if that contains the folder."""
    back = _line(os.path.join(git, "gitdir"))
    named = os.path.dirname(back) if back else ""
    return named if named and paths.inside(folder, named) is not None else folder


def _main(common: str) -> str:
    """The main worktree for git's common folder: the configured tree, else the parent folder."""
    named = _configured_worktree(common)
    return os.path.realpath(os.path.join(common, named)) if named else os.path.dirname(common)


def _configured_worktree(common: str) -> str:
    """The value of ``core.worktree``, which submodules and separate git folders have."""
    value = ""
    for name in ("config", "config.worktree"):
        section = ""
        for line in _text(os.path.join(common, name)).splitlines():
            words = line.strip()
            if words.startswith("["):
                section = words.strip("[]").strip().lower()
            key, _, text = words.partition("=")
            if section == "core" and key.strip().lower() == "worktree":
                value = text.strip().strip('"').replace("\0", "")
    return value


def _line(path: str) -> str:
    """The content of a git file without the line end after it; empty if the file does not exist.

    Paths may contain line ends.

    Raises:
        OrchestratorError: It cannot be read, or is not a regular file.
    """
    return _text(path).rstrip("\r\n")


def _text(path: str) -> str:
    try:
        with files.open_file(path, follow=True) as file:
            return file.read(_MOST).decode("utf-8", "surrogateescape")
    except NotFound:
        return ""
