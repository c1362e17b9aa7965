"""Files that change under watched folders: ``file.create``, ``modify``, ``delete`` and ``rename``.

``watchdog`` wakes the watcher; the changes are the difference of two lists of the files. So no change of
a burst is lost when the queue of the system overflows, and the save of an editor is one event.
"""

import os
import stat
import threading
import time
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Literal

import msgspec

from orchestrator.api import Orchestrator
from orchestrator.core import system
from orchestrator.core.errors import BadInput, OrchestratorError
from orchestrator.core.paths import inside
from orchestrator.supervisor.schedule_moments import missing_extra

EXCLUDED = (".git", "node_modules", "__pycache__", ".DS_Store", "*.pid", "*.log")
"""What is not watched, in the syntax of .gitignore; a pattern of the user includes it again (``!x.log``)."""

SETTLE = 0.1
"""Seconds without a change until a burst counts as over."""

_LONGEST_BURST = 2.0  # seconds after which changes are delivered although more come
_LOOK = 2.0  # seconds between two looks whether the folders are still there
_REST = 9.0  # how much longer than a listing the pause after it is at least

Identity = tuple[int, int]
"""What a file is, whatever its name: device and inode."""


class FileState(msgspec.Struct, frozen=True):
    """What shows that a file has changed."""

    identity: Identity
    size: int
    written: int


Listing = dict[str, FileState]
"""The files of watched folders by path."""


class FileChange(msgspec.Struct, frozen=True):
    """A change of a file; ``old_path`` of a rename."""

    type: Literal["file.create", "file.modify", "file.delete", "file.rename"]
    path: str
    old_path: str = ""


class Exclusion:
    """What is not watched.

    Args:
        project: The folder that patterns and paths are relative to.
        patterns: In the syntax of .gitignore; a later one goes before an earlier one.
        own: Folders of ours, which no pattern includes.

    Raises:
        BadInput: A pattern is wrong.
        NotFound: The extra ``runner`` is not installed.
    """

    def __init__(self, project: str, patterns: Iterable[str], own: Iterable[str]) -> None:
        try:
            from pathspec import GitIgnoreSpec
        except ModuleNotFoundError:
            raise missing_extra() from None
        self._project = project
        self._own = [os.path.realpath(path) for path in own]
        try:
            self._spec = GitIgnoreSpec.from_lines([*EXCLUDED, *patterns])
        except ValueError as error:
            raise BadInput(f"A pattern of what not to watch is wrong: {error}") from None

    def __call__(self, path: str, *, is_folder: bool) -> bool:
        """Whether a path is not watched."""
        if any(inside(path, own) for own in self._own):
            return True
        if not inside(path, self._project) or path == self._project:
            return False
        name = os.path.relpath(path, self._project).replace(os.sep, "/")
        return self._spec.match_file(f"{name}/" if is_folder else name)

    def above(self, path: str) -> bool:
        """Whether a folder above a path, or the path itself as a file, is not watched."""
        folder = os.path.dirname(path)
        while inside(folder, self._project) and folder != self._project:
            if self(folder, is_folder=True):
                return True
            folder = os.path.dirname(folder)
        return self(path, is_folder=False)


def own_folders(board: str) -> list[str]:
    """The folders of a board, which the toolkit itself writes."""
    if os.path.basename(board) == ".orchestrator":
        return [board]
    return [os.path.join(board, "state"), os.path.join(board, "knowledge")]


def list_files(folders: Iterable[str], excluded: Exclusion, known: Listing) -> Listing:
    """List the files of folders; symbolic links are listed and not followed.

    Args:
        folders: The folders; one that is not there has no files.
        excluded: What to leave out.
        known: The last listing: what is in a folder that cannot be read now stays as it was.
    """
    files: Listing = {}
    waiting = [*folders]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    is_folder = entry.is_dir(follow_symlinks=False)
                    if excluded(entry.path, is_folder=is_folder):
                        continue
                    if is_folder:
                        waiting.append(entry.path)
                        continue
                    with suppress(FileNotFoundError):
                        status = entry.stat(follow_symlinks=False)
                        if stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):
                            identity = (status.st_dev, status.st_ino)
                            files[entry.path] = FileState(
                                identity, status.st_size, status.st_mtime_ns
                            )
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            begin = os.path.join(folder, "")
            files |= {path: state for path, state in known.items() if path.startswith(begin)}
    return files


def changes(old: Listing, new: Listing) -> list[FileChange]:
    """What has happened between two listings.

    A file that is gone while the same file, not written since, has another name was renamed. A path that is
    another file now was modified: so editors save.
    """
    gone = {state: path for path, state in old.items() if path not in new}
    happened: list[FileChange] = []
    renamed: set[str] = set()
    for path, state in sorted(new.items()):
        before = old.get(path)
        if before is not None:
            if before != state:
                happened.append(FileChange("file.modify", path))
        elif (old_path := gone.pop(state, None)) is not None:
            renamed.add(old_path)
            happened.append(FileChange("file.rename", path, old_path))
        else:
            happened.append(FileChange("file.create", path))
    deleted = [path for path in old if path not in new and path not in renamed]
    return [*(FileChange("file.delete", path) for path in sorted(deleted)), *happened]


def push_changes(orc: Orchestrator, project: str, changed: Iterable[FileChange]) -> None:
    """Push an event for each change, all in one commit; paths are relative to the project."""
    with orc.transaction():
        for change in changed:
            payload = {"path": _shown(change.path, project)}
            if change.old_path:
                payload["old_path"] = _shown(change.old_path, project)
            orc.events.push(change.type, payload)


def _shown(path: str, project: str) -> str:
    """A path in a payload; bytes that are no UTF-8 are escaped."""
    relative = os.path.relpath(path, project) if inside(path, project) else path
    return os.fsencode(relative.replace(os.sep, "/")).decode("utf-8", "backslashreplace")


class FileWatcher:
    """Watches folders in a thread of its own, from :meth:`start` on.

    Args:
        folders: The folders; one that goes away is watched again when it is back.
        excluded: What is not watched.
        deliver: Gets the changes of a burst, in the thread of the watcher. If it raises an error of ours,
            they come again with the next ones.
        poll: Seconds between two looks, for folders of which the system reports no changes, such as those of
            a network; 0: as the system reports.
    """

    def __init__(
        self,
        folders: Iterable[str],
        excluded: Exclusion,
        deliver: Callable[[list[FileChange]], None],
        *,
        poll: float = 0.0,
    ) -> None:
        self._folders = [os.path.realpath(folder) for folder in folders]
        self._excluded = excluded
        self._deliver = deliver
        self._poll = poll
        self._known: Listing = {}
        self._watches: dict[str, tuple[Identity, Any]] = {}
        self._observer: Any = None
        self._wake = threading.Condition()
        self._touched = 0
        # Watched folders that were deleted; a new folder may have their inode.
        self._lost: set[str] = set()
        self._is_stopped = False
        self._thread = threading.Thread(target=self._run, name="file-watcher", daemon=True)

    def start(self) -> None:
        """Begin: what changes from now on is delivered.

        Raises:
            NotFound: The extra ``runner`` is not installed.
        """
        try:
            from watchdog.observers import Observer
            from watchdog.observers.polling import PollingObserver
        except ModuleNotFoundError:
            raise missing_extra() from None
        # watchdog warns if it finds a new folder both in its walk and by an event; no change is lost.
        warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning, r"watchdog\.")
        if not self._poll and self._exceeds_system():
            self._poll = 1.0
        self._observer = PollingObserver(timeout=self._poll) if self._poll else Observer()
        self._observer.start()
        self._watch_folders()
        self._known = list_files(self._folders, self._excluded, {})
        self._thread.start()

    def stop(self) -> None:
        """End; a burst that is not over is not delivered."""
        with self._wake:
            self._is_stopped = True
            self._wake.notify()
        self._thread.join()
        self._observer.stop()
        self._observer.join()

    def dispatch(self, event: Any) -> None:
        """Wake the watcher if an event of ``watchdog`` is about what is watched; called in its threads."""
        paths = [os.fsdecode(path) for path in (event.src_path, event.dest_path) if path]
        if event.event_type == "deleted" and paths[0] in self._folders:
            with self._wake:
                self._lost.add(paths[0])
        if not all(self._excluded.above(path) for path in paths):
            self._touch()

    def _touch(self) -> None:
        with self._wake:
            self._touched += 1
            self._wake.notify()

    def _run(self) -> None:
        seen = 0
        while True:
            with self._wake:
                if self._touched == seen and not self._is_stopped:
                    self._wake.wait(_LOOK)
                if self._is_stopped:
                    return
            has_moved = self._watch_folders()
            if self._touched == seen and not has_moved:
                continue
            seen = self._settle()
            begin = time.monotonic()
            new = list_files(self._folders, self._excluded, self._known)
            happened = changes(self._known, new)
            pause = _REST * (time.monotonic() - begin)
            try:
                if happened:
                    self._deliver(happened)
                self._known = new
            except OrchestratorError:
                seen, pause = -1, _LOOK
            self._rest(pause)

    def _settle(self) -> int:
        """Wait until a burst is over; return how often the watcher was woken until then."""
        end = time.monotonic() + _LONGEST_BURST
        with self._wake:
            while True:
                seen = self._touched
                self._wake.wait_for(lambda: self._is_stopped, SETTLE)
                if self._touched == seen or self._is_stopped or time.monotonic() > end:
                    return self._touched

    def _rest(self, seconds: float) -> None:
        with self._wake:
            self._wake.wait_for(lambda: self._is_stopped, seconds)

    def _watch_folders(self) -> bool:
        """Watch the folders that are there; return whether that has changed."""
        has_changed = False
        with self._wake:
            lost, self._lost = self._lost, set()
        for folder in self._folders:
            identity = _identity_of(folder)
            known = self._watches.get(folder)
            if folder not in lost and (known[0] if known else None) == identity:
                continue
            has_changed = True
            if known is not None:
                del self._watches[folder]
                with suppress(KeyError, OSError):
                    self._observer.unschedule(known[1])
            if identity is not None:
                with suppress(OSError):
                    watch = self._observer.schedule(
                        self, folder, recursive=True, event_filter=_filter()
                    )
                    self._watches[folder] = (identity, watch)
        return has_changed

    def _exceeds_system(self) -> bool:
        """Whether there are more folders than inotify watches, which it would not report."""
        most = system.file_watches()
        if most is None:
            return False
        count = 0
        for folder in self._folders:
            for _ in os.walk(folder):
                count += 1
                if count > most // 2:
                    return True
        return False


def _identity_of(folder: str) -> Identity | None:
    try:
        status = os.stat(folder)
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISDIR(status.st_mode) else None


def _filter() -> list[Any]:
    """The events of ``watchdog`` that show a change; those of opened files are very many."""
    from watchdog import events

    return [
        events.FileCreatedEvent,
        events.FileModifiedEvent,
        events.FileMovedEvent,
        events.FileDeletedEvent,
        events.FileClosedEvent,
        events.DirCreatedEvent,
        events.DirMovedEvent,
        events.DirDeletedEvent,
    ]
