"""A connection to the database of a board, which is opened again when it has broken."""

import os
import selectors
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from orchestrator.core import system
from orchestrator.core.errors import InputOutputError, OrchestratorError, Refused, UsageError
from orchestrator.core.printable import escape
from orchestrator.stores.postgres.address import BoardAddress

if TYPE_CHECKING:
    import psycopg
    from psycopg import Cursor
    from psycopg.errors import Diagnostic
    from psycopg.pq.abc import PGconn, PGresult

_OPTIONS: Final = (
    r"-c default_transaction_isolation=read\ committed -c client_encoding=UTF8"
    " -c bytea_output=hex -c search_path=pg_catalog -c statement_timeout=0"
    " -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=2"
    " -c tcp_user_timeout={tcp_user_timeout}"
)

_CHECKED: Final = """
    SELECT current_setting('server_encoding'), current_setting('fsync'),
           current_setting('synchronous_commit'), pg_is_in_recovery()
"""

_KEEPALIVE: Final[dict[str, Any]] = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 20_000,
}
"""Seconds and probes until a vanished server is given up, and milliseconds if it does not confirm what was
sent, which no probe notices. The options above are the same for a vanished client: others wait for its lock.
The URL may have other values.
"""

Values = Sequence[object] | Mapping[str, object] | None
"""What a statement has at its placeholders."""

_TICK: Final = 0.1
"""Seconds after which a wait for the server lets Python see to signals and to calls that were cancelled."""

_abandoned: list[object] = []
"""Connections of the parent process: closing them here would end them there."""


class Lost(InputOutputError):
    """The connection broke: whether the statement had its effect is not known."""


class Connection:
    """Statements that are each a transaction of their own, unless :meth:`transaction` joins them.

    Args:
        address: The address of the board.
        patience: Seconds to wait for the server.

    Attributes:
        patience: The same.
        number: How many connections were opened; a lock of an earlier one is gone.
        has_warned: Whether the server gave a warning with its last answer.
        is_replica: Whether the server is a replica, which has no unlogged tables and no notifications.
    """

    def __init__(self, address: BoardAddress, patience: float = 10.0) -> None:
        try:
            import psycopg
        except ImportError:
            raise UsageError(
                "A board in a database needs the package psycopg",
                hint="Install the extra: pip install 'agent-orchestrator[postgres]'",
            ) from None
        self._psycopg = psycopg
        self._address = address
        self.patience = patience
        self._open: psycopg.Connection[Any] | None = None
        self._pid = 0
        self.number = 0
        self.has_warned = False
        self.is_replica = False
        self._is_joined = False
        self._turn = threading.RLock()
        self._prepared: dict[str, bytes] = {}
        self._is_posted = False
        self._notices: list[str] = []
        self._socket: selectors.BaseSelector
        _connections.add(self)

    @property
    def is_open(self) -> bool:
        """Whether the last statement left a connection that works."""
        return self._open is not None and not self._open.closed and self._pid == os.getpid()

    def forget_threads(self) -> None:
        """Make a new lock in a forked process: the thread that holds the old one is in the parent only."""
        self._turn = threading.RLock()

    def connect(self) -> None:
        """Connect if there is no connection that works, and wait for the end of a statement that was posted.

        Raises:
            InputOutputError: The server cannot be reached.
            Refused: It could lose what it has acknowledged.
        """
        with self._turn:
            if self._is_posted and self.is_open:
                with suppress(OrchestratorError), self._running():
                    self._answer()
            if self.is_open:
                return
            if self._open is not None and self._pid != os.getpid():
                _abandoned.append(self._open)
            if self._is_joined:
                raise Lost(f"The connection to {self._address.database} broke in a transaction")
            self.number += 1
            self._pid = os.getpid()
            self._prepared, self._is_posted, self._notices = {}, False, []
            try:
                connection = self._psycopg.connect(
                    self._address.database,
                    autocommit=True,
                    application_name="orc",
                    prepare_threshold=2,
                    **self._settings(),
                )
                connection.add_notice_handler(self._note)
                connection.add_notify_handler(lambda notice: self._notices.append(notice.payload))
                self._socket = selectors.DefaultSelector()
                self._socket.register(connection.fileno(), selectors.EVENT_READ)
                self._open = connection
                settings = connection.execute(_CHECKED).fetchone()
            except self._psycopg.Error as error:
                self.close()
                raise InputOutputError(
                    f"The database {self._address.database} cannot be used: {_first_line(error)}",
                    hint="Check the address, the server, and PGPASSWORD or the password file. If there is no "
                    "such database, createdb makes it.",
                ) from None
            except BaseException:  # an interrupt: what was not checked is not used
                self.close()
                raise
            self._check(settings)

    def _settings(self) -> dict[str, Any]:
        usual = {"connect_timeout": max(2, round(self.patience)), **_KEEPALIVE}
        given = self._psycopg.conninfo.conninfo_to_dict(self._address.database)
        patience = given.get("tcp_user_timeout", usual["tcp_user_timeout"])
        missing = {name: value for name, value in usual.items() if name not in given}
        return missing | {"options": _OPTIONS.format(tcp_user_timeout=patience)}

    def _check(self, settings: Any) -> None:
        encoding, fsync, commit, self.is_replica = settings
        problem = ""
        if encoding != "UTF8":
            problem = f"its encoding is {encoding}, not UTF8"
        elif not self._address.allows_loss and fsync == "off":
            problem = "fsync is off there, so a power failure could lose what was acknowledged"
        elif not self._address.allows_loss and commit == "off":
            problem = "synchronous_commit is off there, so a crash could lose what was acknowledged"
        if problem:
            self.close()
            raise Refused(
                f"The database {self._address.database} is not used: {problem}",
                code="unsafe_database",
                hint="Change the setting; `?commit=asynchronous` in the URL accepts such losses."
                if encoding == "UTF8"
                else "Create the database with ENCODING 'UTF8'.",
            )

    @contextmanager
    def turn(self, patience: float) -> Iterator[bool]:
        """Let no other thread use the connection in the block; yield False if one still uses it.

        Args:
            patience: Seconds to wait for it.
        """
        is_free = self._turn.acquire(timeout=patience)
        try:
            yield is_free
        finally:
            if is_free:
                self._turn.release()

    def execute(self, query: str, values: "Values" = None) -> "Cursor[Any]":
        """Run a statement.

        Raises:
            InputOutputError: The server refused it, so nothing changed.
            Lost: The connection broke meanwhile.
        """
        with self._turn:
            self.connect()
            assert self._open is not None
            self.has_warned = False
            with self._running():
                return self._open.execute(query, values)

    def quick(self, query: str, *values: object) -> list[str | None]:
        """Run a statement of a hot command: values and result are texts, as libpq has them.

        A cursor of psycopg takes more than twice the processor time.

        Args:
            query: The statement, with ``$1`` for a value. It stays prepared.
            values: Its values: numbers and texts.

        Returns:
            The first row of the result; empty if there is none.

        Raises:
            InputOutputError: The server refused it, so nothing changed.
            Lost: The connection broke meanwhile.
        """
        with self._turn:
            self.post(query, *values)
            with self._running():
                result = self._answer()
            columns = range(result.nfields if result.ntuples else 0)
            row = (result.get_value(0, column) for column in columns)
            return [None if value is None else value.decode() for value in row]

    def post(self, query: str, *values: object) -> None:
        """Send such a statement without waiting for its end; the next statement does, and ignores its result.

        Raises:
            Lost: The connection broke.
        """
        with self._turn:
            self.connect()
            assert self._open is not None
            self.has_warned = False
            pgconn = self._open.pgconn
            with self._running():
                if query not in self._prepared:
                    name = b"quick_%d" % len(self._prepared)
                    self._checked(pgconn.prepare(name, query.encode()))
                    self._prepared[query] = name
                self._is_posted = True
                pgconn.send_query_prepared(
                    self._prepared[query], [str(value).encode() for value in values]
                )
                self._flush(pgconn)

    @contextmanager
    def _running(self) -> Iterator[None]:
        """Translate errors of a statement; after an interrupt, cancel it, because the answer is not read."""
        try:
            yield
        except self._psycopg.Error as error:
            raise self._translated(error) from error
        except BaseException:
            try:
                if self._open is not None:
                    self._cancel(self._open)
            finally:  # also if a second interrupt ends the wait for the cancellation
                self.close()
            raise

    def _flush(self, pgconn: "PGconn") -> None:
        """Send the whole statement; the system takes a long one in several parts."""
        if not pgconn.flush():
            return
        self._socket.modify(pgconn.socket, selectors.EVENT_READ | selectors.EVENT_WRITE)
        while pgconn.flush():
            self._wait(pgconn)
        self._socket.modify(pgconn.socket, selectors.EVENT_READ)

    def _answer(self) -> "PGresult":
        """Wait for the result of the statement that was sent last."""
        assert self._open is not None
        pgconn, last = self._open.pgconn, None
        while True:
            while pgconn.is_busy():
                self._wait(pgconn)
            result = pgconn.get_result()
            if result is None:
                break
            last = result
        self._is_posted = False
        assert last is not None
        return self._checked(last)

    def _wait(self, pgconn: "PGconn") -> None:
        """Wait for the server, and read what has come."""
        while not (ready := self._socket.select(_TICK)):
            pass
        if ready[0][1] & selectors.EVENT_READ:
            pgconn.consume_input()

    def _checked(self, result: "PGresult") -> "PGresult":
        psycopg = self._psycopg
        status = result.status
        if status not in (psycopg.pq.ExecStatus.TUPLES_OK, psycopg.pq.ExecStatus.COMMAND_OK):
            state = result.error_field(psycopg.pq.DiagnosticField.SQLSTATE)
            text = result.error_field(psycopg.pq.DiagnosticField.MESSAGE_PRIMARY)
            kind: type[Exception] = psycopg.OperationalError
            if state is not None:
                with suppress(KeyError):
                    kind = psycopg.errors.lookup(state.decode())
            raise kind((text or result.error_message).decode(errors="replace"))
        return result

    def value(self, query: str, values: "Values" = None) -> Any:
        """Run a statement again if the connection broke; return the first value of its first row, or None."""
        row = self.repeatable(query, values).fetchone()
        return None if row is None else row[0]

    def repeatable(self, query: str, values: "Values" = None) -> "Cursor[Any]":
        """Run a statement that may run twice: once more on a new connection if this one broke."""
        try:
            return self.execute(query, values)
        except Lost:
            return self.execute(query, values)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Join the statements of the block to one transaction, which a broken connection ends.

        Raises:
            Lost: The connection broke.
        """
        self.connect()
        assert self._open is not None
        self._is_joined = True
        try:
            with self._open.transaction():
                yield
        except self._psycopg.Error as error:
            raise self._translated(error) from error
        finally:
            self._is_joined = False

    def notified(self, timeout: float) -> list[str]:
        """Wait for notifications on the channels that this connection listens to, and return their texts.

        Raises:
            Lost: The connection broke.
        """
        self.connect()
        assert self._open is not None
        pgconn = self._open.pgconn
        try:
            while True:
                while (notice := pgconn.notifies()) is not None:
                    self._notices.append(notice.extra.decode())
                # The library itself would wake up ten times a second.
                if self._notices or not self._socket.select(timeout):
                    break
                pgconn.consume_input()
        except self._psycopg.Error as error:
            raise self._translated(error) from error
        notices, self._notices = self._notices, []
        return notices

    @contextmanager
    def ending_waits(self, after: float) -> Iterator[None]:
        """Cancel the statement of the block after some seconds.

        Unlike the server's own limits this also ends the wait of a commit for a replica, with a warning.
        """
        self.connect()
        assert self._open is not None
        timer = threading.Timer(max(after, 0), self._cancel, (self._open,))
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()

    def _cancel(self, connection: "psycopg.Connection[Any]") -> None:
        with suppress(self._psycopg.Error):
            connection.cancel_safe(timeout=self.patience)

    def _note(self, notice: "Diagnostic") -> None:
        self.has_warned |= notice.severity_nonlocalized == "WARNING"

    def close(self) -> None:
        """Close the connection, after the statement of another thread; the next statement opens a new one."""
        with self.turn(self.patience):
            connection, self._open = self._open, None
            if connection is not None and self._pid == os.getpid():
                connection.close()
                self._socket.close()

    def is_timeout(self, error: BaseException) -> bool:
        """Whether an error says that a lock was not free in time."""
        return isinstance(error.__cause__, self._psycopg.errors.LockNotAvailable)

    def check_writable(self) -> None:
        """Check that the server is no replica, unless it was promoted since the connection was opened.

        Raises:
            InputOutputError: The server does not answer.
            Refused: It is one.
        """
        self.connect()
        if self.is_replica:
            self.is_replica = self.value("SELECT pg_is_in_recovery()")
        if self.is_replica:
            raise self._read_only()

    def _read_only(self) -> Refused:
        return Refused(
            f"The database {self._address.database} is read-only",
            code="read_only",
            hint="Commands that change the board need the primary server.",
        )

    def _translated(self, error: Exception) -> InputOutputError | Refused:
        if isinstance(error, self._psycopg.errors.ReadOnlySqlTransaction):
            return self._read_only()
        text = f"The database {self._address.database} refused a statement: {_first_line(error)}"
        if self.is_open:
            return InputOutputError(text)
        return Lost(f"The connection to {self._address.database} broke: {_first_line(error)}")


_connections: WeakSet[Connection] = WeakSet()


def _free_after_fork() -> None:
    for connection in _connections:
        connection.forget_threads()


system.after_fork(_free_after_fork)


def _first_line(error: Exception) -> str:
    return escape(next(iter(str(error).splitlines()), type(error).__name__))
