"""Flaws of open tasks, each with the command that corrects it."""

from collections.abc import Callable, Iterable, Iterator

import msgspec

from orchestrator.core import clock
from orchestrator.domain.state import State
from orchestrator.domain.tasks.blockers import (
    awaited_failures,
    gate_text,
    open_needs,
    way_out,
    way_to_fail,
)
from orchestrator.domain.tasks.commands import Tasks
from orchestrator.domain.tasks.records import Task
from orchestrator.domain.tasks.relations import NO_CHILDREN
from orchestrator.engine import Engine
from orchestrator.reports.similar import Words, words_of

FOR_EVER = 366 * 86400.0
"""Seconds of deferral that are a flaw."""

LONG = 14 * 86400.0
"""Seconds of a blocked task that are a flaw."""

LESS = 3
"""How much less urgent a need may be than its dependant."""


class Flaw(msgspec.Struct, frozen=True, kw_only=True):
    """A flaw of a task.

    Attributes:
        rule: The broken rule: ``no_estimate``.
        says: The flaw in words.
        command: The command that corrects it.
    """

    task: str
    title: str
    rule: str
    says: str
    command: str


Reason = tuple[str, str]
"""The flaw in words, and the command that corrects it."""

Titles = dict[tuple[str | None, Words], str]
"""The first open task of each parent and title."""

Rule = Callable[[State, Task, str], Iterator[Reason]]


def lint(engine: Engine, workstream: str | None = None, *, where: str = "") -> list[Flaw]:
    """Return what is not well with open tasks, each with the command that mends it.

    Args:
        workstream: Only of this stream.
        where: Only of tasks that pass this expression; see :mod:`orchestrator.domain.tasks.where`.
    """
    chosen = Tasks(engine).all(workstream, open=True, where=where)
    titles: Titles = {}
    for task in Tasks(engine).all(open=True):
        titles.setdefault((task.parent, words_of(task.title)), task.id)
    return [*_flaws(engine.read(), chosen, titles, engine.now())]


def _flaws(state: State, tasks: Iterable[Task], titles: Titles, now: str) -> Iterator[Flaw]:
    for task in tasks:
        of_task = {"task": task.id, "title": task.title}
        for rule in RULES:
            name = rule.__name__.removeprefix("_")
            for sentence, command in rule(state, task, now):
                yield Flaw(rule=name, says=sentence, command=command, **of_task)
        first = titles[task.parent, words_of(task.title)]
        if first != task.id:
            sentence = f"its title says the same as that of {first}"
            yield Flaw(rule="same_title", says=sentence, command=f"similar {task.id}", **of_task)


def _no_acceptance(_state: State, task: Task, _now: str) -> Iterator[Reason]:
    if not task.acceptance and task.checks is None and _is_work(task):
        yield "it does not say when it is done", f"t edit {task.id} --acceptance TEXT"


def _no_estimate(_state: State, task: Task, _now: str) -> Iterator[Reason]:
    if task.estimate is None and _is_work(task):
        yield "it has no estimate", f"t edit {task.id} --estimate 2h"


def _ended_need(state: State, task: Task, _now: str) -> Iterator[Reason]:
    for need in task.needs:
        status = state.tasks.status_of(need)
        if status in ("failed", "cancelled"):
            yield f"it needs {need}, which is {status}", way_out(state, task, need)
    for need in task.needs_failure_of:
        if state.tasks.status_of(need) == "cancelled":
            sentence = f"it needs the failure of {need}, which is cancelled"
            yield sentence, way_to_fail(state, task, need)


def _spared_need(state: State, task: Task, _now: str) -> Iterator[Reason]:
    if awaited_failures(state, task):
        return
    for need in _open_needs(state, task):
        if awaited_failures(state, need):
            sentence = f"it needs {need.id}, which is done only if another task fails"
            yield sentence, f"t dep remove {task.id} {need.id}"


def _deferred_for_ever(_state: State, task: Task, now: str) -> Iterator[Reason]:
    if task.defer_until > clock.after(now, FOR_EVER):
        yield f"it is put off until {task.defer_until[:10]}", f't defer {task.id} ""'


def _ended_parent(state: State, task: Task, _now: str) -> Iterator[Reason]:
    if task.parent is not None and task.workflow is None and not state.tasks.is_open(task.parent):
        status = state.tasks.status_of(task.parent)
        yield f"its parent {task.parent} is {status}", f't edit {task.id} --parent ""'


def _ended_parts(state: State, task: Task, _now: str) -> Iterator[Reason]:
    parts = task.progress or NO_CHILDREN
    is_idle = task.status == "pending" and task.is_clear and not task.completes_itself
    if is_idle and parts.total and not any(map(state.tasks.is_open, state.tasks.children[task.id])):
        yield f"all of its parts have ended ({parts.text})", f"t claim {task.id}"


def _no_parts(state: State, task: Task, _now: str) -> Iterator[Reason]:
    gate = task.gate
    if gate is not None and task.waiting and not state.tasks.children.get(gate.of):
        yield f"it {gate_text(state, gate)}", f't edit {task.id} --waits-for ""'


def _closed_workstream(state: State, task: Task, _now: str) -> Iterator[Reason]:
    if state.workstreams[task.workstream].status != "active":
        yield f"its workstream {task.workstream} is closed", f"ws reopen {task.workstream}"


def _blocked_for_long(_state: State, task: Task, now: str) -> Iterator[Reason]:
    if task.status == "blocked" and task.updated_at < clock.after(now, -LONG):
        yield f"it is blocked since {task.updated_at[:10]}", f"t unblock {task.id}"


def _less_urgent_need(state: State, task: Task, _now: str) -> Iterator[Reason]:
    for need in _open_needs(state, task):
        if need.priority >= task.priority + LESS:
            sentence = f"it is P{task.priority} and waits for {need.id}, which is P{need.priority}"
            yield sentence, f"t edit {need.id} --priority {task.priority}"


def _later_need(state: State, task: Task, _now: str) -> Iterator[Reason]:
    for need in _open_needs(state, task):
        if task.due and need.due > task.due:
            sentence = f"it is due before {need.id}, which it needs"
            yield sentence, f"t edit {need.id} --due {task.due}"


def _untrusted(_state: State, task: Task, _now: str) -> Iterator[Reason]:
    if task.checks is not None and task.checks.are_inert:
        yield "its commands came by import and are not trusted", f"t trust {task.id}"


RULES: tuple[Rule, ...] = (
    _ended_need,
    _spared_need,
    _ended_parent,
    _ended_parts,
    _no_parts,
    _closed_workstream,
    _blocked_for_long,
    _deferred_for_ever,
    _untrusted,
    _later_need,
    _less_urgent_need,
    _no_acceptance,
    _no_estimate,
)
"""The rules for open tasks; rules about blocked work come first."""


def _is_work(task: Task) -> bool:
    """Whether an agent does the task itself: it has no parts and is no milestone."""
    return task.progress is None and not task.completes_itself


def _open_needs(state: State, task: Task) -> Iterator[Task]:
    return (state.tasks[need] for need in open_needs(state, task) if state.tasks.is_open(need))
