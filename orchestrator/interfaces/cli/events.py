"""``orc events``: what happened, and events of your own."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.core.errors import UsageError
from orchestrator.core.printable import escape
from orchestrator.domain.event_log import as_dict
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import BOARD, EVENTS
from orchestrator.interfaces.cli.layout import is_terminal, lines
from orchestrator.interfaces.cli.moments import sentence_line
from orchestrator.interfaces.cli.parameters import argument, flag, option, together
from orchestrator.interfaces.cli.rendering import Answer, say, write
from orchestrator.interfaces.cli.run import Run

if TYPE_CHECKING:
    from orchestrator.core.events import Recorded

    Line = Callable[[Recorded], str]


_FILTERS = together(
    option("--last/-n", "At most so many, the newest ones.", types.COUNT, default=20),
    option(
        "--type/--action",
        "Only of this type; task.* is every type of a noun.",
        types.NAME,
        metavar="TYPE",
    ),
    option("--since", "From a time on, or that long ago, or after an event: 2h, 4711.", types.WHEN),
    flag("--follow/-f", "Go on as events are committed; with --json one a line."),
    flag("--utc", "Exact times in UTC.", rare=True),
)


@EVENTS.command("list", example="--last 5 --type task.*", reads=True, filters_agent=True)
@_FILTERS
def list_(run: Run, follow: bool, utc: bool, **filters: Any) -> Answer | None:
    """List events, oldest first; at a terminal as sentences."""
    line = sentence_line(run, utc=utc) if utc or is_terminal() else _original
    return _listed(run, line, follow=follow, **filters)


@BOARD.command("log", example="log --last 5 --type task.*", reads=True, filters_agent=True)
@_FILTERS
def log(run: Run, follow: bool, utc: bool, **filters: Any) -> Answer | None:
    """Show what happened, oldest first, a sentence for each event."""
    return _listed(run, sentence_line(run, utc=utc), follow=follow, **filters)


def _listed(run: Run, line: "Line", *, follow: bool, **filters: Any) -> Answer | None:
    if follow:
        _follow(run, line, **filters)
        return None
    events = run.orc.events.read(**filters)
    return Answer([*map(as_dict, events)], lambda: lines(map(line, events), empty="No events."))


def _follow(run: Run, line: "Line", last: int, since: str | None, **filters: Any) -> None:
    """Print the events that are there, then those that come, without end."""
    head = run.orc.engine.read().event
    for event in run.orc.events.read(last=last, since=since, **filters):
        if event.id <= head:
            _print(run, event, line)
    for event in run.orc.events.follow(since=head, **filters):
        _print(run, event, line)


def _print(run: Run, event: "Recorded", line: "Line") -> None:
    text = msgspec.json.encode(as_dict(event)).decode() if run.settings.json else line(event)
    write((text + "\n").encode())


@EVENTS.command("log", example="log deployed service=api replicas=3")
@argument("type", "What happened: deployed, ci.failed.", types.NAME)
@argument(
    "[facts...]",
    "More about it; a value is JSON if it reads as such, else text.",
    metavar="KEY=VALUE...",
)
def record(run: Run, type: str, facts: tuple[str, ...]) -> Answer:
    """Log an event of your own."""
    logged = run.orc.events.log(run.settings.agent, type, **_payload(facts))
    return say(as_dict(logged), _original(logged))


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


def _original(event: "Recorded") -> str:
    """An event as the original prints it: ``[HH:MM:SS] agent: action {k=v}``."""
    facts = as_dict(event)["payload"]
    pairs = facts.items() if isinstance(facts, dict) else [("payload", facts)]
    text = ", ".join(f"{key}={_fact(value)}" for key, value in pairs)
    shown = f" {{{text}}}" if text else ""
    return escape(f"[{event.ts[11:19]}] {event.agent}: {event.type}{shown}")


def _fact(value: object) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else text[:57] + "..."
