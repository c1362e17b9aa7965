"""The rows of each panel, made of the state of a board. All texts of agents are escaped here."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import msgspec

from orchestrator.core import clock
from orchestrator.core.events import Recorded
from orchestrator.core.printable import escape
from orchestrator.core.strict_json import visible_json
from orchestrator.core.transaction import SYSTEM
from orchestrator.domain.agents.commands import Agents, AgentView
from orchestrator.domain.agents.records import OVERSEER
from orchestrator.domain.locks.commands import in_use
from orchestrator.domain.locks.records import Lock
from orchestrator.domain.mail.matters import unread_messages
from orchestrator.domain.permissions.commands import PermissionView, shown_input, view_of
from orchestrator.domain.state import State
from orchestrator.domain.tasks.records import Task
from orchestrator.domain.tasks.stages import STAGES, Stage, stage_of
from orchestrator.engine import Engine
from orchestrator.interfaces.tui.view import Row

COLUMN_OF: dict[Stage, str] = {
    "ready": "Ready",
    "in_progress": "In progress",
    "assigned": "In progress",
    "lapsed": "In progress",
    "in_review": "In review",
    "blocked": "Waiting",
    "waiting": "Waiting",
    "deferred": "Waiting",
    "done": "Ended",
    "failed": "Ended",
    "cancelled": "Ended",
}
"""The column of the tasks of each stage."""

_MARKED = ("lapsed", "blocked", "deferred", "failed", "cancelled", "assigned")
"""Stages that a row names, since those of its column differ."""

_COLOURS = {
    "in_progress": "blue",
    "lapsed": "red",
    "in_review": "yellow",
    "blocked": "yellow",
    "ready": "",
    "done": "green",
    "failed": "red",
    "working": "green",
    "online": "green",
    "waiting": "cyan",
    "silent": "yellow",
    "gone": "red",
}

LISTED_MAIL = 100
"""How many messages of a section of mail are shown, the newest ones."""

_DETAIL = 4000
"""Characters of the input of a tool that are shown below the list."""


def task_row(state: State, task: Task, now: str) -> Row:
    """A task on the board."""
    stage = stage_of(state, task, now)
    column = COLUMN_OF[stage]
    # Unlike the others, ended tasks are sorted by time, the last one first.
    first = -clock.seconds(task.ended_at) if column == "Ended" and task.ended_at else 0.0
    mark = f" [{stage}]" if stage in _MARKED else ""
    agent = f" @{task.assigned_to}" if task.assigned_to else ""
    workstream = f" ({task.workstream})"
    reviewer = f" reviewed by {task.reviewer}" if task.review_until > now else ""
    return Row(
        key=task.id,
        section=column,
        order=(first, STAGES.index(stage), task.priority, task.events[0], task.id),
        text=escape(f"P{task.priority} {task.id} {task.title}"),
        end=escape(f"{workstream}{agent}{mark}{reviewer}"),
        colour=_COLOURS.get(stage, ""),
    )


def permission_rows(engine: Engine, state: State, now: str) -> Iterator[Row]:
    """The requests that wait for an answer, oldest first."""
    for number, request in enumerate(state.permissions.pending(now)):
        view = view_of(engine, request)
        until = clock.local_time(view.until, now)
        asks = escape(f"{view.id} {view.agent} asks to use {view.tool} until {until}: ")
        yield Row(
            key=view.id,
            section="",
            order=(number, view.id),
            text=asks + shown_input(view.tool_input),
            colour="yellow",
            detail=_whole_input(view),
        )


def _whole_input(view: PermissionView) -> str:
    data = msgspec.json.format(msgspec.json.encode(view.tool_input), indent=2)
    text = visible_json(data).decode()
    left_out = len(text) - _DETAIL
    more = f"\n({left_out:,} more characters: Enter shows all)" if left_out > 0 else ""
    return f"{escape(view.agent)} asks to use {escape(view.tool)}:\n{text[:_DETAIL]}{more}"


def agent_rows(engine: Engine, state: State, now: str) -> Iterator[Row]:
    """The agents, those that work first."""
    ranks = {name: n for n, name in enumerate(("working", "waiting", "online", "idle", "silent"))}
    for agent in Agents.present(state, now, engine.presence):
        is_retired = agent.status == "retired"
        shown = "retired" if is_retired else agent.presence
        yield Row(
            key=agent.id,
            section="",
            order=(is_retired, ranks.get(shown, len(ranks)), agent.id),
            text=escape(f"{shown:<8} {agent.id} ({agent.type}){_work(state, agent)}"),
            colour=_COLOURS.get(shown, ""),
        )


def _work(state: State, agent: AgentView) -> str:
    """What an agent works on, and what waits for it."""
    parts = [f"{task} {state.tasks[task].title}" for task in agent.tasks]
    parts += [f"reviews {task} {state.tasks[task].title}" for task in agent.reviews]
    subscriber = state.subscriptions.get(agent.id)
    attempts = subscriber.running if subscriber else ()
    parts += [f"event {attempt.event}" for attempt in attempts if not attempt.task]
    parts += [f"{len(agent.assigned)} assigned"] if agent.assigned else []
    parts += [f"{agent.unread} unread"] if agent.unread else []
    return f": {', '.join(parts)}" if parts else ""


def lock_rows(state: State, now: str) -> Iterator[Row]:
    """The locks, and what running tasks touch."""
    for lock in in_use(state, now):
        yield Row(key=lock.resource, section="", order=(lock.resource,), text=_lock(lock, now))


def lock_page(state: State, resource: str, now: str) -> str:
    """Who holds a resource and who waits for it, as safe lines."""
    lock = next((lock for lock in in_use(state, now) if lock.resource == resource), None)
    holders = _holders(lock, now) if lock else []
    lines = [resource, *(f"  {holder}" for holder in holders or ["free"])]
    if lock and lock.waiting:
        lines += ["Waiting:", *(f"  {waiter.agent}" for waiter in lock.waiting)]
    return "\n".join(map(escape, lines))


def _lock(lock: Lock, now: str) -> str:
    holders = ", ".join(_holders(lock, now))
    waiting = f"; waiting: {', '.join(w.agent for w in lock.waiting)}" if lock.waiting else ""
    return escape(f"{lock.resource}: {holders or 'free'}{waiting}")


def _holders(lock: Lock, now: str) -> list[str]:
    return [
        f"{holder.agent}{' (shared)' if holder.shared else ''}"
        f"{f' for task {holder.task}' if holder.task else ''}"
        f" until {clock.local_time(holder.until, now)}"
        for holder in lock.holders
    ]


def mail_rows(state: State, person: str, now: str) -> Iterator[Row]:
    """The mail of the person and of the overseer, and of others what was sent last; newest first."""
    unread = {*unread_messages(state, person, now)}
    own = state.mail.mailbox(person)
    sections: dict[str, Iterable[int]] = {
        "Unread": unread,
        "Read": (number for _, number, _ in own.items() if number not in unread),
        "Overseer": () if person == OVERSEER else unread_messages(state, OVERSEER, now),
        "Others": islice(reversed(state.mail.messages), LISTED_MAIL),
    }
    shown: set[int] = set()
    for section, numbers in sections.items():
        newest = sorted((n for n in numbers if n not in shown), reverse=True)[:LISTED_MAIL]
        shown |= {*newest}
        for number in newest:
            message = state.mail.messages[number]
            sent = clock.local_time(message.sent_at, now)
            mark = "" if message.priority == "normal" else f" [{message.priority}]"
            head = f"{number} {sent} {message.sender} to {', '.join(message.to)}{mark}: "
            yield Row(
                key=str(number),
                section=section,
                order=(-number,),
                text=escape(head + message.subject),
                colour="cyan" if section == "Unread" else "",
            )


def claim_rows(state: State, now: str) -> Iterator[Row]:
    """Who has which task, review and event under a lease; those whose lease has ended last."""

    def row(section: str, key: str, agent: str, until: str, what: str) -> Row:
        lapsed = until <= now
        words = "ended" if lapsed else "until"
        return Row(
            key=key,
            section=section,
            order=(lapsed, until, key),
            text=escape(f"{agent} has {what}"),
            end=f" {words} {clock.local_time(until, now)}",
            colour="red" if lapsed else "",
        )

    for task in state.schedule.running():
        what = f"{task.id} {task.title}"
        yield row("Tasks", task.id, task.assigned_to or SYSTEM, task.lease_until, what)
    for task in state.schedule.reviews.all():
        if task.reviewer and task.review_until > now:
            what = f"the review of {task.id} {task.title}"
            yield row("Reviews", task.id, task.reviewer, task.review_until, what)
    for claim in state.subscriptions.event_claims.values():
        if claim.is_valid(now) and claim.until:
            what = f"event {claim.event}"
            yield row("Events", f"event {claim.event}", claim.agent, claim.until, what)


def planned_tasks(record: Recorded) -> list[str]:
    """The tasks in the plan of a cycle, each once."""
    plan = msgspec.json.decode(record.payload)["plan"]
    parallel = [_id(item.get("task")) for item in plan.get("recommended_parallel", ())]
    serial = [_id(task) for group in plan.get("recommended_serial", ()) for task in group["tasks"]]
    waiting = [_id(item.get("task")) for item in plan.get("waiting", ())]
    return [*dict.fromkeys(task for task in (*parallel, *serial, *waiting) if task)]


def _id(task: Any) -> str:
    """The id of a task in a plan: a record, or ``workstream/id``."""
    text = task.get("id") if isinstance(task, dict) else task
    return text.rpartition("/")[2] if isinstance(text, str) else ""


def cycle_rows(state: State, tasks: list[str], now: str) -> list[Row]:
    """The tasks of a cycle by their columns."""
    return [task_row(state, state.tasks[task], now) for task in tasks if task in state.tasks]


def cycle_line(state: State, tasks: list[str], now: str) -> str:
    """The progress of the cycle in one line; empty without one."""
    cycle = state.cycles.cycle
    if cycle is None:
        return ""
    left = sum(state.tasks.is_open(task) for task in tasks)
    since = clock.local_time(cycle.started_at, now)
    return f"Cycle {cycle.number} since {since}: {len(tasks) - left} of {len(tasks)} tasks ended"


def event_row(record: Recorded, sentence: str, now: str) -> Row:
    """An event as a sentence; the newest one is the first."""
    is_system = record.agent == SYSTEM or record.type.startswith(("subscription.", "sys."))
    return Row(
        key=str(record.id),
        section="",
        order=(-record.id,),
        text=escape(f"{clock.local_time(record.ts, now)} {record.agent} {sentence}"),
        colour="red" if record.type in ("task.failed", "subscription.died") else "",
        is_system=is_system,
    )


def file_row(record: Recorded, now: str) -> Row:
    """A changed file; the last change is the first."""
    payload = msgspec.json.decode(record.payload)
    facts = payload if isinstance(payload, dict) else {}
    before = f"{facts['old_path']} -> " if facts.get("old_path") else ""
    change = f"{record.type.partition('.')[2]:<6} {before}{facts.get('path', '')}"
    text = escape(f"{clock.local_time(record.ts, now)} {change}")
    return Row(key=str(record.id), section="", order=(-record.id,), text=text)
