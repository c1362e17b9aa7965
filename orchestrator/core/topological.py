"""Topological order that keeps the given order where there is a choice."""

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush
from typing import Any, TypeVar

K = TypeVar("K", bound=Any)


def topological_order(waits: Mapping[K, Iterable[K]]) -> tuple[list[K], list[K]]:
    """Put each key behind the keys that it waits for, and otherwise leave the keys in their order.

    Args:
        waits: For each key the keys that must come before it.

    Returns:
        The keys that no circle keeps back, in order, and one circle, in which each key waits for the one
        after it and the first is repeated at the end; empty if there is none.
    """
    rank = {key: number for number, key in enumerate(waits)}
    sorter = TopologicalSorter(dict.fromkeys(waits, ()))  # first all keys, for a stable order
    for key, others in waits.items():
        sorter.add(key, *others)
    circle: list[K] = []
    try:
        sorter.prepare()
    except CycleError as error:
        circle = error.args[1][::-1]
    ready: list[tuple[int, K]] = []
    order = []
    while sorter.is_active():
        for key in sorter.get_ready():
            heappush(ready, (rank[key], key))
        if not ready:
            break
        order.append(heappop(ready)[1])
        sorter.done(order[-1])
    return order, circle
