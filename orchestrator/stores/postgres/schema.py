"""The tables of the boards in a database, and how a database of an older version becomes one of this version.

All boards of a database share one schema, ``orchestrator``. Its tables are:

- ``boards``: each board, with the id and the checksum of its last event;
- ``events``: the log, one row for each line; the lines are those of the files of a board;
- ``parts``: the first event of each part of the log but the first, and ``checkpoints``: the state near there;
- ``documents`` and ``cursors``: texts beside the log; a trigger counts the changes of documents;
- ``snapshots``, ``cold_files``, ``presence`` and ``attendance``: caches and signs of life. They are unlogged:
  they cost no write-ahead log, and are empty after a crash of the server.
"""

from typing import TYPE_CHECKING, Final, LiteralString

from orchestrator.core.errors import Refused

if TYPE_CHECKING:
    from orchestrator.stores.postgres.connection import Connection

NEW_COMMITS: Final = "orchestrator_commits_{}"
"""The channel on which the commits of a board are announced; its payload is the last event of the log."""

WRITERS, ATTENDING, UPGRADING = 0x4F524301, 0x4F524302, 0x4F524303
"""The classes of advisory locks: for the right to write, for processes that are there, for an upgrade."""

_VERSIONS: tuple[LiteralString, ...] = (
    """
    CREATE TABLE orchestrator.boards (
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        name text COLLATE "C" NOT NULL UNIQUE,
        head bigint NOT NULL DEFAULT 0,
        crc bigint NOT NULL DEFAULT 0,
        created_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE TABLE orchestrator.events (
        board integer NOT NULL REFERENCES orchestrator.boards,
        id bigint NOT NULL,
        line text NOT NULL,
        PRIMARY KEY (board, id)
    );
    CREATE TABLE orchestrator.documents (
        board integer NOT NULL REFERENCES orchestrator.boards,
        path text COLLATE "C" NOT NULL,
        data bytea NOT NULL,
        PRIMARY KEY (board, path)
    );
    CREATE TABLE orchestrator.cursors (
        board integer NOT NULL REFERENCES orchestrator.boards,
        reader text COLLATE "C" NOT NULL,
        text text NOT NULL,
        PRIMARY KEY (board, reader)
    );
    CREATE UNLOGGED TABLE orchestrator.snapshots (
        board integer PRIMARY KEY,
        data bytea NOT NULL,
        saved_at timestamptz NOT NULL
    );
    CREATE UNLOGGED TABLE orchestrator.presence (
        board integer NOT NULL,
        agent text COLLATE "C" NOT NULL,
        seen_at timestamptz NOT NULL,
        PRIMARY KEY (board, agent)
    );
    CREATE UNLOGGED TABLE orchestrator.attendance (
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        board integer NOT NULL,
        kind text NOT NULL,
        agent text NOT NULL
    );
    """,
    # One message to the server instead of four: the lock, then what is true once it is held. Each statement
    # of a volatile function sees what was committed before it began.
    """
    CREATE FUNCTION orchestrator.lock_board(
        _class integer, _board integer, _holder text, _patience text,
        _seen bigint, _most integer, _bytes bigint,
        OUT version integer, OUT head bigint, OUT crc bigint, OUT seconds double precision,
        OUT snapshot_age double precision, OUT lines text[]
    ) LANGUAGE plpgsql VOLATILE AS $$
    BEGIN
        PERFORM set_config('lock_timeout', _patience, false), set_config('application_name', _holder, false);
        PERFORM pg_advisory_lock(_class, _board);
        SELECT boards.head, boards.crc, extract(epoch FROM clock_timestamp()),
            (SELECT number FROM orchestrator.version),
            (SELECT extract(epoch FROM clock_timestamp() - saved_at)
             FROM orchestrator.snapshots WHERE board = _board)
        INTO STRICT head, crc, seconds, version, snapshot_age
        FROM orchestrator.boards WHERE id = _board;
        IF head > _seen THEN
            lines := ARRAY(SELECT orchestrator.lines_from(_board, _seen + 1, _most, _bytes));
        END IF;
    END $$;
    CREATE FUNCTION orchestrator.lines_from(_board integer, _first bigint, _most integer, _bytes bigint)
    RETURNS SETOF text LANGUAGE sql STABLE AS $$
        SELECT line FROM (
            SELECT id, line, sum(octet_length(line)) OVER (ORDER BY id) - octet_length(line) AS before
            FROM (
                SELECT id, line FROM orchestrator.events
                WHERE board = _board AND id >= _first ORDER BY id LIMIT _most
            ) page
        ) sized WHERE before <= _bytes ORDER BY id
    $$;
    """,
    # Parts are read from the middle, which the server can do only if they are not compressed.
    """
    CREATE UNLOGGED TABLE orchestrator.cold_files (
        board integer NOT NULL,
        name text COLLATE "C" NOT NULL,
        data bytea NOT NULL,
        removed_at timestamptz,
        PRIMARY KEY (board, name)
    );
    ALTER TABLE orchestrator.cold_files ALTER COLUMN data SET STORAGE EXTERNAL;
    """,
    # Checkpoints are logged: after a crash, the fold begins with one of them. `lock_board` stays for programs
    # of an older version that have a board open: its answer lets them refuse it.
    """
    ALTER TABLE orchestrator.boards
        ADD COLUMN bytes bigint NOT NULL DEFAULT 0, ADD COLUMN part bigint NOT NULL DEFAULT 1,
        ADD COLUMN documents bigint NOT NULL DEFAULT 0;
    CREATE TABLE orchestrator.parts (
        board integer NOT NULL REFERENCES orchestrator.boards,
        first bigint NOT NULL,
        PRIMARY KEY (board, first)
    );
    CREATE TABLE orchestrator.checkpoints (
        board integer NOT NULL REFERENCES orchestrator.boards,
        part bigint NOT NULL,
        data bytea NOT NULL,
        PRIMARY KEY (board, part)
    );
    ALTER TABLE orchestrator.checkpoints ALTER COLUMN data SET STORAGE EXTERNAL;
    INSERT INTO orchestrator.parts
    SELECT board, min(id) FROM (
        SELECT board, id,
            sum(octet_length(line) + 1) OVER (PARTITION BY board ORDER BY id) / 67108864 AS number
        FROM orchestrator.events
    ) sized WHERE number > 0 GROUP BY board, number;
    UPDATE orchestrator.boards SET
        bytes = coalesce(
            (SELECT sum(octet_length(line) + 1) FROM orchestrator.events WHERE board = boards.id), 0
        ),
        part = coalesce((SELECT max(first) FROM orchestrator.parts WHERE board = boards.id), 1);
    CREATE FUNCTION orchestrator.acquire_board(
        _class integer, _board integer, _holder text, _patience text,
        _seen bigint, _most integer, _bytes bigint,
        OUT version integer, OUT head bigint, OUT crc bigint, OUT bytes bigint, OUT part bigint,
        OUT documents bigint, OUT seconds double precision, OUT snapshot_age double precision,
        OUT lines text[]
    ) LANGUAGE plpgsql VOLATILE AS $$
    BEGIN
        PERFORM set_config('lock_timeout', _patience, false), set_config('application_name', _holder, false);
        PERFORM pg_advisory_lock(_class, _board);
        SELECT boards.head, boards.crc, boards.bytes, boards.part, boards.documents,
            extract(epoch FROM clock_timestamp()),
            (SELECT number FROM orchestrator.version),
            (SELECT extract(epoch FROM clock_timestamp() - saved_at)
             FROM orchestrator.snapshots WHERE board = _board)
        INTO STRICT head, crc, bytes, part, documents, seconds, version, snapshot_age
        FROM orchestrator.boards WHERE id = _board;
        IF head > _seen THEN
            lines := ARRAY(SELECT orchestrator.lines_from(_board, _seen + 1, _most, _bytes));
        END IF;
    END $$;
    CREATE OR REPLACE FUNCTION orchestrator.lock_board(
        _class integer, _board integer, _holder text, _patience text,
        _seen bigint, _most integer, _bytes bigint,
        OUT version integer, OUT head bigint, OUT crc bigint, OUT seconds double precision,
        OUT snapshot_age double precision, OUT lines text[]
    ) LANGUAGE sql VOLATILE AS $$
        SELECT number, NULL::bigint, NULL::bigint, NULL::float8, NULL::float8, NULL::text[]
        FROM orchestrator.version
    $$;
    """,
    # The trigger counts changes of documents by programs of an older version, too. An append takes the board
    # from the row that it moves, so the key that pointed there only cost time. A program that does not hold
    # the lock calls `append_alone`: each of its statements sees what was committed before it began. The query
    # of `lines_from` is planned once in each connection, and no longer with each call. A plan that was made
    # while the table was small would read all of it later, so it must use the index.
    """
    CREATE FUNCTION orchestrator.count_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE orchestrator.boards SET documents = documents + 1 WHERE id = coalesce(NEW.board, OLD.board);
        RETURN NULL;
    END $$;
    CREATE TRIGGER counted AFTER INSERT OR UPDATE OR DELETE ON orchestrator.documents
        FOR EACH ROW EXECUTE FUNCTION orchestrator.count_change();
    ALTER TABLE orchestrator.events DROP CONSTRAINT events_board_fkey;
    CREATE FUNCTION orchestrator.append_alone(
        _board integer, _head bigint, _crc bigint, _new_head bigint, _new_crc bigint, _bytes bigint,
        _part bigint, _lines text, _class integer, _version integer, _documents bigint
    ) RETURNS SETOF integer LANGUAGE plpgsql VOLATILE AS $$
    BEGIN
        IF pg_try_advisory_xact_lock(_class, _board) THEN
            UPDATE orchestrator.boards SET head = _new_head, crc = _new_crc, bytes = _bytes, part = _part
            WHERE id = _board AND head = _head AND crc = _crc AND documents = _documents
            AND EXISTS (SELECT FROM orchestrator.version WHERE number = _version);
            IF FOUND THEN
                INSERT INTO orchestrator.events
                SELECT _board, line.number + _head, line.text
                FROM unnest(string_to_array(_lines, E'\n')) WITH ORDINALITY AS line (text, number);
                RETURN NEXT _board;
            END IF;
        END IF;
    END $$;
    CREATE OR REPLACE FUNCTION orchestrator.lines_from(
        _board integer, _first bigint, _most integer, _bytes bigint
    ) RETURNS SETOF text LANGUAGE plpgsql STABLE
    SET enable_seqscan = off SET enable_bitmapscan = off AS $$
    BEGIN
        RETURN QUERY SELECT line FROM (
            SELECT id, line, sum(octet_length(line)) OVER (ORDER BY id) - octet_length(line) AS before
            FROM (
                SELECT id, line FROM orchestrator.events
                WHERE board = _board AND id >= _first ORDER BY id LIMIT _most
            ) page
        ) sized WHERE before <= _bytes ORDER BY id;
    END $$;
    """,
)

_HAS_TABLES: Final = """
    SELECT 1 FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname = 'orchestrator' AND relname = 'version'
"""

VERSION: Final = len(_VERSIONS)


def prepare(connection: "Connection", *, create: bool) -> bool:
    """Bring the tables to this version.

    Args:
        connection: A connection to the database.
        create: Make them in a database that has none.

    Returns:
        Whether the database has the tables.

    Raises:
        Refused: A newer version of the program made them.
    """
    version = _version(connection)
    if version == VERSION or (version is None and not create):
        return version is not None
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s, 0)", (UPGRADING,))
        version = _version(connection) or 0
        check(version)
        if version == 0:
            connection.execute("CREATE SCHEMA IF NOT EXISTS orchestrator")
            connection.execute("CREATE TABLE orchestrator.version (number integer NOT NULL)")
            connection.execute("INSERT INTO orchestrator.version VALUES (0)")
        else:  # programs that have a board open end their commands first, and are refused afterwards
            connection.execute(
                "SELECT pg_advisory_xact_lock(%s, id) FROM orchestrator.boards ORDER BY id",
                (WRITERS,),
            )
        for statements in _VERSIONS[version:]:
            connection.execute(statements)
        connection.execute("UPDATE orchestrator.version SET number = %s", (VERSION,))
    return True


def check(version: int) -> None:
    """Check that this program knows the version of the tables, which may have changed since it started.

    Raises:
        Refused: A newer version of the program made them.
    """
    if version > VERSION:
        raise Refused(
            f"The boards of this database have version {version}; this program knows {VERSION}",
            code="newer_version",
            hint="Use the newer version of the program.",
        )


def _version(connection: "Connection") -> int | None:
    # Not by `to_regclass`, which may answer from a cache of before the lock.
    if connection.value(_HAS_TABLES) is None:
        return None
    number: int = connection.value("SELECT number FROM orchestrator.version")
    return number
