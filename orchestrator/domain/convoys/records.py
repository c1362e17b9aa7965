"""The record of a convoy, and the slice of the state with all of them."""

from typing import Literal

from orchestrator.domain.slices import MapSlice, Record


class Convoy(Record, frozen=True, kw_only=True):
    """Tasks that are tracked together.

    Attributes:
        tasks: Their ids, in the order in which they were given.
        open_tasks: How many of them have not ended.
        notify: Addresses to notify when it lands.
        started_at: When it was started by a command.
        landings: How often it landed; a task that is reopened opens it again.
        target: The branch that the branches of its tasks are merged into; empty: the usual one.
    """

    name: str
    description: str = ""
    status: Literal["open", "landed", "cancelled"]
    tasks: tuple[str, ...] = ()
    open_tasks: int = 0
    notify: tuple[str, ...] = ()
    created_at: str
    created_by: str
    started_at: str = ""
    ended_at: str = ""
    reason: str = ""
    landings: int = 0
    target: str = ""

    @property
    def ended(self) -> int:
        """How many of its tasks have ended."""
        return len(self.tasks) - self.open_tasks

    @property
    def percent(self) -> int:
        """The share of its tasks that have ended."""
        return 100 * self.ended // len(self.tasks) if self.tasks else 0


class ConvoySlice(MapSlice[str, Convoy]):
    """The convoys by name.

    Attributes:
        tracked_by: For each task, the convoys that track it.
    """

    MAIN, NOUN = "convoys", "convoy"
    HINT = "`convoy list` shows them; `convoy create` makes one."
    convoys: dict[str, Convoy] = {}
    tracked_by: dict[str, list[str]] = {}
