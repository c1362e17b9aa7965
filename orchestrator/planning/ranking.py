"""Rank knowledge for a task with BM25, the ranking function of text search, on name, tags and text.

Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009): a word counts for
more if fewer texts contain it (idf), for less each further time it occurs in a text (``K1``), and for less
in a long text (``B``). Fields are weighted by counting their words several times, as BM25F does.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

K1 = 1.2
B = 0.75

NAME_WEIGHT = 5
"""How often a word of a topic's name counts."""

TAG_WEIGHT = 3
"""How often a tag of a topic counts."""

RANKED = 50_000
"""How many characters of a text are used; the subject of a topic is near its beginning."""

_WORD = re.compile(r"[^\W_]+")
_COMMON = frozenset(
    _WORD.findall(
        """a about after all also an and any are as at be been but by can do for from get has have how if
    in into is it its more must no not of on one or other our should so some such than that the their
    then there these they this to use used was we were what when where which who will with you
    your"""
    )
)


class Text(msgspec.Struct, frozen=True):
    """A text to rank: a name, tags, and a body."""

    name: str
    tags: tuple[str, ...]
    body: str


def words_of(text: str) -> list[str]:
    """Return the significant words of a text: lower case, without very common words and plural s."""
    words = (word.casefold() for word in _WORD.findall(text))
    return [_stem(word) for word in words if len(word) > 1 and word not in _COMMON]


def rank(query: Mapping[str, float], texts: Sequence[Text]) -> list[str]:
    """Return the names of the texts that have a word of the query, the most relevant first, then by name.

    Args:
        query: Words as returned by :func:`words_of`, with their weights.
        texts: The texts to rank.
    """
    counts = [_count(text) for text in texts]
    lengths = [sum(count.values()) for count in counts]
    average = sum(lengths) / len(lengths) if lengths else 0.0
    rarity = {word: _rarity(word, counts) for word in query}
    scored = []
    for text, count, length in zip(texts, counts, lengths, strict=True):
        norm = K1 * (1 - B + B * length / average) if average else K1
        score = sum(
            weight * rarity[word] * count[word] * (K1 + 1) / (count[word] + norm)
            for word, weight in query.items()
            if word in count
        )
        if score > 0:
            scored.append((-score, text.name))
    return [name for _, name in sorted(scored)]


def query_of(*parts: tuple[str, float]) -> dict[str, float]:
    """Return a query from texts and their weights; a word counts once, with its largest weight."""
    query: dict[str, float] = {}
    for text, weight in parts:
        for word in words_of(text):
            query[word] = max(weight, query.get(word, 0.0))
    return query


def _count(text: Text) -> Counter[str]:
    count = Counter(words_of(text.body[:RANKED]))
    for source, weight in ((text.name, NAME_WEIGHT), (" ".join(text.tags), TAG_WEIGHT)):
        for word in words_of(source):
            count[word] += weight
    return count


def _rarity(word: str, counts: Sequence[Counter[str]]) -> float:
    holding = sum(word in count for count in counts)
    return math.log(1 + (len(counts) - holding + 0.5) / (holding + 0.5))


def _stem(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
