"""``orc notify``: the notices that a person gets, the rules for them, and the process that sends them."""

import gc
import os
import re
import signal
from types import FrameType
from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.core import clock, system
from orchestrator.core.errors import NotFound, Refused, UsageError
from orchestrator.core.printable import amount, escape, one_line
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import NOTIFY
from orchestrator.interfaces.cli.event_queue import json_line
from orchestrator.interfaces.cli.layout import fields, shown_time
from orchestrator.interfaces.cli.parameters import argument, flag, option
from orchestrator.interfaces.cli.rendering import Answer, listing, say, warn, write
from orchestrator.interfaces.cli.run import Run, given
from orchestrator.notices.kinds import KINDS

if TYPE_CHECKING:
    from orchestrator import Orchestrator
    from orchestrator.domain.subscriptions.records import DeadLetter, Subscriber
    from orchestrator.notices.notifier import NoticeReport
    from orchestrator.notices.rules import NoticeRules, Rule

_NAME = argument("name", "The name of the rule.", types.NAME)
_KIND = types.choice(*KINDS)
_STATE = 60  # characters of a reason in a table
_WRITTEN = 300  # characters of what a program wrote


class RuleStatus(msgspec.Struct, frozen=True):
    """A rule without its address, and the state of its notices on the board."""

    name: str
    on: tuple[str, ...]
    to: str
    last: str
    state: str
    given_up: "list[DeadLetter]"


@NOTIFY.command("add", example="add failures --on task.failed --to desktop")
@_NAME
@argument("[words...]", "With --to command: the program and its arguments, after --.")
@option("--on", "Events: task.failed, task.*, permission.request.", many=True, required=True)
@option("--to", "Where notices go.", _KIND, required=True)
@option(
    "--url",
    "The address, for webhook and email; env:NAME, file:PATH or - (stdin) keep it off the line.",
    name="address",
)
@option("--by", "Only events of this agent.", types.AGENT_NAME, many=True)
@option(
    "--ws",
    "Only events of tasks of this workstream.",
    types.WORKSTREAM_NAME,
    name="workstreams",
    many=True,
)
@option("--task", "Only events of this task.", types.TASK_ID, name="tasks", many=True)
@option("--label", "Only of tasks with this label; of several, all.", name="labels", many=True)
@option("--priority", "Only of tasks as urgent as this, or more: 1.", types.PRIORITY)
@option("--title", "The title; fields: {board} {type} {agent} {title} {workstream} ...")
@option("--body", "A line for each event; else '{agent} {what}'.")
@option(
    "--every",
    "At most one notice in this time, what happens meanwhile is in the next one; else 30s.",
    types.DURATION,
)
def add(
    run: Run,
    name: str,
    words: tuple[str, ...],
    on: tuple[str, ...],
    to: Any,
    address: str | None,
    by: tuple[str, ...] | None,
    tasks: tuple[str, ...] | None,
    every: str | None,
    **more: Any,
) -> "Answer[dict[str, str]]":
    """Add a rule: what gives a notice, and where it goes. Notices begin with what happens from now on.

    The rule is kept in a file of the user of this machine, not on the board. `notify test` tries it, `notify
    run` sends the notices.
    """
    from orchestrator.notices.rules import Rule, checked, shown_address, subscriber_of
    from orchestrator.notices.sending import check_address, check_installed

    if to != "command":
        check_installed()
    rules = _rules(run.orc)
    rule = checked(
        name,
        Rule(
            on=on,
            to=to,
            address=_absolute((address or "").strip()),
            words=_with_whole_path(words),
            agents=by or (),
            tasks=tuple(run.orc.tasks.get(task).id for task in tasks or ()),
            **given(**more, every=None if every is None else clock.duration(every)),
        ),
    )
    for workstream in rule.workstreams:
        run.orc.engine.read().workstreams.check(workstream)
    if reason := check_address(rule):
        kind, _, place = rule.address.partition(":")
        if kind != "env" or place in os.environ:
            raise Refused(f"The rule would send nothing: {reason}", code="bad_address")
        warn(f"{place} is not set here; the process of `notify run` needs it")
    subscriber = subscriber_of(name)
    rules.add(name, rule)
    subscriptions = run.orc.subscriptions
    now = run.orc.engine.read().event
    if subscriptions.open(subscriber).position < now:
        subscriptions.set_cursor(subscriber, now)
    value = {"name": name, "to": rule.to, "address": shown_address(rule)}
    return say(value, f"Added: {escape(name)}. `notify test {escape(name)}` tries it.")


@NOTIFY.command("list", example="list", reads=True)
def list_(run: Run) -> "Answer[list[RuleStatus]]":
    """List the rules of this user for the board, when the last notice began, and what went wrong."""
    rows = [_status(run, name, rule) for name, rule in _rules(run.orc).all().items()]
    return listing(
        rows,
        "name",
        ("on", lambda status: ", ".join(status.on)),
        "to",
        ("last", lambda status: shown_time(status.last)),
        ("state", lambda status: one_line(status.state, _STATE)),
        empty="No rules.",
    )


@NOTIFY.command("show", example="show failures", reads=True)
@_NAME
def show(run: Run, name: str) -> "Answer[dict[str, Any]]":
    """Show a rule, its last notice, and the notices that were given up with their reasons."""
    from orchestrator.notices.rules import shown_address

    rule = _rules(run.orc).get(name)
    status = _status(run, name, rule)
    value = {
        **msgspec.structs.asdict(rule),
        "address": shown_address(rule),
        **msgspec.structs.asdict(status),
    }
    shown: dict[str, object] = {
        "Name": name,
        "On": ", ".join(rule.on),
        "To": rule.to,
        "Address": shown_address(rule),
        "Program": " ".join(rule.words),
        "By": ", ".join(rule.agents),
        "Workstream": ", ".join(rule.workstreams),
        "Task": ", ".join(rule.tasks),
        "Label": ", ".join(rule.labels),
        "Priority": "" if rule.priority is None else f"{rule.priority} or more urgent",
        "Title": rule.title,
        "Body": rule.body,
        "Every": clock.spoken(rule.every),
        "Last": shown_time(status.last),
        "State": status.state,
    }
    lines = [
        f"Gave up {letter.number} {shown_time(letter.since)}, after {amount(letter.attempts, 'attempt')}:"
        f" {letter.reason}"
        for letter in status.given_up
    ]
    return Answer(value, lambda: "\n".join([fields(shown.items()), *map(escape, lines)]))


@NOTIFY.command("remove", example="remove failures")
@_NAME
def remove(run: Run, name: str) -> "Answer[dict[str, str]]":
    """Remove a rule; what waits for it is not sent."""
    _rules(run.orc).remove(name)
    return say({"name": name}, f"Removed: {escape(name)}")


@NOTIFY.command("test", example="test failures")
@_NAME
def test(run: Run, name: str) -> "Answer[dict[str, str]]":
    """Send a sample now. If it arrives, notices that wait because of failures are tried again at once."""
    import time

    from orchestrator.notices.rules import subscriber_of
    from orchestrator.notices.sending import LEASE, check_installed, send
    from orchestrator.notices.texts import NoticeText, safe
    from orchestrator.supervisor.places import board_name

    rule = _rules(run.orc).get(name)
    if rule.to != "command":
        check_installed()
    board = safe(board_name(run.orc.folder or "board"))
    body = f"This is a test of the rule {name}. It gives notices on {', '.join(rule.on)}."
    notice = NoticeText(rule=name, title=f"{board}: a test", body=safe(body), events=())
    written: list[str] = []
    if reason := send(rule, notice, time.time() + LEASE, written.append):
        if any(written):
            warn(f"The end of what its program wrote: {one_line(written[0][-_WRITTEN:], _WRITTEN)}")
        raise Refused(f"The test of {name} was not sent: {reason}", code="not_sent")
    subscriber = subscriber_of(name)
    if subscriber in run.orc.engine.read().subscriptions:
        run.orc.subscriptions.wake(subscriber)
    return say({"name": name, "to": rule.to}, f"Sent: a test of {escape(name)}")


@NOTIFY.command("run", example="run")
@flag("--once", "Send what waits now, at most one notice for each rule, and end.")
def run_(run: Run, once: bool) -> "Answer[list[NoticeReport]] | None":
    """Send notices until the process is ended, and print each one. Several processes send no notice twice.

    The first SIGTERM or Ctrl-C lets what is being sent end, a second one does not. With --once the exit
    status is 1 if a notice was not sent.
    """
    from orchestrator.notices.notifier import Notifier
    from orchestrator.notices.sending import check_installed

    reports: list[NoticeReport] = []

    def report(sent: "NoticeReport") -> None:
        if once:
            reports.append(sent)
        else:
            text = json_line(sent) if run.settings.json else _line(sent)
            write(f"{text}\n".encode("utf-8", "replace"))

    gc.enable()  # `process` has disabled it for commands that end soon
    with run.lasting(reads=True) as orc:
        rules = _rules(orc)
        if any(rule.to != "command" for rule in rules.all().values()):
            check_installed()
        notifier = Notifier(orc, rules, report=report, warn=warn)
        if once:
            notifier.run_once()
            text = "\n".join(map(_line, reports)) or "Nothing to send."
            return say(reports, text, int(any(sent.reason for sent in reports)))
        _stop_by_signals(notifier)
        notifier.run()
    return None


def _stop_by_signals(notifier: Any) -> None:
    """Let the first signal that asks the process to end stop a notifier, and a second one end it."""
    before = {number: signal.getsignal(number) for number in system.INTERRUPTS}

    def stop(_number: int, _frame: FrameType | None) -> None:
        for number, handler in before.items():
            signal.signal(number, handler)
        notifier.stop()

    for number in before:
        signal.signal(number, stop)


def _line(sent: "NoticeReport") -> str:
    what = f"{sent.rule}: {sent.title} ({amount(sent.events, 'event')})"
    if not sent.reason:
        return escape(f"Sent {what}")
    verb = "Gave up" if sent.is_last else "Not sent yet"
    return escape(f"{verb} {what}, attempt {sent.attempt}: {sent.reason}")


def _status(run: Run, name: str, rule: "Rule") -> RuleStatus:
    from orchestrator.notices.rules import subscriber_of

    state = run.orc.engine.read()
    subscriber = state.subscriptions.get(subscriber_of(name))
    letters = [
        letter
        for letter in run.orc.subscriptions.dead()
        if letter.subscriber == subscriber_of(name)
    ]
    return RuleStatus(
        name=name,
        on=rule.on,
        to=rule.to,
        last=subscriber.noticed if subscriber else "",
        state=_state(subscriber, letters, run.orc.engine.now()),
        given_up=letters,
    )


def _state(subscriber: "Subscriber | None", letters: "list[DeadLetter]", now: str) -> str:
    """How the notices of a rule stand, in words."""
    parts = []
    attempt = next(iter(subscriber.attempts), None) if subscriber else None
    if attempt is not None and attempt.status == "running":
        parts.append(f"sends, attempt {attempt.number} of {attempt.most}")
    elif attempt is not None and subscriber is not None and subscriber.rest is not None:
        due = max(attempt.due, subscriber.rest.until)
        parts.append(
            f"attempt {attempt.number} of {attempt.most} failed, the next one at"
            f" {clock.local_time(due, now)}: {subscriber.rest.reason}"
        )
    if letters:
        parts.append(f"gave up {amount(len(letters), 'notice')}: {letters[-1].reason}")
    return "; ".join(parts) or "ok"


def _with_whole_path(words: tuple[str, ...]) -> tuple[str, ...]:
    """The words of a command; if its program is given by a path, the path is made absolute."""
    if not words or not os.path.dirname(words[0]):
        return words
    return os.path.abspath(os.path.expanduser(words[0])), *words[1:]


def _absolute(address: str) -> str:
    """The address, with the path of a file made absolute.

    Raises:
        UsageError: It refers to no variable.
    """
    kind, _, place = address.partition(":")
    if kind == "env" and not re.fullmatch(r"\w+", place):
        raise UsageError(f"{place!a} is not the name of a variable", hint="Write env:HOOK_URL.")
    if kind == "file" and not place.startswith("//"):
        return f"file:{os.path.abspath(os.path.expanduser(place))}"
    return address


def _rules(orc: "Orchestrator") -> "NoticeRules":
    from orchestrator.notices.rules import NoticeRules

    if orc.folder is None:
        raise NotFound("This board is not in a folder, so no rules belong to it", code="no_folder")
    return NoticeRules(orc.folder)
