"""``orc.index``: the optional SQLite index of a board, and questions to it."""

from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator.core.transaction import Noun
from orchestrator.domain.state import State
from orchestrator.index.database import IndexFile, IndexStatus
from orchestrator.index.named import NamedQuery, find_query, named_queries
from orchestrator.index.query import ROWS, SECONDS, QueryResult, ask
from orchestrator.index.search import TextKind, TextMatch, search


class Index(Noun[State]):
    """``orc.index``: build, status, drop, verify, query, search."""

    @property
    def _file(self) -> IndexFile:
        return IndexFile.of(self._desk)

    def build(self) -> IndexStatus:
        """Make ``state/index.db``, or update it.

        Raises:
            Refused: The board has no folder to keep it in.
        """
        self._desk.pause()
        self._file.build()
        return self.status()

    def status(self) -> IndexStatus:
        """Return the status of the index, which is built again first if it cannot be used."""
        file = self._file
        file.mend()
        return file.status()

    def drop(self) -> bool:
        """Delete the index; return whether it existed. The log still has everything."""
        return self._file.drop()

    def verify(self) -> list[str]:
        """Compare the index with a new one from the log; return the differences.

        If there are some, it is built again.
        """
        from orchestrator.index.verification import differences

        self._desk.pause()
        return differences(self._file, self._desk.store)

    def query(
        self,
        sql: str,
        parameters: Mapping[str, object] | None = None,
        *,
        limit: int = ROWS,
        seconds: float = SECONDS,
        memory: int | None = None,
        stale: bool = False,
    ) -> QueryResult:
        """Answer a query in SQL, which can only read.

        Without ``state/index.db`` an index in memory is built for this query.

        Args:
            sql: One SELECT over the tables and views of the index.
            parameters: The values of ``:name`` in it.
            limit: The most rows.
            seconds: The time limit in seconds.
            memory: The memory limit of SQLite in bytes, for this process from now on; None: no limit.
            stale: Do not update the index first.

        Raises:
            QueryError: It is not exactly one statement that only reads, or SQLite rejects it.
            TimedOut: It took too long.
        """
        self._desk.pause()
        limits: dict[str, Any] = {"limit": limit, "seconds": seconds, "memory": memory}
        return self._file.answer(
            lambda database: ask(database, sql, parameters, **limits), stale=stale
        )

    def search(
        self,
        words: str,
        *,
        kinds: Iterable[TextKind] = (),
        agent: str | None = None,
        since: str | None = None,
        workstream: str | None = None,
        status: Iterable[str] = (),
        where: str = "",
        limit: int = 20,
        stale: bool = False,
    ) -> list[TextMatch]:
        """Search every text of the board; see :mod:`orchestrator.index.search`.

        Args:
            words: The words, with ``OR``, ``NOT``, ``"a phrase"`` and ``begin*``; nothing is an error.
            kinds: Only texts of these kinds.
            agent: Only texts that this agent wrote.
            since: Only texts from this time on, or that long ago (``2h``).
            workstream: Only texts about tasks of this stream.
            status: Only texts about tasks of these statuses.
            where: Only texts about tasks that pass this expression.
            limit: At most so many.
            stale: Do not update the index first.

        Returns:
            The texts, the most relevant first.
        """
        self._desk.pause()
        now, filter = self._desk.now(), None
        if where:
            from orchestrator.domain.tasks.where import parse

            filter = parse(where, self._state, now)
        return search(
            self._file,
            words,
            now=now,
            where=filter,
            kinds=kinds,
            agent=agent,
            since=since,
            workstream=workstream,
            status=status,
            limit=limit,
            stale=stale,
        )

    def queries(self) -> list[NamedQuery]:
        """Return the named queries: shipped ones, and those of the board in ``queries/*.sql``."""
        return named_queries(self._desk.documents)

    def find(self, name: str) -> NamedQuery:
        """Return a named query.

        Raises:
            NotFound: There is none.
        """
        return find_query(self._desk.documents, name)
