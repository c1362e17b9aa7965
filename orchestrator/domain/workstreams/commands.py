"""Workstreams: the named streams that tasks belong to, each with a priority."""

from msgspec import UNSET

from orchestrator.core import names
from orchestrator.core.errors import Refused
from orchestrator.core.transaction import Committed, Noun, Transaction, command
from orchestrator.domain.state import State
from orchestrator.domain.validation import check_line, check_priority, check_text
from orchestrator.domain.workstreams.events import (
    WorkstreamClosed,
    WorkstreamCreated,
    WorkstreamEdited,
    WorkstreamEvent,
    WorkstreamReopened,
)
from orchestrator.domain.workstreams.records import Workstream


def changed_workstream(state: State, events: Committed) -> Workstream:
    """The workstream that the command created or changed."""
    name = next(e.workstream for _, e in events if isinstance(e, WorkstreamEvent))
    return state.workstreams[name]


class Workstreams(Noun[State]):
    """``orc.workstreams``: create, edit, close, reopen; get, all, counts."""

    @command(changed_workstream)
    def create(
        self,
        tx: Transaction[State],
        name: str,
        *,
        description: str = "",
        priority: int = 5,
        agent: str | None = None,
    ) -> Workstream | None:
        """Create a workstream. If an active one has this name and these facts, nothing changes.

        Args:
            name: Its name, unique on the board.
            description: Its purpose.
            priority: 1 comes first; 0 to 1000.
            agent: Who acts.

        Raises:
            Refused: There is one of this name with other facts, or a closed one.
            BadName: The name is not allowed.
        """
        tx.act_as(agent)
        known = tx.state.workstreams.get(name)
        text, number = check_text("description", description), check_priority(priority)
        if known is not None:
            is_closed = known.status != "active"
            if not is_closed and (known.description, known.priority) == (text, number):
                return known
            raise Refused(
                f"There is already a workstream {name!a}",
                code="workstream_exists",
                hint=f"It is closed: `ws reopen {name}`."
                if is_closed
                else "`ws edit` changes its description and priority.",
            )
        names.name("workstream", name, among=tx.state.workstreams)
        tx.record(WorkstreamCreated(workstream=name, description=text, priority=number))
        return None

    @command(changed_workstream)
    def edit(
        self,
        tx: Transaction[State],
        name: str,
        *,
        description: str | None = None,
        priority: int | None = None,
        agent: str | None = None,
    ) -> Workstream | None:
        """Change the description or the priority; None leaves a field as it is."""
        tx.act_as(agent)
        old = tx.state.workstreams.find(name)
        text = UNSET if description is None else check_text("description", description)
        number = UNSET if priority is None else check_priority(priority)
        if text in (UNSET, old.description) and number in (UNSET, old.priority):
            return old
        tx.record(WorkstreamEdited(workstream=name, description=text, priority=number))
        return None

    @command(changed_workstream)
    def close(
        self, tx: Transaction[State], name: str, *, reason: str = "", agent: str | None = None
    ) -> Workstream | None:
        """Close a workstream: its pending tasks stay, but no task can be added or taken.

        If it is closed, nothing changes.
        """
        tx.act_as(agent)
        stream = tx.state.workstreams.find(name)
        if stream.status == "closed":
            return stream
        tx.record(WorkstreamClosed(workstream=name, reason=check_line("reason", reason)))
        return None

    @command(changed_workstream)
    def reopen(
        self, tx: Transaction[State], name: str, *, agent: str | None = None
    ) -> Workstream | None:
        """Make a closed workstream active again. If it is active, nothing changes."""
        tx.act_as(agent)
        stream = tx.state.workstreams.find(name)
        if stream.status == "active":
            return stream
        tx.record(WorkstreamReopened(workstream=name))
        return None

    def get(self, name: str) -> Workstream:
        """Return the workstream of this name.

        Raises:
            NotFound: There is none.
        """
        return self._state.workstreams.find(name)

    def all(self) -> list[Workstream]:
        """Return every workstream, by priority, then name."""
        return sorted(self._state.workstreams.values(), key=lambda w: (w.priority, w.name))

    def counts(self, name: str) -> dict[str, int]:
        """Count the tasks of a workstream by status; statuses without a task are left out."""
        self.get(name)
        return {status: n for status, n in self._state.tasks.counts[name].items() if n}
