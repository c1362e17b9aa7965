"""The address of a board in a database: ``postgresql://ann@db.example/work?board=website``."""

from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

from orchestrator.core import names
from orchestrator.core.errors import UsageError

USUAL_BOARD: Final = "main"
ASYNCHRONOUS: Final = "asynchronous"

_SECRETS = ("password", "sslpassword", "oauth_client_secret")


class BoardAddress(msgspec.Struct, frozen=True):
    """Where a board is. It contains no secret, so it may be printed.

    Attributes:
        database: The URL of the database, as PostgreSQL's own programs take it.
        board: The name of the board in it.
        allows_loss: The last commits may be lost when the server fails: ``commit=asynchronous``.
    """

    database: str
    board: str = USUAL_BOARD
    allows_loss: bool = False

    def __str__(self) -> str:
        separator = "&" if "?" in self.database else "?"
        return f"{self.database}{separator}board={self.board}"


def parse(url: str) -> BoardAddress:
    """Read the URL of a board. ``board`` and ``commit`` are ours; all else is for the database's library.

    Raises:
        BadName: The board has a name that is not allowed.
        UsageError: The URL contains a password, or an unknown kind of commit.
    """
    try:
        parts = urlsplit(url)
        has_password = parts.password is not None
        has_password |= bool(parts.fragment) or "@" in parts.path  # a part of one with `#` or `/`
        query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise UsageError("The URL of the database cannot be read", hint=_EXAMPLE) from None
    if has_password or any(name in _SECRETS for name, _ in query):
        raise UsageError(
            "The URL of a board must not contain a password, because it is shown and stored",
            hint="Give it in PGPASSWORD, or in a password or service file of PostgreSQL.",
            code="password_in_url",
        )
    own = {name: value for name, value in query if name in ("board", "commit")}
    rest = urlencode([(name, value) for name, value in query if name not in own])
    if (commit := own.get("commit")) not in (None, ASYNCHRONOUS):
        raise UsageError(f"There is no commit={commit!a}", hint=f"It may be {ASYNCHRONOUS}.")
    return BoardAddress(
        database=f"postgresql://{parts.netloc}{parts.path}{'?' * bool(rest)}{rest}",
        board=names.name("board", own.get("board", USUAL_BOARD)),
        allows_loss=commit is not None,
    )


_EXAMPLE = "For example: postgresql://ann@localhost/work?board=main"
