"""The values of one compilation, and the texts that they fill.

``{{name}}`` is the value of a declared variable. Undeclared names and the blocks of other template
languages stay in the text for the agent that does the step, and are reported. Every text is filled once, as
the last pass, so no value is ever read as a template.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from orchestrator.core.errors import BadInput, did_you_mean
from orchestrator.core.problems import Problems
from orchestrator.domain.validation import LONGEST_TEXT, check_text
from orchestrator.formulas.parse import as_text
from orchestrator.formulas.schema import Formula, Variable
from orchestrator.formulas.variables import value_problems

PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_-]*)\s*\}\}")

VARIABLE = "variable "
"""The start of the place of a problem with a value; the name of the variable follows."""

MOST_TEXT = 64 * 1024 * 1024
"""The largest length of all texts of a compilation together."""

_SHOWN = 60
_BOUND = re.compile("\ue000([0-9]{1,9})\ue001")
_ONLY_PLACEHOLDER = re.compile(
    r"^[ \t]*\{\{\s*([A-Za-z_][A-Za-z0-9_-]*)\s*\}\}[ \t]*(?:\n(?:[ \t]*\n)?|\Z)", re.MULTILINE
)


def blocks(text: str) -> Iterator[tuple[int, int]]:
    """Yield where the blocks ``{{...}}`` of a text begin and end.

    A regular expression would look for an end behind each beginning, which takes hours in a long text.
    """
    end = 0
    while (begin := text.find("{{", end)) >= 0:
        close = text.find("}}", begin + 2)
        if close < 0:
            return
        end = close + 2
        yield begin, end


class Values:
    """The values of one compilation; they fill its texts, and record which variables were used.

    Args:
        formulas: The compiled formula, then those that it uses; the first declaration of a name counts.
        given: Values by name.
        problems: Receives values that are not allowed.
        strict: Every value that is used must be known. Otherwise its placeholder stays.

    Attributes:
        known: The values that are known: given ones, and defaults.
        runtime: Placeholders that stay in texts, with the first place of each.
    """

    def __init__(
        self,
        formulas: Iterable[Formula],
        given: Mapping[str, str],
        problems: Problems,
        *,
        strict: bool,
    ) -> None:
        formula, *others = formulas
        self._own = formula.variables
        self.declared: dict[str, Variable] = {}
        for variables in (self._own, *(other.variables for other in others)):
            self.declared |= {n: v for n, v in variables.items() if n not in self.declared}
        self.given = dict(given)
        self.strict = strict
        self.runtime: dict[str, str] = {}
        self.defaults = {
            name: as_text(variable.default)
            for name, variable in self.declared.items()
            if variable.default is not None
        }
        self.known = self.defaults | self.given
        self._problems = problems
        self._text_left = MOST_TEXT
        self._used: set[str] = set()
        self._bound: list[tuple[str, bool]] = []
        for name, value in self.given.items():
            self._check_value(name, value)

    def spend(self, text: str) -> str:
        """Count a text that was made.

        Raises:
            BadInput: It is too long, or all texts together are.
        """
        self._spend(len(text))
        return text

    def _spend(self, characters: int) -> None:
        self._text_left -= characters
        if self._text_left < 0 or characters > LONGEST_TEXT:
            raise BadInput(
                f"its texts grow beyond {MOST_TEXT} characters, or one beyond {LONGEST_TEXT}"
            )

    # Texts inside other texts

    def bind(self, text: str, *, is_data: bool = False) -> str:
        """A mark in the place of a text until all texts are filled.

        So a text inside a command stays one word, and a text inside a condition is a value.

        Args:
            text: From a formula; its own placeholders are filled then.
            is_data: It comes from elsewhere, and is never read as a template.
        """
        self._bound.append((text, is_data))
        return f"\ue000{len(self._bound) - 1}\ue001"

    def bind_variable(self, name: str, expansion: Formula, given: Mapping[str, str]) -> str:
        """The text for a variable of an expansion: the value given by the rule, else its own default.

        A variable that is given to the compilation, or that the compiled formula declares too, is shared.
        """
        if name in given:
            return self.bind(given[name])
        variable = expansion.vars.get(name)
        is_shared = name in self.given or name in self._own
        if variable is None or variable.default is None or is_shared:
            return f"{{{{{name}}}}}"
        return self.bind(as_text(variable.default))

    # Filling

    @property
    def used(self) -> dict[str, str]:
        """The known values that were given or used, in the order of the formula."""
        order = (name for name in (*self.declared, *self.given) if name in self.known)
        return {n: self.known[n] for n in order if n in self._used or n in self.given}

    def are_known(self, names: Iterable[str]) -> bool:
        """Whether all of these variables have values; they count as used.

        Raises:
            BadInput: One is not declared.
        """
        for name in (names := [*names]):
            if name not in self.declared and name not in self.given:
                raise BadInput(f"it asks for {name!a}, which is not a variable")
        self._used.update(names)
        return all(name in self.known for name in names)

    def fill(self, template: str, place: str = "") -> str:
        """Fill the placeholders of a text; a line with only an empty one is removed.

        Raises:
            BadInput: It grows too long.
        """
        fills = (self._fill_plain, self._bound_text)
        return "".join(fills[n % 2](p, place) for n, p in enumerate(_BOUND.split(template)))

    def _bound_text(self, number: str, place: str) -> str:
        if int(number) >= len(self._bound):
            return f"\ue000{number}\ue001"
        text, is_data = self._bound[int(number)]
        self.spend(text)
        return text if is_data else self.fill(text, place)

    def _fill_plain(self, template: str, place: str) -> str:
        """Fill a text without bound texts."""
        if "{{" not in template:
            return template
        for line in template.split("\n"):
            for begin, end in blocks(line):
                block = line[begin:end]
                name = PLACEHOLDER.fullmatch(block)
                if name is None or (name[1] not in self.declared and name[1] not in self.given):
                    self.runtime.setdefault(block[:_SHOWN], place)
        template = _ONLY_PLACEHOLDER.sub(
            lambda m: "" if self._get(m[1], m[0]) == "" else m[0], template
        )
        names = PLACEHOLDER.findall(template)
        self._spend(len(template) + sum(len(self.known.get(name, "")) for name in names))
        return PLACEHOLDER.sub(lambda match: self._get(match[1], match[0]), template)

    def _get(self, name: str, default: str) -> str:
        self._used.add(name)
        return self.known.get(name, default)

    def fill_command(self, template: str, place: str = "") -> str:
        """Fill the placeholders of a command, so that each value stays within one word.

        A command that is a single placeholder is replaced by its value as a whole.
        """
        template = PLACEHOLDER.sub(r"{{\1}}", template).strip()
        match = PLACEHOLDER.search(template) or _BOUND.search(template)
        if match is None or match[0] == template:
            return self.fill(template, place).strip()
        import shlex

        try:
            words = shlex.split(template)
        except ValueError:  # an open quote, reported where the command is checked
            return template
        return shlex.join([self.fill(word, place) for word in words])

    # Problems

    def _check_value(self, name: str, value: str) -> None:
        variable, place = self.declared.get(name), f"{VARIABLE}{name}"
        if variable is not None:
            for problem in value_problems(variable, value):
                self._problems.note(place, problem)
            if variable.required and not value.strip():
                self._problems.note(place, "it is required, but empty")
        self._problems.attempt(place, check_text, "value", value)

    def check(self) -> None:
        """Note variables that were used and have no value, and values that are given but unknown."""
        if not self.strict:
            return
        for name, variable in self.declared.items():
            is_required = name in self._own and (variable.required or variable.required_unless)
            has_other = any(other in self.known for other in variable.required_unless)
            if not (name in self._used or is_required) or has_other or name in self.known:
                continue
            what = f": {variable.description}" if variable.description else ""
            unless = " or ".join(variable.required_unless)
            message = f"it is required{f' (or {unless})' if unless else ''}{what}"
            self._problems.note(f"{VARIABLE}{name}", f"{message}. Give it: --var {name}=VALUE")
        for name in self.given:
            if name not in self.declared and name not in self._used:
                near = did_you_mean(name, self.declared)
                message = f"the formula has no variable of this name{near}"
                self._problems.note(f"{VARIABLE}{name}", message)
