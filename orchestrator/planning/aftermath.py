"""The consequences of a transition of a task: tasks that are free now, possible reviewers, unread mail.

They are read from the neighbours of the task, so the cost does not depend on the size of the board.
"""

from collections.abc import Iterable, Iterator
from itertools import islice

import msgspec

from orchestrator.domain.agents.reviewers import suitable_reviewers
from orchestrator.domain.mail.matters import unread_messages
from orchestrator.domain.mail.records import Message
from orchestrator.domain.state import State
from orchestrator.domain.tasks.blockers import open_needs
from orchestrator.domain.tasks.derived import progress_of
from orchestrator.domain.tasks.records import ENDED, Task
from orchestrator.domain.tasks.stages import open_parts
from orchestrator.engine import Engine

NAMED = 2
"""How many tasks that still wait are named."""


class Neighbour(msgspec.Struct, frozen=True, gc=False):
    """A task that depends on the changed task."""

    id: str
    title: str


class StillWaiting(Neighbour, frozen=True, gc=False):
    """A task that needed the one that is done, and waits for another one."""

    needs: Neighbour


class News(msgspec.Struct, frozen=True, gc=False):
    """An unread message."""

    id: int
    sender: str
    subject: str


class Aftermath(msgspec.Struct, frozen=True, kw_only=True):
    """The consequences of a transition of a task.

    Attributes:
        agent: The agent of the transition.
        freed: Tasks that can be begun since this one ended; another agent may have begun them already.
        still_waiting: Open tasks that needed it, now that it is done, and need others too; the first ones.
        kept_back: Open tasks that wait for this task, which failed, was cancelled or is blocked.
        parts: Open children of the task, if it has ended: they stay on the board.
        reviewers: Suitable reviewers, if it is in review; any agent that is not its worker may review it.
        unread: How many messages the agent has not read.
        news: These messages, without those about reviews: `next` gives the reviews.
    """

    agent: str
    freed: tuple[Neighbour, ...]
    still_waiting: tuple[StillWaiting, ...]
    kept_back: tuple[Neighbour, ...]
    parts: tuple[Neighbour, ...]
    reviewers: tuple[str, ...]
    unread: int
    news: tuple[News, ...]


def aftermath(engine: Engine, task: Task, *, agent: str | None = None) -> Aftermath:
    """Return the consequences of the last transition of a task.

    Args:
        task: The task after the transition.
        agent: The agent of the transition; None for the agent of the last event of the task.
    """
    state, now = engine.read(), engine.now()
    actor = agent or engine.event(task.events[-1]).agent
    actor = state.agents.aliases.get(actor, actor)
    unread = [state.mail.messages[m] for m in unread_messages(state, actor, now)]
    stops = task.status in ("failed", "cancelled", "blocked")
    freed = _freed_by(state, task, now) if task.status in ENDED else ()
    return Aftermath(
        agent=actor,
        freed=_neighbours(t for t in freed if not t.is_run_by(actor, now)),
        still_waiting=(*islice(_still_waiting(state, task), NAMED),)
        if task.status == "done"
        else (),
        kept_back=_neighbours(_kept_back_by(state, task)) if stops else (),
        parts=_neighbours(state.tasks.present(open_parts(state, task)))
        if task.status in ENDED
        else (),
        reviewers=suitable_reviewers(state, task, now) if task.awaits_review else (),
        unread=len(unread),
        news=tuple(News(m.id, m.sender, m.subject) for m in unread if not _asks_for_review(m)),
    )


def _neighbours(tasks: Iterable[Task]) -> tuple[Neighbour, ...]:
    titles = {task.id: task.title for task in tasks}
    return tuple(Neighbour(task_id, title) for task_id, title in titles.items())


def _asks_for_review(message: Message) -> bool:
    return message.about is not None and message.about.event == "task.submitted"


def _still_waiting(state: State, done: Task) -> Iterator[StillWaiting]:
    """Yield the open tasks that needed a task and need another one too, with that one."""
    for task in _kept_back_by(state, done):
        need = next(iter(state.tasks.present(open_needs(state, task))), None)
        if need is not None:
            yield StillWaiting(task.id, task.title, Neighbour(need.id, need.title))


def _kept_back_by(state: State, task: Task) -> list[Task]:
    needing = state.tasks.present(state.tasks.needed_by.get(task.id, ()))
    return [dependant for dependant in needing if dependant.status not in ENDED]


def _freed_by(state: State, ended: Task, now: str) -> Iterator[Task]:
    """Yield the tasks that can be begun now, also those after a milestone that the same commit completed."""
    since = ended.ended_at or ""
    parents = state.tasks.present([ended.parent or ""])
    yield from (task for task in parents if _can_begin(state, task, now, since))
    waiting = {ended.id: ended}
    users_of = {"done": state.tasks.needed_by, "failed": state.tasks.failure_needed_by}
    for current in (order := [ended]):
        users = users_of.get(current.status, {})
        needing = state.tasks.present(users.get(current.id, ()))
        for dependant in (*needing, *_gates_opened_by(state, current)):
            if dependant.completes_itself and dependant.ended_at == ended.ended_at:
                if dependant.id not in waiting:
                    waiting[dependant.id] = dependant
                    order.append(dependant)
            elif _can_begin(state, dependant, now, since):
                yield dependant
        for dependant in needing:
            yield from _freed_parts(state, dependant, now, since)


def _gates_opened_by(state: State, task: Task) -> list[Task]:
    """Return the tasks that waited for the children of a task's parent, and do not wait any more."""
    if task.parent is None:
        return []
    progress = progress_of(state, task.parent)
    is_first = task.status == "done" and progress is not None and progress.done == 1
    waiters = state.tasks.present(state.tasks.awaited_by.get(task.parent, ()))
    gates = ((waiter, waiter.gate) for waiter in waiters if not waiter.waiting)
    return [
        waiter for waiter, gate in gates if gate is not None and (gate.how == "all" or is_first)
    ]


def _freed_parts(state: State, parent: Task, now: str, since: str) -> Iterator[Task]:
    """Yield the descendants of a task that can be begun since it does not block them any more."""
    for current in (order := [parent]):
        if current.keeps_children or current.status in ENDED:
            continue
        for part in state.tasks.present(state.tasks.children.get(current.id, ())):
            order.append(part)
            if _can_begin(state, part, now, since):
                yield part


def _can_begin(state: State, task: Task, now: str, since: str) -> bool:
    """Whether a task only needs its agent to begin, or was begun since then."""
    if task.status == "in_progress" and (task.claimed_at or "") >= since:
        return True
    is_due = task.is_clear and task.defer_until <= now and not task.completes_itself
    is_open = state.workstreams[task.workstream].status == "active"
    is_free = task.status in ("pending", "assigned") and not open_parts(state, task)
    return is_due and is_open and is_free
