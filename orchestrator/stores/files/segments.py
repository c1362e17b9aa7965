"""The files of the log: ``events.jsonl``, and the sealed ``events-<first id>.jsonl``.

After the first commit, the active file is never missing or empty: a file is created, and replaced by the next
one, with a rename that is the commit.
"""

import errno
import os

from orchestrator.core import paths, system
from orchestrator.core.errors import Damage
from orchestrator.stores.files import damage, disk
from orchestrator.stores.files.archived import open_sealed
from orchestrator.stores.files.lines import Position
from orchestrator.stores.files.segment import FileStatus, Segment, changed, unknown

_NO_HARD_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class Segments:
    """The log's files in the folder ``state/``."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.path = f"{folder}/events.jsonl"
        self._open: Segment | None = None

    def active(self) -> Segment | None:
        """The active file; None if it does not exist or is empty."""
        with disk.naming("read", self.path):
            try:
                status = os.lstat(self.path)
            except FileNotFoundError:
                return None
        if status.st_size == 0:
            return None
        segment = self._open
        if segment is None or segment.identity != (status.st_dev, status.st_ino):
            # While it is open, its inode number is not reused.
            segment = self._open = Segment.open(self.path)
        return segment

    def mark(self) -> object:
        """What changes with each change of the log: a new object if there is no file to look at."""
        try:
            return FileStatus.of(os.lstat(self.path))
        except OSError:
            return object()

    def find(self, number: int) -> tuple[Segment, bool] | None:
        """The segment that begins with an event, and whether it is the active one."""
        active = self.active()
        if active is not None and active.number == number:
            return active, True
        sealed = open_sealed(self.sealed_path(number), number)
        if sealed is not None:
            return sealed, False
        if active is not None and number == 1 and not self._sealed_numbers():
            # The only file begins with another line: reading it raises an error that names the line.
            return active, True
        if active is not None and active.number == 0:
            raise damage.no_event(active)
        return None

    def needed(self, number: int) -> tuple[Segment, bool]:
        """The segment that begins with an event, as :meth:`find` returns it.

        Raises:
            Damage: It is missing.
        """
        located = self.find(number)
        if located is None:
            raise self.missing(number)
        return located

    def numbers(self) -> list[int]:
        """The numbers of the segments, in order; empty for a board without events.

        Raises:
            Damage: The active file is missing although sealed files or a snapshot exist, or it does not begin
                with an event.
        """
        active = self.active()
        numbers = self._sealed_numbers()
        if active is None:
            if numbers:
                raise damage.missing(self.path, "sealed segments of the log exist")
            if paths.exists(f"{self.folder}/state.json"):
                raise damage.missing(self.path, "state.json shows that there were events")
            return []
        if active.number == 0 and numbers:
            raise damage.no_event(active)
        first = active.number or 1
        # After a crash while sealing, the active file also has its sealed name.
        return [number for number in numbers if number != first] + [first]

    def size(self) -> int:
        """The bytes of the log as far as it is there, also if it is damaged."""
        sealed = [
            open_sealed(self.sealed_path(number), number) for number in self._sealed_numbers()
        ]
        return sum(segment.size() for segment in (*sealed, self.active()) if segment is not None)

    def missing(self, number: int) -> Exception:
        """The error for a missing segment."""
        return damage.missing(self.sealed_path(number), f"event {number} is not in the log")

    def append(self, lines: bytes, after: Position, limit: int) -> tuple[int, int]:
        """See :meth:`orchestrator.core.store.Store.append`; a segment grows to ``limit`` bytes."""
        active = self.active()
        if after.id == 0:
            if active is not None or self.numbers():
                raise changed(self.path)
            self._replace_active(lines)
            return 1, 0
        if active is None or active.number != after.segment or active.size() != after.end:
            raise changed(self.path)
        if after.end + len(lines) > limit and self._seal(active):
            self._replace_active(lines)
            return after.id + 1, 0
        active.append(lines, after.end)
        return after.segment, after.end

    def _seal(self, active: Segment) -> bool:
        """Give the active file its sealed name; False if the file system has no hard links."""
        # Each writer syncs its commit, but a killed writer may have left whole lines that are only in
        # memory, and no process will sync this file again.
        active.sync()
        sealed = self.sealed_path(active.number)
        with disk.naming("seal", sealed):
            try:
                system.link(self.path, sealed)
            except FileExistsError:
                self._check_leftover(active, sealed)
            except OSError as error:
                if error.errno in _NO_HARD_LINKS:
                    return False
                raise
            system.sync_folder(self.folder)
        return True

    def _check_leftover(self, active: Segment, sealed: str) -> None:
        other = Segment.open(sealed)
        if other is None or other.identity != active.identity:
            raise Damage(
                f"{sealed} exists already and is not the same file as {self.path}",
                hint="`orc doctor` shows both.",
                path=sealed,
            )

    def _replace_active(self, lines: bytes) -> None:
        new = f"{self.path}.new"
        with disk.naming("write", new):
            try:
                disk.write_new(new, lines)
                system.replace(new, self.path)
            except BaseException:
                disk.remove(new)
                raise
        try:
            system.sync_folder(self.folder)
        except OSError as error:
            raise unknown(self.path, str(error)) from error

    def sealed_path(self, number: int) -> str:
        """The path of a sealed segment, or of the reference to it."""
        return f"{self.folder}/events-{number}.jsonl"

    def _sealed_numbers(self) -> list[int]:
        names = (name for name in disk.names_in(self.folder) if name.startswith("events-"))
        numbers = (
            name[len("events-") : -len(".jsonl")] for name in names if name.endswith(".jsonl")
        )
        # A folder that changes while it is listed may name a file twice.
        return sorted({int(text) for text in numbers if text.isascii() and text.isdecimal()})
