"""Formula files parsed by the schema; every problem is noted with its place.

This checks only the shape: keys, and the kinds of values. Their meaning is checked by
:mod:`orchestrator.formulas.validate`, after the formulas that a formula extends are merged in.
"""

import functools
import tomllib
import typing
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

from orchestrator.core.decoding import decode_text
from orchestrator.core.errors import BadInput, did_you_mean
from orchestrator.core.problems import Problems
from orchestrator.core.strict_json import strict_json
from orchestrator.formulas.schema import Formula, Variable

S = TypeVar("S", bound=msgspec.Struct)

MEND = "Correct these places in the files."
"""The hint for problems in formula files."""

LONGEST = 4 * 1024 * 1024
"""Bytes of a formula file."""

DEEPEST = 20
"""Levels of nested steps: children, or bodies of loops."""


def read(data: bytes, file: str, problems: Problems) -> Formula:
    """Parse a formula; a value that cannot be read counts as not given.

    Args:
        data: The content of the file.
        file: The name of the file, for messages.
        problems: Receives the problems.

    Raises:
        BadInput: It is not TOML, or not JSON if the name of the file says so.
    """
    unreadable = Problems(f"{file} cannot be read", code="bad_formula", hint=MEND)
    value = unreadable.attempt(file, _json if file.endswith(".json") else _toml, data)
    unreadable.check()
    return _TableParser(file, problems).table(Formula, value, "", 0)


def _toml(data: bytes) -> dict[str, Any]:
    if len(data) > LONGEST:
        raise BadInput(f"it has {len(data)} bytes; {LONGEST} are allowed")
    try:
        value = tomllib.loads(decode_text(data, "it"))
        check_numbers(value)
        return value
    except RecursionError:
        raise BadInput("it is nested too deep") from None
    except ValueError as error:  # bad syntax, or a number of 5,000 digits
        raise BadInput(f"it is not TOML: {error}") from None


def _json(data: bytes) -> Any:
    if len(data) > LONGEST:
        raise BadInput(f"it has {len(data)} bytes; {LONGEST} are allowed")
    return strict_json(decode_text(data, "it"))


def check_numbers(value: object) -> None:
    """Refuse whole numbers beyond 64 bits: TOML has them, JSON readers do not.

    Raises:
        BadInput: There is one.
    """
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            check_numbers(item)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise BadInput("a whole number is beyond 64 bits")


@functools.cache
def _keys(record: type[msgspec.Struct]) -> dict[str, tuple[str, Any]]:
    """The keys of a table, each with its field and the type of that."""
    hints = typing.get_type_hints(record)
    fields = msgspec.structs.fields(record)
    return {f.encode_name: (f.name, hints[f.name]) for f in fields if f.name != "place"}


def _record_in(hint: Any) -> type[msgspec.Struct] | None:
    """The record that a field of this type holds, alone or several."""
    hints = (hint, *typing.get_args(hint))
    return next((h for h in hints if isinstance(h, type) and issubclass(h, msgspec.Struct)), None)


_WORDS = {
    str: "a text",
    bool: "true or false",
    bool | None: "true or false",
    int: "a whole number",
    int | None: "a whole number",
    int | str | None: "a whole number, or a text with variables",
    float | str | None: "a number, or a duration such as 2h",
    tuple[str, ...]: "a list of texts",
}


class _TableParser:
    """Makes records of the tables of one file."""

    def __init__(self, file: str, problems: Problems) -> None:
        self._file = file
        self._problems = problems

    def table(self, record: type[S], value: Any, place: str, depth: int) -> S:
        """Make a record of a table."""
        place = _with_id(value, place)
        if not isinstance(value, dict):
            self._note(place, f"it is not a table, but {_kind(value)}")
            return record()
        if depth > DEEPEST:
            self._note(place, f"it is nested deeper than {DEEPEST} levels")
            return record()
        given: dict[str, Any] = {}
        keys = _keys(record)
        for key, item in value.items():
            if key in keys:
                name, hint = keys[key]
                given[name] = self._value(hint, item, _under(place, key), place, depth)
            else:
                self._note(place, f"unknown key {key!a}{did_you_mean(key, keys)}")
        if "place" in record.__struct_fields__:
            given["place"] = self._in_file(place)
        return record(**{name: item for name, item in given.items() if item is not msgspec.UNSET})

    def _value(self, hint: Any, value: Any, inside: str, place: str, depth: int) -> Any:
        """The value of a key; ``UNSET`` if it is of another kind."""
        record, origin = _record_in(hint), typing.get_origin(hint)
        if origin is dict:
            if not isinstance(value, dict):
                self._note(place, f"{_last(inside)} is not a table, but {_kind(value)}")
                return msgspec.UNSET
            if record is not None:
                return {k: self._named(record, v, f"{inside}.{k}") for k, v in value.items()}
            return {k: as_text(v) for k, v in value.items() if self._is_plain(v, f"{k} ", inside)}
        if record is not None:
            tables = origin is tuple
            return (tuple if tables else next)(self._tables(record, value, inside, depth, tables))
        try:
            return msgspec.convert(value, hint)
        except (msgspec.ValidationError, OverflowError):
            expected = _WORDS.get(hint, "of another kind")
            self._note(place, f"{_last(inside)} is not {expected}, but {_kind(value)}")
            return msgspec.UNSET

    def _tables(
        self, record: type[S], value: Any, place: str, depth: int, is_list: bool
    ) -> Iterator[S]:
        """Make records of a list of tables; a single table is a list of one."""
        if not is_list or isinstance(value, dict):
            yield self.table(record, value, place, depth + is_list)
        elif isinstance(value, list):
            for number, item in enumerate(value):
                yield self.table(record, item, f"{place}[{number}]", depth + 1)
        else:
            self._note(place, f"it is not a list of tables, but {_kind(value)}")

    def _named(self, record: type[msgspec.Struct], value: Any, place: str) -> msgspec.Struct:
        """A record with a name; a plain value under ``vars`` is the default of a variable."""
        is_default = record is Variable and not isinstance(value, (dict, list))
        if is_default and self._is_plain(value, "it ", place):
            return Variable(default=value, place=self._in_file(place))
        return self.table(record, value, place, 0)

    def _is_plain(self, value: Any, name: str, place: str) -> bool:
        is_plain = isinstance(value, (str, int, float, bool))
        if not is_plain:
            self._note(place, f"{name}is not a text, but {_kind(value)}")
        return is_plain

    def _in_file(self, place: str) -> str:
        return f"{self._file}: {place}" if place else self._file

    def _note(self, place: str, message: str) -> None:
        self._problems.note(self._in_file(place), message)


def as_text(value: object) -> str:
    """A plain value of a file as text, as other texts use it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _with_id(value: Any, place: str) -> str:
    """The place of a table with the id of its step: ``steps[1] (design)``."""
    step = value.get("id") if isinstance(value, dict) else None
    is_step = isinstance(step, str) and step and place and not _last(place).startswith("gate")
    return f"{place} ({step})" if is_step else place


def _under(place: str, key: str) -> str:
    """The place of a key of a table: ``steps[1].children``, without the id of the table."""
    return f"{place.partition(' (')[0]}.{key}" if place else key


def _last(place: str) -> str:
    return place.rpartition(".")[2]


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "true or false"
    words = {str: "a text", int: "a number", float: "a number", list: "a list", dict: "a table"}
    if value is None:
        return "null"
    return next((words[kind] for kind in words if isinstance(value, kind)), "a time")
