"""The whole state of a board: the fold of its log, and the content of ``state.json``."""

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any

import msgspec

from orchestrator.core.errors import Damage
from orchestrator.core.events import Event, Recorded, decode, unknown_fields
from orchestrator.domain.agents.records import AgentSlice
from orchestrator.domain.board.records import BoardSlice
from orchestrator.domain.convoys.records import ConvoySlice
from orchestrator.domain.cycles.records import CycleSlice
from orchestrator.domain.decisions.records import DecisionSlice
from orchestrator.domain.goals.records import GoalSlice
from orchestrator.domain.idempotency import Request, remember
from orchestrator.domain.knowledge.records import KnowledgeSlice
from orchestrator.domain.locks.records import LockSlice
from orchestrator.domain.mail.records import MailSlice
from orchestrator.domain.merges.records import MergeSlice
from orchestrator.domain.patrols.records import PatrolSlice
from orchestrator.domain.permissions.records import PermissionSlice
from orchestrator.domain.slices import Slice
from orchestrator.domain.subscriptions.records import SubscriptionSlice
from orchestrator.domain.tasks.ready_queue import Schedule
from orchestrator.domain.tasks.records import TaskSlice
from orchestrator.domain.terminals.records import TerminalSlice
from orchestrator.domain.workflows.records import WorkflowSlice
from orchestrator.domain.workstreams.records import WorkstreamSlice
from orchestrator.domain.worktrees.records import WorktreeSlice

Applying = Callable[[Event | None, Recorded], None]
"""Applies an event to the state that it knows; None stands for an event of the agents' own."""


class State(msgspec.Struct, dict=True):
    """The state of a board after an event: a slice for each noun.

    Records are frozen: a change replaces the record. A task is replaced by
    :func:`orchestrator.domain.tasks.derived.change_task`, a lock by
    :func:`orchestrator.domain.locks.events.put_lock`; these update what is derived from them.

    Attributes:
        event: The id of the last event folded in.
        requests: The requests that were answered last.
        newer_fields: Fields in the log that this version does not know (``task.added.colour``), each with the
            first event that has it.
    """

    event: int = 0
    board: BoardSlice = msgspec.field(default_factory=BoardSlice)
    workstreams: WorkstreamSlice = msgspec.field(default_factory=WorkstreamSlice)
    tasks: TaskSlice = msgspec.field(default_factory=TaskSlice)
    agents: AgentSlice = msgspec.field(default_factory=AgentSlice)
    decisions: DecisionSlice = msgspec.field(default_factory=DecisionSlice)
    goals: GoalSlice = msgspec.field(default_factory=GoalSlice)
    locks: LockSlice = msgspec.field(default_factory=LockSlice)
    knowledge: KnowledgeSlice = msgspec.field(default_factory=KnowledgeSlice)
    mail: MailSlice = msgspec.field(default_factory=MailSlice)
    convoys: ConvoySlice = msgspec.field(default_factory=ConvoySlice)
    workflows: WorkflowSlice = msgspec.field(default_factory=WorkflowSlice)
    cycles: CycleSlice = msgspec.field(default_factory=CycleSlice)
    subscriptions: SubscriptionSlice = msgspec.field(default_factory=SubscriptionSlice)
    permissions: PermissionSlice = msgspec.field(default_factory=PermissionSlice)
    merges: MergeSlice = msgspec.field(default_factory=MergeSlice)
    patrols: PatrolSlice = msgspec.field(default_factory=PatrolSlice)
    terminals: TerminalSlice = msgspec.field(default_factory=TerminalSlice)
    worktrees: WorktreeSlice = msgspec.field(default_factory=WorktreeSlice)
    requests: dict[str, Request] = {}
    newer_fields: dict[str, int] = {}

    def fold(self, records: Iterable[Recorded], applying: Applying | None = None) -> None:
        """Fold events in, in their order.

        Args:
            records: The events that follow the last one folded in.
            applying: Applies each event, in place of its ``apply``, for one who looks on.

        Raises:
            Damage: An event is of a newer version, or does not fit the events before it. The state then
                contains the events before it, and possibly a part of this one.
        """
        record = None
        try:
            for record in records:
                event = decode(record, self.board.format)
                if applying is not None:
                    applying(event, record)
                elif event is not None:
                    event.apply(self, record)
                self.event = record.id
                if record.req is not None:
                    self.close(record)
        except (LookupError, ValueError, TypeError, AttributeError, AssertionError) as error:
            raise _misfit(record, error) from error

    def close(self, record: Recorded) -> None:
        """Note that everything up to this record has been applied."""
        self.event = record.id
        if record.req is not None:
            remember(self.requests, record.req, record.id)

    def carry(self, event: Event, record: Recorded) -> None:
        """Keep fields of an event that this version does not know, for versions that do."""
        unknown = unknown_fields(event)
        for path in _paths(unknown):
            self.newer_fields.setdefault(f"{record.type}.{path}", record.id)
        self.tasks.carry(record.type, event, unknown)

    def holders(self) -> Iterator[tuple[msgspec.Struct, str]]:
        """What holds each field of the state, a slice or the state itself, and the name of the field."""
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, Slice):
                yield from ((value, field) for field in value.__struct_fields__)
            else:
                yield self, name

    def fields(self) -> dict[str, Any]:
        """The value of each field of the slices and of the state itself, by its name."""
        return {name: getattr(holder, name) for holder, name in self.holders()}

    def slices(self) -> Iterator[Slice]:
        """The slices of the nouns."""
        values = (getattr(self, name) for name in self.__struct_fields__)
        return (value for value in values if isinstance(value, Slice))

    @cached_property
    def machine(self) -> str:
        """The machine of this process, if machines share the board; the engine sets it, no log has it."""
        return ""

    @cached_property
    def schedule(self) -> Schedule:
        """The ready queue: derived on first use, and kept up to date from then on."""
        return Schedule(self.tasks, self.workstreams, self.locks, self.agents, self.machine)


def _paths(fields: dict[str, Any]) -> Iterator[str]:
    for name, value in fields.items():
        below = [*_paths(value)] if isinstance(value, dict) else []
        yield from (f"{name}.{path}" for path in below) if below else (name,)


def _misfit(record: Recorded | None, error: Exception) -> Damage:
    assert record is not None
    return Damage(
        f"Event {record.id} ({record.type}) does not fit what came before it: {error!r}",
        code="misfit",
        hint="No command writes such a log. `doctor --salvage` saves what fits together.",
    )
