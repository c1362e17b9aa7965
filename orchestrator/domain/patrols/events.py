"""The events of patrols."""

from msgspec.structs import asdict

from orchestrator.core.events import Event, Recorded, event
from orchestrator.domain.patrols.records import Concern, WatchedConcern
from orchestrator.domain.state import State


class PatrolTold(Event):
    """A patrol sent mail about concerns."""

    to: str
    concerns: tuple[Concern, ...]


@event("patrol.nudged")
class PatrolNudged(PatrolTold):
    """An agent was told by mail about work without progress."""

    def apply(self, state: State, record: Recorded) -> None:
        for concern in self.concerns:
            known = state.patrols.get(concern.key)
            state.patrols[concern.key] = WatchedConcern(
                **asdict(concern),
                since=known.since if known else record.ts,
                nudges=(known.nudges if known else 0) + 1,
                nudged_at=record.ts,
            )


@event("patrol.escalated")
class PatrolEscalated(PatrolTold):
    """The overseer was told by mail: nudges have not helped."""

    def apply(self, state: State, record: Recorded) -> None:
        for concern in self.concerns:
            state.patrols.change(concern.key, escalated_at=record.ts)


@event("patrol.settled")
class PatrolSettled(Event):
    """These concerns have ended. If a concern occurs again, the patrol reports it again."""

    concerns: tuple[Concern, ...]

    def apply(self, state: State, record: Recorded) -> None:
        for concern in self.concerns:
            del state.patrols[concern.key]
