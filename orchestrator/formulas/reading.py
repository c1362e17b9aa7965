"""A formula file read by its schema: what is wrong with any key of it is noted with its place.

Only shapes are looked at here: keys, and kinds of values. What they mean together is
:mod:`orchestrator.formulas.checking`, which sees a formula with those that it extends.
"""

import functools
import tomllib
import types
import typing
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

from orchestrator.core.errors import (
    BadInput,
    did_you_mean,
)
from orchestrator.core.problems import (
    Problems,
)
from orchestrator.formulas.schema import Formula, Variable

S = TypeVar("S", bound=msgspec.Struct)

MEND = "Mend these places in the files."
"""What to do about what is wrong with formula files."""

LONGEST = 4 * 1024 * 1024
"""Bytes of a formula file."""

DEEPEST = 20
"""Levels that steps may be nested, as children or bodies of loops."""


def read(data: bytes, file: str, problems: Problems) -> Formula:
    """Read a formula, as far as it can be read.

    Args:
        data: What the file holds.
        file: The file, for messages.
        problems: Told what is wrong, and where.

    Raises:
        BadInput: It is no TOML.
    """
    unreadable = Problems(f"{file} cannot be read", code="bad_formula", hint=MEND)
    value = unreadable.attempt(file, _toml, data)
    unreadable.check()
    return _TableReader(file, problems).record(Formula, value, "", 0)


def _toml(data: bytes) -> dict[str, Any]:
    if len(data) > LONGEST:
        raise BadInput(f"it has {len(data)} bytes; {LONGEST} are allowed")
    try:
        value = tomllib.loads(data.decode())
        check_numbers(value)
        return value
    except UnicodeDecodeError as error:
        raise BadInput(f"it is no UTF-8 text (byte {error.start})") from None
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"it is no TOML: {error}") from None
    except RecursionError:
        raise BadInput("it is nested too deep") from None
    except ValueError as error:  # a number that Python does not take, such as one of 5,000 digits
        raise BadInput(f"it is no TOML: {error}") from None


def check_numbers(value: object) -> None:
    """Refuse whole numbers beyond 64 bits: TOML has them, and nothing here can use them.

    Raises:
        BadInput: There is one.
    """
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            check_numbers(one)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise BadInput("a whole number is beyond 64 bits")


class _Field(msgspec.Struct, frozen=True):
    """A key of a table: the field it fills, what kind of thing it holds, and of what record."""

    name: str
    kind: str
    holds: Any


@functools.cache
def _keys(record: type[msgspec.Struct]) -> dict[str, _Field]:
    hints = typing.get_type_hints(record)
    return {
        field.encode_name: _field(field.name, hints[field.name])
        for field in msgspec.structs.fields(record)
        if field.name != "at"
    }


def _field(name: str, hint: Any) -> _Field:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType) and _is_record(inner[0]):
        return _Field(name, "table", inner[0])
    if _is_record(hint):
        return _Field(name, "table", hint)
    if origin is tuple and _is_record(inner[0]):
        return _Field(name, "tables", inner[0])
    if origin is dict:
        return _Field(name, "named" if _is_record(inner[1]) else "texts", inner[1])
    return _Field(name, "value", hint)


def _is_record(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, msgspec.Struct)


_WORDS = {
    str: "a text",
    bool: "true or false",
    bool | None: "true or false",
    int: "a whole number",
    int | None: "a whole number",
    int | str | None: "a whole number, or a text with variables",
    str | float | None: "a number of minutes, or a duration such as 2h",
    tuple[str, ...]: "a list of texts",
}


class _TableReader:
    """Makes records of tables."""

    def __init__(self, file: str, problems: Problems) -> None:
        self._file = file
        self._problems = problems

    def record(self, record: type[S], value: Any, place: str, depth: int) -> S:
        """A record of a table; what cannot be read of it is as if it were not there."""
        place = self._named(value, place)
        if not isinstance(value, dict):
            self._note(place, f"it is no table, but {_kind(value)}")
            return record()
        if depth > DEEPEST:
            self._note(place, f"it is nested deeper than {DEEPEST} levels")
            return record()
        given: dict[str, Any] = {}
        keys = _keys(record)
        for key, said in value.items():
            if key in keys:
                given.update(self._value(keys[key], said, _under(place, key), place, depth))
            else:
                self._note(place, f"unknown key {key!a}{did_you_mean(key, keys)}")
        if "at" in record.__struct_fields__:
            given["at"] = self._place(place)
        return record(**given)

    def _value(
        self, key: _Field, said: Any, inside: str, place: str, depth: int
    ) -> Iterator[tuple[str, Any]]:
        """The field with its value; nothing if it is of another kind."""
        if key.kind == "table":
            yield key.name, self.record(key.holds, said, inside, depth)
        elif key.kind == "tables":
            yield key.name, tuple(self._records(key.holds, said, inside, depth))
        elif key.kind != "value" and not isinstance(said, dict):
            self._note(place, f"{_last(inside)} is no table, but {_kind(said)}")
        elif key.kind == "named":
            named = {
                name: self._one_named(key.holds, one, f"{inside}.{name}")
                for name, one in said.items()
            }
            yield key.name, named
        elif key.kind == "texts":
            yield (
                key.name,
                {
                    name: as_text(one)
                    for name, one in said.items()
                    if self._is_plain(one, name, inside)
                },
            )
        else:
            try:
                yield key.name, msgspec.convert(said, key.holds)
            except (msgspec.ValidationError, OverflowError):
                wanted = _WORDS.get(key.holds, "of another kind")
                self._note(place, f"{_last(inside)} is not {wanted}, but {_kind(said)}")

    def _records(self, record: type[S], said: Any, place: str, depth: int) -> Iterator[S]:
        """Records of a list of tables; one table alone is a list of one."""
        if isinstance(said, dict):
            yield self.record(record, said, place, depth + 1)
        elif isinstance(said, list):
            for number, one in enumerate(said):
                yield self.record(record, one, f"{place}[{number}]", depth + 1)
        else:
            self._note(place, f"it is no list of tables, but {_kind(said)}")

    def _one_named(self, record: type[S], said: Any, place: str) -> S:
        if (
            record is Variable
            and not isinstance(said, (dict, list))
            and self._is_plain(said, "", place)
        ):
            return record(default=said, at=self._place(place))
        return self.record(record, said, place, 0)

    def _is_plain(self, value: Any, name: str, place: str) -> bool:
        if isinstance(value, (str, int, float, bool)):
            return True
        self._note(place, f"{f'{name} ' if name else 'it '}is no text, but {_kind(value)}")
        return False

    def _named(self, value: Any, place: str) -> str:
        """The place with the id of what stands there."""
        said = value.get("id") if isinstance(value, dict) else None
        is_step = isinstance(said, str) and said and place and not _last(place).startswith("gate")
        return f"{place} ({said})" if is_step else place

    def _place(self, place: str) -> str:
        return f"{self._file}: {place}" if place else self._file

    def _note(self, place: str, message: str) -> None:
        self._problems.note(self._place(place), message)


def as_text(value: object) -> str:
    """A plain value of TOML as the text that stands for it in other texts."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _under(place: str, key: str) -> str:
    """The place of a key: ``steps[1].children``, without the id that stands behind a place."""
    return f"{place.partition(' (')[0]}.{key}" if place else key


def _last(place: str) -> str:
    return place.rpartition(".")[2]


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "true or false"
    named = {str: "a text", int: "a number", float: "a number", list: "a list", dict: "a table"}
    return next((words for kind, words in named.items() if isinstance(value, kind)), "a time")
