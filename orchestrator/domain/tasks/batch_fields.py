"""Read the fields of a batch entry, written in JSON, YAML or text."""

from collections.abc import Callable
from typing import Any

from orchestrator.core import clock
from orchestrator.core.calls import check_list, split_list
from orchestrator.core.decoding import whole_number
from orchestrator.core.errors import UsageError, did_you_mean
from orchestrator.domain.tasks.fact_values import CLEARED, Kind, priority_of
from orchestrator.domain.tasks.given_facts import FACTS
from orchestrator.domain.tasks.relations import KINDS


def read_field(name: str, value: Any, known: "dict[str, Reader]") -> Any:
    """Read the value of a field as adding and editing take it.

    Args:
        name: The field.
        value: What the entry says.
        known: :data:`ADDING` or :data:`EDITING`.

    Raises:
        UsageError: There is no such field, or the value is of another kind.
    """
    if name in known:
        return known[name](name, value)
    if name in EDITING or name in ADDING:
        place = "without an id" if name in ADDING else "with an id"
        raise UsageError(f"{name!a} goes with an entry {place} only")
    raise UsageError(f"{name!a} is not a field here{did_you_mean(name, known)}")


def words(value: Any) -> list[Any]:
    """Return the items of a list, or the words of a text between commas and blanks."""
    if isinstance(value, str):
        return [word for item in split_list(value) for word in item.split() or [""]]
    return value if isinstance(value, list) else []


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{name} is not a text")
    return value


def _word(name: str, value: Any) -> str:
    if not _text(name, value):
        raise UsageError(f"{name} is empty")
    return str(value)


def _words(name: str, value: Any) -> list[str]:
    return _lines(name, words(value) if isinstance(value, str) else value)


def _lines(name: str, value: Any) -> list[str]:
    """Return a list; a text is a list of one item."""
    if isinstance(value, str):
        return [*split_list(value, commas=False)]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise UsageError(f"{name} is not a list of texts")
    check_list(name, value)
    return value


def _integer(name: str, value: Any) -> int:
    if isinstance(value, str) and (number := whole_number(value, 9)) is not None:
        return number
    if name == "priority" and isinstance(value, str) and (number := priority_of(value)) is not None:
        return number
    if isinstance(value, bool) or not isinstance(value, int):
        raise UsageError(f"{name} is not a whole number")
    return value


def _minutes(name: str, value: Any) -> float:
    has_unit = isinstance(value, str) and not value.strip()[-1:].isdecimal()
    return _seconds(name, value) / (60 if has_unit else 1)


def _seconds(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise UsageError(f"{name} is not a number")
    return clock.duration(value)


def _flag(name: str, value: Any) -> bool:
    flag = {"true": True, "yes": True, "false": False, "no": False}.get(str(value).casefold())
    if flag is None:
        raise UsageError(f"{name} is neither true nor false")
    return flag


def _pairs(name: str, value: Any) -> Any:
    """Return an object, or texts ``key=value``, or the words of a text between commas and blanks."""
    if not isinstance(value, dict):
        return _words(name, value)
    if not all(isinstance(item, str) for item in value.values()):
        raise UsageError(f"{name} is not an object of texts")
    return value


Reader = Callable[[str, Any], Any]
"""Makes the value of a field from its name and what was written."""

_READERS: dict[Kind, Reader] = {
    "text": _text,
    "word": _text,
    "task": _text,
    "time": _text,
    "integer": _integer,
    "minutes": _minutes,
    "duration": _seconds,
    "words": _words,
    "tasks": _words,
    "lines": _lines,
    "pairs": _pairs,
    "flag": _flag,
}


def _reader(kind: Kind) -> Reader:
    """The reader of a kind of fact; an empty text stays one where it clears the fact."""
    read = _READERS[kind]
    if kind not in CLEARED:
        return read
    return lambda name, value: value if value == "" else read(name, value)


_SHARED: dict[str, Reader] = {
    "key": _word,
    **{name: _reader(fact.kind) for name, fact in FACTS.items()},
    "assign": _word,
    **dict.fromkeys(KINDS, _words),
}
ADDING: dict[str, Reader] = {"workstream": _word, "name": _word, **_SHARED}
"""The fields of an entry that adds a task."""
EDITING: dict[str, Reader] = {"id": _word, "reason": _text, **_SHARED}
"""The fields of an entry that edits a task."""
