"""The tasks that a listing selects: by an expression, and by options that narrow it."""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from orchestrator.core.errors import UsageError
from orchestrator.domain.state import State
from orchestrator.domain.tasks.fact_values import pairs_of
from orchestrator.domain.tasks.filter_fields import FIELDS, pair_field
from orchestrator.domain.tasks.filters import (
    Compare,
    Every,
    Filter,
    Passes,
    Some,
    changed_since,
    contains,
    equal,
    one_of,
    passing,
)
from orchestrator.domain.tasks.given_facts import FACTS


def selection(
    state: State,
    now: str,
    *,
    where: str = "",
    workstream: str | None = None,
    status: Iterable[str] = (),
    agent: str | None = None,
    any_labels: Iterable[str] = (),
    flags: Iterable[str] = (),
    text: str | None = None,
    since: str | int | None = None,
    facts: Mapping[str, Any] = MappingProxyType({}),
) -> Passes:
    """Return the test for the tasks that pass an expression and every option of a listing.

    Raises:
        UsageError: The expression cannot be read, or tasks are not filtered by a fact.
        NotFound: A workstream or task is not there.
    """
    parts: list[Filter] = [Compare(FIELDS[name], "=", True) for name in flags]
    single = {"workstream": workstream, "agent": agent}
    parts += [equal(FIELDS[n], v, state, now) for n, v in single.items() if v is not None]
    for name, words in (("status", [*status]), ("labels", [*any_labels])):
        if words:
            parts.append(one_of(FIELDS[name], words, state, now))
    for name, value in facts.items():
        if value is not None:
            parts += _of_fact(name, value, state, now)
    if text:
        parts.append(Some(tuple(contains(FIELDS[n], text) for n in ("title", "description"))))
    if since is not None:
        parts.append(changed_since(since, now))
    if where:
        from orchestrator.domain.tasks.where import parse  # the parser loads slowly

        parts.append(parse(where, state, now))
    return passing(Every(tuple(parts)), state, now)


def _of_fact(name: str, value: Any, state: State, now: str) -> Iterator[Filter]:
    """Yield the filters for a fact that was given: all items of a list, else the same value."""
    if not FACTS[name].filter:
        raise UsageError(
            f"Tasks are not filtered by {name}", hint=f"An expression is: {name} = ..."
        )
    if FACTS[name].kind == "pairs":
        fields = ((pair_field(key), text) for key, text in pairs_of(name, value).items())
    else:
        fields = ((FIELDS[name], text) for text in (value if FIELDS[name].many else [value]))
    for field, text in fields:
        yield equal(field, str(text), state, now)
