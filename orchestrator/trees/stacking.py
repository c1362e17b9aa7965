"""Changes on one commit of a target, one on top of the other."""

from collections.abc import Mapping, Sequence

from orchestrator.trees.merging import CannotMerge, Merging, SubmittedChange


class Stacking:
    """The stacks of changes on one commit of a target.

    Args:
        merging: Makes the commits.
        base: The commit.
        target: The branch.
    """

    def __init__(self, merging: Merging, base: str, target: str) -> None:
        self.refused: dict[SubmittedChange, CannotMerge] = {}
        self._merging = merging
        self._base = base
        self._target = target
        self._tops: dict[tuple[int, ...], str] = {(): base}

    def stacked(self, changes: Sequence[SubmittedChange]) -> list[SubmittedChange]:
        """Put changes on the commit, and return those that fit.

        A change that does not fit on the commit alone is in ``refused`` then. A change that only conflicts
        with one below it is left for the next commit of the target: perhaps the one below does not land.
        """
        stack: list[SubmittedChange] = []
        for change in changes:
            if change not in self.refused and self._put(stack, change):
                stack.append(change)
        return stack

    def top(self, stack: Sequence[SubmittedChange]) -> str:
        """The commit with the changes of a stack; of none, the commit of the target."""
        return self._tops[_numbers(stack)]

    def commits(self, stack: Sequence[SubmittedChange]) -> Mapping[SubmittedChange, str]:
        """For each change of a stack the commit that contains it first."""
        return {change: self.top(stack[:height]) for height, change in enumerate(stack, 1)}

    def _put(self, stack: Sequence[SubmittedChange], change: SubmittedChange) -> bool:
        numbers = (*_numbers(stack), change.number)
        if numbers in self._tops:
            return True
        try:
            self._tops[numbers] = self._merging.add(change, self.top(stack), self._target)
        except CannotMerge as error:
            if not stack:
                self.refused[change] = error
            else:
                self._put((), change)
            return False
        return True


def _numbers(stack: Sequence[SubmittedChange]) -> tuple[int, ...]:
    return tuple(change.number for change in stack)
