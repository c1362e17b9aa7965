"""The family of errors: each has a code, a sentence, a hint and an exit status."""

from collections.abc import Iterable
from typing import ClassVar

NOTHING_LEFT = 6
"""The exit status of `next` when every task has ended; no error uses it."""

MOST_COMPARED = 200
"""The largest number of known words that an unknown word is compared with."""

SHOWN_PROBLEMS = 3
"""How many problems an error message names; ``problems`` in its details has all."""


class OrchestratorError(Exception):
    """The base of all errors of the toolkit.

    Args:
        message: One sentence: what happened and why.
        hint: What to do next; never a complete destructive command.
        code: A stable word for programs; by default that of the class.
        details: Facts for programs, printed with the code by ``--json``.
    """

    code: str = "error"
    exit_status: ClassVar[int] = 1
    retryable: ClassVar[bool] = False

    def __init__(
        self, message: str, *, hint: str = "", code: str | None = None, **details: object
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code or type(self).code
        self.details = details


class Refused(OrchestratorError):
    """The state of the board does not allow the command (already claimed, illegal transition, conflict)."""

    code = "refused"


class NotFound(OrchestratorError):
    """The board has no such record."""

    code = "not_found"


class UsageError(OrchestratorError):
    """The arguments of the call are wrong."""

    code = "usage"
    exit_status = 2


class BadName(UsageError):
    """A name that is not allowed; see :mod:`orchestrator.core.names`."""

    code = "bad_name"


class BadInput(UsageError):
    """A text or file that cannot be accepted (NaN, duplicate keys, too deep, too long)."""

    code = "bad_input"


class NoBoard(OrchestratorError):
    """No board exists in the searched places."""

    code = "no_board"
    exit_status = 3


class Damage(OrchestratorError):
    """The files of the board were changed or damaged; writing stops, the valid part stays readable."""

    code = "damage"
    exit_status = 4


class TimedOut(OrchestratorError):
    """The wait ended before its condition was met. Nothing changed."""

    code = "timed_out"
    exit_status = 5
    retryable = True


class InputOutputError(OrchestratorError):
    """The operating system refused a read or write. Nothing changed."""

    code = "io_error"
    exit_status = 74
    retryable = True


class ArchiveMissing(InputOutputError):
    """A part of the log is in a folder that is not there, such as on a disk that is not mounted."""

    code = "archive_missing"


class OutcomeUnknown(OrchestratorError):
    """A commit could neither be finished nor undone; repeat it with the same request id."""

    code = "outcome_unknown"
    exit_status = 75
    retryable = True


NEAR = 0.66
"""How like a known word, from 0 to 1, an unknown word must be to be taken for it."""


def nearest_word(word: str, known: Iterable[str], near: float = NEAR) -> str:
    """Return the known word that an unknown word is most like; empty if it is like none."""
    import difflib

    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=near)), "")


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return ``Did you mean ...?`` with the known word nearest to an unknown one; else an empty text."""
    words = list(known)
    near = nearest_word(word, words) if len(words) <= MOST_COMPARED and word not in words else ""
    return f"Did you mean {near!a}?" if near else ""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the same behind a sentence that goes on: ``; did you mean ...?``."""
    text = suggestion(word, known)
    return f"; d{text[1:]}" if text else ""


def missing(
    noun: str, name: object, known: Iterable[str], *, hint: str, code: str = ""
) -> NotFound:
    """Return the error for a name that means nothing, with the nearest known name.

    Args:
        noun: What it should name.
        name: The name.
        known: The names there are.
        hint: As in every error.
        code: As in every error; ``NOUN_not_found`` by default.
    """
    text = f"There is no {noun} {name!a}{did_you_mean(str(name), known)}"
    return NotFound(text, code=code or f"{noun}_not_found", hint=hint)
