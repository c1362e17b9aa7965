"""``orc events``: what happened, and events of your own."""

from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.core.errors import UsageError
from orchestrator.domain.event_log import as_dict
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import EVENTS
from orchestrator.interfaces.cli.layout import lines
from orchestrator.interfaces.cli.parameters import argument, flag, option
from orchestrator.interfaces.cli.rendering import Answer, say, write
from orchestrator.interfaces.cli.run import Run

if TYPE_CHECKING:
    from orchestrator.core.events import Recorded


@EVENTS.command("list", example="--last 5 --type task.*", reads=True, filters_agent=True)
@option("--last/-n", "At most so many, the newest ones.", types.COUNT, default=20)
@option("--type/--action", "Only of this type; task.* is every type of a noun.", metavar="TYPE")
@option("--since", "From a time on, or that long ago, or after an event: 2h, 4711.", types.WHEN)
@flag("--follow/-f", "Go on as events are committed; with --json one a line.")
def list_(run: Run, follow: bool, **filters: Any) -> Answer | None:
    """List events, oldest first."""
    if follow:
        _follow(run, **filters)
        return None
    events = [as_dict(event) for event in run.orc.events.read(**filters)]
    return Answer(events, lambda: lines(map(_line, events), empty="No events."))


def _follow(run: Run, last: int, since: str | None, **filters: Any) -> None:
    """Print the events that are there, then those that come, for ever."""
    head = run.orc.engine.read().event
    for event in run.orc.events.read(last=last, since=since, **filters):
        if event.id <= head:
            _print(run, event)
    for event in run.orc.events.follow(since=head, **filters):
        _print(run, event)


def _print(run: Run, event: "Recorded") -> None:
    record = as_dict(event)
    text = msgspec.json.encode(record).decode() if run.settings.json else _line(record)
    write((text + "\n").encode())


@EVENTS.command("log", example="log deployed service=api replicas=3")
@argument("type", "What happened: deployed, ci.failed.")
@argument(
    "[facts...]",
    "More about it; a value is JSON if it reads as such, else text.",
    metavar="KEY=VALUE...",
)
def log(run: Run, type: str, facts: tuple[str, ...]) -> Answer:
    """Log an event of your own."""
    logged = as_dict(run.orc.events.log(run.settings.agent, type, **_payload(facts)))
    return say(logged, _line(logged))


def _payload(facts: tuple[str, ...]) -> dict[str, Any]:
    payload: dict[str, Any] = {}
    for fact in facts:
        key, equals, text = fact.partition("=")
        if not equals or not key:
            raise UsageError(f"{fact!a} is not KEY=VALUE", hint="Write service=api.")
        if key in payload:
            raise UsageError(f"{key!a} is given twice")
        payload[key] = _value(text)
    return payload


def _value(text: str) -> Any:
    """JSON where the text is JSON that the log can carry without loss; else the text itself."""
    from orchestrator.core.errors import BadInput
    from orchestrator.core.strict_json import strict_json

    try:
        return strict_json(text)
    except BadInput:
        return text


def _line(event: dict[str, Any]) -> str:
    """``[HH:MM:SS] agent: action {k=v}``."""
    from orchestrator.reports.status import event_line

    return event_line(event)
