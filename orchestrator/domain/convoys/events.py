"""The events of convoys."""

from orchestrator.core.events import Event, Recorded, event
from orchestrator.domain.convoys.records import Convoy
from orchestrator.domain.state import State
from orchestrator.domain.tasks.derived import append_to, remove_from


class ConvoyEvent(Event):
    """An event of one convoy."""

    convoy: str

    def track(self, state: State, tasks: tuple[str, ...]) -> None:
        """Add tasks to the convoy."""
        for task in tasks:
            append_to(state.convoys.tracked_by, task, self.convoy)
        convoy = state.convoys[self.convoy]
        open_tasks = convoy.open_tasks + sum(map(state.tasks.is_open, tasks))
        state.convoys.change(self.convoy, tasks=(*convoy.tasks, *tasks), open_tasks=open_tasks)


@event("convoy.created")
class ConvoyCreated(ConvoyEvent):
    """A convoy was created."""

    description: str = ""
    tasks: tuple[str, ...] = ()
    notify: tuple[str, ...] = ()
    target: str = ""

    def apply(self, state: State, record: Recorded) -> None:
        state.convoys[self.convoy] = Convoy(
            name=self.convoy,
            description=self.description,
            status="open",
            notify=self.notify,
            target=self.target,
            created_at=record.ts,
            created_by=record.agent,
        )
        self.track(state, self.tasks)


@event("convoy.changed")
class ConvoyChanged(ConvoyEvent):
    """Tasks were added to a convoy, or removed from it."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def apply(self, state: State, record: Recorded) -> None:
        for task in self.removed:
            remove_from(state.convoys.tracked_by, task, self.convoy)
        convoy, removed = state.convoys[self.convoy], set(self.removed)
        tasks = tuple(task for task in convoy.tasks if task not in removed)
        open_tasks = convoy.open_tasks - sum(map(state.tasks.is_open, self.removed))
        state.convoys.change(self.convoy, tasks=tasks, open_tasks=open_tasks)
        self.track(state, self.added)


@event("convoy.started")
class ConvoyStarted(ConvoyEvent):
    """A convoy was started by a command."""

    def apply(self, state: State, record: Recorded) -> None:
        state.convoys.change(self.convoy, started_at=record.ts)


@event("convoy.landed")
class ConvoyLanded(ConvoyEvent):
    """The last task of a convoy has ended."""

    def apply(self, state: State, record: Recorded) -> None:
        landings = state.convoys[self.convoy].landings + 1
        state.convoys.change(self.convoy, status="landed", ended_at=record.ts, landings=landings)


@event("convoy.reopened")
class ConvoyReopened(ConvoyEvent):
    """A task of a landed convoy was reopened, or an open one was added."""

    def apply(self, state: State, record: Recorded) -> None:
        state.convoys.change(self.convoy, status="open", ended_at="")


@event("convoy.cancelled")
class ConvoyCancelled(ConvoyEvent):
    """A convoy was cancelled; its tasks do not change."""

    reason: str = ""

    def apply(self, state: State, record: Recorded) -> None:
        state.convoys.change(
            self.convoy, status="cancelled", ended_at=record.ts, reason=self.reason
        )


def rename(state: State, old: str, new: str) -> None:
    """Rename a watcher. Part of a fold."""
    for name, convoy in state.convoys.items():
        if old in convoy.notify:
            notify = (new if address == old else address for address in convoy.notify)
            state.convoys.change(name, notify=tuple(dict.fromkeys(notify)))
