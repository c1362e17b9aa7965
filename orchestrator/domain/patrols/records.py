"""The records of patrols: what was found, and who was told how often."""

from typing import Literal

from orchestrator.core import clock
from orchestrator.domain.slices import MapSlice, Record

FindingKind = Literal[
    "quiet_task",
    "gone_agent",
    "lapsing_lease",
    "waiting_submission",
    "still_convoy",
    "lock_of_gone",
    "idle_worktree",
]


class Concern(Record, frozen=True, kw_only=True):
    """A problem that a patrol reports to an agent; the key stays the same while the problem lasts.

    Attributes:
        kind: What is wrong.
        subject: The task, agent, resource, convoy or number with the problem.
        mark: The token of a claim, or the end of a lease; it differs if the problem occurs a second time.
        to: The agent that gets the report, because it can solve the problem.
    """

    kind: FindingKind
    subject: str
    mark: str = ""
    to: str

    @property
    def key(self) -> str:
        """What it is known by."""
        return f"{self.kind} {self.mark} {self.subject}"

    @property
    def concern(self) -> "Concern":
        """What the log keeps of it."""
        return Concern(kind=self.kind, subject=self.subject, mark=self.mark, to=self.to)


class WatchedConcern(Concern, frozen=True, kw_only=True):
    """A concern with what was done about it.

    Attributes:
        since: When it was told first.
        nudges: How often.
        nudged_at: When it was told last.
        escalated_at: When the overseer was told; empty before.
    """

    since: str
    nudges: int
    nudged_at: str
    escalated_at: str = ""

    def due_at(self, pause: float, longest: float) -> str:
        """When the next step is due: each pause is twice as long as the one before, up to the longest."""
        return clock.after(self.nudged_at, min(pause * 2 ** (self.nudges - 1), longest))


class PatrolSlice(MapSlice[str, WatchedConcern]):
    """The concerns that last, by their keys."""

    MAIN, NOUN = "watches", "watch"
    HINT = "`patrol explain TASK` shows what is known of a task."
    watches: dict[str, WatchedConcern] = {}
