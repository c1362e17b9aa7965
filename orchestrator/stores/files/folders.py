"""The small files of a board that are not the log: presence, documents and cursors."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress

from orchestrator.core import names, system
from orchestrator.core.errors import InputOutputError
from orchestrator.core.store import LARGEST_RECORD
from orchestrator.stores.files import disk


class FilePresence:
    """``state/presence/<agent>``: the time of the file is the last activity of the agent."""

    def __init__(self, state: str, warn: Callable[[str], None]) -> None:
        self._state = state
        self._folder = f"{state}/presence"
        self._warn = warn

    def touch(self, agent: str) -> None:
        path = f"{self._folder}/{names.file_name(agent)}"
        if os.path.islink(self._state) or os.path.islink(self._folder):
            return  # never touch a file outside the board; the doctor reports the link
        try:
            try:
                system.touch(path)
            except FileNotFoundError:
                for folder in (self._state, self._folder):
                    with suppress(FileExistsError):
                        os.mkdir(folder)
                os.close(system.open_file(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        except OSError:
            pass  # a heartbeat is a hint; no command may fail because of it

    def knows(self, agent: str) -> bool:
        """See :class:`orchestrator.core.store.Presence`."""
        return os.path.exists(f"{self._folder}/{names.file_name(agent)}")

    def seen(self, *, needed: bool = False) -> dict[str, float]:
        times: dict[str, float] = {}
        try:
            for entry in _files(self._folder):
                with suppress(FileNotFoundError):
                    touched = entry.stat(follow_symlinks=False).st_mtime
                    times[names.from_file_name(entry.name)] = touched
            times |= dict.fromkeys(self.waiting(), time.time())
        except (OSError, InputOutputError) as error:
            message = f"The last activity of agents is not known: {error}"
            if needed:
                raise InputOutputError(message) from None
            self._warn(message)
        return times

    def waiting(self) -> set[str]:
        from orchestrator.stores.files import process_notes  # few commands wait or ask who does

        return process_notes.agents_of(f"{self._folder}/waiting")

    def waiting_as(self, agent: str) -> AbstractContextManager[None]:
        from orchestrator.stores.files import process_notes

        return process_notes.noted(f"{self._folder}/waiting", agent)

    def serving(self) -> dict[str, bool]:
        from orchestrator.stores.files import process_notes  # few commands ask who is served

        return process_notes.noted_agents(f"{self._folder}/serving")

    def serving_as(self, agent: str) -> AbstractContextManager[None]:
        from orchestrator.stores.files import process_notes

        process_notes.forget(f"{self._folder}/serving", agent)
        return process_notes.noted(f"{self._folder}/serving", agent)


class FileDocuments:
    """The files ``<folder>/<name>`` of a board."""

    def __init__(self, board: str) -> None:
        self._board = board

    def where(self, path: str) -> str:
        return f"{self._board}/{path}"

    def names(self, folder: str) -> list[str]:
        return sorted(entry.name for entry in _files(self._checked(folder)))

    def folders(self, folder: str) -> list[str]:
        entries = _entries(self._checked(folder))
        return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))

    def read(self, path: str) -> bytes | None:
        return disk.read(self._path(path), most=LARGEST_RECORD)

    def write(self, path: str, data: bytes) -> None:
        folder, _, _ = path.rpartition("/")
        above, _, _ = folder.rpartition("/")
        if above:
            disk.make_folder(self._checked(above))
        disk.replace(self._path(path), data)

    def delete(self, path: str) -> None:
        path = self._path(path)
        with disk.naming("delete", path):
            try:
                os.unlink(path)
            except FileNotFoundError:
                return
            system.sync_folder(os.path.dirname(path))

    def _path(self, document: str) -> str:
        folder, _, name = document.rpartition("/")
        return f"{self._checked(folder)}/{name}"

    def _checked(self, folder: str) -> str:
        """The path of a folder; refuse a symbolic link in it or above it."""
        above, _, _ = folder.rpartition("/")
        if above:
            self._checked(above)
        path = self.where(folder)
        if os.path.islink(path):
            raise disk.is_link(path)
        return path


class FileCursors:
    """``state/cursors/<reader>``."""

    def __init__(self, state: str) -> None:
        self._state = state

    def read(self, reader: str) -> str:
        return (disk.read(self._path(reader)) or b"").decode("utf-8", "replace")

    def write(self, reader: str, text: str) -> None:
        disk.make_folder(self._state)
        disk.replace(self._path(reader), text.encode())

    def _path(self, reader: str) -> str:
        return f"{self._state}/cursors/{names.file_name(reader)}"


def _files(folder: str) -> Iterator[os.DirEntry[str]]:
    """The visible regular files of a folder; none if it does not exist."""
    return (entry for entry in _entries(folder) if entry.is_file(follow_symlinks=False))


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    """The visible entries of a folder; none if it does not exist."""
    with disk.naming("list", folder):
        try:
            entries = os.scandir(folder)
        except FileNotFoundError:
            return
        with entries:
            for entry in entries:
                if not entry.name.startswith("."):
                    yield entry
