"""The facade: one board with its nouns, ``orc.tasks`` ..., and its queries, ``orc.status()`` ..."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cached_property, wraps
from importlib import import_module
from operator import attrgetter
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from orchestrator import board as boards
from orchestrator.core.clock import Clock
from orchestrator.core.decoding import whole_number
from orchestrator.core.errors import UsageError
from orchestrator.core.store import LocalFiles, Store
from orchestrator.core.transaction import SYSTEM
from orchestrator.engine import Engine


class Lazy:
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

    def load(self) -> type[Any]:
        """The class of the noun."""
        noun: type[Any] = _imported(self._path)
        return noun

    def __get__(self, orc: "Orchestrator | None", owner: type) -> Any:
        if orc is None:
            return self
        noun = vars(orc).get(self._name)
        if noun is None:
            noun = vars(orc)[self._name] = self.load()(orc.engine)
        return noun

    def __set__(self, orc: "Orchestrator", value: object) -> None:
        raise AttributeError(f"{self._name!r} is a noun of the board and stays what it is")


def _keyword_defaults(function: Callable[..., Any]) -> dict[str, Any]:
    import inspect

    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


class Query:
    """A function of the board as a method of the facade; its module is imported on first access.

    Args:
        path: Its module in the package, and its name; its first argument is the engine. For a command of a
            noun that is no attribute of the facade, the class and the command: ``Planning.plan``.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    @cached_property
    def function(self) -> FunctionType:
        """The method: what Python tells about it is what it tells about the function."""
        function: Callable[..., Any] = _imported(self._path)
        noun, _, verb = self._path.rpartition(".")
        is_command = ":" in noun

        @wraps(function)
        def query(orc: "Orchestrator", *args: Any, **kwargs: Any) -> Any:
            if is_command:  # with its defaults: they are part of the digest of a request
                given = {**_keyword_defaults(function), **kwargs}
                return getattr(_imported(noun)(orc.engine), verb)(*args, **given)
            return function(orc.engine, *args, **kwargs)

        hints = [*function.__annotations__.items()]
        query.__annotations__ = dict(hints if is_command else hints[1:])
        assert isinstance(query, FunctionType)
        return query

    def __get__(self, orc: "Orchestrator | None", owner: type) -> FunctionType | MethodType:
        return self.function if orc is None else MethodType(self.function, orc)


def _imported(path: str) -> Any:
    module, _, name = path.partition(":")
    return attrgetter(name)(import_module(f"orchestrator.{module}"))


if TYPE_CHECKING:
    from orchestrator.facade import Facade
else:

    class Facade:
        """The nouns and queries; ``facade.pyi`` has them written out for type checkers."""

        workstreams = Lazy("domain.workstreams.commands:Workstreams", "Streams of work.")
        tasks = Lazy("domain.tasks.commands:Tasks", "Tasks, from added to done.")
        batch = Lazy("domain.tasks.batch:Batch", "Tasks from one file, in one commit.")
        links = Lazy("domain.tasks.dependencies:Links", "The work graph: what waits for what.")
        reviews = Lazy(
            "domain.tasks.reviews:Reviews", "Approve and reject work, trust its commands."
        )
        agents = Lazy("domain.agents.commands:Agents", "Who works on the board.")
        hooks = Lazy("domain.agents.hooks:Hooks", "The task that hangs on each agent.")
        dispatch = Lazy("domain.agents.dispatch:Dispatch", "Give ready tasks to agents.")
        sessions = Lazy(
            "domain.agents.sessions:Sessions",
            "Each start of an agent, and what it leaves for the next.",
        )
        locks = Lazy("domain.locks.commands:Locks", "Leases on resources: git, src/**, db:shared.")
        knowledge = Lazy("index.topics:RankedKnowledge", "Topics that agents write and read.")
        decisions = Lazy(
            "domain.decisions.commands:Decisions", "What was decided, why and by whom."
        )
        goals = Lazy(
            "domain.goals.commands:Goals", "Dates with tasks that should have ended by then."
        )
        mail = Lazy("domain.mail.commands:Mail", "Messages between agents.")
        convoys = Lazy("domain.convoys.commands:Convoys", "Tasks that are followed together.")
        formulas = Lazy("formulas:Formulas", "The files that say how a kind of work is done.")
        workflows = Lazy(
            "domain.workflows.commands:Workflows", "Formulas that were poured onto the board."
        )
        saved = Lazy("domain.board.saved:Saved", "Questions that were saved under a name.")
        events = Lazy("domain.event_log:Events", "The log: write to it, read it, follow it.")
        subscriptions = Lazy(
            "domain.subscriptions.commands:Subscriptions",
            "Which agent works which event: attempts, cursors, claims, dead letters.",
        )
        supervisor = Lazy(
            "supervisor.embedded:Supervisor", "Agent files, and a runner of agents in this program."
        )
        patrols = Lazy(
            "trees.patrol:Patrols", "Find work without progress, and tell agents about it."
        )
        terminals = Lazy("terminals.commands:Terminals", "Agents in windows of tmux.")
        permissions = Lazy(
            "domain.permissions.commands:Permissions",
            "What agents ask people for before they use a tool.",
        )
        merges = Lazy(
            "domain.merges.commands:Merges", "The merge queue: branches that wait to be merged."
        )
        worktrees = Lazy(
            "trees.worktrees:Worktrees", "The branch and the folder in which a task is worked on."
        )
        index = Lazy("index.commands:Index", "The optional SQLite index, and questions in SQL.")
        status = Query("reports.status:status")
        stats = Query("reports.stats:stats")
        metrics = Query("reports.metrics:metrics")
        report = Query("reports.report.report:report")
        outlook = Query("reports.report.goals:outlook")
        lint = Query("reports.lint:lint")
        timeline = Query("reports.timeline:timeline")
        spans = Query("reports.spans:spans")
        similar = Query("reports.similar:similar")
        next = Query("planning.next_work:next_work")
        plan = Query("planning.runner:Planning.plan")
        brief = Query("planning.brief:write_brief")
        prime = Query("planning.prime:prime")
        primed = Query("planning.prime:remember")
        aftermath = Query("planning.aftermath:aftermath")
        collect = Query("planning.collect:collect")
        save_report = Query("planning.runner:Planning.save_report")


def _silent(sentence: str) -> None:
    """Drop a warning."""


def _session(text: str | None) -> int | None:
    if not text:
        return None
    number = whole_number(text, 9)
    if number is None:
        raise UsageError(f"ORC_SESSION is {text!a}", hint="`session start` prints its number.")
    return number


class Orchestrator(Facade):
    """An open board. Use it in a ``with``, or :meth:`close` it.

    Args:
        store: The store of the events, such as :class:`orchestrator.stores.memory.MemoryStore`.
        agent: The acting agent of a command that names none.
        session: The number of the agent's session; an outdated session is refused.
        cause: The event that started the agent; see :func:`orchestrator.engine.cause_mark`.
        request_id: The request that the first changing command answers.
        light: The process ends after one command (see :class:`orchestrator.engine.Engine`).
        timeout: Seconds to wait for the board's lock.
        now: The clock, in seconds since 1970; that of the store if None.
        warn: Receives sentences that a person should know although a command succeeded.
        local: The files of this machine (see :class:`orchestrator.engine.Engine`).
        machine: The name of this machine (see :class:`orchestrator.engine.Engine`).

    Attributes:
        folder: The folder of the board; None if the store has none.
        is_new: Whether :meth:`open` created the board.
    """

    is_new: bool = False

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
        now: Clock | None = None,
        warn: Callable[[str], None] = _silent,
        folder: str | None = None,
        machine: str | None = None,
        local: LocalFiles | None = None,
    ) -> None:
        self.folder = folder
        self.engine = Engine(
            store,
            agent=agent,
            session=session,
            cause=cause,
            request_id=request_id,
            light=light,
            timeout=timeout,
            now=now,
            warn=warn,
            cook=self._cook,
            folder=folder,
            machine=machine,
            local=local,
        )

    def _cook(self, name: str, variables: dict[str, str], *, on: str) -> Any:
        """Compile a formula for a workflow; only then the compiler is loaded."""
        return self.formulas.cook(name, variables, on=on)

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
        now: Clock | None = None,
        warn: Callable[[str], None] = _silent,
        start: str | None = None,
        checkout: str | None = None,
        reads: bool = False,
    ) -> "Orchestrator":
        """Open a board; :func:`orchestrator.board.locate` finds a board on disk.

        Args:
            board: Its folder, or its URL (``memory:``, ``file:///...``, ``postgresql://...``). What does not
                exist or is an empty folder becomes a board, unless ``reads``.
            agent: The acting agent of a command that names none; else ``$ORC_AGENT``, else ``system``.
            session: The number of the agent's session; else ``$ORC_SESSION``.
            request_id: The request that the first changing command answers; else
                ``$ORC_REQUEST_ID``.
            reads: The caller changes nothing: no board is created, and a linked git worktree may contain a
                second one.

        Raises:
            NoBoard: None is named, and none is found here or above; if ``reads``, also if what is named is
                none yet.
            Refused: A linked worktree contains a second board (``two_boards``).
            UsageError: No store has the URL's scheme.
        """
        opened = boards.open_store(
            os.fspath(board) if board is not None else None,
            start=start,
            checkout=checkout,
            reads=reads,
            warn=warn,
        )
        orc = cls(
            opened.store,
            agent=agent or os.environ.get("ORC_AGENT") or SYSTEM,
            session=session if session is not None else _session(os.environ.get("ORC_SESSION")),
            cause=os.environ.get("ORC_CAUSE"),
            request_id=request_id or os.environ.get("ORC_REQUEST_ID") or None,
            light=light,
            timeout=timeout,
            now=now,
            warn=warn,
            folder=opened.folder,
            local=opened.local,
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

    def close(self) -> None:
        """Close the board; a small board gets an exact ``state.json``."""
        self.engine.close()

    def __enter__(self) -> "Orchestrator":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
