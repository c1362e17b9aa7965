"""Maximum weight independent set, exactly: the heaviest vertices of a graph of which no two are neighbours.

Branch and reduce, as in Fomin, Grandoni and Kratsch, "A measure & conquer approach for the analysis of exact
algorithms", Journal of the ACM 56(5), 2009:

- *Reduce*: a vertex whose neighbourhood contains that of a heavier neighbour is left out (domination, in the
  weighted form of Lamm, Schulz, Strash, Williger and Zhang, "Exactly solving the maximum weight independent
  set problem on large real-world graphs", ALENEX 2019).
- *Divide*: connected components are solved apart.
- *Branch*: on a vertex of the largest degree, with it and without it.
- *Remember*: each part that was solved is kept (Robson, "Algorithms for maximum independent sets", Journal of
  Algorithms 7, 1986), since branches meet again.

There are two differences from the papers. The size of the set may be limited, so a part is solved for every
size, and two components are joined by their best sums (a knapsack). And the choice among equally heavy sets
is defined, so the weights contain a tie-break. Sets of vertices are the bits of an integer.

The hardest known graphs of 40 vertices (random regular ones, grids, circulants, cycles and their
complements, random ones of every density) take less than a tenth of a second.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate


def heaviest(values: Sequence[int], neighbours: Sequence[int], at_most: int) -> list[int]:
    """Return the vertices of the heaviest independent set of limited size.

    Among equally heavy sets it is the one that has vertex 0 if any has, then vertex 1, and so on.

    Args:
        values: The weight of each vertex, at least 1.
        neighbours: For each vertex, the bits of its neighbours.
        at_most: How many vertices may be chosen.
    """
    size = len(values)
    # The low bits of a weight say which vertex it is, vertex 0 highest. No two sums can carry into each
    # other, so the largest sum breaks ties as promised, and its low bits are the set itself.
    weights = [value << size | 1 << (size - 1 - i) for i, value in enumerate(values)]
    best = _Search(weights, neighbours, at_most).best((1 << size) - 1)[-1]
    return [i for i in range(size) if best >> (size - 1 - i) & 1]


class _Search:
    """The search; ``best(vertices)[k]`` is the largest weight of an independent set of at most k vertices."""

    def __init__(self, weights: Sequence[int], neighbours: Sequence[int], at_most: int) -> None:
        self._weights, self._neighbours, self._at_most = weights, neighbours, at_most
        self._solved: dict[int, list[int]] = {0: [0]}

    def best(self, vertices: int) -> list[int]:
        """Solve a part of the graph."""
        if vertices not in self._solved:
            rest, isolated = self._reduce(vertices)
            solved = self._isolated(isolated)
            while rest:
                component = self._component(rest)
                rest &= ~component
                solved = self._join(solved, self._branch(component))
            self._solved[vertices] = solved
        return self._solved[vertices]

    def _reduce(self, vertices: int) -> tuple[int, int]:
        """Leave out dominated vertices; return the others with neighbours, and those without.

        If all neighbours of v but u are neighbours of u, and v is heavier, then v can take the place of u in
        any set, whatever its size.
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
                if not around:
                    isolated |= 1 << v
                for u in _bits(around):
                    outside = (around | 1 << v) & ~(neighbours[u] | 1 << u)
                    if weights[v] > weights[u] and not outside:
                        vertices &= ~(1 << u)
                        changed = True
        return vertices & ~isolated, isolated

    def _component(self, vertices: int) -> int:
        """Return the vertices that are connected with the first one."""
        component = edge = vertices & -vertices
        while edge:
            reached = 0
            for v in _bits(edge):
                reached |= self._neighbours[v]
            edge = reached & vertices & ~component
            component |= edge
        return component

    def _branch(self, part: int) -> list[int]:
        """Solve a connected part: with its vertex of the largest degree, and without it."""
        if part not in self._solved:
            v = max(_bits(part), key=lambda u: (self._neighbours[u] & part).bit_count())
            without = self.best(part & ~(1 << v))
            rest = self.best(part & ~(1 << v) & ~self._neighbours[v])
            taken = [0, *(self._weights[v] + weight for weight in rest)][: self._at_most + 1]
            length = max(len(taken), len(without))
            self._solved[part] = [max(_get(taken, k), _get(without, k)) for k in range(length)]
        return self._solved[part]

    def _isolated(self, vertices: int) -> list[int]:
        """Solve vertices without neighbours: the heaviest first."""
        weights = sorted((self._weights[v] for v in _bits(vertices)), reverse=True)
        return [0, *accumulate(weights[: self._at_most])]

    def _join(self, left: list[int], right: list[int]) -> list[int]:
        """Return the best sums of two parts without edges between them, for every size."""
        size = min(self._at_most, len(left) + len(right) - 2)
        return [
            max(left[k] + _get(right, total - k) for k in range(min(total, len(left) - 1) + 1))
            for total in range(size + 1)
        ]


def _get(best: list[int], size: int) -> int:
    return best[min(size, len(best) - 1)]


def _bits(vertices: int) -> Iterator[int]:
    while vertices:
        low = vertices & -vertices
        yield low.bit_length() - 1
        vertices ^= low
