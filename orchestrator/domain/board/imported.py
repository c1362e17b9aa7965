"""What came into a board that was taken over whole."""

import msgspec

from orchestrator.domain.state import State


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What an import brought in, as counts."""

    workstreams: int
    tasks: int
    agents: int
    topics: int
    events: int


def imported(state: State, events: int) -> Imported:
    """What a board holds that was taken over whole."""
    return Imported(
        workstreams=len(state.workstreams),
        tasks=len(state.tasks) + len(state.tasks.archived),
        agents=len(state.agents),
        topics=sum(not topic.deleted for topic in state.knowledge.values()),
        events=events,
    )
