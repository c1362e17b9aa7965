"""The ports to where a board lives: its log of records, and the small things beside the log.

:mod:`orchestrator.stores` holds the stores, which pass one contract suite, ``tests/stores/contract.py``.
A store keeps what it is given and holds no rule.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec

from orchestrator.core.events import Recorded

LARGEST_RECORD = 16 * 1024 * 1024
"""Bytes of JSON that a record may have, in every store."""


class Cursor(msgspec.Struct, frozen=True, gc=False):
    """A place in a log: behind the event ``id``, or before all events if that is 0.

    A store adds in a subclass what it needs to find the place again and to see whether the log behind it
    is still the same. The fields are JSON values: the snapshot carries them.
    """

    id: int = 0


START = Cursor()


class Chunk(msgspec.Struct):
    """Whole commits in the order of the log, and the place behind them."""

    events: list[Recorded]
    end: Cursor


class Presence(Protocol):
    """When each agent was last active; not in the log, which would grow with time instead of with work."""

    def touch(self, agent: str) -> None:
        """Record that the agent is active now. Never fails."""

    def knows(self, agent: str) -> bool:
        """Whether the agent was ever active; costs the same however many agents there are."""

    def seen(self, *, needed: bool = False) -> dict[str, float]:
        """When each agent was last active, in seconds since 1970.

        Args:
            needed: A decision depends on it. Otherwise it is a hint, and a failure is a warning.

        Raises:
            InputOutputError: It is needed and cannot be read.
        """

    def waiting(self) -> set[str]:
        """The agents that wait for work now; they are active all the time. Never fails."""

    def waiting_as(self, agent: str) -> AbstractContextManager[None]:
        """Count the agent among those that wait, until the block or the process ends."""


class Documents(Protocol):
    """Texts that people and agents read and edit, each named by a path such as ``knowledge/plan.md``."""

    def where(self, path: str) -> str:
        """What to call a document or a folder of them in a sentence: of a file, its path on disk."""

    def names(self, folder: str) -> list[str]:
        """The names of the documents in a folder, without the folder, in order."""

    def folders(self, folder: str) -> list[str]:
        """The names of the folders in a folder, in order."""

    def read(self, path: str) -> bytes | None:
        """The bytes of a document, or None."""

    def write(self, path: str, data: bytes) -> None:
        """Replace a document, whole or not at all; a symbolic link is refused."""

    def delete(self, path: str) -> None:
        """Remove a document if it exists."""


class Cursors(Protocol):
    """How far each reader of the board is, as a text of its own."""

    def read(self, reader: str) -> str:
        """The text that the reader wrote last, or an empty one."""

    def write(self, reader: str, text: str) -> None:
        """Replace the reader's text."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A problem that a check of the doctor reports.

    Attributes:
        check: The name of the check.
        message: What is wrong.
        level: ``warning`` or ``damage``.
        hint: What to do, if ``repair`` is None.
        repair: Repairs it without losing anything.
        touches: The files that the repair changes, as :meth:`Upkeep.back_up` takes them.
    """

    check: str
    message: str
    level: str = "warning"
    hint: str = ""
    repair: Callable[[], object] | None = None
    touches: tuple[str, ...] = ()


class Upkeep(Protocol):
    """Checks and repairs that a store offers to the doctor.

    Attributes:
        checks: The names of its checks.
        snapshot: The path of the snapshot.
    """

    checks: tuple[str, ...]
    snapshot: str

    def problems(self, end: Cursor) -> Iterator[Problem]:
        """Run the checks; ``end`` is where the sound part of the log ends."""

    def back_up(self, paths: Iterable[str], now: str) -> str:
        """Copy files that are about to be changed; returns the folder of the copies."""

    def salvage(self, header: str, line_of: Callable[[Recorded], str | None], now: str) -> str:
        """Write what can still be read of a damaged log to a new file.

        Args:
            header: The first line of the file.
            line_of: Returns the line for a record, or None if it is to be left out.
            now: The time, for the file's name.

        Returns:
            The path of the file. What was left out is in a file beside it.
        """


class Store(Protocol):
    """Everything the engine asks of a place that keeps a board.

    Attributes:
        presence: When agents were last active.
        documents: Texts beside the log.
        cursors: How far readers are.
        cursor_type: What its cursors are, to read one back from a snapshot.
    """

    presence: Presence
    documents: Documents
    cursors: Cursors
    cursor_type: type[Cursor]

    @property
    def upkeep(self) -> Upkeep | None:
        """Checks and repairs of the store's own; None if it has none."""

    def locked(self, command: str, timeout: float) -> AbstractContextManager[None]:
        """Hold the only right to write.

        What an interrupted writer left behind is set aside by the next :meth:`read` inside.

        Args:
            command: What the lock is for, named to those who wait in vain.
            timeout: Seconds to wait.

        Raises:
            TimedOut: Another process kept the lock; the sentence names it, its command and since when.
        """

    def read(self, after: Cursor) -> Iterator[Chunk]:
        """The whole commits behind a place, verified, in the order of the log.

        Raises:
            Damage: The log does not hold ``after`` any more, or a record does not verify. The chunks
                before it have been given by then.
        """

    def read_backwards(self, before: int | None = None) -> Iterator[Recorded]:
        """Events from the newest to the oldest, unverified; only those below the id ``before``."""

    def event(self, number: int) -> Recorded:
        """One event by its id.

        Raises:
            NotFound: The log has no such event.
        """

    def append(self, records: list[Recorded], after: Cursor) -> Cursor:
        """Make the records of one commit durable: the point where it becomes true.

        Args:
            records: The commit; all but the last are marked ``more``.
            after: The end of the log.

        Returns:
            The new end of the log.

        Raises:
            BadInput: A record is larger than 16 MiB; nothing was written.
            Damage: ``after`` is not the end of the log.
            InputOutputError: They could not be written and are not in the log.
            OutcomeUnknown: They could not be written nor taken back.
        """

    def wait(self, after: Cursor, timeout: float) -> bool:
        """Block until the log goes on behind ``after`` (True) or ``timeout`` seconds have passed."""

    def load_snapshot(self) -> bytes | None:
        """The last saved snapshot, or None."""

    def snapshot_age(self) -> float:
        """Seconds since any process saved the snapshot; infinite if none did."""

    def save_snapshot(self, data: bytes) -> None:
        """Replace the snapshot, whole or not at all."""
