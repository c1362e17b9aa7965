"""Conditions: ``{{v}}``, ``!{{v}}``, ``{{v}} == x`` and ``{{v}} != x``."""

import re

from orchestrator.core.errors import BadInput
from orchestrator.formulas.values import PLACEHOLDER, Values
from orchestrator.formulas.variables import shown

FALSE = ("", "false", "0", "no", "off")
"""The texts that count as false, in any case of letters."""

_OPERAND = (
    r"(?:\{\{\s*[A-Za-z_][A-Za-z0-9_-]*\s*\}\}|\ue000[0-9]+\ue001"
    r"|\{[A-Za-z_][A-Za-z0-9_.-]*\}|\"[^\"]*\"|'[^']*'|[^\s!={}&|'\"]+)"
)
_CONDITION = re.compile(
    rf"(!?)\s*({_OPERAND}?)|({_OPERAND}?)\s*(==|!=)\s*({_OPERAND}(?:\s+{_OPERAND})*|)"
)


def is_condition(text: str) -> bool:
    """Whether a text has one of the forms of a condition, and refers to a variable."""
    return _CONDITION.fullmatch(text.strip()) is not None and ("{" in text or "\ue000" in text)


def holds(condition: str, values: Values) -> bool:
    """Whether a condition is true. A condition with an unknown value counts as true.

    Raises:
        BadInput: It is not a condition, or refers to an undeclared variable.
    """
    match = _CONDITION.fullmatch(condition.strip())
    if match is None:
        raise BadInput(f"{shown(condition)} is not a condition")
    negation, single, left, operator, right = match.groups()
    value = _operand(left if operator else single, values)
    if value is None:
        return True
    if not operator:
        return (value.strip().casefold() not in FALSE) != bool(negation)
    other = _operand(right, values)
    return True if other is None else (value == other) == (operator == "==")


def _operand(operand: str, values: Values) -> str | None:
    """The value of an operand; None if it is not known yet."""
    if operand and operand[0] in "\"'":
        return operand[1:-1]
    names = PLACEHOLDER.findall(operand)
    return values.fill(operand) if values.are_known(names) else None
