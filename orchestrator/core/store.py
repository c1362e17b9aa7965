"""The ports to the storage of a board: its log, presence, documents and cursors.

:mod:`orchestrator.stores` contains the stores. All pass the contract suite ``tests/stores/contract.py``.
A store only stores: it contains no rule of the domain.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

import msgspec

from orchestrator.core.events import Recorded

LARGEST_RECORD = 16 * 1024 * 1024
"""The largest size of a record in every store, in bytes of JSON."""

PART_SIZE = 64 << 20
"""The bytes after which a store begins a new part of the log, if it divides the log into parts."""


class Cursor(msgspec.Struct, frozen=True, gc=False):
    """A position in a log: after the event ``id``, or before all events if that is 0.

    A store adds fields in a subclass, to find the position again and to notice that the log before it has
    changed. The fields are JSON values, because the snapshot contains them.
    """

    id: int = 0


START = Cursor()


class Chunk(msgspec.Struct):
    """Whole commits in the order of the log, and the position after them."""

    events: list[Recorded]
    end: Cursor


class Presence(Protocol):
    """When each agent was last active. This is not in the log, so that the log does not grow without work."""

    def touch(self, agent: str) -> None:
        """Record that the agent is active now. Never fails."""

    def knows(self, agent: str) -> bool:
        """Whether the agent was ever active; the cost does not depend on the number of agents."""

    def seen(self, *, needed: bool = False) -> dict[str, float]:
        """When each agent was last active, in seconds since 1970.

        Args:
            needed: A decision depends on it. Otherwise it is a hint, and a failure is a warning.

        Raises:
            InputOutputError: It is needed and cannot be read.
        """

    def waiting(self) -> set[str]:
        """The agents that wait for work now, which count as active. Never fails."""

    def waiting_as(self, agent: str) -> AbstractContextManager[None]:
        """Count the agent as waiting until the block or the process ends."""

    def serving(self) -> dict[str, bool]:
        """The agents that servers are, and whether the server runs; False: it was killed. Never fails."""

    def serving_as(self, agent: str) -> AbstractContextManager[None]:
        """Count the agent as the one that this process is, until the block or the process ends."""


class Documents(Protocol):
    """Texts that people and agents read and edit, each named by a path such as ``knowledge/plan.md``."""

    def where(self, path: str) -> str:
        """The name of a document or folder in messages: for a file, its path on disk."""

    def names(self, folder: str) -> list[str]:
        """The sorted names of the documents in a folder, without the folder."""

    def folders(self, folder: str) -> list[str]:
        """The sorted names of the folders in a folder."""

    def read(self, path: str) -> bytes | None:
        """The bytes of a document; None if it does not exist."""

    def write(self, path: str, data: bytes) -> None:
        """Replace a document, whole or not at all; a symbolic link is refused."""

    def delete(self, path: str) -> None:
        """Remove a document if it exists."""


class LocalFiles(msgspec.Struct, frozen=True):
    """The folder on this machine of a board that is in a database.

    Attributes:
        documents: Its files.
        cursors: What is remembered about them.
    """

    documents: Documents
    cursors: "Cursors"


class Cursors(Protocol):
    """The position of each reader of the board, as a text that the reader defines."""

    def read(self, reader: str) -> str:
        """The text that the reader wrote last, or an empty text."""

    def write(self, reader: str, text: str) -> None:
        """Replace the reader's text."""


class Checkpoints(Protocol):
    """Snapshots of the past, at most one near the beginning of each part of the log.

    A part is named by the number of its first event. The parts of a log of files are its segments. A reader
    may call every method without the lock.
    """

    def part(self, position: Cursor) -> int:
        """The part of the last event before a position; 1 before the first event."""

    def sizes(self) -> dict[int, int]:
        """The parts that have a checkpoint, in order, and the bytes of each checkpoint."""

    def log_size(self) -> int:
        """The bytes of the log."""

    def save(self, number: int, data: bytes) -> None:
        """Save the checkpoint of a part, whole or not at all."""

    def mark(self, number: int) -> str:
        """What differs after each change of the checkpoint of a part; empty if that is not known."""

    def load(self, number: int) -> bytes | None:
        """The checkpoint of a part; None if it does not exist."""

    def remove(self, number: int) -> None:
        """Remove the checkpoint of a part, if it exists."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A problem that a check of the doctor reports.

    Attributes:
        check: The name of the check.
        message: What is wrong.
        level: ``warning`` or ``damage``; ``ok`` for a remark.
        hint: What to do, if ``repair`` is None.
        repair: Repairs it without losing anything.
        touches: The files that the repair changes, for :meth:`Upkeep.back_up`.
    """

    check: str
    message: str
    level: str = "warning"
    hint: str = ""
    repair: Callable[[], object] | None = None
    touches: tuple[str, ...] = ()


class LogCheck(Protocol):
    """One check of a log: whether every record matches its checksum."""

    def run(self, end: Cursor) -> Iterator[Problem | None]:
        """Check the records up to a position; the events are not decoded.

        A part of the log that was checked before, and has not changed since, is not read.

        Yields:
            None for each part that was checked; a problem for a part that could not be read; what was not
            read, with the level ``ok``.

        Raises:
            Damage: A record is missing or changed, or the log does not contain ``end``.
        """

    def result(self, now: str) -> str:
        """What the next check is to know; call it if all records were read, or did not need to be.

        Args:
            now: The time, for parts that were read.
        """


class ArchivedPart(msgspec.Struct, frozen=True):
    """A part of the log that was moved.

    Attributes:
        first: The id of its first event.
        last: The id of its last event.
        path: Its file.
        bytes: The size of its events.
        stored: The size of the file, which may be compressed.
        left: The old file, if it stays because a copy of the board may need it; else empty.
    """

    first: int
    last: int
    path: str
    bytes: int
    stored: int
    left: str


class Upkeep(Protocol):
    """Checks and repairs that a store offers to the doctor.

    Attributes:
        checks: The names of its checks.
        snapshot: The path of the snapshot.
    """

    checks: tuple[str, ...]
    snapshot: str

    def problems(self, end: Cursor) -> Iterator[Problem]:
        """Run the checks; ``end`` is the end of the valid part of the log."""

    def log_check(self, known: str) -> LogCheck:
        """Begin a check of the log.

        Args:
            known: The result of an earlier check; empty to read every part.
        """

    def back_up(self, paths: Iterable[str], now: str) -> str:
        """Copy files before they are changed, and return the folder of the copies."""

    def archive(
        self, *, folder: str | None, compress: bool, keep: int, undo: bool
    ) -> list[Callable[[], ArchivedPart]]:
        """Return the moves that bring old parts of the log to their places; each is whole or not at all.

        Args:
            folder: Where their files are to be; None: where they are.
            compress: Compress them.
            keep: How many of the latest parts stay as they are.
            undo: Take them back beside the log, not compressed.

        Raises:
            BadName: The path of the folder is not allowed.
            Refused: The folder does not exist, or has files of another board, or git keeps this board.
            UsageError: A package that compresses is not installed.
        """

    def salvage(self, header: str, line_of: Callable[[Recorded], str | None], now: str) -> str:
        """Write the readable events of a damaged log to a new file.

        Args:
            header: The first line of the file.
            line_of: Returns the line for a record, or None to leave it out.
            now: The time for the name of the file.

        Returns:
            The path of the file. Data that was left out is in a second file next to it.
        """


class StoredFile(Protocol):
    """A snapshot that is open: it can be read although it was replaced or removed since.

    Attributes:
        size: Its bytes.
    """

    size: int

    def read(self, offset: int, length: int) -> bytes:
        """Read bytes from an offset; fewer only at the end."""


class FilePart(NamedTuple):
    """A part of a cold file: the name of the file, and the place in it in bytes."""

    name: str
    offset: int
    length: int


class OpenFiles(Protocol):
    """Cold files that are open: they can be read although they were removed since.

    Attributes:
        sizes: The bytes of each file, by its name.
    """

    sizes: dict[str, int]

    def read(self, parts: Sequence[FilePart]) -> list[bytes]:
        """Read parts of these files; a part is shorter only at the end of its file.

        Raises:
            ColdDamage: One file cannot be read, although the store can be.
        """


class ColdFiles(Protocol):
    """The parts of the snapshot that never change; see :mod:`orchestrator.cold`."""

    def where(self, name: str) -> str:
        """The name of a file in messages."""

    def names(self) -> list[str]:
        """The names of all files."""

    def open(self, names: Iterable[str]) -> OpenFiles:
        """Open files; those that do not exist are left out.

        Raises:
            ColdDamage: One file cannot be opened, although the store can be.
        """

    def write(self, name: str, data: bytes) -> None:
        """Write a file, or replace the one of this name, whole or not at all."""

    def remove(self, name: str) -> None:
        """Remove a file, if that is possible now."""


class Outdated(Exception):
    """A command ran without the lock, and what it read is not confirmed: it must run again with the lock."""


class LockSaving(Protocol):
    """How a store whose lock is far away, such as in a database, saves messages about it.

    A program that was the only writer for a while writes without the lock: the append finds out whether it
    still is. Otherwise the lock may end with the append, if nothing follows that needs it.
    """

    @property
    def has_lock(self) -> bool:
        """Whether this program holds the lock."""

    @property
    def presumes(self) -> bool:
        """Whether the calling thread is in such a block, and what it has read is not confirmed yet."""

    def without_lock(self, command: str, timeout: float) -> AbstractContextManager[None] | None:
        """Write in the block what its append confirms; None if another program is likely to write.

        Args:
            command: What the block does.
            timeout: Seconds to wait for another thread.

        Raises:
            Outdated: The block has appended nothing, also if it failed; or another program writes, or has
                written.
        """

    def prepare_append(self, *, keeps_lock: bool) -> None:
        """Say whether effects follow the next append that need the lock until the end of the block.

        Raises:
            TimedOut: Another program holds the lock.
            Outdated: This program wrote without the lock, and another one has written.
        """


class Store(Protocol):
    """What the engine needs from the storage of a board.

    Attributes:
        presence: When agents were last active.
        documents: Texts beside the log.
        cursors: The positions of readers.
        checkpoints: Snapshots of the past; None if the store keeps none.
        cursor_type: The class of its cursors, to decode a cursor from a snapshot.
        is_local: Whether only this machine uses the log, which is on it, so that :meth:`mark` does not wait.
        cold: The parts of the snapshot that never change; None if this store keeps it in one part.
        lock_saving: How to do without the lock; None if it costs little.
    """

    presence: Presence
    documents: Documents
    cursors: Cursors
    checkpoints: Checkpoints | None
    cursor_type: type[Cursor]
    is_local: bool
    cold: ColdFiles | None
    lock_saving: LockSaving | None

    def now(self) -> float:
        """The time of the board in seconds since 1970, the same for all its writers.

        The files of a board have the clock of their machine; a database has a clock of its own.
        """

    @property
    def upkeep(self) -> Upkeep | None:
        """The checks and repairs of this store; None if it has none."""

    def locked(self, command: str, timeout: float) -> AbstractContextManager[None]:
        """Hold the exclusive right to write.

        The next :meth:`read` inside sets aside what an interrupted writer left.

        Args:
            command: What the lock is for; the timeout error of another process names it.
            timeout: Seconds to wait.

        Raises:
            TimedOut: Another process kept the lock; the message names it, its command and since when.
        """

    def read(self, after: Cursor) -> Iterator[Chunk]:
        """The verified whole commits after a position, in the order of the log.

        Raises:
            Damage: The log does not contain ``after`` any more, or a record is invalid. The chunks before
                it have been returned by then.
        """

    def line(self, number: int) -> tuple[bytes, Cursor]:
        """The line of an event, without its newline, and the position after it.

        The checksum in a line covers all lines before it. So two logs, also of different kinds of stores, are
        equal up to an event whose lines are equal.

        Raises:
            Damage: The line cannot be read.
            NotFound: The log has no such event.
        """

    def fingerprint(self, end: Cursor, known: str = "") -> str:
        """Return a text that describes the log up to a position, and compare the log with an earlier one.

        The cost does not grow with the log. So changes that the system does not report, such as those of a
        failing disk, are not noticed.

        Args:
            end: The position.
            known: The fingerprint up to this position or an earlier one.

        Raises:
            Damage: The log that ``known`` describes has changed.
        """

    def read_backwards(self, before: int | None = None) -> Iterator[Recorded]:
        """Events from the newest to the oldest, unverified; only ids below ``before``."""

    def event(self, number: int) -> Recorded:
        """One event by its id.

        Raises:
            NotFound: The log has no such event.
        """

    def append(self, records: list[Recorded], after: Cursor) -> Cursor:
        """Make the records of a commit durable. With this the commit has happened.

        Args:
            records: The records of the commit; all but the last have ``more``. They may be several commits.
            after: The end of the log.

        Returns:
            The new end of the log.

        Raises:
            BadInput: A record is larger than 16 MiB; nothing was written.
            Damage: ``after`` is not the end of the log.
            InputOutputError: They could not be written and are not in the log.
            OutcomeUnknown: They could neither be written nor removed.
        """

    def mark(self) -> object:
        """What is equal to an earlier mark only if the log has not changed since; it reads no events."""

    def wait(self, after: Cursor, timeout: float) -> bool:
        """Block until the log continues after ``after`` (True) or ``timeout`` seconds have passed.

        The next :meth:`read` of this thread may end with the commit that has ended the wait, although there
        are newer ones.
        """

    def open_snapshot(self) -> StoredFile | None:
        """The last saved snapshot; None if there is none."""

    def snapshot_age(self) -> float:
        """Seconds since any process saved the snapshot; infinite if none did."""

    def snapshot_mark(self) -> object:
        """A value that changes when any process saves the snapshot; None if there is no snapshot."""

    def save_snapshot(self, data: bytes) -> None:
        """Replace the snapshot, whole or not at all."""

    def close(self) -> None:
        """Give back what the system keeps open for this store; the next use opens it again."""
