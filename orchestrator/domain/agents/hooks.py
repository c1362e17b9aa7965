"""Hooks: the one piece of work that hangs on an agent, through its crashes and restarts.

Whoever finds work on its hook goes on with it at once; other work that is assigned to it queues behind.
"""

import msgspec

from orchestrator.core.errors import Refused
from orchestrator.core.transaction import Noun, Transaction, command
from orchestrator.domain.agents.assignment import give, tell
from orchestrator.domain.agents.identity import act_in_session, own_name
from orchestrator.domain.convoys import commands as convoys
from orchestrator.domain.state import State
from orchestrator.domain.tasks.events import TaskHung, released
from orchestrator.domain.tasks.leases import take
from orchestrator.domain.tasks.lookup import changed_task, find_live, hooked_task
from orchestrator.domain.tasks.ready_queue import rank_of
from orchestrator.domain.tasks.records import HELD, Task
from orchestrator.domain.validation import check_line, check_text


class Hook(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent has: the task on its hook, what else it works on, and what queues behind it."""

    agent: str
    task: Task | None
    working: tuple[Task, ...]
    queue: tuple[Task, ...]


class Hooks(Noun[State]):
    """``orc.hooks``: show, hang, sling, unsling."""

    def show(self, agent: str | None = None) -> Hook:
        """What hangs on an agent's hook, and what queues behind it.

        Raises:
            UsageError: Nobody is named.
        """
        return hook_of(self._state, own_name(self._desk, agent))

    @command(changed_task)
    def hang(
        self,
        tx: Transaction[State],
        task: str,
        *,
        force: bool = False,
        agent: str | None = None,
    ) -> Task | None:
        """Hang a task on one's own hook and begin it; again: no second effect.

        Args:
            task: Its id or a prefix.
            force: Let other work that hangs there go back to pending.
            agent: Who acts; needed.

        Raises:
            Refused: Other unfinished work hangs there, or the task cannot be claimed.
        """
        actor = act_in_session(tx, agent, needed=True)
        found, hung = find_live(tx.state, task), tx.state.agents.hooks.get(actor)
        runs = found.is_run_by(actor, tx.now)
        if runs and hung == found.id:
            return found
        if hung is not None and hung != found.id:
            if not force:
                raise _is_occupied(actor, tx.state.tasks[hung])
            tx.record(released(tx.state.tasks[hung], f"{actor} hung {found.id} on its hook"))
        if not runs:
            take(tx, found, actor)
        if tx.state.agents.hooks.get(actor) != found.id:
            tx.record(TaskHung(task=found.id))
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
    ) -> Task | None:
        """Give work to an agent: it hangs on the hook if that is free, else it queues; again: no effect.

        A task that nobody tracks gets a convoy of its own, so that whoever slings is told when it ends.

        Args:
            task: Its id or a prefix.
            to: The agent; None for oneself.
            force: Take it from another agent that has it.
            convoy: Track it by a convoy if none does.
            message: What to tell the agent beside the task.
            agent: Who acts; needed, unless ``to`` is given.

        Raises:
            Refused: The task has ended, another agent has it, or the agent is retired.
        """
        actor = act_in_session(tx, agent, needed=to is None)
        to = actor if to is None else tx.state.agents.aliases.get(to, to)
        found = find_live(tx.state, task)
        before = len(tx.events)
        given = hand_over(tx, found, to, force=force, convoy=convoy, message=message)
        return given if len(tx.events) == before else None

    @command(changed_task)
    def unsling(
        self,
        tx: Transaction[State],
        task: str | None = None,
        *,
        reason: str = "",
        agent: str | None = None,
    ) -> None:
        """Take a task from the agent that has it, by default what hangs on one's own hook.

        Raises:
            NotFound: Nothing hangs there.
            Refused: Nobody has the task.
        """
        actor = tx.act_as(agent, needed=task is None)
        found = hooked_task(tx.state, actor) if task is None else find_live(tx.state, task)
        if found.status not in HELD:
            raise Refused(
                f"Nobody has task {found.id}: it is {found.status}",
                code="illegal_step",
                status=found.status,
            )
        said = check_line("reason", reason or f"taken from {found.assigned_to} by {actor}")
        tx.record(released(found, said))


def hand_over(
    tx: Transaction[State],
    task: Task,
    to: str,
    *,
    force: bool = False,
    convoy: bool = True,
    message: str = "",
) -> Task:
    """Give a task to an agent for whoever acts, tell the agent, track the task; see :meth:`Hooks.sling`."""
    actor, before = tx.agent, len(tx.events)
    given = give(tx, task, to, hung=True, force=force)
    if len(tx.events) == before:
        return given
    if convoy and given.id not in tx.state.convoys.tracked_by:
        convoys.track(tx, given)
    if to != actor:
        tell(tx, given, check_text("message", message))
    return given


def hook_of(state: State, agent: str) -> Hook:
    """What an agent has, in the order in which it should go about it."""
    held = sorted(state.schedule.held_by(agent), key=rank_of)
    hung = state.agents.hooks.get(agent)
    behind = [task for task in held if task.id != hung]
    return Hook(
        agent=agent,
        task=None if hung is None else state.tasks[hung],
        working=tuple(task for task in behind if task.status == "in_progress"),
        queue=tuple(task for task in behind if task.status == "assigned"),
    )


def _is_occupied(agent: str, task: Task) -> Refused:
    return Refused(
        f"Task {task.id} hangs on the hook of {agent}, and is {task.status}",
        code="hook_occupied",
        hint="Finish it first, or give it back: `unsling`. With --force it goes back to pending.",
        task=task.id,
    )
