"""Workstreams: the named streams that tasks belong to, each with a priority."""

from typing import Any

from msgspec import UNSET

from orchestrator.core import names
from orchestrator.core.errors import BadName, Refused
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

_LONGEST_PREFIX = 30
"""Characters of a prefix; ids are typed."""


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
        prefix: str = "",
        agent: str | None = None,
    ) -> Workstream | None:
        """Create a workstream. If an active one has this name and these facts, nothing changes.

        Args:
            name: Its name, unique on the board.
            description: Its purpose.
            priority: 1 comes first; 0 to 1000.
            prefix: What the ids of its new tasks begin with: ``build`` makes ids such as ``build-a3f8``.
            agent: Who acts.

        Raises:
            Refused: There is one of this name with other facts, or a closed one.
            BadName: The name or the prefix is not allowed.
        """
        tx.act_as(agent)
        known = tx.state.workstreams.get(name)
        text, number = check_text("description", description), check_priority(priority)
        prefix = _check_prefix(prefix)
        if known is not None:
            is_closed = known.status != "active"
            if not is_closed and (known.description, known.priority, known.prefix) == (
                text,
                number,
                prefix,
            ):
                return known
            raise Refused(
                f"There is already a workstream {name!a}",
                code="workstream_exists",
                hint=f"It is closed: `ws reopen {name}`."
                if is_closed
                else "`ws edit` changes its description, priority and prefix.",
            )
        names.name("workstream", name, among=tx.state.workstreams)
        tx.record(
            WorkstreamCreated(workstream=name, description=text, priority=number, prefix=prefix)
        )
        return None

    @command(changed_workstream)
    def edit(
        self,
        tx: Transaction[State],
        name: str,
        *,
        description: str | None = None,
        priority: int | None = None,
        prefix: str | None = None,
        agent: str | None = None,
    ) -> Workstream:
        """Change the description, the priority or the prefix; None leaves a field as it is.

        Tasks keep their ids; an empty prefix gives new ones ids of digits only.
        """
        tx.act_as(agent)
        old = tx.state.workstreams.find(name)
        text = UNSET if description is None else check_text("description", description)
        number = UNSET if priority is None else check_priority(priority)
        begin = UNSET if prefix is None else _check_prefix(prefix)
        changes: dict[str, Any] = {"description": text, "priority": number, "prefix": begin}
        if any(value not in (UNSET, getattr(old, field)) for field, value in changes.items()):
            tx.record(WorkstreamEdited(workstream=name, **changes))
        return old

    @command(changed_workstream)
    def close(
        self, tx: Transaction[State], name: str, *, reason: str = "", agent: str | None = None
    ) -> Workstream:
        """Close a workstream: its pending tasks stay, but no task can be added or taken.

        If it is closed, nothing changes.
        """
        tx.act_as(agent)
        stream = tx.state.workstreams.find(name)
        if stream.status != "closed":
            tx.record(WorkstreamClosed(workstream=name, reason=check_line("reason", reason)))
        return stream

    @command(changed_workstream)
    def reopen(self, tx: Transaction[State], name: str, *, agent: str | None = None) -> Workstream:
        """Make a closed workstream active again. If it is active, nothing changes."""
        tx.act_as(agent)
        stream = tx.state.workstreams.find(name)
        if stream.status != "active":
            tx.record(WorkstreamReopened(workstream=name))
        return stream

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


def _check_prefix(prefix: str) -> str:
    """Check what ids of tasks begin with; a dot in them would make them parts of a task.

    Raises:
        BadName: It is not allowed.
    """
    if "." in prefix or len(prefix) > _LONGEST_PREFIX:
        raise BadName(
            f"{prefix!a} is not a prefix of ids: it has a dot, or over {_LONGEST_PREFIX} characters"
        )
    return names.name("prefix", prefix) if prefix else ""
