"""``orc.supervisor``: agent files, and a runner inside a Python program, plain or async."""

import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Self

from orchestrator.api import Orchestrator
from orchestrator.core.errors import Refused, UsageError
from orchestrator.core.printable import amount, one_line
from orchestrator.core.transaction import Noun, Transaction, command
from orchestrator.core.trust import Trust
from orchestrator.domain.agents.identity import act_now
from orchestrator.domain.convoys.events import ConvoyCreated
from orchestrator.domain.event_log import logged_event
from orchestrator.domain.state import State
from orchestrator.domain.validation import LONGEST_TITLE, check_text
from orchestrator.domain.workstreams.events import WorkstreamCreated
from orchestrator.supervisor.agent_files import AgentFiles, load_agents
from orchestrator.supervisor.dispatcher import MOST_AGENTS, Dispatcher
from orchestrator.supervisor.places import default_folder, project_of
from orchestrator.supervisor.runner import RunnerPlace
from orchestrator.supervisor.runner_events import EventFollower, RunnerEvent

KEPT = 1000
"""How many events wait for the program; older ones are dropped, and :data:`MISSED` says how many."""

MISSED = "runner.missed"
"""The type of the note about events that were dropped."""

_SLICE = 0.25  # seconds after which a waiting thread looks whether its task was cancelled


REQUEST = "team.request"
"""The type of the event that asks the team of agents for work."""

TEAM = "team"
"""The workstream of the team."""


class Supervisor(Noun[State]):
    """``orc.supervisor``: agents, runner, request."""

    def agents(self, folder: str | None = None) -> AgentFiles:
        """Load and check agent files, as ``orc trust`` lists them.

        Args:
            folder: Their folder; else ``agents`` in the board, or else in this folder.

        Returns:
            The agents by id, and an error with all problems for each file that is not usable.
        """
        return load_agents(folder or default_folder(self._desk.folder))

    def runner(
        self,
        folder: str | None = None,
        *,
        max_agents: int = MOST_AGENTS,
        watch: Sequence[str] = (),
        exclude: Sequence[str] = (),
    ) -> "AgentRunner":
        """A runner for this program, as ``orc runner run`` is; it starts in a ``with``.

        Args:
            folder: The folder of the agent files; else ``agents`` in the board, or else in this folder.
            max_agents: How many agents run at a time.
            watch: Folders whose changed files are events.
            exclude: Patterns of files that are not watched, in the syntax of .gitignore.

        Raises:
            Refused: The board is not in a folder (``no_folder``).
        """
        board = self._desk.folder
        if board is None:
            raise Refused(
                "This board is not in a folder, and agents reach a board by its folder",
                code="no_folder",
            )
        options = {"most": max_agents, "watch": watch, "exclude": exclude}
        return AgentRunner(board, folder or default_folder(board), options)

    @command(logged_event)
    def request(self, tx: Transaction[State], text: str, *, agent: str | None = None) -> None:
        """Ask the team of agents for work (``orc agent template add team``).

        The payload of the event names a new convoy for the tasks; the agent that asks gets a message when
        all of them have ended.

        Args:
            text: What is wanted.
            agent: Who asks.

        Raises:
            UsageError: The text is empty, or no agent is named.
            Refused: The workstream of the team is closed.
        """
        actor = act_now(tx, agent, needed=True)
        if not check_text("request", text).strip():
            raise UsageError("The request is empty")
        if TEAM not in tx.state.workstreams:
            tx.record(WorkstreamCreated(workstream=TEAM, description="Requests to the team"))
        tx.state.workstreams.find_active(TEAM)
        convoy = f"request-{tx.state.event + 1}"
        about = one_line(text, LONGEST_TITLE)
        tx.record(ConvoyCreated(convoy=convoy, description=about, notify=(actor,)))
        tx.record_custom(REQUEST, {"text": text, "convoy": convoy})


class AgentRunner(EventFollower):
    """Starts trusted agents on events, in a thread of this program: ``with`` or ``async with``.

    An iterator of it, plain or async, yields what the runner does, from its start on, until it ends. At the
    end of the block agents that run finish their work. An exception, as the cancellation of a task, ends
    them: with SIGTERM, after a grace with SIGKILL; their attempts are interrupted, and the next runner tries
    again.

    Args:
        board: The folder of the board.
        agents: The folder of the agent files.
        options: Of the dispatcher.
    """

    def __init__(self, board: str, agents: str, options: dict[str, Any]) -> None:
        self._board = board
        self._agents = agents
        self._options = options
        self._change = threading.Condition()
        self._events: deque[RunnerEvent] = deque()
        self._missed = 0
        self._is_ready = False
        self._has_ended = False
        self._stops = 0
        self._failure: BaseException | None = None
        self._dispatcher: Dispatcher | None = None
        self._thread = threading.Thread(target=self._work, name="runner")

    # Plain

    def __enter__(self) -> Self:
        """Start; return when the agents are loaded.

        Raises:
            Refused: Another runner runs on this board and machine, or an event has started this process.
        """
        self._thread.start()
        try:
            self._begun()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is not None:
            self._end()
            return
        self._stop_once()
        try:
            self._thread.join()
        except BaseException:
            self._end()
            raise
        self._check()

    def __iter__(self) -> Iterator[RunnerEvent]:
        while self._wait(None):
            yield from self._taken()

    def stop(self) -> None:
        """End when the running agents have finished; called again, end them. Any thread may call this."""
        with self._change:
            self._stops += 1
            if self._dispatcher is not None:
                self._dispatcher.stop()

    def _stop_once(self) -> None:
        if not self._stops:
            self.stop()

    def _begun(self) -> None:
        """Wait until the agents are loaded."""
        with self._change:
            self._change.wait_for(lambda: self._is_ready or self._has_ended)
        self._check()

    def _end(self) -> None:
        """End the running agents, and wait until nothing is left of them."""
        self.stop()
        self.stop()
        self._thread.join()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    # Async

    async def __aenter__(self) -> Self:
        """Start; return when the agents are loaded. See :meth:`__enter__`."""
        from anyio import to_thread

        self._thread.start()
        try:
            await to_thread.run_sync(self._begun, abandon_on_cancel=True)
        except BaseException as error:
            await self.__aexit__(type(error))
            raise
        return self

    async def __aexit__(self, error: type[BaseException] | None, *_: object) -> None:
        from anyio import CancelScope, get_cancelled_exc_class, to_thread

        self._stop_once()
        cancelled: BaseException | None = None
        if error is not None:
            self.stop()
        while self._thread.is_alive():
            try:
                with CancelScope(shield=error is not None or cancelled is not None):
                    await to_thread.run_sync(self._thread.join, abandon_on_cancel=True)
            except get_cancelled_exc_class() as reason:
                cancelled = reason
                self.stop()
        if cancelled is not None:
            raise cancelled
        if error is None:
            self._check()

    async def __aiter__(self) -> AsyncIterator[RunnerEvent]:
        from anyio import CapacityLimiter, to_thread

        alone = CapacityLimiter(1)
        while True:
            is_open = await to_thread.run_sync(
                self._wait, _SLICE, abandon_on_cancel=True, limiter=alone
            )
            for event in self._taken():
                yield event
            if not is_open:
                return

    # What the thread of the runner does

    def _work(self) -> None:
        try:
            with Orchestrator.open(self._board) as orc, RunnerPlace(self._board).held():
                dispatcher = Dispatcher(
                    orc,
                    agents=self._agents,
                    project=project_of(self._board),
                    trust=Trust(project=self._board),
                    follower=self,
                    **self._options,
                )
                with self._change:
                    self._dispatcher = dispatcher
                    for _ in range(self._stops):
                        dispatcher.stop()
                dispatcher.run()
        except BaseException as error:  # noqa: BLE001  the thread of the program raises it
            self._failure = error
        with self._change:
            self._has_ended = True
            self._change.notify_all()

    def hear(self, event: RunnerEvent) -> None:
        """Keep an event until the program takes it."""
        with self._change:
            if len(self._events) == KEPT:
                self._events.popleft()
                self._missed += 1
            self._events.append(event)
            self._is_ready = self._is_ready or event.type == "runner.ready"
            self._change.notify_all()

    def _wait(self, timeout: float | None) -> bool:
        """Wait for events; False if none will come any more."""
        with self._change:
            self._change.wait_for(lambda: self._events or self._has_ended, timeout)
            return bool(self._events) or not self._has_ended

    def _taken(self) -> list[RunnerEvent]:
        with self._change:
            events, missed = [*self._events], self._missed
            self._events.clear()
            self._missed = 0
        if missed:
            text = f"{amount(missed, 'event')} came faster than they were taken"
            note = RunnerEvent(ts=events[0].ts, type=MISSED, agent="", payload={"text": text})
            events.insert(0, note)
        return events
