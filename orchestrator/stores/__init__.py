"""Stores of boards: on disk, in a database or in memory. The scheme of a URL selects the store."""

import re
from collections.abc import Callable

from orchestrator.core.errors import UsageError
from orchestrator.core.store import LocalFiles, Store

_URL = r"([A-Za-z][A-Za-z0-9+.-]+):(//.*)?"
"""A scheme has two letters or more: ``C:`` is a drive."""

_SCHEMES = {
    "file": "file:///PATH",
    "memory": "memory:",
    "postgresql": "postgresql://HOST/DATABASE?board=NAME",
}
"""The schemes, each with an example."""

_ALIASES = {"postgres": "postgresql"}


def parse(board: str | None) -> tuple[str, str | None]:
    """Return the scheme of a board and its place: a path for ``file``, else the URL.

    Raises:
        UsageError: No store has this scheme, or the URL of a file names another machine.
    """
    # Compiled only for a possible URL: most commands name the board by a path.
    url = re.fullmatch(_URL, board) if board and ":" in board else None
    if url is None:
        return "file", board
    scheme = _ALIASES.get(url[1].lower(), url[1].lower())
    if scheme not in _SCHEMES:
        raise UsageError(
            f"{board!a}: no store has the scheme {scheme!a}",
            hint=f"A board is a path, or a URL: {', '.join(_SCHEMES.values())}.",
        )
    if scheme != "file":
        return scheme, board
    from urllib.request import url2pathname  # only a URL needs it

    host, _, path = (url[2] or "")[2:].partition("/")
    if host not in ("", "localhost") or not path:
        raise UsageError(f"{board!a} is not a path on this machine", hint="Write file:///PATH.")
    return "file", url2pathname(f"/{path}")


def local_files(folder: str) -> LocalFiles:
    """The folder that leads to a board in a database, with the files of its documents."""
    from orchestrator.stores.files.folders import FileCursors, FileDocuments

    return LocalFiles(FileDocuments(folder), FileCursors(f"{folder}/state"))


def open_store(
    scheme: str, location: str | None, *, reads: bool = False, warn: Callable[[str], None]
) -> tuple[Store, bool]:
    """Open the store of a scheme from :func:`parse`; its folders exist already.

    Args:
        scheme: The scheme of the store.
        location: The place of the board: a path for ``file``, else its URL.
        reads: The caller changes nothing, so no board is created.
        warn: Receives sentences for a person.

    Returns:
        The store, and whether its board was just created.

    Raises:
        NoBoard: A database does not have the board, if ``reads``.
    """
    if scheme == "memory":
        from orchestrator.stores.memory import MemoryStore  # a board loads its own store only

        return MemoryStore(), False
    assert location is not None
    if scheme == "postgresql":
        from orchestrator.stores.postgres import PostgresStore

        database = PostgresStore(location, create=not reads)
        return database, database.is_new
    from orchestrator.stores.files import FileStore

    return FileStore(location, warn=warn), False
