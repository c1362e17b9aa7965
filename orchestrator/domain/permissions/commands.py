"""``orc.permissions``: agents ask to use a tool, people allow or deny it."""

from typing import Any

import msgspec
from msgspec.structs import asdict

from orchestrator.core import clock
from orchestrator.core.errors import BadInput, Refused
from orchestrator.core.printable import escape, shortened
from orchestrator.core.strict_json import encode_payload, visible_json
from orchestrator.core.transaction import Committed, Desk, Noun, Transaction, command
from orchestrator.domain.agents.identity import act_now
from orchestrator.domain.agents.records import OVERSEER
from orchestrator.domain.board.commands import upgrade_for
from orchestrator.domain.permissions.events import (
    PermissionAnswered,
    PermissionEvent,
    PermissionExpired,
    PermissionRequested,
    PermissionTaken,
    digest_of,
)
from orchestrator.domain.permissions.records import BEHAVIORS, TIME, Behavior, PermissionRequest
from orchestrator.domain.state import State
from orchestrator.domain.validation import check_choice, check_line
from orchestrator.domain.waiting import wait_for

LARGEST = 1_000_000
"""Bytes of the largest input of a tool that can be asked for, as JSON."""

MOST_PENDING = 20
"""How many requests of an agent may wait at a time."""

SHOWN = 300
"""Characters of an input in a list and in mail."""

PEOPLE = ("human", "person")
"""The types of registered agents that are people."""


class PermissionView(PermissionRequest, frozen=True, kw_only=True):
    """A request with the input of its tool."""

    tool_input: dict[str, Any]


def request_of(state: State, events: Committed) -> PermissionRequest:
    """The request that a command is about."""
    request_id = next(e.request_id for _, e in events if isinstance(e, PermissionEvent))
    return state.permissions[request_id]


class Permissions(Noun[State]):
    """``orc.permissions``: ask; allow, deny; get, all."""

    def ask(
        self, tool: str, tool_input: dict[str, Any], *, agent: str | None = None, time: float = TIME
    ) -> PermissionRequest:
        """Ask people whether an agent may use a tool, and wait for the answer.

        If the same use was asked for before, by an attempt at the same event that has ended meanwhile, that
        request goes on: an answer that was given between counts. An answer counts for one use.

        Args:
            tool: The name of the tool.
            tool_input: What it is called with.
            agent: The agent that asks; needed.
            time: Seconds in which the request can be answered.

        Returns:
            The request: ``allowed``, ``denied``, or ``expired`` if its time is over.

        Raises:
            BadInput: The input is too large, or is not JSON.
            Refused: Too many requests of the agent wait.
        """
        while True:
            request = self._request(tool, tool_input, agent, time)
            try:
                return self._awaited(request, time)
            except Refused as refused:
                if refused.code != "taken":
                    raise

    def allow(self, id: str, *, agent: str | None = None) -> PermissionRequest:
        """Allow an agent to use the tool as it has asked, once.

        Raises:
            NotFound: There is no such request.
            Refused: It was answered already (``answered``), its time is over (``expired``), or an agent
                that asks for permissions itself would answer (``not_yours``).
        """
        return self._respond(id, "allow", "", agent)

    def deny(self, id: str, message: str = "", *, agent: str | None = None) -> PermissionRequest:
        """Deny it; see :meth:`allow`.

        Args:
            id: The request.
            message: A message for the agent.
            agent: Who answers.
        """
        return self._respond(id, "deny", message, agent)

    def pending(self) -> list[PermissionView]:
        """The requests that wait for an answer, oldest first."""
        pending = self._state.permissions.pending(self._desk.now())
        return [view_of(self._desk, request) for request in pending]

    def all(self) -> list[PermissionView]:
        """The requests that wait, and the last ones that were answered, oldest first."""
        return [view_of(self._desk, request) for request in self._state.permissions.values()]

    def get(self, id: str) -> PermissionView:
        """A request with the input of its tool.

        Raises:
            NotFound: There is no such request.
        """
        return view_of(self._desk, self._state.permissions.find(id))

    # The parts of :meth:`ask`

    def _awaited(self, request: PermissionRequest, time: float) -> PermissionRequest:
        left = clock.between(self._desk.now(), request.until)
        patience = min(max(left, 0.0), time)  # a clock that jumps back makes no wait longer
        answer = wait_for(self._desk, lambda: self._answer(request.id), patience)
        return answer or self._take(request.id, is_over=True)

    @command(request_of)
    def _request(
        self,
        tx: Transaction[State],
        tool: str,
        tool_input: dict[str, Any],
        agent: str | None,
        time: float,
    ) -> PermissionRequest | None:
        actor = act_now(tx, agent, needed=True)
        check_line("tool", tool)
        size = len(bytes(encode_payload(tool_input)))
        if size > LARGEST:
            raise BadInput(
                f"The input of {escape(tool)} has {size:,} bytes; {LARGEST:,} can be asked for"
            )
        requests, cause = tx.state.permissions, tx.cause.event if tx.cause else 0
        known = requests.same(actor, tool, digest_of(tool_input), cause, tx.now)
        if known is not None:
            return known
        if sum(request.agent == actor for request in requests.pending(tx.now)) >= MOST_PENDING:
            raise Refused(f"{MOST_PENDING} requests of {actor} wait already", code="too_many")
        upgrade_for(tx, "permission")
        request_id = tx.random_id()
        while request_id in requests:
            request_id = tx.random_id()
        tx.record(
            PermissionRequested(
                request_id=request_id,
                agent_id=actor,
                tool_name=tool,
                tool_input=tool_input,
                until=tx.later(time),
            )
        )
        _notify(tx, requests[request_id], tool_input)
        return None

    def _answer(self, id: str) -> PermissionRequest | None:
        """Take the answer if there is one; a pending request costs no lock."""
        request = self._state.permissions.get(id)
        return None if request is not None and request.status == "pending" else self._take(id)

    @command(request_of, answers_request=False)
    def _take(self, tx: Transaction[State], id: str, *, is_over: bool = False) -> PermissionRequest:
        """Take the answer; if there is none and the time is over, the request is denied.

        Raises:
            Refused: Another process has taken it (``taken``).
        """
        request = tx.state.permissions.find(id)
        tx.act_as(request.agent)
        if request.taken:
            raise Refused(f"The answer to request {id} was taken", code="taken")
        if request.status != "pending":
            tx.record(PermissionTaken(request_id=id))
        elif is_over or request.until <= tx.now:
            tx.record(PermissionExpired(request_id=id))
        return request

    @command(request_of)
    def _respond(
        self, tx: Transaction[State], id: str, behavior: Behavior, message: str, agent: str | None
    ) -> None:
        actor = act_now(tx, agent)
        check_choice("answer", behavior, BEHAVIORS)
        request = tx.state.permissions.find(id)
        is_agent = actor == request.agent or actor in tx.state.subscriptions
        if is_agent or self._desk.is_started:
            raise Refused(
                "An agent that an event has started cannot answer requests for permission",
                code="not_yours",
                hint="A person answers in a shell of their own.",
            )
        if request.answered_by:
            raise Refused(
                f"{request.answered_by} has answered request {id}: {request.status}",
                code="answered",
                answered_by=request.answered_by,
                status=request.status,
            )
        if not request.is_pending(tx.now):
            raise Refused(
                f"The time of request {id} is over: it was denied {clock.local_time(request.until, tx.now)}",
                code="expired",
                hint=f"If {request.agent} asks again, a new request comes.",
            )
        tx.record(
            PermissionAnswered(
                request_id=id, behavior=behavior, message=check_line("message", message)
            )
        )


def view_of(desk: Desk[State], request: PermissionRequest) -> PermissionView:
    """A request with the input of its tool, which only the log has."""
    payload = msgspec.json.decode(desk.event(request.event).payload)
    known = asdict(request)
    if request.status == "pending" and request.until <= desk.now():
        known["status"] = "expired"
    return PermissionView(**known, tool_input=payload["tool_input"])


def shown_input(tool_input: dict[str, Any], most: int = SHOWN) -> str:
    """The input of a tool on one line, without characters that a terminal obeys.

    If it is too long, short fields come first, so that a long one hides none of them, and the number of
    characters that are left out is named.
    """
    text = _json(tool_input)
    left_out = len(text) - most
    if left_out > 0:
        text = _json(dict(sorted(tool_input.items(), key=lambda item: len(_json(item)))))
    return text if left_out <= 0 else f"{shortened(text, most)} ({left_out:,} more characters)"


def _json(value: Any) -> str:
    return visible_json(msgspec.json.encode(value)).decode()


def _notify(tx: Transaction[State], request: PermissionRequest, tool_input: dict[str, Any]) -> None:
    """Send mail to the people of the board."""
    from orchestrator.domain.mail import commands as mail

    people = [
        agent.id
        for agent in tx.state.agents.values()
        if agent.type in PEOPLE and agent.status == "active" and agent.id != OVERSEER
    ]
    to = [name for name in (OVERSEER, *people) if name != request.agent]
    tool = shortened(escape(request.tool), 100)
    text = (
        f"{shown_input(tool_input)}\n\n"
        f"`permission show {request.id}` shows all of it. `permission allow {request.id}` allows it once,"
        f" `permission deny {request.id} MESSAGE` denies it. Without an answer it is denied after"
        f" {clock.spoken(clock.between(request.since, request.until))}."
    )
    mail.post(
        tx,
        to,
        subject=f"{request.agent} asks for permission: {tool}",
        body=text,
        kind="coordination_request",
        priority="high",
    )
