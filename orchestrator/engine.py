"""The engine: opens a board, keeps its state up to date with the log, and is the only path to disk.

Every mutation goes the same way: lock, read the log's tail onto the state, run the command, append, apply,
effects, snapshot if due, unlock. Effects after a commit (knowledge files, snapshot) happen here, so that
a new command gets them for free. In a database, a program that was the only writer for a while leaves out
the lock.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, TypeVar

import msgspec

from orchestrator.commit_group import CommitGroup, Settled
from orchestrator.core import clock, flow, names
from orchestrator.core.decoding import whole_number
from orchestrator.core.errors import Damage, NotFound, OrchestratorError, Refused, UsageError
from orchestrator.core.events import Cause, Event, Recorded, RequestMark, caused_by, decode
from orchestrator.core.interrupts import Interrupts
from orchestrator.core.machine import VARIABLE, note_presence, this_machine
from orchestrator.core.progress import ShowProgress, no_progress
from orchestrator.core.store import Chunk, Cursor, LocalFiles, Outdated, Store
from orchestrator.core.transaction import SYSTEM, Committed, Transaction
from orchestrator.current_state import CurrentState
from orchestrator.domain import idempotency
from orchestrator.domain.agents.identity import check_name, strangers
from orchestrator.domain.reactions import react
from orchestrator.domain.state import State
from orchestrator.domain.tasks.events import renewal

R = TypeVar("R")


class Engine:
    """A process's view of a board; implements the ``Desk`` that nouns use.

    Args:
        store: The store of the events.
        agent: The acting agent of a command that names none.
        session: The number of the agent's session; None if unknown.
        cause: The event that started the agent, as :func:`cause_mark` names it.
        request_id: The request that the first changing command answers.
        light: The process ends after this command: write the snapshot at once, and keep signals back
            after a commit until it ends.
        timeout: Seconds to wait for the board's lock.
        now: The clock; that of the store if None.
        warn: Receives a sentence that a person should know although the command succeeded.
        cook: Compiles a formula; see :meth:`orchestrator.formulas.commands.Formulas.cook`.
        folder: The folder of the board; None if the store has none.
        local: The files of this machine, if the board is in a database and has a folder here.
        machine: The name of this machine; None: its own one, or empty if the store is local.

    Attributes:
        show_progress: Shows how much of long work is done, such as reading a long log; an interface sets it.
    """

    def __init__(
        self,
        store: Store,
        *,
        agent: str = SYSTEM,
        session: int | None = None,
        cause: str | None = None,
        request_id: str | None = None,
        light: bool = False,
        timeout: float = 10.0,
        now: clock.Clock | None = None,
        warn: Callable[[str], None],
        cook: Callable[..., Any],
        folder: str | None = None,
        machine: str | None = None,
        local: LocalFiles | None = None,
    ) -> None:
        self.store = store
        self._cook = cook
        self.presence = store.presence
        self.documents = store.documents
        self.cursors = store.cursors
        self.folder = folder
        self.local = local
        self.agent = names.agent(agent)
        self.session = session
        self._cause = cause
        self.is_started = bool(cause)
        opening = idempotency.check_id(request_id) if request_id else None
        self._requests: dict[flow.Flow | None, str | None] = {None: opening}
        self._light = light
        self.timeout = timeout
        self._clock = now or store.now
        self.warn = warn
        self.show_progress: ShowProgress = no_progress
        self._owner = flow.Ownership(timeout)
        self._interrupts = Interrupts()
        self._open: Transaction[State] | None = None
        self._group: CommitGroup | None = None
        self._half_done: BaseException | None = None
        if machine is None:
            machine = "" if store.is_local else this_machine()
        self._current = CurrentState(store, self._read_log, light=light, machine=machine, warn=warn)
        self.past_states = self._current.past
        self._changed = False
        self.has_recorded = False
        self.last_author: str | None = None

    # Reading

    def now(self) -> str:
        """The time."""
        return clock.timestamp(self._clock())

    def read(self) -> State:
        """The current state; it must not be changed.

        Of a damaged log, the part before the damage is read, with a warning.
        """
        with self._owner:
            if self._open is not None:
                return self._open.state
            state, damage = self._catch_up()
            check_name(state, self.presence, self.agent)
            self._present(self.agent)
            if damage is not None:
                self.warn(
                    f"{damage.message}. The board is shown as it was after event {state.event}."
                )
            return state

    @property
    def machine(self) -> str:
        """The name of this machine, if machines share the board; else empty."""
        return self._current.machine

    @property
    def position(self) -> Cursor:
        """The end of the log as far as it was read."""
        return self._current.position

    def _refresh(self) -> State:
        """Fold the new events of the log into the state.

        Raises:
            Damage: The log is invalid, or does not continue the snapshot.
        """
        state, damage = self._catch_up(keeps_checkpoints=True)
        if damage is not None:
            raise damage
        return state

    def _catch_up(self, *, keeps_checkpoints: bool = False) -> tuple[State, Damage | None]:
        """The state as far as the log can be read, and the damage that stops the reading."""
        state = self._current.state
        if self._group is not None and self._group.records and state is not None:
            # It has the waiting commits, and the lock keeps other programs from the log.
            return state, None
        return self._current.catch_up(keeps_checkpoints=keeps_checkpoints)

    def _read_log(self, after: Cursor) -> Iterator[Chunk]:
        return iter(self.show_progress(self.store.read(after), "Reading the log"))

    def forget(self) -> None:
        """Forget the state; the next use opens the board again."""
        self._current.forget()

    def state_at(self, number: int) -> State:
        """The state as it was right after an event.

        Raises:
            NotFound: The log has no such event.
        """
        with self._owner:
            self._flush()
            present = self.read()
        return present if number == present.event else self._current.at(number)

    def event(self, number: int) -> Recorded:
        """One event by its id, of the log or of the open transaction."""
        with self._owner:
            return (self._open or self._past).event(number)

    def read_backwards(self, before: int | None = None) -> Iterator[Recorded]:
        """The events of the log, newest first; those before an event, if one is given."""
        with self._owner:
            self._flush()
            return self.store.read_backwards(before)

    @property
    def _past(self) -> CommitGroup | Store:
        """The events that are committed, and the documents."""
        return self._group or self.store

    def note_machine(self) -> None:
        """Note in a shared board that this machine uses it, and warn if another one has the same name."""
        if not self.machine:
            return
        seen = note_presence(self.cursors, self.machine, self._clock())
        if seen is not None:
            self.warn(
                f"Another machine has the name {self.machine} too, and used this board at"
                f" {clock.timestamp(seen)}. Both count as one machine until you set {VARIABLE} on one of"
                " them to a name of its own."
            )

    def pause(self) -> None:
        """Prepare for a long action between commands: deliver signals, release the board to other threads.

        Raises:
            UsageError: A transaction is open, which would block all other writers.
        """
        with self._owner:
            if self._open is not None:
                raise UsageError(
                    "What takes long, inside a transaction, would keep everybody else out"
                )
            self.settle()
        self._owner.pause()
        self._interrupts.release()

    def query(self) -> AbstractContextManager[None]:
        """Hold the board for a query until it ends or pauses: no other thread changes the state."""
        return self._owner.until_pause()

    def check_awaited(self) -> None:
        """Do nothing: a plain call is ended by an exception in its own thread."""

    def watch(self) -> Callable[[float], bool]:
        """Return a function that waits for the next commit; see ``Desk.watch``."""
        return functools.partial(self.store.wait, self._current.position)

    # Commands

    def run(
        self,
        name: str,
        body: Callable[[Transaction[State]], R | None],
        shows: Callable[[State, Committed], R],
        arguments: tuple[object, ...] | None,
    ) -> R:
        """Run a command in the open transaction, else in a new one."""
        with self._owner:
            if self._open is not None:
                return self._join(self._open, body, shows)
            request = self._request(name, arguments)
            if (unlocked := self._without_lock(name)) is not None:
                with suppress(Outdated), unlocked:
                    return self._run_alone(request, body, shows)
            with self._locked(name):
                return self._run_alone(request, body, shows)

    def _run_alone(
        self,
        request: RequestMark | None,
        body: Callable[[Transaction[State]], R | None],
        shows: Callable[[State, Committed], R],
    ) -> R:
        """Run a command while no other program writes, or answer its request again."""
        state = self._refresh()
        if request is not None and (
            known := idempotency.answered(
                state.requests, request.id, request.command, request.arguments
            )
        ):
            self._end_request()
            self.has_recorded = True  # the same as the first answer
            self._flush()
            return self._answer_again(known, shows)
        with self._opened(state) as tx:
            result = body(tx)
            has_recorded = bool(tx.events)
            self._commit(tx, request)
            self.has_recorded |= has_recorded
        return shows(state, tx.events) if result is None else result

    def take_over(self, records: list[Recorded], state: State) -> None:
        """Import a whole log, whose fold is ``state``, into this empty board.

        Raises:
            Refused: The board has events of its own.
        """
        with self._owner, self._locked("import"):
            if self._refresh().event:
                raise not_empty()
            formats = state.board.format_at
            events = (decode(record, formats(record.id)) for record in records)
            texts = _documents(events, state)
            live = {path: text for path, text in texts.items() if text is not None}
            self._append(records, state, live, {})

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Several commands, one commit; an exception leaves nothing behind.

        Raises:
            UsageError: A request id is set: it belongs to one command.
        """
        with self._owner:
            if self._open is not None:
                with self._joining(self._open):
                    yield
                return
            if self._requested() is not None:
                raise UsageError("A request id belongs to one command, not to a transaction")
            with self._locked("transaction"), self._opened(self._refresh()) as tx:
                yield
                self._commit(tx, None)

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """Run commands and discard their changes: no lock is taken, and no file is changed.

        Raises:
            UsageError: A transaction is open.
        """
        with self._owner:
            if self._open is not None:
                raise UsageError("A transaction cannot be rehearsed from inside")
            self.settle()
            tx = self._open = self._begin(self._refresh())
            try:
                yield
                self._warn_of_strangers(tx)
            finally:
                self._open = self._half_done = None
                self.forget()

    @contextmanager
    def request(self, request_id: str) -> Iterator[None]:
        """The command inside answers this request: repeating it has one effect."""
        caller = flow.current()
        is_nested, outer = caller in self._requests, self._requests.get(caller)
        self._requests[caller] = idempotency.check_id(request_id)
        try:
            yield
        finally:
            if is_nested:
                self._requests[caller] = outer
            else:
                del self._requests[caller]

    @contextmanager
    def caused_by(self, cause: str) -> Iterator[None]:
        """Record this cause in the events inside; see :func:`cause_mark`."""
        outer, self._cause = self._cause, cause or self._cause
        try:
            yield
        finally:
            self._cause = outer

    def _requested(self) -> str | None:
        """The request that the next change of the calling flow answers."""
        return self._requests.get(flow.current(), self._requests[None])

    def _end_request(self) -> None:
        """Note that the request is answered, so that the next command does not answer it too."""
        caller = flow.current()
        self._requests[caller if caller in self._requests else None] = None

    @contextmanager
    def grouped(self, settled: Settled) -> Iterator[CommitGroup]:
        """Make the commits of the commands inside durable with one sync, at the end of the block.

        The commands may be those of several flows, in this thread. Their callers get no answer before
        ``settled`` is called.
        """
        self._group = group = CommitGroup(self.store, self._owner, self.timeout, settled)
        try:
            yield group
        finally:
            # Not if a long action has ended it: another thread may have begun one since.
            if self._group is group:
                self.settle()

    def settle(self) -> None:
        """End the group of commits, if there is one: from here on they have happened."""
        group = self._group
        if group is None:
            return
        with group:
            self._interrupts.hold()
            try:
                if group.records:
                    before = self._current.position
                    self._flush()
                    self._carry_out({}, {}, before)
            finally:
                self._group = None  # before other threads may begin one
                self._interrupts.release()

    def _flush(self) -> None:
        """Append the commits that wait to the log, before it is read or written in another way."""
        if self._group is None:
            return
        records = self._group.records
        try:
            self._current.position = self._group.flush(self._current.position)
        except BaseException:
            self.forget()  # the state has what is not in the log
            raise
        self._current.schedule.grow(records)

    def _locked(self, name: str) -> AbstractContextManager[None]:
        if self._group is not None:
            return self._group.locked(name)
        return self.store.locked(name, self.timeout)

    def _without_lock(self, name: str) -> AbstractContextManager[None] | None:
        """The block in which a command needs no lock, if the store has one and no commits wait."""
        saving = self.store.lock_saving
        if saving is None or self._group is not None or self._current.state is None:
            return None
        return saving.without_lock(name, self.timeout)

    @property
    def _presumes(self) -> bool:
        """Whether a command runs without the lock, and what it has read is not confirmed yet."""
        saving = self.store.lock_saving
        return saving is not None and saving.presumes

    def _request(self, name: str, arguments: tuple[object, ...] | None) -> RequestMark | None:
        request_id = self._requested()
        if request_id is None or arguments is None:
            return None
        return RequestMark(request_id, name, idempotency.digest(arguments), 0)

    @contextmanager
    def _opened(self, state: State) -> Iterator[Transaction[State]]:
        """A transaction that inner commands join; it is discarded unless it commits."""
        tx = self._open = self._begin(state)
        try:
            yield tx
        except BaseException:
            if tx.events:
                position = self._current.position
                self.forget()
                if self._group is not None:  # what it has committed is not in the state any more
                    self._group.flush(position)
            raise
        finally:
            self._open = self._half_done = None
            is_final = not self._presumes  # else the command runs again
            if is_final:
                self._present(*tx.actors)
        if is_final:
            self._warn_of_strangers(tx)

    def _warn_of_strangers(self, tx: Transaction[State]) -> None:
        for sentence in strangers(tx.state, self.presence, tx.strangers):
            self.warn(sentence)

    def _begin(self, state: State) -> Transaction[State]:
        return Transaction(
            state,
            self._past,
            head=state.event,
            now=self.now(),
            agent=self.agent,
            session=self.session,
            cause=self._caused_by(),
            knows_agent=functools.partial(check_name, state, self.presence),
            show_progress=self.show_progress,
            cook=self._cook,
        )

    def _caused_by(self) -> Cause | None:
        """The cause of what is recorded; None if the mark names an event of another board."""
        number = whole_number((self._cause or "").partition("/")[0])
        if number is None:
            return None
        try:
            record = self._past.event(number)
        except NotFound:
            return None
        return caused_by(record) if cause_mark(record) == self._cause else None

    def _join(
        self,
        tx: Transaction[State],
        body: Callable[[Transaction[State]], R | None],
        shows: Callable[[State, Committed], R],
    ) -> R:
        before = len(tx.events)
        with self._joining(tx), tx.as_before():
            result = body(tx)
            self.has_recorded |= len(tx.events) > before
        return shows(tx.state, tx.events[before:]) if result is None else result

    @contextmanager
    def _joining(self, tx: Transaction[State]) -> Iterator[None]:
        """Mark the transaction as failed, so that catching the exception cannot commit one half."""
        before = len(tx.events)
        try:
            yield
        except BaseException as error:
            if len(tx.events) > before:
                self._half_done = error
            raise

    def _answer_again(
        self, known: idempotency.Request, shows: Callable[[State, Committed], R]
    ) -> R:
        """The first result of a request, rendered from its events and the state they left."""
        events: Committed = []
        state = self.state_at(known.last)
        for number in range(known.first, known.last + 1):
            record = self.store.event(number)
            events.append((record, decode(record, state.board.format_at(number))))
        return shows(state, events)

    def _commit(self, tx: Transaction[State], request: RequestMark | None) -> None:
        if self._half_done is not None:  # although it was caught
            raise Refused(
                f"A command in this transaction failed halfway: {self._half_done}",
                code="half_done",
                hint="Nothing was committed. Let the failure end the transaction.",
            )
        answering = request if tx.events else None  # renewals alone answer nothing
        react(tx)
        for agent in tx.actors - {SYSTEM}:
            for task in tx.state.schedule.due_renewals(agent, tx.now):
                tx.act_as(agent)
                tx.record(renewal(task, tx.now))
        if not tx.events:
            return
        records = _closed([record for record, _ in tx.events], answering)
        for record in records:
            tx.state.close(record)
        texts = _documents((event for _, event in tx.events), tx.state)
        is_plain = not texts and not tx.documents
        if self._group is not None and is_plain and self._group.takes(records):
            self._group.records += records
            self._changed = True
        else:
            self._append(records, tx.state, texts, tx.documents)
        self.last_author = records[-1].agent
        if answering is not None:
            self._end_request()

    def _append(
        self,
        records: list[Recorded],
        state: State,
        texts: Mapping[str, str | None],
        seen: Mapping[str, bytes | None],
    ) -> None:
        """Append a commit, then carry out its effects; signals wait meanwhile.

        Args:
            records: The commit.
            state: The state with the commit folded in.
            texts: The documents that it leaves behind; None for one that is deleted.
            seen: The content of these documents when the command read them.
        """
        if (saving := self.store.lock_saving) is not None:
            # Before signals are held back: an interrupt ends a wait for the lock.
            is_followed = bool(texts) or self._group is not None or self._current.schedule.is_due
            saving.prepare_append(keeps_lock=is_followed)
        self._interrupts.hold()
        before = self._current.position
        try:
            self._flush()
            self._current.position = self.store.append(records, self._current.position)
            self._current.state = state
            self._current.schedule.grow(records)
            self._changed = True
            self._carry_out(texts, seen, before)
        finally:
            if not self._light:
                self._interrupts.release()

    # Effects

    def _carry_out(
        self, texts: Mapping[str, str | None], seen: Mapping[str, bytes | None], before: Cursor
    ) -> None:
        """The effects of a commit after a position: the commit is valid, so a failure here is a warning."""
        for path, text in texts.items():
            try:
                self._write_document(path, text, seen.get(path))
            except (OrchestratorError, OSError) as error:
                self.warn(f"{error}. The text is in the log; `doctor --fix` writes the file.")
        try:
            saving = self.store.lock_saving
            if (saving is None or saving.has_lock) and self._current.schedule.is_due:
                self._current.save()
        except (OrchestratorError, OSError) as error:
            self.warn(f"{error}. The snapshot is behind the log, which is all that counts.")
        self._current.keep_checkpoint(before)

    def _write_document(self, path: str, text: str | None, seen: bytes | None) -> None:
        if self.documents.read(path) != seen:
            self.warn(f"{path} was edited meanwhile: it is kept, and shown to readers.")
        elif text is None:
            self.documents.delete(path)
        else:
            self.documents.write(path, text.encode())

    def _present(self, *agents: str) -> None:
        for agent in agents:
            if agent != SYSTEM:
                self.presence.touch(agent)

    def save(self) -> None:
        """Write the snapshot now, whatever its size."""
        with self._owner:
            self.settle()
            with self._locked("save"):
                self._refresh()
                self._current.save()

    def refold(self, *, whole: bool = False) -> None:
        """Fold the log again and write the snapshot; the old snapshot is not read.

        Args:
            whole: Fold it from its first event, and make all checkpoints again.
        """
        with self._owner:
            self.settle()
            with self._locked("save"):
                self._current.refold(whole=whole)

    def close(self) -> None:
        """Close the board; write an exact snapshot if it is small and this process changed it."""
        with self._owner:
            self._save_at_the_end()
            self.store.close()

    def _save_at_the_end(self) -> None:
        state = self._current.state
        if state is None or self._light or not self._changed:
            return
        if self._current.schedule.is_small and state.event > self._current.schedule.event:
            try:
                self.save()
            except OrchestratorError as error:
                self.warn(f"{error.message}. The snapshot is behind the log.")


def cause_mark(record: Recorded) -> str:
    """The name of an event for the agent that it starts, in ``$ORC_CAUSE``.

    The time is in it because the agent may work on another board, which has an event of this number too.
    """
    return f"{record.id}/{record.ts}"


def not_empty() -> Refused:
    """The refusal to import into a board that has events."""
    return Refused(
        "This board is not empty",
        code="not_empty",
        hint="Import into a new board: --board DIR names one.",
    )


def _documents(events: Iterable[Event | None], state: State) -> dict[str, str | None]:
    """The documents that events leave behind; ``state`` is the one after them."""
    texts: dict[str, str | None] = {}
    for event in events:
        if event is not None:
            texts.update(event.documents(state))
    return texts


def _closed(records: list[Recorded], request: RequestMark | None) -> list[Recorded]:
    """Mark the records of a commit: ``more`` on all but the last, the request on the last."""
    last = records.pop()
    if request is not None:
        first = records[0].id if records else last.id
        last = msgspec.structs.replace(last, req=msgspec.structs.replace(request, first=first))
    return [*(msgspec.structs.replace(record, more=True) for record in records), last]
