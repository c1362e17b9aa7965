"""The files of formulas: in the board, in the user's folder, among those shipped with the toolkit.

A formula is the file ``<name>.formula.toml`` or ``<name>.formula.json``. Names are checked as all names are,
so none leads out of these folders.
"""

import os
from collections.abc import Iterator

import msgspec

from orchestrator.core import files, names
from orchestrator.core.errors import BadInput, NotFound, OrchestratorError, Refused, missing
from orchestrator.core.multimap import multimap
from orchestrator.core.store import Documents
from orchestrator.formulas.parse import LONGEST

ENDINGS = (".formula.toml", ".formula.json")
FOLDER = "formulas"


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A formula file.

    Attributes:
        name: Its name.
        where: Where it is from: board, user, shipped.
        path: Its path.
        twin: The path of a second file of the same name in the same folder; empty if there is none.
        document: Its name among the documents, if it is from a board.
        documents: The documents of its board, if it is from there.
    """

    name: str
    where: str
    path: str
    twin: str = ""
    document: str = ""
    documents: Documents | None = None

    def read(self) -> bytes:
        """Return the content of the file.

        Raises:
            NotFound: It is gone.
            Refused: It is a link in a board, or not a file, or two files have its name.
        """
        if self.twin:
            raise Refused(
                f"The formula {self.name} is in two files: {self.path} and {self.twin}",
                code="formula_twice",
                hint="Remove or rename one of them.",
            )
        board = self.documents
        data = _read(self.path) if board is None else board.read(self.document)
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
        for document in _documents(name):
            board.read(document)  # refuses a link or a pipe, which is in no list
    known = {source.name: source for source in sources(board)}
    if name in known:
        return known[name]
    own = "" if board is None else f"; those of this board are in {board.where(FOLDER)}"
    raise missing("formula", name, known, hint=f"`formula list` shows them{own}.")


def sources(board: Documents | None) -> list[Source]:
    """Every formula by name; of several with the same name the first in the order of search."""
    by_name: dict[str, Source] = {}
    if board is not None:
        for name, files in _by_name(board.names(FOLDER)).items():
            documents = [f"{FOLDER}/{file}" for file in files]
            path, *twin = map(board.where, documents)
            by_name[name] = Source(
                name=name,
                where="board",
                path=path,
                twin="".join(twin),
                document=documents[0],
                documents=board,
            )
    for where, folder in _folders():
        try:
            names_there = os.listdir(folder)
        except OSError:
            continue
        for name, files in _by_name(names_there).items():
            path, *twin = (os.path.join(folder, file) for file in files)
            source = Source(name=name, where=where, path=path, twin="".join(twin))
            by_name.setdefault(name, source)
    return [by_name[name] for name in sorted(by_name)]


def own(board: Documents) -> list[str]:
    """The names of the board's own formulas."""
    return [*_by_name(board.names(FOLDER))]


def save(name: str, text: str, board: Documents) -> str:
    """Add a formula to the board; nothing is overwritten. Return its path.

    Raises:
        BadName: The name is not allowed.
        Refused: The board has a formula of this name.
    """
    names.name("formula", name, among=own(board))
    document = _documents(name)[0]
    path = board.where(document)
    if any(board.read(each) is not None for each in _documents(name)):
        raise Refused(
            f"The board has a formula {name} already",
            code="formula_exists",
            hint="Give the new one another name.",
            path=path,
        )
    board.write(document, text.encode())
    return path


def _documents(name: str) -> list[str]:
    return [f"{FOLDER}/{name}{ending}" for ending in ENDINGS]


def _folders() -> Iterator[tuple[str, str]]:
    """The folders to search after the board, in order: what each is called, and its path."""
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    yield "user", os.path.join(config, "orchestrator", FOLDER)
    yield "shipped", os.path.join(os.path.dirname(os.path.abspath(__file__)), "shipped")


def _by_name(files: list[str]) -> dict[str, list[str]]:
    """The formula files of a folder, by the name of the formula."""
    return multimap(
        (stem, file)
        for file in files
        for ending in ENDINGS
        if file.endswith(ending) and _is_name(stem := file.removesuffix(ending))
    )


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
