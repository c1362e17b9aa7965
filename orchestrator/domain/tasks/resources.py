"""Resources: the names and path globs that tasks touch and agents lock, and their collisions.

``*`` stands for any characters but ``/``, ``?`` for one of them, ``[a-z]`` and ``[!a-z]`` for one of a class,
``**`` as a whole part for any number of parts, ``{a,b}`` for either text. Brackets also stand for themselves,
because there are files named ``[id].ts``. Two patterns collide when some name would match both.

``local:gpu`` is a resource of the machine on which it is used, where it becomes ``local@MACHINE:gpu``. It
collides with local resources of this machine only.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import islice, pairwise, product
from typing import Any

import msgspec

from orchestrator.core import machine, names
from orchestrator.core.errors import BadName

SHARED = ":shared"

_LOCAL = "local:"

MOST = 64
"""How many patterns without ``{}``, and with one reading of each ``[]``, a resource may have."""

_WIDEST = 1024
"""Characters of a range in brackets."""

_BRACKET = r"\[([!^]?)([^/][^/\]]*)\]"
_COUNTED = r"\{[^{},/]*\.\.[^{},/]*\}"


class Need(msgspec.Struct, frozen=True, gc=False):
    """A resource that is needed: a name or glob, and whether others may share it."""

    resource: str
    shared: bool = False


def parse(text: str, here: str = "") -> Need:
    """Read ``git`` or ``git:shared``.

    Args:
        text: The resource.
        here: The machine on which a local resource is used; empty: all agents are on one, or it is not known.

    Raises:
        BadName: The resource has a name that is not allowed.
    """
    shared = text.endswith(SHARED)
    resource = names.resource(text.removesuffix(SHARED))
    if here and resource.startswith(_LOCAL):
        resource = f"local@{here}:{resource.removeprefix(_LOCAL)}"
    return Need(resource, shared)


def given(text: str, folder: str | None, here: str = "") -> Need:
    """Read a resource that a caller names, as :func:`parse` does.

    Args:
        text: The resource; an absolute path in the repository is one from the top of its worktree.
        folder: The folder of the board.
        here: As for :func:`parse`.

    Raises:
        BadName: The resource has a name or a pattern that is not allowed, or is one of a machine with such a
            name.
    """
    scope, rest = names.scope_of(text)
    if scope not in ("", _LOCAL):
        machine.check(scope[len("local@") : -1])
    name = rest.removesuffix(SHARED)
    need = parse(scope + place_of(name, folder) + rest[len(name) :], here)
    if re.search(_COUNTED, need.resource):
        raise BadName(f"{text!a}: a pattern cannot count", hint="Write {1,2,3} for {1..3}.")
    if _readings(need.resource) is None:
        raise BadName(
            f"{text!a} stands for too many names: more than {MOST} patterns",
            hint="Use * or **, or name fewer in braces and brackets.",
        )
    return need


def place_of(path: str, folder: str | None) -> str:
    """A path that a caller gives, tidied; in the repository of the board from the top of the worktree."""
    tidy = names.tidy_path(path)
    if not os.path.isabs(tidy):
        return tidy
    from orchestrator.core import repository

    return repository.within(tidy, folder)


def is_glob(resource: str) -> bool:
    """Whether the resource may match many names."""
    return any(mark in resource for mark in "*?[{")


def collide(first: str, second: str) -> bool:
    """Whether some name matches both patterns."""
    if first == second:
        return True
    if not (is_glob(first) or is_glob(second)):
        return False
    (scope, first), (other_scope, second) = names.scope_of(first), names.scope_of(second)
    return scope == other_scope and _globs_collide(first, second)


Mark = str | tuple[bool, frozenset[str]]
"""What one character of a name must be: itself, ``?`` any, in a class (True: not in it); ``*`` is many."""

Word = str | tuple[Mark, ...]
"""What one part of a name must be; ``**`` is many parts."""


@lru_cache(maxsize=65536)
def _globs_collide(first: str, second: str) -> bool:
    ours, theirs = (_readings(text) or (_parts(text.split("/")),) for text in (first, second))
    return any(_have_match(a, b, "**", _words_collide) for a, b in product(ours, theirs))


@lru_cache(maxsize=4096)
def _readings(text: str) -> tuple[tuple[Word, ...], ...] | None:
    """The patterns that a resource comes to, in parts; None if they are too many."""
    readings: list[tuple[Word, ...]] = []
    for plain in islice(_expanded(text), MOST + 1):
        parts = names.tidy_path(plain).split("/")
        choices = [list(islice(_marks(part), MOST + 1)) for part in parts]
        readings += islice(product(*choices), MOST + 1 - len(readings))
        if len(readings) > MOST:
            return None
    return tuple(readings)


def _expanded(text: str) -> Iterator[str]:
    """The texts that braces come to; braces without a comma, or left open, are plain characters."""
    start = 0
    while (opening := text.find("{", start)) >= 0:
        cuts = _cuts(text, opening)
        if len(cuts) > 2:
            for begin, end in pairwise(cuts):
                yield from _expanded(text[:opening] + text[begin + 1 : end] + text[cuts[-1] + 1 :])
            return
        start = opening + 1
    yield text


def _cuts(text: str, opening: int) -> list[int]:
    """The places of a brace, its commas and its closing brace; none if it is left open."""
    depth, cuts = 0, [opening]
    for i in range(opening, len(text)):
        depth += (text[i] == "{") - (text[i] == "}")
        if depth == 0:
            return [*cuts, i]
        if text[i] == "," and depth == 1:
            cuts.append(i)
    return []


def _marks(part: str) -> Iterator[Word]:
    """The readings of a part: each pair of brackets is a class of characters, or plain text."""
    if part == "**":
        yield part
        return
    pieces: list[list[tuple[Mark, ...]]] = []
    end = 0
    for bracket in re.finditer(_BRACKET, part):
        pieces += [[tuple(part[end : bracket.start()])], [tuple(bracket[0])]]
        if (members := _members(bracket[2])) is not None:
            pieces[-1].append(((bool(bracket[1]), members),))
        end = bracket.end()
    pieces.append([tuple(part[end:])])
    for chosen in product(*pieces):
        yield tuple(mark for piece in chosen for mark in piece)


def _members(text: str) -> frozenset[str] | None:
    """The characters that brackets hold, ranges included; None for a range that is too wide or empty."""
    members: set[str] = set()
    i = 0
    while i < len(text):
        last = text[i + 2] if text[i + 1 : i + 2] == "-" and i + 2 < len(text) else text[i]
        span = range(ord(text[i]), ord(last) + 1)
        if not 0 < len(span) <= _WIDEST:
            return None
        members.update(map(chr, span))
        i += 3 if len(span) > 1 or text[i + 1 : i + 3] == f"-{text[i]}" else 1
    return frozenset(members)


def _parts(parts: Sequence[str]) -> tuple[Word, ...]:
    """The parts of a pattern in which brackets and braces are plain characters."""
    return tuple(part if part == "**" else tuple(part) for part in parts)


def _words_collide(first: Word, second: Word) -> bool:
    return _have_match(first, second, "*", _marks_collide)


def _marks_collide(first: Mark, second: Mark) -> bool:
    """Whether some character matches both marks."""
    if first == "?" or second == "?" or first == second:
        return True
    if isinstance(first, str):
        first, second = second, first
    if isinstance(first, str):
        return False
    is_none_of, members = first
    if isinstance(second, str):
        return (second in members) != is_none_of
    others_excluded, others = second
    if is_none_of and others_excluded:
        return True
    if is_none_of or others_excluded:
        return bool(others - members if is_none_of else members - others)
    return bool(members & others)


def _have_match(
    first: Sequence[Any], second: Sequence[Any], star: str, fit: Callable[[Any, Any], bool]
) -> bool:
    """Whether some sequence matches both patterns; a table over the ends of both.

    Args:
        first: Items, each matched by one item, except ``star``.
        second: The same.
        star: The item that any number of items match.
        fit: Whether one item matches both of two others.
    """
    table = [[False] * (len(second) + 1) for _ in range(len(first) + 1)]
    table[-1][-1] = True
    for i in range(len(first), -1, -1):
        for j in range(len(second), -1, -1):
            if i < len(first) and first[i] == star:
                table[i][j] |= table[i + 1][j] or (j < len(second) and table[i][j + 1])
            if j < len(second) and second[j] == star:
                table[i][j] |= table[i][j + 1] or (i < len(first) and table[i + 1][j])
            if i < len(first) and j < len(second) and not table[i][j]:
                table[i][j] = table[i + 1][j + 1] and fit(first[i], second[j])
    return table[0][0]
