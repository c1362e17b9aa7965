"""JSON as the contract allows it: no value is lost or changed by the log."""

from typing import Any

import msgspec

from orchestrator.core.errors import BadInput
from orchestrator.core.printable import escape_json

_NESTING = 64


def strict_json(text: str | bytes, *, depth: int = 0) -> Any:
    """Decode JSON; refuse NaN, duplicate keys, deep nesting and huge numbers.

    Raises:
        BadInput: The text breaks one of these rules, or is not valid JSON.
    """
    import json  # most commands read none

    def refuse(word: str) -> Any:
        raise BadInput(f"{word} is not JSON")

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(items)
        if len(fields) != len(items):
            raise BadInput("An object has a key twice")
        return fields

    try:
        value = json.loads(text, parse_constant=refuse, object_pairs_hook=pairs)
        check_json(value, depth)
        return value
    except RecursionError:
        raise BadInput("The JSON is nested too deep") from None
    except ValueError as error:
        raise BadInput(f"It is not valid JSON: {error}") from None


def encode_payload(value: Any, more: dict[str, Any] | None = None) -> msgspec.Raw:
    """Encode a payload, with ``more`` fields that its class does not have.

    Raises:
        BadInput: NaN, infinity, an integer beyond 64 bits, a lone surrogate, more than 64 levels, a
            value that JSON does not have.
    """
    if not isinstance(value, msgspec.Struct):
        check_json(value)
    try:
        data = msgspec.json.encode(value)
        if more:
            data = msgspec.json.encode(_merged(msgspec.json.decode(data), more))
    except UnicodeEncodeError:
        raise BadInput("A text holds a lone surrogate, which is not a character") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise BadInput(f"A value cannot be written as JSON: {error}") from None
    return msgspec.Raw(visible_json(data))


def _merged(fields: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    both = (name for name in more if isinstance(fields.get(name), dict))
    return {**fields, **more, **{name: _merged(fields[name], more[name]) for name in both}}


def check_json(value: Any, depth: int = 0) -> None:
    """Refuse values that JSON would change; see :func:`encode_payload` for the rules."""
    if depth > _NESTING:
        raise BadInput(f"A value is nested deeper than {_NESTING} levels")
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise BadInput("The keys of an object must be strings")
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            check_json(item, depth + 1)
    else:
        _check_scalar(value)


def _check_scalar(value: Any) -> None:
    if isinstance(value, float) and value - value != 0:
        raise BadInput("NaN and infinity are not JSON")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise BadInput("An integer is beyond 64 bits", hint="Write it as a string.")
    if value is not None and not isinstance(value, (str, int, float)):
        raise BadInput(f"A {type(value).__name__} is not a JSON value")


def visible_json(data: bytes) -> bytes:
    """The same JSON in UTF-8, with every character escaped that an editor would not show."""
    is_plain = data.isascii() and b"\x7f" not in data
    return data if is_plain else escape_json(data.decode()).encode()
