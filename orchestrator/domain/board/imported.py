"""Counts of an import into an empty board."""

import msgspec

from orchestrator.domain.state import State


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of imported records."""

    workstreams: int
    tasks: int
    agents: int
    topics: int
    events: int


def imported(state: State, events: int) -> Imported:
    """Count the records of an imported board."""
    return Imported(
        workstreams=len(state.workstreams),
        tasks=len(state.tasks) + len(state.tasks.archived),
        agents=len(state.agents),
        topics=sum(not topic.deleted for topic in state.knowledge.values()),
        events=events,
    )
