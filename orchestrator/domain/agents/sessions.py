"""Sessions: each start of an agent is an incarnation, which can leave a note for the next one.

An agent that gives its session (``ORC_SESSION``) is refused when a newer session of the same name has begun,
so a late result of an earlier worker cannot end the work of the current one.
"""

import msgspec

from orchestrator.core.errors import NotFound, UsageError
from orchestrator.core.printable import amount, one_line
from orchestrator.core.transaction import Committed, Noun, Transaction, command
from orchestrator.domain.agents.identity import (
    act_in_session,
    act_now,
    check_active,
    own_name,
)
from orchestrator.domain.agents.joining import new_name, running_servers, session_in
from orchestrator.domain.agents.records import (
    LEFT,
    OUTCOMES,
    OVERSEER,
    SEVERITIES,
    Outcome,
    Session,
    Severity,
)
from orchestrator.domain.agents.session_events import SessionEnded, SessionNoted, SessionStarted
from orchestrator.domain.locks import commands as locks
from orchestrator.domain.mail import commands as mail
from orchestrator.domain.mail.matters import count_unread, matter_of
from orchestrator.domain.state import State
from orchestrator.domain.tasks.commands import Tasks
from orchestrator.domain.tasks.completion import Completion, complete
from orchestrator.domain.tasks.edit_events import TaskEdited
from orchestrator.domain.tasks.events import (
    TaskAdded,
    blocked,
    released,
)
from orchestrator.domain.tasks.lookup import changed_task, find_live, hooked_task
from orchestrator.domain.tasks.records import Task
from orchestrator.domain.tasks.relations import Link
from orchestrator.domain.validation import (
    LONGEST_TITLE,
    check_choice,
    check_line,
    check_required,
    check_text,
    parse_moment,
)
from orchestrator.domain.workstreams.commands import Workstreams

SHOWN = 200
"""The largest length of a title or a reason on one line."""

ESCALATIONS = "escalations"
"""The workstream of escalations by agents without a task on the hook; created when it is needed."""


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """A finished session: the outcome, the task of the hook, and the session."""

    outcome: Outcome
    task: Task
    session: Session


def changed_session(state: State, events: Committed) -> Session:
    """The session that was started or ended."""
    kinds = (SessionStarted, SessionNoted, SessionEnded)
    recorded = next(r for r, e in events if isinstance(e, kinds))
    return state.agents.sessions[recorded.agent]


def escalation_task(state: State, events: Committed) -> Task:
    """The task that was added for an escalation."""
    return state.tasks[next(e.task for _, e in events if isinstance(e, TaskAdded))]


class Sessions(Noun[State]):
    """``orc.sessions``: start, join, handoff, end, done, escalate; get, in_host."""

    @command(changed_session)
    def start(self, tx: Transaction[State], agent: str | None = None) -> None:
        """Start a session: the next incarnation of the agent.

        Set ``ORC_SESSION`` to its number: then commands of earlier incarnations are refused.

        Args:
            agent: The agent; needed.
        """
        check_active(tx.state, act_now(tx, agent, needed=True))
        tx.record(SessionStarted(machine=tx.state.machine))

    @command(changed_session)
    def handoff(
        self,
        tx: Transaction[State],
        *,
        subject: str = "",
        note: str = "",
        collect: bool = False,
        files: tuple[str, ...] = (),
        keep: bool = False,
        agent: str | None = None,
    ) -> None:
        """End the agent's session with a note to its next one; the task on its hook stays there.

        Args:
            subject: One line for the next session.
            note: The information for it.
            collect: Add what the agent holds now: open tasks, locks, unread mail.
            files: Changed files that are not committed, to add too.
            keep: Keep the session: leave the note, and go on. What is empty stays as this session left it.
            agent: The agent; needed.

        Raises:
            Refused: The agent has started a newer session.
        """
        actor = act_in_session(tx, agent, needed=True)
        held = _collected(tx.state, actor, tx.now) if collect else []
        held += [f"changed file {check_text('file', name)}" for name in files]
        facts = {"subject": check_line("subject", subject), "note": check_text("note", note)}
        if keep:
            tx.record(SessionNoted(**facts, collected=tuple(held)))
        else:
            tx.record(SessionEnded(outcome="handoff", **facts, collected=tuple(held)))

    @command(changed_session)
    def join(
        self,
        tx: Transaction[State],
        client: str,
        *,
        host: str = "",
        folder: str = "",
        name: str = "",
        alone: bool = False,
    ) -> Session | None:
        """Return the session of a program that runs an agent; begin it if there is none.

        Everything that the program starts, such as hooks and servers, has the same host, so it is one agent.
        Without a name it gets the one that it had last in this folder; else that of the program. A name that
        another running program has gets a number.

        Args:
            client: The program, such as ``claude``.
            host: Its process, by :func:`orchestrator.core.processes.host_process`.
            folder: The folder in which it works.
            name: The name that the user gave the agent.
            alone: Never a session that a running server is: two servers do not share a mailbox.
        """
        presence = self._desk.presence
        taken = running_servers(tx.state, presence)
        own = tx.state.agents.aliases.get(name, name)
        known = session_in(tx.state, host, own, taken if alone else ())
        if known is not None:
            return known
        check_active(tx.state, own or client)
        place = {"client": client, "folder": folder}
        given = bool(own)
        tx.act_as(new_name(tx.state, presence, own or client, **place, given=given, taken=taken))
        tx.record(SessionStarted(host=host, machine=tx.state.machine, **place))
        return None

    @command(changed_session)
    def end(self, tx: Transaction[State], *, agent: str | None = None) -> Session:
        """End the session of an agent that has left; its work and its notes stay.

        Repeating it changes nothing.

        Args:
            agent: The agent; needed.

        Raises:
            NotFound: It never had a session.
            Refused: The agent has started a newer session.
        """
        actor = act_in_session(tx, agent, needed=True)
        session = tx.state.agents.sessions.get(actor) or self.get(actor)
        if session.is_live:
            tx.record(SessionEnded(outcome=LEFT))
        return session

    def in_host(self, host: str, name: str = "") -> Session | None:
        """Return the live session of a process; None if there is none.

        Args:
            host: The process.
            name: Only one of this name, or of this name with a number.
        """
        return session_in(self._state, host, self._state.agents.aliases.get(name, name))

    def done(
        self,
        outcome: Outcome = "COMPLETED",
        *,
        message: str = "",
        until: str = "",
        agent: str | None = None,
    ) -> Done:
        """End the task on the agent's hook, and the session.

        Args:
            outcome: COMPLETED: the task is done. ESCALATED: it is blocked, and the overseer is notified.
                DEFERRED: it becomes pending again.
            message: The result, the problem, or the reason to wait.
            until: With DEFERRED: the task is not offered before (``2026-12-01``, ``3d``).
            agent: The agent; needed.

        Raises:
            NotFound: The hook is empty.
            Refused: The agent has started a newer session, or the completion is refused.
            UsageError: There is no such outcome.
        """
        check_choice("outcome", outcome, OUTCOMES)
        if until and outcome != "DEFERRED":
            raise UsageError("`until` goes with DEFERRED only")
        name = own_name(self._desk, agent)
        request = ("sessions.done", (outcome, message, until, agent))

        def shows(state: State, events: Committed) -> Done:
            # Not ``name``: a repeated request shows the board as it was before the agent was renamed.
            session = state.agents.sessions[events[0][0].agent]
            return Done(outcome=outcome, task=changed_task(state, events), session=session)

        if outcome == "COMPLETED":
            return complete(
                self._desk,
                request,
                shows,
                lambda tx: hooked_task(tx.state, name).id,
                Completion(message or None, agent=name),
                then=lambda tx, _: _end(tx, outcome),
            )

        def leave(tx: Transaction[State]) -> None:
            self._leave(tx, outcome, message=message, until=until, agent=name)

        return self._desk.run(request[0], leave, shows, request[1])

    def _leave(
        self, tx: Transaction[State], outcome: Outcome, *, message: str, until: str, agent: str
    ) -> None:
        actor = act_in_session(tx, agent, needed=True)
        task = hooked_task(tx.state, actor)
        if outcome == "ESCALATED":
            reason = check_required("message", message)
            tx.record(blocked(task, reason))
            self.escalate(one_line(reason, SHOWN), message=reason, task=task.id, agent=actor)
        else:
            tx.record(released(task, check_text("message", message)))
            if until:
                moment = parse_moment("until", until, tx.now)
                tx.record(TaskEdited(task=task.id, defer_until=moment))
        _end(tx, outcome)

    @command(escalation_task)
    def escalate(
        self,
        tx: Transaction[State],
        topic: str,
        *,
        severity: Severity = "medium",
        message: str = "",
        task: str | None = None,
        workstream: str | None = None,
        to: str = OVERSEER,
        agent: str | None = None,
    ) -> None:
        """Report a problem: add a task for it, and send mail to the overseer.

        Args:
            topic: One line.
            severity: critical, high, medium or low.
            message: The problem.
            task: The task with the problem; the default is the one on the agent's hook.
            workstream: The workstream of the new task; the default is that of ``task``, else
                ``escalations``.
            to: The recipient of the mail.
            agent: Who reports.

        Raises:
            UsageError: There is no such severity.
        """
        check_choice("severity", severity, SEVERITIES)
        actor = act_in_session(tx, agent)
        cause = task if task is not None else tx.state.agents.hooks.get(actor)
        stream = workstream or (find_live(tx.state, cause).workstream if cause else ESCALATIONS)
        if workstream is None and not _is_active(tx.state, stream):
            stream = ESCALATIONS
        if stream == ESCALATIONS and stream not in tx.state.workstreams:
            Workstreams(self._desk).create(stream, description="Problems that agents reported")
        new = Tasks(self._desk).add(
            stream,
            title=topic,
            description=message,
            type="escalation",
            priority=SEVERITIES.index(severity) + 1,
            labels=["escalation", severity],
        )
        if cause is not None:
            link = Link("caused-by", find_live(tx.state, cause).id)
            tx.record(TaskEdited(task=new.id, links=(link,)))
        mail.post(
            tx,
            to,
            subject=f"Escalation ({severity}): {one_line(topic, SHOWN)}"[:LONGEST_TITLE],
            body="\n\n".join(filter(None, [message, f"The task for it is {new.id}."])),
            kind="coordination_request",
            priority="urgent" if severity == "critical" else "high",
            about=matter_of("task.added", new),
        )

    def get(self, agent: str | None = None) -> Session:
        """Return the last session of an agent; the default is the acting one.

        Raises:
            NotFound: It never had one.
        """
        name = own_name(self._desk, agent)
        session = self._state.agents.sessions.get(name)
        if session is None:
            raise NotFound(
                f"{name} never began a session",
                code="session_not_found",
                hint="`session start` begins one.",
            )
        return session


def _end(tx: Transaction[State], outcome: Outcome) -> None:
    """End the session of the acting agent, unless it has ended already."""
    session = tx.state.agents.sessions.get(tx.agent)
    if session is None or session.is_live:
        tx.record(SessionEnded(outcome=outcome))


def _is_active(state: State, workstream: str) -> bool:
    stream = state.workstreams.get(workstream)
    return stream is not None and stream.status == "active"


def _collected(state: State, agent: str, now: str) -> list[str]:
    """Describe what an agent holds, one line each."""
    lines = []
    for task in state.schedule.held_by(agent):
        hung = "on the hook, " if state.agents.hooks.get(agent) == task.id else ""
        lines.append(f"task {task.id} ({hung}{task.status}): {one_line(task.title, SHOWN)}")
    holds = (
        (lock.resource, lock.holder(agent)) for lock in locks.by_holder(state, now).get(agent, ())
    )
    lines += [f"lock {resource} until {holder.until}" for resource, holder in holds if holder]
    unread = count_unread(state, agent, now).unread
    return lines + ([amount(unread, "unread message")] if unread else [])
