"""The files of formulas: in the board, in the user's folder, among those shipped with the toolkit.

A formula is the file ``<name>.formula.toml``. Names are checked as all names are, so none leads out of these
folders.
"""

import os
from collections.abc import Iterator

import msgspec

from orchestrator.core import files, names
from orchestrator.core.errors import (
    BadInput,
    NotFound,
    OrchestratorError,
    Refused,
    did_you_mean,
)
from orchestrator.core.store import Documents
from orchestrator.formulas.parse import LONGEST

ENDING = ".formula.toml"
FOLDER = "formulas"


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A formula file.

    Attributes:
        name: Its name.
        where: Where it is from: board, user, shipped.
        path: Its path.
        documents: The documents of its board, if it is from there.
    """

    name: str
    where: str
    path: str
    documents: Documents | None = None

    def read(self) -> bytes:
        """Return the content of the file.

        Raises:
            NotFound: It is gone.
            Refused: It is a link in a board, or not a file.
        """
        board = self.documents
        data = _read(self.path) if board is None else board.read(_document(self.name))
        if data is None:
            raise NotFound(f"There is no {self.path}", code="formula_not_found")
        if len(data) > LONGEST:
            raise BadInput(f"{self.path} is over the {LONGEST} bytes that a formula may have")
        return data


def find(name: str, board: Documents | None) -> Source:
    """Find the file of a formula.

    Args:
        name: Its name.
        board: The documents of the board; None if there is none.

    Raises:
        BadName: The name is not allowed.
        NotFound: There is none of this name.
    """
    names.name("formula", name)
    if board is not None:
        board.read(_document(name))  # refuses a link or a pipe, which is in no list
    known = {source.name: source for source in sources(board)}
    if name in known:
        return known[name]
    near = did_you_mean(name, known)
    own = "" if board is None else f"; those of this board are in {board.where(FOLDER)}"
    raise NotFound(
        f"There is no formula {name!a}{near}",
        code="formula_not_found",
        hint=f"`formula list` shows them{own}.",
    )


def sources(board: Documents | None) -> list[Source]:
    """Every formula by name; of several with the same name the first in the order of search."""
    by_name: dict[str, Source] = {}
    if board is not None:
        for name in own(board):
            path = board.where(_document(name))
            by_name[name] = Source(name=name, where="board", path=path, documents=board)
    for where, folder in _folders():
        try:
            files = os.listdir(folder)
        except OSError:
            continue
        for name in _formula_names(files):
            path = os.path.join(folder, name + ENDING)
            by_name.setdefault(name, Source(name=name, where=where, path=path))
    return [by_name[name] for name in sorted(by_name)]


def own(board: Documents) -> list[str]:
    """The names of the board's own formulas."""
    return _formula_names(board.names(FOLDER))


def save(name: str, text: str, board: Documents) -> str:
    """Add a formula to the board; nothing is overwritten. Return its path.

    Raises:
        BadName: The name is not allowed.
        Refused: The board has a formula of this name.
    """
    names.name("formula", name, among=own(board))
    path = board.where(_document(name))
    if board.read(_document(name)) is not None:
        raise Refused(
            f"The board has a formula {name} already",
            code="formula_exists",
            hint="Give the new one another name.",
            path=path,
        )
    board.write(_document(name), text.encode())
    return path


def _document(name: str) -> str:
    return f"{FOLDER}/{name}{ENDING}"


def _folders() -> Iterator[tuple[str, str]]:
    """The folders to search after the board, in order: what each is called, and its path."""
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    yield "user", os.path.join(config, "orchestrator", FOLDER)
    yield "shipped", os.path.join(os.path.dirname(os.path.abspath(__file__)), "shipped")


def _formula_names(files: list[str]) -> list[str]:
    stems = [file.removesuffix(ENDING) for file in files if file.endswith(ENDING)]
    return [stem for stem in stems if _is_name(stem)]


def _is_name(text: str) -> bool:
    try:
        names.name("formula", text)
    except OrchestratorError:
        return False
    return True


def _read(path: str) -> bytes | None:
    """The first bytes of a file outside of the board; users may arrange their own folders as they like."""
    try:
        with files.open_file(path, follow=True) as file:
            return file.read(LONGEST + 1)
    except NotFound:
        return None
