"""Questions of people, in the language of FTS5: nothing that anyone writes is an error."""

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise

from orchestrator.index.texts import gram_match, runs, without_runs

MOST_TERMS = 200
"""Words of a long text that are looked for, the weightiest first."""

_SHORT = 3
"""Letters of a word that is looked for as it is: too many others begin with it."""

_TERM = re.compile(r'(-?)(?:"([^"]*)"?|([^\s"]+))')
_HAS_WORD = re.compile(r"[^\W_]")


def match_of(words: str) -> str:
    """Return the search in the language of FTS5; empty if it has no word."""
    alternatives: list[str] = []
    wanted: list[str] = []
    unwanted: list[str] = []

    def close() -> None:
        # A search that only excludes would match everything else: its words are searched instead.
        terms = " AND ".join(wanted or unwanted)
        without = "".join(f" NOT {term}" for term in unwanted) if wanted else ""
        if terms:
            alternatives.append(f"({terms}{without})")
        wanted.clear()
        unwanted.clear()

    negated = False
    for sign, phrase, word in _TERM.findall(words):
        if word == "OR" and not sign:
            close()
        elif word == "NOT" and not sign:
            negated = True
        elif word != "AND":
            (unwanted if sign or negated else wanted).extend(terms(phrase or word, bool(phrase)))
            negated = False
    close()
    return " OR ".join(alternatives)


def terms(text: str, is_phrase: bool) -> Iterator[str]:
    """Yield the terms of FTS5 for a word or phrase."""
    yield from map(gram_match, runs(text))
    rest = without_runs(text)
    if _HAS_WORD.search(rest):
        begins = not is_phrase and rest.rstrip(")").endswith("*")
        yield f'"{rest}"{" *" if begins else ""}'


def match_any(words: Mapping[str, float], *, begins: bool = False, column: str = "") -> str:
    """Return a question for texts with any of the words; empty if there is no word.

    Args:
        words: Words, each with how often it counts.
        begins: Longer words that begin with one of four letters or more are enough.
        column: Only in this column.
    """
    heaviest = sorted(words.items(), key=lambda item: -item[1])[:MOST_TERMS]
    wanted = [
        term
        for word, weight in heaviest
        for term in [*_alternatives(word, begins)] * max(1, round(weight))
    ]
    scope = f"{{{column} grams}} : " if column else ""
    return f"{scope}({' OR '.join(wanted)})" if wanted else ""


def _alternatives(word: str, begins: bool) -> Iterator[str]:
    """Yield terms, any of which is a match; of a script without blanks, every pair of letters."""
    for run in runs(word):
        yield from (gram_match(a + b) for a, b in pairwise(run))
    rest = without_runs(word).replace('"', " ")
    if _HAS_WORD.search(rest):
        yield f'"{rest}"{" *" if begins and len(rest) > _SHORT else ""}'
