"""Checks of what comes in as text and numbers, one place for all nouns."""

from collections.abc import Callable, Iterable, Iterator
from typing import ParamSpec, TypeVar

from orchestrator.core import clock
from orchestrator.core.errors import SHOWN_PROBLEMS, BadInput, OrchestratorError, UsageError

MOST_COMPARED = 200
"""Words that a word is compared with, to find what was meant."""

P = ParamSpec("P")
R = TypeVar("R")

LONGEST_TITLE = 500
"""Characters of a title or a reason: one line."""

LONGEST_TEXT = 4 * 1024 * 1024
"""Characters of a description, result or note."""


def text_of(field: str, text: str) -> str:
    """Check a long text: no NUL, no lone surrogate, not beyond 4 Mi characters.

    Raises:
        BadInput: It cannot be kept as it is.
    """
    if len(text) > LONGEST_TEXT:
        raise BadInput(f"The {field} has {len(text)} characters; {LONGEST_TEXT} are allowed")
    if "\0" in text:
        raise BadInput(f"The {field} holds a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadInput(f"The {field} holds a lone surrogate, which is no character") from None
    return text


def sentence(field: str, text: str) -> str:
    """Check a short text, such as a reason, which may be empty."""
    if len(text) > LONGEST_TITLE:
        raise BadInput(f"The {field} has {len(text)} characters; {LONGEST_TITLE} are allowed")
    return text_of(field, text)


def title_of(text: str) -> str:
    """Check a title: as a sentence, and not empty.

    Raises:
        UsageError: It is empty.
    """
    if not text.strip():
        raise UsageError("A title is needed")
    return sentence("title", text)


def needed(field: str, text: str) -> str:
    """Check a text that must say something.

    Raises:
        UsageError: It is empty.
    """
    if not text.strip():
        raise UsageError(f"A {field} is needed")
    return text_of(field, text)


def moment_of(field: str, text: str, now: str) -> str:
    """A time as text: given as one (``2026-12-01``, ``2026-12-01T09:00``), or as a duration from now.

    An empty text stays empty: no time.

    Raises:
        UsageError: It is neither.
    """
    if not text:
        return ""
    if text[:1].isdecimal() and "-" not in text:
        return clock.after(now, clock.duration(text))
    try:
        return clock.check(clock.timestamp(clock.seconds(text)))
    except (UsageError, OverflowError):
        raise UsageError(
            f"{text!a} is no time for {field}", hint="Write 2026-12-01, or 3d from now."
        ) from None


def priority_of(number: int) -> int:
    """Check a priority: 1 comes first, 0 to 1000.

    Raises:
        UsageError: Out of range.
    """
    if not 0 <= number <= 1000:
        raise UsageError(f"{number} is no priority", hint="1 comes first; 0 to 1000.")
    return number


class Problems:
    """Collects what is wrong with a file, with the places, so that all of it is said at once.

    Args:
        what: How the sentence of the error begins.
        code: The code of the error.
        hint: What to do about it.
    """

    def __init__(
        self,
        what: str = "",
        *,
        code: str = "bad_entries",
        hint: str = "Nothing was changed. Mend these places and try again.",
    ) -> None:
        self._what = what
        self._code = code
        self._hint = hint
        self._found: dict[tuple[str, str], None] = {}

    def __bool__(self) -> bool:
        """Whether anything was wrong."""
        return bool(self._found)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Place and message of each."""
        return iter(self._found)

    def trying(
        self, place: str, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> R | None:
        """What a call gives; None, and a note, when it is refused."""
        try:
            return call(*args, **kwargs)
        except OrchestratorError as error:
            self.note(place, error.message)
            return None

    def note(self, place: str, message: str) -> None:
        """Note that something is wrong; the same again says nothing new."""
        self._found[place, message] = None

    def add(self, others: "Problems", *, unless: "Problems | None" = None) -> None:
        """Note what others have, but for places of which ``unless`` tells something already."""
        told = {place for place, _ in unless or ()}
        self._found |= {one: None for one in others if one[0] not in told}

    def check(self) -> None:
        """Refuse the whole if anything was wrong.

        Raises:
            BadInput: With every problem and its place.
        """
        if not self._found:
            return
        found = [f"{place}: {message}" for place, message in self._found]
        shown = "; ".join(found[:SHOWN_PROBLEMS])
        more = len(found) - SHOWN_PROBLEMS
        raise BadInput(
            f"{self._what}: {shown}{f'; and {more} more' if more > 0 else ''}",
            code=self._code,
            hint=self._hint,
            problems=found,
        )


def like(word: str, known: Iterable[str]) -> str:
    """What may have been meant by a word that is not known, as the end of a sentence."""
    import difflib

    known = list(known)
    if len(known) > MOST_COMPARED:
        return ""
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]!a}?" if near else ""
