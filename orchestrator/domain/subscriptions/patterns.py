"""Patterns of types of events: ``plan.created``, ``plan.*``, ``*``."""

from collections.abc import Iterable

from orchestrator.core.errors import BadName
from orchestrator.domain.subscriptions.records import NOUN


def check_pattern(pattern: str) -> str:
    """Check a pattern.

    Raises:
        BadName: It is not a pattern.
    """
    words = pattern.removesuffix(".*")
    if pattern == "*" or (words and all(c.isalnum() or c in "._-" for c in words)):
        return pattern
    raise BadName(
        f"{pattern!a} is not a pattern of types of events", hint="Write plan.created, plan.* or *."
    )


def matches(pattern: str, type: str) -> bool:
    """Whether a type equals the pattern, or begins with its text before ``*``."""
    return pattern in (type, "*") or (pattern.endswith(".*") and type.startswith(pattern[:-1]))


def hears(patterns: Iterable[str], type: str) -> bool:
    """Whether these patterns match an event.

    ``*`` matches all events except those of subscriptions: each attempt records some, so an agent would start
    itself endlessly.
    """
    is_of_attempts = type.startswith(f"{NOUN}.")
    return any(
        matches(pattern, type) and not (pattern == "*" and is_of_attempts) for pattern in patterns
    )
