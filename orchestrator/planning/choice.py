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
   grows as sorting does; see :data:`CHECKS` for the one place where that costs quality.
"""

from collections.abc import Iterable, Sequence
from heapq import merge

import msgspec

from orchestrator.domain import resources
from orchestrator.domain.task_events import Task

EXACT = 40
"""Contested candidates for which the choice is exact."""

CHECKS = 100_000
"""Comparisons of path globs that one choice may take. Beyond it globs that might overlap are taken to
overlap, so the set stays sound and may be smaller than it could be."""


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
    overlaps = Overlaps(users, beyond=True)
    for resource in users if overlaps.any else ():
        for glob in overlaps.possible(resource):
            if resource in disputed and glob in disputed:
                continue
            if (users[resource][0] or users[glob][0]) and overlaps.overlap(resource, glob):
                disputed.update((resource, glob))


class Overlaps:
    """Finds the globs that overlap other resources without comparing every pair.

    Two patterns can have a name in common only if the parts before the first wildcard agree as far as both
    have them; so globs are kept by those parts, and a resource looks at its own ancestors.

    Args:
        names: Every resource there is.
        beyond: What to answer after :data:`CHECKS` questions.
    """

    def __init__(self, names: Iterable[str], *, beyond: bool) -> None:
        self._left = CHECKS
        self._beyond = beyond
        self._by_stem: dict[tuple[str, ...], list[str]] = {}
        for resource in names:
            if resources.is_glob(resource):
                self._by_stem.setdefault(_stem(resource), []).append(resource)

    @property
    def any(self) -> bool:
        """Whether there are globs at all."""
        return bool(self._by_stem)

    def possible(self, resource: str) -> Iterable[str]:
        """Globs of another name, with the same stem or a shorter one, that may overlap the resource."""
        stem = _stem(resource)
        for length in range(len(stem) + 1):
            for glob in self._by_stem.get(stem[:length], ()):
                if glob != resource:
                    yield glob

    def overlap(self, resource: str, glob: str) -> bool:
        """Whether the two, of which the glob is a possible one, have a name in common."""
        if glob.endswith("/**") and not resources.is_glob(glob[:-3]):
            return True  # it stands for everything below its stem, and the resource is there
        self._left -= 1
        return resources.collide(resource, glob) if self._left >= 0 else self._beyond


def _stem(resource: str) -> tuple[str, ...]:
    parts = resource.split("/")
    for i, part in enumerate(parts):
        if resources.is_glob(part):
            return tuple(parts[:i])
    return tuple(parts)


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


def heaviest(values: Sequence[int], neighbours: Sequence[int], at_most: int) -> list[int]:
    """The vertices of the heaviest set of at most so many in which no two are neighbours.

    Among equally heavy sets the one with the least vertices wins: the one that has vertex 0 if any has, then
    vertex 1, and so on.

    Args:
        values: The weight of each vertex, at least 1.
        neighbours: For each vertex, the bits of those that exclude it.
        at_most: How many may be chosen.
    """
    size = len(values)
    # The low bits of a weight say which vertex it is, vertex 0 highest. No two sums can carry into each
    # other, so the largest sum breaks ties as promised, and its low bits are the set itself.
    weights = [value << size | 1 << (size - 1 - i) for i, value in enumerate(values)]
    best = _Search(weights, neighbours, at_most).best((1 << size) - 1)[-1]
    return [i for i in range(size) if best >> (size - 1 - i) & 1]


class _Search:
    """Maximum-weight independent sets by size: branch and reduce over sets of vertices kept as bits.

    ``best(vertices)[k]`` is the largest weight of at most ``k`` vertices. Every distinct part of the graph
    is solved once.
    """

    def __init__(self, weights: Sequence[int], neighbours: Sequence[int], at_most: int) -> None:
        self._weights = weights
        self._neighbours = neighbours
        self._at_most = at_most
        self._solved: dict[int, list[int]] = {0: [0]}

    def best(self, vertices: int) -> list[int]:
        solved = self._solved.get(vertices)
        if solved is None:
            reduced, isolated = self._reduce(vertices)
            solved = self._lone(isolated)
            while reduced:
                part = self._component(reduced)
                reduced &= ~part
                solved = self._together(solved, self._branch(part))
            self._solved[vertices] = solved
        return solved

    def _reduce(self, vertices: int) -> tuple[int, int]:
        """Leave out vertices that a lighter-linked, heavier neighbour replaces; and find the isolated ones.

        If all that excludes v also excludes its neighbour u, and v is heavier, then v can take the place of
        u in any set, whatever its size.
        """
        neighbours, weights = self._neighbours, self._weights
        changed = True
        while changed:
            changed = False
            isolated = 0
            for v in _bits(vertices):
                if not vertices >> v & 1:
                    continue  # left out since the round began
                around = neighbours[v] & vertices
                closed = around | 1 << v
                if not around:
                    isolated |= 1 << v
                for u in _bits(around):
                    if weights[v] > weights[u] and not closed & ~(neighbours[u] | 1 << u):
                        vertices &= ~(1 << u)
                        changed = True
        return vertices & ~isolated, isolated

    def _component(self, vertices: int) -> int:
        """The vertices that are linked with the first one."""
        part = edge = vertices & -vertices
        while edge:
            reached = 0
            for v in _bits(edge):
                reached |= self._neighbours[v]
            edge = reached & vertices & ~part
            part |= edge
        return part

    def _branch(self, part: int) -> list[int]:
        """Solve a connected part: with its most linked vertex, and without it."""
        known = self._solved.get(part)
        if known is not None:
            return known
        v = max(_bits(part), key=lambda u: (self._neighbours[u] & part).bit_count())
        without = self.best(part & ~(1 << v))
        rest = self.best(part & ~(1 << v) & ~self._neighbours[v])
        weight = self._weights[v]
        taken = [0, *(weight + other for other in rest)][: self._at_most + 1]
        length = max(len(taken), len(without))
        solved = [max(_at(taken, k), _at(without, k)) for k in range(length)]
        self._solved[part] = solved
        return solved

    def _lone(self, vertices: int) -> list[int]:
        """Vertices without neighbours: the heaviest first."""
        sums = [0]
        weights = sorted((self._weights[v] for v in _bits(vertices)), reverse=True)
        for weight in weights[: self._at_most]:
            sums.append(sums[-1] + weight)
        return sums

    def _together(self, one: list[int], other: list[int]) -> list[int]:
        """The best of two parts that have no link, for every size."""
        size = min(self._at_most, len(one) + len(other) - 2)
        return [
            max(one[k] + _at(other, total - k) for k in range(min(total, len(one) - 1) + 1))
            for total in range(size + 1)
        ]


def _at(best: list[int], size: int) -> int:
    return best[size] if size < len(best) else best[-1]


def _bits(vertices: int) -> Iterable[int]:
    while vertices:
        low = vertices & -vertices
        yield low.bit_length() - 1
        vertices ^= low


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
