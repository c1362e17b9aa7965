"""The variables of a formula: their values, and the texts and conditions that use them.

``{{name}}`` stands for the value of a declared variable. A name that nothing declares, and the blocks of
other template languages, are text for whoever does the step: they are left as they are, and told of. Every
text is filled once, last of all, so no value is ever read as a template.
"""

import re
from collections.abc import Iterable, Mapping

from orchestrator.core.errors import (
    BadInput,
    OrchestratorError,
    did_you_mean,
)
from orchestrator.core.printable import one_line, shortened
from orchestrator.core.problems import (
    Problems,
)
from orchestrator.domain.validation import (
    LONGEST_TEXT,
    LONGEST_TITLE,
    check_text,
)
from orchestrator.formulas.reading import as_text, check_numbers
from orchestrator.formulas.schema import Formula, Variable

PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_-]*)\s*\}\}")
VARIABLE = "variable "
"""How the place of a problem with a value begins; the name of the variable follows."""

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")

_BOUND = re.compile("\ue000([0-9]+)\ue001")
_ANY_BLOCK = re.compile(r"\{\{.*?\}\}")
_LINE_OF_ITS_OWN = re.compile(
    r"^[ \t]*\{\{\s*([A-Za-z_][A-Za-z0-9_-]*)\s*\}\}[ \t]*(?:\n(?:[ \t]*\n)?|\Z)", re.MULTILINE
)
_SHOWN = 60

_OPERAND = (
    r"(?:\{\{\s*[A-Za-z_][A-Za-z0-9_-]*\s*\}\}|\ue000[0-9]+\ue001"
    r"|\{[A-Za-z_][A-Za-z0-9_.-]*\}|\"[^\"]*\"|'[^']*'|[^\s!={}&|'\"]+)"
)
_CONDITION = re.compile(
    rf"(!?)\s*({_OPERAND}?)|({_OPERAND}?)\s*(==|!=)\s*({_OPERAND}(?:\s+{_OPERAND})*|)"
)

FALSE = ("", "false", "0", "no", "off")
"""What a condition takes for false, in any case of letters."""

LONGEST_VALUE = 60
"""Characters of a value that the title of a workflow shows."""

MOST_TEXT = 64 * 1024 * 1024
"""Characters that all texts of a cooking may have together."""

PATIENCE = 1.0
"""Seconds that a pattern may take to look at a value."""


class Budget:
    """What all texts of a cooking may have together, so that no formula can blow up."""

    def __init__(self) -> None:
        self._left = MOST_TEXT

    def spend(self, characters: int) -> None:
        """Count a text that is about to be made.

        Raises:
            BadInput: It is too long, or all texts together are.
        """
        self._left -= characters
        if self._left < 0 or characters > LONGEST_TEXT:
            raise BadInput(
                f"its texts grow beyond {MOST_TEXT} characters, or one beyond {LONGEST_TEXT}"
            )


class Values:
    """The values of one cooking, and what its texts asked for.

    Args:
        formulas: The formula that is cooked, then those that it uses; the first that declares a name counts.
        given: Values by name.
        problems: Told of values that are not allowed.
        budget: What all texts may have together.
        strict: Every value that is asked for must be there. Otherwise its placeholder stays.
    """

    def __init__(
        self,
        formulas: Iterable[Formula],
        given: Mapping[str, str],
        problems: Problems,
        budget: Budget,
        *,
        strict: bool,
    ) -> None:
        own, *others = formulas
        self.declared: dict[str, Variable] = dict(own.variables)
        self._own = set(self.declared)
        for formula in others:
            for name, variable in formula.variables.items():
                self.declared.setdefault(name, variable)
        self.given = dict(given)
        self.strict = strict
        self.runtime: dict[str, str] = {}
        self._problems = problems
        self._budget = budget
        self._asked: set[str] = set()
        self._bound: list[tuple[str, bool]] = []
        self._defaults = {
            name: as_text(variable.default)
            for name, variable in self.declared.items()
            if variable.default is not None
        }
        self.known: dict[str, str] = {**self._defaults, **self.given}
        for name, value in self.given.items():
            self._check_value(name, value)

    # Texts that take part in others

    def bind(self, text: str, *, is_data: bool = False) -> str:
        """A sign that stands for a text wherever it is put, until all texts are filled.

        So a text that is put into a command stays one word, and one that is put into a condition is a value.

        Args:
            text: Written in a formula, so its own placeholders are filled then.
            is_data: It comes from elsewhere, and is never read as a template.
        """
        self._bound.append((text, is_data))
        return f"\ue000{len(self._bound) - 1}\ue001"

    def bound_variable(self, name: str, expansion: Formula, given: Mapping[str, str]) -> str:
        """What stands for a variable of an expansion: what the rule gives, else its own default.

        A variable that whoever cooks gives, or that the cooked formula has too, is that one.
        """
        if name in given:
            return self.bind(given[name])
        variable = expansion.vars.get(name)
        is_shared = name in self.given or name in self._own
        if variable is None or variable.default is None or is_shared:
            return f"{{{{{name}}}}}"
        return self.bind(as_text(variable.default))

    @property
    def used(self) -> dict[str, str]:
        """The values of the cooking, in the order of the formula, without those that were not asked for."""
        order = (name for name in (*self.declared, *self.given) if name in self.known)
        return {n: self.known[n] for n in order if n in self._asked or n in self.given}

    def titled(self, formula: str) -> str:
        """What a workflow of a formula is called: with the values that tell it from others of the same.

        These are the required ones first, then others that were given and are not their defaults.
        """
        required = [name for name, variable in self.declared.items() if variable.required]
        told = dict.fromkeys((*required, *(name for name in self.declared if name in self.given)))
        said = (
            f"{name}={one_line(value, LONGEST_VALUE)}"
            for name in told
            if (value := self.known.get(name))
            and (name in required or value != self._defaults.get(name))
        )
        return shortened(": ".join(filter(None, [formula, ", ".join(said)])), LONGEST_TITLE)

    def get(self, name: str) -> str | None:
        """The value of a variable; None if there is none, which is noted if it is declared."""
        self._asked.add(name)
        return self.known.get(name)

    def text(self, template: str, place: str = "") -> str:
        """A text with its placeholders filled; a line that is nothing but an empty one goes.

        Raises:
            BadInput: It grows too long.
        """
        if "\ue000" not in template:
            return self._plain(template, place)
        pieces, end = [], 0
        for match in _BOUND.finditer(template):
            pieces += [
                self._plain(template[end : match.start()], place),
                self._bound_text(match, place),
            ]
            end = match.end()
        return "".join([*pieces, self._plain(template[end:], place)])

    def _plain(self, template: str, place: str) -> str:
        """A text in which no other text takes part, filled."""
        if "{{" not in template:
            return template
        for match in _ANY_BLOCK.finditer(template):
            name = PLACEHOLDER.fullmatch(match[0])
            if name is None or (name[1] not in self.declared and name[1] not in self.given):
                self.runtime.setdefault(match[0][:_SHOWN], place)
        template = _LINE_OF_ITS_OWN.sub(lambda m: "" if self.get(m[1]) == "" else m[0], template)
        names = PLACEHOLDER.findall(template)
        self._budget.spend(len(template) + sum(len(self.known.get(name, "")) for name in names))
        return PLACEHOLDER.sub(self._filled, template)

    def _bound_text(self, match: re.Match[str], place: str) -> str:
        number = int(match[1])
        if number >= len(self._bound):
            return match[0]
        text, is_data = self._bound[number]
        self._budget.spend(len(text))
        return text if is_data else self.text(text, place)

    def command(self, template: str, place: str = "") -> str:
        """A command with its placeholders filled, so that each value stays one word.

        A command that is one placeholder is the value itself.
        """
        template = PLACEHOLDER.sub(r"{{\1}}", template).strip()
        asks = PLACEHOLDER.search(template) or _BOUND.search(template)
        if asks is None or asks[0] == template:
            return self.text(template, place).strip()
        import shlex

        try:
            words = shlex.split(template)
        except ValueError:  # a quote is not closed, which is told of where the command is checked
            return template
        return shlex.join([self.text(word, place) for word in words])

    def _filled(self, match: re.Match[str]) -> str:
        value = self.get(match[1])
        return match[0] if value is None else value

    def holds(self, condition: str) -> bool:
        """Whether a condition is true; also if it asks for a value that is not known yet.

        Raises:
            BadInput: It is no condition, or asks for what no variable is.
        """
        match = _CONDITION.fullmatch(condition.strip())
        if match is None:
            raise BadInput(f"{_short(condition)} is no condition")
        negated, alone, left, sign, right = match.groups()
        value = self._operand(alone if sign is None else left)
        if value is None:
            return True
        if sign is None:
            return is_true(value) != bool(negated)
        other = self._operand(right)
        return True if other is None else (value == other) == (sign == "==")

    def _operand(self, operand: str) -> str | None:
        """The text that an operand stands for; None if a value is not known yet."""
        if operand and operand[0] in "\"'":
            return operand[1:-1]
        for name in PLACEHOLDER.findall(operand):
            if name not in self.declared and name not in self.given:
                raise BadInput(f"it asks for {name!a}, which no variable is")
            if self.get(name) is None:
                return None
        return self.text(operand)

    # What is wrong with them

    def _check_value(self, name: str, value: str) -> None:
        variable = self.declared.get(name)
        place = f"{VARIABLE}{name}"
        if variable is not None:
            for wrong in wrong_with(variable, value):
                self._problems.note(place, wrong)
            if variable.required and not value.strip():
                self._problems.note(place, "it is needed, and empty")
        try:
            check_text("value", value)
        except OrchestratorError as error:
            self._problems.note(place, error.message)

    def check(self) -> None:
        """Note what was asked for and is not there, and what was given and nobody asked for."""
        if not self.strict:
            return
        for name, variable in self.declared.items():
            is_needed = name in self._own and (variable.required or variable.required_unless)
            others = [other for other in variable.required_unless if other in self.known]
            if not (name in self._asked or is_needed) or others or name in self.known:
                continue
            what = f": {variable.description}" if variable.description else ""
            unless = " or ".join(variable.required_unless)
            instead = f" (or {unless})" if unless else ""
            self._problems.note(
                f"{VARIABLE}{name}", f"it is needed{instead}{what}. Give it: --var {name}=VALUE"
            )
        for name in self.given:
            if name not in self.declared and name not in self._asked:
                near = did_you_mean(name, self.declared)
                self._problems.note(f"{VARIABLE}{name}", f"the formula has none of this name{near}")


def is_condition(text: str) -> bool:
    """Whether a text has one of the forms of a condition, and asks for a variable."""
    return _CONDITION.fullmatch(text.strip()) is not None and ("{" in text or "\ue000" in text)


def names_in(text: str) -> list[str]:
    """The names that the placeholders of a text say."""
    return PLACEHOLDER.findall(text)


def is_true(value: str) -> bool:
    """Whether a value counts as true in a condition."""
    return value.strip().casefold() not in FALSE


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
    # The usual module has no time limit, and a pattern comes from a file that somebody else may have written.
    import regex

    try:
        return regex.search(pattern, value, timeout=PATIENCE) is not None
    except TimeoutError:
        return False
    except regex.error:  # told of where the formula is checked
        return True


def wrong_pattern(pattern: str) -> str:
    """Why a pattern is no regular expression; empty if it is one."""
    import regex

    try:
        regex.compile(pattern)
    except (regex.error, RecursionError, OverflowError) as error:
        return str(error)
    return ""


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
        said = tomllib.loads(text)
        check_numbers(said)
        return said
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise BadInput(f"The variables are no TOML: {error}") from None


def _says_something(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _pair_of_line(line: str) -> tuple[str, str]:
    try:
        name, value = pair_of(line)
    except ValueError as error:
        raise BadInput(str(error)) from None
    return name, _unquoted(value.strip())


def _unquoted(text: str) -> str:
    """A value without the quotes around it, as such files often have them."""
    is_quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1] if is_quoted else text
