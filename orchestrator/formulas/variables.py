"""Variables of formulas: which values they allow, and values read from files."""

import re
import tomllib
from collections.abc import Iterator

from orchestrator.core.errors import BadInput
from orchestrator.formulas.parse import as_text, check_numbers
from orchestrator.formulas.schema import Variable

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")

PATIENCE = 1.0
"""Seconds that matching a value with a pattern may take."""

_SHOWN = 60
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_BOOLEAN = re.compile("true|false|yes|no|on|off|1|0", re.IGNORECASE)
_FORMS = {
    "integer": _INTEGER, "int": _INTEGER, "number": _NUMBER, "float": _NUMBER,
    "boolean": _BOOLEAN, "bool": _BOOLEAN,
}  # fmt: skip


def value_problems(variable: Variable, value: str) -> Iterator[str]:
    """Yield why a variable does not allow a value."""
    form = _FORMS.get(variable.type)
    if form is not None and not form.fullmatch(value):
        yield f"{shown(value)} is not of the type {variable.type}"
    allowed = [as_text(item) for item in variable.enum]
    if allowed and value not in allowed:
        yield f"{shown(value)} is not one of {', '.join(allowed)}"
    if variable.pattern and not _matches(variable.pattern, value):
        yield f"{shown(value)} does not match the pattern {shown(variable.pattern)}"


def _matches(pattern: str, value: str) -> bool:
    # `re` has no time limit, and the pattern comes from a file that someone else may have written.
    import regex

    try:
        return regex.search(pattern, value, timeout=PATIENCE) is not None
    except TimeoutError:
        return False
    except regex.error:  # reported where the formula is validated
        return True


def pattern_problem(pattern: str) -> str:
    """Why a pattern is not a regular expression; empty if it is one."""
    import regex

    try:
        regex.compile(pattern)
    except (regex.error, RecursionError, OverflowError) as error:
        return str(error)
    return ""


def shown(text: str) -> str:
    """A text as messages quote it: escaped, and cut to a line."""
    return ascii(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")


# Values in files


def values_of(text: str, name: str = "") -> dict[str, str]:
    """Read the values of a file of variables.

    Args:
        text: The content: a JSON object, TOML, or lines ``NAME=VALUE``.
        name: The name of the file: ``.json`` and ``.toml`` give the form; else the first character does.

    Raises:
        BadInput: It has none of these forms, or a value is not a text, number or boolean.
    """
    if name.endswith(".json") or text.lstrip()[:1] == "{":
        from orchestrator.core.strict_json import strict_json

        values = strict_json(text)
    elif name.endswith(".toml"):
        try:
            values = tomllib.loads(text)
            check_numbers(values)
        except (RecursionError, ValueError) as error:
            raise BadInput(f"The variables are not TOML: {error}") from None
    else:
        return dict(_pairs_of_lines(text))
    if not isinstance(values, dict):
        raise BadInput('The variables are not an object: write {"name": "value"}')
    for key, value in values.items():
        if not isinstance(value, (str, int, float, bool)):
            raise BadInput(f"The variable {key!a} is not a text, number or boolean")
    return {key: as_text(value) for key, value in values.items()}


def pair_of(text: str) -> tuple[str, str]:
    """Split ``NAME=VALUE``.

    Raises:
        ValueError: It does not have this form.
    """
    name, equals, value = text.partition("=")
    if not equals or not NAME.fullmatch(name.strip()):
        raise ValueError(f"{text!a} is not NAME=VALUE")
    return name.strip(), value


def _pairs_of_lines(text: str) -> Iterator[tuple[str, str]]:
    """The pairs of lines; comments are skipped, and quotes around a value are removed."""
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            name, value = pair_of(line)
        except ValueError as error:
            raise BadInput(str(error)) from None
        value = value.strip()
        is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
        yield name, value[1:-1] if is_quoted else value
