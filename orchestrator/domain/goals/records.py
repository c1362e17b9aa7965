"""The record of a goal, and the slice of the state with all of them."""

from typing import Literal

from orchestrator.domain.slices import MapSlice, Record

GoalOutcome = Literal["reached", "dropped"]


class GoalMove(Record, frozen=True, kw_only=True):
    """A change of the date of a goal."""

    event: int
    moved_at: str
    agent: str
    before: str
    after: str
    reason: str = ""


class Goal(Record, frozen=True, kw_only=True):
    """A date, and the tasks that should end by then.

    Attributes:
        due: The date as a timestamp; a day means its end.
        tasks: Their ids, in the order in which they were added.
        moves: The changes of its date, oldest first.
        reason: Why it was dropped.
    """

    name: str
    due: str
    description: str = ""
    status: Literal["open", "reached", "dropped"] = "open"
    tasks: tuple[str, ...] = ()
    moves: tuple[GoalMove, ...] = ()
    created_at: str
    created_by: str
    ended_at: str = ""
    ended_by: str = ""
    reason: str = ""

    @property
    def first_due(self) -> str:
        """Its first date."""
        return self.moves[0].before if self.moves else self.due

    def is_late(self, now: str) -> bool:
        """Whether it is open after its date."""
        return self.status == "open" and self.due < now


class GoalSlice(MapSlice[str, Goal]):
    """The goals by name.

    Attributes:
        goals_of: For each task, the goals that contain it.
    """

    MAIN, NOUN = "goals", "goal"
    HINT = "`goal list` shows them; `goal create` makes one."
    goals: dict[str, Goal] = {}
    goals_of: dict[str, list[str]] = {}

    def late(self, now: str) -> list[Goal]:
        """The open goals whose date has passed, the oldest date first."""
        return sorted((g for g in self.goals.values() if g.is_late(now)), key=lambda g: g.due)
