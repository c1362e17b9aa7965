"""What becomes of an event of a task when two boards are merged.

The rules are those of one board: work that is done counts, a task has one holder, and of two values of a
field the later one counts. What loses is kept as a note of the task.
"""

from collections.abc import Iterable
from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from orchestrator.core.errors import Refused
from orchestrator.core.events import Event, Recorded, decode
from orchestrator.domain.state import State
from orchestrator.domain.tasks.circles import check_no_circle
from orchestrator.domain.tasks.edit_events import TaskEdited, TaskReimported
from orchestrator.domain.tasks.events import (
    ReviewClaimed,
    ReviewReleased,
    ReviewRenewed,
    TaskAdded,
    TaskArchived,
    TaskAssigned,
    TaskBlocked,
    TaskCancelled,
    TaskClaimed,
    TaskCompleted,
    TaskDeleted,
    TaskFailed,
    TaskHung,
    TaskImported,
    TaskLapsed,
    TaskMoved,
    TaskNoted,
    TaskReached,
    TaskReleased,
    TaskRenewed,
    TaskReopened,
    TaskSignalled,
    TaskUnblocked,
    archived,
    released,
)
from orchestrator.domain.tasks.facts import MOVING, TaskFacts
from orchestrator.domain.tasks.lookup import exists
from orchestrator.domain.tasks.records import ENDED, HELD, Task
from orchestrator.domain.tasks.transitions import TRANSITIONS
from orchestrator.domain.tasks.verification_events import (
    TaskApproved,
    TaskChecked,
    TaskDistrusted,
    TaskRejected,
    TaskReturned,
    TaskSubmitted,
    TaskTrusted,
)
from orchestrator.maintenance.board_merge.field_merge import both_changed, clashing, merged_value
from orchestrator.maintenance.board_merge.merging import MergeInProgress, Rule, Won, as_text

_NOTE = "a note of the task"


def _task(merging: MergeInProgress, event: Any) -> Task:
    return merging.state.tasks[event.task]


def _named(event: Any) -> str:
    return f"task {event.task}"


def _note(merging: MergeInProgress, task_id: str, text: str) -> str:
    """Keep a value that lost, and return where it is."""
    if task_id not in merging.state.tasks:
        return ""
    merging.follow(TaskNoted(task=task_id, text=text))
    return _NOTE


def _by(merging: MergeInProgress) -> str:
    return f"event {merging.record.id} of the other board, by {merging.record.agent}"


# New tasks


def add(merging: MergeInProgress, event: TaskAdded) -> None:
    """Add a task; if another task has its id here, under the next free id."""
    if exists(merging.state, event.task):
        if _is_same(merging, event):
            _join(merging, event)
            return
        task_id = _free_id(merging.state, event.task)
        merging.tasks[event.task] = task_id
        merging.renamed[f"task {event.task}"] = f"task {task_id}"
        renamed = merging.event_of(merging.record)
        assert isinstance(renamed, TaskAdded)
        event = renamed
    facts = _fitting(merging, event.task, event)
    merging.copy(replace(event, **facts))
    _distrust(merging, event.task)


def take_imported(merging: MergeInProgress, event: TaskImported) -> None:
    """Add an imported task; a task of its id is the same one, because the id is that of its source."""
    task = event.record
    if exists(merging.state, task.id):
        merging.leave()
        known = merging.state.tasks.get(task.id)
        if known is not None:
            merging.compare(f"task {task.id}", known, task, ("title",))
        return
    merging.copy(replace(event, record=replace(task, **_fitting(merging, task.id, task))))
    _distrust(merging, task.id)


def _is_same(merging: MergeInProgress, event: TaskAdded) -> bool:
    """Whether a task that both boards added is one task, such as the root of one import."""
    task = merging.state.tasks.get(event.task)
    return task is not None and (task.title, task.workstream) == (event.title, event.workstream)


def _join(merging: MergeInProgress, event: TaskAdded) -> None:
    """Report how a task that both boards added differs; the later one of two different values is kept."""
    merging.leave()
    fields = (field for field in TaskFacts.__struct_fields__ if field not in ("id", "checks"))
    merging.compare(_named(event), _task(merging, event), event, fields)


def _free_id(state: State, task_id: str) -> str:
    """A free id beside one that is in use: the next number of a child, or with a letter."""
    head, dot, tail = task_id.rpartition(".")
    number = int(tail) if dot and tail.isdigit() else None
    count = 1
    while True:
        count += 1
        new = f"{head}.{number + count - 1}" if number is not None else f"{task_id}-{count}"
        if not exists(state, new):
            return new


def _fitting(merging: MergeInProgress, task_id: str, facts: Any) -> dict[str, Any]:
    """The links of a task that hold here: without unknown tasks, and without a circle."""
    state = merging.state
    kept: dict[str, Any] = {}
    for field in ("needs", "needs_failure_of"):
        values = getattr(facts, field, UNSET)
        if values is not UNSET and values:
            kept[field] = tuple(need for need in values if exists(state, need))
    parent = getattr(facts, "parent", None)
    if isinstance(parent, str) and not exists(state, parent):
        kept["parent"] = None
    gate = getattr(facts, "gate", None)
    if gate and gate.of != task_id and not exists(state, gate.of):
        kept["gate"] = None
    workflow = getattr(facts, "workflow", None)
    if isinstance(workflow, str) and workflow not in state.workflows:
        kept["workflow"] = None
    dropped = {field: value for field, value in kept.items() if value != getattr(facts, field)}
    for field, value in dropped.items():
        merging.conflict(f"task {task_id}", field, value, getattr(facts, field), "here")
    base = state.tasks.get(task_id) or TaskFacts(id=task_id, workstream="", title="")
    moving = {
        field: dropped.get(field, getattr(facts, field))
        for field in MOVING
        if getattr(facts, field, UNSET) is not UNSET
    }
    try:
        check_no_circle(state, task_id, replace(base, **moving))
    except Refused as refusal:
        for field in moving:
            dropped[field] = getattr(base, field)
        merging.conflict(f"task {task_id}", "needs", "no circle", refusal.message, "here")
    return dropped


def _distrust(merging: MergeInProgress, task_id: str) -> None:
    """Remember that the commands of a task came from the other board."""
    task = merging.state.tasks[task_id]
    if task.checks is not None and task.checks.verify:
        merging.untrusted[task_id] = None


# Facts


def edit(merging: MergeInProgress, event: TaskEdited) -> None:
    """Change facts; of a fact that both boards changed, the later value counts."""
    facts = _facts_that_win(merging, event)
    facts |= {
        field: value
        for field, value in _fitting_facts(merging, event, facts).items()
        if field in facts
    }
    changes = {
        field: facts.get(field, UNSET)
        for field in TaskFacts.__struct_fields__
        if hasattr(event, field)
    }
    if not facts:
        merging.leave()
        return
    merging.copy(replace(event, **changes))
    if "checks" in facts:
        _distrust(merging, event.task)


def _fitting_facts(merging: MergeInProgress, event: Any, facts: dict[str, Any]) -> dict[str, Any]:
    given = {field: UNSET for field in event.facts() if field not in facts}
    return _fitting(merging, event.task, replace(event, **given))


def _facts_that_win(merging: MergeInProgress, event: Any) -> dict[str, Any]:
    task = _task(merging, event)
    facts: dict[str, Any] = event.facts()
    for record, mine in merging.concurrent(("task", event.task), TaskEdited, TaskReimported):
        for field in facts.keys() & mine.facts().keys():
            here, there = getattr(task, field), facts[field]
            if here == there:
                del facts[field]
            elif both_changed(here, there):
                before = _before(merging, record, event.task, field)
                if clashing(here, there, before):
                    older = merging.is_older_here(record)
                    merging.conflict(
                        _named(event), field, here, there, "there" if older else "here"
                    )
                    here, there = (here, there) if older else (there, here)
                facts[field] = merged_value(here, there, before)
            else:
                _lose(merging, record, event, field, facts)
    return facts


def _lose(
    merging: MergeInProgress, mine: Recorded, event: Any, field: str, facts: dict[str, Any]
) -> None:
    """Decide between two values of a fact: the later one counts, the other one is kept."""
    here, there = getattr(_task(merging, event), field), facts[field]
    won: Won
    if merging.is_older_here(mine):
        text = f"Before the merge, {field} was here (by {mine.agent}):\n{as_text(here)}"
        kept, won = _note(merging, event.task, text), "there"
    else:
        text = f"In {_by(merging)}, {field} was:\n{as_text(there)}"
        kept, won = _note(merging, event.task, text), "here"
        del facts[field]
    merging.conflict(_named(event), field, here, there, won, kept)


def _before(merging: MergeInProgress, mine: Recorded, task_id: str, field: str) -> Any:
    """The value of a fact before this board changed it: that of the newest older event that has it."""
    for number in reversed(merging.state.tasks[task_id].events):
        if number >= mine.id:
            continue
        event = decode(merging.tx.event(number), merging.state.board.format_at(number))
        value = getattr(getattr(event, "record", event), field, UNSET)
        if value is not UNSET:
            return value
    return ()


_OF_HOLDERS = (
    *("status", "assigned_to", "lease", "lease_until"),
    *("result", "reason", "notes", "ended_at"),
)
"""What an import says about the work on a task."""


def reimport(merging: MergeInProgress, event: TaskReimported) -> None:
    """Take what an import changed there; its status counts only if this board has left the task alone."""
    if not merging.is_concurrent(("task", event.task)):
        merging.copy(event)
        return
    facts = _facts_that_win(merging, event)
    own = {field: UNSET for field in event.facts() if field not in facts}
    own |= dict.fromkeys(_OF_HOLDERS, UNSET)
    merging.copy(replace(event, **own))


def move(merging: MergeInProgress, event: TaskMoved) -> None:
    """Move a task to another workstream; of two moves the later one counts."""
    here = _task(merging, event).workstream
    later = merging.is_later_here(("task", event.task), TaskMoved)
    if here == event.workstream or event.workstream not in merging.state.workstreams:
        merging.leave()
    elif later:
        merging.leave()
        merging.conflict(_named(event), "workstream", here, event.workstream, "here")
    else:
        if later is not None:
            merging.conflict(_named(event), "workstream", here, event.workstream, "there")
        merging.copy(event)


# Holders


def _is_held_here(merging: MergeInProgress, task: Task) -> bool:
    """Whether an agent of this board has the task, by a claim that the other board does not know."""
    if task.status not in HELD:
        return False
    if task.token is not None:
        return not merging.is_from_there(task.token)
    return any(merging.concurrent(("task", task.id), TaskAssigned))


def _is_free(merging: MergeInProgress, task: Task) -> bool:
    """Whether an agent of the other board may have the task."""
    return task.status in ("pending", *HELD) and not _is_held_here(merging, task)


def _standing(task: Task) -> str:
    """The status of a task, and who has it."""
    return f"{task.status} with {task.assigned_to}" if task.status in HELD else task.status


def claim(merging: MergeInProgress, event: TaskClaimed) -> None:
    """Claim a task if it is free here; else the claim has lost."""
    task, agent, now = _task(merging, event), merging.record.agent, merging.tx.now
    merging.lost_claims.pop(event.task, None)
    if task.status == "in_progress" and task.assigned_to == agent:
        merging.leave()  # the agent has it on both boards
    elif _is_free(merging, task):
        merging.copy(event)
    elif task.has_lapsed(now):
        merging.follow(TaskLapsed(task=task.id, holder=task.assigned_to or ""))
        merging.copy(event)
    else:
        merging.leave()
        merging.lost_claims[event.task] = (merging.record, event)


def assign(merging: MergeInProgress, event: TaskAssigned) -> None:
    """Give a task to an agent if it is free here."""
    task = _task(merging, event)
    if _is_free(merging, task):
        hung = merging.state.agents.hooks.get(event.to) in (None, event.task)
        merging.copy(replace(event, hung=event.hung and hung))
    else:
        merging.leave()
        if task.assigned_to != event.to:
            holder = task.assigned_to or task.status
            merging.conflict(_named(event), "assigned to", holder, event.to, "here")


def hang(merging: MergeInProgress, event: TaskHung) -> None:
    """Hang a task on the hook of its holder, if that has it here, and nothing else hangs there."""
    task = _task(merging, event)
    hooks, holder = merging.state.agents.hooks, task.assigned_to or ""
    is_theirs = task.status in HELD and not _is_held_here(merging, task)
    merging.copy_if(event, is_theirs and holder not in hooks)


def renew(merging: MergeInProgress, event: TaskRenewed) -> None:
    """Extend the lease of the holder, if it is the same here."""
    task = _task(merging, event)
    is_theirs = task.status in HELD and task.assigned_to == merging.record.agent
    if is_theirs and event.until > task.lease_until:
        merging.copy(event)
        return
    merging.leave()
    if event.task in merging.lost_claims:
        record, claimed = merging.lost_claims[event.task]
        merging.lost_claims[event.task] = record, replace(claimed, until=event.until)


def give_back(merging: MergeInProgress, event: TaskReleased | TaskLapsed) -> None:
    """End the hold of an agent of the other board."""
    task = _task(merging, event)
    merging.lost_claims.pop(event.task, None)
    holder = event.holder or merging.record.agent
    is_theirs = task.status in HELD and not _is_held_here(merging, task)
    merging.copy_if(event, is_theirs and task.assigned_to == holder)


# Ends


def end_well(merging: MergeInProgress, event: TaskCompleted | TaskSubmitted) -> None:
    """Work that is done there is done here, whoever has the task; a second result becomes a note."""
    task = _task(merging, event)
    worker = getattr(event, "worker", "") or merging.record.agent
    if task.status == "done" or (task.status == "in_review" and isinstance(event, TaskSubmitted)):
        merging.leave()
        if event.result and event.result != task.result:
            kept = _note(merging, task.id, f"In {_by(merging)}, the result was:\n{event.result}")
            merging.conflict(_named(event), "result", task.result or "", event.result, "here", kept)
        return
    is_reviewed = task.status == "in_review" and not _is_submitted_here(merging, task)
    if not is_reviewed and not _is_free(merging, task):
        _make_way(merging, task, event, worker)
    merging.copy(event)


def _is_submitted_here(merging: MergeInProgress, task: Task) -> bool:
    return any(merging.concurrent(("task", task.id), TaskSubmitted))


def _make_way(merging: MergeInProgress, task: Task, event: Any, worker: str) -> None:
    """Let the worker of the other board be the holder before its result is recorded."""
    there = f"{event.TYPE.partition('.')[2]} by {worker}"
    here = _standing(task)
    kept = ""
    if task.status in HELD:
        merging.follow(released(task, f"it was {there} on another board"))
        kept = "mail to the holder"
    elif task.status == "blocked":
        kept = _note(merging, task.id, f"Before the merge, it was blocked here: {task.reason}")
        merging.follow(TaskUnblocked(task=task.id))
    elif task.status == "in_review":
        if task.reviewer is not None:
            merging.follow(ReviewReleased(task=task.id, holder=task.reviewer))
        if task.result:
            kept = _note(merging, task.id, f"Before the merge, the result was:\n{task.result}")
    elif task.status in ENDED:
        kept = _note(merging, task.id, f"Before the merge, it was {task.status}: {task.reason}")
        merging.follow(TaskReopened(task=task.id, reason=f"it was {there} on another board"))
    merging.conflict(_named(event), "end", here, there, "there", kept)
    if event.task in merging.lost_claims:
        record, claimed = merging.lost_claims.pop(event.task)
        merging.copy(claimed, record)


def end_badly(merging: MergeInProgress, event: TaskFailed | TaskCancelled | TaskBlocked) -> None:
    """A task ends without success, or is blocked, unless this board goes on with it or has ended it."""
    task = _task(merging, event)
    status, verb = event.STATUS, event.TYPE.partition(".")[2]
    merging.lost_claims.pop(event.task, None)
    if task.status == status:
        merging.leave()
        return
    ways = {"failed": "fail", "cancelled": "cancel", "blocked": "block"}
    is_allowed = task.status in TRANSITIONS[ways[status or ""]]
    if is_allowed and not _is_held_here(merging, task):
        if edits := _edits(merging, task.id):
            merging.conflict(_named(event), "end", f"changed {edits}", verb, "there")
        merging.copy(event)
        return
    merging.leave()
    reason = f": {event.reason}" if event.reason else ""
    kept = _note(merging, task.id, f"In {_by(merging)}, it was {verb}{reason}")
    here = _standing(task)
    merging.conflict(_named(event), "end", here, f"{verb}{reason}", "here", kept)


def _edits(merging: MergeInProgress, task_id: str) -> str:
    edits = merging.concurrent(("task", task_id), TaskEdited)
    return ", ".join(dict.fromkeys(field for _, edit in edits for field in edit.facts()))


def unblock(merging: MergeInProgress, event: TaskUnblocked) -> None:
    """A task that both boards have blocked stays blocked here."""
    task = _task(merging, event)
    is_blocked_here = any(merging.concurrent(("task", task.id), TaskBlocked))
    merging.copy_if(event, task.status == "blocked" and not is_blocked_here)


def reopen(merging: MergeInProgress, event: TaskReopened) -> None:
    """Reopen a task, unless it was ended here without the other board's knowledge."""
    task = _task(merging, event)
    mine = merging.concurrent(("task", task.id), Event)
    is_ended_here = any(getattr(event, "STATUS", "") in ENDED for _, event in mine)
    if task.status in ENDED and not is_ended_here:
        merging.copy(event)
        return
    merging.leave()
    if task.status in ENDED:
        kept = _note(merging, task.id, f"In {_by(merging)}, it was reopened: {event.reason}")
        merging.conflict(_named(event), "end", task.status, "reopened", "here", kept)


# Reviews


def claim_review(merging: MergeInProgress, event: ReviewClaimed) -> None:
    """Take a review that no agent of this board has."""
    task = _task(merging, event)
    is_free = task.reviewer is None or task.review_until <= merging.tx.now
    is_theirs = task.status == "in_review" and not _is_submitted_here(merging, task)
    merging.copy_if(event, is_free and is_theirs)


def keep_review(merging: MergeInProgress, event: ReviewRenewed | ReviewReleased) -> None:
    """Extend or end the review of an agent of the other board."""
    task = _task(merging, event)
    reviewer = getattr(event, "holder", merging.record.agent)
    merging.copy_if(event, task.status == "in_review" and task.reviewer == reviewer)


def judge(merging: MergeInProgress, event: TaskApproved | TaskRejected | TaskReturned) -> None:
    """Words about the work count for the work that they are about; else they become a note."""
    task = _task(merging, event)
    if task.status == "in_review" and not _is_submitted_here(merging, task):
        merging.copy(event)
        return
    merging.leave()
    verb, text = event.TYPE.partition(".")[2], getattr(event, "comment", "")
    text = text or getattr(event, "reason", "")
    kept = _note(merging, task.id, f"In {_by(merging)}, the work was {verb}: {text}")
    merging.conflict(_named(event), "review", task.status, f"{verb}: {text}", "here", kept)


# The rest


def check(merging: MergeInProgress, event: TaskChecked) -> None:
    """Keep the newer results of the checks."""
    checks = merging.concurrent(("task", event.task), TaskChecked)
    merging.copy_if(event, all(merging.is_older_here(record) for record, _ in checks))


def reach(merging: MergeInProgress, event: TaskReached) -> None:
    """The times of signals begin once."""
    merging.copy_if(event, _task(merging, event).starts_timers)


def archive(merging: MergeInProgress, event: TaskArchived) -> None:
    """Archive or delete a task that has ended here too, unless this board has changed it."""
    known = merging.state.tasks.get(event.record.id)
    if known is None:
        merging.leave()
        return
    is_deleted = isinstance(event, TaskDeleted)
    if known.status in ENDED and not merging.is_concurrent(("task", known.id)):
        own = archived(merging.state, known)
        assert isinstance(own, TaskArchived)
        merging.copy(replace(event, record=own.record))
        return
    merging.leave()
    verb = "deleted" if is_deleted else "archived"
    merging.conflict(f"task {known.id}", "end", f"changed, {known.status}", verb, "here")


def _copied(merging: MergeInProgress, event: Event) -> None:
    merging.copy(event)


def _left(merging: MergeInProgress, _event: Event) -> None:
    merging.leave()


def gone(merging: MergeInProgress, event: Any) -> None:
    """Report what happened there to a task that this board has archived, deleted or removed."""
    merging.leave()
    texts: Iterable[str] = (
        str(getattr(event, name, "") or "") for name in ("text", "result", "reason", "comment")
    )
    text = ": ".join((event.TYPE.partition(".")[2], *filter(None, texts)))
    if isinstance(event, (TaskRenewed, ReviewRenewed, ReviewClaimed, TaskLapsed, TaskReached)):
        return
    tasks = merging.state.tasks
    is_archived = event.task in tasks.archived and event.task not in tasks.deleted
    here = "archived" if is_archived else "deleted"
    merging.conflict(_named(event), "end", here, text, "here")


NEW: dict[type[Event], Rule] = {TaskAdded: add, TaskImported: take_imported}
"""The rules for events of tasks that are not on this board yet."""

RULES: dict[type[Event], Rule] = {
    TaskApproved: judge,
    TaskArchived: archive,
    TaskAssigned: assign,
    TaskBlocked: end_badly,
    TaskCancelled: end_badly,
    TaskChecked: check,
    TaskClaimed: claim,
    TaskCompleted: end_well,
    TaskDeleted: archive,
    TaskDistrusted: _left,
    TaskEdited: edit,
    TaskFailed: end_badly,
    TaskHung: hang,
    TaskLapsed: give_back,
    TaskMoved: move,
    TaskNoted: _copied,
    TaskReached: reach,
    TaskReimported: reimport,
    TaskRejected: judge,
    TaskReleased: give_back,
    TaskRenewed: renew,
    TaskReopened: reopen,
    TaskReturned: judge,
    TaskSignalled: _copied,
    TaskSubmitted: end_well,
    TaskTrusted: _left,
    TaskUnblocked: unblock,
    ReviewClaimed: claim_review,
    ReviewReleased: keep_review,
    ReviewRenewed: keep_review,
}
"""The rule for each event of a task; trust is given on each machine anew, so it is not taken over."""


def take(merging: MergeInProgress, event: Any) -> None:
    """Record what an event of a task means here."""
    if (rule := NEW.get(type(event))) is not None:
        rule(merging, event)
        return
    rule = RULES[type(event)]
    task_id = getattr(event, "task", None)
    if task_id is not None and task_id not in merging.state.tasks:
        gone(merging, event)
    else:
        rule(merging, event)


def finish(merging: MergeInProgress) -> None:
    """Report the claims that lost, and let no command of the other board run untrusted."""
    for task_id, (record, event) in merging.lost_claims.items():
        task = merging.state.tasks.get(task_id)
        if task is None or task.status in ENDED or event.until <= merging.tx.now:
            continue
        merging.record = record
        here = f"{task.status} with {task.assigned_to}" if task.assigned_to else task.status
        there = f"claimed by {record.agent} until {event.until}"
        merging.conflict(f"task {task_id}", "claim", here, there, "here")
    untrusted = [task for task in merging.untrusted if task in merging.state.tasks]
    checks = {task: merging.state.tasks[task].checks for task in untrusted}
    tasks = tuple(task for task, known in checks.items() if known and known.verify)
    if tasks:
        merging.follow(TaskDistrusted(tasks=tasks))
