"""The choice of tasks that run in parallel, compared with all subsets where possible; and larger cases."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.tasks import resources
from orchestrator.domain.tasks.records import Task
from orchestrator.planning import overlaps
from orchestrator.planning.choice import EXACT, choose, exclude
from orchestrator.planning.independent import heaviest
from orchestrator.planning.overlaps import Overlaps
from orchestrator.planning.survey import Candidate

RESOURCES = ["git", "db", "src/a", "src/b", "src/*", "src/**", "s?c/a", "**/b", "*"]


def candidate(number: int, value: int = 5, stream: int = 5, touches: tuple[str, ...] = ()):
    needs = [resources.parse(text) for text in touches]
    modes = {n.resource: all(m.shared for m in needs if m.resource == n.resource) for n in needs}
    name = f"{number:08x}"
    order = (stream, number, name)
    return Candidate(
        task=Task(
            id=name,
            workstream="w",
            title="t",
            status="pending",
            type="task",
            touches=touches,
            created_by="x",
            events=(number,),
        ),
        value=value,
        order=order,
        modes=modes,
    )


@st.composite
def candidates(draw: st.DrawFn, most: int = 10) -> list[Candidate]:
    touches = st.tuples(st.sampled_from(RESOURCES), st.sampled_from(["", ":shared"])).map("".join)
    count = draw(st.integers(0, most))
    return [
        candidate(
            number,
            draw(st.integers(1, 3)),
            draw(st.integers(1, 2)),
            tuple(draw(st.lists(touches, max_size=3, unique=True))),
        )
        for number in range(1, count + 1)
    ]


def collide(left: Candidate, other: Candidate) -> bool:
    """By the definition: both need a resource, and not both share it."""
    return any(
        resources.collide(a.resource, b.resource) and not (a.shared and b.shared)
        for a in map(resources.parse, left.task.touches)
        for b in map(resources.parse, other.task.touches)
    )


def is_sound(chosen: list[Candidate]) -> bool:
    return not any(collide(a, b) for a, b in itertools.combinations(chosen, 2))


def value(chosen: list[Candidate]) -> int:
    return sum(c.value for c in chosen)


def by_definition(offered: list[Candidate], at_most: int) -> list[Candidate]:
    """Try every subset: the largest value, then the smallest list of orders."""
    sound = (
        list(subset)
        for size in range(min(at_most, len(offered)) + 1)
        for subset in itertools.combinations(offered, size)
        if is_sound(list(subset))
    )
    return min(sound, key=lambda s: (-value(s), sorted(c.order for c in s)))


def names(chosen: list[Candidate]) -> set[str]:
    return {c.task.id for c in chosen}


@given(candidates(), st.integers(1, 10))
def test_the_choice_is_the_best_of_all_subsets_and_of_equal_ones_the_first(
    offered: list[Candidate], at_most: int
):
    chosen = choose(offered, at_most)
    assert names(chosen) == names(by_definition(offered, at_most))


@given(candidates(), st.randoms())
def test_the_order_of_the_offer_does_not_matter(offered: list[Candidate], dice: random.Random):
    shuffled = list(offered)
    dice.shuffle(shuffled)
    assert choose(offered, 8) == choose(shuffled, 8)


@given(candidates(most=4))
def test_two_exclude_each_other_as_their_touches_say(offered: list[Candidate]):
    for left, other in itertools.permutations(offered, 2):
        assert exclude(left, other) == collide(left, other)


def test_the_answer_stands_in_order_of_preference():
    offered = [candidate(1, 3, 1), candidate(2, 9, 2), candidate(3, 9, 1), candidate(4, 9, 1)]
    assert [c.order[1] for c in choose(offered, 4)] == [3, 4, 2, 1]


def test_two_lesser_tasks_beat_one_that_excludes_both():
    """9 for the task that needs everything, 5 + 5 for two tasks that need a part each."""
    offered = [candidate(1, 9, touches=("src/**",)), candidate(2, touches=("src/a",))]
    assert names(choose(offered, 8)) == {"00000001"}
    offered.append(candidate(3, touches=("src/b",)))
    assert names(choose(offered, 8)) == {"00000002", "00000003"}
    assert names(choose(offered, 1)) == {"00000001"}


def graph(size: int, edges: list[tuple[int, int]]) -> list[int]:
    neighbours = [0] * size
    for a, b in edges:
        if a != b:
            neighbours[a] |= 1 << b
            neighbours[b] |= 1 << a
    return neighbours


@given(
    st.lists(st.integers(1, 3), min_size=1, max_size=11),
    st.sets(st.tuples(st.integers(0, 10), st.integers(0, 10))),
    st.integers(0, 11),
)
def test_heaviest_is_the_heaviest_and_least_of_all_subsets(
    values: list[int], pairs: set[tuple[int, int]], at_most: int
):
    size = len(values)
    edges = [(a, b) for a, b in pairs if a < size and b < size and a != b]
    linked = set(edges) | {(b, a) for a, b in edges}
    independent = (
        list(subset)
        for count in range(min(at_most, size) + 1)
        for subset in itertools.combinations(range(size), count)
        if not any(pair in linked for pair in itertools.combinations(subset, 2))
    )
    expected = min(independent, key=lambda s: (-sum(values[i] for i in s), s))
    assert heaviest(values, graph(size, edges), at_most) == expected


def test_a_cycle_of_forty_gives_twenty():
    cycle = graph(40, [(i, (i + 1) % 40) for i in range(40)])
    assert heaviest([5] * 40, cycle, 40) == list(range(0, 40, 2))
    assert heaviest([5] * 40, cycle, 7) == list(range(0, 14, 2))


def test_the_complement_of_a_cycle_gives_two_neighbours_on_it():
    edges = [(i, j) for i in range(40) for j in range(i) if (i - j) % 40 not in (1, 39)]
    assert heaviest([5] * 40, graph(40, edges), 40) == [0, 1]


def test_cliques_give_the_best_of_each():
    edges = [(i, j) for i in range(40) for j in range(i) if i // 5 == j // 5]
    values = [1 + i % 5 for i in range(40)]
    assert heaviest(values, graph(40, edges), 40) == [4, 9, 14, 19, 24, 29, 34, 39]


@pytest.mark.parametrize("degree", [3, 4, 5, 7, 10])
def test_hard_graphs_of_forty_are_solved(degree: int):
    """Random regular graphs are the worst case of branching; a second algorithm checks the sum."""
    dice = random.Random(degree)
    stubs = [i for i in range(40) for _ in range(degree)]
    dice.shuffle(stubs)
    neighbours = graph(40, list(zip(stubs[::2], stubs[1::2], strict=True)))
    values = [dice.randint(1, 9) for _ in range(40)]
    chosen = heaviest(values, neighbours, 40)
    assert not any(neighbours[a] >> b & 1 for a, b in itertools.combinations(chosen, 2))
    assert sum(values[i] for i in chosen) == _best_sum(values, neighbours)


def _best_sum(values: list[int], neighbours: list[int]) -> int:
    """Meet in the middle: every subset of one half against the best subset of the other half."""
    half = len(values) // 2
    low = (1 << half) - 1
    best = [0] * (1 << half)
    for mask in range(1, 1 << half):
        i = (mask & -mask).bit_length() - 1
        without = mask & (mask - 1)
        best[mask] = max(best[without], values[i] + best[without & ~neighbours[i]])
    top = 0
    open_sets = [(0, 0, low)]
    for v in range(half, len(values)):
        open_sets += [
            (taken | 1 << v, total + values[v], room & ~neighbours[v])
            for taken, total, room in open_sets
            if not taken & neighbours[v]
        ]
    for _, total, room in open_sets:
        top = max(top, total + best[room & low])
    return top


def crowd(dice: random.Random, size: int, resource_count: int) -> list[Candidate]:
    """Many candidates, most of which collide with some other."""
    return [
        candidate(
            number,
            dice.randint(1, 9),
            dice.randint(1, 3),
            tuple({f"r{dice.randrange(resource_count)}" for _ in range(2)}),
        )
        for number in range(1, size + 1)
    ]


@pytest.mark.parametrize("at_most", [3, 8, 500])
@pytest.mark.parametrize("seed", range(3))
def test_a_crowd_gets_a_sound_set_at_least_as_good_as_the_greedy_one(seed: int, at_most: int):
    offered = crowd(random.Random(seed), 400, 120)
    chosen = choose(offered, at_most)
    greedy: list[Candidate] = []
    for candidate in sorted(offered, key=lambda c: c.preference):
        if len(greedy) < at_most and not any(exclude(candidate, other) for other in greedy):
            greedy.append(candidate)
    assert is_sound(chosen)
    assert len(chosen) <= at_most
    assert value(chosen) >= value(greedy)


def test_a_crowd_is_at_least_as_good_as_the_exact_choice_from_its_first_forty():
    offered = sorted(crowd(random.Random(5), 200, 60), key=lambda c: c.preference)
    assert value(choose(offered, 40)) >= value(choose(offered[:EXACT], 40))


def test_candidates_that_nothing_excludes_do_not_count_towards_the_forty():
    """Two hundred free tasks, and a chain where choosing the most valuable first is wrong."""
    free = [candidate(100 + i, 2, touches=(f"own-{i}",)) for i in range(200)]
    chain = [
        candidate(1, 9, touches=("a", "b")),
        candidate(2, 8, touches=("a",)),
        candidate(3, 8, touches=("b",)),
    ]
    assert names(choose([*free, *chain], 8)) >= {"00000002", "00000003"}
    assert len(choose([*free, *chain], 500)) == 202


def test_tasks_that_touch_the_same_count_once_towards_the_forty():
    """A thousand tasks need git; only the best of them can be in a best set."""
    offered = [candidate(i, 1 + i % 9, touches=("git",)) for i in range(1, 1001)]
    assert [c.order[1] for c in choose(offered, 8)] == [8]


def test_sharing_needs_no_turns():
    offered = [candidate(i, touches=("db:shared",)) for i in range(1, 100)]
    assert len(choose(offered, 50)) == 50
    offered.append(candidate(100, 9, touches=("db",)))
    assert names(choose(offered, 1)) == {f"{100:08x}"}
    assert f"{100:08x}" not in names(choose(offered, 2))


def test_without_comparisons_left_the_set_is_still_sound(monkeypatch: pytest.MonkeyPatch):
    """Globs that might overlap are treated as overlapping, also for tasks of different kinds."""
    monkeypatch.setattr(overlaps, "CHECKS", 3)
    dice = random.Random(2)
    for _ in range(50):
        offered = [
            candidate(i, dice.randint(1, 9), touches=tuple(dice.sample(RESOURCES, 2)))
            for i in range(1, 60)
        ]
        chosen = choose(offered, 8)
        assert chosen
        assert is_sound(chosen)


def test_without_comparisons_left_an_overlap_that_was_not_found_is_respected(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(overlaps, "CHECKS", 3)
    touches = ["*a", "*b", "*c", "*d", "zd", "elsewhere/x"]
    offered = [candidate(i, touches=(text,)) for i, text in enumerate(touches, start=1)]
    assert names(choose(offered, 8)) == names(by_definition(offered, 8))


@given(st.lists(st.sampled_from([*RESOURCES, "src/a/b", "src/a/*", "x/**", "x/y/**"]), unique=True))
def test_overlaps_finds_every_pair_from_one_side(result: list[str]):
    index = Overlaps(result)
    pairs = {frozenset((name, glob)) for name in result for glob in index.of(name)}
    assert pairs == {
        frozenset((a, b)) for a, b in itertools.combinations(result, 2) if resources.collide(a, b)
    }
