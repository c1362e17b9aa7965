"""Tasks: every step of their life, who may take it, and what they wait for.

A claim is a lease: it ends by itself. The record and the events are in
:mod:`orchestrator.domain.task_events`.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from orchestrator.core import clock, names
from orchestrator.core.errors import NotFound, Refused, UsageError
from orchestrator.core.events import Recorded, decode
from orchestrator.core.transaction import SYSTEM, Committed, Noun, Transaction, command
from orchestrator.domain import resources, workstreams
from orchestrator.domain.checks import needed, priority_of, text_of, title_of
from orchestrator.domain.schedule import Hold
from orchestrator.domain.task_events import (
    DEFAULT_LEASE,
    ENDED,
    STATUSES,
    Task,
    TaskAdded,
    TaskArchived,
    TaskBlocked,
    TaskCancelled,
    TaskClaimed,
    TaskCompleted,
    TaskEdited,
    TaskEvent,
    TaskFailed,
    TaskLapsed,
    TaskNoted,
    TaskReleased,
    TaskRenewed,
    TaskReopened,
    TaskUnblocked,
)
from orchestrator.domain.waiting import wait_for

if TYPE_CHECKING:
    from orchestrator.domain.state import State

STEPS: dict[str, tuple[str, ...]] = {
    "claim": ("pending",),
    "renew": ("in_progress",),
    "complete": ("in_progress",),
    "fail": ("in_progress",),
    "release": ("in_progress",),
    "block": ("pending", "in_progress"),
    "unblock": ("blocked",),
    "cancel": ("pending", "in_progress", "blocked"),
    "reopen": ("done", "failed", "cancelled"),
    "archive": ("done", "failed", "cancelled"),
}
"""From which statuses each step may be taken. Editing and notes are always possible."""

# Results of commands


def the_task(state: "State", events: Committed) -> Task:
    """The task that the command was about, as the commit left it."""
    return state.tasks[_subject(events)]


def the_claimed_task(state: "State", events: Committed) -> Task | None:
    """The task that was claimed, or None if there was nothing to claim."""
    claims = (event.task for _, event in events if isinstance(event, TaskClaimed))
    return next((state.tasks[task] for task in claims), None)


def the_archived_tasks(state: "State", events: Committed) -> list[Task]:
    """The records of the tasks that were archived."""
    return [event.record for _, event in events if isinstance(event, TaskArchived)]


def _subject(events: Committed) -> str:
    for _, about in events:
        if isinstance(about, TaskAdded) or (
            isinstance(about, TaskEvent) and not isinstance(about, TaskRenewed)
        ):
            return about.task
    renewed = events[0][1]
    assert isinstance(renewed, TaskRenewed)
    return renewed.task


# Finding


def resolve(state: "State", text: str) -> str:
    """The id of the task, archived or not, that a text means.

    An exact id wins; else a prefix of 3 or more digits that only one undotted id has; ``PREFIX.name``
    stands for a child of that task.

    Raises:
        NotFound: No task is meant.
        Refused: The prefix fits more than one.
    """
    if text in state.tasks or text in state.archived:
        return text
    head, dot, tail = text.partition(".")
    fits: list[str] = []
    if len(head) >= 3:
        for ids in (state.tasks, state.archived):
            fits += [i for i in ids if i.startswith(head) and "." not in i]
    if len(fits) > 1:
        raise Refused(
            f"{head!a} fits {len(fits)} tasks: {', '.join(sorted(fits)[:5])}",
            code="ambiguous_id",
            hint="Give more digits of the id.",
        )
    found = fits[0] + dot + tail if fits else ""
    if found in state.tasks or found in state.archived:
        return found
    raise NotFound(
        f"There is no task {text!a}",
        code="task_not_found",
        hint="`t list` shows the tasks of a workstream with their ids.",
    )


def find(state: "State", text: str) -> Task:
    """The live task that a text means; see :func:`resolve`.

    Raises:
        Refused: It is archived.
    """
    task_id = resolve(state, text)
    if task_id in state.archived:
        raise Refused(
            f"Task {task_id} is archived",
            code="archived",
            hint="`t show` still shows it; add a new task to go on.",
        )
    return state.tasks[task_id]


def check_step(task: Task, step: str) -> None:
    """Refuse a step that the task's status does not allow, and name those that it does.

    Raises:
        Refused: Not from this status.
    """
    if task.status in STEPS[step]:
        return
    allowed = [name for name, statuses in STEPS.items() if task.status in statuses]
    holder = f" with {task.assigned_to}" if task.status == "in_progress" else ""
    raise Refused(
        f"Task {task.id} is {task.status}{holder}: `{step}` is not possible",
        code="already_claimed"
        if (step, task.status) == ("claim", "in_progress")
        else "illegal_step",
        hint=f"From {task.status} it can: {', '.join(allowed)}.",
        status=task.status,
        allowed=allowed,
        assigned_to=task.assigned_to,
    )


def _held(
    tx: "Transaction[State]", text: str, step: str, agent: str | None, token: int | None
) -> Task:
    """The task for a step that only its holder may take; without a name the holder acts.

    Raises:
        Refused: Somebody else holds it, or the token is of an older claim.
    """
    task = find(tx.state, text)
    actor = tx.act_as(agent)
    if token is not None and task.token != token:
        raise _not_held(task, f"The claim with token {token} has ended")
    check_step(task, step)
    if actor not in (SYSTEM, task.assigned_to):
        raise _not_held(task, f"{actor} does not hold task {task.id}")
    tx.act_as(task.assigned_to)
    return task


def _not_held(task: Task, what: str) -> Refused:
    now = (
        f"{task.assigned_to} has it now" if task.status == "in_progress" else f"it is {task.status}"
    )
    return Refused(
        f"{what}: {now}",
        code="not_holder",
        hint="Take other work with `t next`; a note can carry over what you found: `t note`.",
        assigned_to=task.assigned_to,
        status=task.status,
        token=task.token,
    )


class Tasks(Noun["State"]):
    """``orc.tasks``: every step of a task's life, and the queries about tasks."""

    @command(the_task)
    def add(
        self,
        tx: "Transaction[State]",
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
            parent: A task whose id, with ``.name`` added, becomes the id.
            name: The last part of the id of a child; only with ``parent``.
            agent: Who adds it.

        Raises:
            NotFound: The workstream or a need does not exist.
            Refused: The workstream is closed, or the id of the child was used before.
        """
        tx.act_as(agent)
        if workstreams.find(tx.state, workstream).status != "active":
            raise Refused(
                f"Workstream {workstream} is closed",
                code="workstream_closed",
                hint="`ws reopen` makes it active again.",
            )
        tx.record(
            TaskAdded(
                task=_new_id(tx, parent, name),
                workstream=workstream,
                title=title_of(title),
                description=text_of("description", description),
                type=names.name("task type", type),
                priority=priority_of(priority),
                labels=_words("label", labels),
                acceptance=text_of("acceptance", acceptance),
                estimate=_minutes(estimate),
                needs=tuple(dict.fromkeys(resolve(tx.state, need) for need in needs)),
                touches=_touches(touches),
            )
        )

    @command(the_task)
    def edit(
        self,
        tx: "Transaction[State]",
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
        agent: str | None = None,
    ) -> None:
        """Change fields of a task; None leaves a field as it is, an empty list clears it.

        Raises:
            Refused: The new needs would close a circle.
        """
        tx.act_as(agent)
        old = find(tx.state, task)
        ids = None if needs is None else _checked_needs(tx.state, old.id, needs)
        tx.record(
            TaskEdited(
                task=old.id,
                title=_given(title, title_of),
                description=_given(description, lambda text: text_of("description", text)),
                type=_given(type, lambda text: names.name("task type", text)),
                priority=_given(priority, priority_of),
                labels=_given(labels, lambda words: _words("label", words)),
                acceptance=_given(acceptance, lambda text: text_of("acceptance", text)),
                estimate=_given(estimate, _minutes),
                needs=UNSET if ids is None else ids,
                touches=_given(touches, _touches),
            )
        )

    @command(the_task)
    def claim(
        self,
        tx: "Transaction[State]",
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
            Refused: It is not pending, waits for other tasks, or touches what somebody holds.
        """
        actor = tx.act_as(agent, needed=True)
        found = find(tx.state, task)
        if not found.has_lapsed(tx.now):
            check_step(found, "claim")
        _check_free(tx.state, found, actor, tx.now)
        if workstreams.find(tx.state, found.workstream).status != "active":
            raise Refused(f"Workstream {found.workstream} is closed", code="workstream_closed")
        _claim(tx, found, lease)

    def next(
        self,
        workstream: str | None = None,
        *,
        agent: str | None = None,
        lease: float | str | None = None,
        wait: float | str = 0,
    ) -> Task | None:
        """Claim the task to do next: by workstream priority, task priority, age.

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
        tx: "Transaction[State]",
        workstream: str | None,
        *,
        agent: str | None,
        lease: float | str | None,
    ) -> None:
        actor = tx.act_as(agent, needed=True)
        if workstream is not None:
            workstreams.find(tx.state, workstream)
        found = tx.state.schedule.best(workstream, actor, tx.now)
        if found is not None:
            _claim(tx, found, lease)

    @command(the_task)
    def renew(
        self,
        tx: "Transaction[State]",
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
            tx.record(held.renewal(tx.now))
        else:
            length = _lease(lease)
            tx.record(TaskRenewed(task=held.id, until=tx.later(length), lease=length))

    @command(the_task)
    def complete(
        self,
        tx: "Transaction[State]",
        task: str,
        *,
        result: str | None = None,
        agent: str | None = None,
        token: int | None = None,
    ) -> None:
        """Say that a task is done.

        Args:
            task: Its id or a prefix.
            result: What came out, for whoever needs it next.
            agent: Who did it; without a name, its holder.
            token: The fencing token of the claim; an older one is refused.

        Raises:
            Refused: It is not in progress, or somebody else has it now.
        """
        held = _held(tx, task, "complete", agent, token)
        checked = None if result is None else text_of("result", result)
        tx.record(TaskCompleted(task=held.id, result=checked))

    @command(the_task)
    def fail(
        self,
        tx: "Transaction[State]",
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
        tx.record(TaskFailed(task=held.id, reason=text_of("reason", reason)))

    @command(the_task)
    def release(
        self,
        tx: "Transaction[State]",
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
        tx.record(TaskReleased(task=held.id, reason=text_of("reason", reason)))

    @command(the_task)
    def block(
        self, tx: "Transaction[State]", task: str, *, reason: str, agent: str | None = None
    ) -> None:
        """Set a task aside because of something outside the board; its lease ends.

        Raises:
            Refused: It has ended or is blocked.
        """
        tx.act_as(agent)
        found = find(tx.state, task)
        check_step(found, "block")
        tx.record(TaskBlocked(task=found.id, reason=needed("reason", reason)))

    @command(the_task)
    def unblock(self, tx: "Transaction[State]", task: str, *, agent: str | None = None) -> None:
        """Make a blocked task pending again.

        Raises:
            Refused: It is not blocked.
        """
        tx.act_as(agent)
        found = find(tx.state, task)
        check_step(found, "unblock")
        tx.record(TaskUnblocked(task=found.id))

    @command(the_task)
    def cancel(
        self, tx: "Transaction[State]", task: str, *, reason: str = "", agent: str | None = None
    ) -> None:
        """End a task that is not wanted any more; its dependants keep waiting.

        Raises:
            Refused: It has ended.
        """
        tx.act_as(agent)
        found = find(tx.state, task)
        check_step(found, "cancel")
        tx.record(TaskCancelled(task=found.id, reason=text_of("reason", reason)))

    @command(the_task)
    def reopen(
        self, tx: "Transaction[State]", task: str, *, reason: str = "", agent: str | None = None
    ) -> None:
        """Make an ended task pending again; its result is cleared (the log keeps it).

        Raises:
            Refused: It has not ended.
        """
        tx.act_as(agent)
        found = find(tx.state, task)
        check_step(found, "reopen")
        tx.record(TaskReopened(task=found.id, reason=text_of("reason", reason)))

    @command(the_task)
    def note(
        self, tx: "Transaction[State]", task: str, text: str, *, agent: str | None = None
    ) -> None:
        """Append a note to a task."""
        tx.act_as(agent)
        found = find(tx.state, task)
        tx.record(TaskNoted(task=found.id, text=needed("note", text)))

    @command(the_archived_tasks)
    def archive(
        self,
        tx: "Transaction[State]",
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
        chosen = [find(tx.state, task) for task in tasks]
        for task in chosen:
            check_step(task, "archive")
        if older_than is not None:
            limit = tx.later(-clock.duration(older_than))
            chosen += [
                task
                for task in tx.state.tasks.values()
                if task.status in ENDED and (task.ended_at or task.updated_at) <= limit
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
        archived = state.archived.get(task_id)
        if archived is None:
            return state.tasks[task_id]
        event = decode(self._desk.event(archived.event))
        assert isinstance(event, TaskArchived)
        return event.record

    def history(self, task: str) -> list[Recorded]:
        """The events of a task, oldest first."""
        return [self._desk.event(number) for number in self.get(task).events]

    def needed_by(self, task: str) -> list[Task]:
        """The tasks that need this one."""
        state = self.state
        dependants = state.needed_by.get(resolve(state, task), ())
        return [state.tasks[dependant] for dependant in dependants]

    def all(
        self,
        workstream: str | None = None,
        *,
        status: Iterable[str] = (),
        agent: str | None = None,
        labels: Iterable[str] = (),
        type: str | None = None,
        ready: bool = False,
    ) -> list[Task]:
        """The tasks that pass every filter, in the order they were added.

        Args:
            workstream: Only of this stream.
            status: Only of these statuses.
            agent: Only those it holds or held last.
            labels: Only those with all of these labels.
            type: Only of this type.
            ready: Only those that can be claimed: pending, and everything they need is done.
        """
        state = self.state
        if workstream is not None:
            workstreams.find(state, workstream)
        wanted, words = set(status), set(labels)
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
            and (type is None or task.type == type)
            and (not ready or task.is_ready)
        ]


# Parts of commands


def _claim(tx: "Transaction[State]", task: Task, lease: float | str | None) -> None:
    if task.status == "in_progress":
        tx.record(TaskLapsed(task=task.id, holder=task.assigned_to or SYSTEM))
    length = DEFAULT_LEASE if lease is None else _lease(lease)
    tx.record(TaskClaimed(task=task.id, lease=length, until=tx.later(length)))


def _check_free(state: "State", task: Task, agent: str, now: str) -> None:
    if task.open_needs:
        waiting = [need for need in task.needs if not state.is_done(need)]
        raise Refused(
            f"Task {task.id} waits for {', '.join(waiting[:5])}",
            code="not_ready",
            hint="Those must be done first: `t show` tells where they stand.",
            needs=waiting,
        )
    if blockers := state.schedule.task_collisions(task, agent, now):
        raise _collision(task, blockers[0])


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


def _new_id(tx: "Transaction[State]", parent: str | None, name: str | None) -> str:
    state = tx.state
    if parent is not None and name is not None:
        new = names.name("task", f"{resolve(state, parent)}.{names.name('task', name)}")
        if new in state.tasks or new in state.archived:
            raise Refused(f"There is or was a task {new}", code="task_exists")
        return new
    if parent is not None or name is not None:
        raise UsageError("A child needs both its parent and its name")
    while (new := tx.random_id()) in state.tasks or new in state.archived:
        pass
    return new


def _checked_needs(state: "State", task: str, needs: Iterable[str]) -> tuple[str, ...]:
    """The ids of new needs, refused if they would close a circle."""
    ids = tuple(dict.fromkeys(resolve(state, need) for need in needs))
    came_from: dict[str, str] = dict.fromkeys(ids, task)
    waiting = list(ids)
    while waiting:
        current = waiting.pop()
        if current == task:
            raise _circle(task, came_from)
        for need in state.tasks[current].needs if current in state.tasks else ():
            if need not in came_from:
                came_from[need] = current
                waiting.append(need)
    return ids


def _circle(task: str, came_from: dict[str, str]) -> Refused:
    circle = [task, came_from[task]]
    while circle[-1] != task:
        circle.append(came_from[circle[-1]])
    shown = " -> ".join(reversed(circle))
    return Refused(f"These needs would close a circle: {shown}", code="circle", circle=circle[::-1])
