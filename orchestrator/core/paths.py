"""Queries about paths: what exists, and which folders are above."""

import errno
import os
import stat
from collections.abc import Callable, Iterator

from orchestrator.core.errors import InputOutputError

_ABSENT = (FileNotFoundError, NotADirectoryError)


_NOWHERE = (errno.ELOOP, errno.ENAMETOOLONG)
"""What systems say of links in a circle and of names that no file can have."""


def upwards(folder: str) -> Iterator[str]:
    """The folder and each one above it, as absolute paths."""
    folder = os.path.abspath(folder)
    yield folder
    while (above := os.path.dirname(folder)) != folder:
        yield (folder := above)


def inside(path: str, folder: str) -> str | None:
    """The path relative to a folder: ``.`` for the folder itself; None if the path is not inside."""
    if path == folder:
        return "."
    prefix = folder if folder.endswith(os.sep) else folder + os.sep
    return path[len(prefix) :] if path.startswith(prefix) else None


def exists(path: str) -> bool:
    """Whether the path exists; False if this user may not see it."""
    return _mode(os.lstat, path, (*_ABSENT, PermissionError)) is not None


def is_folder(path: str) -> bool:
    """Whether the folder exists."""
    return stat.S_ISDIR(_mode(os.stat, path, _ABSENT) or 0)


def _mode(
    read: Callable[[str], os.stat_result], path: str, absent: tuple[type[OSError], ...]
) -> int | None:
    """The mode of a path. An error of the disk must not make a search continue in a folder above."""
    try:
        return read(path).st_mode
    except absent:
        return None
    except ValueError:  # a NUL is in no path
        return None
    except OSError as error:
        if error.errno in _NOWHERE:
            return None
        raise InputOutputError(
            f"{path} cannot be read: {error.strerror}", errno=error.errno
        ) from None
