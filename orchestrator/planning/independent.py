"""The heaviest set of vertices of a graph in which no two are neighbours: branch and reduce, exactly.

The hardest graphs of 40 vertices that were found (random regular ones, grids, circulants, cycles and their
complements, random ones of every density) take less than a tenth of a second.
"""

from collections.abc import Iterable, Sequence


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
