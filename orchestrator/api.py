"""The facade: one board with its nouns, ``orc.tasks``, ``orc.locks`` ..."""

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib import import_module
from typing import TYPE_CHECKING, Generic, Self, TypeVar, overload

from orchestrator import board as boards
from orchestrator.core.calls import late_hints
from orchestrator.core.clock import Clock
from orchestrator.core.errors import UsageError
from orchestrator.core.progress import ShowProgress, no_progress
from orchestrator.core.store import Store
from orchestrator.core.transaction import SYSTEM, Noun
from orchestrator.domain.state import State
from orchestrator.engine import Engine

if TYPE_CHECKING:
    from orchestrator.domain.agents.commands import Agents
    from orchestrator.domain.agents.dispatch import Dispatch
    from orchestrator.domain.agents.hooks import Hooks
    from orchestrator.domain.agents.sessions import Sessions
    from orchestrator.domain.board.saved import Saved
    from orchestrator.domain.convoys.commands import Convoys
    from orchestrator.domain.decisions.commands import Decisions
    from orchestrator.domain.event_log import Events
    from orchestrator.domain.goals.commands import Goals
    from orchestrator.domain.knowledge.records import Topic
    from orchestrator.domain.locks.commands import Locks
    from orchestrator.domain.mail.commands import Mail
    from orchestrator.domain.tasks.batch import Batch
    from orchestrator.domain.tasks.commands import Tasks
    from orchestrator.domain.tasks.dependencies import Links
    from orchestrator.domain.tasks.records import Task
    from orchestrator.domain.tasks.reviews import Reviews
    from orchestrator.domain.workflows.commands import Workflows
    from orchestrator.domain.workstreams.commands import Workstreams
    from orchestrator.formulas import Formulas
    from orchestrator.index.commands import Index
    from orchestrator.index.topics import RankedKnowledge
    from orchestrator.planning.aftermath import Aftermath
    from orchestrator.planning.cycle_report import Collected
    from orchestrator.planning.next_work import Next
    from orchestrator.planning.prime import Prime
    from orchestrator.planning.records import Plan
    from orchestrator.reports.lint import Flaw
    from orchestrator.reports.metrics import Metrics
    from orchestrator.reports.report.records import BoardReport, GoalOutlook
    from orchestrator.reports.similar import Similar
    from orchestrator.reports.stats import Stats
    from orchestrator.reports.status import Status
    from orchestrator.reports.timeline import Timeline

N = TypeVar("N", bound=Noun[State])


class Lazy(Generic[N]):
    """A noun as an attribute of the facade; its module is imported on first access.

    Args:
        path: Its module in the package, and its class.
        doc: Its docstring.
    """

    def __init__(self, path: str, doc: str) -> None:
        self._path = path
        self.__doc__ = doc

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def load(self) -> type[N]:
        """The class of the noun."""
        module, _, name = self._path.partition(":")
        return getattr(import_module(f"orchestrator.{module}"), name)  # type: ignore[no-any-return]

    @overload
    def __get__(self, orc: None, owner: type) -> Self: ...

    @overload
    def __get__(self, orc: "Orchestrator", owner: type) -> N: ...

    def __get__(self, orc: "Orchestrator | None", owner: type) -> Self | N:
        if orc is None:
            return self
        noun: N | None = vars(orc).get(self._name)
        if noun is None:
            noun = vars(orc)[self._name] = self.load()(orc.engine)
        return noun

    def __set__(self, orc: "Orchestrator", value: object) -> None:
        raise AttributeError(f"{self._name!r} is a noun of the board and stays what it is")


def _silent(sentence: str) -> None:
    """Drop a warning."""


def _session(text: str | None) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise UsageError(f"ORC_SESSION is {text!a}", hint="`session start` prints its number.")
    return int(text)


class Orchestrator:
    """An open board. Use it in a ``with``, or :meth:`close` it.

    Args:
        store: The store of the events, such as :class:`orchestrator.stores.memory.MemoryStore`.
        agent: The acting agent of a command that names none.
        session: The number of the agent's session; an outdated session is refused.
        request_id: The request that the first changing command answers.
        light: The process ends after one command (see :class:`orchestrator.engine.Engine`).
        timeout: Seconds to wait for the board's lock.
        now: The clock, in seconds since 1970.
        warn: Receives sentences that a person should know although a command succeeded.

    Attributes:
        folder: The folder of the board; None if the store has none.
        is_new: Whether :meth:`open` created the board.
    """

    is_new: bool = False

    workstreams: "Lazy[Workstreams]" = Lazy(
        "domain.workstreams.commands:Workstreams", "Streams of work."
    )
    tasks: "Lazy[Tasks]" = Lazy("domain.tasks.commands:Tasks", "Tasks, from added to done.")
    batch: "Lazy[Batch]" = Lazy("domain.tasks.batch:Batch", "Tasks from one file, in one commit.")
    links: "Lazy[Links]" = Lazy(
        "domain.tasks.dependencies:Links", "The work graph: what waits for what."
    )
    reviews: "Lazy[Reviews]" = Lazy(
        "domain.tasks.reviews:Reviews",
        "Approve and reject work, trust its commands.",
    )
    agents: "Lazy[Agents]" = Lazy("domain.agents.commands:Agents", "Who works on the board.")
    hooks: "Lazy[Hooks]" = Lazy("domain.agents.hooks:Hooks", "The task that hangs on each agent.")
    dispatch: "Lazy[Dispatch]" = Lazy(
        "domain.agents.dispatch:Dispatch", "Give ready tasks to agents."
    )
    sessions: "Lazy[Sessions]" = Lazy(
        "domain.agents.sessions:Sessions",
        "Each start of an agent, and what it leaves for the next.",
    )
    locks: "Lazy[Locks]" = Lazy(
        "domain.locks.commands:Locks", "Leases on resources: git, src/**, db:shared."
    )
    knowledge: "Lazy[RankedKnowledge]" = Lazy(
        "index.topics:RankedKnowledge", "Topics that agents write and read."
    )
    decisions: "Lazy[Decisions]" = Lazy(
        "domain.decisions.commands:Decisions", "What was decided, why and by whom."
    )
    goals: "Lazy[Goals]" = Lazy(
        "domain.goals.commands:Goals", "Dates with tasks that should have ended by then."
    )
    mail: "Lazy[Mail]" = Lazy("domain.mail.commands:Mail", "Messages between agents.")
    convoys: "Lazy[Convoys]" = Lazy(
        "domain.convoys.commands:Convoys", "Tasks that are followed together."
    )
    formulas: "Lazy[Formulas]" = Lazy(
        "formulas:Formulas", "The files that say how a kind of work is done."
    )
    workflows: "Lazy[Workflows]" = Lazy(
        "domain.workflows.commands:Workflows",
        "Formulas that were poured onto the board.",
    )
    saved: "Lazy[Saved]" = Lazy(
        "domain.board.saved:Saved", "Questions that were saved under a name."
    )
    events: "Lazy[Events]" = Lazy(
        "domain.event_log:Events", "The log: write to it, read it, follow it."
    )
    index: Lazy["Index"] = Lazy(
        "index.commands:Index", "The optional SQLite index, and questions in SQL."
    )

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
        reads: bool = False,
    ) -> "Orchestrator":
        """Open a board; :func:`orchestrator.board.locate` finds a board on disk.

        Args:
            board: Its folder, or its URL (``memory:``, ``file:///...``). A folder that does not exist or is
                empty becomes a board, unless ``reads``.
            agent: The acting agent of a command that names none; else ``$ORC_AGENT``, else ``system``.
            session: The number of the agent's session; else ``$ORC_SESSION``.
            request_id: The request that the first changing command answers; else
                ``$ORC_REQUEST_ID``.
            reads: The caller changes nothing: no board is created, and a linked git work tree may contain a
                second one.

        Raises:
            NoBoard: None is named, and none is found here or above; if ``reads``, also if what is named is
                none yet.
            Refused: A linked work tree contains a second board (``two_boards``).
            UsageError: No store has the URL's scheme.
        """
        opened = boards.open_store(
            os.fspath(board) if board is not None else None,
            start=start,
            checkout=checkout,
            reads=reads,
            light=light,
            warn=warn,
        )
        orc = cls(
            opened.store,
            agent=agent or os.environ.get("ORC_AGENT") or SYSTEM,
            session=session if session is not None else _session(os.environ.get("ORC_SESSION")),
            request_id=request_id or os.environ.get("ORC_REQUEST_ID") or None,
            light=light,
            timeout=timeout,
            now=now,
            warn=warn,
            folder=opened.folder,
        )
        orc.is_new = opened.is_new
        return orc

    def transaction(self) -> AbstractContextManager[None]:
        """Several commands, one commit; an exception leaves nothing behind."""
        return self.engine.transaction()

    def rehearsal(self) -> AbstractContextManager[None]:
        """A dry run: commands inside answer as they would, and leave every file as it was."""
        return self.engine.rehearsal()

    def request(self, request_id: str) -> AbstractContextManager[None]:
        """The command inside answers this request: repeating it has one effect."""
        return self.engine.request(request_id)

    @late_hints("orchestrator.reports.status")
    def status(self, at: int | None = None) -> "Status":
        """The status of the board, now or right after an event of the past.

        Raises:
            NotFound: There is no such event.
        """
        from orchestrator.reports.status import status

        return status(self.engine, at)

    @late_hints("orchestrator.reports.stats")
    def stats(
        self,
        *,
        workstream: str | None = None,
        agent: str | None = None,
        days: int | None = None,
        progress: ShowProgress = no_progress,
    ) -> "Stats":
        """Counts of tasks, archived ones included; see :mod:`orchestrator.reports.stats`."""
        from orchestrator.reports.stats import stats

        return stats(self.engine, workstream=workstream, agent=agent, days=days, progress=progress)

    @late_hints("orchestrator.reports.metrics")
    def metrics(
        self,
        *,
        days: int = 14,
        workstream: str | None = None,
        agent: str | None = None,
        progress: ShowProgress = no_progress,
    ) -> "Metrics":
        """The work of the last days; see :mod:`orchestrator.reports.metrics`."""
        from orchestrator.reports.metrics import metrics

        return metrics(
            self.engine, days=days, workstream=workstream, agent=agent, progress=progress
        )

    @late_hints("orchestrator.reports.report.records")
    def report(
        self,
        *,
        since: str | int | None = None,
        until: str | None = None,
        workstream: str | None = None,
        progress: ShowProgress = no_progress,
    ) -> "BoardReport":
        """What was done, how the work flows, and when the rest will be done.

        Args:
            since: Where it begins: after this event id, at this time, or so long ago (``7d``); None: at the
                first event.
            until: Where it ends; the board is reported as it stood then.
            workstream: Only tasks of this workstream.
            progress: Shows how far the log is read and the forecast is played.
        """
        from orchestrator.reports.report.report import report

        return report(
            self.engine, since=since, until=until, workstream=workstream, progress=progress
        )

    @late_hints("orchestrator.reports.report.records")
    def outlook(self, goal: str, *, progress: ShowProgress = no_progress) -> "GoalOutlook":
        """How far a goal is, and whether its tasks will have ended by its date.

        Args:
            goal: Its name.
            progress: Shows how far the log is read and the rest of the work is played.
        """
        from orchestrator.reports.report.goals import outlook

        return outlook(self.engine, goal, progress=progress)

    @late_hints("orchestrator.reports.lint")
    def lint(self, workstream: str | None = None, *, where: str = "") -> "list[Flaw]":
        """What is not well with open tasks, each with the command that mends it.

        Args:
            workstream: Only of this stream.
            where: Only of tasks that pass this expression; see :mod:`orchestrator.domain.tasks.where`.
        """
        from orchestrator.reports.lint import lint

        return lint(self.engine, workstream, where=where)

    @late_hints("orchestrator.reports.timeline")
    def timeline(
        self,
        subject: str | None = None,
        *,
        workstream: str | None = None,
        agent: str | None = None,
        since: str | int | None = None,
        last: int = 100,
    ) -> "Timeline":
        """What happened to a task, in a workstream or by an agent, oldest first, with the time between.

        Args:
            subject: A task, workstream or agent, whichever has this name.
            workstream: Only what was about this workstream and its tasks.
            agent: Only what this agent did.
            since: From this time on, that long ago (``2h``), or after this event.
            last: At most so many events, the newest ones.
        """
        from orchestrator.reports.timeline import timeline

        how = {"workstream": workstream, "agent": agent}
        return timeline(self.engine, subject, since=since, last=last, **how)

    @late_hints("orchestrator.reports.similar")
    def similar(self, text: str, *, where: str = "", limit: int = 10) -> "list[Similar]":
        """Tasks that say nearly the same as another one, or as a text; the most like first.

        Args:
            text: A task, by its id or prefix, or a title.
            where: Only tasks that pass this expression; see :mod:`orchestrator.domain.tasks.where`.
            limit: At most so many.
        """
        from orchestrator.reports.similar import similar

        return similar(self.engine, text, where=where, limit=limit)

    @late_hints("orchestrator.planning.next_work")
    def next(
        self,
        workstream: str | None = None,
        *,
        agent: str | None = None,
        review: bool = True,
        mail: bool = True,
        wait: float | str = 0,
        lease: float | str | None = None,
    ) -> "Next":
        """Claim what an agent should do next: a task, or a review of the work of another.

        The order: the task on its hook, a task that is assigned to it, a review that it suits, the best
        ready task. Otherwise the answer is its new mail, or the reason why there is no work.

        Args:
            workstream: Only tasks of this stream; None for all.
            agent: Who asks; needed.
            review: Also hand out reviews.
            mail: Also answer with mail that no earlier answer announced.
            wait: How long to wait for one of these, or for the end of all tasks.
            lease: How long the claim lasts, as ``30m`` or seconds.
        """
        from orchestrator.planning.next_work import next_work

        how = {"review": review, "mail": mail}
        return next_work(self.engine, workstream, agent=agent, wait=wait, lease=lease, **how)

    @late_hints("orchestrator.planning.runner")
    def plan(self, *, max: int = 8, agent: str | None = None) -> "Plan":
        """Begin the next cycle with a plan: tasks to run side by side, tasks that wait, and alerts."""
        from orchestrator.planning.runner import Planning

        return Planning(self.engine).plan(max=max, agent=agent)

    def brief(self, target: str, *, budget: int = 4000) -> str:
        """Markdown with all that an agent needs to start a task."""
        from orchestrator.planning.brief import write_brief

        return write_brief(self.engine, target, budget=budget)

    @late_hints("orchestrator.planning.prime")
    def prime(
        self,
        agent: str | None = None,
        *,
        budget: int = 1000,
        if_changed: bool = False,
        prog: str = "orc",
    ) -> "Prime":
        """What an agent needs at the start of a session: its work, reviews, mail, the board, and the loop."""
        from orchestrator.planning.prime import prime

        return prime(self.engine, agent, budget=budget, if_changed=if_changed, prog=prog)

    @late_hints("orchestrator.planning.prime")
    def primed(self, shown: "Prime") -> None:
        """Record that an agent was shown this, so that ``if_changed`` does not show it again."""
        from orchestrator.planning.prime import remember

        remember(self.engine, shown)

    @late_hints("orchestrator.planning.aftermath")
    def aftermath(self, task: "Task", *, agent: str | None = None) -> "Aftermath":
        """The consequences of the last transition of a task: free tasks, reviewers, unread mail.

        Args:
            task: The task after the transition.
            agent: The agent of the transition; None for the agent of the last event of the task.
        """
        from orchestrator.planning.aftermath import aftermath

        return aftermath(self.engine, task, agent)

    @late_hints("orchestrator.planning.collect")
    def collect(self, *, cycle: int | None = None, since: str | int | None = None) -> "Collected":
        """The results of a cycle: tasks that were finished, failed, run and added, and knowledge."""
        from orchestrator.planning.collect import collect

        return collect(self.engine, cycle=cycle, since=since)

    @late_hints("orchestrator.domain.knowledge.records")
    def save_report(
        self,
        topic: str,
        *,
        cycle: int | None = None,
        since: str | int | None = None,
        agent: str | None = None,
    ) -> "Topic":
        """Write the report of :meth:`collect` into the knowledge base."""
        from orchestrator.planning.runner import Planning

        return Planning(self.engine).save_report(topic, cycle=cycle, since=since, agent=agent)

    def close(self) -> None:
        """Close the board; a small board gets an exact ``state.json``."""
        self.engine.close()

    def __enter__(self) -> "Orchestrator":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
