"""What becomes of the events of the other nouns when two boards are merged.

An event is copied where it fits this board as it is now, as a command would record it, and is left on the
other board otherwise.
"""

from typing import Any

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from orchestrator.core.errors import Refused
from orchestrator.core.events import Event
from orchestrator.domain.agents.events import (
    AgentImported,
    AgentRegistered,
    AgentRenamed,
    AgentRetired,
)
from orchestrator.domain.agents.session_events import SessionEnded, SessionNoted, SessionStarted
from orchestrator.domain.convoys.events import (
    ConvoyCancelled,
    ConvoyChanged,
    ConvoyCreated,
    ConvoyLanded,
    ConvoyReopened,
    ConvoyStarted,
)
from orchestrator.domain.cycles.events import CyclePlanned
from orchestrator.domain.goals.events import (
    GoalCreated,
    GoalEdited,
    GoalEnded,
    GoalReopened,
    GoalTasksChanged,
)
from orchestrator.domain.locks.events import (
    LockAcquired,
    LockBroken,
    LockLapsed,
    LockReleased,
    LockRenewed,
)
from orchestrator.domain.mail.events import (
    MailingListSet,
    MailMuted,
    MailUnmuted,
    MessageAcknowledged,
    MessageArchived,
    MessageDeleted,
    MessageDelivered,
    MessageMarkedUnread,
    MessageRead,
    MessageRequeued,
    MessageSent,
    MessageTaken,
)
from orchestrator.domain.permissions.events import (
    PermissionAnswered,
    PermissionExpired,
    PermissionRequested,
    PermissionTaken,
)
from orchestrator.domain.subscriptions.events import (
    SubscriptionClaimed,
    SubscriptionClaimFinished,
    SubscriptionClaimLapsed,
)
from orchestrator.domain.tasks.lookup import exists
from orchestrator.domain.tasks.records import ENDED
from orchestrator.domain.tasks.resources import Need
from orchestrator.domain.workflows.events import (
    WorkflowBurned,
    WorkflowEnded,
    WorkflowPoured,
    WorkflowReopened,
    WorkflowSquashed,
)
from orchestrator.domain.workflows.wisps import check_unused
from orchestrator.domain.workstreams.events import (
    WorkstreamClosed,
    WorkstreamCreated,
    WorkstreamEdited,
    WorkstreamImported,
    WorkstreamReopened,
)
from orchestrator.maintenance.board_merge.merging import MergeInProgress, Rule, Won
from orchestrator.maintenance.board_merge.two_logs import Subject


def _edit(merging: MergeInProgress, subject: Subject, event: Any, fields: tuple[str, ...]) -> None:
    """Change a record, without the fields of which this board has a later value."""
    given = {f: v for f in fields if (v := getattr(event, f)) not in (UNSET, None)}
    for record, edit in merging.concurrent(subject, type(event)):
        for field in [*given]:
            here = getattr(edit, field)
            if here in (UNSET, None):
                continue
            if here != given[field]:
                won: Won = "there" if merging.is_older_here(record) else "here"
                what = f"{subject[0]} {subject[1]}"
                merging.conflict(what, field, here, given[field], won)
                if won == "there":
                    continue
            del given[field]
    defaults = {field.name: field.default for field in msgspec.structs.fields(type(event))}
    edited = replace(event, **{f: given.get(f, defaults[f]) for f in fields})
    merging.copy_if(edited, bool(given))


def _set_status(
    merging: MergeInProgress,
    event: Event,
    subject: Subject,
    status: tuple[str, str],
    kinds: tuple[type[Event], ...],
) -> None:
    """Change a status, unless this board has changed it later.

    Args:
        merging: The merge.
        event: The change.
        subject: What has the status.
        status: That of this board, and that of the event.
        kinds: The events that change the status.
    """
    here, there = status
    is_later = any(merging.is_later_here(subject, kind) for kind in kinds)
    if is_later and here != there:
        merging.conflict(f"{subject[0]} {subject[1]}", "status", here, there, "here")
    merging.copy_if(event, here != there and not is_later)


# Workstreams


def create_workstream(merging: MergeInProgress, event: WorkstreamCreated) -> None:
    """Create a workstream; one of its name is the same, with the facts that it has here."""
    known = merging.state.workstreams.get(event.workstream)
    if known is None:
        merging.copy(event)
        return
    merging.leave()
    fields = ("description", "priority", "prefix")
    merging.compare(f"workstream {known.name}", known, event, fields)


def import_workstream(merging: MergeInProgress, event: WorkstreamImported) -> None:
    """Add an imported workstream, unless it is here."""
    merging.copy_if(event, event.record.name not in merging.state.workstreams)


def edit_workstream(merging: MergeInProgress, event: WorkstreamEdited) -> None:
    """Change a workstream; of a field that both boards changed, the later value counts."""
    subject = ("workstream", event.workstream)
    _edit(merging, subject, event, ("description", "priority", "prefix"))


def open_or_close(merging: MergeInProgress, event: WorkstreamClosed | WorkstreamReopened) -> None:
    """Close or reopen a workstream, unless this board has closed or reopened it later."""
    status = "closed" if isinstance(event, WorkstreamClosed) else "active"
    known = merging.state.workstreams[event.workstream]
    subject, kinds = ("workstream", known.name), (WorkstreamClosed, WorkstreamReopened)
    _set_status(merging, event, subject, (known.status, status), kinds)


# Agents


def register(merging: MergeInProgress, event: AgentRegistered) -> None:
    """Register an agent; of two registrations the later one counts."""
    known = merging.state.agents.get(event.id)
    later = merging.is_later_here(("agent", event.id), AgentRegistered)
    if known is not None and later is not None:
        facts = ("type", "capabilities", "max_load")
        here, there = ({f: getattr(v, f) for f in facts} for v in (known, event))
        if here != there:
            merging.conflict(
                f"agent {event.id}", "facts", here, there, "here" if later else "there"
            )
    merging.copy_if(event, not (known is not None and later))


def import_agent(merging: MergeInProgress, event: AgentImported) -> None:
    """Add an imported agent, unless it is here."""
    merging.copy_if(event, event.record.id not in merging.state.agents)


def retire(merging: MergeInProgress, event: AgentRetired) -> None:
    """Retire an agent, unless this board has registered it meanwhile."""
    known = merging.state.agents.get(event.id)
    is_wanted = merging.is_concurrent(("agent", event.id))
    if known is not None and known.status == "active" and is_wanted:
        merging.conflict(f"agent {event.id}", "status", "active", "retired", "here")
    merging.copy_if(event, known is not None and known.status == "active" and not is_wanted)


def rename_agent(merging: MergeInProgress, event: AgentRenamed) -> None:
    """Rename an agent with all that it has here, if no other agent has the new name."""
    agents, mail = merging.state.agents, merging.state.mail
    is_taken = event.to in agents or event.to in agents.sessions or event.to in mail.mailboxes
    is_renamed = event.id in agents.aliases
    if is_taken or is_renamed:
        here = agents.aliases.get(event.id, event.id)
        if here != event.to:
            merging.conflict(f"agent {event.id}", "name", here, event.to, "here")
    merging.copy_if(event, not is_taken and not is_renamed)


def session(merging: MergeInProgress, event: SessionStarted | SessionNoted | SessionEnded) -> None:
    """Take over a session, unless the agent has had one here: its number must stay that of its process."""
    agent = merging.record.agent
    if not merging.is_concurrent(("session", agent)):
        merging.copy(event)
        return
    merging.leave()
    note = "\n".join(filter(None, (getattr(event, "subject", ""), getattr(event, "note", ""))))
    if note:
        here = merging.state.agents.sessions.get(agent)
        mine = "\n".join(filter(None, (here.subject, here.note))) if here else ""
        merging.conflict(f"session of {agent}", "note", mine, note, "here")


# Locks


def acquire(merging: MergeInProgress, event: LockAcquired) -> None:
    """Hold a resource, if no agent of this board holds it."""
    agent, now = merging.record.agent, merging.tx.now
    need = Need(event.resource, event.shared)
    collisions = merging.state.schedule.collisions(need, agent, now)
    if collisions and event.until > now:
        holder = f"held by {collisions[0].agent}"
        there = f"held by {agent} until {event.until}"
        merging.conflict(f"lock {event.resource}", "holder", holder, there, "here")
    mine = merging.state.locks.of(event.resource).holder(agent)
    merging.copy_if(event, not collisions and mine is None)


def keep_lock(merging: MergeInProgress, event: LockRenewed | LockReleased | LockLapsed) -> None:
    """Extend or end the hold of an agent of the other board."""
    agent = getattr(event, "holder", merging.record.agent)
    mine = merging.state.locks.of(event.resource).holder(agent)
    merging.copy_if(event, mine is not None and merging.is_from_there(mine.token))


def break_lock(merging: MergeInProgress, event: LockBroken) -> None:
    """Break a lock of agents of the other board."""
    holders = merging.state.locks.of(event.resource).holders
    theirs = [holder for holder in holders if merging.is_from_there(holder.token)]
    merging.copy_if(event, bool(theirs) and len(theirs) == len(holders))


# Mail


def send(merging: MergeInProgress, event: MessageSent) -> None:
    """Deliver a message, in the thread that it belongs to."""
    thread = merging.id_of(event.thread) if event.thread else 0
    reply_to = merging.id_of(event.reply_to) if event.reply_to else None
    merging.copy(replace(event, thread=thread or 0, reply_to=reply_to))


Marked = MessageRead | MessageAcknowledged | MessageMarkedUnread


def mark(merging: MergeInProgress, event: Marked) -> None:
    """Mark a message, if it is in the mailbox of the agent here."""
    message = merging.id_of(event.message) or 0
    box = merging.state.mail.mailbox(merging.record.agent)
    merging.copy_if(replace(event, message=message), message in box)


def deliver(merging: MergeInProgress, event: MessageDelivered) -> None:
    """Note that messages were shown to their recipient, who may be another process of it."""
    new = merging.state.mail.mailbox(merging.record.agent).new
    ids = (merging.id_of(message) or 0 for message in event.messages)
    messages = tuple(message for message in ids if message in new)
    merging.copy_if(replace(event, messages=messages), bool(messages))


def put_away(merging: MergeInProgress, event: MessageArchived) -> None:
    """Remove messages from a mailbox, as far as they are in it."""
    box = merging.state.mail.mailbox(merging.record.agent)
    ids = (merging.id_of(message) or 0 for message in event.messages)
    messages = tuple(message for message in ids if message in box)
    merging.copy_if(replace(event, messages=messages), bool(messages))


def take_from_queue(merging: MergeInProgress, event: MessageTaken) -> None:
    """Take a message from a queue, unless an agent of this board has taken it."""
    message = merging.id_of(event.message) or 0
    is_there = message in merging.state.mail.queues.get(event.queue, ())
    known = merging.state.mail.messages.get(message)
    if not is_there and known is not None and known.taken_by:
        what = f"message {message} of the queue {event.queue}"
        merging.conflict(what, "taken by", known.taken_by, merging.record.agent, "here")
    merging.copy_if(replace(event, message=message), is_there)


def requeue(merging: MergeInProgress, event: MessageRequeued) -> None:
    """Give a message back to its queue, if the agent has it here."""
    message, agent = merging.id_of(event.message) or 0, merging.record.agent
    known = merging.state.mail.messages.get(message)
    has_it = known is not None and known.taken_by == agent
    is_in_box = message in merging.state.mail.mailbox(agent)
    merging.copy_if(replace(event, message=message), has_it and is_in_box)


def set_list(merging: MergeInProgress, event: MailingListSet) -> None:
    """Set a mailing list; of two changes the later one counts."""
    later = merging.is_later_here(("list", event.name), MailingListSet)
    here = merging.state.mail.mailing_lists.get(event.name, ())
    if later is not None and here != event.members:
        won: Won = "here" if later else "there"
        merging.conflict(f"list {event.name}", "members", here, event.members, won)
    merging.copy_if(event, not later)


def disturb(merging: MergeInProgress, event: MailMuted | MailUnmuted) -> None:
    """Let mail disturb an agent or not, unless it has changed this here."""
    merging.copy_if(event, not merging.is_concurrent(("message", merging.record.agent)))


# Convoys and goals


def create_convoy(merging: MergeInProgress, event: ConvoyCreated) -> None:
    """Create a convoy; one of its name is the same, and gets the tasks of both."""
    tasks = tuple(task for task in event.tasks if exists(merging.state, task))
    known = merging.state.convoys.get(event.convoy)
    if known is None:
        merging.copy(replace(event, tasks=tasks))
        return
    merging.compare(f"convoy {event.convoy}", known, event, ("description",))
    added = tuple(task for task in tasks if task not in known.tasks)
    merging.copy_if(ConvoyChanged(convoy=event.convoy, added=added), bool(added))


def change_convoy(merging: MergeInProgress, event: ConvoyChanged) -> None:
    """Add tasks to a convoy and remove others, as far as they are not in it, or are."""
    known = merging.state.convoys[event.convoy].tasks
    added = tuple(t for t in event.added if t not in known and exists(merging.state, t))
    removed = tuple(task for task in event.removed if task in known)
    merging.copy_if(replace(event, added=added, removed=removed), bool(added or removed))


def start_convoy(merging: MergeInProgress, event: ConvoyStarted) -> None:
    """Start a convoy once."""
    merging.copy_if(event, not merging.state.convoys[event.convoy].started_at)


def land_convoy(merging: MergeInProgress, event: ConvoyLanded) -> None:
    """Land a convoy whose tasks have ended here too."""
    convoy = merging.state.convoys[event.convoy]
    merging.copy_if(event, convoy.status == "open" and not convoy.open_tasks)


def reopen_convoy(merging: MergeInProgress, event: ConvoyReopened) -> None:
    """Reopen a convoy that has an open task here too."""
    convoy = merging.state.convoys[event.convoy]
    merging.copy_if(event, convoy.status == "landed" and convoy.open_tasks > 0)


def cancel_convoy(merging: MergeInProgress, event: ConvoyCancelled) -> None:
    """Cancel a convoy that this board has left alone."""
    convoy = merging.state.convoys[event.convoy]
    is_changed = merging.is_concurrent(("convoy", event.convoy))
    if is_changed and convoy.status != "cancelled":
        what = f"convoy {event.convoy}"
        merging.conflict(what, "status", f"changed, {convoy.status}", "cancelled", "here")
    merging.copy_if(event, convoy.status != "cancelled" and not is_changed)


def create_goal(merging: MergeInProgress, event: GoalCreated) -> None:
    """Create a goal; one of its name is the same, and gets the tasks of both."""
    tasks = tuple(task for task in event.tasks if exists(merging.state, task))
    known = merging.state.goals.get(event.goal)
    if known is None:
        merging.copy(replace(event, tasks=tasks))
        return
    merging.compare(f"goal {event.goal}", known, event, ("due", "description"))
    added = tuple(task for task in tasks if task not in known.tasks)
    merging.copy_if(GoalTasksChanged(goal=event.goal, added=added), bool(added))


def edit_goal(merging: MergeInProgress, event: GoalEdited) -> None:
    """Change a goal; of a field that both boards changed, the later value counts."""
    _edit(merging, ("goal", event.goal), event, ("due", "description"))


def change_goal(merging: MergeInProgress, event: GoalTasksChanged) -> None:
    """Add tasks to a goal and remove others, as far as they are not in it, or are."""
    known = merging.state.goals[event.goal].tasks
    added = tuple(t for t in event.added if t not in known and t in merging.state.tasks)
    removed = tuple(task for task in event.removed if task in known)
    merging.copy_if(replace(event, added=added, removed=removed), bool(added or removed))


def end_goal(merging: MergeInProgress, event: GoalEnded | GoalReopened) -> None:
    """End or reopen a goal; of two changes the later one counts."""
    status = merging.state.goals[event.goal].status, getattr(event, "outcome", "open")
    _set_status(merging, event, ("goal", event.goal), status, (GoalEnded, GoalReopened))


# Workflows, cycles, permissions, claims of events


def pour(merging: MergeInProgress, event: WorkflowPoured) -> None:
    """Take over a workflow; the events after this one add its tasks."""
    root = event.workflow
    is_new = root not in merging.state.workflows
    merging.copy_if(event, is_new and (event.own_root or root in merging.state.tasks))


def end_workflow(merging: MergeInProgress, event: WorkflowEnded) -> None:
    """End a workflow whose root has ended here too."""
    known, root = merging.state.workflows.get(event.workflow), event.workflow
    has_ended = root in merging.state.tasks and merging.state.tasks[root].status in ENDED
    merging.copy_if(event, known is not None and not known.ended_at and has_ended)


def reopen_workflow(merging: MergeInProgress, event: WorkflowReopened) -> None:
    """Reopen a workflow whose root is open here too."""
    known = merging.state.workflows.get(event.workflow)
    is_open = merging.state.tasks.is_open(event.workflow)
    merging.copy_if(event, known is not None and bool(known.ended_at) and is_open)


def remove_workflow(merging: MergeInProgress, event: WorkflowSquashed | WorkflowBurned) -> None:
    """Remove a wisp that this board has left alone, and that nothing needs here."""
    state, root = merging.state, event.workflow
    known = state.workflows.get(root)
    if known is None:
        merging.leave()
        return
    steps = {*state.workflows.steps.get(root, ())} - {root}
    is_changed = any(merging.is_concurrent(("task", task)) for task in (root, *steps))
    is_same = steps == {*event.steps} - {root} and steps <= state.tasks.tasks.keys()
    fits = not is_changed and is_same
    try:
        check_unused(state, known, merging.tx.now, burning=isinstance(event, WorkflowBurned))
    except Refused:
        fits = False
    if not fits:
        merging.conflict(f"workflow {root}", "end", "changed", "removed", "here")
    merging.copy_if(event, fits)


def plan(merging: MergeInProgress, event: CyclePlanned) -> None:
    """Count a cycle of the other board behind those of this one."""
    cycle = merging.state.cycles.cycle
    number = cycle.number + 1 if cycle else 1
    if number != event.number:
        merging.renamed[f"cycle {event.number}"] = f"cycle {number}"
    plan = event.plan | ({"cycle": number} if "cycle" in event.plan else {})
    merging.copy(replace(event, number=number, plan=plan))


def ask(merging: MergeInProgress, event: PermissionRequested) -> None:
    """Take over a request for permission."""
    merging.copy_if(event, event.request_id not in merging.state.permissions)


def answer(merging: MergeInProgress, event: PermissionAnswered | PermissionExpired) -> None:
    """Answer a request that is open here too."""
    known = merging.state.permissions.get(event.request_id)
    merging.copy_if(event, known is not None and known.status == "pending")


def take_answer(merging: MergeInProgress, event: PermissionTaken) -> None:
    """Use up an answer once."""
    known = merging.state.permissions.get(event.request_id)
    merging.copy_if(event, known is not None and not known.taken)


def claim_event(merging: MergeInProgress, event: SubscriptionClaimed) -> None:
    """Claim an event, if no agent of this board has."""
    number = merging.id_of(event.event)
    known = merging.state.subscriptions
    mine = known.event_claims.get(number or 0)
    is_free = number not in known.finished_claims and (
        mine is None or mine.agent == merging.record.agent
    )
    if mine is not None and not is_free:
        merging.conflict(f"event {number}", "claim", mine.agent, merging.record.agent, "here")
    merging.copy_if(replace(event, event=number or 0), bool(number) and is_free)


def end_claim(
    merging: MergeInProgress, event: SubscriptionClaimFinished | SubscriptionClaimLapsed
) -> None:
    """End the claim of an agent of the other board on an event."""
    number = merging.id_of(event.event) or 0
    mine = merging.state.subscriptions.event_claims.get(number)
    holder = getattr(event, "holder", merging.record.agent)
    merging.copy_if(replace(event, event=number), mine is not None and mine.agent == holder)


RULES: dict[type[Event], Rule] = {
    AgentImported: import_agent,
    AgentRegistered: register,
    AgentRenamed: rename_agent,
    AgentRetired: retire,
    ConvoyCancelled: cancel_convoy,
    ConvoyChanged: change_convoy,
    ConvoyCreated: create_convoy,
    ConvoyLanded: land_convoy,
    ConvoyReopened: reopen_convoy,
    ConvoyStarted: start_convoy,
    CyclePlanned: plan,
    GoalCreated: create_goal,
    GoalEdited: edit_goal,
    GoalEnded: end_goal,
    GoalReopened: end_goal,
    GoalTasksChanged: change_goal,
    LockAcquired: acquire,
    LockBroken: break_lock,
    LockLapsed: keep_lock,
    LockReleased: keep_lock,
    LockRenewed: keep_lock,
    MailMuted: disturb,
    MailUnmuted: disturb,
    MailingListSet: set_list,
    MessageAcknowledged: mark,
    MessageArchived: put_away,
    MessageDeleted: put_away,
    MessageDelivered: deliver,
    MessageMarkedUnread: mark,
    MessageRead: mark,
    MessageRequeued: requeue,
    MessageSent: send,
    MessageTaken: take_from_queue,
    PermissionAnswered: answer,
    PermissionExpired: answer,
    PermissionRequested: ask,
    PermissionTaken: take_answer,
    SessionEnded: session,
    SessionNoted: session,
    SessionStarted: session,
    SubscriptionClaimFinished: end_claim,
    SubscriptionClaimLapsed: end_claim,
    SubscriptionClaimed: claim_event,
    WorkflowBurned: remove_workflow,
    WorkflowEnded: end_workflow,
    WorkflowPoured: pour,
    WorkflowReopened: reopen_workflow,
    WorkflowSquashed: remove_workflow,
    WorkstreamClosed: open_or_close,
    WorkstreamCreated: create_workstream,
    WorkstreamEdited: edit_workstream,
    WorkstreamImported: import_workstream,
    WorkstreamReopened: open_or_close,
}
"""The rule for each event of these nouns."""

LOCAL = (
    "board.repaired", "board.upgraded", "lock.awaited", "lock.abandoned", "subscription.",
    "worktree.", "patrol.", "terminal.",
)  # fmt: skip
"""Types without a rule: they say how one board, one machine or one repository stands."""
