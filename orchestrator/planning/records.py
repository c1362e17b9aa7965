"""The records of a plan. Their fields are the names in its JSON, which include those of the original."""

from typing import Literal

import msgspec

SHOWN = 100
"""The largest length of a list of a plan. A plan is a line of the log, so it must not grow with the board."""

DESCRIPTION = 500
"""The largest length of a description in a plan; the brief has the whole text."""

AlertKind = Literal[
    "lease_expired",
    "silent_agent",
    "repeated_failures",
    "need_ended",
    "blocked",
    "in_review",
    "to_merge",
    "signal",
]
"""The kinds of alerts, the most urgent first; :mod:`orchestrator.planning.attention` has their meaning."""


class PlannedTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task in a plan: the facts for choosing it, with a shortened description."""

    id: str
    workstream: str
    title: str
    description: str
    status: str
    type: str
    priority: int
    labels: list[str]
    estimate: float | None
    touches: list[str]
    attempt: int
    assigned_to: str | None
    created_at: str
    updated_at: str
    result: str | None


class PlannedWorkstream(msgspec.Struct, frozen=True, kw_only=True):
    """An active workstream with pending or running tasks, and the task that ``next`` would give."""

    name: str
    priority: int
    next_task: PlannedTask | None
    pending_count: int


class Recommendation(msgspec.Struct, frozen=True, kw_only=True):
    """A task to run with the others. ``agent`` could take it; ``value`` is the value of running it."""

    workstream: str
    task: PlannedTask
    brief: str
    agent: str | None
    value: int
    touches: list[str]


class PlannedHold(msgspec.Struct, frozen=True, kw_only=True):
    """A resource that an agent holds until a time, for a running ``task`` or by a lock (None)."""

    agent: str
    resource: str
    task: str | None
    until: str


class SerialGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Tasks to run one after another: any two exclude each other, unless both are in ``shared``."""

    reason: str
    resource: str
    resources: list[str]
    tasks: list[str]
    shared: list[str]
    waits_for: list[PlannedHold]
    left_out: int


class TaskName(msgspec.Struct, frozen=True, kw_only=True):
    """A task that is named in a plan or report."""

    workstream: str
    task: str
    title: str


class OpenNeed(msgspec.Struct, frozen=True, kw_only=True):
    """A task that another one needs and that is not done."""

    task: str
    status: str
    assigned_to: str | None


class WaitingTask(TaskName, frozen=True, kw_only=True):
    """A pending task that cannot be taken yet, with the reasons in sentences."""

    needs: list[OpenNeed]
    reasons: list[str]


class PathTask(TaskName, frozen=True, kw_only=True):
    """A task of the critical path. ``assumed``: it has no estimate, so ``minutes`` is the default."""

    status: str
    minutes: float
    assumed: bool


class CriticalPath(msgspec.Struct, frozen=True, kw_only=True):
    """The longest chain of needs by estimated minutes."""

    minutes: float
    tasks: list[PathTask]
    left_out: int


class Alert(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A situation that the leader of the cycle should look at; see :mod:`orchestrator.planning.attention`.

    ``text`` is a sentence for people; ``command``, where there is one, resolves the situation. The other
    fields depend on the kind; those that do not apply are not in the JSON. ``agent`` is None (null) where the
    kind has it and the task has no agent.
    """

    kind: AlertKind
    text: str
    workstream: str | None = None
    task: str | None = None
    title: str | None = None
    status: str | None = None
    agent: str | msgspec.UnsetType | None = msgspec.UNSET
    failures: int | None = None
    attempt: int | None = None
    reason: str | None = None
    signal: str | None = None
    since: str | None = None
    last_seen: str | None = None
    holds: list[str] | None = None
    dependants: list[str] | None = None
    command: str | None = None


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """How many entries of each list of a plan are not shown."""

    recommended_serial: int
    waiting: int
    attention: int


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The plan of a cycle.

    Attributes:
        recommended_parallel: Tasks that can run side by side now; see
            :mod:`orchestrator.planning.choice` for what the choice guarantees.
        recommended_serial: Tasks that must run one after another.
    """

    generated_at: str
    cycle: int
    workstreams: list[PlannedWorkstream]
    recommended_parallel: list[Recommendation]
    recommended_serial: list[SerialGroup]
    waiting: list[WaitingTask]
    critical_path: CriticalPath
    attention: list[Alert]
    left_out: LeftOut
