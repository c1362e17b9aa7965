"""Which changes land and which go back, and how many runs of the tests that takes."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.trees.bisection import Findings, examine

Passes = Callable[[frozenset[int]], bool]


class Queue:
    """Lands changes as the merge queue does, without git: a target is the list of what has landed.

    Args:
        passes: Whether the tests pass with some changes.
        conflicts: Pairs that cannot be merged together.
    """

    def __init__(
        self, passes: Passes, conflicts: frozenset[frozenset[int]] = frozenset(), retries: int = 0
    ) -> None:
        self.passes, self.conflicts, self.retries = passes, conflicts, retries
        self.check = passes
        self.target: list[int] = []
        self.returned: list[int] = []
        self.known_green = False
        self.runs = 0
        self.is_red = False

    def fits(self, change: int, upon: Sequence[int]) -> bool:
        return not any({change, other} in self.conflicts for other in upon)

    def stacked(self, changes: Sequence[int]) -> list[int]:
        stack: list[int] = []
        for change in changes:
            if self.fits(change, [*self.target, *stack]):
                stack.append(change)
        return stack

    def test(self, stack: Sequence[int]) -> bool:
        self.runs += 1
        return self.passes(frozenset([*self.target, *stack]))

    def work(self, changes: Sequence[int]) -> None:
        left = list(changes)
        while left and not self.is_red:
            definite = [change for change in left if not self.fits(change, self.target)]
            self.returned += definite
            left = [change for change in left if change not in definite]
            findings: Findings[int] = examine(
                left,
                self.stacked,
                self.test,
                base_is_green=self.known_green,
                retries=self.retries,
            )
            if findings.green:
                self.target += findings.green
                self.known_green = True
                assert self.check(frozenset(self.target))
            self.returned += findings.red
            ended = {*findings.green, *findings.red}
            left = [change for change in left if change not in ended]
            if findings.base_is_red and not findings.green:
                self.is_red = True


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("bad", range(16))
def test_one_red_change_of_sixteen_costs_at_most_six_runs_and_the_others_land(
    bad: int, is_known: bool
):
    queue = Queue(lambda changes: bad not in changes)
    queue.known_green = is_known
    queue.work(range(16))
    assert (queue.returned, len(queue.target)) == ([bad], 15)
    assert queue.runs <= 6


def test_green_changes_cost_one_run():
    queue = Queue(lambda _: True)
    queue.work(range(16))
    assert (queue.target, queue.runs) == (list(range(16)), 1)


def test_of_two_changes_that_are_red_only_together_the_earlier_one_lands():
    queue = Queue(lambda changes: not {2, 5} <= changes)
    queue.work(range(8))
    assert (queue.target, queue.returned) == ([0, 1, 2, 3, 4, 6, 7], [5])


def test_a_change_that_mends_an_earlier_one_lands_together_with_it():
    queue = Queue(lambda changes: 2 not in changes or 3 in changes)
    queue.work(range(4))
    assert (queue.target, queue.returned, queue.runs) == ([0, 1, 2, 3], [], 1)


def test_on_a_red_target_nothing_is_blamed_and_what_mends_it_lands():
    queue = Queue(lambda _: False)
    queue.work(range(3))
    assert (queue.target, queue.returned, queue.is_red) == ([], [], True)
    queue = Queue(lambda changes: 2 in changes and 1 not in changes)
    queue.work(range(4))
    assert (queue.target, queue.returned) == ([2, 0, 3], [1])


@given(flaky=st.sets(st.sets(st.integers(0, 7)).map(frozenset)))
def test_with_a_retry_a_merge_whose_tests_fail_once_sends_nothing_back(
    flaky: set[frozenset[int]],
):
    """Each of some merges fails when it is tested for the first time."""
    left = set(flaky)

    def passes(changes: frozenset[int]) -> bool:
        if changes in left:
            left.remove(changes)
            return False
        return True

    queue = Queue(passes, retries=1)
    queue.check = lambda _: True
    queue.work(range(8))
    assert (sorted(queue.target), queue.returned) == (list(range(8)), [])


@given(
    count=st.integers(1, 12),
    bad=st.sets(st.integers(0, 11)),
    pairs=st.sets(st.frozensets(st.integers(0, 11), min_size=2, max_size=2)),
    conflicts=st.sets(st.frozensets(st.integers(0, 11), min_size=2, max_size=2), max_size=4),
    retries=st.integers(0, 2),
    is_known=st.booleans(),
)
def test_every_change_ends_once_and_the_target_stays_green(
    count: int,
    bad: set[int],
    pairs: set[frozenset[int]],
    conflicts: set[frozenset[int]],
    retries: int,
    is_known: bool,
):
    """What goes back is red or in conflict with what landed before it; what could land has landed."""

    def passes(changes: frozenset[int]) -> bool:
        return not changes & bad and not any(pair <= changes for pair in pairs)

    queue = Queue(passes, frozenset(conflicts), retries)
    queue.known_green = is_known
    queue.work(range(count))
    assert sorted([*queue.target, *queue.returned]) == list(range(count))
    assert passes(frozenset(queue.target))
    for change in queue.returned:
        landed = frozenset(queue.target)
        assert not queue.fits(change, queue.target) or not passes(landed | {change})
