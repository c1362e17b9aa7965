"""The values of facts of a task from callers: their forms and checks."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, Protocol

from orchestrator.core import names
from orchestrator.core.calls import check_list
from orchestrator.core.errors import UsageError
from orchestrator.domain.tasks import resources
from orchestrator.domain.tasks.checks import NO_CHECKS, Checks, with_artifacts
from orchestrator.domain.tasks.relations import GATE_KINDS, Gate
from orchestrator.domain.validation import check_line, check_text, parse_moment

Kind = Literal[
    "text", "word", "task", "time", "integer", "minutes", "duration", "words", "tasks", "lines", "pairs",
    "flag",
]  # fmt: skip
"""The form of a given fact; interfaces and batch files read values by it.

``words``, ``tasks`` and ``lines`` are lists. A text is split into words, but not into lines, because those
may hold commas and blanks. ``pairs`` are a mapping, or a list of texts ``key=value``.
"""

LISTS: tuple[Kind, ...] = ("words", "tasks", "lines", "pairs")

CLEARED: tuple[Kind, ...] = ("word", "task", "time", "integer", "minutes")
"""Kinds for which an empty text is not a value but clears the fact, whatever its check takes."""

Check = Callable[[Any, Any, Any], Any]
"""Returns the value to store, from the given value, the stored value and the :class:`Board`."""


class Board(Protocol):
    """The board and the task, as the checks of given facts need them.

    Attributes:
        now: The time.
        task: The id of the task that is added or edited.
        folder: The folder of the board; None if it has none.
    """

    now: str
    task: str
    folder: str | None

    def find_live(self, text: str) -> str:
        """Return the id of the task that a text names; refuse an archived one."""

    def resolve(self, text: str) -> str:
        """Return the id of the task, archived or not, that a text names."""


PRIORITY_WORDS = {"urgent": 0, "critical": 0, "high": 1, "medium": 5, "normal": 5, "low": 9}
"""Words for a priority; ``P1`` is 1."""

STATUS_WORDS = {
    "todo new": "pending",
    "doing wip started active": "in_progress",
    "review": "in_review",
    "completed finished": "done",
    "canceled": "cancelled",
}
"""Words of other tools for a status."""


def priority_of(word: str) -> int | None:
    """Return the priority that a word means; None if it means none."""
    word = word.casefold()
    if word[:1] == "p" and word[1:].isdecimal() and word.isascii():
        return int(word[1:]) if len(word) < 6 else None
    return PRIORITY_WORDS.get(word)


def by(check: Callable[[Any], Any]) -> Check:
    """Make a check of a function of the value only."""
    return lambda value, _before, _board: check(value)


def check_estimate(minutes: object) -> float:
    """Check an estimate in minutes."""
    if not isinstance(minutes, (int, float)) or not 0 <= minutes < 1e9:
        raise UsageError(f"{minutes!a} is not an estimate", hint="Give minutes.")
    return minutes


def check_labels(words: Iterable[str]) -> tuple[str, ...]:
    """Check words to find a task by."""
    return tuple(names.name("label", word) for word in words)


def check_touches(
    texts: Iterable[str], _before: object = None, board: Board | None = None
) -> tuple[str, ...]:
    """Check resources; of ``git`` and ``git:shared`` the stricter one is kept."""
    needs: dict[str, bool] = {}
    for text in texts:
        need = resources.given(text, board.folder if board else None)
        needs[need.resource] = need.shared and needs.get(need.resource, True)
    return tuple(name + resources.SHARED if shared else name for name, shared in needs.items())


def find_parent(text: str, _before: object, board: Board) -> str:
    """Find the parent that a text names."""
    return board.find_live(text)


def find_gate(text: str, _before: object, board: Board) -> Gate:
    """Read ``all``, ``any``, ``all:ID`` or ``any:ID``."""
    how, _, of = text.partition(":")
    if how not in GATE_KINDS:
        raise UsageError(
            f"{text!a} is nothing to wait for", hint="Write all, any, all:ID or any:ID."
        )
    return Gate(GATE_KINDS[how], board.find_live(of) if of else board.task)


def add_commits(texts: Iterable[str], before: tuple[str, ...], _board: object) -> tuple[str, ...]:
    """Check commits, and add them to the linked ones; an empty list removes all."""
    for text in (texts := [*texts]):
        if not re.fullmatch(r"[0-9a-fA-F]{4,64}", text):
            raise UsageError(f"{text!a} is not a commit", hint="Give 4 to 64 hex digits.")
    return tuple(dict.fromkeys((*before, *map(str.lower, texts)))) if texts else ()


def part_of_checks(change: Callable[[Checks, Any], Checks]) -> Check:
    """Make a check of a function that changes one part of the checks of a task."""

    def check(value: Any, before: Checks | None, _board: Board | None) -> Checks | None:
        new = change(before or NO_CHECKS, value)
        return new if new.are_due or new.review else None

    return check


def check_artifacts(
    paths: Iterable[str], before: Checks | None, board: Board | None
) -> Checks | None:
    """Check artifacts; all spellings of one path are one."""
    folder = board.folder if board else None
    tidy = [resources.place_of(path, folder) for path in paths]
    kept: Checks | None = part_of_checks(with_artifacts)(tidy, before, board)
    return kept


def pairs_of(name: str, given: Mapping[str, str] | Iterable[str]) -> dict[str, str]:
    """Read a mapping, or texts ``key=value``.

    Raises:
        UsageError: A text has no ``=``, a key is not a name, or is there twice.
    """
    if not isinstance(given, Mapping):
        texts = [*given]
        if wrong := [text for text in texts if "=" not in text]:
            raise UsageError(f"{wrong[0]!a} is not a pair for {name}", hint="Write key=value.")
        check_list(name, [text.partition("=")[0] for text in texts])
        given = dict(text.split("=", 1) for text in texts)
    return {names.name(name, key): check_line(name, value) for key, value in given.items()}


def _with_pairs(name: str, given: Any, before: Mapping[str, str] | None) -> dict[str, str]:
    """Add pairs to the stored ones; an empty value removes its key, an empty list removes all."""
    pairs = pairs_of(name, given)
    return (
        {key: value for key, value in {**(before or {}), **pairs}.items() if value} if pairs else {}
    )


def _resolved(name: str, texts: Iterable[str], board: Board) -> tuple[str, ...]:
    tasks = tuple(map(board.resolve, texts))
    check_list(name, tasks)
    return tasks


USUAL: dict[Kind, Callable[[str, Any, Any, Any], Any]] = {
    "text": lambda name, text, _before, _board: check_text(name, text),
    "word": lambda name, text, _before, _board: names.name(f"task {name}", text),
    "time": lambda name, text, _before, board: parse_moment(name, text, board.now),
    "tasks": lambda name, ids, _before, board: _resolved(name, ids, board),
    "pairs": lambda name, pairs, before, _board: _with_pairs(name, pairs, before),
}
"""The default checks by kind."""
