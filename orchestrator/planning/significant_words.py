"""The significant words of a task, by which knowledge for it is chosen, and the topics whose names have them.

:mod:`orchestrator.index.ranking` ranks the texts of topics. Names and tags alone, which are compared at
every claim, are compared here: a rare word counts more, five times in a name and three times as a tag.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping

from orchestrator.domain.knowledge.records import Topic

NAME_WEIGHT = 5
TAG_WEIGHT = 3

_WORD = re.compile(r"[^\W_]+")
_COMMON = frozenset(
    _WORD.findall(
        """a about after all also an and any are as at be been but by can do for from get has have how if
    in into is it its more must no not of on one or other our should so some such than that the their
    then there these they this to use used was we were what when where which who will with you
    your"""
    )
)


def words_of(text: str) -> list[str]:
    """Return the significant words of a text: lower case, without very common words and plural s."""
    words = (word.lower() for word in _WORD.findall(text))
    return [_stem(word) for word in words if len(word) > 1 and word not in _COMMON]


def query_of(*parts: tuple[str, float]) -> dict[str, float]:
    """Return the words of texts with weights; a word counts once, with its largest weight."""
    query: dict[str, float] = {}
    for text, weight in parts:
        for word in words_of(text):
            query[word] = max(weight, query.get(word, 0.0))
    return query


def fitting(query: Mapping[str, float], topics: Iterable[Topic]) -> list[str]:
    """Return the topics with a word in their name or tags, the one that fits best first, then by name."""
    weights = {
        topic.name: dict.fromkeys(words_of(" ".join(topic.tags)), TAG_WEIGHT)
        | dict.fromkeys(words_of(topic.name), NAME_WEIGHT)
        for topic in topics
    }
    having = Counter(word for words in weights.values() for word in words)
    scores = {
        name: sum(
            query.get(word, 0.0) * weight * math.log(1 + len(weights) / having[word])
            for word, weight in words.items()
        )
        for name, words in weights.items()
    }
    return sorted((n for n, score in scores.items() if score), key=lambda n: (-scores[n], n))


def _stem(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
