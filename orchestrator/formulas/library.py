"""The files of formulas: in the board, in the user's folder, among those shipped with the toolkit.

A formula is the file ``<name>.formula.toml``. Names are checked as all names are, so none leads out of these
folders.
"""

import os
from collections.abc import Iterator

import msgspec

from orchestrator.core import names
from orchestrator.core.errors import BadInput, NotFound, OrchestratorError, Refused, did_you_mean
from orchestrator.formulas.parse import LONGEST
from orchestrator.stores.files import disk

ENDING = ".formula.toml"
FOLDER = "formulas"


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A formula file: its name, where it is from (board, user, shipped), its path."""

    name: str
    where: str
    path: str

    def read(self) -> bytes:
        """Return the content of the file.

        Raises:
            NotFound: It is gone.
            Refused: It is a link in a board, or not a file.
        """
        # A board's files are never links; users may arrange their own folders as they like.
        path = self.path if self.where == "board" else os.path.realpath(self.path)
        if os.path.isfile(path) and os.path.getsize(path) > LONGEST:
            raise BadInput(f"{self.path} is over the {LONGEST} bytes that a formula may have")
        data = disk.read(path)
        if data is None:
            raise NotFound(f"There is no {self.path}", code="formula_not_found")
        return data


def folders(board: str | None) -> Iterator[tuple[str, str]]:
    """The folders to search, in order: what each is called, and its path."""
    if board is not None:
        yield "board", os.path.join(board, FOLDER)
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    yield "user", os.path.join(config, "orchestrator", FOLDER)
    yield "shipped", os.path.join(os.path.dirname(os.path.abspath(__file__)), "shipped")


def find(name: str, board: str | None) -> Source:
    """Find the file of a formula.

    Raises:
        BadName: The name is not allowed.
        NotFound: There is none of this name.
    """
    names.name("formula", name)
    for where, folder in folders(board):
        path = os.path.join(folder, name + ENDING)
        if os.path.lexists(path):
            _check_folder(where, folder)
            return Source(name=name, where=where, path=path)
    near = did_you_mean(name, (source.name for source in _all_sources(board)))
    own = "" if board is None else f"; those of this board are in {os.path.join(board, FOLDER)}"
    raise NotFound(
        f"There is no formula {name!a}{near}",
        code="formula_not_found",
        hint=f"`formula list` shows them{own}.",
    )


def sources(board: str | None) -> list[Source]:
    """Every formula by name; of several with one name the first in the order of search."""
    by_name: dict[str, Source] = {}
    for source in _all_sources(board):
        by_name.setdefault(source.name, source)
    return sorted(by_name.values(), key=lambda source: source.name)


def own(board: str) -> list[str]:
    """The names of the formulas in a board's own folder."""
    return [source.name for source in _all_sources(board) if source.where == "board"]


def _all_sources(board: str | None) -> Iterator[Source]:
    for where, folder in folders(board):
        _check_folder(where, folder)
        try:
            entries = sorted(os.listdir(folder))
        except OSError:
            continue
        for entry in entries:
            name = entry.removesuffix(ENDING)
            if name != entry and _is_name(name):
                yield Source(name=name, where=where, path=os.path.join(folder, entry))


def _is_name(text: str) -> bool:
    try:
        names.name("formula", text)
    except OrchestratorError:
        return False
    return True


def _check_folder(where: str, folder: str) -> None:
    if where == "board" and os.path.islink(folder):
        raise disk.is_link(folder)


def save(name: str, text: str, board: str) -> str:
    """Write a formula into the board's folder; nothing is overwritten. Return its path.

    Raises:
        BadName: The name is not allowed.
        Refused: The board has a formula of this name.
    """
    folder = os.path.join(board, FOLDER)
    names.name("formula", name, among=own(board))
    path = os.path.join(folder, name + ENDING)
    _check_folder("board", folder)
    if os.path.lexists(path):
        raise Refused(
            f"The board has a formula {name} already",
            code="formula_exists",
            hint="Give the new one another name.",
            path=path,
        )
    disk.replace(path, text.encode())
    return path
