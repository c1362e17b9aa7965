"""Resources: the names and path globs that tasks touch and agents lock, and when two of them collide.

``*`` stands for any characters but ``/``, ``?`` for one of them, ``**`` as a whole part for any number of
parts. Two patterns collide when some name would match both.
"""

from functools import lru_cache

import msgspec

from orchestrator.core import names

SHARED = ":shared"


class Need(msgspec.Struct, frozen=True, gc=False):
    """A resource as somebody needs it: a name or glob, and whether others may share it."""

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


def collide(one: str, other: str) -> bool:
    """Whether some name matches both patterns."""
    if one == other:
        return True
    if not is_glob(one) and not is_glob(other):
        return False
    return _globs_collide(one, other)


@lru_cache(maxsize=65536)
def _globs_collide(one: str, other: str) -> bool:
    return _parts_collide(tuple(one.split("/")), tuple(other.split("/")))


def _parts_collide(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether two paths of patterns have a path in common; a table over the ends of both."""
    table = [[False] * (len(other) + 1) for _ in range(len(one) + 1)]
    table[-1][-1] = True
    for i in range(len(one), -1, -1):
        for j in range(len(other), -1, -1):
            if i < len(one) and one[i] == "**":
                table[i][j] |= table[i + 1][j] or (j < len(other) and table[i][j + 1])
            if j < len(other) and other[j] == "**":
                table[i][j] |= table[i][j + 1] or (i < len(one) and table[i + 1][j])
            if i < len(one) and j < len(other) and not table[i][j]:
                table[i][j] = table[i + 1][j + 1] and _words_collide(one[i], other[j])
    return table[0][0]


def _words_collide(one: str, other: str) -> bool:
    """Whether two patterns without ``/`` have a word in common."""
    table = [[False] * (len(other) + 1) for _ in range(len(one) + 1)]
    table[-1][-1] = True
    for i in range(len(one), -1, -1):
        for j in range(len(other), -1, -1):
            if i < len(one) and one[i] == "*":
                table[i][j] |= table[i + 1][j] or (j < len(other) and table[i][j + 1])
            if j < len(other) and other[j] == "*":
                table[i][j] |= table[i][j + 1] or (i < len(one) and table[i + 1][j])
            if i < len(one) and j < len(other) and not table[i][j]:
                same = one[i] == other[j] or "?" in (one[i], other[j])
                table[i][j] = same and table[i + 1][j + 1]
    return table[0][0]
