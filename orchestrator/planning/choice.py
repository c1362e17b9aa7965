"""Which tasks to run side by side: the set of the largest value in which no two exclude each other.

What is guaranteed, for candidates none of which collides with what is held now:

1. No two chosen ones touch the same resource, unless both only share it; at most ``at_most`` are chosen.
2. If at most :data:`EXACT` candidates are contested, no set has a larger value. Not contested are those that
   touch nothing that another candidate touches, and of candidates that touch exactly the same only those
   count that could be chosen together. So 40 candidates are always solved exactly, and often far more.
3. Among the sets of that value the chosen one is the least when sets are compared by their members'
   (workstream priority, age, id), sorted: it holds the candidate that comes first in this order, if any
   best set does; among those, the one that comes next, and so on. This makes the answer unique.
4. Beyond that the value is at least that of the best set of the first ``EXACT`` contested and all uncontested
   candidates, and at least that of taking candidates in order of preference as long as they fit. The work
   grows as sorting does; :data:`~orchestrator.planning.overlaps.CHECKS` bounds the one part that would not.
"""

from collections.abc import Iterable, Sequence
from heapq import merge

import msgspec

from orchestrator.domain.tasks import resources
from orchestrator.domain.tasks.records import Task
from orchestrator.planning.independent import heaviest
from orchestrator.planning.overlaps import CHECKS, Overlaps

EXACT = 40
"""Contested candidates for which the choice is exact."""


class Candidate(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A task that could be taken.

    Attributes:
        value: What it is worth to run it.
        order: Workstream priority, age, id; breaks ties, and no two have the same.
        preference: The same behind the value: what is worth more comes first.
        modes: The resources it touches, and whether it only shares each.
        globs: Those of them that stand for many names.
    """

    task: Task
    value: int
    order: tuple[int, int, str]
    preference: tuple[int, tuple[int, int, str]]
    modes: dict[str, bool]
    globs: tuple[str, ...]


def exclude(one: Candidate, other: Candidate) -> bool:
    """Whether two candidates cannot run side by side."""
    for resource in one.modes.keys() & other.modes.keys():
        if not (one.modes[resource] and other.modes[resource]):
            return True
    return _globs_exclude(one, other) or _globs_exclude(other, one)


def _globs_exclude(one: Candidate, other: Candidate) -> bool:
    return any(
        not (one.modes[glob] and shared) and resources.collide(glob, resource)
        for glob in one.globs
        for resource, shared in other.modes.items()
    )


def choose(candidates: Iterable[Candidate], at_most: int) -> list[Candidate]:
    """The set to run side by side, in order of preference; see the module for what is guaranteed."""
    kept = _undominated(sorted(candidates, key=lambda c: c.preference), at_most)
    contested, free = _split(kept)
    first, others = contested[:EXACT], contested[EXACT:]
    chosen = _best_of(first, free, at_most)
    if others:
        core = set(chosen).intersection(first)
        further = merge(free, others, key=lambda c: c.preference)
        chosen = min(
            _extended(core, further, at_most), _extended((), kept, at_most), key=_set_preference
        )
    return sorted(chosen, key=lambda c: c.preference)


def _set_preference(chosen: Sequence[Candidate]) -> tuple[int, list[tuple[int, int, str]]]:
    return (-sum(c.value for c in chosen), sorted(c.order for c in chosen))


# Making the problem small


def _undominated(ranked: Iterable[Candidate], at_most: int) -> list[Candidate]:
    """Leave out candidates for which a better one stands in any set.

    Of those that touch exactly the same, one can run if any of it is exclusive: the best takes the place
    of any other. Of those that only share, or touch nothing, ``at_most`` can.
    """
    kept = []
    taken: dict[frozenset[tuple[str, bool]], int] = {}
    for candidate in ranked:
        touched = frozenset(candidate.modes.items())
        room = at_most if all(candidate.modes.values()) else min(at_most, 1)
        if taken.get(touched, 0) < room:
            taken[touched] = taken.get(touched, 0) + 1
            kept.append(candidate)
    return kept


def _split(candidates: Sequence[Candidate]) -> tuple[list[Candidate], list[Candidate]]:
    """The candidates that another one may exclude, and those that none does; order is kept."""
    users: dict[str, list[int]] = {}
    for candidate in candidates:
        for resource, shared in candidate.modes.items():
            users.setdefault(resource, [0, 0])[shared] += 1
    disputed = {
        r for r, (exclusive, sharing) in users.items() if exclusive and exclusive + sharing > 1
    }
    _add_overlapping(disputed, users)
    contested: list[Candidate] = []
    free: list[Candidate] = []
    for candidate in candidates:
        (free if disputed.isdisjoint(candidate.modes) else contested).append(candidate)
    return contested, free


def _add_overlapping(disputed: set[str], users: dict[str, list[int]]) -> None:
    """Add the resources that a glob of another name overlaps."""
    overlaps = Overlaps(users)
    for resource in users if overlaps.any else ():
        for glob in overlaps.of(resource):
            if users[resource][0] or users[glob][0]:
                disputed.update((resource, glob))
    if overlaps.exhausted:
        disputed.update(resource for resource in users if overlaps.may_concern(resource))


# The exact choice


def _best_of(
    contested: Sequence[Candidate], free: Sequence[Candidate], at_most: int
) -> list[Candidate]:
    """The best set of a few contested and any number of free candidates, both in order of preference.

    At most ``len(contested)`` places can go to contested ones, so the free ones that come before the last
    so many places are in every best set, and only those places are up for choice.
    """
    certain = max(0, at_most - len(contested))
    pool = sorted([*contested, *free[certain:at_most]], key=lambda c: c.order)
    neighbours = [
        sum(1 << j for j, other in enumerate(pool) if other is not one and exclude(one, other))
        for one in pool
    ]
    picked = heaviest([c.value for c in pool], neighbours, at_most - len(free[:certain]))
    return [*free[:certain], *(pool[i] for i in picked)]


# The greedy choice


def _extended(
    core: Iterable[Candidate], further: Iterable[Candidate], at_most: int
) -> list[Candidate]:
    """A set and whatever fits of the others, taken in the order given."""
    chosen = _Taken()
    for candidate in core:
        chosen.add(candidate)
    for candidate in further:
        if len(chosen.candidates) >= at_most:
            break
        if not chosen.excludes(candidate):
            chosen.add(candidate)
    return chosen.candidates


class _Taken:
    """A growing set of candidates, with what it touches."""

    def __init__(self) -> None:
        self.candidates: list[Candidate] = []
        self._modes: dict[str, bool] = {}
        self._globs: dict[str, None] = {}
        self._left = CHECKS

    def add(self, candidate: Candidate) -> None:
        self.candidates.append(candidate)
        for resource, shared in candidate.modes.items():
            self._modes[resource] = shared and self._modes.get(resource, True)
        self._globs.update(dict.fromkeys(candidate.globs))

    def excludes(self, candidate: Candidate) -> bool:
        return any(self._excludes(resource, shared) for resource, shared in candidate.modes.items())

    def _excludes(self, resource: str, shared: bool) -> bool:
        if resource in self._modes and not (shared and self._modes[resource]):
            return True
        for other in self._modes if resources.is_glob(resource) else self._globs:
            if shared and self._modes[other]:
                continue
            self._left -= 1
            if self._left < 0 or resources.collide(resource, other):
                return True
        return False
