"""JSON from outside, read as the contract wants it."""

import json
from typing import Any

from orchestrator.core.errors import BadInput
from orchestrator.core.events import check_json


def strict_json(text: str | bytes, *, depth: int = 0) -> Any:
    """Read JSON as the contract wants it: no NaN, no key twice, not too deep, no huge numbers.

    Raises:
        BadInput: It is not that.
    """

    def refuse(word: str) -> Any:
        raise BadInput(f"{word} is not JSON")

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) != len(items):
            raise BadInput("An object has a key twice")
        return found

    try:
        value = json.loads(text, parse_constant=refuse, object_pairs_hook=pairs)
        check_json(value, depth)
        return value
    except RecursionError:
        raise BadInput("The JSON is nested too deep") from None
    except ValueError as error:
        raise BadInput(f"It is no JSON: {error}") from None
