"""The events of the board as a whole."""

from typing import Literal

from orchestrator.core.events import FORMAT, Event, Origin, Recorded, event, newer
from orchestrator.domain.slices import Record
from orchestrator.domain.state import State


@event("board.repaired")
class BoardRepaired(Event):
    """The doctor repaired the board; the names of the checks that reported the problems."""

    repaired: tuple[str, ...]

    def apply(self, state: State, record: Recorded) -> None:
        """Do nothing: a repair changes files, not the state."""


@event("board.upgraded")
class BoardUpgraded(Event):
    """From this event on, the log has a newer format, which reserves more types of events."""

    format: int

    def apply(self, state: State, record: Recorded) -> None:
        if self.format > FORMAT:
            raise newer(f"events of format {self.format}")
        state.board.format = state.board.upgraded[record.id] = self.format


class MergeConflict(Record, frozen=True, kw_only=True):
    """What two boards say differently.

    Attributes:
        what: What it is about: ``task abc00001``, ``topic plan``.
        field: The field, or ``claim``, ``end``, ``text``.
        here: The value of this board; a long one is cut.
        there: The value of the other board.
        won: Which value counts now.
        kept: Where the other value is, if not only here.
        event: The event of the other board.
    """

    what: str
    field: str
    here: str
    there: str
    won: Literal["here", "there", "both"]
    kept: str = ""
    event: int = 0


@event("board.merged")
class BoardMerged(Event):
    """The work of another board was merged into this one; its events stand before this one.

    Attributes:
        other: The other board, as it was named.
        head: Its last event: all events up to it have been considered.
        shared: The last event that both boards have had from the beginning.
        taken: How many events were copied.
        left: How many were not, by their type: they count only there, or had lost.
        renamed: What has another name here: ``task abc.1``, ``decision 3``.
        conflicts: What both boards say differently.
        settled: For each agent that events start, the first and the last event of those that it settled on
            the other board.
    """

    other: str
    head: Origin
    shared: int
    taken: int = 0
    left: dict[str, int] = {}
    renamed: dict[str, str] = {}
    conflicts: tuple[MergeConflict, ...] = ()
    settled: dict[str, tuple[int, int]] = {}

    def apply(self, state: State, record: Recorded) -> None:
        for agent, span in self.settled.items():
            if (known := state.subscriptions.get(agent)) is not None:
                later = (passed for passed in known.passed if passed[1] > known.position)
                state.subscriptions.change(agent, passed=(*later, span))
