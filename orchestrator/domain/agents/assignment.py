"""Assignment: which agents may be given which tasks, and the command step that gives one.

The plan of a cycle and dispatch use the same rules, which are here. An assigned task waits for its agent, and
no other agent may take it meanwhile. The assignment is a lease, so a task that its agent never starts becomes
free again.
"""

from orchestrator.core.errors import Refused
from orchestrator.core.printable import amount, one_line
from orchestrator.core.transaction import SYSTEM, Transaction
from orchestrator.domain.agents import commands as agents
from orchestrator.domain.agents.commands import AgentView
from orchestrator.domain.agents.identity import check_active
from orchestrator.domain.agents.records import Agent
from orchestrator.domain.mail import commands as mail
from orchestrator.domain.mail.matters import matter_of
from orchestrator.domain.mail.records import Urgency
from orchestrator.domain.state import State
from orchestrator.domain.tasks.events import TaskAssigned, TaskHung, TaskLapsed, released
from orchestrator.domain.tasks.records import HELD, Task
from orchestrator.domain.tasks.transitions import check_transition
from orchestrator.domain.validation import LONGEST_TITLE, lease_length

DEFAULT_ASSIGNMENT = 24 * 3600.0
"""Seconds that an agent has to begin a task that is assigned to it; every sign of life renews them."""

_URGENCY: dict[int, Urgency] = {1: "urgent", 3: "high", 6: "normal", 1000: "low"}
"""The priority of the message, by the largest priority of its task."""


def team(state: State, now: str, seen: dict[str, float]) -> list[AgentView]:
    """Return the registered agents that may be given work: active, and not silent or gone."""
    views = agents.Agents.views(state, now, seen)
    return [view for view in views if view.status == "active" and not view.stale]


def is_idle(state: State, agent: str, now: str) -> bool:
    """Return whether an agent has no task, assigned or in progress, under a lease that has not ended."""
    return all(task.has_lapsed(now) for task in state.schedule.held_by(agent))


def may_take(state: State, agent: Agent, task: Task, now: str) -> bool:
    """Return whether an agent may be given a ready task.

    The agent suits the task, has fewer tasks than its limit, and no other agent holds what the task touches.
    """
    return (
        agent.suits(task)
        and (agent.max_load is None or state.schedule.load(agent.id) < agent.max_load)
        and not state.schedule.task_collisions(
            task, agent.id, now, state.agents.machines.get(agent.id)
        )
    )


def assign(
    tx: Transaction[State],
    task: Task,
    to: str,
    *,
    lease: float | str | None = None,
    hung: bool = False,
    force: bool = False,
) -> Task:
    """Assign a task to an agent, registered or not. If the agent has it already, nothing changes.

    Args:
        tx: The transaction; its agent is recorded as the one who assigns.
        task: A task that no agent has, or whose lease has ended.
        to: The agent.
        lease: How long the agent has to begin, as ``2h`` or seconds.
        hung: Hang the task on the agent's hook, if the hook is free.
        force: Take the task from another agent that has it, and end that agent's lease.

    Raises:
        Refused: The agent is retired, another agent has the task, or the task is not open.
    """
    tx.check_agent(to)
    check_active(tx.state, to)
    hangs = hung and to not in tx.state.agents.hooks
    if task.is_held_by(to, tx.now):
        if hangs:
            tx.record(TaskHung(task=task.id))
        return tx.state.tasks[task.id]
    if task.status in HELD:
        if not force and not task.has_lapsed(tx.now):
            raise Refused(
                f"Task {task.id} is {task.status} with {task.assigned_to}",
                code="already_claimed",
                hint="Ask its agent with `mail send`, or take it away with --force.",
                assigned_to=task.assigned_to,
                status=task.status,
            )
        if task.has_lapsed(tx.now):
            tx.record(TaskLapsed(task=task.id, holder=task.assigned_to or SYSTEM))
        else:
            tx.record(released(task, f"given to {to}"))
    else:
        check_transition(task, "sling")
    length = DEFAULT_ASSIGNMENT if lease is None else lease_length(lease)
    tx.record(TaskAssigned(task=task.id, to=to, lease=length, until=tx.later(length), hung=hangs))
    return tx.state.tasks[task.id]


def check_load(state: State, task: Task, to: str) -> None:
    """Refuse to give an agent a task beyond its limit.

    Raises:
        Refused: It has as many tasks as it may be given.
    """
    agent = state.agents.get(to)
    load = state.schedule.load(to)
    has_it = task.status in HELD and task.assigned_to == to
    if agent is None or agent.max_load is None or load < agent.max_load or has_it:
        return
    raise Refused(
        f"{to} has {amount(load, 'task')}, and may be given {agent.max_load}",
        code="load_limit",
        hint=f"`dispatch` finds an agent with time; `sling {task.id} {to} --force` ignores the limit.",
        agent=to,
        load=load,
        max_load=agent.max_load,
    )


def notify_assignee(tx: Transaction[State], task: Task, message: str = "") -> None:
    """Send the assignee of a task a message about it."""
    assert task.assigned_to is not None
    begin = f"Begin with `t claim {task.id}`, or `t next`."
    if task.milestone:
        begin = "Each step is assigned to you when it is ready: `t next` takes the first one."
    mail.post(
        tx,
        task.assigned_to,
        subject=one_line(f"Assigned {task.id}: {task.title}", LONGEST_TITLE),
        body="\n\n".join(filter(None, [message, task.description, begin])),
        kind="work_assignment",
        priority=next(word for limit, word in _URGENCY.items() if task.priority <= limit),
        about=matter_of("task.assigned", task),
    )
