"""The events of convoys."""

from msgspec.structs import replace

from orchestrator.core.events import Event, Recorded, event
from orchestrator.domain.convoys.records import Convoy
from orchestrator.domain.state import State


@event("convoy.created")
class ConvoyCreated(Event):
    """A convoy began to follow tasks."""

    convoy: str
    description: str = ""
    tasks: tuple[str, ...] = ()
    notify: tuple[str, ...] = ()

    def apply(self, state: State, at: Recorded) -> None:
        state.convoys[self.convoy] = Convoy(
            name=self.convoy,
            description=self.description,
            status="open",
            notify=self.notify,
            created_at=at.ts,
            created_by=at.agent,
        )
        _track(state, self.convoy, self.tasks)


@event("convoy.changed")
class ConvoyChanged(Event):
    """Tasks came to a convoy, or left it."""

    convoy: str
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def apply(self, state: State, at: Recorded) -> None:
        for task in self.removed:
            state.convoys.tracked_by[task].remove(self.convoy)
            if not state.convoys.tracked_by[task]:
                del state.convoys.tracked_by[task]
        convoy = state.convoys[self.convoy]
        gone = set(self.removed)
        state.convoys[self.convoy] = replace(
            convoy,
            tasks=tuple(task for task in convoy.tasks if task not in gone),
            open_tasks=convoy.open_tasks - sum(map(state.tasks.is_open, self.removed)),
        )
        _track(state, self.convoy, self.added)


@event("convoy.started")
class ConvoyStarted(Event):
    """Somebody said that a convoy begins."""

    convoy: str

    def apply(self, state: State, at: Recorded) -> None:
        state.convoys[self.convoy] = replace(state.convoys[self.convoy], started_at=at.ts)


@event("convoy.landed")
class ConvoyLanded(Event):
    """The last task of a convoy has ended."""

    convoy: str

    def apply(self, state: State, at: Recorded) -> None:
        convoy = state.convoys[self.convoy]
        state.convoys[self.convoy] = replace(
            convoy, status="landed", ended_at=at.ts, landings=convoy.landings + 1
        )


@event("convoy.reopened")
class ConvoyReopened(Event):
    """A task of a landed convoy is open again, or an open one came to it."""

    convoy: str

    def apply(self, state: State, at: Recorded) -> None:
        convoy = state.convoys[self.convoy]
        state.convoys[self.convoy] = replace(convoy, status="open", ended_at="")


@event("convoy.cancelled")
class ConvoyCancelled(Event):
    """A convoy is not followed any more; its tasks stay as they are."""

    convoy: str
    reason: str = ""

    def apply(self, state: State, at: Recorded) -> None:
        convoy = state.convoys[self.convoy]
        state.convoys[self.convoy] = replace(
            convoy, status="cancelled", ended_at=at.ts, reason=self.reason
        )


def _track(state: State, name: str, tasks: tuple[str, ...]) -> None:
    for task in tasks:
        state.convoys.tracked_by.setdefault(task, []).append(name)
    convoy = state.convoys[name]
    state.convoys[name] = replace(
        convoy,
        tasks=(*convoy.tasks, *tasks),
        open_tasks=convoy.open_tasks + sum(map(state.tasks.is_open, tasks)),
    )


def rename(state: State, old: str, new: str) -> None:
    """Let a watcher be told under its new name. Part of a fold."""
    for name, convoy in state.convoys.items():
        if old in convoy.notify:
            notify = (new if address == old else address for address in convoy.notify)
            state.convoys[name] = replace(convoy, notify=tuple(dict.fromkeys(notify)))
