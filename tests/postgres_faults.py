"""What a store in a database sends to the server, and connections that break at a chosen statement."""

from collections.abc import Callable

import psycopg

from orchestrator.stores.postgres import PostgresStore
from orchestrator.stores.postgres.connection import Connection


def sent_by(store: PostgresStore) -> list[str]:
    """A list of the statements that a store sends from now on."""
    return sent_on(store._connection)


def sent_on(connection: Connection) -> list[str]:
    """The same for a connection."""
    sent: list[str] = []

    def noting(run: Callable[..., object]) -> Callable[..., object]:
        def note(query: str, *values: object) -> object:
            sent.append(query)
            return run(query, *values)

        return note

    for name in "post", "execute":  # all other methods call one of these
        setattr(connection, name, noting(getattr(connection, name)))
    return sent


def break_all(admin: psycopg.Connection) -> None:
    """Break all other connections to the server."""
    admin.execute(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )


def lose_answer(
    store: PostgresStore, part: str, break_connection: Callable[[], object]
) -> list[str]:
    """Let the next commit succeed on the server, and its answer get lost.

    Args:
        store: The store that commits.
        part: A part of the text of the statement that commits.
        break_connection: Is called after the commit, before the store has its answer.

    Returns:
        A list, which then contains the statement.
    """
    connection, lost = store._connection, list[str]()
    quick = connection.quick

    def lose(query: str, *values: object) -> object:
        answer = quick(query, *values)
        if part not in query:
            return answer
        connection.quick = quick  # type: ignore[method-assign]
        lost.append(query)
        break_connection()
        return quick("SELECT 1")

    connection.quick = lose  # type: ignore[assignment,method-assign]
    return lost
