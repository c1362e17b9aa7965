"""Tasks that say nearly the same: the measure of likeness, and candidates for duplicates.

Two titles are as like as the larger of two shares: of words that both have (Dice), and of letters that stay
in place (:mod:`difflib`). If one names another number than the other, as in "Step 3" and "Step 4", it is a
third less. Where both tasks have a description, the words that these share count for a fifth.

Only the letters are dear, so they are compared for the tasks that :mod:`orchestrator.index.ranking` puts
first for the words of the title.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice, pairwise

import msgspec

from orchestrator.core.errors import NotFound
from orchestrator.domain.tasks.commands import Tasks
from orchestrator.domain.tasks.records import ENDED, Task
from orchestrator.domain.tasks.where import parse
from orchestrator.engine import Engine
from orchestrator.index.board_ranking import keys_ranked
from orchestrator.index.filters import passing_task
from orchestrator.index.matching import match_any
from orchestrator.index.ranking import Condition
from orchestrator.index.texts import SearchText

LEAST = 0.4
"""The likeness from which a task is a candidate."""

SAME = 0.85
"""The likeness of titles that say the same."""

COMPARED = 50
"""How many tasks are compared letter by letter with one that is added."""

RECENT = 1000
"""Tasks that a new title is compared with, the newest: what adding one costs is the same on every board."""

_LIVE: Condition = (
    "kind = 'task' AND (SELECT archived_at FROM tasks WHERE id = texts.key) IS NULL",
    {},
)
"""What the texts of tasks that are compared have in the index."""

_READ = 4000
"""Characters of a description whose words are compared."""

_OTHER_NUMBERS = 2 / 3
_DESCRIPTIONS = 0.2

_UNSPACED = "\u0e00"
"""From here on most scripts put no blanks between words; pairs of letters take the place of words."""

Words = frozenset[str]


class Similar(msgspec.Struct, frozen=True, kw_only=True):
    """A task that is like a text or another task; ``likeness`` is up to 1."""

    task: Task
    likeness: float


def words_of(text: str) -> Words:
    """Return the words of a text, without regard to case."""
    words = re.findall(r"\w+", text.casefold())
    if text.isascii() or max(text) < _UNSPACED:
        return frozenset(words)
    pairs = (map("".join, pairwise(word)) if max(word) >= _UNSPACED else [word] for word in words)
    return frozenset(part for parts in pairs for part in parts) or frozenset(words)


def likeness(title: str, other: str) -> float:
    """Return how like two titles are, from 0 to 1."""
    mine, its = words_of(title), words_of(other)
    share = max(_shared(mine, its), _letters(title, other))
    return share if _numbers(mine) == _numbers(its) else share * _OTHER_NUMBERS


def similar(engine: Engine, text: str, *, where: str = "", limit: int = 10) -> list[Similar]:
    """Return the tasks that are like another one or like a text, the most like first.

    Args:
        text: A task, by its id or prefix, or a title.
        where: Only tasks that pass this expression; see :mod:`orchestrator.domain.tasks.where`.
        limit: At most so many.
    """
    tasks = Tasks(engine)
    itself = None
    with suppress(NotFound):
        itself = tasks.get(text)
    title, description = (itself.title, itself.description) if itself else (text, "")
    others = [task for task in _candidates(engine, title, where) if task is not itself]
    return _ranked(others, title, description)[:limit]


def _candidates(engine: Engine, title: str, where: str) -> Iterator[Task]:
    """Yield the tasks whose titles share most words with a title."""
    state, now = engine.read(), engine.now()
    conditions: list[Condition] = [_LIVE]
    if where:
        conditions.append(passing_task(parse(where, state, now), now, "texts.key"))

    def texts() -> Iterator[SearchText]:
        for task in Tasks(engine).all(where=where):
            about = (task.created_by, task.created_at, task.title, None)  # only titles are compared
            yield SearchText("task", task.id, 0, task.id, *about)

    query = match_any(dict.fromkeys(title.split(), 1.0), column="title")
    for key in keys_ranked(engine, query, texts, conditions=conditions):
        if key in state.tasks:
            yield state.tasks[key]


def _ranked(tasks: Iterable[Task], title: str, description: str) -> list[Similar]:
    about = words_of(description[:_READ])
    candidates = []
    for task in tasks:
        value = likeness(title, task.title)
        if about and task.description:
            shared = _shared(about, words_of(task.description[:_READ]))
            value = value * (1 - _DESCRIPTIONS) + shared * _DESCRIPTIONS
        if value >= LEAST:
            candidates.append(Similar(task=task, likeness=round(value, 2)))
    return sorted(candidates, key=lambda candidate: -candidate.likeness)


def open_twin(engine: Engine, task: Task) -> Task | None:
    """Return an open task, of the newest ones, whose title says the same as that of a task; None: none.

    Parts of different tasks may bear one title. Letters are compared a bounded number of times.
    """
    split = _split if task.title.isascii() else words_of
    mine = split(task.title)
    compared = 0
    for other in islice(reversed(engine.read().tasks.tasks.values()), RECENT):
        if other is task or other.status in ENDED or other.parent != task.parent:
            continue
        if 2 * len(mine & split(other.title)) >= len(mine) and _can_say_the_same(task, other):
            if likeness(task.title, other.title) >= SAME:
                return other
            compared += 1
            if compared == COMPARED:
                return None
    return None


def _split(title: str) -> Words:
    """Return the words of a title more quickly; punctuation stays with them."""
    return frozenset(title.casefold().split())


def _can_say_the_same(task: Task, other: Task) -> bool:
    """Whether two titles are about as long and name the same numbers."""
    if abs(len(task.title) - len(other.title)) > len(task.title) // 4 + 2:
        return False
    return _numbers(words_of(task.title)) == _numbers(words_of(other.title))


def _letters(title: str, other: str) -> float:
    from difflib import SequenceMatcher

    return SequenceMatcher(None, title.casefold(), other.casefold(), autojunk=False).ratio()


def _shared(mine: Words, its: Words) -> float:
    total = len(mine) + len(its)
    return 2 * len(mine & its) / total if total else 0.0


def _numbers(words: Words) -> set[str]:
    return {word for word in words if any(map(str.isdecimal, word))}
