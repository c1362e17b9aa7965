"""The facade: one board with its nouns, ``orc.tasks``, ``orc.locks`` ..."""

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any

from orchestrator import board as boards
from orchestrator.core.clock import Clock
from orchestrator.core.errors import UsageError
from orchestrator.core.store import Store
from orchestrator.core.transaction import SYSTEM
from orchestrator.domain.agents.commands import Agents
from orchestrator.domain.event_log import Events
from orchestrator.domain.knowledge.commands import Knowledge
from orchestrator.domain.locks.commands import Locks
from orchestrator.domain.tasks.commands import Tasks, Watch, unwatched
from orchestrator.domain.workstreams.commands import Workstreams
from orchestrator.engine import Engine

if TYPE_CHECKING:
    from orchestrator.domain.agents.dispatch import Dispatch
    from orchestrator.domain.agents.hooks import Hooks
    from orchestrator.domain.agents.sessions import Sessions
    from orchestrator.domain.convoys.commands import Convoys
    from orchestrator.domain.knowledge.records import Topic
    from orchestrator.domain.mail.commands import Mail
    from orchestrator.domain.tasks.batch import Batch
    from orchestrator.domain.tasks.dependencies import Links
    from orchestrator.domain.tasks.reviews import Reviews
    from orchestrator.domain.workflows.commands import Workflows
    from orchestrator.formulas import Formulas
    from orchestrator.planning import Collected
    from orchestrator.planning.prime import Prime
    from orchestrator.reports.metrics import Metrics, Stats
    from orchestrator.reports.status import Status


def _silent(sentence: str) -> None:
    """Warnings go nowhere unless somebody asks for them."""


def _session(text: str | None) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise UsageError(f"ORC_SESSION is {text!a}", hint="`session start` prints its number.")
    return int(text)


class Orchestrator:
    """A board that is open. Use it in a ``with``, or :meth:`close` it.

    Args:
        store: Where the events live, such as :class:`orchestrator.stores.memory.MemoryStore`.
        agent: Who acts when a command names nobody.
        session: Which session of the agent this is; an older one than the last is refused.
        request_id: The request that the first command to change something answers.
        light: The process ends after one command (see :class:`orchestrator.engine.Engine`).
        timeout: Seconds to wait for the board's lock.
        now: The clock, in seconds since 1970.
        warn: Told in one sentence what a person should know although a command succeeded.

    Attributes:
        folder: The folder of the board; None if the store has none.
    """

    def __init__(
        self,
        store: Store,
        *,
        agent: str = SYSTEM,
        session: int | None = None,
        request_id: str | None = None,
        light: bool = False,
        timeout: float = 10.0,
        now: Clock = time.time,
        warn: Callable[[str], None] = _silent,
        folder: str | None = None,
    ) -> None:
        self.folder = folder
        self.engine = Engine(
            store,
            agent=agent,
            session=session,
            request_id=request_id,
            light=light,
            timeout=timeout,
            now=now,
            warn=warn,
            folder=folder,
        )
        self.workstreams = Workstreams(self.engine)
        self.tasks = Tasks(self.engine)
        self.agents = Agents(self.engine)
        self.locks = Locks(self.engine)
        self.knowledge = Knowledge(self.engine)
        self.events = Events(self.engine)

    # Nouns that few commands need are imported when they are first asked for.

    @cached_property
    def batch(self) -> "Batch":
        """Tasks from one file, in one commit."""
        from orchestrator.domain.tasks.batch import Batch

        return Batch(self.engine)

    @cached_property
    def links(self) -> "Links":
        """The work graph: what waits for what."""
        from orchestrator.domain.tasks.dependencies import Links

        return Links(self.engine)

    @cached_property
    def reviews(self) -> "Reviews":
        """Approve and reject work, trust its commands."""
        from orchestrator.domain.tasks.reviews import Reviews

        return Reviews(self.engine)

    @cached_property
    def hooks(self) -> "Hooks":
        """What hangs on agents, and how it comes there."""
        from orchestrator.domain.agents.hooks import Hooks

        return Hooks(self.engine)

    @cached_property
    def dispatch(self) -> "Dispatch":
        """Give ready tasks to agents."""
        from orchestrator.domain.agents.dispatch import Dispatch

        return Dispatch(self.engine)

    @cached_property
    def convoys(self) -> "Convoys":
        """Tasks that are followed together."""
        from orchestrator.domain.convoys.commands import Convoys

        return Convoys(self.engine)

    @cached_property
    def sessions(self) -> "Sessions":
        """Each start of an agent, and what it leaves for the next."""
        from orchestrator.domain.agents.sessions import Sessions

        return Sessions(self.engine)

    @cached_property
    def formulas(self) -> "Formulas":
        """Formulas: the files that say how a kind of work is done."""
        from orchestrator.formulas import Formulas

        return Formulas(self.engine)

    @cached_property
    def workflows(self) -> "Workflows":
        """Formulas that were poured onto the board."""
        from orchestrator.domain.workflows.commands import Workflows

        return Workflows(self.engine)

    @cached_property
    def mail(self) -> "Mail":
        """Messages between agents."""
        from orchestrator.domain.mail.commands import Mail

        return Mail(self.engine)

    @classmethod
    def open(
        cls,
        board: str | os.PathLike[str] | None = None,
        *,
        agent: str | None = None,
        session: int | None = None,
        request_id: str | None = None,
        light: bool = False,
        timeout: float = 10.0,
        now: Clock = time.time,
        warn: Callable[[str], None] = _silent,
        start: str | None = None,
        checkout: str | None = None,
    ) -> "Orchestrator":
        """Find a board of files and open it; see :func:`orchestrator.board.locate`.

        Args:
            board: Its folder; made if it is not there yet.
            agent: Who acts when a command names nobody; else ``$ORC_AGENT``, else ``system``.
            session: Which session of the agent this is; else ``$ORC_SESSION``.
            request_id: The request that the first command to change something answers; else
                ``$ORC_REQUEST_ID``.

        Raises:
            NoBoard: None is named, and none is found here or above.
        """
        # A store of another kind does not load this one.
        from orchestrator.stores.files import FileStore

        folder = boards.locate(
            os.fspath(board) if board is not None else None, start=start, checkout=checkout
        )
        return cls(
            FileStore(folder, light=light, warn=warn),
            agent=agent or os.environ.get("ORC_AGENT") or SYSTEM,
            session=session if session is not None else _session(os.environ.get("ORC_SESSION")),
            request_id=request_id or os.environ.get("ORC_REQUEST_ID") or None,
            light=light,
            timeout=timeout,
            now=now,
            warn=warn,
            folder=folder,
        )

    def transaction(self) -> AbstractContextManager[None]:
        """Several commands, one commit; an exception leaves nothing behind."""
        return self.engine.transaction()

    def rehearsal(self) -> AbstractContextManager[None]:
        """A dry run: commands inside answer as they would, and leave every file as it was."""
        return self.engine.rehearsal()

    def request(self, request_id: str) -> AbstractContextManager[None]:
        """The command inside answers this request: repeating it has one effect."""
        return self.engine.request(request_id)

    def status(self, at: int | None = None) -> "Status":
        """How the board stands, now or right after an event of the past.

        Raises:
            NotFound: There is no such event.
        """
        from orchestrator.reports.status import status

        return status(self.engine, at)

    def stats(
        self,
        *,
        workstream: str | None = None,
        agent: str | None = None,
        days: int | None = None,
        watch: Watch = unwatched,
    ) -> "Stats":
        """How the tasks stand, archived ones included; see :func:`orchestrator.reports.metrics.stats`."""
        from orchestrator.reports.metrics import stats

        return stats(self.engine, workstream=workstream, agent=agent, days=days, watch=watch)

    def metrics(
        self,
        *,
        days: int = 14,
        workstream: str | None = None,
        agent: str | None = None,
        watch: Watch = unwatched,
    ) -> "Metrics":
        """What was done in the last days, how fast and by whom; see :mod:`orchestrator.reports.metrics`."""
        from orchestrator.reports.metrics import metrics

        return metrics(self.engine, days=days, workstream=workstream, agent=agent, watch=watch)

    def plan(self, *, max: int = 8, agent: str | None = None) -> dict[str, Any]:
        """Begin the next cycle: what can run side by side, what must wait, what needs attention."""
        from orchestrator.planning import Planning

        return Planning(self.engine).plan(max=max, agent=agent)

    def brief(self, target: str, *, budget: int = 4000) -> str:
        """Markdown that an agent can start a task from with nothing else."""
        from orchestrator.planning import Planning

        return Planning(self.engine).brief(target, budget=budget)

    def prime(
        self,
        agent: str | None = None,
        *,
        budget: int = 1000,
        if_changed: bool = False,
        prog: str = "orc",
    ) -> "Prime":
        """What an agent needs at the start of a session: its work, notes, mail, and six commands."""
        from orchestrator.planning.prime import prime

        return prime(self.engine, agent, budget=budget, if_changed=if_changed, prog=prog)

    def primed(self, shown: "Prime") -> None:
        """Note that an agent was shown this, so that ``if_changed`` does not show it again."""
        from orchestrator.planning.prime import remember

        remember(self.engine, shown)

    def collect(self, *, cycle: int | None = None, since: str | int | None = None) -> "Collected":
        """What came of a cycle: finished, failed, running, added, learned."""
        from orchestrator.planning import Planning

        return Planning(self.engine).collect(cycle=cycle, since=since)

    def save_report(
        self,
        topic: str,
        *,
        cycle: int | None = None,
        since: str | int | None = None,
        agent: str | None = None,
    ) -> "Topic":
        """Write the report of :meth:`collect` into the knowledge base."""
        from orchestrator.planning import Planning

        return Planning(self.engine).save_report(topic, cycle=cycle, since=since, agent=agent)

    def close(self) -> None:
        """Leave the board; a small one with an exact ``state.json``."""
        self.engine.close()

    def __enter__(self) -> "Orchestrator":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
