"""``orc events push``, ``watch``, ``claim`` ...: events as a queue for workers, in the words of busytown."""

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict, TypeVar

import msgspec

from orchestrator.core import clock
from orchestrator.core.errors import OrchestratorError, UsageError
from orchestrator.core.strict_json import strict_json, visible_json
from orchestrator.domain.event_log import QueueEvent, queue_event
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import EVENTS
from orchestrator.interfaces.cli.parameters import argument, option, text_file
from orchestrator.interfaces.cli.rendering import Answer, listing, note, say, write
from orchestrator.interfaces.cli.run import Run, either, given, once

if TYPE_CHECKING:
    from orchestrator.domain.subscriptions.records import DeadLetter

Value = TypeVar("Value")

REFUSED = 1
"""The exit status when another worker has the claim."""

_EVENT = option("--event", "The id of the event.", types.ID, required=True)
WORKER = option("--worker", "Who works; else the agent of the line.", types.AGENT_NAME)
_LETTER = argument("letter", "The number of the dead letter.", types.ID)


def json_line(value: Any) -> str:
    """A value as one line of JSON, in which nothing moves the cursor of a terminal."""
    return visible_json(msgspec.json.encode(value)).decode()


def pushed(run: Run, type: str, payload: Any, worker: str | None) -> "Answer[QueueEvent]":
    """Push an event, and answer with it."""
    return _lined(queue_event(run.orc.events.push(type, payload, agent=_worker(run, worker))))


def _lined(value: Value, exit_status: int = 0) -> "Answer[Value]":
    return say(value, json_line(value), exit_status)


def _worker(run: Run, worker: str | None) -> str | None:
    return once("worker", worker, run.settings.agent)


def _needed(run: Run, worker: str | None) -> str:
    name = _worker(run, worker) or run.agent
    if name is None:
        raise UsageError("No worker is named", hint="Give --worker NAME.", code="agent_needed")
    return name


@EVENTS.command("push", example='push --type plan.request --payload \'{"prd_path":"prds/pay.md"}\'')
@option("--type", "What happened: plan.created.", types.NAME, required=True)
@WORKER
@option("--payload", "More about it, as JSON; - is stdin.", metavar="JSON")
@text_file("the payload")
def push(
    run: Run, type: str, worker: str | None, payload: str | None, file: str | None
) -> "Answer[QueueEvent]":
    """Push an event; agents that listen for its type are started by it."""
    text = either("payload", payload, file)
    value = {} if text is None else strict_json(text)
    answer = pushed(run, type, value, worker)
    if not os.environ.get("ORC_CAUSE"):  # an agent could do nothing about it
        from orchestrator.interfaces.cli.agent_files import unheard

        with suppress(OrchestratorError):  # it is pushed
            if why := unheard(run, type):
                note(why)
    return answer


@EVENTS.command("watch", example="watch --worker agent-1", local=True)
@WORKER
def watch(run: Run, worker: str | None) -> None:
    """Print events as they come, one JSON line each, from where the worker's last watch ended.

    A new worker begins at the end of the log. Its cursor moves once a line is written, so after a crash lines
    may come again; `events set-cursor` goes back further.
    """
    for event in run.orc.subscriptions.watch(_needed(run, worker)):
        write(f"{json_line(queue_event(event))}\n".encode())


class _Cursor(TypedDict):
    """The event after which a worker goes on."""

    worker_id: str
    since: int


class _Claimed(TypedDict):
    """Whether the worker has the event, else who has it."""

    claimed: bool
    claimant: NotRequired[str]


class _ClaimOfEvent(TypedDict):
    """Who has claimed an event and since when, in seconds since 1970; or that it is not claimed."""

    event_id: int
    claimed: NotRequired[bool]
    worker_id: NotRequired[str]
    claimed_at: NotRequired[int]


@EVENTS.command("cursor", example="cursor --worker agent-1", reads=True)
@WORKER
def cursor(run: Run, worker: str | None) -> "Answer[_Cursor]":
    """Show the event after which a worker goes on."""
    name = _needed(run, worker)
    return _lined(_Cursor(worker_id=name, since=run.orc.subscriptions.cursor(name)))


@EVENTS.command("set-cursor", example="set-cursor --worker agent-1 --set 10")
@WORKER
@option(
    "--set", "The event after which the worker goes on.", types.ID, name="position", required=True
)
def set_cursor(run: Run, worker: str | None, position: int) -> "Answer[_Cursor]":
    """Set the event after which a worker goes on; its claims up to there hold for good."""
    name = _needed(run, worker)
    since = run.orc.subscriptions.set_cursor(name, position)
    return _lined(_Cursor(worker_id=name, since=since))


@EVENTS.command("claim", example="claim --event 42 --worker agent-1")
@_EVENT
@WORKER
@option("--lease", "How long the claim lasts: 30m, 2h.", types.DURATION)
def claim(run: Run, event: int, worker: str | None, lease: str | None) -> "Answer[_Claimed]":
    """Claim an event: of several workers the first one gets it, until its lease ends.

    The claim holds for good once the worker's cursor is set behind the event, or its attempt has finished.
    """
    from orchestrator.domain.agents.identity import own_name

    name = _needed(run, worker)
    held = run.orc.subscriptions.claim(event, agent=name, **given(lease=lease))
    if held.agent == own_name(run.orc.engine, name):
        return _lined(_Claimed(claimed=True))
    return _lined(_Claimed(claimed=False, claimant=held.agent), REFUSED)


@EVENTS.command("check-claim", example="check-claim --event 42", reads=True)
@_EVENT
def check_claim(run: Run, event: int) -> "Answer[_ClaimOfEvent]":
    """Show which worker has claimed an event."""
    held = run.orc.subscriptions.claim_of(event)
    if held is None:
        return _lined(_ClaimOfEvent(event_id=event, claimed=False))
    since = int(clock.seconds(held.since))
    return _lined(_ClaimOfEvent(event_id=event, worker_id=held.agent, claimed_at=since))


@EVENTS.command("dead", example="dead", reads=True)
def dead(run: Run) -> "Answer[list[DeadLetter]]":
    """List the dead letters: events that an agent could not work."""
    return listing(
        run.orc.subscriptions.dead(),
        "number",
        ("agent", "subscriber"),
        "event",
        "attempts",
        "since",
        "reason",
        empty="No dead letters.",
    )


@EVENTS.command("retry", example="retry 148")
@_LETTER
def retry(run: Run, letter: int) -> "Answer[dict[str, int]]":
    """Give a dead letter one more attempt."""
    run.orc.subscriptions.retry(letter)
    return say({"letter": letter}, f"Retried: {letter}. The runner starts its agent again.")


@EVENTS.command("dismiss", example="dismiss 148")
@_LETTER
def dismiss(run: Run, letter: int) -> "Answer[dict[str, int]]":
    """Remove a dead letter from the list; its event stays in the log."""
    run.orc.subscriptions.dismiss(letter)
    return say({"letter": letter}, f"Dismissed: {letter}")
