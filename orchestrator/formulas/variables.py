"""The variables of a formula: their values, and the texts and conditions that use them.

``{{name}}`` stands for the value of a declared variable. A name that nothing declares, and the blocks of
other template languages, are text for whoever does the step: they are left as they are, and told of. Every
text is filled once, last of all, so no value is ever read as a template.
"""

import re
from collections.abc import Iterable, Mapping

from orchestrator.core.errors import BadInput, OrchestratorError
from orchestrator.domain.checks import Problems, like, text_of
from orchestrator.formulas.reading import as_text
from orchestrator.formulas.schema import Formula, Variable

PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_-]*)\s*\}\}")
_ANY_BLOCK = re.compile(r"\{\{.*?\}\}")
_GAP = re.compile(r"\n[ \t]*\n(?:[ \t]*\n)+")
_SHOWN = 60

_OPERAND = r"(?:\{\{\s*[A-Za-z_][A-Za-z0-9_-]*\s*\}\}|[^\s!={}]+)"
_CONDITION = re.compile(rf"(!?)\s*({_OPERAND}?)|({_OPERAND}?)\s*(==|!=)\s*(.*)", re.DOTALL)

FALSE = ("", "false", "0", "no", "off")
"""What a condition takes for false, in any case of letters."""

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


class Values:
    """The values of one cooking, and what its texts asked for.

    Args:
        formulas: The formula that is cooked, then those that it uses; the first that declares a name counts.
        given: Values by name.
        problems: Told of values that are not allowed.
        strict: Every value that is asked for must be there. Otherwise its placeholder stays.
    """

    def __init__(
        self,
        formulas: Iterable[Formula],
        given: Mapping[str, str],
        problems: Problems,
        *,
        strict: bool,
    ) -> None:
        self.declared: dict[str, Variable] = {}
        for formula in formulas:
            for name, variable in formula.variables.items():
                self.declared.setdefault(name, variable)
        self.given = dict(given)
        self.strict = strict
        self.runtime: dict[str, str] = {}
        self._problems = problems
        self._asked: set[str] = set()
        defaults = {
            name: as_text(variable.default)
            for name, variable in self.declared.items()
            if variable.default is not None
        }
        self.known: dict[str, str] = {**defaults, **self.given}
        for name, value in self.given.items():
            self._check_value(name, value)

    @property
    def used(self) -> dict[str, str]:
        """The values of the cooking, those that were not asked for left out."""
        return {n: v for n, v in self.known.items() if n in self._asked or n in self.given}

    def get(self, name: str) -> str | None:
        """The value of a variable; None if there is none, which is noted if it is declared."""
        self._asked.add(name)
        return self.known.get(name)

    def text(self, template: str, place: str = "") -> str:
        """A text with its placeholders filled; where nothing was filled in, no gap is left."""
        if "{{" not in template:
            return template
        for match in _ANY_BLOCK.finditer(template):
            name = PLACEHOLDER.fullmatch(match[0])
            if name is None or (name[1] not in self.declared and name[1] not in self.given):
                self.runtime.setdefault(match[0][:_SHOWN], place)
        filled = PLACEHOLDER.sub(self._filled, template)
        had_gaps = _GAP.search(template) is not None
        return filled if had_gaps else _GAP.sub("\n\n", filled)

    def command(self, template: str) -> str:
        """A command with its placeholders filled, so that each value stays one word.

        A command that is one placeholder is the value itself.
        """
        if PLACEHOLDER.search(template) is None or PLACEHOLDER.fullmatch(template.strip()):
            return self.text(template).strip() if "{{" in template else template
        import shlex

        try:
            return shlex.join(map(self.text, shlex.split(template)))
        except ValueError:  # a quote is not closed, which is told of where the command is checked
            return template

    def _filled(self, match: re.Match[str]) -> str:
        value = self.get(match[1])
        return match[0] if value is None else value

    def holds(self, condition: str) -> bool:
        """Whether a condition is true; also if it asks for a value that is not known yet."""
        match = _CONDITION.fullmatch(condition.strip())
        assert match is not None
        negated, alone, left, sign, right = match.groups()
        value = self._operand(alone if sign is None else left)
        if value is None:
            return True
        if sign is None:
            return is_true(value) != bool(negated)
        return (value == self.text(_unquoted(right.strip()))) == (sign == "==")

    def _operand(self, operand: str) -> str | None:
        name = PLACEHOLDER.fullmatch(operand)
        return operand if name is None else self.get(name[1])

    # What is wrong with them

    def _check_value(self, name: str, value: str) -> None:
        variable = self.declared.get(name)
        place = f"variable {name}"
        if variable is not None:
            for wrong in wrong_with(variable, value):
                self._problems.note(place, wrong)
        try:
            text_of("value", value)
        except OrchestratorError as error:
            self._problems.note(place, error.message)

    def check(self) -> None:
        """Note what was asked for and is not there, and what was given and nobody asked for."""
        if not self.strict:
            return
        for name, variable in self.declared.items():
            wanted = name in self._asked or variable.required or variable.required_unless
            others = [other for other in variable.required_unless if other in self.known]
            if not wanted or others or name in self.known:
                continue
            what = f": {variable.description}" if variable.description else ""
            unless = " or ".join(variable.required_unless)
            instead = f" (or {unless})" if unless else ""
            self._problems.note(
                f"variable {name}", f"it is needed{instead}{what}. Give it: --var {name}=VALUE"
            )
        for name in self.given:
            if name not in self.declared and name not in self._asked:
                near = like(name, self.declared)
                self._problems.note(f"variable {name}", f"the formula has none of this name{near}")


def is_condition(text: str) -> bool:
    """Whether a text has one of the forms of a condition, and asks for a variable."""
    return _CONDITION.fullmatch(text.strip()) is not None and "{" in text


def names_in(text: str) -> list[str]:
    """The names that the placeholders of a text say."""
    return PLACEHOLDER.findall(text)


def is_true(value: str) -> bool:
    """Whether a value counts as true in a condition."""
    return value.strip().casefold() not in FALSE


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


# What a value may be


def _is_whole(value: str) -> bool:
    return re.fullmatch(r"[+-]?[0-9]{1,18}", value) is not None


def _is_number(value: str) -> bool:
    return re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?", value) is not None


def _is_truth(value: str) -> bool:
    return value.casefold() in ("true", "false", "yes", "no", "on", "off", "1", "0")


_KINDS = {
    "integer": _is_whole, "int": _is_whole, "number": _is_number, "float": _is_number,
    "boolean": _is_truth, "bool": _is_truth,
}  # fmt: skip


def wrong_with(variable: Variable, value: str) -> Iterable[str]:
    """What keeps a value from being one of a variable."""
    is_kind = _KINDS.get(variable.type)
    if is_kind is not None and not is_kind(value):
        yield f"{_short(value)} is no {variable.type}"
    allowed = [as_text(one) for one in variable.enum]
    if allowed and value not in allowed:
        yield f"{_short(value)} is not one of {', '.join(allowed)}"
    if variable.pattern and not _fits(variable.pattern, value):
        yield f"{_short(value)} does not fit the pattern {_short(variable.pattern)}"


def _fits(pattern: str, value: str) -> bool:
    try:
        return re.search(pattern, value) is not None
    except re.error:  # told of where the formula is checked
        return True


def _short(text: str) -> str:
    return ascii(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")


# Values in files


def values_of(text: str, name: str = "") -> dict[str, str]:
    """The values that a file of variables gives.

    Args:
        text: What stands in it: a JSON object, TOML, or a line ``NAME=VALUE`` each.
        name: Its name: ``.json`` and ``.toml`` tell the form; else the first character does.

    Raises:
        BadInput: It is none of these, or a value is no text, number or truth.
    """
    if name.endswith(".json") or text.lstrip()[:1] == "{":
        from orchestrator.core.strict_json import strict_json

        said = strict_json(text)
    elif name.endswith(".toml"):
        said = _toml_of(text)
    else:
        return dict(_pair_of_line(line) for line in text.splitlines() if _says_something(line))
    if not isinstance(said, dict):
        raise BadInput('The variables are no object: write {"name": "value"}')
    for key, value in said.items():
        if not isinstance(value, (str, int, float, bool)):
            raise BadInput(f"The variable {key!a} is no text, number or truth")
    return {key: as_text(value) for key, value in said.items()}


def pair_of(text: str) -> tuple[str, str]:
    """Name and value of ``NAME=VALUE``.

    Raises:
        ValueError: It is not that.
    """
    name, equals, value = text.partition("=")
    if not equals or not NAME.fullmatch(name.strip()):
        raise ValueError(f"{text!a} is no NAME=VALUE")
    return name.strip(), value


def _toml_of(text: str) -> object:
    import tomllib

    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise BadInput(f"The variables are no TOML: {error}") from None


def _says_something(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _pair_of_line(line: str) -> tuple[str, str]:
    try:
        name, value = pair_of(line)
    except ValueError as error:
        raise BadInput(str(error)) from None
    return name, value.strip()
