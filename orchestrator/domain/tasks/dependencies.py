"""Links between tasks, blocking or not, and the views along them.

The effects of links are in :mod:`orchestrator.domain.tasks.blockers`.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from orchestrator.core import clock
from orchestrator.core.errors import NotFound, UsageError
from orchestrator.core.multimap import multimap
from orchestrator.core.transaction import Noun, Transaction, command
from orchestrator.domain.agents.identity import act_in_session
from orchestrator.domain.state import State
from orchestrator.domain.tasks.blockers import Blocker, Edge, ancestors, blockers, edges_of
from orchestrator.domain.tasks.circles import check_no_circle
from orchestrator.domain.tasks.edit_events import TaskEdited
from orchestrator.domain.tasks.events import cancelled
from orchestrator.domain.tasks.judged import change_facts, drop_part
from orchestrator.domain.tasks.lookup import changed_task, find_live, resolve, resolve_ever
from orchestrator.domain.tasks.records import ENDED, Task, TaskStatus
from orchestrator.domain.tasks.relations import BLOCKING, KINDS, EdgeKind, Gate, Link, LinkKind
from orchestrator.domain.tasks.stages import is_kept_back
from orchestrator.domain.tasks.transitions import check_transition
from orchestrator.domain.validation import check_line

_FIELDS = {
    "needs": "needs",
    "needs-failure-of": "needs_failure_of",
    "parent": "parent",
    "waits-for": "gate",
}
"""The facts that hold links which can block."""


class Blocked(msgspec.Struct, frozen=True, kw_only=True):
    """A blocked task with all its blockers."""

    task: Task
    by: tuple[Blocker, ...]


class Graph(msgspec.Struct, frozen=True, kw_only=True):
    """Tasks and the links among them."""

    tasks: list[Task]
    edges: list[Edge]


class Branch(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a tree of dependencies.

    ``depth`` is 0 at the root; ``kind`` says what it is to the line above it that is one less deep;
    ``repeated``: what is below it stands where it was shown first.
    """

    depth: int
    kind: str
    id: str
    title: str
    status: TaskStatus
    repeated: bool


class Links(Noun[State]):
    """``orc.links``: add, remove, duplicate, supersede; ready, blocked, stale, tree, graph and more."""

    @command(changed_task)
    def add(
        self,
        tx: Transaction[State],
        task: str,
        other: str,
        *,
        kind: EdgeKind = "needs",
        any: bool = False,
        reason: str = "",
        agent: str | None = None,
    ) -> Task:
        """Link a task to another one.

        Args:
            task: The one that needs, belongs, waits or is related.
            other: The one that is needed, is the parent, has the children or is related.
            kind: ``needs``, ``needs-failure-of``, ``parent``, ``waits-for`` or one of :data:`KINDS`.
            any: With ``waits-for``: one done child is enough; else all that are wanted.
            reason: Why another parent or gate is replaced; see ``remove``.
            agent: Who links them.

        Raises:
            Refused: The link would close a circle.
            UsageError: There is no such kind, or the task would be linked to itself.
        """
        act_in_session(tx, agent, task=task)
        mine = find_live(tx.state, task)
        target = resolve(tx.state, other)
        if any and kind != "waits-for":
            raise UsageError("`any` goes with waits-for only")
        changes: dict[str, Any] = {}
        if kind == "needs":
            changes["needs"] = tuple(dict.fromkeys((*mine.needs, target)))
        elif kind == "needs-failure-of":
            failures = (*mine.needs_failure_of, target)
            changes["needs_failure_of"] = tuple(dict.fromkeys(failures))
        elif kind == "parent":
            changes["parent"] = find_live(tx.state, target).id
        elif kind == "waits-for":
            changes["gate"] = Gate("any" if any else "all", find_live(tx.state, target).id)
        else:
            changes["links"] = _with(mine, Link(_link_kind(kind), _other(mine, target)))
        linked = replace(mine, **changes)
        if linked != mine:
            if kind in BLOCKING:
                check_no_circle(tx.state, mine.id, linked)
            change_facts(tx, mine, changes, reason)
        return mine

    @command(changed_task)
    def remove(
        self,
        tx: Transaction[State],
        task: str,
        other: str,
        *,
        kind: EdgeKind | None = None,
        reason: str = "",
        agent: str | None = None,
    ) -> None:
        """Remove a link of a task to another one.

        Args:
            task: The one that has the link.
            other: The other end.
            kind: Which one; needed only if there are several between the two.
            reason: Why; needed by an agent that has or had the task that would wait for the other one. It
                stands in the evidence, and the creator gets it by mail.
            agent: Who removes it.

        Raises:
            NotFound: There is no such link.
            Refused: There is no reason (``reason_needed``).
            UsageError: There are several, and no kind is named.
        """
        act_in_session(tx, agent, task=task)
        mine = find_live(tx.state, task)
        # The other task may have been removed from the board.
        is_linked = other in {edge.other for edge in edges_of(mine)}
        target = other if is_linked else resolve_ever(tx.state, other)
        kinds = {edge.kind for edge in edges_of(mine) if edge.other == target}
        if kind is not None:
            kinds.intersection_update((kind if kind in BLOCKING else _link_kind(kind),))
        if not kinds:
            raise NotFound(
                f"Task {mine.id} has no such link to {target}",
                code="link_not_found",
                hint="`t dep tree` and `t show` print the links of a task.",
            )
        if len(kinds) > 1:
            raise UsageError(
                f"Task {mine.id} has several links to {target}: {', '.join(sorted(kinds))}",
                hint="Say which kind is meant: --type.",
            )
        removed = kinds.pop()
        field = _FIELDS.get(removed, "links")
        kept = {
            "needs": tuple(need for need in mine.needs if need != target),
            "needs_failure_of": tuple(need for need in mine.needs_failure_of if need != target),
            "links": tuple(
                link for link in mine.links if (link.kind, link.task) != (removed, target)
            ),
        }
        change_facts(tx, mine, {field: kept.get(field)}, reason)

    @command(changed_task)
    def duplicate(
        self,
        tx: Transaction[State],
        task: str,
        of: str,
        *,
        reason: str = "",
        agent: str | None = None,
    ) -> Task | None:
        """End a task that repeats another one; its dependants then need the other task.

        If it was ended so before, nothing changes.

        Raises:
            Refused: It has ended, or a task that needs this one would wait for itself.
            UsageError: Both are one task.
        """
        act_in_session(tx, agent, task=task)
        mine, other = find_live(tx.state, task), find_live(tx.state, of)
        link = Link("duplicates", other.id)
        return _replace(tx, mine, other, f"duplicate of {other.id}", reason, (mine, link))

    @command(changed_task)
    def supersede(
        self,
        tx: Transaction[State],
        task: str,
        by: str,
        *,
        reason: str = "",
        agent: str | None = None,
    ) -> Task | None:
        """End a task that a better one replaces; its dependants then need the better task.

        If it was ended so before, nothing changes.

        Raises:
            Refused: It has ended, or a task that needs this one would wait for itself.
            UsageError: Both are one task.
        """
        act_in_session(tx, agent, task=task)
        mine, other = find_live(tx.state, task), find_live(tx.state, by)
        link = Link("supersedes", mine.id)
        return _replace(tx, mine, other, f"superseded by {other.id}", reason, (other, link))

    # Queries

    def ready(
        self, workstream: str | None = None, *, where: str = "", limit: int | None = None
    ) -> list[Task]:
        """Return the tasks that any agent may take now, in the order in which they are taken.

        Args:
            workstream: Only of this stream; None for all active ones.
            where: Only tasks that match this expression; see :mod:`orchestrator.domain.tasks.where`.
            limit: At most so many.
        """
        state, now = self._state, self._desk.now()
        state.workstreams.check(workstream)
        ready = state.schedule.ready(workstream, now)
        if where:
            from orchestrator.domain.tasks.selection import selection

            passes = selection(state, now, where=where)
            ready = [task for task in ready if passes(task)]
        return ready[:limit]

    def blocked(self, workstream: str | None = None) -> list[Blocked]:
        """Return the open tasks that no agent has or may take, each with its blockers.

        Args:
            workstream: Only of this stream; None for all, closed ones included.
        """
        state, now = self._state, self._desk.now()
        state.workstreams.check(workstream)
        return [
            Blocked(task=task, by=tuple(blockers(state, task, now)))
            for task in state.tasks.open()
            if workstream in (None, task.workstream) and is_kept_back(state, task, now)
        ]

    def stale(self, days: float, workstream: str | None = None) -> list[Task]:
        """Return the open tasks that did not change for so many days, longest first."""
        state, now = self._state, self._desk.now()
        state.workstreams.check(workstream)
        limit = clock.after(now, -clock.duration(f"{days:f}d"))
        stale = [
            task
            for task in state.tasks.open()
            if task.updated_at <= limit and workstream in (None, task.workstream)
        ]
        return sorted(stale, key=lambda task: task.updated_at)

    def blockers(self, task: str) -> list[Blocker]:
        """Return the current blockers of a live task."""
        state = self._state
        return list(blockers(state, find_live(state, task), self._desk.now()))

    def linked(self, task: str) -> list[Edge]:
        """Return the links of other live tasks to this one that never block."""
        state = self._state
        task_id = resolve_ever(state, task)
        others = [state.tasks[other] for other in state.tasks.linked_by.get(task_id, ())]
        return [
            Edge(task=other.id, kind=link.kind, other=task_id)
            for other in sorted(others, key=lambda other: other.events[0])
            for link in other.links
            if link.task == task_id
        ]

    def tree(self, task: str, *, up: bool = False) -> Iterator[Branch]:
        """Yield the tasks that a task waits for, its children included, and so on down; each task once.

        The lines come one by one, because chains may be as long as the board.

        Args:
            task: Its id or a prefix.
            up: What waits for it instead.
        """
        state = self._state
        below = _waiters if up else _awaited
        waiting = [(0, "", resolve(state, task))]
        shown: set[str] = set()
        while waiting:
            depth, kind, task_id = waiting.pop()
            behind = below(state, task_id)
            repeated = task_id in shown
            yield Branch(
                depth=depth,
                kind=kind,
                id=task_id,
                title=_title(state, task_id),
                status=state.tasks.status_of(task_id),
                repeated=repeated and bool(behind),
            )
            if not repeated:
                shown.add(task_id)
                waiting += [(depth + 1, how, other) for other, how in reversed(behind)]

    def graph(
        self, workstream: str | None = None, *, task: str | None = None, ended: bool = False
    ) -> Graph:
        """Return the tasks of a stream, or those connected to a task, and all links among them.

        Args:
            workstream: Only of this stream.
            task: Only what is connected with this task, over any number of links.
            ended: Also tasks that have ended.
        """
        state = self._state
        state.workstreams.check(workstream)
        start = None if task is None else find_live(state, task).id
        chosen = _connected(state, start) if start is not None else dict.fromkeys(state.tasks)
        tasks = [
            state.tasks[i]
            for i in chosen
            if workstream in (None, state.tasks[i].workstream)
            and (ended or i == start or state.tasks[i].status not in ENDED)
        ]
        shown = {task.id for task in tasks}
        edges = [edge for task in tasks for edge in edges_of(task) if edge.other in shown]
        return Graph(tasks=tasks, edges=edges)


# Parts of commands


def _replace(
    tx: Transaction[State], task: Task, other: Task, why: str, reason: str, mark: tuple[Task, Link]
) -> Task | None:
    """Cancel a task in favour of another one, which its dependants need from now on, and link the two."""
    linked, link = mark
    if task.status == "cancelled" and link in linked.links:
        return task
    _other(task, other.id)
    check_transition(task, "cancel")
    reason = check_line("reason", f"{why}: {reason}" if reason else why)
    tx.record(cancelled(task, reason))
    drop_part(tx, task, reason)
    tasks = tx.state.tasks
    for field, users in (("needs", tasks.needed_by), ("needs_failure_of", tasks.failure_needed_by)):
        for dependant in [*users.get(task.id, ())]:
            record = tasks[dependant]
            changed = (other.id if need == task.id else need for need in getattr(record, field))
            changes = {field: tuple(dict.fromkeys(changed))}
            check_no_circle(tx.state, dependant, replace(record, **changes))
            change_facts(tx, record, changes, reason)
    tx.record(TaskEdited(task=linked.id, links=_with(linked, link)))
    return None


# Parts of queries


def _awaited(state: State, task_id: str) -> list[tuple[str, str]]:
    task = state.tasks.get(task_id)
    if task is None:
        return []
    links = [(need, "needs") for need in task.needs]
    links += [(need, "needs failure of") for need in task.needs_failure_of]
    for parent in ancestors(state, task.parent):
        links += [(need, f"needed by its parent {parent.id}") for need in parent.needs]
    if task.gate is not None and task.gate.of != task_id:
        links += [(child, "awaited") for child in state.tasks.children.get(task.gate.of, ())]
    return links + [(child, "child") for child in state.tasks.children.get(task_id, ())]


def _waiters(state: State, task_id: str) -> list[tuple[str, str]]:
    task = state.tasks.get(task_id)
    links = [(dependant, "needs it") for dependant in state.tasks.needed_by.get(task_id, ())]
    failing = state.tasks.failure_needed_by.get(task_id, ())
    links += [(dependant, "needs its failure") for dependant in failing]
    if task is not None and task.parent is not None:
        links += [(waiter, "awaits it") for waiter in state.tasks.awaited_by.get(task.parent, ())]
    if task is not None and task.keeps_children:
        links += [
            (child, "child that it keeps back") for child in state.tasks.children.get(task_id, ())
        ]
    return links


def _connected(state: State, start: str) -> dict[str, None]:
    edges = [edge for task in state.tasks.values() for edge in edges_of(task)]
    forth, back = ((e.task, e.other) for e in edges), ((e.other, e.task) for e in edges)
    near = multimap((*forth, *back))
    reached = {start: None}
    order = [start]
    for current in order:
        new = [i for i in near.get(current, ()) if i in state.tasks and i not in reached]
        reached.update(dict.fromkeys(new))
        order += dict.fromkeys(new)
    return reached


def _title(state: State, task_id: str) -> str:
    task = state.tasks.get(task_id)
    return task.title if task is not None else "(archived)"


def _link_kind(kind: EdgeKind) -> LinkKind:
    if kind not in KINDS:
        raise UsageError(
            f"{kind!a} is not a kind of link", hint=f"One of {', '.join((*BLOCKING, *KINDS))}."
        )
    return kind


def _other(task: Task, other: str) -> str:
    if other == task.id:
        raise UsageError(f"Task {task.id} cannot be linked to itself")
    return other


def _with(task: Task, link: Link) -> tuple[Link, ...]:
    return tuple(dict.fromkeys((*task.links, link)))
