"""Commands and the transactions they run in.

A command is a method of a noun, decorated with :func:`command`: its body checks the state and records
events, and ``shows`` renders the result from the events and the state after them. A repeated request is
answered by ``shows`` alone, so it gives the first result without a second effect.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FunctionType
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, Generic, ParamSpec, Protocol, TypeVar

from msgspec.structs import replace

from orchestrator.core import calls, clock, names
from orchestrator.core.errors import BadInput, Damage, UsageError
from orchestrator.core.events import (
    FORMAT,
    Cause,
    Event,
    Origin,
    Recorded,
    decode,
    unknown_fields,
)
from orchestrator.core.progress import ShowProgress
from orchestrator.core.store import Cursors, Documents, LocalFiles, Presence, Store
from orchestrator.core.strict_json import encode_payload

S = TypeVar("S")
N = TypeVar("N", bound="Noun[Any]")
P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

Committed = list[tuple[Recorded, Event | None]]
"""The events of one commit, each with its record; None for a type that agents logged themselves."""

SYSTEM = "system"
"""The acting agent when none is named."""


def check_named(agent: str) -> str:
    """Return the name of the agent; claims, locks and mailboxes refuse ``system``.

    Raises:
        UsageError: It is ``system``: no agent was named.
    """
    if agent == SYSTEM:
        raise UsageError(
            "This command needs the name of the acting agent",
            code="agent_needed",
            hint="Name the agent, give --agent NAME, or set ORC_AGENT.",
        )
    return agent


def no_result(_state: object, _events: Committed) -> None:
    """Return the result of a command that is a part of another one: None."""


class Past(Protocol):
    """What a transaction reads beside the state: events that are committed, and documents."""

    documents: Documents

    def event(self, number: int) -> Recorded:
        """One event by its id."""


class Transaction(Generic[S]):
    """The state, the time, new ids and the recorded events of a command. It commits as a whole or not at all.

    Attributes:
        state: The state with everything recorded so far applied.
        now: The time of the transaction and of all its events.
        events: The recorded events.
        actors: The agents that acted in the transaction.
        documents: The content of documents that commands have read, by path.
        session: The number of the acting session, if the caller gave it.
        cause: The event that started the acting agent, if the caller gave it.
        show_progress: Shows the progress of long work.
        strangers: Agents that were given work or mail and never acted, for a warning.
        cook: Compiles a formula of the board, for workflows that add steps on their way.
        knows_agent: Whether an agent of this name was here; refuses a new name that differs from another
            agent's only in case.
    """

    def __init__(
        self,
        state: S,
        past: Past,
        *,
        head: int,
        now: str,
        agent: str,
        session: int | None,
        cause: Cause | None,
        show_progress: ShowProgress,
        cook: Callable[..., Any],
        knows_agent: Callable[[str], bool],
    ) -> None:
        self.state = state
        self.cook = cook
        self.knows_agent = knows_agent
        self.strangers: dict[str, None] = {}
        self.show_progress = show_progress
        self.now = now
        self.session = session
        self.cause = cause
        self.events: Committed = []
        self.documents: dict[str, bytes | None] = {}
        self.actors: set[str] = set()
        self._agent = agent
        self._head = head
        self._past = past

    @property
    def agent(self) -> str:
        """The acting agent."""
        return self._agent

    def act_as(self, agent: str | None, *, needed: bool = False) -> str:
        """Set the acting agent, and return its name.

        Args:
            agent: The name; None keeps the current agent.
            needed: Refuse ``system``: claims and locks need a named agent.

        Raises:
            UsageError: ``needed`` and no agent is named.
        """
        if agent is not None:
            self._agent = names.agent(agent)
        if self._agent not in self.actors:
            self.knows_agent(self._agent)
        self.actors.add(self._agent)
        return check_named(self._agent) if needed else self._agent

    def check_agent(self, agent: str) -> None:
        """Check the name of another agent that the command gives work or mail to."""
        if not self.knows_agent(agent):
            self.strangers[agent] = None

    def record(
        self, event: Event, *, origin: Origin | None = None, like: Recorded | None = None
    ) -> Recorded:
        """Add an event to the commit and apply it to the state.

        The event is encoded and decoded first, as if read from the log, so that the state in memory and the
        fold of the log cannot differ.

        Args:
            event: The event.
            origin: The event of another board that it comes from.
            like: A copy has the agent, the time, the request and the cause of this record.

        Raises:
            BadInput: A field has a value of a wrong type.
        """
        payload = encode_payload(event, unknown_fields(event))
        record = Recorded(
            self._next,
            like.ts if like else self.now,
            like.agent if like else self._agent,
            event.TYPE,
            payload,
            event.VERSION,
            req=like.req if like else None,
            cause=like.cause if like else self.cause,
            origin=origin,
        )
        try:
            written = decode(record, FORMAT)
        except Damage as damage:
            raise BadInput(f"{event.TYPE} cannot hold this: {damage.__context__}") from None
        assert written is not None
        written.apply(self.state, record)
        self.events.append((record, written))
        return record

    def record_custom(
        self,
        type_name: str,
        payload: Any,
        *,
        agent: str | None = None,
        ts: str | None = None,
        cause: Cause | None = None,
    ) -> Recorded:
        """Add an event of a type that agents define; the state does not change.

        ``agent`` and ``ts`` are for history that is imported from another system.
        """
        raw = encode_payload(payload)
        record = Recorded(
            self._next,
            ts or self.now,
            agent or self._agent,
            type_name,
            raw,
            cause=cause or self.cause,
        )
        self.events.append((record, None))
        return record

    def record_copy(self, record: Recorded) -> Recorded:
        """Add a copy of an event of another board whose type agents define; only its id is new."""
        copy = replace(record, id=self._next, more=False)
        self.events.append((copy, None))
        return copy

    @property
    def _next(self) -> int:
        """The id of the next event."""
        return self._head + len(self.events) + 1

    def read_document(self, path: str) -> bytes | None:
        """The content of a document; None after this transaction has changed it."""
        if any(path in event.documents(self.state) for _, event in self.events if event):
            return None
        self.documents[path] = data = self._past.documents.read(path)
        return data

    def event(self, number: int) -> Recorded:
        """An event by its id, from the log or this transaction."""
        position = number - self._head - 1
        if 0 <= position < len(self.events):
            return self.events[position][0]
        return self._past.event(number)

    @contextmanager
    def as_before(self) -> Iterator[None]:
        """Restore the acting agent after the block."""
        agent = self._agent
        try:
            yield
        finally:
            self._agent = agent

    @staticmethod
    def random_id() -> str:
        """Eight random hex digits; the caller checks that they are not used yet."""
        return os.urandom(4).hex()

    def later(self, seconds: float) -> str:
        """The timestamp some seconds from now."""
        return clock.after(self.now, seconds)


class Desk(Protocol[S]):
    """What a noun needs from the engine: the state to read, and transactions for commands.

    Attributes:
        agent: The acting agent when none is named.
        is_started: Whether an event has started the acting agent, also one of another board.
        folder: The folder of the board; None if it has none.
        documents: The texts that are not in the log.
        local: The files of this machine, if the board is in a database and has a folder here.
        presence: When agents were last active.
        show_progress: Shows the progress of long work.
        cursors: The positions of readers.
        store: Where the board is kept, for queries that read the log and not the state.
        timeout: Seconds to wait for another process.
        warn: Receives a sentence that a person should know.
    """

    agent: str
    is_started: bool
    folder: str | None
    store: Store
    timeout: float
    warn: Callable[[str], None]
    documents: Documents
    local: LocalFiles | None
    presence: Presence
    show_progress: ShowProgress
    cursors: Cursors

    def read(self) -> S:
        """The current state; it must not be changed."""

    def now(self) -> str:
        """The current time."""

    def run(
        self,
        name: str,
        body: Callable[[Transaction[S]], R | None],
        shows: Callable[[S, Committed], R],
        arguments: tuple[object, ...] | None,
    ) -> R:
        """Run a command in a new transaction, or in the open transaction.

        The body may run twice: again with the lock, if it ran without and another program has written. So it
        changes nothing but the transaction and documents. The result is that of ``shows``, or of the body if
        it recorded nothing and returned a result.

        ``arguments`` identify a repeated request; None for a command that answers no request.
        """

    def event(self, number: int) -> Recorded:
        """One event of the log by its id."""

    def read_backwards(self) -> Iterator[Recorded]:
        """The events of the log, newest first."""

    def query(self) -> AbstractContextManager[None]:
        """Hold the board for a query until it ends or pauses: no other thread changes the state."""

    def pause(self) -> None:
        """Prepare for a long action between commands: deliver signals, release the board to other threads.

        Raises:
            UsageError: A transaction is open, which would block all other writers.
        """

    def check_awaited(self) -> None:
        """Raise the exception that ends this thread if its async caller was cancelled."""

    def watch(self) -> Callable[[float], bool]:
        """Return a function that waits for the first commit after the known state.

        Call this before reading the board: a commit between the read and the wait then ends the wait at once,
        and is not missed.

        Returns:
            A function that blocks up to so many seconds; True after a commit. Call :meth:`pause` before it.
        """


class _Listed(Protocol[P, R_co]):
    """A noun with a listing."""

    def all(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """All records of the noun."""


class Noun(Generic[S]):
    """The commands and queries of one noun, bound to a board: ``orc.tasks``, ``orc.locks`` ...

    Attributes:
        NAME: The word before the dot in the names of its commands, which requests in the log carry.
    """

    NAME: ClassVar[str]

    def __init_subclass__(cls, *, name: str = "") -> None:
        cls.NAME = name or cls.__name__.lower()
        for attribute, value in [*vars(cls).items()]:
            if isinstance(value, FunctionType) and not attribute.startswith("_"):
                setattr(cls, attribute, calls.checked(value))
        if "all" in vars(cls):
            cls.list = vars(cls)["all"]  # type: ignore[method-assign]

    if TYPE_CHECKING:

        def list(self: "_Listed[P, R]", *args: P.args, **kwargs: P.kwargs) -> R:
            """The same as ``all``, under the name that the command line has."""

    def __init__(self, desk: Desk[S]) -> None:
        self._desk = desk

    @property
    def _state(self) -> S:
        """The state of the board now. Only events change it."""
        return self._desk.read()


def command(
    shows: Callable[[Any, Committed], R], *, answers_request: bool = True
) -> Callable[
    [Callable[Concatenate[N, Transaction[Any], P], R | None]], Callable[Concatenate[N, P], R]
]:
    """Make a method of a noun a command.

    ``shows`` makes the result from the events that the body records. If the body finds nothing to do, it
    records nothing, and what it returns is the result. Else what it returns is not used.

    Args:
        shows: Renders the result from the state after the commit and the events of the commit.
        answers_request: False for a part of another command, which answers the request.
    """

    def decorate(
        body: Callable[Concatenate[N, Transaction[Any], P], R | None],
    ) -> Callable[Concatenate[N, P], R]:
        verb = body.__name__.strip("_")

        def run(self: N, *given: P.args, **named: P.kwargs) -> R:
            args, kwargs = call.check(given, named)

            def within(tx: Transaction[Any]) -> R | None:
                before = len(tx.events)
                try:
                    unchanged = body(self, tx, *args, **kwargs)
                except TypeError:
                    # This raises a TypeError that does not count the transaction as an argument.
                    call(self, *args, **kwargs)
                    raise
                return unchanged if len(tx.events) == before else None

            arguments = (args, tuple(sorted(kwargs.items()))) if answers_request else None
            return self._desk.run(f"{self.NAME}.{verb}", within, shows, arguments)

        call = calls.Call(body, run, shows)
        return run  # type: ignore[return-value]

    return decorate
