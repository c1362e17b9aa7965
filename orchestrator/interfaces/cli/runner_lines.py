"""What ``runner run`` prints: a short line for each event, or a JSON line with ``--json``."""

import re
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.core import clock
from orchestrator.core.events import Recorded, is_reserved
from orchestrator.core.printable import amount, escape, one_line
from orchestrator.interfaces.cli.event_queue import json_line
from orchestrator.interfaces.cli.layout import (
    can_show,
    columns,
    cut,
    is_terminal,
    padded,
    paint,
    terminal_width,
)
from orchestrator.interfaces.cli.rendering import write
from orchestrator.supervisor.runner_events import OUTPUT, EventFollower, RunnerEvent

if TYPE_CHECKING:
    from orchestrator.api import Orchestrator

_WIDTH = 60  # characters of a value of a payload
_NAMES = (6, 20)  # the smallest and the largest number of columns for names of agents
_PALETTE = ("cyan", "magenta", "blue", "yellow", "green")
_SIGNS = {"start": "▶", "success": "✓", "failure": "✗", "output": "│"}
_PLAIN_SIGNS = {"start": ">", "success": "+", "failure": "!", "output": "|"}
_VERDICTS = {"approve": "green", "revise": "yellow"}
_VERDICT = re.compile(r"\bverdict=(\w+)")
_COLOURS = {
    "task.completed": "green",
    "task.approved": "green",
    "convoy.landed": "green",
    "task.rejected": "yellow",
    "task.blocked": "yellow",
    "task.failed": "red",
    "permission.request": "yellow",
    "permission.expired": "red",
}
"""The colours of sentences about the board."""

_SILENT = ("opened", "scheduled", "due", "renewed")
"""Events of subscriptions that repeat a note of the runner or another event."""


class JsonPrinter(EventFollower):
    """Prints each event as a JSON line in the form of ``events list --limit``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def hear(self, event: RunnerEvent) -> None:
        """Print an event."""
        with self._lock:
            write(f"{json_line(event.as_dict())}\n".encode("utf-8", "replace"))


class LinePrinter(EventFollower):
    """Prints each event as a line for people: time, agent, what happened.

    Args:
        orc: The board, which only the thread that calls :meth:`event` uses.
        is_exact: Whether times are those of the log.
    """

    def __init__(self, orc: "Orchestrator", *, is_exact: bool) -> None:
        from orchestrator.reports.sentences import Sentences

        self._orc = orc
        self._is_exact = is_exact
        self._sentences = Sentences(orc.engine, self._moment)
        self._lock = threading.Lock()
        self._colours = {"runner": "dim", "system": "dim"}
        self._room = _NAMES[0]
        self._signs = _SIGNS if can_show("".join(_SIGNS.values())) else _PLAIN_SIGNS

    def event(self, record: Recorded) -> None:
        """Print an event of the log."""
        noun, _, verb = record.type.partition(".")
        if not is_reserved(record.type, self._orc.engine.read().board.format_at(record.id)):
            super().event(record)
        elif noun != "subscription" or verb not in (*_ATTEMPT_LINES, *_SILENT):
            colour = _COLOURS.get(record.type) or ("dim" if noun == "message" else "")
            text = self._sentences.of(record)
            if record.type == "permission.request":
                request = msgspec.json.decode(record.payload)["request_id"]
                text += f": `orc permission allow {request}`, or `deny`"
            self._print(record.ts, record.agent, text, colour)
        elif verb not in _SILENT:
            payload = msgspec.json.decode(record.payload)
            sign, colour, line = _ATTEMPT_LINES[verb]
            number, task = payload["event"], payload.get("task")
            type = self._orc.engine.event(number).type
            trigger = f"task {task}" if task else f"{type} (event {number})"
            text = line(trigger, payload, record.id)
            self._print(record.ts, payload["subscriber"], f"{self._signs[sign]} {text}", colour)

    def hear(self, event: RunnerEvent) -> None:
        """Print an event of an agent, a line or a note."""
        if event.type == OUTPUT:
            text = f"{self._signs['output']} {event.payload['text']}"
            self._print(event.ts, event.agent, text, "dim")
        elif event.id:
            self._print(
                event.ts, event.agent, f"{event.type}  {_facts(event.payload)}".rstrip(), "event"
            )
        else:
            verb, text = event.type.partition(".")[2], event.payload["text"]
            colour = {"skipped": "yellow", "paused": "yellow", "trouble": "red"}.get(verb, "dim")
            self._print(event.ts, event.agent, f"{verb}: {text}" if text else verb, colour)

    def _time(self, moment: str) -> str:
        if self._is_exact:
            return moment
        return time.strftime("%H:%M:%S", time.localtime(clock.seconds(moment)))

    def _moment(self, moment: str) -> str:
        """A moment in a sentence, with its day if that is not today."""
        return moment if self._is_exact else clock.local_time(moment, self._orc.engine.now())

    def _print(self, moment: str, agent: str, text: str, colour: str = "") -> None:
        with self._lock:
            name = cut(escape(agent or "runner"), _NAMES[1])
            self._room = max(self._room, columns(name))
            if name not in self._colours:
                self._colours[name] = _PALETTE[len(self._colours) % len(_PALETTE)]
            when = self._time(moment)
            text = escape(text)
            if is_terminal():
                text = cut(text, max(terminal_width() - len(when) - self._room - 4, _NAMES[1]))
            text = paint(text, colour) if colour != "event" else _painted_event(text)
            who = padded(name, self._room, self._colours[name])
            write(f"{paint(when, 'dim')}  {who}  {text}\n".encode("utf-8", "replace"))


def _facts(payload: Any) -> str:
    """The payload of an event of an agent: ``plan_path=plans/pay.md verdict=revise``."""
    if not isinstance(payload, dict):
        return _value(payload)
    return " ".join(f"{key}={_value(value)}" for key, value in payload.items())


def _value(value: Any) -> str:
    return one_line(value if isinstance(value, str) else json_line(value), _WIDTH)


def _usage(report: Mapping[str, Any]) -> str:
    """What an attempt used: `` in 1.2 s, 3 tools, 1,204 tokens, $0.02``."""
    tokens = report.get("input_tokens", 0) + report.get("output_tokens", 0)
    tools = sum(report.get("tools", {}).values())
    cost = report.get("cost", 0.0)
    parts = [
        _duration(report.get("seconds", 0.0)),
        amount(tools, "tool call") if tools else "",
        f"{tokens:,} tokens" if tokens else "",
        f"${cost:.2f}" if cost else "",
    ]
    return f" in {', '.join(filter(None, parts))}"


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else clock.spoken(seconds)


def _painted_event(text: str) -> str:
    type, gap, facts = text.partition("  ")
    return paint(type, "bold") + gap + _VERDICT.sub(_painted_verdict, facts)


def _painted_verdict(match: re.Match[str]) -> str:
    return f"verdict={paint(match[1], _VERDICTS.get(match[1], 'bold'))}"


def _started(trigger: str, payload: Mapping[str, Any], _id: int) -> str:
    number, most = payload["attempt"], payload["most"]
    of_most = f" of {most}" if number <= most else ""  # killed attempts may be more
    return trigger + (f", attempt {number}{of_most}" if number > 1 else "")


def _finished(_trigger: str, payload: Mapping[str, Any], _id: int) -> str:
    return f"finished{_usage(payload.get('report') or {})}"


def _failed(_trigger: str, payload: Mapping[str, Any], _id: int) -> str:
    return f"failed{_usage(payload.get('report') or {})}: {payload['reason']}"


def _interrupted(_trigger: str, payload: Mapping[str, Any], _id: int) -> str:
    return f"interrupted: {payload['reason']}"


def _died(trigger: str, payload: Mapping[str, Any], letter: int) -> str:
    attempts = payload.get("attempts", 0)
    why = f"after {amount(attempts, 'attempt')}" if attempts else f"because {payload['reason']}"
    return f"gives up {trigger} {why}; `orc events retry {letter}` tries again"


_ATTEMPT_LINES = {
    "started": ("start", "dim", _started),
    "finished": ("success", "green", _finished),
    "failed": ("failure", "red", _failed),
    "interrupted": ("failure", "yellow", _interrupted),
    "died": ("failure", "red", _died),
}
"""The sign, the colour and the text of each event about an attempt."""
