"""Choose the tasks to run side by side: the set of the largest value in which no two exclude each other.

The guarantees, for candidates that do not collide with resources that are held now:

1. At most ``at_most`` are chosen, and no two of them touch the same resource, unless both only share it.
2. If at most :data:`EXACT` candidates are contested, no set has a larger value. A candidate is contested if
   it touches a resource that another candidate touches; of candidates that touch exactly the same only those
   count that could be chosen together. So 40 candidates are always solved exactly, and often far more.
3. Among the sets of that value the chosen one is the least when sets are compared by their members'
   (workstream priority, age, id), sorted: it holds the candidate that comes first in this order, if any
   best set does; among those, the one that comes next, and so on. This makes the answer unique.
4. Beyond that the value is at least that of the best set of the first ``EXACT`` contested and all uncontested
   candidates, and at least that of taking candidates in order of preference as long as they fit. The work
   grows as sorting does; :data:`~orchestrator.planning.overlaps.CHECKS` bounds the one part that would not:
   globs beyond it count as overlapping in the greedy choice.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from heapq import merge
from operator import attrgetter

from orchestrator.domain.tasks import resources
from orchestrator.planning.independent import heaviest
from orchestrator.planning.overlaps import Overlaps
from orchestrator.planning.survey import Candidate

EXACT = 40
"""The number of contested candidates up to which the choice is exact."""

_preference = attrgetter("preference")


def choose(candidates: Iterable[Candidate], at_most: int) -> list[Candidate]:
    """Return the set to run side by side, in order of preference; the module says what is guaranteed."""
    kept = _undominated(sorted(candidates, key=_preference), at_most)
    conflicts = _Conflicts(kept)
    free = [c for c in kept if conflicts.disputed.isdisjoint(c.modes)]
    contested = [c for c in kept if not conflicts.disputed.isdisjoint(c.modes)]
    first, others = contested[:EXACT], contested[EXACT:]
    chosen = _exact_choice(first, free, at_most)
    if others:
        core = [candidate for candidate in chosen if candidate in first]
        further = merge(free, others, key=_preference)
        sets = (conflicts.fill(core, further, at_most), conflicts.fill([], kept, at_most))
        chosen = min(sets, key=lambda s: (-sum(c.value for c in s), sorted(c.order for c in s)))
    return sorted(chosen, key=_preference)


def exclude(first: Candidate, second: Candidate) -> bool:
    """Return whether two candidates cannot run side by side."""
    return any(
        not (shared and also_shared) and resources.collide(resource, other)
        for resource, shared in first.modes.items()
        for other, also_shared in second.modes.items()
    )


def _undominated(ranked: Iterable[Candidate], at_most: int) -> list[Candidate]:
    """Leave out candidates that a better one can replace in any set.

    Of tasks that touch exactly the same resources, one can run if any resource is exclusive: the best
    replaces the others. Of tasks that only share, or touch nothing, ``at_most`` can.
    """
    kept = []
    taken = Counter[frozenset[tuple[str, bool]]]()
    for candidate in ranked:
        touched = frozenset(candidate.modes.items())
        if taken[touched] < (at_most if all(candidate.modes.values()) else min(at_most, 1)):
            taken[touched] += 1
            kept.append(candidate)
    return kept


def _exact_choice(
    contested: Sequence[Candidate], free: Sequence[Candidate], at_most: int
) -> list[Candidate]:
    """Return the best set of a few contested and any number of free candidates, both in order of preference.

    At most ``len(contested)`` places can go to contested ones, so the free ones that come before the last
    so many places are in every best set, and only those places are up for choice.
    """
    certain = max(0, at_most - len(contested))
    pool = sorted([*contested, *free[certain:at_most]], key=lambda c: c.order)
    neighbours = [
        sum(1 << i for i, other in enumerate(pool) if other is not c and exclude(c, other))
        for c in pool
    ]
    picked = heaviest([c.value for c in pool], neighbours, at_most - len(free[:certain]))
    return [*free[:certain], *(pool[i] for i in picked)]


class _Conflicts:
    """Which resources of some candidates exclude each other.

    Attributes:
        disputed: The resources that may make two candidates exclude each other.
    """

    def __init__(self, candidates: Iterable[Candidate]) -> None:
        modes = [mode for candidate in candidates for mode in candidate.modes.items()]
        users = Counter(resource for resource, _ in modes)
        exclusive = {resource for resource, shared in modes if not shared}
        self._meets = {resource: {resource} for resource in users}
        self.disputed = {resource for resource in exclusive if users[resource] > 1}
        overlaps = Overlaps(users)
        for resource in users:
            for glob in overlaps.of(resource):
                self._meets[resource].add(glob)
                self._meets[glob].add(resource)
                if not exclusive.isdisjoint((resource, glob)):
                    self.disputed |= {resource, glob}
        self._unknown = {r for r in users if overlaps.exhausted and overlaps.may_concern(r)}
        self.disputed |= self._unknown

    def fill(
        self, core: Sequence[Candidate], further: Iterable[Candidate], at_most: int
    ) -> list[Candidate]:
        """Return a set with all others that fit, taken in the given order."""
        chosen: list[Candidate] = []
        taken: dict[str, bool] = {}
        for candidate in (*core, *further):
            if len(chosen) >= at_most:
                break
            if len(chosen) < len(core) or not self._collides(candidate, taken):
                chosen.append(candidate)
                for resource, shared in candidate.modes.items():
                    taken[resource] = shared and taken.get(resource, True)
        return chosen

    def _collides(self, candidate: Candidate, taken: dict[str, bool]) -> bool:
        unknown = self._unknown
        return not (unknown.isdisjoint(candidate.modes) or unknown.isdisjoint(taken)) or any(
            not (shared and taken[other])
            for resource, shared in candidate.modes.items()
            for other in self._meets[resource] & taken.keys()
        )
