"""Tasks: every step of their life, and who may take it.

A claim is a lease: it ends by itself. The record and the events are in
:mod:`orchestrator.domain.tasks.events`, what keeps a task back in :mod:`orchestrator.domain.tasks.blockers`.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from msgspec import UNSET
from msgspec.structs import replace

from orchestrator.core import clock, names
from orchestrator.core.errors import Refused, UsageError
from orchestrator.core.events import Recorded, decode
from orchestrator.core.transaction import SYSTEM, Committed, Noun, Transaction, command
from orchestrator.domain.agents.identity import act_in_session
from orchestrator.domain.state import State
from orchestrator.domain.tasks import resources, verification
from orchestrator.domain.tasks.blockers import (
    blockers,
    check_no_circle,
    is_offered,
    needs_of,
    open_needs,
    ways_out,
)
from orchestrator.domain.tasks.events import (
    TaskAdded,
    TaskArchived,
    TaskBlocked,
    TaskCancelled,
    TaskClaimed,
    TaskCompleted,
    TaskEdited,
    TaskFailed,
    TaskLapsed,
    TaskNoted,
    TaskRenewed,
    TaskReopened,
    TaskUnblocked,
    released,
    renewal,
)
from orchestrator.domain.tasks.lookup import (
    changed_task,
    check_new_id,
    find_live,
    new_id,
    resolve,
)
from orchestrator.domain.tasks.ready_queue import Hold
from orchestrator.domain.tasks.records import DEFAULT_LEASE, ENDED, HELD, STATUSES, Gate, Task
from orchestrator.domain.tasks.transitions import (
    check_transition,
)
from orchestrator.domain.tasks.verification_events import TaskChecked, TaskSubmitted
from orchestrator.domain.validation import (
    check_priority,
    check_required,
    check_text,
    check_title,
    parse_moment,
)
from orchestrator.domain.waiting import wait_for
from orchestrator.domain.workstreams import commands as workstreams

_MARGIN = 60.0
"""Seconds that a lease lasts at least when checks have taken all their time."""
Watch = Callable[[Sequence[int]], Iterable[int]]
"""Passes on the numbers of events that are read one by one, so that somebody can be shown how far it is."""

CLOSE = 100
"""Events that are passed over in the time of finding one by its number."""


def unwatched(numbers: Sequence[int]) -> Iterable[int]:
    """Show nobody."""
    return numbers


R = TypeVar("R")

# Results of commands


def the_claimed_task(state: State, events: Committed) -> Task | None:
    """The task that was claimed, or None if there was nothing to claim."""
    claims = (event.task for _, event in events if isinstance(event, TaskClaimed))
    return next((state.tasks[task] for task in claims), None)


def _nothing(state: State, events: Committed) -> None:
    """The result of a step on the way to another command."""


def the_archived_tasks(state: State, events: Committed) -> list[Task]:
    """The records of the tasks that were archived."""
    return [event.record for _, event in events if isinstance(event, TaskArchived)]


def _held(
    tx: Transaction[State], text: str, step: str, agent: str | None, token: int | None
) -> Task:
    """The task for a step that only its holder may take; without a name the holder acts.

    Raises:
        Refused: Somebody else holds it, or the token is of an older claim.
    """
    task = find_live(tx.state, text)
    actor = act_in_session(tx, agent)
    if token is not None and task.token != token:
        raise _not_held(task, f"The claim with token {token} has ended")
    check_transition(task, step)
    if actor not in (SYSTEM, task.assigned_to):
        raise _not_held(task, f"{actor} does not hold task {task.id}")
    tx.act_as(task.assigned_to)
    return task


def _held_with_checks(
    tx: Transaction[State],
    text: str,
    agent: str | None,
    token: int | None,
    found: verification.Found | None,
) -> Task:
    """The task that its holder completes; what was found counts for one claim and its checks only.

    Raises:
        Refused: Somebody else holds it, the token is of an older claim, or its checks were changed.
    """
    if found is None:
        return _held(tx, text, "complete", agent, token)
    held = _held(tx, found.task, "complete", agent, found.token)
    if held.checks != found.checks:
        raise verification.checks_changed(held.id)
    return held


def _check_shown(task: Task, force: bool) -> None:
    """Stop here if the task has something to show first.

    Raises:
        ChecksDue: It has.
        Refused: It has, and nobody has trusted its commands.
    """
    checks = task.checks
    if checks is None or not checks.are_due:
        return
    if checks.are_inert and not force:
        raise verification.not_trusted(task.id, checks)
    raise verification.ChecksDue(task.id, task.token, task.assigned_to or SYSTEM, checks)


def _check_waits(task: Task) -> None:
    """Refuse to reopen a milestone that is done and waits for nothing.

    Raises:
        Refused: It would be done again at once.
    """
    if task.ends_by_itself and task.status == "done" and task.is_reached:
        raise Refused(
            f"Task {task.id} is done by itself as soon as nothing keeps it back, and nothing does",
            code="nothing_open",
            hint="Reopen the part or the need of it that is to be done again.",
        )


def _done_after(state: State, task: Task) -> list[str]:
    """The tasks that are done and waited for this one, directly or by way of others, their parts included."""
    found = {task.id: None}
    waiting = [task.id]
    while waiting:
        one = state.tasks[waiting.pop()]
        near = [
            *state.tasks.needed_by.get(one.id, ()),
            *state.tasks.awaited_by.get(one.parent or "", ()),
        ]
        if one.id != task.id:
            near += state.tasks.children.get(one.id, ())
        for behind in near:
            if behind in state.tasks and state.tasks.is_done(behind) and behind not in found:
                found[behind] = None
                waiting.append(behind)
    del found[task.id]
    return [*found]


def _check_steps_ended(state: State, task: Task) -> None:
    """Refuse to complete the root of a workflow before its steps.

    Raises:
        Refused: They have not all ended.
    """
    if task.waiting and task.id in state.workflows:
        raise Refused(
            f"Task {task.id} gets done by its workflow, whose steps have not all ended",
            code="not_ready",
            hint=f"`formula current {task.id}` shows where it stands.",
        )


def _not_held(task: Task, what: str) -> Refused:
    now = f"{task.assigned_to} has it now" if task.status in HELD else f"it is {task.status}"
    return Refused(
        f"{what}: {now}",
        code="not_holder",
        hint="Take other work with `t next`; a note can carry over what you found: `t note`.",
        assigned_to=task.assigned_to,
        status=task.status,
        token=task.token,
    )


class Tasks(Noun[State]):
    """``orc.tasks``: every step of a task's life, and the queries about tasks."""

    @command(changed_task)
    def add(
        self,
        tx: Transaction[State],
        workstream: str,
        *,
        title: str,
        description: str = "",
        type: str = "task",
        priority: int = 5,
        labels: Iterable[str] = (),
        acceptance: str = "",
        estimate: float | None = None,
        needs: Iterable[str] = (),
        touches: Iterable[str] = (),
        parent: str | None = None,
        name: str | None = None,
        waits_for: str | None = None,
        defer: str | None = None,
        due: str | None = None,
        verify: Iterable[str] = (),
        artifacts: Iterable[str] = (),
        review: bool = False,
        verify_timeout: float | str | None = None,
        agent: str | None = None,
    ) -> None:
        """Add a task to a workstream.

        Args:
            workstream: The stream it belongs to; must be active.
            title: One line.
            description: What is to be done.
            type: A word such as task, bug, feature; agents with capabilities are chosen by it.
            priority: 1 comes first; 0 to 1000.
            labels: Words to find it by.
            acceptance: What must be true when it is done.
            estimate: Minutes of work.
            needs: Ids or prefixes of tasks that must be done before.
            touches: Resources it needs while it runs: ``git``, ``src/**``, ``db:shared``.
            parent: The task that it is a part of; its id is the parent's with ``.name`` added. A part of a
                step of a workflow is a step too, unless that is a wisp.
            name: The last part of the id of a child; else the next number. No id is used twice.
            waits_for: ``all`` or ``any`` of its own children, or ``all:ID`` of another task's.
            defer: Not to be taken before this time: ``2026-12-01``, or ``3d`` from now.
            due: When it should be done, in the same forms.
            verify: Commands that must succeed before it is complete; split without a shell, and run in
                the working folder of whoever completes it.
            artifacts: Files and folders that must be there then, and hold something.
            review: Whether another agent than the worker must approve.
            verify_timeout: How long each command may take, as ``30m`` or seconds; ten minutes if None.
            agent: Who adds it.

        Raises:
            NotFound: The workstream, a need or the parent does not exist.
            Refused: The workstream is closed, the id of the child was used before, or the task would
                wait for itself.
        """
        tx.act_as(agent)
        workstreams.find_active(tx.state, workstream)
        above = None if parent is None else find_live(tx.state, parent)
        new = Task(
            id=_new_id(tx, parent, name),
            workstream=workstream,
            title=check_title(title),
            description=check_text("description", description),
            status="pending",
            type=names.name("task type", type),
            priority=check_priority(priority),
            labels=_words("label", labels),
            acceptance=check_text("acceptance", acceptance),
            estimate=_minutes(estimate),
            needs=needs_of(tx.state, needs),
            parent=None if above is None else above.id,
            workflow=None if above is None else _workflow_of(tx.state, above),
            touches=_touches(touches),
            defer_until="" if defer is None else parse_moment("defer", defer, tx.now),
            due="" if due is None else parse_moment("due", due, tx.now),
            checks=verification.checks_of(
                None, verify=verify, artifacts=artifacts, review=review, timeout=verify_timeout
            ),
            created_by=tx.agent,
        )
        gate = None if waits_for is None else _gate(tx.state, new.id, waits_for)
        check_no_circle(tx.state, replace(new, gate=gate))
        tx.record(
            TaskAdded(
                task=new.id,
                workstream=new.workstream,
                title=new.title,
                description=new.description,
                type=new.type,
                priority=new.priority,
                labels=new.labels,
                acceptance=new.acceptance,
                estimate=new.estimate,
                needs=new.needs,
                touches=new.touches,
                parent=new.parent,
                workflow=new.workflow,
                gate=gate,
                defer_until=new.defer_until,
                due=new.due,
                checks=new.checks,
            )
        )

    @command(changed_task)
    def edit(
        self,
        tx: Transaction[State],
        task: str,
        *,
        title: str | None = None,
        description: str | None = None,
        type: str | None = None,
        priority: int | None = None,
        labels: Iterable[str] | None = None,
        acceptance: str | None = None,
        estimate: float | None = None,
        needs: Iterable[str] | None = None,
        touches: Iterable[str] | None = None,
        parent: str | None = None,
        waits_for: str | None = None,
        defer: str | None = None,
        due: str | None = None,
        commits: Iterable[str] = (),
        verify: Iterable[str] | None = None,
        artifacts: Iterable[str] | None = None,
        review: bool | None = None,
        verify_timeout: float | str | None = None,
        agent: str | None = None,
    ) -> None:
        """Change fields of a task; None leaves a field as it is, an empty text or list clears it.

        Args:
            commits: Ids of commits to link to the task, beside those that are linked.
            verify: All commands, in place of those that it has; they are trusted.

        Raises:
            Refused: The task would wait for itself.
        """
        tx.act_as(agent)
        old = find_live(tx.state, task)
        state, new = tx.state, old
        if needs is not None:
            new = replace(new, needs=needs_of(state, needs))
        if parent is not None:
            new = replace(new, parent=find_live(state, parent).id if parent else None)
        if waits_for is not None:
            new = replace(new, gate=_gate(state, new.id, waits_for) if waits_for else None)
        if new is not old:
            check_no_circle(state, new)
        linked = tuple(dict.fromkeys((*old.commits, *map(_commit, commits))))
        checks = verification.checks_of(
            old.checks, verify=verify, artifacts=artifacts, review=review, timeout=verify_timeout
        )
        tx.record(
            TaskEdited(
                task=old.id,
                title=_given(title, check_title),
                description=_given(description, lambda text: check_text("description", text)),
                type=_given(type, lambda text: names.name("task type", text)),
                priority=_given(priority, check_priority),
                labels=_given(labels, lambda words: _words("label", words)),
                acceptance=_given(acceptance, lambda text: check_text("acceptance", text)),
                estimate=_given(estimate, _minutes),
                needs=_changed(old.needs, new.needs),
                touches=_given(touches, _touches),
                parent=_changed(old.parent, new.parent),
                gate=_changed(old.gate, new.gate),
                defer_until=_given(defer, lambda text: parse_moment("defer", text, tx.now)),
                due=_given(due, lambda text: parse_moment("due", text, tx.now)),
                commits=_changed(old.commits, linked),
                checks=_changed(old.checks, checks),
            )
        )

    @command(changed_task)
    def claim(
        self,
        tx: Transaction[State],
        task: str,
        *,
        agent: str | None = None,
        lease: float | str | None = None,
    ) -> None:
        """Take a task under a lease.

        Args:
            task: Its id or a prefix.
            agent: Who takes it; needed.
            lease: How long, as ``30m`` or seconds.

        Raises:
            Refused: It is not pending nor assigned to the agent, waits for other tasks, or touches what
                somebody holds.
        """
        actor = act_in_session(tx, agent, needed=True)
        take(tx, find_live(tx.state, task), actor, lease)

    def next(
        self,
        workstream: str | None = None,
        *,
        agent: str | None = None,
        lease: float | str | None = None,
        wait: float | str = 0,
    ) -> Task | None:
        """Claim the task to do next.

        First what hangs on the agent's hook, then what is assigned to it, then what anybody may take, by
        workstream priority, task priority, age.

        Args:
            workstream: Only tasks of this stream; None for all.
            agent: Who takes it; needed. An agent may hold any number of tasks.
            lease: How long, as ``30m`` or seconds.
            wait: Block so long for a task to become free.

        Returns:
            The task, or None if there is none to take.
        """

        def attempt() -> Task | None:
            return self._next(workstream, agent=agent, lease=lease)

        return wait_for(self._desk, attempt, wait)

    @command(the_claimed_task)
    def _next(
        self,
        tx: Transaction[State],
        workstream: str | None,
        *,
        agent: str | None,
        lease: float | str | None,
    ) -> None:
        actor = act_in_session(tx, agent, needed=True)
        if workstream is not None:
            workstreams.find(tx.state, workstream)
        found = tx.state.schedule.best(workstream, actor, tx.now)
        if found is not None:
            _claim(tx, found, lease)

    @command(changed_task)
    def renew(
        self,
        tx: Transaction[State],
        task: str,
        *,
        agent: str | None = None,
        lease: float | str | None = None,
        token: int | None = None,
    ) -> None:
        """Extend the lease, from now, by its length or by another one.

        Raises:
            Refused: Somebody else holds the task.
        """
        held = _held(tx, task, "renew", agent, token)
        if lease is None:
            tx.record(renewal(held, tx.now))
        else:
            length = _lease(lease)
            tx.record(TaskRenewed(task=held.id, until=tx.later(length), lease=length))

    def complete(
        self,
        task: str,
        *,
        result: str | None = None,
        force: bool = False,
        reason: str = "",
        agent: str | None = None,
        token: int | None = None,
    ) -> Task:
        """Say that a task is done, and show it where the task has checks; one to be reviewed is handed in.

        Its artifacts are looked at and its commands run in the present working folder, while the board
        is free for others; what they show is kept, also when it is not enough.

        Args:
            task: Its id or a prefix.
            result: What came out, for whoever needs it next.
            force: Complete it although a check does not pass, for a reason that is kept.
            reason: Why; goes with ``force``.
            agent: Who did it; without a name, its holder.
            token: The fencing token of the claim; an older one is refused.

        Returns:
            The task, done or in review.

        Raises:
            Refused: It is not in progress, or somebody else has it by the time the checks have run; a check
                did not pass (``check_failed``), or its commands are not trusted (``not_trusted``).
            UsageError: A task with checks is completed inside a transaction.
        """
        arguments = (task, result, force, reason, agent, token)
        return self.finish(
            ("tasks.complete", arguments),
            changed_task,
            lambda _: task,
            result=result,
            force=force,
            reason=reason,
            agent=agent,
            token=token,
        )

    def finish(
        self,
        request: tuple[str, tuple[object, ...]],
        shows: Callable[[State, Committed], R],
        pick: Callable[[Transaction[State]], str],
        *,
        result: str | None,
        force: bool = False,
        reason: str = "",
        agent: str | None,
        token: int | None = None,
        then: "Callable[[Transaction[State], Task], None] | None" = None,
    ) -> R:
        """Complete a task as :meth:`complete` does, for a command that does more in the same commit.

        Args:
            request: Name and arguments of the command.
            shows: Renders its result.
            pick: Says which task, from the state that the command finds.
            then: Records what belongs to the same commit; told the task as it was held.
        """
        if force != bool(reason.strip()):
            raise UsageError("To complete a task by force takes both --force and --reason TEXT")

        def attempt(found: verification.Found | None) -> R:
            def within(tx: Transaction[State]) -> None:
                held = _held_with_checks(tx, pick(tx), agent, token, found)
                _check_steps_ended(tx.state, held)
                text = None if result is None else check_text("result", result)
                if found is None:
                    _check_shown(held, force)
                else:
                    tx.record(TaskChecked(task=held.id, evidence=found.evidence))
                reviewed = held.checks is not None and held.checks.review
                ending = TaskSubmitted if reviewed else TaskCompleted
                tx.record(ending(task=held.id, result=text, reason=check_text("reason", reason)))
                if then is not None:
                    then(tx, held)

            name, arguments = request
            return self._desk.run(name, within, shows, arguments)

        try:
            return attempt(None)
        except verification.ChecksDue as checks:
            due = checks
        found = self._look(due, agent)
        if found.failure is not None and not force:
            self._keep(found, agent=agent)
            raise verification.check_failed(found.task, found, found.failure)
        return attempt(found)

    def _look(self, due: verification.ChecksDue, agent: str | None) -> verification.Found:
        """Look at what a task must show, under a lease that does not end meanwhile."""
        self._desk.pause()  # refuses here what would extend a lease inside an open transaction
        commands = len(due.checks.verify) if due.checks.trusted else 0
        if commands:
            self._cover(due, commands * due.checks.patience + _MARGIN, agent=agent)
            self._desk.pause()  # that commit holds signals back
        shown = verification.gather(
            due.task,
            due.checks,
            agent=due.holder,
            board=self._desk.folder,
            now=self._desk.now,
        )
        return verification.Found(task=due.task, token=due.token, checks=due.checks, evidence=shown)

    @command(_nothing, answers_request=False)
    def _cover(
        self,
        tx: Transaction[State],
        due: verification.ChecksDue,
        seconds: float,
        *,
        agent: str | None,
    ) -> None:
        """Extend the lease so that the checks can end before it does."""
        held = _held(tx, due.task, "complete", agent, due.token)
        until = tx.later(seconds)
        if held.lease_until < until:
            tx.record(TaskRenewed(task=held.id, until=until))

    @command(_nothing, answers_request=False)
    def _keep(
        self, tx: Transaction[State], found: verification.Found, *, agent: str | None
    ) -> None:
        """Keep what checks showed of which one did not pass."""
        held = _held_with_checks(tx, found.task, agent, found.token, found)
        tx.record(TaskChecked(task=held.id, evidence=found.evidence))

    @command(changed_task)
    def fail(
        self,
        tx: Transaction[State],
        task: str,
        *,
        reason: str = "",
        agent: str | None = None,
        token: int | None = None,
    ) -> None:
        """Say that a task was tried and cannot be done; its dependants keep waiting.

        Raises:
            Refused: It is not in progress, or somebody else has it now.
        """
        held = _held(tx, task, "fail", agent, token)
        tx.record(TaskFailed(task=held.id, reason=check_text("reason", reason)))

    @command(changed_task)
    def release(
        self,
        tx: Transaction[State],
        task: str,
        *,
        reason: str = "",
        agent: str | None = None,
        token: int | None = None,
    ) -> None:
        """Give a task back; it is pending again.

        Raises:
            Refused: It is not in progress, or somebody else has it now.
        """
        held = _held(tx, task, "release", agent, token)
        tx.record(released(held, check_text("reason", reason)))

    @command(changed_task)
    def block(
        self, tx: Transaction[State], task: str, *, reason: str, agent: str | None = None
    ) -> None:
        """Set a task aside because of something outside the board; its lease ends.

        Raises:
            Refused: It has ended or is blocked.
        """
        tx.act_as(agent)
        found = find_live(tx.state, task)
        check_transition(found, "block")
        tx.record(TaskBlocked(task=found.id, reason=check_required("reason", reason)))

    @command(changed_task)
    def unblock(self, tx: Transaction[State], task: str, *, agent: str | None = None) -> None:
        """Make a blocked task pending again.

        Raises:
            Refused: It is not blocked.
        """
        tx.act_as(agent)
        found = find_live(tx.state, task)
        check_transition(found, "unblock")
        tx.record(TaskUnblocked(task=found.id))

    @command(changed_task)
    def cancel(
        self, tx: Transaction[State], task: str, *, reason: str = "", agent: str | None = None
    ) -> None:
        """End a task that is not wanted any more; its dependants keep waiting.

        Raises:
            Refused: It has ended.
        """
        tx.act_as(agent)
        found = find_live(tx.state, task)
        check_transition(found, "cancel")
        tx.record(TaskCancelled(task=found.id, reason=check_text("reason", reason)))

    @command(changed_task)
    def reopen(
        self,
        tx: Transaction[State],
        task: str,
        *,
        downstream: bool = False,
        reason: str = "",
        agent: str | None = None,
    ) -> None:
        """Make an ended task pending again; its result is cleared (the log keeps it).

        A workflow that is reopened by its root has the steps again that were cancelled with it.

        Args:
            downstream: Reopen also all that was done after it: what needed it, directly or by way of others.

        Raises:
            Refused: It has not ended, or is a milestone that would be done again at once.
        """
        tx.act_as(agent)
        found = find_live(tx.state, task)
        check_transition(found, "reopen")
        _check_waits(found)
        said = check_text("reason", reason)
        tx.record(TaskReopened(task=found.id, reason=said))
        for behind in _done_after(tx.state, found) if downstream else ():
            tx.record(TaskReopened(task=behind, reason=said or f"{found.id} was reopened"))

    @command(changed_task)
    def note(
        self, tx: Transaction[State], task: str, text: str, *, agent: str | None = None
    ) -> None:
        """Append a note to a task."""
        tx.act_as(agent)
        found = find_live(tx.state, task)
        tx.record(TaskNoted(task=found.id, text=check_required("note", text)))

    @command(the_archived_tasks)
    def archive(
        self,
        tx: Transaction[State],
        tasks: Iterable[str] = (),
        *,
        older_than: float | str | None = None,
        agent: str | None = None,
    ) -> None:
        """Take ended tasks out of the state; the log, ``t show``, counts and needs keep them.

        Args:
            tasks: Ids or prefixes.
            older_than: Also every task that ended so long ago (``30d``).
            agent: Who acts.

        Raises:
            Refused: A named task has not ended.
        """
        tx.act_as(agent)
        chosen = [find_live(tx.state, task) for task in tasks]
        for task in chosen:
            check_transition(task, "archive")
            if _is_of_wisp(tx.state, task):
                raise Refused(
                    f"Task {task.id} belongs to a wisp, which leaves the board as a whole",
                    code="of_a_wisp",
                    hint="`formula squash` and `formula burn` end it.",
                )
        if older_than is not None:
            limit = tx.later(-clock.duration(older_than))
            chosen += [
                task
                for task in tx.state.tasks.values()
                if task.status in ENDED
                and (task.ended_at or task.updated_at) <= limit
                and not _is_of_wisp(tx.state, task)
            ]
        for task in {task.id: task for task in chosen}.values():
            tx.record(TaskArchived(record=task))

    # Queries

    def get(self, task: str) -> Task:
        """The task of this id or prefix, archived ones included.

        Raises:
            NotFound: There is none.
        """
        state = self.state
        task_id = resolve(state, task)
        archived = state.tasks.archived.get(task_id)
        if archived is None:
            return state.tasks[task_id]
        event = decode(self._desk.event(archived.event))
        assert isinstance(event, TaskArchived)
        return event.record

    def lasting(self, workstream: str | None = None) -> Iterator[Task]:
        """Every task that there ever was, as :meth:`ever`, but for those of wisps: they are not to last."""
        state = self.state
        return (task for task in self.ever(workstream) if not _is_of_wisp(state, task))

    def ever(self, workstream: str | None = None, watch: Watch = unwatched) -> Iterator[Task]:
        """Every task that there ever was: the archived ones, as they were then, then the live ones.

        Args:
            workstream: Only of this stream.
            watch: Told the events of the archived ones, each when it is read.

        Raises:
            NotFound: There is no such workstream.
        """
        state = self.state
        if workstream is not None:
            workstreams.find(state, workstream)
        numbers = sorted(
            record.event
            for record in state.tasks.archived.values()
            if workstream in (None, record.workstream)
        )
        yield from reversed([*self._archived(numbers, watch)])
        for task in state.tasks.values():
            if workstream in (None, task.workstream):
                yield task

    def _archived(self, numbers: list[int], watch: Watch) -> Iterator[Task]:
        """The records in these events, newest first: in one pass over the log if they stand close."""
        is_close = numbers and self.state.event - numbers[0] < CLOSE * len(numbers)
        passing = self._desk.read_backwards() if is_close else iter(())
        at = next(passing, None)
        for number in watch(numbers[::-1]):
            while at is not None and at.id > number:
                at = next(passing, None)
            found = at if at is not None and at.id == number else self._desk.event(number)
            event = decode(found)
            assert isinstance(event, TaskArchived)
            yield event.record

    def history(self, task: str) -> list[Recorded]:
        """The events of a task, oldest first."""
        return [self._desk.event(number) for number in self.get(task).events]

    def needed_by(self, task: str) -> list[Task]:
        """The tasks that need this one."""
        state = self.state
        dependants = state.tasks.needed_by.get(resolve(state, task), ())
        return [state.tasks[dependant] for dependant in dependants]

    def all(
        self,
        workstream: str | None = None,
        *,
        status: Iterable[str] = (),
        agent: str | None = None,
        labels: Iterable[str] = (),
        any_labels: Iterable[str] = (),
        type: str | None = None,
        priority: int | None = None,
        parent: str | None = None,
        overdue: bool = False,
        ready: bool = False,
    ) -> list[Task]:
        """The tasks that pass every filter, in the order they were added.

        Args:
            workstream: Only of this stream.
            status: Only of these statuses.
            agent: Only those it holds or held last.
            labels: Only those with all of these labels.
            any_labels: Only those with one of these labels at least.
            type: Only of this type.
            priority: Only of this priority.
            parent: Only the parts of this task.
            overdue: Only those that have not ended though they are due.
            ready: Only those that anybody may take now.
        """
        state, now = self.state, self._desk.now()
        if workstream is not None:
            workstreams.find(state, workstream)
        wanted, words, one_of = set(status), set(labels), set(any_labels)
        above = None if parent is None else resolve(state, parent)
        if unknown := wanted.difference(STATUSES):
            raise UsageError(
                f"{min(unknown)!a} is no status", hint=f"One of {', '.join(STATUSES)}."
            )
        return [
            task
            for task in state.tasks.values()
            if (workstream is None or task.workstream == workstream)
            and (not wanted or task.status in wanted)
            and (agent is None or task.assigned_to == agent)
            and words.issubset(task.labels)
            and not (one_of and one_of.isdisjoint(task.labels))
            and (type is None or task.type == type)
            and (priority is None or task.priority == priority)
            and (above is None or task.parent == above)
            and not (overdue and (not task.due or task.due > now or task.status in ENDED))
            and (not ready or is_offered(state, task, now))
        ]


# Parts of commands


def take(tx: Transaction[State], task: Task, agent: str, lease: float | str | None = None) -> None:
    """Claim a task for an agent that acts; see :meth:`Tasks.claim`."""
    if not task.has_lapsed(tx.now) and not task.is_assigned_to(agent):
        check_transition(task, "claim")
    _check_free(tx.state, task, agent, tx.now)
    workstreams.find_active(tx.state, task.workstream)
    _claim(tx, task, lease)


def _claim(tx: Transaction[State], task: Task, lease: float | str | None) -> None:
    if task.status in HELD and not task.is_assigned_to(tx.agent):
        tx.record(TaskLapsed(task=task.id, holder=task.assigned_to or SYSTEM))
    length = DEFAULT_LEASE if lease is None else _lease(lease)
    tx.record(TaskClaimed(task=task.id, lease=length, until=tx.later(length)))


def _workflow_of(state: State, parent: Task) -> str | None:
    """The workflow that a new part of a task is a step of: the one that the task is the root or a step of.

    None if that is a wisp, for the part is not to leave the board with it.
    """
    root = parent.id if parent.id in state.workflows else parent.workflow
    workflow = state.workflows.get(root or "")
    return None if workflow is None or workflow.ephemeral else root


def _is_of_wisp(state: State, task: Task) -> bool:
    """Whether a task is a step of a wisp, or the root that was made for it."""
    workflow = state.workflows.get(task.workflow or task.id)
    if workflow is None or not workflow.ephemeral:
        return False
    return task.workflow is not None or workflow.own_root


def _check_free(state: State, task: Task, agent: str, now: str) -> None:
    if not task.is_clear or task.defer_until > now:
        waiting = open_needs(state, task)
        found = [*blockers(state, task, now)]
        reasons = [blocker.says for blocker in found]
        ways = ways_out(found)
        raise Refused(
            f"Task {task.id} is not ready: {'; '.join(reasons[:5])}",
            code="not_ready",
            hint=f"{_and_so_on(ways)}; `t next` finds other work.",
            needs=waiting,
            reasons=reasons,
            commands=ways,
        )
    if holds := state.schedule.task_collisions(task, agent, now):
        raise _collision(task, holds[0])


def _and_so_on(ways: Sequence[str]) -> str:
    """What to do about a task that is kept back."""
    if not ways:
        return "`t dep tree` shows where those stand"
    return f"What lets it go on: {', '.join(f'`{way}`' for way in ways)}"


def _collision(task: Task, blocker: Hold) -> Refused:
    source = f" for task {blocker.task}" if blocker.task else ""
    return Refused(
        f"Task {task.id} touches {blocker.resource}, which {blocker.agent} holds{source}",
        code="resource_held",
        hint=f"It is free at {blocker.until} at the latest; `t next` finds other work.",
        resource=blocker.resource,
        holder=blocker.agent,
    )


def _lease(value: float | str) -> float:
    seconds = clock.duration(value)
    if seconds <= 0:
        raise UsageError("A lease must be longer than nothing")
    return seconds


def _changed(old: Any, new: Any) -> Any:
    return UNSET if new == old else new


def _given(value: Any, check: Callable[[Any], Any]) -> Any:
    return UNSET if value is None else check(value)


def _minutes(estimate: float | None) -> float | None:
    if estimate is not None and not 0 <= estimate < 1e9:
        raise UsageError(f"{estimate} is no estimate", hint="Give minutes.")
    return estimate


def _words(kind: str, words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names.name(kind, word) for word in words))


def _touches(texts: Iterable[str]) -> tuple[str, ...]:
    """The resources as they are kept: of ``git`` and ``git:shared``, the stricter one."""
    needs: dict[str, bool] = {}
    for need in map(resources.parse, texts):
        needs[need.resource] = need.shared and needs.get(need.resource, True)
    return tuple(name + resources.SHARED if shared else name for name, shared in needs.items())


def _new_id(tx: Transaction[State], parent: str | None, name: str | None) -> str:
    state = tx.state

    def is_taken(task_id: str) -> bool:
        return task_id in state.tasks or task_id in state.tasks.archived

    if parent is None and name is not None:
        raise UsageError("A name needs a parent: together they make the id")
    if parent is None:
        return new_id(tx)
    above = find_live(state, parent).id
    if name is not None:
        return check_new_id(state, f"{above}.{names.name('task', name)}")
    number = len(state.tasks.children.get(above, ())) + 1
    while is_taken(new := f"{above}.{number}"):
        number += 1
    return names.name("task", new)


def _gate(state: State, task_id: str, text: str) -> Gate:
    how, _, of = text.partition(":")
    if how not in ("all", "any"):
        raise UsageError(
            f"{text!a} is nothing to wait for", hint="Write all, any, all:ID or any:ID."
        )
    return Gate(how, find_live(state, of).id if of else task_id)


def _commit(text: str) -> str:
    if not re.fullmatch(r"[0-9a-fA-F]{4,64}", text):
        raise UsageError(f"{text!a} is no commit", hint="Give 4 to 64 hex digits.")
    return text.lower()
