"""A whole board as JSON lines: export and import."""

from collections.abc import Iterator
from functools import partial
from typing import IO, Any, NamedTuple

import jsonlines
import msgspec

from orchestrator.core import clock, names
from orchestrator.core.errors import BadInput, Damage
from orchestrator.core.events import Recorded, is_reserved
from orchestrator.core.files import LONGEST
from orchestrator.core.progress import ShowProgress, no_progress
from orchestrator.core.strict_json import encode_payload, strict_json
from orchestrator.domain.board.imported import Imported, imported
from orchestrator.domain.event_log import check_type
from orchestrator.domain.state import State
from orchestrator.domain.tasks import resources
from orchestrator.domain.tasks.verification_events import TaskDistrusted
from orchestrator.engine import Engine, not_empty
from orchestrator.maintenance.wisp_removal import events_without_wisps

HEADER = {"format": "orchestrator-board", "version": 1}
"""The first line of an export."""

_loads = partial(strict_json, depth=-1)  # the payload may be nested 64 levels deep


class Exported(NamedTuple):
    """How many events were written, and remarks about wisps that could not be left out."""

    events: int
    remarks: list[str]


def export_board(engine: Engine, out: IO[str], progress: ShowProgress = no_progress) -> Exported:
    """Write a header and the events of a board without its wisps, as JSON lines."""
    records, remarks = events_without_wisps(engine)
    count = 0
    out.write(export_line(HEADER))
    for record in progress(records, "Writing events", engine.read().event):
        out.write(export_line(record))
        count += 1
    return Exported(count, remarks)


def export_line(entry: Recorded | dict[str, Any]) -> str:
    """Return a record, or the header, as a line of an export."""
    return msgspec.json.encode(entry).decode() + "\n"


def import_board(
    engine: Engine, lines: IO[str], *, dry_run: bool = False, progress: ShowProgress = no_progress
) -> Imported:
    """Import a board that :func:`export_board` wrote, completely or not at all.

    The export contains commands that its tasks must pass: they do not run here until they are trusted.

    Args:
        engine: A board without any event.
        lines: The exported text.
        dry_run: Change nothing; only report what would be imported.
        progress: Shows how many events are checked.

    Raises:
        Refused: The board is not empty.
        BadInput: The text is not an export, or its events do not fit together.
    """
    records = list(_records(lines))
    state = _checked(records, progress)
    if distrust := _distrust(engine, state):
        state.fold((distrust,))
        records.append(distrust)
    if not dry_run:
        engine.take_over(records, state)
    else:
        with engine.rehearsal():
            if engine.read().event:
                raise not_empty()
    return imported(state, len(records))


def _distrust(engine: Engine, state: State) -> Recorded | None:
    """Return the event that disables the imported commands, if there are any."""
    tasks = tuple(t.id for t in state.tasks.values() if t.checks is not None and t.checks.verify)
    if not tasks:
        return None
    event = TaskDistrusted(tasks=tasks)
    raw = encode_payload(event)
    return Recorded(state.event + 1, engine.now(), engine.agent, event.TYPE, raw, event.VERSION)


def _records(lines: IO[str]) -> Iterator[Recorded]:
    # The library checks line numbers; the loader below refuses NaN and duplicate keys.
    with jsonlines.Reader(_bounded(lines), loads=_loads) as reader:
        try:
            header = reader.read(type=dict)
            if header != HEADER:
                raise BadInput(
                    "The first line is not the header of an exported board of this version"
                )
            for number, fields in enumerate(reader, start=2):
                yield _record(number, fields)
        except EOFError:
            raise BadInput("The file is empty") from None
        except (jsonlines.InvalidLineError, UnicodeDecodeError) as error:
            raise BadInput(f"The file cannot be read: {error}") from None


def _bounded(lines: IO[str]) -> Iterator[str]:
    """Yield the lines; refuse one that no log could hold before it is read."""
    while line := lines.readline(LONGEST + 1):
        if len(line) > LONGEST:
            raise BadInput(f"A line is longer than {LONGEST} characters")
        yield line


def _record(number: int, fields: Any) -> Recorded:
    try:
        payload = fields.pop("payload")
        if not isinstance(payload, dict):
            raise BadInput(f"Line {number} has a payload that is not an object")
        raw = msgspec.Raw(msgspec.json.encode(payload))
        return msgspec.convert({**fields, "payload": raw}, Recorded)
    except (msgspec.ValidationError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadInput(f"Line {number} is not an event: {error}") from None


def _checked(records: list[Recorded], progress: ShowProgress) -> State:
    """Return the fold of the records; refuse records that are not a whole log of a known version."""
    state = State()
    for expected, record in enumerate(progress(records, "Checking events"), start=1):
        if record.id != expected:
            raise BadInput(f"Event {record.id} is in the place of event {expected}")
        names.agent(record.agent)
        clock.check(record.ts)
        if not is_reserved(record.type, state.board.format):
            check_type(record.type, state.board.format)
        try:
            state.fold((record,))
        except Damage as damage:
            raise BadInput(damage.message, hint=damage.hint) from None
    check_names(state)
    if not records or records[-1].more:
        raise BadInput("The export ends in the middle of a commit")
    return state


def check_names(state: State) -> None:
    """Check every name as its command does: names become file names and words of commands."""
    tasks, agents = state.tasks.values(), state.agents.values()
    for kind, words in (
        ("workstream", state.workstreams),
        ("task", state.tasks),
        ("task", state.tasks.archived),
        ("topic", state.knowledge),
        ("queue", state.mail.queues),
        ("mailing list", state.mail.mailing_lists),
        ("formula", [workflow.formula for workflow in state.workflows.values()]),
        ("capability", [word for agent in agents for word in (agent.type, *agent.capabilities)]),
        ("label", [word for task in tasks for word in (task.type, *task.labels)]),
    ):
        for word in words:
            names.name(kind, word)
    members = [member for group in state.mail.mailing_lists.values() for member in group]
    holders = [agent for task in tasks for agent in (task.assigned_to, task.assignee) if agent]
    for agent in (*state.agents, *state.mail.mailboxes, *members, *holders):
        names.agent(agent)
    for resource in state.locks:
        names.resource(resource)
    for touch in (touch for task in tasks for touch in task.touches):
        resources.parse(touch)
