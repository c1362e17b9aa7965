"""Resources: the names and path globs that tasks touch and agents lock, and when two of them collide.

``*`` stands for any characters but ``/``, ``?`` for one of them, ``**`` as a whole part for any number of
parts. Two patterns collide when some name would match both.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import msgspec

from orchestrator.core import names

SHARED = ":shared"


class Need(msgspec.Struct, frozen=True, gc=False):
    """A resource that is needed: a name or glob, and whether others may share it."""

    resource: str
    shared: bool = False


def parse(text: str) -> Need:
    """Read ``git`` or ``git:shared``.

    Raises:
        BadName: The resource has a name that is not allowed.
    """
    shared = text.endswith(SHARED)
    return Need(names.resource(text.removesuffix(SHARED)), shared)


def is_glob(resource: str) -> bool:
    """Whether the resource stands for many names."""
    return "*" in resource or "?" in resource


def collide(first: str, second: str) -> bool:
    """Whether some name matches both patterns."""
    if first == second:
        return True
    return (is_glob(first) or is_glob(second)) and _globs_collide(first, second)


@lru_cache(maxsize=65536)
def _globs_collide(first: str, second: str) -> bool:
    return _have_match(first.split("/"), second.split("/"), "**", _words_collide)


def _words_collide(first: str, second: str) -> bool:
    return _have_match(first, second, "*", lambda a, b: a == b or "?" in (a, b))


def _have_match(
    first: Sequence[str], second: Sequence[str], star: str, fit: Callable[[str, str], bool]
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
