"""Find the changes that make the tests fail, with few runs: decisions only, without git and without a board.

Changes are put on a base, one on top of the other: a *stack*. If the tests of the whole stack fail, bisection
finds the first change with which they fail. What is below it may land. The change itself is red, whether it
is wrong alone or only together with those below it. In a stack of N with one red change that takes
1 + log2(N) runs. One more run shows that the rest is green on top of what has landed.
"""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Findings(msgspec.Struct, Generic[T], frozen=True):
    """What the tests say about changes on one base; the other changes are tried on the next base.

    Attributes:
        green: The stack that may land.
        red: The changes that go back.
        base_is_red: The tests fail on the base alone.
    """

    green: Sequence[T] = ()
    red: Sequence[T] = ()
    base_is_red: bool = False


def examine(
    changes: Sequence[T],
    stacked: Callable[[Sequence[T]], Sequence[T]],
    passes: Callable[[Sequence[T]], bool],
    *,
    base_is_green: bool,
    retries: int = 0,
) -> Findings[T]:
    """Find out what may land on a base, and what makes the tests fail.

    The base is tested only if the failure may be its own: no change was ever green on it. If the base fails,
    each change is tried alone, so that a change that repairs the base lands.

    Args:
        changes: The changes, in their order.
        stacked: Puts changes on the base, and returns those that fit.
        passes: Runs the tests of such changes, or of the first of them; of none: of the base.
        base_is_green: The tests are known to pass on the base.
        retries: How often failing tests are run again before they count.
    """
    suspects: list[T] = []
    rest = changes
    while stack := stacked(rest):
        green = _count_green(stack, passes, retries)
        red = [*suspects, *stack[green : green + 1]]
        if green or base_is_green:
            return Findings(stack[:green], red)
        suspects = red
        if len(suspects) > 1:
            break
        rest = stack[1:]
    if not suspects:
        return Findings()
    if _passes_once((), passes, retries):
        return Findings((), suspects)
    for change in changes:
        if change not in suspects and stacked([change]) and _passes_once([change], passes, retries):
            return Findings([change], base_is_red=True)
    return Findings(base_is_red=True)


def _count_green(stack: Sequence[T], passes: Callable[[Sequence[T]], bool], retries: int) -> int:
    """How many changes at the bottom of a stack are green: all, or those below the first red one.

    Only the run that decides against a change is repeated, not each failing one.
    """
    green, reds = 0, dict[int, int]()  # reds: how often a height was tested and failed
    height = len(stack)
    while True:
        if passes(stack[:height]):
            green = height
            reds = {height: runs for height, runs in reds.items() if height > green}
        else:
            reds[height] = reds.get(height, 0) + 1
        if not reds:
            return green
        lowest = min(reds)
        height = (green + lowest) // 2 if lowest - green > 1 else lowest
        if height == lowest and reds[lowest] > retries:
            return green


def _passes_once(changes: Sequence[T], passes: Callable[[Sequence[T]], bool], retries: int) -> bool:
    return any(passes(changes) for _ in range(1 + retries))
