"""Where formulas are found: in the board, in the user's folder, among those of the toolkit.

A formula is the file ``<name>.formula.toml``. What it extends, expands and goes around is found in the same
way. Names are checked at the door of all names, so none leads out of these folders.
"""

import os
from collections.abc import Iterator

import msgspec

from orchestrator.core import names
from orchestrator.core.errors import (
    BadInput,
    NotFound,
    OrchestratorError,
    Refused,
    did_you_mean,
)
from orchestrator.core.problems import (
    Problems,
)
from orchestrator.formulas.checking import check, check_ids, references
from orchestrator.formulas.inheriting import merged
from orchestrator.formulas.reading import LONGEST, read
from orchestrator.formulas.schema import Formula
from orchestrator.stores.files import disk

ENDING = ".formula.toml"
FOLDER = "formulas"

DEEPEST = 20
"""How often a formula may extend one that extends another."""

MOST = 200
"""Formulas that one may be put together from."""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A formula file: its name, where it was found (board, user, shipped), its path."""

    name: str
    where: str
    path: str

    def read(self) -> bytes:
        """What the file holds.

        Raises:
            NotFound: It is gone.
            Refused: It is a link in a board, or no file.
        """
        # A board's files are never links; whose own folder it is may keep it as they like.
        path = self.path if self.where == "board" else os.path.realpath(self.path)
        if os.path.isfile(path) and os.path.getsize(path) > LONGEST:
            raise BadInput(f"{self.path} is over the {LONGEST} bytes that a formula may have")
        data = disk.read(path)
        if data is None:
            raise NotFound(f"There is no {self.path}", code="formula_not_found")
        return data


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A formula with all that it is put together from.

    Attributes:
        formula: With those that it extends merged in.
        others: The expansions and aspects that it uses, and that these use, by name.
        warnings: What is odd but does not keep it from being cooked.
        misread: Keys that are not known, and values of the wrong kind: they are as if they were not there.
        wrong: What is wrong with the rest.
    """

    formula: Formula
    others: dict[str, Formula]
    warnings: tuple[str, ...] = ()
    misread: Problems = msgspec.field(default_factory=Problems)
    wrong: Problems = msgspec.field(default_factory=Problems)


def folders(board: str | None) -> Iterator[tuple[str, str]]:
    """The folders that are searched, in order: what each is called, and where it is."""
    if board is not None:
        yield "board", os.path.join(board, FOLDER)
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    yield "user", os.path.join(config, "orchestrator", FOLDER)
    yield "shipped", os.path.join(os.path.dirname(os.path.abspath(__file__)), "shipped")


def find(name: str, board: str | None) -> Source:
    """The file of a formula.

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
    near = did_you_mean(name, (source.name for source in _sources(board)))
    own = "" if board is None else f"; those of this board are in {os.path.join(board, FOLDER)}"
    raise NotFound(
        f"There is no formula {name!a}{near}",
        code="formula_not_found",
        hint=f"`formula list` shows them{own}.",
    )


def sources(board: str | None) -> list[Source]:
    """Every formula that can be used, by name; of several of one name the one that is found first."""
    found: dict[str, Source] = {}
    for source in _sources(board):
        found.setdefault(source.name, source)
    return sorted(found.values(), key=lambda one: one.name)


def own(board: str) -> list[str]:
    """The names of the formulas in a board's own folder."""
    return [source.name for source in _sources(board) if source.where == "board"]


def _sources(board: str | None) -> Iterator[Source]:
    for where, folder in folders(board):
        if where == "board":
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


# Loading


def load(name: str, board: str | None) -> Loaded:
    """Load a formula with all that it is put together from.

    What is wrong with it is in what is given, so that cooking can tell all of it at once.

    Args:
        name: Its name.
        board: The folder of the board; None if there is none.

    Raises:
        NotFound: There is none of this name.
        BadInput: The file is no TOML.
    """
    loading = _Loading(board)
    formula = loading.load(find(name, board), [])
    return Loaded(
        formula=formula,
        others=loading.others(formula),
        warnings=tuple(loading.warnings),
        misread=loading.misread,
        wrong=loading.wrong,
    )


class _Loading:
    """The formulas of one loading, each read once."""

    def __init__(self, board: str | None) -> None:
        self._board = board
        self.misread = Problems()
        self.wrong = Problems()
        self._loaded: dict[str, Formula] = {}
        self.warnings: dict[str, None] = {}

    def load(self, source: Source, way: list[str]) -> Formula:
        """A formula with its parents merged in; ``way`` leads from the one that began to its child."""
        if source.name in self._loaded:
            return self._loaded[source.name]
        file = os.path.basename(source.path)
        formula = read(source.read(), file, self.misread)
        if formula.formula not in ("", source.name):
            said = f"{file}: it calls itself {formula.formula!a}; it is used as {source.name}"
            self.warnings[said] = None
        formula = msgspec.structs.replace(formula, formula=source.name, at=file)
        check_ids(formula, self.wrong)
        parents = [
            parent
            for name in dict.fromkeys(formula.extends)
            if (parent := self._parent(name, formula, [*way, source.name])) is not None
        ]
        whole = merged(formula, parents)
        check(whole, parents, self.wrong, self.warnings)
        self._loaded[source.name] = whole
        return whole

    def _parent(self, name: str, child: Formula, way: list[str]) -> Formula | None:
        if len(way) > DEEPEST:
            self.wrong.note(
                f"{child.at}: extends", f"formulas extend each other over {DEEPEST} deep"
            )
            return None
        if name in way:
            circle = " -> ".join([*way[way.index(name) :], name])
            self.wrong.note(f"{child.at}: extends", f"circular: {circle}")
            return None
        return self._named(name, f"{child.at}: extends", way)

    def _named(self, name: str, place: str, way: list[str]) -> Formula | None:
        if len(self._loaded) >= MOST:
            self.wrong.note(place, f"more than {MOST} formulas are put together")
            return None
        source = self.wrong.attempt(place, find, name, self._board)
        if source is None:
            return None
        try:
            return self.load(source, way)
        except (NotFound, Refused, BadInput) as error:
            self.wrong.note(place, error.message)
            return None

    def others(self, formula: Formula) -> dict[str, Formula]:
        """The expansions and aspects that a formula uses, by way of others too."""
        found: dict[str, Formula] = {}
        waiting = [formula]
        while waiting:
            for place, kind, name in references(waiting.pop()):
                other = found.get(name) or self._named(name, place, [])
                if other is None:
                    continue
                if other.type != kind:
                    self.wrong.note(place, f"{name} is no {kind}, but {names.article(other.type)}")
                elif name not in found:
                    found[name] = other
                    waiting.append(other)
        return found


# Saving


def save(name: str, text: str, board: str) -> str:
    """Write a formula into the board's folder; nothing is overwritten. Gives the path.

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
