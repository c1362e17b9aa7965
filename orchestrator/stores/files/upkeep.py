"""Checks and repairs of the files of a board, for the doctor."""

import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from functools import partial

from orchestrator.core import paths, system
from orchestrator.core.errors import Damage, OrchestratorError, Refused
from orchestrator.core.events import Recorded
from orchestrator.core.git import Git
from orchestrator.core.printable import amount
from orchestrator.core.store import ArchivedPart, Cursor, LogCheck, Problem, Store
from orchestrator.stores.files import archiving, disk, layout, salvage
from orchestrator.stores.files.damage import OTHER_BOARD
from orchestrator.stores.files.lines import Position
from orchestrator.stores.files.reading import surplus
from orchestrator.stores.files.sealed_parts import FileLogCheck
from orchestrator.stores.files.segments import Segments


class FileUpkeep:
    """The checks of a board on disk; implements the Upkeep port."""

    checks: tuple[str, ...] = ("log", "leftovers", "modes", "git")

    def __init__(self, folder: str, store: Store) -> None:
        self._folder = folder
        self._state = os.path.join(folder, "state")
        self._log = os.path.join(self._state, "events.jsonl")
        self._store = store
        self._segments = Segments(self._state)
        self.snapshot = os.path.join(self._state, "state.json")

    def problems(self, end: Cursor) -> Iterator[Problem]:
        with disk.naming("examine", self._folder):
            yield from self._torn_tail(end)
            yield from self._surplus()
            yield from self._leftovers()
            yield from self._unused_copies()
            yield from self._modes()
            yield from self._git()

    def _torn_tail(self, end: Cursor) -> Iterator[Problem]:
        """Check that the log ends with a whole commit."""
        size = os.lstat(self._log).st_size if paths.exists(self._log) else 0
        surplus = size - self._end_in_log(end)
        if surplus > 0:
            yield Problem(
                check="log",
                message=f"{self._log} ends with {surplus} bytes of an interrupted write after event"
                f" {end.id}",
                repair=lambda: self._repair_tail(end),
                touches=(self._log,),
            )

    def _end_in_log(self, end: Cursor) -> int:
        """The byte of the active file behind the last whole commit; 0 if that is in a sealed segment."""
        if not isinstance(end, Position):
            return 0
        sealed = os.path.join(self._state, f"events-{end.segment}.jsonl")
        # While a segment is sealed, both names are those of one file.
        if not paths.exists(sealed):
            return end.end
        return end.end if paths.exists(self._log) and os.path.samefile(sealed, self._log) else 0

    def _repair_tail(self, end: Cursor) -> None:
        with self._store.locked("doctor", 10.0):
            for _ in self._store.read(end):
                pass

    def _surplus(self) -> Iterator[Problem]:
        """Check that no file has the name of a segment between two segments of the log."""
        try:
            numbers = surplus(self._segments)
        except Damage:
            return  # the check of the log reports it
        for number in numbers:
            yield Problem(
                check="log",
                level="damage",
                message=f"{self._segments.sealed_path(number)} is no part of the log: another file has event"
                f" {number}",
                hint="Move it to another folder: commands may read it in place of the other file.",
            )

    def _leftovers(self) -> Iterator[Problem]:
        """Check that no temporary file of an interrupted write is left."""
        for folder in (*self._folders(), os.path.join(self._state, "cold")):
            for name in disk.names_in(folder):
                if name.endswith(".new"):
                    path = os.path.join(folder, name)
                    yield Problem(
                        check="leftovers",
                        message=f"{path} was left by an interrupted write",
                        repair=lambda path=path: os.unlink(path),  # type: ignore[misc]
                        touches=(path,),
                    )

    def _unused_copies(self) -> Iterator[Problem]:
        """Check that no copy of a segment is left by an interrupted `events archive`."""
        try:
            copies = archiving.unused_copies(self._segments)
        except Damage:
            return  # the check of the log reports it
        for path in copies:
            yield Problem(
                check="leftovers",
                message=f"{path} is a copy of a segment that the log has in another place",
                hint="Remove it if no copy of this board needs it. Or repeat `events archive` with the same"
                " options: it uses the copy.",
            )

    def _modes(self) -> Iterator[Problem]:
        """Check that no other user may write the files of the board: the trust boundary is one user."""
        for path in self._entries() if system.HAS_MODES else ():
            mode = _mode(path)
            is_ours = stat.S_ISREG(mode) or stat.S_ISDIR(mode)
            if is_ours and mode & (stat.S_IWGRP | stat.S_IWOTH):
                safe = stat.S_IMODE(mode) & ~0o022
                yield Problem(
                    check="modes",
                    message=f"{path} can be written by others",
                    repair=lambda path=path, safe=safe: os.chmod(path, safe),  # type: ignore[misc]
                )

    def _git(self) -> Iterator[Problem]:
        """Check that git ignores the board, or that the board has the lines that protect its log."""
        if layout.git_care(self._folder) != "versioned":
            return
        for path, text in layout.git_files(self._folder).items():
            if os.path.islink(path):
                hint = "Put the file itself there."
                yield Problem(check="git", message=f"{path} is a symbolic link", hint=hint)
            elif missing := _missing_lines(path, text):
                yield Problem(
                    check="git",
                    message=f"{path} lacks {amount(len(missing), 'line')}",
                    repair=lambda path=path, missing=missing: _append_lines(path, missing),  # type: ignore[misc]
                    touches=(path,),
                )
        for place in self._archive_folders():
            yield Problem(
                check="git",
                message=f"Git keeps no events that are in {place}: a clone of this board cannot read them",
                hint="`events archive --undo` takes them back; `events archive --compress` makes them small.",
            )
        if _is_unmerged(self._state):
            yield Problem(
                check="git",
                message=f"git could not merge the log in {self._state}: it has the events of only one branch",
                hint=f"{OTHER_BOARD} Then `git add` ends the conflict.",
            )

    def _archive_folders(self) -> list[str]:
        try:
            return archiving.folders_elsewhere(self._segments)
        except Damage:
            return []  # the check of the log reports it

    def log_check(self, known: str) -> LogCheck:
        return FileLogCheck(self._segments, known)

    def archive(
        self, *, folder: str | None, compress: bool, keep: int, undo: bool
    ) -> list[Callable[[], ArchivedPart]]:
        if folder is not None and layout.git_care(self._folder) == "versioned":
            raise Refused(
                "Git keeps this board, and a clone would have no events from another folder",
                code="archive_versioned",
                hint="`events archive --compress` makes the files smaller where they are, so git keeps them.",
            )
        moves = archiving.moves(
            self._segments, folder=folder, compress=compress, keep=keep, undo=undo
        )
        return [partial(move.carry_out, self._locked) for move in moves]

    def _locked(self) -> AbstractContextManager[None]:
        return self._store.locked("events archive", 10.0)

    def back_up(self, paths: Iterable[str], now: str) -> str:
        folder = os.path.join(self._state, "backups", now.replace(":", "").replace(".", ""))
        with disk.naming("back up", self._folder):
            disk.make_folder(os.path.dirname(folder))
            disk.make_folder(folder)
            for path in paths:
                if stat.S_ISREG(_mode(path)) or stat.S_ISLNK(_mode(path)):
                    name = os.path.relpath(path, self._folder).replace(os.sep, "__")
                    shutil.copy2(path, os.path.join(folder, name), follow_symlinks=False)
        return folder

    def salvage(self, header: str, line_of: Callable[[Recorded], str | None], now: str) -> str:
        with disk.naming("salvage", self._state):
            return salvage.salvage(self._state, header, line_of, now)

    def _entries(self) -> Iterator[str]:
        """Everything that is the board: who may write a folder can put another file in place of one in it."""
        yield self._folder
        yield os.path.join(self._folder, "config.toml")
        for top in self._folders():
            for folder, _, names in os.walk(top):
                yield folder
                yield from (os.path.join(folder, name) for name in names)

    def _folders(self) -> list[str]:
        """The folders of the board's files; formulas too, because their commands are run."""
        return [os.path.join(self._folder, name) for name in ("state", "knowledge", "formulas")]


def _is_unmerged(folder: str) -> bool:
    """Whether a merge of git waits until a person decides which log counts."""
    try:
        return bool(Git(folder).text("ls-files", "--unmerged", "--", "."))
    except OrchestratorError:
        return False


def _mode(path: str) -> int:
    try:
        return os.lstat(path).st_mode
    except FileNotFoundError:
        return 0  # a temporary file that another process has removed


def _missing_lines(path: str, text: str) -> list[str]:
    present = (disk.read(path) or b"").decode("utf-8", "replace").splitlines()
    return [line for line in text.splitlines() if line not in present]


def _append_lines(path: str, lines: list[str]) -> None:
    with open(path, "a", encoding="utf-8", newline="\n") as file:
        file.write("".join(f"{line}\n" for line in lines))
