"""Filters of tasks: expressions over their facts, and what they mean for a record.

:mod:`orchestrator.index.filters` makes SQL of a filter; a test checks that both select the same tasks.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec

from orchestrator.core import clock
from orchestrator.core.errors import UsageError, did_you_mean
from orchestrator.core.moments import moment
from orchestrator.domain.state import State
from orchestrator.domain.tasks.fact_values import STATUS_WORDS, priority_of
from orchestrator.domain.tasks.filter_fields import FIELDS, NUMBERS, Field
from orchestrator.domain.tasks.lookup import resolve
from orchestrator.domain.tasks.records import ENDED, STATUSES, Task, TaskStatus
from orchestrator.domain.tasks.stages import STANDINGS

Operator = Literal["=", "<", "<=", ">", ">=", "contains", "like", "empty"]

Passes = Callable[[Task], bool]
"""Whether a task passes a filter."""

MOST_WILD = 8
"""Stars of a pattern: each one more multiplies what a match costs."""


class Compare(msgspec.Struct, frozen=True):
    """A comparison of one fact; ``value`` is of the fact's form, and folded for texts and patterns."""

    field: Field
    operator: Operator
    value: Any = None


class Not(msgspec.Struct, frozen=True):
    """What passes if another filter does not."""

    of: "Filter"


class Every(msgspec.Struct, frozen=True):
    """What passes if all of some filters do; without any, all tasks do."""

    of: tuple["Filter", ...]


class Some(msgspec.Struct, frozen=True):
    """What passes if one of some filters does."""

    of: tuple["Filter", ...]


Filter = Compare | Not | Every | Some


# What filters mean


def passing(filter: Filter, state: State, now: str) -> Passes:
    """Return what says whether a task passes a filter."""
    if isinstance(filter, Compare):
        return _comparing(filter, state, now)
    if isinstance(filter, Not):
        inner = passing(filter.of, state, now)
        return lambda task: not inner(task)
    tests = [passing(part, state, now) for part in filter.of]
    if len(tests) == 1:
        return tests[0]
    if isinstance(filter, Every):
        return lambda task: all(test(task) for test in tests)
    return lambda task: any(test(task) for test in tests)


def _comparing(compare: Compare, state: State, now: str) -> Passes:
    read = compare.field.reader(state, now)
    if compare.operator == "empty":
        if compare.field.form in NUMBERS:
            return lambda task: read(task) is None
        return lambda task: not read(task)
    test = _TESTS[compare.operator](compare.value)
    if compare.field.many:
        return lambda task: any(map(test, read(task)))
    if compare.field.form in NUMBERS:
        return lambda task: (value := read(task)) is not None and test(value)
    # What is not there is an empty text, or None.
    return lambda task: bool(value := read(task)) and test(value)


def _matching(pattern: str) -> Callable[[str], bool]:
    import fnmatch

    # `fnmatch` makes an expression that does not go back over what a star took.
    match = re.compile(fnmatch.translate(pattern.replace("[", "[[]"))).match
    return lambda value: match(value.casefold()) is not None


_TESTS: dict[Operator, Callable[[Any], Callable[[Any], bool]]] = {
    "=": lambda wanted: lambda value: value == wanted,
    "<": lambda limit: lambda value: value < limit,
    "<=": lambda limit: lambda value: value <= limit,
    ">": lambda limit: lambda value: value > limit,
    ">=": lambda limit: lambda value: value >= limit,
    "contains": lambda text: lambda value: text in value.casefold(),
    "like": _matching,
}


# How filters are made


def value_of(field: Field, text: str, state: State, now: str, *, is_end: bool = False) -> Any:
    """Return the value that a text means for a fact.

    Args:
        field: The fact.
        text: The value as it was written.
        state: The board, for the tasks and workstreams that are named.
        now: The time that moments are counted from.
        is_end: A whole day means its end.

    Raises:
        UsageError: It is no value of the fact.
        NotFound: It names no task or workstream.
    """
    if field.form == "moment":
        return _moment(field, text, now, is_end=is_end)
    if field.form in NUMBERS:
        return _number(field, text)
    if field.form == "task":
        return resolve(state, text)
    if field.form == "workstream":
        return state.workstreams.find(text) and text
    if field.form == "text":
        return text.casefold()
    return text


def equal(field: Field, text: str, state: State, now: str) -> Filter:
    """Return the filter for tasks whose fact is what a text means: one of its values, if there are many.

    An empty text means that there is no value. A long text is searched, as beads does it. A whole day is any
    time of it.

    Raises:
        UsageError: It is no value of the fact.
        NotFound: It names no task or workstream.
    """
    if field.form == "flag":
        return Compare(field, "=", True) if _flag(field, text) else Not(Compare(field, "=", True))
    if text == "":
        return Compare(field, "empty")
    if field.form in ("status", "stage"):
        return _standing(text)
    value = value_of(field, text, state, now)
    if field.form == "text":
        return Compare(field, "contains", value)
    if field.form == "moment":
        end = value_of(field, text, state, now, is_end=True)
        if end != value:
            return Every((Compare(field, ">=", value), Compare(field, "<=", end)))
    return Compare(field, "=", value)


def ordered(field: Field, operator: Operator, text: str, state: State, now: str) -> Filter:
    """Return the filter for tasks whose fact comes before or after what a text means; days are whole days."""
    is_end = operator in ("<=", ">")
    return Compare(field, operator, value_of(field, text, state, now, is_end=is_end))


def contains(field: Field, text: str) -> Filter:
    """Return the filter for tasks whose fact holds a text, in any case.

    Raises:
        UsageError: The text is empty.
    """
    if not text:
        raise UsageError("An empty text is in every text")
    return Compare(field, "contains", text.casefold())


def like(field: Field, text: str) -> Filter:
    """Return the filter for tasks whose fact is as a pattern says: ``*`` is any text, ``?`` a character.

    Raises:
        UsageError: The pattern has too many stars.
    """
    pattern = re.sub(r"[*%]+", "*", text.casefold())
    if pattern.count("*") > MOST_WILD:
        raise UsageError(f"A pattern may have {MOST_WILD} stars")
    return Compare(field, "like", pattern)


def one_of(field: Field, texts: Iterable[str], state: State, now: str) -> Filter:
    """Return the filter for tasks whose fact is one of these."""
    return Some(tuple(equal(field, text, state, now) for text in texts))


def changed_since(since: str | int, now: str) -> Filter:
    """Return the filter for tasks that changed after an event, or from a time on."""
    from orchestrator.domain.event_log import beginning

    limit = beginning(since, now)
    if isinstance(limit, int):
        return Compare(FIELDS["event"], ">", limit)
    return Compare(FIELDS["updated"], ">=", limit)


GROUPS: dict[str, tuple[TaskStatus, ...]] = {"open": ("pending",), "closed": ENDED}
"""The words of beads for a status, with the statuses here that they mean."""

_MEANT = {word: status for words, status in STATUS_WORDS.items() for word in words.split()}


def _standing(word: str) -> Filter:
    """Return the filter for tasks of this status or stage.

    Raises:
        UsageError: There is none of this name.
    """
    folded = word.casefold()
    if folded in GROUPS:
        return Some(tuple(Compare(FIELDS["status"], "=", status) for status in GROUPS[folded]))
    meant = _MEANT.get(folded, folded)
    if meant not in STANDINGS:
        near = did_you_mean(folded, (*STANDINGS, *GROUPS))
        raise UsageError(f"{word!a} is not a status{near}", hint=f"One of {', '.join(STANDINGS)}.")
    return Compare(FIELDS["status" if meant in STATUSES else "stage"], "=", meant)


def _flag(field: Field, text: str) -> bool:
    flags = {
        "true": True,
        "yes": True,
        "1": True,
        "false": False,
        "no": False,
        "0": False,
        "": False,
    }
    if text.casefold() not in flags:
        raise UsageError(
            f"{text!a} is neither true nor false", hint=f"Write {field.name} or not {field.name}."
        )
    return flags[text.casefold()]


def _number(field: Field, text: str) -> float:
    if re.fullmatch(r"-?\d{1,15}(\.\d{1,6})?", text, re.ASCII):
        return float(text) if "." in text else int(text)
    if field.form == "priority" and (number := priority_of(text)) is not None:
        return number
    if field.form == "minutes" and clock.is_duration(text.casefold()):
        return clock.duration(text) / 60
    more = {"minutes": " and no duration", "priority": " and no priority"}.get(field.form, "")
    raise UsageError(f"{text!a} is no number{more}", hint=_NUMBERS[field.form])


_NUMBERS = {"priority": "Write 2, P2 or high.", "minutes": "Write 90 or 2h.", "number": "Write 2."}


def _moment(field: Field, text: str, now: str, *, is_end: bool) -> str:
    sign, rest = text[:1], text[1:]
    if sign in ("-", "+") and clock.is_duration(rest.strip().casefold()):
        return clock.after(now, clock.duration(rest) * (-1 if sign == "-" else 1))
    return moment(text, now, is_past=not field.is_ahead, is_end=is_end)
