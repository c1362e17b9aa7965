"""The order of imported tasks: each after the tasks that it waits for. It breaks circles."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

from orchestrator.core.topological import topological_order

Kind = Literal["need", "failure", "gate", "parent"]


class Wait(NamedTuple):
    """A task that another one waits for, and the cost of removing this wait: 0 is no loss."""

    kind: Kind
    other: str
    cost: int


class Cut(NamedTuple):
    """A wait that would close a circle, with the circle: each task waits for the one after it."""

    task: str
    wait: Wait
    circle: list[str]


def in_order(waits: Mapping[str, Iterable[Wait]]) -> tuple[list[str], list[Cut]]:
    """Sort each task after the tasks that it waits for, and otherwise keep the order.

    Returns:
        The order, and the waits that were left out because they close a circle.
    """
    kept = {task_id: [*dict.fromkeys(others)] for task_id, others in waits.items()}
    cuts = list(_cut_circles(kept))
    order, _ = topological_order({key: [w.other for w in others] for key, others in kept.items()})
    return order, cuts


def _cut_circles(waits: dict[str, list[Wait]]) -> Iterator[Cut]:
    """Remove waits until there is no circle; walk from every task, and cut each circle when it closes."""
    finished: set[str] = set()
    for root in waits:
        path: list[tuple[str, int]] = [(root, 0)] if root not in finished else []
        place = {root: 0}
        while path:
            task_id, index = path[-1]
            if index == len(waits[task_id]):
                path.pop()
                del place[task_id]
                finished.add(task_id)
                continue
            path[-1] = task_id, index + 1
            other = waits[task_id][index].other
            if other in place:
                circle = path[place[other] :]
                weakest = min(circle, key=lambda step: waits[step[0]][step[1] - 1].cost)
                cut = waits[weakest[0]].pop(weakest[1] - 1)
                yield Cut(weakest[0], cut, [*(step[0] for step in circle), other])
                # Go on at the task that waits no more; those behind it are walked again.
                for forgotten, _ in path[place[weakest[0]] + 1 :]:
                    del place[forgotten]
                del path[place[weakest[0]] + 1 :]
                path[-1] = weakest[0], weakest[1] - 1
            elif other in waits and other not in finished:
                place[other] = len(path)
                path.append((other, 0))
