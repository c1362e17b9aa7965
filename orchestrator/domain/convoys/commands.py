"""Convoys: tasks of any workstreams that are tracked together until all of them have ended.

A convoy lands automatically when its last task ends, and notifies its watchers. It is reopened when a task of
it is reopened. An empty convoy stays open.
"""

from collections.abc import Iterable
from contextlib import suppress
from itertools import islice

import msgspec

from orchestrator.core import names
from orchestrator.core.errors import NotFound, OrchestratorError, Refused
from orchestrator.core.events import Recorded, is_reserved
from orchestrator.core.multimap import multimap
from orchestrator.core.printable import one_line
from orchestrator.core.transaction import SYSTEM, Committed, Noun, Transaction, command
from orchestrator.domain.board.commands import upgrade_for
from orchestrator.domain.convoys.events import (
    ConvoyCancelled,
    ConvoyChanged,
    ConvoyCreated,
    ConvoyEvent,
    ConvoyLanded,
    ConvoyReopened,
    ConvoyStarted,
)
from orchestrator.domain.convoys.records import Convoy
from orchestrator.domain.mail import addresses
from orchestrator.domain.mail import commands as mail
from orchestrator.domain.state import State
from orchestrator.domain.tasks.lookup import outline, outlines, resolve_all
from orchestrator.domain.tasks.records import Task
from orchestrator.domain.validation import LONGEST_TITLE, check_line


class ConvoyStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A convoy with its progress: tasks by status, and the percentage that has ended.

    Attributes:
        waits: For each task that cannot be taken, the first reasons in words.
    """

    convoy: Convoy
    counts: dict[str, int]
    total: int
    ended: int
    percent: int
    ready: int
    tasks: list[dict[str, str | None]]
    waits: dict[str, list[str]]


def changed_convoy(state: State, events: Committed) -> Convoy:
    """The convoy of the command, after the commit."""
    return state.convoys[next(e.convoy for _, e in events if isinstance(e, ConvoyEvent))]


class Convoys(Noun[State]):
    """``orc.convoys``: create, add, remove, start, cancel; get, status, all."""

    @command(changed_convoy)
    def create(
        self,
        tx: Transaction[State],
        name: str,
        tasks: Iterable[str] = (),
        *,
        description: str = "",
        notify: Iterable[str] = (),
        target: str | None = None,
        agent: str | None = None,
    ) -> Convoy | None:
        """Create a convoy. If one has this name, these tasks and facts, nothing changes.

        Args:
            name: Its name.
            tasks: Ids or prefixes, of any workstreams.
            description: One line.
            notify: Addresses to notify when it lands; the default is the acting agent.
            target: The branch that the branches of its tasks are merged into, and that `merges.land` merges
                as one.
            agent: Who acts.

        Raises:
            NotFound: There is no such task.
            Refused: There is a convoy of this name that differs, or was cancelled.
        """
        actor = tx.act_as(agent)
        watchers = addresses.parse(notify)
        addresses.check(watchers)
        for watcher in addresses.named(watchers):
            tx.check_agent(watcher)
        known = tx.state.convoys.get(name)
        new = ConvoyCreated(
            convoy=name,
            description=check_line("description", description),
            tasks=resolve_all(tx.state, tasks),
            notify=watchers or _unless_system(actor),
            target=names.branch(target) if target else "",
        )
        if known is not None:
            facts = (known.description, {*known.tasks}, known.notify, known.target)
            same = facts == (new.description, {*new.tasks}, new.notify, new.target)
            if same and known.status != "cancelled":
                return known
            raise Refused(
                f"There is a convoy {name} already",
                code="convoy_exists",
                hint=f"`convoy status {name}` shows it; `convoy add {name} ID` adds a task to it.",
            )
        names.name("convoy", name, among=tx.state.convoys)
        if new.target:
            upgrade_for(tx, "merge")
        tx.record(new)
        return None

    @command(changed_convoy)
    def add(
        self, tx: Transaction[State], name: str, tasks: Iterable[str], *, agent: str | None = None
    ) -> Convoy:
        """Add tasks to a convoy; an open task reopens a landed convoy.

        Raises:
            NotFound: There is no such convoy or task.
            Refused: It was cancelled.
        """
        tx.act_as(agent)
        convoy = _find_live(tx.state, name)
        new = tuple(i for i in resolve_all(tx.state, tasks) if i not in set(convoy.tasks))
        if new:
            tx.record(ConvoyChanged(convoy=name, added=new))
        return convoy

    @command(changed_convoy)
    def remove(
        self, tx: Transaction[State], name: str, tasks: Iterable[str], *, agent: str | None = None
    ) -> None:
        """Remove tasks from a convoy; the tasks do not change.

        Raises:
            NotFound: There is no such convoy, or it does not track the task.
            Refused: It was cancelled.
        """
        tx.act_as(agent)
        convoy = _find_live(tx.state, name)
        gone = resolve_all(tx.state, tasks)
        if missing := [task for task in gone if task not in set(convoy.tasks)]:
            raise NotFound(f"Convoy {name} does not track {missing[0]}", code="not_tracked")
        tx.record(ConvoyChanged(convoy=name, removed=gone))

    @command(changed_convoy)
    def start(self, tx: Transaction[State], name: str, *, agent: str | None = None) -> Convoy:
        """Start a convoy. If it was started, nothing changes.

        Raises:
            NotFound: There is no such convoy.
            Refused: It was cancelled or has landed.
        """
        tx.act_as(agent)
        convoy = _find_live(tx.state, name)
        if convoy.status == "landed":
            raise Refused(f"Convoy {name} has landed", code="illegal_step")
        if not convoy.started_at:
            tx.record(ConvoyStarted(convoy=name))
        return convoy

    @command(changed_convoy)
    def cancel(
        self, tx: Transaction[State], name: str, *, reason: str = "", agent: str | None = None
    ) -> Convoy:
        """Cancel a convoy; its tasks do not change. If it was cancelled, nothing changes.

        Raises:
            NotFound: There is no such convoy.
            Refused: It has landed.
        """
        tx.act_as(agent)
        convoy = tx.state.convoys.find(name)
        if convoy.status == "landed":
            raise Refused(f"Convoy {name} has landed", code="illegal_step")
        if convoy.status != "cancelled":
            tx.record(ConvoyCancelled(convoy=name, reason=check_line("reason", reason)))
        return convoy

    # Queries

    def get(self, name: str) -> Convoy:
        """Return a convoy.

        Raises:
            NotFound: There is none of this name.
        """
        return self._state.convoys.find(name)

    def all(self, *, ended: bool = False) -> list[Convoy]:
        """Return the open convoys, oldest first; with ``ended`` all of them."""
        return [c for c in self._state.convoys.values() if ended or c.status == "open"]

    def status(self, name: str) -> ConvoyStatus:
        """Return the progress of a convoy, with each of its tasks.

        Raises:
            NotFound: There is none of this name.
        """
        from orchestrator.domain.tasks.blockers import REASONS, blockers
        from orchestrator.domain.tasks.stages import is_kept_back

        state, now = self._state, self._desk.now()
        convoy = state.convoys.find(name)
        rows, counts = outlines(state, convoy.tasks)
        present = list(state.tasks.present(convoy.tasks))
        return ConvoyStatus(
            convoy=convoy,
            counts=counts,
            total=len(rows),
            ended=convoy.ended,
            percent=convoy.percent,
            ready=sum(task.can_be_taken(now) for task in present),
            tasks=rows,
            waits={
                task.id: [blocker.says for blocker in islice(blockers(state, task, now), REASONS)]
                for task in present
                if is_kept_back(state, task, now)
            },
        )


def follow(tx: Transaction[State], events: Committed) -> None:
    """Land the convoys whose last task ended in these events; reopen those with an open task."""
    changed: dict[str, None] = {}
    for record, event in events:
        if isinstance(event, (ConvoyCreated, ConvoyChanged)):
            changed[event.convoy] = None
        elif record.type == "subscription.died":
            _report_dead_request(tx, record)
        task = getattr(event, "task", None)
        changed |= dict.fromkeys(tx.state.convoys.tracked_by.get(task, ()) if task else ())
    landed = []
    for name in changed:
        convoy = tx.state.convoys[name]
        if convoy.status == "open" and convoy.tasks and not convoy.open_tasks:
            tx.record(ConvoyLanded(convoy=name))
            landed.append(convoy)
        elif convoy.status == "landed" and convoy.open_tasks:
            tx.record(ConvoyReopened(convoy=name))
    _report(tx, landed)


def informed_of_the_end(tx: Transaction[State], task: Task) -> set[str]:
    """Return the agents that get the report of a convoy which landed with a task in this transaction."""
    landed = {event.convoy for _, event in tx.events if isinstance(event, ConvoyLanded)}
    names = landed.intersection(tx.state.convoys.tracked_by.get(task.id, ()))
    return {agent for name in names for agent in _audience(tx, tx.state.convoys[name])}


def track(tx: Transaction[State], task: Task) -> None:
    """Create a convoy for a task that is slung."""
    name, number = f"work-{task.id}", 1
    while name in tx.state.convoys:
        number += 1
        name = f"work-{task.id}-{number}"
    title, notify = one_line(task.title, LONGEST_TITLE), _unless_system(tx.agent)
    tx.record(ConvoyCreated(convoy=name, description=title, tasks=(task.id,), notify=notify))


def _find_live(state: State, name: str) -> Convoy:
    convoy = state.convoys.find(name)
    if convoy.status == "cancelled":
        raise Refused(f"Convoy {name} was cancelled", code="illegal_step")
    return convoy


def _report(tx: Transaction[State], landed: list[Convoy]) -> None:
    """Send each watcher one message about the convoys of its that landed."""
    convoys_of = multimap(
        (recipient, convoy.name) for convoy in landed for recipient in _audience(tx, convoy)
    )
    recipients = multimap((tuple(convoys), recipient) for recipient, convoys in convoys_of.items())
    for names_of, to in recipients.items():
        several = len(names_of) > 1
        verb = "have" if several else "has"
        subject = f"Convoy{'s' if several else ''} {', '.join(names_of)} {verb} landed"
        mail.post(
            tx,
            to,
            subject=subject[:LONGEST_TITLE],
            body="\n\n".join(_ends(tx.state, tx.state.convoys[name]) for name in names_of),
            kind="notification",
        )


def _report_dead_request(tx: Transaction[State], record: Recorded) -> None:
    """Let the watchers of a convoy know that the event which asks for its tasks is a dead letter."""
    died = tx.state.subscriptions.dead_letters[record.id]
    request = tx.event(died.event)
    if is_reserved(request.type):
        return  # it only mentions the convoy
    payload = msgspec.json.decode(request.payload)
    name = payload.get("convoy") if isinstance(payload, dict) else None
    convoy = tx.state.convoys.get(name) if isinstance(name, str) else None
    if convoy is None or convoy.status != "open":
        return
    if recipients := _audience(tx, convoy):
        mail.post(
            tx,
            recipients,
            subject=one_line(f"Given up: {convoy.description or name}", LONGEST_TITLE),
            body=f"{died.subscriber} could not work event {died.event}, which asks for the tasks of convoy"
            f" {name}: {died.reason}.\n\n`events retry {record.id}` tries again.",
            kind="notification",
        )


def _audience(tx: Transaction[State], convoy: Convoy) -> dict[str, None]:
    """Return who is notified, agents and queues; addresses whose group is empty or gone are skipped."""
    audience: dict[str, None] = {}
    for address in convoy.notify:
        with suppress(OrchestratorError):
            reached = addresses.resolve(tx.state, [address], tx.agent)
            audience |= dict.fromkeys(reached.agents)
            audience |= {f"queue:{reached.queue}": None} if reached.queue else {}
    return audience


def _ends(state: State, convoy: Convoy) -> str:
    """Say how the tasks of a convoy ended, the first of them."""
    rows = (outline(state, task) for task in convoy.tasks[:50])
    texts = (
        f"- {row['task']} {row['status']}: {one_line(str(row['title']), LONGEST_TITLE)}"
        f"{_remark(state.tasks.get(str(row['task'])))}"
        for row in rows
    )
    return "\n".join([f"All tasks have ended ({len(convoy.tasks)}):", "", *texts])


def _remark(task: Task | None) -> str:
    """Return why a task is not done, or what its reviewer had to say."""
    if task is None:
        return ""
    comments = [item.what for item in task.evidence if item.kind == "review" and item.passed]
    remark = task.reason or (comments[-1] if comments else "")
    return f" ({one_line(remark, LONGEST_TITLE)})" if remark else ""


def _unless_system(agent: str) -> tuple[str, ...]:
    return () if agent == SYSTEM else (agent,)
