"""Load a formula together with the formulas that it extends and uses."""

import os
from collections.abc import Iterator

import msgspec

from orchestrator.core import names
from orchestrator.core.errors import NotFound, Refused, UsageError, did_you_mean
from orchestrator.core.problems import Problems
from orchestrator.core.store import Documents
from orchestrator.formulas.extends import merged
from orchestrator.formulas.library import Source, find
from orchestrator.formulas.parse import read
from orchestrator.formulas.schema import Formula
from orchestrator.formulas.steps import steps_of
from orchestrator.formulas.validate import check, check_ids

DEEPEST = 20
"""The longest chain of formulas that extend each other."""

MOST = 200
"""How many formulas a formula may be composed of."""


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A formula with the formulas that it is composed of.

    Attributes:
        formula: The formula, with those that it extends merged in.
        others: The expansions and aspects that it uses, directly or through others, by name.
        warnings: Unusual things that can be compiled.
        misread: Unknown keys, and values of the wrong kind; they count as not given.
        invalid: The other problems.
    """

    formula: Formula
    others: dict[str, Formula]
    warnings: tuple[str, ...] = ()
    misread: Problems = msgspec.field(default_factory=Problems)
    invalid: Problems = msgspec.field(default_factory=Problems)


def load(name: str, board: Documents | None) -> Loaded:
    """Load a formula with the formulas that it is composed of.

    Its problems are part of the result, so that compiling it reports all of them at once.

    Args:
        name: Its name.
        board: The documents of the board; None if there is none.

    Raises:
        NotFound: There is none of this name.
        BadInput: The file is not TOML.
    """
    loading = _Loading(board)
    formula = loading.load(find(name, board), [])
    others = loading.others(formula)
    for each in (formula, *others.values()):
        loading.check_bonds(each)
    return Loaded(
        formula=formula,
        others=others,
        warnings=tuple(loading.warnings),
        misread=loading.misread,
        invalid=loading.invalid,
    )


class _Loading:
    """The formulas of one loading, each read once."""

    def __init__(self, board: Documents | None) -> None:
        self._board = board
        self.misread = Problems()
        self.invalid = Problems()
        self._loaded: dict[str, Formula] = {}
        self.warnings: dict[str, None] = {}

    def load(self, source: Source, path: list[str]) -> Formula:
        """Load a formula with its parents merged in; ``path`` leads from the first formula to its child."""
        if source.name in self._loaded:
            return self._loaded[source.name]
        file = os.path.basename(source.path)
        formula = read(source.read(), file, self.misread)
        if formula.formula not in ("", source.name):
            message = f"its name in the file is {formula.formula!a}; it is used as {source.name}"
            self.warnings[f"{file}: {message}"] = None
        formula = msgspec.structs.replace(formula, formula=source.name, place=file)
        check_ids(formula, self.invalid)
        loaded = (
            self._parent(name, formula, [*path, source.name])
            for name in dict.fromkeys(formula.extends)
        )
        parents = [parent for parent in loaded if parent is not None]
        whole = merged(formula, parents)
        check(whole, parents, self.invalid, self.warnings)
        self._loaded[source.name] = whole
        return whole

    def _parent(self, name: str, child: Formula, path: list[str]) -> Formula | None:
        place = f"{child.place}: extends"
        if len(path) > DEEPEST:
            self.invalid.note(place, f"formulas extend each other more than {DEEPEST} deep")
        elif name in path:
            circle = " -> ".join([*path[path.index(name) :], name])
            self.invalid.note(place, f"circular: {circle}")
        else:
            return self._named(name, place, path)
        return None

    def _named(self, name: str, place: str, path: list[str]) -> Formula | None:
        if len(self._loaded) >= MOST:
            self.invalid.note(place, f"it is composed of more than {MOST} formulas")
            return None
        try:
            return self.load(find(name, self._board), path)
        except (NotFound, Refused, UsageError) as error:
            self.invalid.note(place, error.message)
            return None

    def others(self, formula: Formula) -> dict[str, Formula]:
        """The expansions and aspects that a formula uses, directly or through others."""
        others: dict[str, Formula] = {}
        open_formulas = [formula]
        while open_formulas:
            for place, kind, name in _references(open_formulas.pop()):
                other = others.get(name) or self._named(name, place, [])
                if other is None:
                    continue
                if other.type != kind:
                    message = f"{name} is {names.article(other.type)}, not {names.article(kind)}"
                    self.invalid.note(place, message)
                elif name not in others:
                    others[name] = other
                    open_formulas.append(other)
        return others

    def check_bonds(self, formula: Formula) -> None:
        """Note steps whose ``on_complete`` cannot add its formula: that is missing, or its values are."""
        for step in steps_of(formula):
            rule = step.on_complete
            if rule is None or not rule.bond or "{" in rule.bond:
                continue
            bonded = self._named(rule.bond, f"{rule.place}.bond", [])
            if bonded is None:
                continue
            if bonded.type == "aspect":
                self.invalid.note(
                    f"{rule.place}.bond", f"{rule.bond} is an aspect, which has no steps"
                )
            for name in rule.vars:
                if name not in bonded.variables:
                    near = did_you_mean(name, bonded.variables)
                    message = f"{rule.bond} has no variable {name!a}{near}"
                    self.invalid.note(f"{rule.place}.vars", message)
            for name, variable in bonded.variables.items():
                if variable.required and variable.default is None and name not in rule.vars:
                    self.invalid.note(f"{rule.place}.vars", f"{rule.bond} requires {name!a}")


def _references(formula: Formula) -> Iterator[tuple[str, str, str]]:
    """The formulas that a formula uses beside its parents: place, type and name of each."""
    for step in steps_of(formula):
        if step.expand:
            yield f"{step.place}: expand", "expansion", step.expand
    for rule in (*formula.compose.expand, *formula.compose.map):
        if rule.with_:
            yield rule.place, "expansion", rule.with_
    for name in formula.compose.aspects:
        yield f"{formula.place}: compose.aspects", "aspect", name
