"""The blockers of a task, as pure functions of the state.

A task is blocked by its needs that are not done, by a gate (children that it waits for), by its signals,
and by every parent that is still open and is itself blocked or waits.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Literal

import msgspec

from orchestrator.core import clock
from orchestrator.core.printable import first_of, one_line
from orchestrator.domain.state import State
from orchestrator.domain.tasks.derived import progress_of
from orchestrator.domain.tasks.records import ENDED, HELD, Task
from orchestrator.domain.tasks.relations import NO_CHILDREN, EdgeKind, Gate, Signal
from orchestrator.domain.tasks.stages import open_parts, stage_of
from orchestrator.domain.tasks.transitions import way_on

SHOWN = 200
"""The largest length of a reason in a sentence about another task."""

NAMED = 5
"""How many tasks a sentence names."""

REASONS = 5
"""How many reasons why a task waits are given."""

WAYS = 3
"""How many commands are named for a blocked task."""


class Blocker(msgspec.Struct, frozen=True, kw_only=True):
    """One reason why a task cannot be taken.

    Attributes:
        task: The other task, if another one is the reason.
        says: The reason in words.
        command: The command that removes the reason, if there is one.
    """

    kind: Literal[
        "blocked",
        "workstream",
        "deferred",
        "need",
        "failure",
        "children",
        "parts",
        "signal",
        "parent",
        "failed",
    ]
    task: str | None
    says: str
    command: str = ""


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """A link of the graph: ``task`` needs, is a part of, waits for, is related to ``other``."""

    task: str
    kind: EdgeKind
    other: str


# Blockers


def blockers(state: State, task: Task, now: str) -> Iterator[Blocker]:
    """All blockers of a task, its own first."""
    yield from _own_reasons(state, task, now)
    for need in task.needs:
        if not state.tasks.is_done(need):
            says = f"needs {need}, which is {_standing(state, need, now)}"
            way = way_out(state, task, need)
            yield Blocker(kind="need", task=need, says=says, command=way)
    for need in open_failures(state, task):
        says = f"needs the failure of {need}, which is {_standing(state, need, now)}"
        yield Blocker(kind="failure", task=need, says=says, command=way_to_fail(state, task, need))
    if task.waiting and task.gate is not None:
        yield Blocker(kind="children", task=task.gate.of, says=gate_text(state, task.gate))
    is_said = task.waiting and task.gate is not None and task.gate.of == task.id
    if not is_said and (parts := open_parts(state, task)):
        yield Blocker(kind="parts", task=None, says=f"has open parts: {titled(state, parts)}")
    for parent in ancestors(state, task.parent):
        for reason in islice(_reasons_for_parts(state, parent, now), 1):
            says = f"its parent {parent.id} {reason.says}"
            yield msgspec.structs.replace(reason, kind="parent", task=parent.id, says=says)


def _standing(state: State, task: str, now: str) -> str:
    """The stage of a task; of an archived one, how it ended."""
    live = state.tasks.get(task)
    return state.tasks.status_of(task) if live is None else stage_of(state, live, now)


def _own_reasons(state: State, task: Task, now: str) -> Iterator[Blocker]:
    """The blockers of a task that are not other tasks."""
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
        says = f"put off until {clock.local_time(task.defer_until, now)}"
        yield Blocker(kind="deferred", task=None, says=says, command=f"t edit {task.id} --defer ''")
    yield from _signals(task, now)


def _reasons_for_parts(state: State, parent: Task, now: str) -> Iterator[Blocker]:
    """Yield how a parent, without its own parents, blocks its children."""
    if parent.status == "blocked":
        says = f"is {_blocked(parent).says}"
        yield msgspec.structs.replace(_blocked(parent), says=says)
    if parent.open_needs:
        needs, failures = open_needs(state, parent), open_failures(state, parent)
        ways = [way_out(state, parent, need) for need in needs]
        ways += [way_to_fail(state, parent, need) for need in failures]
        needs += failures
        way = next(filter(None, ways), "")
        says = f"waits for {', '.join(needs[:5])}"
        yield Blocker(kind="need", task=None, says=says, command=way)
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
    """Quote a text as one word of a command; empty if it cannot be one."""
    import shlex

    return shlex.quote(text) if text.isprintable() and not text.startswith("-") else ""


def ways_out(reasons: Iterable[Blocker]) -> list[str]:
    """A few distinct commands that remove some of these blockers."""
    return [*dict.fromkeys(blocker.command for blocker in reasons if blocker.command)][:WAYS]


def way_out(state: State, task: Task, need: str) -> str:
    """The command for a task whose need will not be done by working on it."""
    if need in state.tasks.archived:
        return f"t dep remove {task.id} {need}"
    other = state.tasks[need]
    return way_on(other) if other.status not in ("pending", "done", *HELD) else ""


def way_to_fail(state: State, task: Task, need: str) -> str:
    """The command for a task that needs the failure of one which ended otherwise or is blocked."""
    status = state.tasks.status_of(need)
    if status in ENDED:
        return f"t dep remove {task.id} {need} --type needs-failure-of"
    return way_out(state, task, need)


def open_failures(state: State, task: Task) -> list[str]:
    """The tasks whose failure a task needs, and that did not fail."""
    return [need for need in task.needs_failure_of if not state.tasks.has_failed(need)]


def awaited_failures(state: State, task: Task) -> list[str]:
    """The failures that a task or its parents need and that were not; none if it is begun already.

    A task with any of them is not going to be done as things stand.
    """
    if task.status in ("in_progress", "in_review"):
        return []
    tasks = (task, *ancestors(state, task.parent))
    return [need for each in tasks for need in open_failures(state, each)]


def open_needs(state: State, task: Task) -> list[str]:
    """The needs of a task that are not done."""
    return [need for need in task.needs if not state.tasks.is_done(need)]


def ended_needs(state: State, tasks: Iterable[Task]) -> dict[str, list[Task]]:
    """The ended tasks that keep other tasks from starting, each with the tasks that it keeps back.

    A failed or cancelled task keeps back the tasks that need it done. A cancelled task also keeps back the
    tasks that need its failure.
    """
    users: dict[str, list[Task]] = {}
    for task in tasks:
        needs = dict.fromkeys((*task.needs, *task.needs_failure_of)) if task.open_needs else ()
        for need in needs:
            status = state.tasks.status_of(need)
            if status == "cancelled" or (status == "failed" and need in task.needs):
                users.setdefault(need, []).append(task)
    return users


def titled(state: State, tasks: Sequence[str]) -> str:
    """Name tasks with their titles, a few of them."""
    live = state.tasks.tasks

    def text(task: str) -> str:
        return f"{task} ({one_line(live[task].title, SHOWN) if task in live else 'archived'})"

    return first_of(tasks, NAMED, text)


def ancestors(state: State, parent: str | None) -> Iterator[Task]:
    """Yield a parent, its parent and so on, as long as they are open: an ended one blocks nothing."""
    while parent is not None and parent in state.tasks:
        record = state.tasks[parent]
        if record.status in ENDED:
            return
        yield record
        parent = record.parent


def gate_text(state: State, gate: Gate) -> str:
    """Describe what a closed gate waits for."""
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
    "human": "a person's answer",
    "event": "an event of the type",
    "mail": "mail with the subject",
    "timer": "a time that begins when nothing else keeps it back",
    "condition": "the condition",
}


def _signal_text(signal: Signal, now: str) -> str:
    what = _SIGNALS.get(signal.kind, one_line(signal.kind, SHOWN))
    says = f"waits for {what}: {one_line(signal.name, SHOWN)}"
    overdue = signal.kind != "timer" and signal.until and signal.until <= now
    return f"{says} (overdue since {clock.local_time(signal.until, now)})" if overdue else says


def edges_of(task: Task) -> Iterator[Edge]:
    """The links that a task has to others."""
    for need in task.needs:
        yield Edge(task=task.id, kind="needs", other=need)
    for need in task.needs_failure_of:
        yield Edge(task=task.id, kind="needs-failure-of", other=need)
    if task.parent is not None:
        yield Edge(task=task.id, kind="parent", other=task.parent)
    if task.gate is not None:
        yield Edge(task=task.id, kind="waits-for", other=task.gate.of)
    for link in task.links:
        yield Edge(task=task.id, kind=link.kind, other=link.task)
