"""The Store port: where events live. A store keeps lines and documents; it holds no rule.

:mod:`orchestrator.stores.files` is the store of a board on disk, :mod:`orchestrator.stores.memory` the
one for tests. Both pass the same contract suite, ``tests/stores/contract.py``.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from orchestrator.core.events import Chunk, Position, Recorded


class Store(Protocol):
    """Everything the engine asks of a place that keeps a board."""

    def locked(self, command: str, timeout: float) -> AbstractContextManager[None]:
        """Hold the only right to write. A torn tail is set aside by the next :meth:`read` inside.

        Args:
            command: What the lock is for, to be named to those who wait in vain.
            timeout: Seconds to wait.

        Raises:
            TimedOut: Somebody else kept the lock; the sentence names pid, command and since when.
        """
        ...

    def read(self, after: Position) -> Iterator[Chunk]:
        """The whole commits that follow a position, verified, in the order of the log.

        Raises:
            Damage: The line at ``after`` is not there any more, or a line does not verify. The chunks
                before it have been given by then.
        """
        ...

    def read_backwards(self, before: int | None = None) -> Iterator[Recorded]:
        """Events from the newest to the oldest, without checking the chain; from below ``before`` on."""
        ...

    def event(self, number: int) -> Recorded:
        """One event by its id, found by bisection.

        Raises:
            NotFound: The log has no such event.
        """
        ...

    def append(self, lines: bytes, after: Position) -> tuple[int, int]:
        """Make the lines of one commit durable behind ``after``; the point where it becomes true.

        When the segment is full it is sealed first, and the commit begins the next one, so a commit
        never straddles two. The first commit of a board makes its log.

        Returns:
            Where the lines begin: the segment, and the byte in it.

        Raises:
            InputOutputError: They could not be written and are not there.
            OutcomeUnknown: They could not be written nor taken back.
        """
        ...

    def load_snapshot(self) -> bytes | None:
        """The last saved fold, or None."""
        ...

    def snapshot_age(self) -> float:
        """Seconds since anybody saved the fold; infinite if nobody did."""
        ...

    def save_snapshot(self, data: bytes) -> None:
        """Replace the saved fold, whole or not at all."""
        ...

    def wait(self, after: Position, timeout: float) -> bool:
        """Block until the log goes on behind ``after`` (True) or ``timeout`` seconds have passed."""
        ...

    def touch(self, agent: str) -> None:
        """Remember that the agent was here now: its heartbeat."""
        ...

    def seen(self, *, needed: bool = False) -> dict[str, float]:
        """When each agent was here last, in seconds since 1970.

        Args:
            needed: Something is decided by it. Otherwise it is a hint, and what cannot be read is a warning.

        Raises:
            InputOutputError: It is needed and cannot be read.
        """
        ...

    def read_cursor(self, reader: str) -> str:
        """What a reader noted of how far it is; empty if it never did."""
        ...

    def write_cursor(self, reader: str, text: str) -> None:
        """Note how far a reader is."""
        ...

    def documents(self) -> list[str]:
        """The names of the knowledge files."""
        ...

    def read_document(self, name: str) -> bytes | None:
        """The bytes of a knowledge file, or None."""
        ...

    def write_document(self, name: str, data: bytes) -> None:
        """Replace a knowledge file, whole or not at all; a symbolic link is refused."""
        ...

    def delete_document(self, name: str) -> None:
        """Remove a knowledge file if it is there."""
        ...
