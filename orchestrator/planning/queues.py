"""Tasks that must go one after another, because they touch one resource or somebody holds it."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from orchestrator.domain.tasks import resources
from orchestrator.domain.tasks.ready_queue import Hold
from orchestrator.planning.choice import Candidate
from orchestrator.planning.overlaps import Overlaps
from orchestrator.planning.survey import SHOWN, Survey, place

BUILT = 5 * SHOWN
"""Queues that are looked into; those of the same tasks are shown as one."""


class Users(msgspec.Struct):
    """The candidates that touch a resource: the most wanted ones, and how many there are."""

    first: list[Candidate] = []
    number: int = 0
    any_exclusive: bool = False


class Queue(msgspec.Struct, frozen=True, gc=False):
    """Candidates in the order to take them; two that do not both share the resource exclude each other.

    Attributes:
        resources: What they meet at: one name, or globs that overlap.
        modes: The most wanted candidates, and whether each only shares.
        left_out: How many more there are.
        holds: What is held now that some of them wait for.
    """

    resources: tuple[str, ...]
    modes: dict[Candidate, bool]
    left_out: int
    holds: tuple[Hold, ...]


def serial_groups(found: Survey) -> tuple[list[dict[str, Any]], int]:
    """The queues as a plan shows them, those with the most wanted tasks; and how many are not shown.

    Of the tasks of a queue every two exclude each other, but those under ``shared`` only the others.
    ``waits_for`` says who holds the resource now; a queue of one task waits for them alone.
    """
    merged: dict[tuple[str, ...], Queue] = {}
    built = left_out = 0
    users = _users(found.candidates)
    for names in _meetings(users):
        holds = _holds(found, names)
        if not holds and not _is_contended(names, users):
            continue
        if len(merged) == SHOWN or built == BUILT:
            left_out += 1
            continue
        built += 1
        queue = _queue(names, users, holds)
        key = tuple(candidate.task.id for candidate in queue.modes)
        if holds or len(key) > 1:  # one task may touch resources that overlap
            merged[key] = _merged(merged[key], queue) if key in merged else queue
    ranked = sorted(merged.values(), key=lambda q: (next(iter(q.modes)).preference, q.resources))
    return [_entry(queue) for queue in ranked], left_out


def _meetings(users: dict[str, Users]) -> Iterator[tuple[str, ...]]:
    """Resources at which all of their users meet: a name with the globs that stand for it, or two globs."""
    overlaps = Overlaps(users)
    for resource, own in users.items():
        others = list(overlaps.of(resource)) if overlaps.any else []
        if not resources.is_glob(resource):
            yield (resource, *others)
            continue
        if own.number > 1 or not others:
            yield (resource,)
        for other in others:
            yield (resource, other)


def _users(candidates: Iterable[Candidate]) -> dict[str, Users]:
    """Who touches what; the resources in the order of their most wanted task."""
    users: dict[str, Users] = {}
    for candidate in sorted(candidates, key=lambda c: c.preference):
        for resource, shared in candidate.modes.items():
            known = users.get(resource)
            if known is None:
                known = users[resource] = Users()
            known.number += 1
            known.any_exclusive |= not shared
            if len(known.first) < SHOWN:
                known.first.append(candidate)
    return users


def _is_contended(names: tuple[str, ...], users: dict[str, Users]) -> bool:
    number = sum(users[name].number for name in names)
    return number > 1 and any(users[name].any_exclusive for name in names)


def _holds(found: Survey, names: tuple[str, ...]) -> tuple[Hold, ...]:
    if not found.held:
        return ()
    texts = (text for name in names for text in (name, name + resources.SHARED))
    holds = {hold for text in texts for hold in found.held.get(text, ())}
    return tuple(sorted(holds, key=lambda hold: (hold.agent, hold.resource, hold.task or "")))


def _queue(names: tuple[str, ...], users: dict[str, Users], holds: tuple[Hold, ...]) -> Queue:
    modes: dict[Candidate, bool] = {}
    for name in names:
        for candidate in users[name].first:
            modes[candidate] = modes.get(candidate, True) and candidate.modes[name]
    ranked = sorted(modes.items(), key=lambda entry: entry[0].preference)
    shown = dict(ranked[:SHOWN])
    beyond = sum(users[name].number - len(users[name].first) for name in names)
    return Queue(names, shown, beyond + len(ranked) - len(shown), holds)


def _merged(one: Queue, other: Queue) -> Queue:
    """Two queues of the same tasks: who shares one resource but needs the other for itself, excludes."""
    return Queue(
        tuple(dict.fromkeys([*one.resources, *other.resources])),
        {candidate: shared and other.modes[candidate] for candidate, shared in one.modes.items()},
        max(one.left_out, other.left_out),
        tuple(dict.fromkeys([*one.holds, *other.holds])),
    )


def _entry(queue: Queue) -> dict[str, Any]:
    return {
        "reason": _reason(queue),
        "resource": queue.resources[0],
        "resources": list(queue.resources[:SHOWN]),
        "tasks": [place(candidate.task) for candidate in queue.modes],
        "shared": [place(candidate.task) for candidate, shared in queue.modes.items() if shared],
        "waits_for": [
            {"agent": h.agent, "resource": h.resource, "task": h.task, "until": h.until}
            for h in queue.holds[:SHOWN]
        ],
        "left_out": queue.left_out,
    }


def _reason(queue: Queue) -> str:
    name = queue.resources[0]
    if not queue.holds:
        return f"Multiple tasks need {name}"
    holder = queue.holds[0]
    task = f" for task {holder.task}" if holder.task else ""
    return f"{holder.agent} holds {holder.resource}{task}; who touches {name} waits"
