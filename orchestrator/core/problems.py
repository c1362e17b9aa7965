"""Collected problems of a file."""

from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar

from orchestrator.core.errors import SHOWN_PROBLEMS, BadInput, OrchestratorError
from orchestrator.core.multimap import multimap
from orchestrator.core.printable import first_of

P = ParamSpec("P")
R = TypeVar("R")


class Problems:
    """Collects the problems of a file with their places, so that one error reports all of them.

    Args:
        what: The beginning of the error message.
        code: The code of the error.
        hint: What to do about it.
    """

    def __init__(
        self,
        what: str = "",
        *,
        code: str = "bad_entries",
        hint: str = "Nothing was changed. Correct these places and try again.",
    ) -> None:
        self._what = what
        self._code = code
        self._hint = hint
        self._problems: dict[tuple[str, str], None] = {}

    def __bool__(self) -> bool:
        """Whether there is any problem."""
        return bool(self._problems)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Yield place and message of each problem."""
        return iter(self._problems)

    def attempt(
        self, place: str, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> R | None:
        """Return the result of a call; if the call is refused, add a problem and return None."""
        try:
            return call(*args, **kwargs)
        except OrchestratorError as error:
            self.note(place, error.message)
            return None

    def note(self, place: str, message: str) -> None:
        """Add a problem, unless it was added before."""
        self._problems[place, message] = None

    def advise(self, hint: str) -> None:
        """Replace the hint, once it is known what to do."""
        self._hint = hint

    def add(self, others: "Problems", *, unless: "Problems | None" = None) -> None:
        """Add the problems of another collection. Skip places already reported in ``unless``."""
        reported = {place for place, _ in unless or ()}
        self._problems |= {problem: None for problem in others if problem[0] not in reported}

    def sort(self, key: Callable[[str], Any]) -> None:
        """Put the problems in the order of their places.

        Args:
            key: Makes what is compared of a place.
        """
        places = sorted(self._problems, key=lambda problem: key(problem[0]))
        self._problems = dict.fromkeys(places)

    def check(self) -> None:
        """Raise one error for all problems; do nothing if there are none.

        Raises:
            BadInput: With every problem and its place.
        """
        if self._problems:
            raise self.error()

    def error(self) -> BadInput:
        """The error for all problems, each once; the details repeat it for each of its places."""
        places = multimap((message, place) for place, message in self._problems)
        texts = [f"{place}: {message}" for place, message in self._problems]
        parts = [f"{first_of(of, SHOWN_PROBLEMS)}: {message}" for message, of in places.items()]
        shown = "; ".join(parts[:SHOWN_PROBLEMS])
        more = len(parts) - SHOWN_PROBLEMS
        return BadInput(
            f"{self._what}: {shown}{f'; and {more} more' if more > 0 else ''}",
            code=self._code,
            hint=self._hint,
            problems=texts,
        )
