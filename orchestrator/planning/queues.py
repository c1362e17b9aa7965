"""Tasks that must run in sequence, because they touch the same resource or an agent holds it."""

from collections.abc import Iterator

import msgspec

from orchestrator.core.multimap import multimap
from orchestrator.domain.tasks import resources
from orchestrator.domain.tasks.ready_queue import HeldResource
from orchestrator.planning.overlaps import Overlaps
from orchestrator.planning.records import SHOWN, PlannedHold, SerialGroup
from orchestrator.planning.survey import Candidate, Survey, place

BUILT = 5 * SHOWN
"""How many queues are made; queues of the same tasks are merged."""

Users = dict[str, list[Candidate]]
"""The candidates that touch each resource, in order of preference."""


class SerialQueue(msgspec.Struct, frozen=True, gc=False):
    """Candidates in the order to take them; two that do not both share the resource exclude each other.

    Attributes:
        resources: The common resource: a name, or overlapping globs.
        modes: The most wanted candidates, and whether each only shares.
        left_out: How many more there are.
        holds: The current holds for which some of them wait.
    """

    resources: tuple[str, ...]
    modes: dict[Candidate, bool]
    left_out: int
    holds: tuple[HeldResource, ...]


def serial_groups(board: Survey) -> tuple[list[SerialGroup], int]:
    """Return the queues with the most wanted tasks, and how many are not shown.

    A queue of one task only waits for the holders of its resource.
    """
    ranked_users = sorted(board.candidates, key=lambda c: c.preference)
    users = multimap((resource, user) for user in ranked_users for resource in user.modes)
    queues: dict[tuple[str, ...], SerialQueue] = {}
    built = left_out = 0
    for names in _meetings(users):
        holds = _holds(board, names)
        if not holds and not _is_contended(names, users):
            continue
        if len(queues) == SHOWN or built == BUILT:
            left_out += 1
            continue
        built += 1
        queue = _queue(names, users, holds)
        key = tuple(candidate.task.id for candidate in queue.modes)
        if holds or len(key) > 1:  # one task may touch resources that overlap
            queues[key] = _merged(queues[key], queue) if key in queues else queue
    ranked = sorted(queues.values(), key=lambda q: (next(iter(q.modes)).preference, q.resources))
    return [_group(queue) for queue in ranked], left_out


def _meetings(users: Users) -> Iterator[tuple[str, ...]]:
    """Yield resources that several tasks touch: a name with the globs that match it, or two globs."""
    overlaps = Overlaps(users)
    for resource, own in users.items():
        others = list(overlaps.of(resource))
        if not resources.is_glob(resource):
            yield (resource, *others)
            continue
        if len(own) > 1 or not others:
            yield (resource,)
        yield from ((resource, other) for other in others)


def _is_contended(names: tuple[str, ...], users: Users) -> bool:
    shares = [candidate.modes[name] for name in names for candidate in users[name]]
    return len(shares) > 1 and not all(shares)


def _holds(board: Survey, names: tuple[str, ...]) -> tuple[HeldResource, ...]:
    needs = (resources.Need(name, shared) for name in names for shared in (False, True))
    holds = {hold for need in needs for hold in board.held.get(need, ())}
    return tuple(sorted(holds, key=lambda hold: (hold.agent, hold.resource, hold.task or "")))


def _queue(names: tuple[str, ...], users: Users, holds: tuple[HeldResource, ...]) -> SerialQueue:
    modes: dict[Candidate, bool] = {}
    beyond = 0
    for name in names:
        beyond += max(0, len(users[name]) - SHOWN)
        for candidate in users[name][:SHOWN]:
            modes[candidate] = modes.get(candidate, True) and candidate.modes[name]
    ranked = sorted(modes.items(), key=lambda entry: entry[0].preference)
    return SerialQueue(names, dict(ranked[:SHOWN]), beyond + len(ranked[SHOWN:]), holds)


def _merged(first: SerialQueue, second: SerialQueue) -> SerialQueue:
    """Merge two queues of the same tasks: a task shares only if it shares both resources."""
    return SerialQueue(
        tuple(dict.fromkeys([*first.resources, *second.resources])),
        {
            candidate: shared and second.modes[candidate]
            for candidate, shared in first.modes.items()
        },
        max(first.left_out, second.left_out),
        tuple(dict.fromkeys([*first.holds, *second.holds])),
    )


def _group(queue: SerialQueue) -> SerialGroup:
    name = queue.resources[0]
    reason = f"Multiple tasks need {name}"
    if queue.holds:
        holder = queue.holds[0]
        task = f" for task {holder.task}" if holder.task else ""
        reason = f"{holder.agent} holds {holder.resource}{task}; who touches {name} waits"
    return SerialGroup(
        reason=reason,
        resource=name,
        resources=list(queue.resources[:SHOWN]),
        tasks=[place(candidate.task) for candidate in queue.modes],
        shared=[place(candidate.task) for candidate, shared in queue.modes.items() if shared],
        waits_for=msgspec.convert(queue.holds[:SHOWN], list[PlannedHold], from_attributes=True),
        left_out=queue.left_out,
    )
