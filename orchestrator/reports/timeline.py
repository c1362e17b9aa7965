"""What happened on the board, to a task, in a workstream, or by an agent, with the time between."""

from collections.abc import Callable, Container, Iterator
from itertools import islice, takewhile
from typing import Any

import msgspec

from orchestrator.core import clock
from orchestrator.core.errors import NotFound, Refused
from orchestrator.core.events import Recorded
from orchestrator.domain.event_log import beginning
from orchestrator.domain.state import State
from orchestrator.domain.subscriptions.patterns import matches
from orchestrator.domain.tasks.commands import Tasks
from orchestrator.engine import Engine

LAST = 100
"""Events of a timeline, the newest ones, unless more are asked for."""


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """What happened, oldest first.

    Attributes:
        task: The id of the task, if the subject is a task; else empty.
        events: The events.
        after: For each of them, the seconds since the one before; 0 for the first.
    """

    task: str = ""
    events: list[Recorded]
    after: list[float]


def timeline(
    engine: Engine,
    subject: str | None = None,
    *,
    workstream: str | None = None,
    agent: str | None = None,
    type: str | None = None,
    since: str | int | None = None,
    before: int | None = None,
    last: int = LAST,
) -> Timeline:
    """Return what happened, oldest first, with the time between: on the board, or about what is named.

    Args:
        subject: A task, workstream or agent, whichever has this name.
        workstream: Only what was about this workstream and its tasks.
        agent: Only what this agent did.
        type: Only events of this type; ``task.*`` is every type of a noun.
        since: From this time on, that long ago (``2h``), or after this event.
        before: Only before the event with this id.
        last: At most so many events, the newest ones.

    Raises:
        NotFound: Nothing has this name.
        Refused: Several things have it.
    """
    state = engine.read()
    task = ""
    if subject is not None:
        kind, name = _named(engine, state, subject)
        task = name if kind == "task" else ""
        workstream = name if kind == "workstream" else workstream
        agent = name if kind == "agent" else agent
    state.workstreams.check(workstream)
    newest = reversed(Tasks(engine).history(task)) if task else engine.read_backwards(before)
    limit = None if since is None else beginning(since, engine.now())
    about = _about(state, workstream) if workstream is not None else None
    chosen = (
        event
        for event in takewhile(lambda event: is_from(event, limit), newest)
        if agent in (None, event.agent)
        and (type is None or matches(type, event.type))
        and (before is None or event.id < before)
        and (about is None or about(event))
    )
    events = [*islice(chosen, max(last, 0))][::-1]
    times = [clock.seconds(event.ts) for event in events]
    after = [
        round(now - before, 3) for before, now in zip([*times[:1], *times], times, strict=False)
    ]
    return Timeline(task=task, events=events, after=after)


def _named(engine: Engine, state: State, name: str) -> tuple[str, str]:
    """Find out what a name means: an exact name comes before the prefix of a task and an unknown agent."""
    maps: dict[str, Container[str]] = {
        "task": state.tasks.tasks,
        "workstream": state.workstreams,
        "agent": state.agents,
    }
    kinds = [kind for kind, things in maps.items() if name in things]
    if len(kinds) > 1:
        options = {"workstream": f"--ws {name}", "agent": f"--agent {name}"}
        ways = " or ".join(f"`timeline {options[kind]}`" for kind in kinds if kind in options)
        raise Refused(
            f"{name!a} is a {' and a '.join(kinds)}",
            code="ambiguous_name",
            hint=f"{ways} says which.",
        )
    if kinds:
        return kinds[0], name
    try:
        return "task", Tasks(engine).get(name).id
    except NotFound:
        if any(event.agent == name for event in engine.read_backwards()):
            return "agent", name
        raise NotFound(
            f"No task, workstream or agent is called {name!a}",
            code="subject_not_found",
            hint="`ls`, `ws list` and `agents` show their names.",
        ) from None


def is_from(event: Recorded, limit: str | int | None) -> bool:
    """Whether an event is after the event with this id, or not before this time; True without a limit."""
    if isinstance(limit, int):
        return event.id > limit
    return limit is None or event.ts >= limit


def _about(state: State, workstream: str) -> Callable[[Recorded], bool]:
    """Return what says whether an event is about a workstream or a task of it."""

    def is_about(event: Recorded) -> bool:
        payload: Any = msgspec.json.decode(event.payload)
        if not isinstance(payload, dict) or payload.get("workstream") == workstream:
            return isinstance(payload, dict)
        return any(_stream_of(state, task) == workstream for task in tasks_in(payload))

    return is_about


def tasks_in(payload: dict[str, Any]) -> Iterator[str]:
    """Yield the tasks that an event names."""
    record = payload.get("record")
    names = [payload.get("task"), payload.get("workflow")]
    names += [record.get("id")] if isinstance(record, dict) else []
    tasks = payload.get("tasks")
    names += tasks if isinstance(tasks, list) else []
    return (name for name in names if isinstance(name, str))


def _stream_of(state: State, task: str) -> str:
    record = state.tasks.get(task) or state.tasks.archived.get(task)
    return record.workstream if record is not None else ""
