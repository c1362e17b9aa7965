"""Emulates another system on Linux: the package gets modules without the names that are missing there.

Only the package gets them; the standard library, dependencies and tests keep the real modules. This shows
that the package uses nothing that is missing there; it does not test the other system itself. Below a folder
named ``case-insensitive``, names that differ only in case are one file.
"""

import builtins
import errno
import os
import stat
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

PLATFORMS = {"darwin": "darwin", "windows": "win32"}

LACKING = {
    "darwin": {"fdatasync", "pidfd_open", "posix_fallocate", "waitid"},
    "windows": {
        *(
            "O_CLOEXEC",
            "O_DIRECTORY",
            "O_NOFOLLOW",
            "O_NONBLOCK",
            "chown",
            "fchmod",
            "fdatasync",
            "fork",
        ),
        *(
            "getpgid",
            "getuid",
            "geteuid",
            "killpg",
            "lchown",
            "major",
            "minor",
            "mkfifo",
            "pidfd_open",
        ),
        *(
            "posix_fallocate",
            "pread",
            "preadv",
            "pwrite",
            "pwritev",
            "set_blocking",
            "setpgid",
            "setsid",
        ),
        *("statvfs", "sync", "uname", "wait", "waitid"),
    },
}
"""Names of ``os`` that are not there."""

_BINARY = 1 << 30
_FULL_SYNC = 51
_BUSY = 5  # one of so many calls that replace a file finds it in use


class Substitute:
    """A module of another system: some names are missing, some differ, the rest is unchanged."""

    def __init__(self, real: Any, lacking: set[str], different: dict[str, Any]) -> None:
        self._real = real
        self._lacking = lacking
        self._different = different

    def __getattr__(self, name: str) -> Any:
        if name in self._lacking:
            raise AttributeError(f"{self._real.__name__} has no {name} on this system")
        return self._different[name] if name in self._different else getattr(self._real, name)


def emulate(system: str) -> None:
    """Emulate another system for the package, before its import."""
    import fcntl

    substitutes: dict[str, Any] = {}
    if system == "windows":
        import ctypes
        import subprocess

        different = _without_case() | _files_of_windows(fcntl)
        substitutes["os"] = Substitute(os, LACKING[system], different)
        substitutes["fcntl"] = substitutes["select"] = None
        flag = {"CREATE_NEW_PROCESS_GROUP": 0}
        substitutes["subprocess"] = Substitute(subprocess, set(), flag)
        kernel = SimpleNamespace(GetDriveTypeW=lambda root: 3)
        windll = SimpleNamespace(kernel32=kernel)
        substitutes["ctypes"] = Substitute(ctypes, set(), {"windll": windll})
    else:
        substitutes["os"] = Substitute(os, LACKING[system], _without_case())
        different = {"F_FULLFSYNC": _FULL_SYNC, "fcntl": _control(fcntl.fcntl)}
        substitutes["fcntl"] = Substitute(fcntl, set(), different)
    _substitute(substitutes)
    real, sys.platform = sys.platform, PLATFORMS[system]
    try:
        import orchestrator.core.system  # noqa: F401
    finally:
        sys.platform = real


def _is_of_the_package(variables: Any) -> bool:
    return str((variables or {}).get("__name__")).startswith("orchestrator.")


def _substitute(modules: dict[str, Any]) -> None:
    """Give the package other modules, and no ``/proc``."""
    real_import, real_open = builtins.__import__, builtins.open

    def import_(name: str, globals: Any = None, *args: Any, **options: Any) -> Any:
        if name in modules and _is_of_the_package(globals):
            if modules[name] is None:
                raise ModuleNotFoundError(f"No module named {name!r} on this system", name=name)
            return modules[name]
        return real_import(name, globals, *args, **options)

    def open_(file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
        if _is_of_the_package(sys._getframe(1).f_globals):
            if str(file).startswith("/proc"):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), file)
            assert "b" in mode or "newline" in options, f"{file}: line ends would be changed"
        return real_open(file, mode, *args, **options)

    builtins.__import__ = import_
    builtins.open = open_


def _control(real: Callable[..., Any]) -> Callable[..., Any]:
    def control(fd: Any, command: int, argument: Any = 0) -> Any:
        return os.fsync(fd) if command == _FULL_SYNC else real(fd, command, argument)

    return control


def _folded(path: Any) -> Any:
    above, mark, below = (
        path.partition("/case-insensitive/") if isinstance(path, str) else (path, "", "")
    )
    return above + mark + below.lower() if mark else path


def _without_case() -> dict[str, Any]:
    """Wrap calls so that they fold the case of paths first, even if a test has replaced the call."""

    def folding(module: Any, name: str) -> Callable[..., Any]:
        def call(*paths: Any, **options: Any) -> Any:
            return getattr(module, name)(*map(_folded, paths), **options)

        return call

    names = (
        "link",
        "listdir",
        "lstat",
        "mkdir",
        "open",
        "replace",
        "scandir",
        "stat",
        "unlink",
        "utime",
    )
    path_names = ("exists", "isdir", "isfile", "islink", "lexists")
    path = Substitute(os.path, set(), {name: folding(os.path, name) for name in path_names})
    return {name: folding(os, name) for name in names} | {"path": path}


def _files_of_windows(fcntl: Any) -> dict[str, Any]:
    """Wrap calls of ``os`` with the different behaviour of Windows, even if a test has replaced them."""
    replaced = 0

    def open_(path: Any, flags: int, mode: int = 0o777) -> int:
        assert flags & _BINARY, f"{path}: line ends would be changed"
        path = _folded(path)
        try:
            is_folder = stat.S_ISDIR(os.stat(path).st_mode)
        except OSError:
            is_folder = False
        if is_folder:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return os.open(path, flags & ~_BINARY, mode)

    def fsync(fd: int) -> None:
        if not fcntl.fcntl(fd, fcntl.F_GETFL) & (os.O_WRONLY | os.O_RDWR):
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        os.fsync(fd)

    def replace(source: Any, target: Any) -> None:
        nonlocal replaced
        replaced += 1
        if replaced % _BUSY == 0:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), target)
        os.replace(_folded(source), _folded(target))

    # Neither takes `follow_symlinks` there.
    def utime(path: Any, times: Any = None) -> None:
        os.utime(_folded(path), times)

    def link(source: Any, target: Any) -> None:
        os.link(_folded(source), _folded(target))

    calls = {"open": open_, "fsync": fsync, "replace": replace, "utime": utime, "link": link}
    return {"O_BINARY": _BINARY, **calls}
