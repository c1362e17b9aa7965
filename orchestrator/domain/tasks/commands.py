"""``orc.tasks``: every transition of a task."""

from typing import Unpack

from msgspec.structs import replace

from orchestrator.core import names
from orchestrator.core.errors import Refused, UsageError
from orchestrator.core.transaction import Desk, Transaction, command
from orchestrator.domain.agents.identity import act_in_session
from orchestrator.domain.state import State
from orchestrator.domain.tasks.circles import check_no_circle
from orchestrator.domain.tasks.events import (
    TaskAdded,
    TaskFailed,
    TaskNoted,
    TaskRenewed,
    TaskReopened,
    TaskUnblocked,
    blocked,
    cancelled,
    released,
    renewal,
)
from orchestrator.domain.tasks.facts import MOVING, NO_FACTS
from orchestrator.domain.tasks.given_facts import GivenFacts, changed_facts
from orchestrator.domain.tasks.leases import (
    current_task,
    has_ended_it,
    held_task,
    named_or,
    task_at_hand,
)
from orchestrator.domain.tasks.lookup import (
    changed_task,
    check_new_id,
    exists,
    find_live,
    new_id,
    resolve,
)
from orchestrator.domain.tasks.records import Task
from orchestrator.domain.tasks.several import SeveralTasks
from orchestrator.domain.tasks.taking import TaskTaking
from orchestrator.domain.tasks.transitions import check_transition, is_settled
from orchestrator.domain.validation import check_required, check_text, lease_length


class Tasks(SeveralTasks, TaskTaking, name="tasks"):
    """``orc.tasks``: every transition of a task, and the queries about tasks."""

    @command(changed_task)
    def add(
        self,
        tx: Transaction[State],
        workstream: str | None = None,
        *,
        title: str,
        name: str | None = None,
        agent: str | None = None,
        **facts: Unpack[GivenFacts],
    ) -> None:
        """Add a task to a workstream.

        Args:
            workstream: The stream it belongs to; must be active. If not given: the default of
                ``config.toml``, else the only one; the first of an empty board is ``main``.
            title: One line that says what is to be done.
            name: With ``parent``: the last part of the id, which is the parent's with ``.name`` added; else
                the next number. No id is used twice.
            agent: Who adds it.
            **facts: What else is known of it; see :class:`orchestrator.domain.tasks.given_facts.GivenFacts`.
                A part of a step of a workflow is a step too, unless the workflow is ephemeral.

        Raises:
            NotFound: The workstream, a need or the parent does not exist.
            UsageError: No workstream is given, and there are several.
            Refused: The workstream is closed, the id of the child was used before, or the task would
                wait for itself.
        """
        tx.act_as(agent)
        if workstream is None:
            from orchestrator.domain.workstreams.usual import usual_workstream

            workstream = usual_workstream(tx)
        tx.state.workstreams.find_active(workstream)
        parent = facts.get("parent")
        above = find_live(tx.state, parent) if parent else None
        board = _Board(self._desk, tx.state, tx.now, _new_id(tx, workstream, above, name))
        new = TaskAdded(
            id=board.task,
            workstream=workstream,
            workflow=None if above is None else _workflow_of(tx.state, above),
            **changed_facts({"title": title, **facts}, NO_FACTS, board),
        )
        check_no_circle(tx.state, board.task, new)
        tx.record(new)

    @command(changed_task)
    def edit(
        self,
        tx: Transaction[State],
        task: str | None = None,
        *,
        title: str | None = None,
        reason: str = "",
        agent: str | None = None,
        **facts: Unpack[GivenFacts],
    ) -> Task:
        """Change facts of a task; None leaves a fact as it is, an empty text or list clears it.

        Args:
            task: Its id or a prefix; None for the one that the agent works on, or else reviews.
            title: One line that says what is to be done.
            reason: Why acceptance or checks change, or an open need or part goes; needed by an agent that
                has or had the task that is judged by it. It stands in the evidence, and the creator gets it
                by mail.
            agent: Who changes it.
            **facts: The others; see :class:`orchestrator.domain.tasks.given_facts.GivenFacts`. Commits are
                added to those that it has; commands replace its present ones, and are trusted.

        Raises:
            Refused: The task would wait for itself, or there is no reason (``reason_needed``).
        """
        from orchestrator.domain.tasks.judged import change_facts

        act_in_session(tx, agent, task=task or "ID")
        old = find_live(tx.state, named_or(task_at_hand, tx, task, agent))
        board = _Board(self._desk, tx.state, tx.now, old.id)
        changes = changed_facts({"title": title, **facts}, old, board)
        if not MOVING.isdisjoint(changes):
            check_no_circle(tx.state, old.id, replace(old, **changes))
        if changes:
            change_facts(tx, old, changes, reason)
        return old

    @command(changed_task)
    def renew(
        self,
        tx: Transaction[State],
        task: str | None = None,
        *,
        agent: str | None = None,
        lease: float | str | None = None,
        token: int | None = None,
    ) -> None:
        """Extend the lease of a task, by default the one that the agent works on, from now.

        Its length stays, or is another one from then on.

        Raises:
            Refused: Another agent holds the task.
        """
        held = held_task(tx, named_or(current_task, tx, task, agent), "renew", agent, token)
        if lease is None:
            tx.record(renewal(held, tx.now))
        else:
            length = lease_length(lease)
            tx.record(TaskRenewed(task=held.id, until=tx.later(length), lease=length))

    def complete(
        self,
        task: str | None = None,
        *,
        result: str | None = None,
        force: bool = False,
        reason: str = "",
        agent: str | None = None,
        token: int | None = None,
    ) -> Task:
        """Complete a task: its checks run first; a task with a review then waits for its reviewer.

        Its artifacts are looked at and its commands run in its worktree, without one in the present working
        folder, while the board is free for others. What they show is kept, also when a check does not pass.
        If the agent has completed it already, nothing changes; another result is kept as a note.

        Args:
            task: Its id or a prefix; None for the one that the agent works on, by its hook if it has several.
            result: The result, for the tasks that need this one.
            force: Complete it although it is not claimed, needs or parts of it are open, or a check does
                not pass. It stands in the evidence, and a review is still due.
            reason: Why; goes with ``force``.
            agent: Who did it; without a name, its holder.
            token: The fencing token of the claim; an older one is refused.

        Returns:
            The task, done or in review.

        Raises:
            NotFound: No task is named, and the agent works on none.
            Refused: It is not in progress, or another agent has it when the checks have run. A need or a part
                of it is open (``not_ready``). A check did not pass (``check_failed``). Its commands are not
                trusted (``not_trusted``).
            UsageError: A task with checks is completed inside a transaction.
        """
        from orchestrator.domain.tasks.completion import Completion, complete

        how = Completion(result, force, reason, agent, token)
        return complete(
            self._desk,
            ("tasks.complete", (task, *how)),
            changed_task,
            lambda tx: named_or(current_task, tx, task, agent),
            how,
            again=lambda _, done: done,
        )

    @command(changed_task)
    def fail(
        self,
        tx: Transaction[State],
        task: str | None = None,
        *,
        reason: str = "",
        agent: str | None = None,
        token: int | None = None,
    ) -> Task:
        """Fail a task, by default the one that the agent works on: it cannot be done; its dependants wait on.

        If the agent has failed it already, nothing changes.

        Raises:
            Refused: It is not in progress, or another agent has it now.
        """
        tried = find_live(tx.state, named_or(current_task, tx, task, agent))
        if not has_ended_it(tx, tried, "fail", agent, token):
            held = held_task(tx, tried.id, "fail", agent, token)
            tx.record(TaskFailed(task=held.id, reason=check_text("reason", reason)))
        return tried

    @command(changed_task)
    def release(
        self,
        tx: Transaction[State],
        task: str | None = None,
        *,
        reason: str = "",
        agent: str | None = None,
        token: int | None = None,
    ) -> Task:
        """Give a task or its review back, by default what the agent has. If it is pending, nothing changes.

        Raises:
            Refused: It is not in progress, or another agent has it now.
        """
        given = find_live(tx.state, named_or(task_at_hand, tx, task, agent))
        if given.status == "in_review" and given.reviewer == act_in_session(tx, agent):
            from orchestrator.domain.tasks.reviews import release_review

            release_review(tx, given, reason, agent)
        elif is_settled(given, "release"):
            act_in_session(tx, agent, task=given.id)
        else:
            held = held_task(tx, given.id, "release", agent, token)
            tx.record(released(held, check_text("reason", reason)))
        return given

    @command(changed_task)
    def block(
        self,
        tx: Transaction[State],
        task: str | None = None,
        *,
        reason: str,
        agent: str | None = None,
    ) -> Task:
        """Block a task for a reason outside the board; its lease ends.

        If it is blocked for this reason, nothing changes.

        Raises:
            Refused: It has ended, or is blocked for another reason.
        """
        act_in_session(tx, agent, task=task or "ID")
        live = find_live(tx.state, named_or(current_task, tx, task, agent))
        if live.status != "blocked" or live.reason != reason:
            check_transition(live, "block")
            tx.record(blocked(live, check_required("reason", reason)))
        return live

    @command(changed_task)
    def unblock(self, tx: Transaction[State], task: str, *, agent: str | None = None) -> Task:
        """Make a blocked task pending again. If it is open and not blocked, nothing changes.

        Raises:
            Refused: It has ended.
        """
        act_in_session(tx, agent, task=task)
        live = find_live(tx.state, task)
        if not is_settled(live, "unblock"):
            check_transition(live, "unblock")
            tx.record(TaskUnblocked(task=live.id))
        return live

    @command(changed_task)
    def cancel(
        self, tx: Transaction[State], task: str, *, reason: str = "", agent: str | None = None
    ) -> Task:
        """End a task that is not wanted any more; its dependants keep waiting.

        Its parts stay open, and it keeps them back no longer; those of a workflow are cancelled with it.
        If it was cancelled before, nothing changes.

        Raises:
            Refused: It is done or failed, or is an open part of a task of this agent, and there is no reason
                (``reason_needed``).
        """
        from orchestrator.domain.tasks.judged import drop_part

        act_in_session(tx, agent, task=task)
        live = find_live(tx.state, task)
        if not is_settled(live, "cancel"):
            check_transition(live, "cancel")
            tx.record(cancelled(live, check_text("reason", reason)))
            drop_part(tx, live, reason)
        return live

    @command(changed_task)
    def reopen(
        self,
        tx: Transaction[State],
        task: str,
        *,
        downstream: bool = False,
        reason: str = "",
        agent: str | None = None,
    ) -> Task | None:
        """Make an ended task pending again; its result is cleared (the log keeps it).

        A workflow that is reopened by its root has the steps again that ended with it. If the task is
        pending, nothing changes.

        Args:
            downstream: Reopen also all that was done after it: what needed it, directly or through others.

        Raises:
            Refused: It is in work, or is a milestone that would be done again at once.
        """
        act_in_session(tx, agent, task=task)
        ended = find_live(tx.state, task)
        if is_settled(ended, "reopen") and not downstream:
            return ended
        check_transition(ended, "reopen")
        _check_waits(ended)
        if ended.needs_failure_of:
            from orchestrator.domain.tasks.fallbacks import check_not_needless

            check_not_needless(tx.state, ended)
        reason = check_text("reason", reason)
        tx.record(TaskReopened(task=ended.id, reason=reason))
        for behind in _done_after(tx.state, ended) if downstream else ():
            tx.record(TaskReopened(task=behind, reason=reason or f"{ended.id} was reopened"))
        return None

    @command(changed_task)
    def note(
        self, tx: Transaction[State], task: str | None, text: str, *, agent: str | None = None
    ) -> None:
        """Append a note to a task; None: to the one that the agent works on, or else reviews."""
        tx.act_as(agent)
        live = find_live(tx.state, named_or(task_at_hand, tx, task, agent))
        tx.record(TaskNoted(task=live.id, text=check_required("note", text)))


class _Board:
    """What the checks of given facts ask; see :class:`orchestrator.domain.tasks.fact_values.Board`."""

    def __init__(self, desk: Desk[State], state: State, now: str, task: str = "") -> None:
        self.folder = desk.folder
        self.now = now
        self.task = task
        self._state = state

    def find_live(self, text: str) -> str:
        return find_live(self._state, text).id

    def resolve(self, text: str) -> str:
        return resolve(self._state, text)


def _new_id(tx: Transaction[State], workstream: str, parent: Task | None, name: str | None) -> str:
    state = tx.state
    if parent is None:
        if name is not None:
            raise UsageError("A name needs a parent: together they make the id")
        return new_id(tx, workstream)
    if name is not None:
        return check_new_id(state, f"{parent.id}.{names.name('task', name)}")
    number = len(state.tasks.children.get(parent.id, ())) + 1
    while exists(state, task_id := f"{parent.id}.{number}"):
        number += 1
    return names.name("task", task_id)


def _workflow_of(state: State, parent: Task) -> str | None:
    """Return the workflow that a new part of a task is a step of.

    None if that is ephemeral, because the part must not leave the board with it.
    """
    root = parent.id if parent.id in state.workflows else parent.workflow
    workflow = state.workflows.get(root or "")
    return None if workflow is None or workflow.ephemeral else root


def _check_waits(task: Task) -> None:
    """Refuse to reopen a milestone that is done and waits for nothing.

    Raises:
        Refused: It would complete again at once.
    """
    if task.completes_itself and task.status == "done" and task.is_reached:
        raise Refused(
            f"Task {task.id} would complete again at once: nothing keeps it back",
            code="nothing_open",
            hint="Reopen the part or the need of it that is to be done again.",
        )


def _done_after(state: State, task: Task) -> list[str]:
    """Return the tasks, parts included, that are done and waited for this one, directly or through others."""
    tasks = state.tasks
    behind = {task.id: None}
    for current in (waiting := [task.id]):
        near = [
            *tasks.needed_by.get(current, ()),
            *tasks.failure_needed_by.get(current, ()),
            *tasks.awaited_by.get(tasks[current].parent or "", ()),
        ]
        if current != task.id:
            near += tasks.children.get(current, ())
        new = [other for other in near if other in tasks and tasks.is_done(other)]
        waiting += [other for other in dict.fromkeys(new) if other not in behind]
        behind.update(dict.fromkeys(new))
    del behind[task.id]
    return [*behind]
