"""A stable topological order."""

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush
from typing import Any, TypeVar

K = TypeVar("K", bound=Any)


def topological_order(waits: Mapping[K, Iterable[K]]) -> tuple[list[K], list[K]]:
    """Sort each key after the keys that it waits for; otherwise keep the given order.

    Args:
        waits: For each key, the keys that must come before it.

    Returns:
        The sorted keys without those that a circle blocks, and the first circle: each key waits for the next
        key, and the first key is repeated at the end. It is empty if there is no circle.
    """
    rank = {key: number for number, key in enumerate(waits)}
    sorter = TopologicalSorter(dict.fromkeys(waits, ()))  # all keys first, for a stable order
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
