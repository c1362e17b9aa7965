"""Filters of tasks as conditions in SQL on the table ``tasks`` of the index, called ``t``.

They select the same tasks as :mod:`orchestrator.domain.tasks.filters`. A condition is 0 or 1 and never NULL,
so that NOT means the same in both.
"""

from collections.abc import Iterator
from itertools import count, zip_longest

from orchestrator.domain.tasks.fact_values import LISTS
from orchestrator.domain.tasks.filter_fields import FIELDS, NUMBERS, Field
from orchestrator.domain.tasks.filters import Compare, Every, Filter, Not
from orchestrator.domain.tasks.given_facts import FACTS
from orchestrator.index.views import HAS_OPEN_PART, OPEN

_IS_ACTIVE = "(SELECT w.status FROM workstreams w WHERE w.name = t.workstream) = 'active'"
_IS_READY = f"(t.free_from <= :now AND {_IS_ACTIVE} AND NOT {HAS_OPEN_PART})"

_STAGE = f"""CASE
  WHEN t.status IN ('assigned', 'in_progress') AND coalesce(t.lease_until, '') <= :now THEN 'lapsed'
  WHEN t.status <> 'pending' THEN t.status
  WHEN {_IS_READY} THEN 'ready'
  WHEN t.is_clear AND {_IS_ACTIVE} AND t.defer_until > :now THEN 'deferred'
  ELSE 'waiting' END"""

_LISTED = {name for name, fact in FACTS.items() if fact.kind in LISTS and fact.kind != "pairs"}

COLUMNS: dict[str, str] = {
    **{
        name: f"t.{field.source}" for name, field in FIELDS.items() if isinstance(field.source, str)
    },
    **{name: f"SELECT value FROM json_each(t.{name})" for name in _LISTED},
    **{
        name: f"SELECT value FROM json_each(t.checks, '$.{name}')"
        for name in ("verify", "artifacts")
    },
    "notes": "SELECT text AS value FROM notes WHERE task = t.id",
    "meta": "SELECT key, value FROM json_each(t.meta)",
    "review": "coalesce(json_extract(t.checks, '$.review'), 0)",
    "event": "t.changed",
    "open": f"t.{OPEN}",
    "overdue": f"(t.due <= :now AND t.{OPEN})",
    "ready": _IS_READY,
    "stage": _STAGE,
    "waits_for": "t.gate",
}
"""The SQL for each fact: an expression, or a query of the values of a fact with several values."""


def condition(filter: Filter, now: str) -> tuple[str, dict[str, object]]:
    """Return a filter as a condition in SQL, and the values of its parameters.

    Args:
        filter: The filter of :func:`orchestrator.domain.tasks.where.parse` or of an option.
        now: The present time, for leases, moments and overdue tasks.
    """
    parameters: dict[str, object] = {"now": now}
    return _sql(filter, parameters, (f"w{number}" for number in count())), parameters


def passing_task(filter: Filter, now: str, column: str) -> tuple[str, dict[str, object]]:
    """Return the condition that the task whose id is in a column passes a filter, and its parameters."""
    sql, parameters = condition(filter, now)
    return f"EXISTS (SELECT 1 FROM tasks t WHERE t.id = {column} AND {sql})", parameters


def _sql(filter: Filter, parameters: dict[str, object], names: Iterator[str]) -> str:
    if isinstance(filter, Compare):
        return _compared(filter, parameters, names)
    if isinstance(filter, Not):
        return f"NOT {_sql(filter.of, parameters, names)}"
    word, nothing = ("AND", "1") if isinstance(filter, Every) else ("OR", "0")
    parts = [_sql(part, parameters, names) for part in filter.of] or [nothing]
    while len(parts) > 1:  # in pairs: SQLite limits the depth of an expression
        pairs = zip_longest(parts[::2], parts[1::2])
        parts = [f"({one} {word} {other})" if other else one for one, other in pairs]
    return parts[0]


def _compared(compare: Compare, parameters: dict[str, object], names: Iterator[str]) -> str:
    field = compare.field
    if field.form == "flag":
        return f"coalesce({COLUMNS[field.name]}, 0)"
    if compare.operator == "empty":
        return _empty(field, parameters, names)
    name = next(names)
    parameters[name] = _pattern(compare.value) if compare.operator == "like" else compare.value
    if field.key or field.many:
        return f"EXISTS ({_values(field, parameters, names)} WHERE {_test(compare, 'value', name)})"
    return f"coalesce({_test(compare, COLUMNS[field.name], name)}, 0)"


def _empty(field: Field, parameters: dict[str, object], names: Iterator[str]) -> str:
    if field.key or field.many:
        return f"NOT EXISTS ({_values(field, parameters, names)} WHERE value <> '')"
    column = COLUMNS[field.name]
    return f"({column} IS NULL{'' if field.form in NUMBERS else f' OR {column} = {_NOTHING}'})"


_NOTHING = "''"


def _values(field: Field, parameters: dict[str, object], names: Iterator[str]) -> str:
    """The query of the values of a fact, to which a condition is added."""
    if not field.key:
        return f"SELECT 1 FROM ({COLUMNS[field.name]})"
    name = next(names)
    parameters[name] = field.key
    return f"SELECT 1 FROM ({COLUMNS['meta']} WHERE key = :{name})"


def _test(compare: Compare, column: str, name: str) -> str:
    if compare.operator == "contains":
        return f"instr(casefold(coalesce({column}, '')), :{name}) > 0"
    if compare.operator == "like":
        return f"casefold(coalesce({column}, '')) GLOB :{name} AND {column} <> ''"
    return f"{column} {compare.operator} :{name}"


def _pattern(text: str) -> str:
    """A pattern for GLOB, in which only ``*`` and ``?`` have a meaning."""
    return text.replace("[", "[[]")
