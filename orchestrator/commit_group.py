"""Commits of several commands that one sync makes durable; each stays a commit of its own in the log."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from types import TracebackType

from orchestrator.core.events import Recorded
from orchestrator.core.flow import Ownership
from orchestrator.core.store import Cursor, Documents, Store

LARGEST = 64 << 10
"""Bytes of the events of a commit up to which it waits for others; a larger one is written at once."""

Settled = Callable[[BaseException | None], None]
"""Called with None when the commits so far are durable, or with the error with which they failed."""


class CommitGroup:
    """The commits that wait for their sync, and the lock of the store from the first command on.

    While commits wait, the state of the engine is ahead of the log. So an answer that was made meanwhile is
    given only after ``settled`` was called: the commits happen, or fail, together. Other threads wait for the
    end of the group.

    Args:
        store: The store of the events.
        owner: The ownership of the engine.
        timeout: Seconds to wait for the lock.
        settled: See :data:`Settled`.

    Attributes:
        documents: The texts beside the log.
        records: The events of the commits that wait.
        is_open: Whether commits can be added; not when ``settled`` is called for the last time.
        error: The error with which commits of the group failed; after it, the group accepts no more.
    """

    def __init__(self, store: Store, owner: Ownership, timeout: float, settled: Settled) -> None:
        self._store = store
        self._owner = owner
        self._timeout = timeout
        self._settled = settled
        self._lock = ExitStack()
        self._is_locked = False
        self.documents: Documents = store.documents
        self.records: list[Recorded] = []
        self.is_open = True
        self.error: BaseException | None = None

    def __enter__(self) -> None:
        """End the group with the block."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._lock.__exit__(kind, error, trace)
        finally:
            self.is_open = False
            self._settled(error)

    def locked(self, command: str) -> AbstractContextManager[None]:
        """The lock of the store, which is kept until the group ends.

        Raises:
            OrchestratorError: Commits of the group have failed.
        """
        if self.error is not None:
            raise self.error
        if not self._is_locked:
            self._lock.enter_context(self._store.locked(command, self._timeout))
            self._lock.enter_context(self._owner.kept_in_thread())
            self._is_locked = True
        return nullcontext()

    def takes(self, records: list[Recorded]) -> bool:
        """Whether a commit is small enough to wait."""
        return sum(len(record.payload) for record in records) <= LARGEST

    def flush(self, position: Cursor) -> Cursor:
        """Append the commits that wait to the log, and return the new end of the log.

        Raises:
            OrchestratorError: They could not be appended; see :meth:`Store.append`.
        """
        records, self.records = self.records, []
        if not records:
            return position
        try:
            position = self._store.append(records, position)
        except BaseException as error:
            self.error = error
            self._settled(error)
            raise
        self._settled(None)
        return position

    def event(self, number: int) -> Recorded:
        """One event by its id, of the commits that wait or of the log."""
        place = number - self.records[0].id if self.records else -1
        return self.records[place] if 0 <= place < len(self.records) else self._store.event(number)
