"""The order in which new things can be made, when some name others that must be there before."""

from collections.abc import Callable, Collection, Mapping
from heapq import heapify, heappop, heappush
from typing import Any, TypeVar

K = TypeVar("K", bound=Any)


def in_order(waits: Mapping[K, Collection[K]], rank: Callable[[K], Any]) -> tuple[list[K], list[K]]:
    """Put things behind those that they wait for.

    Args:
        waits: For each thing those that must come before it, all of them keys themselves.
        rank: What comes first where there is a choice; no two things have the same.

    Returns:
        The things in order, and one circle, its first thing again at its end; empty if there is none.
    """
    before = {one: set(others) for one, others in waits.items()}
    behind: dict[K, list[K]] = {}
    for one, others in before.items():
        for other in others:
            behind.setdefault(other, []).append(one)
    ready = [(rank(one), one) for one, others in before.items() if not others]
    heapify(ready)
    order = []
    while ready:
        done = heappop(ready)[1]
        del before[done]
        order.append(done)
        for one in behind.get(done, ()):
            before[one].discard(done)
            if not before[one]:
                heappush(ready, (rank(one), one))
    return order, _circle(before, rank)


def _circle(before: Mapping[K, set[K]], rank: Callable[[K], Any]) -> list[K]:
    """A way through what is left over that comes back to where it was."""
    if not before:
        return []
    way = [min(before, key=rank)]
    passed = set(way)
    while (following := min(before[way[-1]], key=rank)) not in passed:
        way.append(following)
        passed.add(following)
    return [*way[way.index(following) :], following]
