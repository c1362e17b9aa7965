"""The searched texts, and pairs of letters for scripts without blanks.

Chinese, Japanese, Thai and their like do not put blanks between words, so SQLite takes a whole sentence for
one word. Every pair of neighbouring letters of these scripts is a word of the column ``grams`` as well:
a word of two letters or more is found as the phrase of its pairs, one letter as the beginning of a pair.
Pairs rather than trigrams, because most words of Chinese and Japanese have two letters.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec

_SCRIPTS = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u0f00-\u0fff"  # Tibetan
    "\u1000-\u109f\u1780-\u17ff"  # Burmese, Khmer
    "\u1100-\u11ff\uac00-\ud7a3"  # Korean, whose words carry endings
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_FRONTMATTER = re.compile(r"\A---\n.*?\n---\n+", re.DOTALL)
_RUN = re.compile(f"[{_SCRIPTS}]+")


class SearchText(NamedTuple):
    """A row of ``texts`` without its id and pairs."""

    kind: str
    key: str
    number: int
    task: str | None
    agent: str | None
    ts: str
    title: str | None
    body: str | None


def runs(text: str) -> list[str]:
    """The parts of a text that are written in scripts without blanks between words."""
    if text.isascii():
        return []
    return _RUN.findall(_normal(text))


def without_runs(text: str) -> str:
    """The parts of a text that are written with blanks between words."""
    return text if text.isascii() else _RUN.sub(" ", text)


def grams(*texts: str | None) -> str | None:
    """The words of the column ``grams``: pairs of letters, and the last letter of each run; None: none."""
    words = [
        word for text in texts if text for run in runs(text) for word in _pairs(run, ends=True)
    ]
    return " ".join(words) or None


def gram_match(run: str) -> str:
    """The FTS5 term for a word of such a script in ``grams``."""
    pairs = _pairs(_normal(run), ends=False)
    return f'grams : "{" ".join(pairs)}"' if pairs else f"grams : {_code(_normal(run)[0])} *"


def _normal(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _code(letter: str) -> str:
    """A letter as five digits, which no tokenizer splits."""
    return f"{ord(letter):05x}"


def _pairs(run: str, *, ends: bool) -> list[str]:
    pairs = [_code(a) + _code(b) for a, b in pairwise(run)]
    return [*pairs, _code(run[-1])] if ends else pairs


# What is searched


def task_texts(task: Any) -> Iterator[SearchText]:
    """The texts of a task: itself, its result, its notes and its evidence."""
    about = _joined(task.description, task.acceptance, *task.labels, task.external_ref)
    yield SearchText(
        "task", task.id, 0, task.id, task.created_by, task.created_at, task.title, about
    )
    if task.result:
        ended = task.ended_at or task.claimed_at or task.created_at
        yield SearchText("result", task.id, 0, task.id, task.assigned_to, ended, None, task.result)
    for number, note in enumerate(task.notes, start=1):
        yield SearchText("note", task.id, number, task.id, note.agent, note.at, None, note.text)
    for number, item in enumerate(task.evidence, start=1):
        text = _joined(item.what, item.problem, item.output)
        yield SearchText("evidence", task.id, number, task.id, item.agent, item.at, None, text)


def topic_text(
    name: str, text: str, *, author: str, tags: Iterable[str], updated_at: str
) -> SearchText:
    """The text of the present version of a topic, without its frontmatter."""
    body = _joined(_FRONTMATTER.sub("", text), *tags)
    return SearchText("knowledge", name, 0, None, author, updated_at, name, body)


def decision_text(decision: Any) -> SearchText:
    """The text of a decision."""
    return SearchText(
        "decision",
        str(decision.number),
        0,
        decision.task,
        decision.decided_by,
        decision.decided_at,
        decision.title,
        decision.text,
    )


def goal_text(goal: Any) -> SearchText:
    """The text of a goal."""
    by, at = goal.created_by, goal.created_at
    return SearchText("goal", goal.name, 0, None, by, at, goal.name, goal.description)


def event_text(record: Any) -> SearchText:
    """The text of an event that an agent logged: the values of its payload."""
    values = _joined(*_values(msgspec.json.decode(record.payload)))
    return SearchText(
        "event", str(record.id), 0, None, record.agent, record.ts, record.type, values
    )


def message_text(event: Any, record: Any) -> SearchText:
    """The text of a message."""
    return SearchText(
        "message", str(record.id), 0, None, record.agent, record.ts, event.subject, event.body
    )


def _joined(*texts: str) -> str:
    return "\n".join(filter(None, texts))


def _values(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _values(item)
    elif isinstance(value, list):
        for item in value:
            yield from _values(item)
    elif value is not None and not isinstance(value, bool):
        yield str(value)
