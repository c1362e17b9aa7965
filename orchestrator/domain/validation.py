"""Validation of texts, times and numbers from callers, shared by all nouns."""

from typing import TypeVar

from orchestrator.core import clock, names
from orchestrator.core.errors import BadInput, UsageError

W = TypeVar("W", bound=str)

LONGEST_TITLE = 500
"""The largest length of a title or a reason, which are one line."""

LONGEST_TEXT = 4 * 1024 * 1024
"""The largest length of a description, result or note."""


def check_text(field: str, text: str) -> str:
    """Check a long text: no NUL, no lone surrogate, not beyond 4 Mi characters.

    Raises:
        BadInput: It breaks one of these rules.
    """
    if len(text) > LONGEST_TEXT:
        raise BadInput(f"The {field} has {len(text)} characters; {LONGEST_TEXT} are allowed")
    if "\0" in text:
        raise BadInput(f"The {field} holds a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadInput(f"The {field} holds a lone surrogate, which is not a character") from None
    return text


def check_line(field: str, text: str) -> str:
    """Check a short text, such as a reason; it may be empty."""
    if len(text) > LONGEST_TITLE:
        raise BadInput(f"The {field} has {len(text)} characters; {LONGEST_TITLE} are allowed")
    return check_text(field, text)


def check_title(text: str) -> str:
    """Check a title: a short text that is not empty.

    Raises:
        UsageError: It is empty.
    """
    return check_line("title", check_required("title", text))


def check_required(field: str, text: str) -> str:
    """Check a text that must not be empty.

    Raises:
        UsageError: It is empty.
    """
    if not text.strip():
        raise UsageError(f"A {field} is needed")
    return check_text(field, text)


def check_choice(kind: str, word: W, choices: tuple[W, ...]) -> W:
    """Check that a word is one of the choices.

    Raises:
        UsageError: It is not; the hint lists them.
    """
    if word not in choices:
        message = f"{word!a} is not {names.article(kind)}"
        raise UsageError(message, hint=f"One of {', '.join(choices)}.")
    return word


def lease_length(value: float | str) -> float:
    """Return the seconds of a lease.

    Raises:
        UsageError: It is not a duration, or not longer than 0.
    """
    seconds = clock.duration(value)
    if seconds <= 0:
        raise UsageError("A lease must be longer than 0 seconds")
    return seconds


def parse_moment(field: str, text: str, now: str) -> str:
    """Read the moment of a field; a whole day is its beginning, but for ``due``: due by the end of the day.

    Raises:
        UsageError: It is not a time (see :func:`orchestrator.core.moments.moment`).
    """
    from orchestrator.core.moments import moment  # few commands are given one

    try:
        return moment(text, now, is_end=field == "due")
    except UsageError as error:
        message = f"{text!a} is not a time for {field}"
        raise UsageError(message, hint=error.hint) from None


def check_priority(number: object) -> int:
    """Check a priority: 1 comes first, 0 to 1000.

    Raises:
        UsageError: No whole number, or out of range.
    """
    if not isinstance(number, int) or not 0 <= number <= 1000:
        raise UsageError(f"{number!a} is not a priority", hint="1 comes first; 0 to 1000.")
    return number
