"""The file of the index: open it for reading, update it, build it again if it is unusable, drop it.

It can always be built again, because the log has everything. One process writes at a time, and readers
continue meanwhile (SQLite's write-ahead log). A build writes a second file. A missing or broken index is
replaced by renaming that file. Into a valid index, which others may have open, SQLite copies it in one
transaction, because renaming one database over another mixes up their write-ahead logs.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self, TypeVar

import msgspec

from orchestrator.core import system
from orchestrator.core.errors import Damage, InputOutputError, Refused, TimedOut
from orchestrator.core.progress import ShowProgress, no_progress
from orchestrator.core.store import Store
from orchestrator.index.standing import VERSION, position_of, value_of

if TYPE_CHECKING:
    from orchestrator.core.transaction import Desk

BESIDE = ("-wal", "-shm", "-journal")
"""Files that SQLite keeps beside a database."""

LARGE = 5_000
"""The number of events from which a search builds a file, and a note recommends it to other questions."""

_ASTRAY = "the log does not go on from where it ended"
_BUSY = 10.0
_POLL = 0.01
FAST = ("journal_mode = OFF", "synchronous = OFF", "temp_store = MEMORY", "cache_size = -65536")
"""Settings for a build, whose file is only used when it is complete."""

R = TypeVar("R")


class IndexStatus(msgspec.Struct, kw_only=True):
    """The status of the index.

    Attributes:
        path: The path of its file.
        exists: Whether the file exists.
        event: The last event that it contains.
        head: The last event of the log.
        version: The version of its schema.
        size: The size of its file in bytes.
        problem: Why it cannot be used, so that the next query builds it again; empty: it can be used.
    """

    path: str
    exists: bool = False
    event: int = 0
    head: int = 0
    version: int = 0
    size: int = 0
    problem: str = ""


class IndexFile:
    """The index of a board.

    Args:
        store: The store of the events.
        folder: The folder of the board; None: it has no folder, so no file.
        warn: Receives warnings.
        show_progress: Shows how much of a long build is done.
        timeout: Seconds to wait for another process that writes the index.
    """

    def __init__(
        self,
        store: Store,
        folder: str | None,
        *,
        warn: Callable[[str], None],
        show_progress: ShowProgress = no_progress,
        timeout: float = _BUSY,
    ) -> None:
        self._store = store
        self._path = os.path.join(folder, "state", "index.db") if folder else ""
        self._warn = warn
        self._show_progress = show_progress
        self._timeout = timeout

    @classmethod
    def of(cls, desk: "Desk[Any]") -> Self:
        """The index of an open board."""
        return cls(
            desk.store,
            desk.folder,
            warn=desk.warn,
            show_progress=desk.show_progress,
            timeout=desk.timeout,
        )

    @property
    def exists(self) -> bool:
        """Whether there is a file."""
        return bool(self._path) and os.path.exists(self._path)

    # Reading

    @property
    def head(self) -> int:
        """The last event of the log."""
        last = next(iter(self._store.read_backwards()), None)
        return last.id if last else 0

    @contextmanager
    def reading(
        self, *, stale: bool = False, by_size: bool = False
    ) -> Iterator[sqlite3.Connection]:
        """The index for reading: updated first, or in memory if there is no file.

        Args:
            stale: Do not update it first.
            by_size: Make a file for a large board that has none.
        """
        with closing(self._opened(stale=stale, by_size=by_size)) as database:
            database.execute("PRAGMA query_only = ON")
            prepare(database)
            yield database

    def answer(
        self,
        question: Callable[[sqlite3.Connection], R],
        *,
        stale: bool = False,
        by_size: bool = False,
    ) -> R:
        """Ask the index; if SQLite finds damage, build it again and repeat the question."""
        try:
            with self.reading(stale=stale, by_size=by_size) as database:
                return question(database)
        except sqlite3.DatabaseError as error:
            with closing(self._rebuilt(str(error))) as database:
                prepare(database)
                return question(database)

    def _opened(self, *, stale: bool, by_size: bool = False) -> sqlite3.Connection:
        if not self.exists:
            if by_size and self._path and self.head >= LARGE:
                self._warn(
                    f"The board has {self.head} events: the search builds {self._path}, which stays"
                )
                return self._rebuilt("")
            return self._in_memory()
        problem = self._problem()
        if problem:
            return self._rebuilt(problem)
        database = self._open_to_read()
        if stale:
            return database
        try:
            if self._is_current(database):
                return database
            database.close()
            return self._followed()
        except Damage as damage:
            database.close()
            if damage.code != "log_behind":
                raise
            return self._rebuilt(_ASTRAY)
        except sqlite3.DatabaseError as error:
            database.close()
            return self._rebuilt(str(error))

    def _is_current(self, database: sqlite3.Connection) -> bool:
        """Whether the log has no new events for the index, and is as it was when the index read it.

        If the log is damaged, a warning says so, and the index keeps what it read before.
        """
        position = position_of(database, self._store.cursor_type)
        known = value_of(database, "log")
        try:
            is_known = self._store.fingerprint(position, known) == known
            return is_known and not any(chunk.events for chunk in self._store.read(position))
        except Damage as damage:
            if damage.code in ("newer_version", "misfit", "log_behind"):
                raise
            self._warn_of(damage, position.id)
            return True

    def _warn_of(self, damage: Damage | None, event: int) -> None:
        """Say that an answer ends before what cannot be read of the log."""
        if damage is not None:
            self._warn(f"{damage.message}. The answer is as of event {event}.")

    def _in_memory(self) -> sqlite3.Connection:
        from orchestrator.index import writing

        database = sqlite3.connect(":memory:", isolation_level=None)
        damage = writing.build(database, self._store, show_progress=self._show_progress)
        self._warn_of(damage, value_of(database, "event"))
        if value_of(database, "event") >= LARGE and not self.exists:
            self._warn(
                "An index in memory was made for this answer; `index build` makes one that stays"
            )
        return database

    def _open_to_read(self) -> sqlite3.Connection:
        try:
            return self._connect("ro")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in (
                sqlite3.SQLITE_CANTOPEN,
                sqlite3.SQLITE_READONLY,
            ):
                raise
            # SQLite needs files beside the database, which a read-only folder does not allow.
            return self._connect("ro&immutable=1")

    def _connect(self, mode: str) -> sqlite3.Connection:
        database = connect(self._path, mode)
        try:
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.Error as error:
            database.close()
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                raise TimedOut("Another process keeps the index locked") from None
            raise
        return database

    def _problem(self) -> str:
        """Why the file cannot be used; empty: it can."""
        try:
            with closing(self._open_to_read()) as database:
                version = value_of(database, "version")
                if version != VERSION:
                    return f"it has version {version} of the schema, not {VERSION}"
                (pages,), (size,) = (
                    database.execute(f"PRAGMA {name}").fetchone()
                    for name in ("page_count", "page_size")
                )
                has_log = os.path.exists(f"{self._path}-wal")
                if not has_log and os.path.getsize(self._path) < pages * size:
                    return "it was cut short"
                return self._outgrown(database)
        except sqlite3.DatabaseError as error:
            return str(error)
        except msgspec.MsgspecError:
            return "it does not say how far it is"

    def _astray(self) -> str:
        """Whether the log does not continue where the file ends."""
        try:
            with closing(self._open_to_read()) as database:
                self._is_current(database)
        except sqlite3.DatabaseError as error:
            return str(error)
        except Damage as damage:
            return _ASTRAY if damage.code == "log_behind" else ""
        return ""

    def _outgrown(self, database: sqlite3.Connection) -> str:
        """Whether this version of the toolkit knows fields that the building version did not know."""
        kept = database.execute("SELECT key FROM _records WHERE kind = 'newer_fields'").fetchall()
        if kept:
            from orchestrator.core.events import is_known

            if any(is_known(path) for (path,) in kept):
                return "it was built by a version that knew less"
        position_of(database, self._store.cursor_type)
        return ""

    # Writing

    def mend(self) -> None:
        """Build the file again if it cannot be used."""
        problem = self.status().problem
        if problem:
            self.rebuild(problem)

    def rebuild(self, problem: str) -> None:
        """Build the file again because of a problem."""
        self._rebuilt(problem).close()

    def build(self) -> bool:
        """Make the file, or update it.

        Returns:
            Whether it was built, and not only updated.
        """
        if not self._path:
            raise Refused("This board is in memory, and its index too", code="no_index_file")
        problem = self._problem() if self.exists else "there is none"
        if problem:
            self.rebuild("" if problem == "there is none" else problem)
            return True
        self._opened(stale=False).close()
        return False

    def _followed(self) -> sqlite3.Connection:
        from orchestrator.index import writing

        try:
            with self._locked(), closing(self._connect("rw")) as database:
                damage = writing.follow(database, self._store)
                self._warn_of(damage, value_of(database, "event"))
        except (TimedOut, sqlite3.OperationalError) as error:
            database = self._open_to_read()
            event = value_of(database, "event")
            self._warn(f"The index could not be brought up to date ({error}): as of event {event}")
            return database
        except PermissionError:
            return self._copied()
        return self._open_to_read()

    def _copied(self) -> sqlite3.Connection:
        """An updated copy in memory, for a file that cannot be written."""
        from orchestrator.index import writing

        database = sqlite3.connect(":memory:", isolation_level=None)
        with closing(self._open_to_read()) as file:
            file.backup(database)
        damage = writing.follow(database, self._store)
        self._warn_of(damage, value_of(database, "event"))
        return database

    def _rebuilt(self, problem: str) -> sqlite3.Connection:
        """Build the index again, unless another process did that meanwhile."""
        known = self._build_id()
        try:
            with self._locked():
                if self._build_id() in (known, None):
                    if problem:
                        self._warn(f"The index is built again: {problem}")
                    self._replace()
        except PermissionError:
            self._warn("The index cannot be written, so one in memory answers")
            return self._in_memory()
        return self._open_to_read()

    def _build_id(self) -> str | None:
        """The number of the file's build; None: unusable."""
        if not self.exists or self._problem():
            return None
        with suppress(sqlite3.DatabaseError), closing(self._open_to_read()) as database:
            return value_of(database, "build")  # type: ignore[no-any-return]
        return None

    def _replace(self) -> None:
        from orchestrator.index import writing

        new = f"{self._path}.building"
        _remove(new)
        with closing(connect(new, "rwc")) as database:
            for setting in FAST:
                database.execute(f"PRAGMA {setting}")
            damage = writing.build(database, self._store, show_progress=self._show_progress)
            self._warn_of(damage, value_of(database, "event"))
            database.execute("PRAGMA journal_mode = WAL")
        if not self._copy_into(new):
            for ending in BESIDE:
                _unlink(self._path + ending)
            _sync(new)
            system.replace(new, self._path)
        _remove(new)

    def _copy_into(self, new: str) -> bool:
        """Copy a build into the file; False if that is not a valid database."""
        if not self.exists or os.path.getsize(self._path) == 0:
            return False
        try:
            with closing(self._connect("rw")) as old, closing(connect(new, "ro")) as source:
                source.backup(old)
                old.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.DatabaseError:
            return False
        return True

    def drop(self) -> bool:
        """Delete the file; return whether it existed. The next build makes it again."""
        if not self.exists:
            return False
        with self._locked():  # its file stays: another process may wait for it
            for name in (f"{self._path}.building", self._path):
                _remove(name)
        return True

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Be the only process that writes the index.

        Raises:
            Refused: The file is a symbolic link.
            TimedOut: Another process wrote it all the time.
        """
        if os.path.islink(self._path):
            raise Refused(f"{self._path} is a symbolic link", code="symlink")
        deadline = time.monotonic() + self._timeout
        with _lock_file(f"{self._path}.lock") as try_lock:
            while not try_lock():
                if time.monotonic() > deadline:
                    raise TimedOut("another process is writing it")
                time.sleep(_POLL)
            yield

    # Present state

    def status(self) -> IndexStatus:
        """How the index stands."""
        status = IndexStatus(path=self._path, exists=self.exists, head=self.head)
        if self.exists:
            status.size = os.path.getsize(self._path)
            status.problem = self._problem() or self._astray()
            with suppress(sqlite3.DatabaseError), closing(self._open_to_read()) as database:
                status.version = value_of(database, "version") or 0
                status.event = value_of(database, "event") or 0
        return status


@contextmanager
def _lock_file(path: str) -> Iterator[Callable[[], bool]]:
    """Lock a file until the block ends; the argument tries to lock it once."""
    if system.HAS_FLOCK:
        file = system.open_file(path, os.O_RDWR | os.O_CREAT)
        try:
            yield lambda: system.try_lock(file)
        finally:
            os.close(file)
        return
    import filelock  # imported late: most systems do without it

    lock = filelock.FileLock(path, fallback_to_soft=False, thread_local=False)

    def acquire() -> bool:
        try:
            lock.acquire(blocking=False)
        except filelock.Timeout:
            return False
        return True

    try:
        yield acquire
    finally:
        lock.release()


def prepare(database: sqlite3.Connection) -> None:
    """Give a connection the function that conditions on texts call: SQLite folds ASCII only."""
    database.create_function("casefold", 1, str.casefold, deterministic=True)


def connect(path: str, mode: str) -> sqlite3.Connection:
    """Open a database file in a mode of SQLite: ``ro``, ``rw``, ``rwc``."""
    quoted = path.replace(os.sep, "/")
    for sign in "%?#":
        quoted = quoted.replace(sign, f"%{ord(sign):02x}")
    uri = f"file:{'' if quoted.startswith('/') else '/'}{quoted}?mode={mode}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_BUSY)


def _remove(path: str) -> None:
    """Remove a database with the files beside it."""
    for ending in ("", *BESIDE):
        _unlink(path + ending)


def _unlink(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def _sync(path: str) -> None:
    file = system.open_file(path, os.O_RDWR)
    try:
        system.sync(file)
    except OSError as error:
        raise InputOutputError(f"The index could not be written: {error.strerror}") from None
    finally:
        os.close(file)
