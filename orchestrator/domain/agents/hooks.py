"""Hooks: the task that stays with an agent through its crashes and restarts.

An agent with a task on its hook continues this task first; its other assigned tasks are a queue behind it.
"""

import msgspec

from orchestrator.core.errors import Refused
from orchestrator.core.transaction import Committed, Noun, Transaction, command
from orchestrator.domain.agents.assignment import assign, check_load, notify_assignee
from orchestrator.domain.agents.identity import act_in_session, act_to_work, own_name
from orchestrator.domain.convoys import commands as convoys
from orchestrator.domain.state import State
from orchestrator.domain.tasks.events import TaskClaimed, TaskHung, released
from orchestrator.domain.tasks.leases import take
from orchestrator.domain.tasks.lookup import changed_task, find_live, hooked_task
from orchestrator.domain.tasks.records import Task, rank_of
from orchestrator.domain.tasks.transitions import check_transition, is_settled
from orchestrator.domain.validation import check_line, check_text


class Hook(msgspec.Struct, frozen=True, kw_only=True):
    """The work of an agent: the task on its hook, its other running tasks, and its queue."""

    agent: str
    task: Task | None
    working: tuple[Task, ...]
    queue: tuple[Task, ...]


def hung_task(state: State, events: Committed) -> Task:
    """The task that was hung, not the task that it replaced."""
    hung = [e.task for _, e in events if isinstance(e, (TaskClaimed, TaskHung))]
    return state.tasks[hung[-1]]


class Hooks(Noun[State]):
    """``orc.hooks``: show, hang, sling, unsling."""

    def show(self, agent: str | None = None) -> Hook:
        """Return the task on an agent's hook, and the agent's queue.

        Raises:
            UsageError: No agent is named.
        """
        return hook_of(self._state, own_name(self._desk, agent))

    @command(hung_task)
    def hang(
        self, tx: Transaction[State], task: str, *, force: bool = False, agent: str | None = None
    ) -> Task | None:
        """Hang a task on the hook of the acting agent and begin it. If it hangs there, nothing changes.

        Args:
            task: Its id or a prefix.
            force: Release another task that hangs there.
            agent: Who acts; needed.

        Raises:
            Refused: Another unfinished task hangs there, or the task cannot be claimed.
        """
        actor = act_to_work(tx, agent, task=task)
        record, hung = find_live(tx.state, task), tx.state.agents.hooks.get(actor)
        runs = record.is_run_by(actor, tx.now)
        if runs and hung == record.id:
            return record
        if hung is not None and hung != record.id:
            occupant = tx.state.tasks[hung]
            if not force:
                raise Refused(
                    f"Task {hung} hangs on the hook of {actor}, and is {occupant.status}",
                    code="hook_occupied",
                    hint="Finish it first, or give it back: `unsling`."
                    " With --force it goes back to pending.",
                    task=hung,
                )
            tx.record(released(occupant, f"{actor} hung {record.id} on its hook"))
        if not runs:
            take(tx, record, actor)
        if tx.state.agents.hooks.get(actor) != record.id:
            tx.record(TaskHung(task=record.id))
        return None

    @command(changed_task)
    def sling(
        self,
        tx: Transaction[State],
        task: str,
        to: str | None = None,
        *,
        force: bool = False,
        convoy: bool = True,
        message: str = "",
        agent: str | None = None,
    ) -> Task:
        """Give a task to an agent: on its hook if this is free, else in its queue.

        A task without a convoy gets a new convoy, which notifies the giver when the task ends. If the
        agent has the task already, nothing changes.

        Args:
            task: Its id or a prefix.
            to: The agent; None for the acting agent.
            force: Take the task from another agent that has it, and ignore the load limit of ``to``.
            convoy: Create a convoy for a task that has none.
            message: A message for the agent.
            agent: Who acts; needed, unless ``to`` is given.

        Raises:
            Refused: The task has ended, another agent has it, or ``to`` is retired or has as many tasks
                as it may be given (``load_limit``).
        """
        actor = act_in_session(tx, agent, needed=to is None)
        to = actor if to is None else tx.state.agents.aliases.get(to, to)
        record = find_live(tx.state, task)
        return hand_over(tx, record, to, force=force, convoy=convoy, message=message)

    @command(changed_task)
    def unsling(
        self,
        tx: Transaction[State],
        task: str | None = None,
        *,
        reason: str = "",
        agent: str | None = None,
    ) -> Task:
        """Take a task from the agent that has it; the default is the task on the own hook.

        If it is pending, nothing changes.

        Raises:
            NotFound: Nothing hangs there.
            Refused: No agent has the task.
        """
        actor = tx.act_as(agent, needed=task is None)
        record = hooked_task(tx.state, actor) if task is None else find_live(tx.state, task)
        if not is_settled(record, "release"):
            check_transition(record, "release")
            reason = reason or f"taken from {record.assigned_to} by {actor}"
            tx.record(released(record, check_line("reason", reason)))
        return record


def hand_over(
    tx: Transaction[State],
    task: Task,
    to: str,
    *,
    force: bool = False,
    convoy: bool = True,
    message: str = "",
) -> Task:
    """Assign a task to an agent, track it, and notify the agent unless it acts; see :meth:`Hooks.sling`."""
    actor, before = tx.agent, len(tx.events)
    if not force:
        check_load(tx.state, task, to)
    given = assign(tx, task, to, hung=True, force=force)
    if len(tx.events) == before:
        return given
    if convoy and given.id not in tx.state.convoys.tracked_by:
        convoys.track(tx, given)
    if to != actor:
        notify_assignee(tx, given, check_text("message", message))
    return given


def hook_of(state: State, agent: str) -> Hook:
    """Return the work of an agent, in the order in which it should be done."""
    held = sorted(state.schedule.held_by(agent), key=rank_of)
    hung = state.agents.hooks.get(agent)
    behind = [task for task in held if task.id != hung]
    return Hook(
        agent=agent,
        task=None if hung is None else state.tasks[hung],
        working=tuple(task for task in behind if task.status == "in_progress"),
        queue=tuple(task for task in behind if task.status == "assigned"),
    )
