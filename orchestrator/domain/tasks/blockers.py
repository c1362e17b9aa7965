"""The work graph, as pure functions of the state: what keeps a task back, its links, and circles.

A task is kept back by its needs that are not done, by a gate (children that it waits for), and by every
parent that is still open and is itself blocked or waits for a need. Circles among these are refused when
they are written, whatever the status of their tasks (an ended one may be reopened), so something can
always go on. To wait for any child counts here as to wait for all.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import msgspec

from orchestrator.core.errors import Refused
from orchestrator.core.printable import one_line
from orchestrator.domain.state import State
from orchestrator.domain.tasks.derived import progress_of
from orchestrator.domain.tasks.lookup import (
    resolve,
)
from orchestrator.domain.tasks.records import ENDED, NO_CHILDREN, Gate, Signal, Task

SHOWN = 200
"""Characters of a reason that a sentence about another task carries."""

WAYS = 3
"""Commands that are named for a task that is kept back."""


class Blocker(msgspec.Struct, frozen=True, kw_only=True):
    """One reason why a task cannot be taken.

    ``kind`` is blocked, workstream, deferred, need, children, signal or parent; ``task`` is the other task,
    if it is one; ``says`` is for people; ``command`` takes it away, if a command of the line does.
    """

    kind: str
    task: str | None
    says: str
    command: str = ""


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """A link of the graph: ``task`` needs, is a part of, waits for, is related to ``other``."""

    task: str
    kind: str
    other: str


# What keeps a task back


def blockers(state: State, task: Task, now: str) -> Iterator[Blocker]:
    """Everything that keeps a task back, its own reasons first."""
    yield from _own_reasons(state, task, now)
    for need in task.needs:
        if not state.tasks.is_done(need):
            says = f"needs {need}, which is {state.tasks.status_of(need)}"
            way_out = _way_out(state, task, need)
            yield Blocker(kind="need", task=need, says=says, command=way_out)
    if task.waiting and task.gate is not None:
        yield Blocker(kind="children", task=task.gate.of, says=_gate_text(state, task.gate))
    for parent in ancestors(state, task.parent):
        for does in islice(_what_keeps_parts(state, parent, now), 1):
            says = f"its parent {parent.id} {does.says}"
            yield msgspec.structs.replace(does, kind="parent", task=parent.id, says=says)


def _own_reasons(state: State, task: Task, now: str) -> Iterator[Blocker]:
    """What keeps a task back that is no other task."""
    if task.status == "blocked":
        yield _blocked(task)
    if state.workstreams[task.workstream].status != "active":
        yield Blocker(
            kind="workstream",
            task=None,
            says=f"its workstream {task.workstream} is closed",
            command=f"ws reopen {task.workstream}",
        )
    if task.defer_until > now:
        says = f"put off until {task.defer_until}"
        yield Blocker(kind="deferred", task=None, says=says, command=f"t edit {task.id} --defer ''")
    yield from _signals(task, now)


def _what_keeps_parts(state: State, parent: Task, now: str) -> Iterator[Blocker]:
    """What a parent keeps its parts back by, beside parents of its own: each says what the parent does."""
    if parent.status == "blocked":
        says = f"is {_blocked(parent).says}"
        yield msgspec.structs.replace(_blocked(parent), says=says)
    if parent.open_needs:
        needs = open_needs(state, parent)
        way_out = next(filter(None, (_way_out(state, parent, need) for need in needs)), "")
        says = f"waits for {', '.join(needs[:5])}"
        yield Blocker(kind="need", task=None, says=says, command=way_out)
    yield from _signals(parent, now)


def _blocked(task: Task) -> Blocker:
    says = f"blocked: {one_line(task.reason, SHOWN)}"
    return Blocker(kind="blocked", task=None, says=says, command=f"t unblock {task.id}")


def _signals(task: Task, now: str) -> Iterator[Blocker]:
    awaited = [signal for signal in task.signals if not signal.given_at]
    for signal in awaited:
        command = f"t signal {task.id}"
        if len(awaited) > 1:
            word = _word(signal.name) or _word(signal.kind)
            command = f"{command} {word}" if word else ""
        if signal.kind == "timer":
            command = ""
        yield Blocker(kind="signal", task=None, says=_signal_text(signal, now), command=command)


def _word(text: str) -> str:
    """A text of others as one word of a command, safe to show and to run; empty if it can be none."""
    import shlex

    return shlex.quote(text) if text.isprintable() and not text.startswith("-") else ""


def ways_out(found: Iterable[Blocker]) -> list[str]:
    """The commands that take some of these reasons away, a few of them, each once."""
    return [*dict.fromkeys(blocker.command for blocker in found if blocker.command)][:WAYS]


_WAYS_OUT = {
    "failed": "t reopen",
    "cancelled": "t reopen",
    "in_review": "t approve",
    "blocked": "t unblock",
}


def _way_out(state: State, task: Task, need: str) -> str:
    """The command that lets a task go on whose need does not go on by being worked on."""
    if need in state.tasks.archived:
        return f"t dep remove {task.id} {need}"
    way = _WAYS_OUT.get(state.tasks[need].status)
    return f"{way} {need}" if way else ""


def open_needs(state: State, task: Task) -> list[str]:
    """The needs of a task that are not done."""
    return [need for need in task.needs if not state.tasks.is_done(need)]


def ancestors(state: State, parent: str | None) -> Iterator[Task]:
    """A parent, its parent and so on, as long as they are open: an ended one keeps nothing back."""
    while parent is not None and parent in state.tasks:
        record = state.tasks[parent]
        if record.status in ENDED:
            return
        yield record
        parent = record.parent


def is_offered(state: State, task: Task, now: str) -> bool:
    """Whether anybody may take a task now: nothing keeps it back, and nobody has it."""
    return task.can_be_taken(now) and state.workstreams[task.workstream].status == "active"


def is_kept_back(state: State, task: Task, now: str) -> bool:
    """Whether nobody has a task, and yet nobody may take it."""
    idle = task.status in ("pending", "blocked") or task.has_lapsed(now)
    return idle and not is_offered(state, task, now)


def _gate_text(state: State, gate: Gate) -> str:
    progress = progress_of(state, gate.of) or NO_CHILDREN
    wanted = progress.total - progress.cancelled
    if not progress.total:
        return f"waits for children of {gate.of}, which has none yet"
    if not wanted:
        return f"waits for children of {gate.of}, which are all cancelled"
    if gate.how == "any":
        return f"waits for one of the children of {gate.of}: none of {wanted} is done"
    return f"waits for the children of {gate.of}: {progress.done} of {wanted} are done"


_SIGNALS = {
    "human": "somebody's word",
    "event": "an event of the type",
    "mail": "mail with the subject",
    "timer": "a time that begins when nothing else keeps it back",
    "condition": "the condition",
}


def _signal_text(signal: Signal, now: str) -> str:
    what = _SIGNALS.get(signal.kind, one_line(signal.kind, SHOWN))
    says = f"waits for {what}: {one_line(signal.name, SHOWN)}"
    overdue = signal.kind != "timer" and signal.until and signal.until <= now
    return f"{says} (overdue since {signal.until})" if overdue else says


# Circles


def needs_of(state: State, needs: Iterable[str]) -> tuple[str, ...]:
    """The ids of the tasks that are meant, archived or not, each once."""
    return tuple(dict.fromkeys(resolve(state, need) for need in needs))


def check_no_circle(state: State, task: Task) -> None:
    """Refuse a record whose task would wait for itself; it may be new or replace the one there is.

    A task waits for its needs, for those of every parent, and for the children behind its gate. Its own
    needs keep its children back too, so they may not lead back to any task below it.

    Raises:
        Refused: With the tasks of the circle in order.
    """
    if (
        task.id not in state.tasks
        and task.gate is None
        and task.parent not in state.tasks.awaited_by
    ):
        return  # nobody can wait for a task that is new, unless its parent's children are awaited
    if task.needs or task.parent is not None or task.gate is not None:
        _Circles(state, task).check()


class _Circles:
    """The graph as it would be with one record in place."""

    def __init__(self, state: State, task: Task) -> None:
        self.state = state
        self.task = task

    def check(self) -> None:
        task = self.task
        above = list(self._above(task.id))
        if task.id in above[1:]:
            raise _circle(above, "The parents")
        needs = [need for one in above for need in self._record(one).needs]
        self._search(needs, lambda found: task.id in self._above(found))
        if task.gate is not None:
            self._search(self._children(task.gate.of), lambda found: found == task.id)

    def _search(self, starts: Iterable[str], is_back: Callable[[str], bool]) -> None:
        came_from: dict[str, str] = dict.fromkeys(starts, self.task.id)
        waiting = list(came_from)
        while waiting:
            current = waiting.pop()
            if is_back(current):
                raise _circle(self._way(current, came_from), "These links")
            for need in self._waits_for(current):
                if need not in came_from:
                    came_from[need] = current
                    waiting.append(need)

    def _way(self, end: str, came_from: dict[str, str]) -> list[str]:
        way = [end]
        while way[-1] != self.task.id or len(way) == 1:
            way.append(came_from[way[-1]])
        way.reverse()
        return way if way[-1] == self.task.id else [*way, self.task.id]

    def _waits_for(self, task_id: str) -> Iterator[str]:
        for one in self._above(task_id):
            yield from self._record(one).needs
        record = self._find(task_id)
        if record is not None and record.gate is not None:
            yield from self._children(record.gate.of)

    def _above(self, task_id: str) -> Iterator[str]:
        """A task and its live parents."""
        seen: set[str] = set()
        record = self._find(task_id)
        while record is not None:
            yield record.id
            if record.id in seen or record.parent is None:
                return
            seen.add(record.id)
            record = self._find(record.parent)

    def _children(self, task_id: str) -> Iterator[str]:
        children = self.state.tasks.children.get(task_id, ())
        yield from (child for child in children if child != self.task.id)
        if self.task.parent == task_id:
            yield self.task.id

    def _find(self, task_id: str) -> Task | None:
        return self.task if task_id == self.task.id else self.state.tasks.get(task_id)

    def _record(self, task_id: str) -> Task:
        record = self._find(task_id)
        assert record is not None
        return record


def _circle(circle: list[str], what: str) -> Refused:
    shown = " -> ".join(circle)
    return Refused(
        f"{what} would close a circle: {shown}",
        code="circle",
        hint="`t dep tree` shows what waits for what.",
        circle=circle,
    )


# Parts


def edges_of(task: Task) -> Iterator[Edge]:
    """The links that a task has to others."""
    for need in task.needs:
        yield Edge(task=task.id, kind="needs", other=need)
    if task.parent is not None:
        yield Edge(task=task.id, kind="parent", other=task.parent)
    if task.gate is not None:
        yield Edge(task=task.id, kind="waits-for", other=task.gate.of)
    for link in task.links:
        yield Edge(task=task.id, kind=link.kind, other=link.task)
