"""Events as sentences for people: ``dan completed 72e4c01d Write the conventions``.

There is a sentence for each type of event. It contains texts of agents on one line and shortened, but
not escaped: the caller escapes it.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec.structs import asdict

from orchestrator.core.errors import NotFound
from orchestrator.core.events import Recorded, is_reserved, types
from orchestrator.core.printable import first_of, one_line
from orchestrator.domain.tasks.commands import Tasks
from orchestrator.domain.tasks.edit_events import TaskEdited
from orchestrator.domain.tasks.events import TaskClaimed, TaskEvent
from orchestrator.domain.tasks.facts import NO_FACTS
from orchestrator.engine import Engine

SHOWN = 80
"""The largest length of a text of an agent."""

NAMED = 3
"""How many items of a list are named; the others are counted."""

SENTENCES = {
    "agent.imported": "imported the agent {record.id}",
    "agent.registered": "registered the agent {id}[ with the capabilities {capabilities}]",
    "agent.renamed": "renamed {id} to {to}",
    "agent.retired": "retired {id}[: {reason}]",
    "board.merged": "merged {taken} events of the board {other}",
    "board.repaired": "repaired {repaired}",
    "board.upgraded": "upgraded the board to format {format}",
    "convoy.cancelled": "cancelled the convoy {convoy}[: {reason}]",
    "convoy.changed": "changed the convoy {convoy}[: added {added:task}][: removed {removed:task}]",
    "convoy.created": "created the convoy {convoy}[ of {tasks:task}]",
    "convoy.landed": "ended the last task of the convoy {convoy}",
    "convoy.reopened": "reopened the convoy {convoy}",
    "convoy.started": "started the convoy {convoy}",
    "cycle.planned": "planned cycle {number}",
    "decision.added": "decided ({number}): {title}[, for {task:task}]",
    "decision.edited": "edited decision {number} by hand: {title}",
    "decision.superseded": "superseded decision {number} by {by}",
    "goal.created": "set the goal {goal} for {due:time}[ with {tasks:task}]",
    "goal.edited": "changed the goal {goal}[, due {due:time}][, to {description}][ (because: {reason})]",
    "goal.ended": "{outcome} the goal {goal}[: {reason}]",
    "goal.reopened": "reopened the goal {goal}",
    "goal.tasks_changed": "changed the goal {goal}[: added {added:task}][: removed {removed:task}]",
    "knowledge.deleted": "deleted the knowledge {topic}",
    "knowledge.edited": "edited the knowledge {topic} by hand",
    "knowledge.written": "wrote the knowledge {topic}",
    "lock.abandoned": "stopped waiting for the lock {resource}",
    "lock.acquired": "locked {resource} until {until:time}",
    "lock.awaited": "waits for the lock {resource} until {until:time}",
    "lock.broken": "broke the lock {resource} of {holders}: {reason}",
    "lock.lapsed": "took the lock {resource}, whose lease[ of {holder}] had ended",
    "lock.released": "released the lock {resource}",
    "lock.renewed": "extended the lock {resource} until {until:time}",
    "merge.claimed": "took the submissions {numbers} to merge them, until {until:time}",
    "merge.merged": "merged submission {number} as {commit}",
    "merge.rejected": "rejected submission {number}: {reason}",
    "merge.released": "gave submission {number} back to the merge queue[: {reason}]",
    "merge.renewed": "goes on with merging {numbers}, until {until:time}",
    "merge.retried": "let submission {number} wait again",
    "merge.returned": "returned submission {number} ({kind}): {reason}[, follow-up {follow_up:task}]",
    "merge.submitted": "submitted {branch} to be merged into {target} ({number})[, for {task:task}]",
    "merge.withdrawn": "withdrew submission {number}[: {reason}]",
    "message.acknowledged": "acknowledged message {message}",
    "message.archived": "archived the messages {messages}",
    "message.deleted": "deleted the messages {messages}",
    "message.delivered": "was shown the messages {messages}",
    "message.list_set": "set the mailing list {name}[ to {members}]",
    "message.marked_unread": "marked message {message} as not read",
    "message.muted": "is not to be disturbed[ until {until:time}]",
    "message.read": "read message {message}",
    "message.requeued": "gave message {message} back to the queue {queue}",
    "message.sent": "wrote to {to}: {subject}[ (answer to message {reply_to})]",
    "message.taken": "took message {message} from the queue {queue}",
    "message.unmuted": "may be disturbed again",
    "patrol.escalated": "told {to} what nudges have not solved: {concerns:concerns}",
    "patrol.nudged": "told {to}: {concerns:concerns}",
    "patrol.settled": "found that this is over: {concerns:concerns}",
    "permission.expired": "got no answer to the request {request_id}, so it is denied",
    "permission.request": "asks for permission to use {tool_name} ({request_id})",
    "permission.response": "answered the request {request_id}: {behavior}[: {message}]",
    "permission.taken": "has the answer to the request {request_id}",
    "session.ended": "ended the session[ ({outcome})][: {subject}]",
    "session.noted": "left a note for later[: {subject}]",
    "session.started": "started a session",
    "subscription.claim_finished": "finished its work on event {event}",
    "subscription.claim_lapsed": "took event {event}, whose claim[ by {holder}] had ended",
    "subscription.claimed": "claimed event {event} until {until:time}",
    "subscription.died": "gave up event {event} for {subscriber}: {reason}",
    "subscription.dismissed": "dismissed the dead letter {letter}",
    "subscription.due": "started {subscriber} by its schedule, due {due:time}",
    "subscription.failed": "failed on event {event}[ for {subscriber}] (attempt {attempt}): {reason}",
    "subscription.finished": "finished event {event}[ for {subscriber}] (attempt {attempt})",
    "subscription.interrupted": "was interrupted on event {event}[ for {subscriber}]"
    " (attempt {attempt}): {reason}",
    "subscription.moved": "set the cursor of {subscriber} to event {position}",
    "subscription.opened": "listens for events after {position} as {subscriber}",
    "subscription.renewed": "goes on with event {event}, until {until:time}",
    "subscription.retried": "gave the dead letter {letter} one more attempt",
    "subscription.scheduled": "set the schedule of {subscriber}: {schedule}",
    "subscription.woken": "may start {subscriber} again, whose file was changed",
    "subscription.started": "started on event {event}[ for {subscriber}] (attempt {attempt} of {most})",
    "task.added": "added {task:task} to {workstream}[, after {needs:task}]",
    "task.approved": "approved {task:task}[: {comment}]",
    "task.archived": "archived {record.id} {record.title}",
    "task.assigned": "assigned {task:task} to {to} until {until:time}",
    "task.blocked": "blocked {task:task}: {reason}",
    "task.cancelled": "cancelled {task:task}[: {reason}]",
    "task.checked": "ran the checks of {task:task}: {evidence:checks}",
    "task.claimed": "claimed {task:task} until {until:time}",
    "task.completed": "completed {task:task}[, done by {worker}][: {result}][, by force: {reason}]",
    "task.deleted": "deleted {record.id} {record.title}[: {reason}]",
    "task.distrusted": "marked the commands of {tasks:task} as not trusted",
    "task.edited": "changed {task:task}[: {:changes}][, now without {dropped}][ (because: {reason})]",
    "task.failed": "failed {task:task}[: {reason}]",
    "task.hung": "put {task:task} on the hook of its agent",
    "task.imported": "imported {record.id} {record.title}",
    "task.lapsed": "took back {task:task}, whose lease[ of {holder}] had ended",
    "task.moved": "moved {task:task} to {workstream}",
    "task.noted": "noted on {task:task}: {text}",
    "task.reached": "started the timers of {task:task}",
    "task.reimported": "imported {task:task} again[ from {source}][: {:changes}][ (because: {why})]",
    "task.rejected": "rejected {task:task}: {reason}",
    "task.released": "released {task:task}[ of {holder}][: {reason}]",
    "task.renewed": "extended the lease of {task:task} until {until:time}",
    "task.reopened": "reopened {task:task}[: {reason}]",
    "task.returned": "gave {task:task} back, not merged: {reason}",
    "task.review_claimed": "took the review of {task:task} until {until:time}",
    "task.review_released": "gave back the review of {task:task}[ by {holder}][: {reason}]",
    "task.review_renewed": "extended the review of {task:task} until {until:time}",
    "task.signalled": "gave {task:task} the signal {kind}[ {name}][: {text}]",
    "task.submitted": "submitted {task:task}[: {result}][, by force: {reason}]",
    "task.trusted": "trusted the commands of {task:task}",
    "task.unblocked": "unblocked {task:task}",
    "terminal.ended": "ended the terminal of {id}: {outcome}[ with status {status}]",
    "terminal.started": "started a terminal for {id}[, for {task:task}]",
    "workflow.burned": "removed the wisp {workflow:task}",
    "workflow.ended": "ended the workflow {workflow:task}: {outcome}",
    "workflow.poured": "started the workflow {workflow:task} from the formula {formula}",
    "workflow.reopened": "reopened the workflow {workflow:task}",
    "workflow.squashed": "condensed the wisp {workflow:task} of {steps:number} steps",
    "workstream.closed": "closed the workstream {workstream}[: {reason}]",
    "workstream.created": "created the workstream {workstream}",
    "workstream.edited": "changed the workstream {workstream}[: {:changes}]",
    "workstream.imported": "imported the workstream {record.name}",
    "workstream.reopened": "reopened the workstream {workstream}",
    "worktree.added": "made the worktree {path} of {task:task} with the branch {branch}",
    "worktree.prepared": "prepared the worktree of {task:task}[: {setup.problem}]",
    "worktree.removed": "removed the worktree of {task:task} with the branch {branch}",
}
"""The sentence of each type of event, without the agent.

``{field}`` is a fact of the event, ``{field:task}`` the task with its title, and ``time``, ``number``,
``checks`` and ``concerns`` are other ways to show a fact. ``{:changes}`` is the list of changes of an edit.
A part in brackets is left out if a fact in it is empty, or names the agent itself as the subscriber.
"""

_OPTIONAL = re.compile(r"\[([^\]]*)\]")
_FIELD = re.compile(r"\{([a-z_.]*)(?::([a-z]+))?\}")
_STATUS_AFTER = {
    name: event.STATUS
    for name, event in types().items()
    if issubclass(event, TaskEvent) and event.STATUS is not None
}
"""The types of events that change the status of a task, with what it is after them."""

_NO_CHANGE = (
    *("task", "workstream", "updated_at", "ended_at", "lease", "lease_until"),
    *("trusted", "dropped", "source", "why", "holder"),
)
"""Facts of an edit or an import that are no change of their own."""

_TIMES = ("defer_until", "due", "until")


class Sentences:
    """The sentences of the events of a board.

    Args:
        engine: The board.
        shown_time: Formats a timestamp for a sentence.
        subject: The id of the task that all sentences are about; they call it ``it``.
    """

    def __init__(
        self, engine: Engine, shown_time: Callable[[str], str] = str, *, subject: str = ""
    ) -> None:
        self._engine = engine
        self._tasks = Tasks(engine)
        self._shown_time = shown_time
        self._names = {subject: "it"}

    def of(self, record: Recorded) -> str:
        """What happened, without the agent: ``completed 72e4c01d Write the conventions``."""
        payload: Any = msgspec.json.decode(record.payload)
        template = SENTENCES.get(record.type)
        if not isinstance(payload, dict):  # a log that other programs wrote
            return f"logged {record.type}: {_text(payload)}"
        format = self._engine.read().board.format_at(record.id)
        if template is None or not is_reserved(record.type, format):
            facts = ", ".join(f"{key}={_text(value)}" for key, value in payload.items())
            return f"logged {record.type}{': ' if facts else ''}{facts}"
        return "".join(
            self._filled(piece, record, payload, is_optional=bool(number % 2))
            for number, piece in enumerate(_OPTIONAL.split(template))
        )

    def _filled(
        self, piece: str, record: Recorded, payload: Mapping[str, Any], *, is_optional: bool
    ) -> str:
        """A part of a template with its fields; empty if it is optional and a field is empty."""
        values = [self._field(m[1], m[2], record, payload) for m in _FIELD.finditer(piece)]
        is_own = "{subscriber}" in piece and payload.get("subscriber") == record.agent
        if is_optional and (is_own or not all(values)):
            return ""
        shown = iter(values)
        return _FIELD.sub(lambda _: next(shown), piece)

    def _field(self, name: str, kind: str | None, record: Recorded, payload: Any) -> str:
        if kind == "changes":
            return self._changes(record, payload)
        for part in name.split(".") if name else ():
            payload = payload.get(part) if isinstance(payload, dict) else None
        if payload in (None, "", []) or (name == "holder" and payload == record.agent):
            return ""
        if kind == "task":
            return first_of([payload] if isinstance(payload, str) else payload, NAMED, self._task)
        if kind == "time":
            return self._shown_time(payload)
        if kind == "number":
            return str(len(payload))
        if kind == "concerns":
            words = [
                f"{concern['kind'].replace('_', ' ')} {concern['subject']}" for concern in payload
            ]
            return first_of(words, NAMED, _text)
        if kind == "checks":
            failed = [check["what"] or check["kind"] for check in payload if not check["passed"]]
            return f"{first_of(failed, NAMED, _text)} failed" if failed else "all passed"
        return _text(payload)

    def _task(self, task_id: str) -> str:
        """The id of a task with its title; the id alone if the task is not on the board any more."""
        if task_id not in self._names:
            try:
                title = self._tasks.get(task_id).title
                self._names[task_id] = f"{task_id} {one_line(title, SHOWN)}"
            except NotFound:
                self._names[task_id] = task_id
        return self._names[task_id]

    def _changes(self, record: Recorded, payload: Mapping[str, Any]) -> str:
        """The changes of an edit: ``priority 3 -> 1, due 2026-12-01 -> none``."""
        before = self._facts_before(record, payload)
        is_edit = record.type == TaskEdited.TYPE  # its reason is that of the change
        changes = []
        for field, old, new in _changed_parts(before, payload):
            if field in _NO_CHANGE or (is_edit and field == "reason"):
                continue
            # Imports of older versions also wrote fields that had not changed.
            if before and old == new:
                continue
            name = field.replace("_", " ")
            items = new if isinstance(new, list) else [new]
            has_records = any(isinstance(item, (dict, list)) for item in items)
            texts = [self._fact(field, value) for value in (old, new)]
            is_long = has_records or max(map(len, texts)) > SHOWN // 2
            changes.append(f"{name} {' -> '.join(texts)}" if before and not is_long else name)
        return ", ".join(changes)

    def _fact(self, field: str, value: Any) -> str:
        if not value and value != 0:
            return "none"
        return self._shown_time(value) if field in _TIMES else _text(value)

    def _facts_before(self, record: Recorded, payload: Mapping[str, Any]) -> dict[str, Any]:
        """The facts of a task before an edit, as far as its events show them."""
        if "task" not in payload:
            return {}
        facts: dict[str, Any] = {**asdict(NO_FACTS), "status": "pending"}
        try:
            history = self._tasks.history(payload["task"])
        except NotFound:
            return facts
        for event in history:
            if event.id >= record.id:
                break
            if event.type in ("task.added", "task.edited", "task.reimported"):
                facts |= msgspec.json.decode(event.payload)
            elif event.type == "task.imported":
                facts |= msgspec.json.decode(event.payload)["record"]
            elif (status := _STATUS_AFTER.get(event.type)) is not None:
                facts |= _standing(event, status)
        return facts


def _changed_parts(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    """Yield the name of each fact of an edit with its old and new value; the checks in their parts."""
    for field, new in after.items():
        old = before.get(field)
        if field != "checks":
            yield field, old, new
            continue
        olds, news = old or {}, new or {}
        yield from ((part, olds.get(part), news.get(part)) for part in {**olds, **news})


def _standing(event: Recorded, status: str) -> dict[str, Any]:
    """What an event that changes the status of a task says of its agent, its result and the reason."""
    payload = msgspec.json.decode(event.payload)
    standing: dict[str, Any] = {"status": status, "reason": payload.get("reason", "")}
    if status in ("pending", "blocked"):
        standing |= {"assigned_to": None, "result": None}
    elif event.type == TaskClaimed.TYPE:
        standing["assigned_to"] = event.agent
    elif "to" in payload:
        standing["assigned_to"] = payload["to"]
    if "result" in payload:
        standing["result"] = payload["result"]
    return standing


def _text(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return first_of(value, NAMED, _text)
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return one_line(text, SHOWN)
