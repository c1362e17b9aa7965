"""Tasks that must go one after another, because they touch one resource or somebody holds it."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from orchestrator.domain import resources
from orchestrator.domain.schedule import Hold
from orchestrator.planning.choice import Candidate, Overlaps
from orchestrator.planning.survey import SHOWN, Survey, place


class Queue(msgspec.Struct, frozen=True, gc=False):
    """Candidates in the order to take them, of which any two that do not both share exclude each other."""

    resources: tuple[str, ...]
    entries: tuple[tuple[Candidate, bool], ...]
    holds: tuple[Hold, ...]


def serial_groups(found: Survey) -> tuple[list[dict[str, Any]], int]:
    """The queues as a plan shows them, the one with the most wanted task first; and how many are not shown.

    In a queue every task excludes every other, except that those under ``shared`` exclude each other not.
    ``waits_for`` says who holds the resource now; a queue of one task waits for them alone.
    """
    merged: dict[tuple[str, ...], Queue] = {}
    for queue in _queues(found):
        key = tuple(c.task.id for c, _ in queue.entries)
        known = merged.get(key)
        if known is not None:
            names = dict.fromkeys([*known.resources, *queue.resources])
            holds = dict.fromkeys([*known.holds, *queue.holds])
            # Shared beside one resource and exclusive beside another is exclusive.
            pairs = zip(known.entries, queue.entries, strict=True)
            entries = tuple((c, shared and too) for (c, shared), (_, too) in pairs)
            queue = Queue(tuple(names), entries, tuple(holds))
        merged[key] = queue
    ranked = sorted(merged.values(), key=lambda q: (q.entries[0][0].preference, q.resources))
    return [_entry(queue) for queue in ranked[:SHOWN]], max(0, len(ranked) - SHOWN)


def _queues(found: Survey) -> Iterator[Queue]:
    users = _users(found.candidates)
    overlaps = Overlaps(users)
    for resource, own in users.items():
        others = _overlapping(resource, users, overlaps) if overlaps.any else []
        if not resources.is_glob(resource):
            # All of them stand for this one name, so every two of them meet there.
            yield from _queue(found, (resource, *others), users)
            continue
        if len(own) > 1 or not others:
            yield from _queue(found, (resource,), users)
        for other in others:
            yield from _queue(found, (resource, other), users)


def _users(candidates: Iterable[Candidate]) -> dict[str, list[Candidate]]:
    users: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        for resource in candidate.modes:
            users.setdefault(resource, []).append(candidate)
    return users


def _overlapping(
    resource: str, users: dict[str, list[Candidate]], overlaps: Overlaps
) -> list[str]:
    """The globs that overlap a resource; of two globs with one stem only the later name has the other."""
    both = resources.is_glob(resource)
    return [
        glob
        for glob in overlaps.possible(resource)
        if glob in users and not (both and same_stem_before(resource, glob))
        if overlaps.overlap(resource, glob)
    ]


def _queue(
    found: Survey, names: tuple[str, ...], users: dict[str, list[Candidate]]
) -> Iterator[Queue]:
    modes: dict[Candidate, bool] = {}
    for name in names:
        for candidate in users[name]:
            modes[candidate] = modes.get(candidate, True) and candidate.modes[name]
    holds = _holds(found, names, modes)
    if holds or (len(modes) > 1 and not all(modes.values())):
        ranked = sorted(modes.items(), key=lambda entry: entry[0].preference)
        yield Queue(names, tuple(ranked), holds)


def _holds(found: Survey, names: tuple[str, ...], modes: dict[Candidate, bool]) -> tuple[Hold, ...]:
    if not found.held:
        return ()
    texts = {text for name in names for text in (name, name + resources.SHARED)}
    held = (
        hold
        for candidate in modes
        for text in candidate.task.touches
        if text in texts
        for hold in found.held.get(text, ())
    )
    return tuple(dict.fromkeys(held))


def _entry(queue: Queue) -> dict[str, Any]:
    shown = queue.entries[:SHOWN]
    return {
        "reason": _reason(queue),
        "resource": queue.resources[0],
        "resources": list(queue.resources),
        "tasks": [place(candidate.task) for candidate, _ in shown],
        "shared": [place(candidate.task) for candidate, shared in shown if shared],
        "waits_for": [
            {"agent": h.agent, "resource": h.resource, "task": h.task, "until": h.until}
            for h in queue.holds[:SHOWN]
        ],
        "left_out": len(queue.entries) - len(shown),
    }


def _reason(queue: Queue) -> str:
    name = queue.resources[0]
    if not queue.holds:
        return f"Multiple tasks need {name}"
    holder = queue.holds[0]
    task = f" for task {holder.task}" if holder.task else ""
    return f"{holder.agent} holds {holder.resource}{task}, which collides with {name}"
