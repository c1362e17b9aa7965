"""What a dashboard reads of a board: everything once, then only what new events changed.

Any thread may call a :class:`Feed`, and a single one at a time has the board. The rows that leave it are
frozen, so a screen needs no lock.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from orchestrator.api import Orchestrator
from orchestrator.core import clock
from orchestrator.core.events import Recorded
from orchestrator.core.printable import escape
from orchestrator.domain.state import State
from orchestrator.domain.tasks.records import ENDED, Task
from orchestrator.interfaces.tui import panels
from orchestrator.interfaces.tui.view import (
    AGENTS,
    BOARD,
    CLAIMS,
    CYCLE,
    EVENTS,
    FILES,
    LOCKS,
    MAIL,
    PERMISSIONS,
    Patch,
    Row,
    ViewUpdate,
)
from orchestrator.reports.sentences import Sentences

T = TypeVar("T")

KEPT = 1000
"""How many events a dashboard shows, and looks through for changed files when it opens."""

TICK = 15.0
"""Seconds between two looks at what time alone changes: presence of agents, leases that ended."""

RETRY = 2.0
"""Seconds after which a board that could not be read is read again."""

_SLICE = 1.0
"""Seconds after which a wait looks whether it is still wanted."""

_SHOWS: dict[str, tuple[str, ...]] = {
    "task": (AGENTS, LOCKS, CLAIMS, MAIL, CYCLE),
    "workflow": (CLAIMS, CYCLE),
    "workstream": (CYCLE,),
    "agent": (AGENTS, LOCKS, CLAIMS, MAIL),
    "session": (AGENTS,),
    "subscription": (AGENTS, CLAIMS),
    "lock": (LOCKS, AGENTS),
    "message": (MAIL, AGENTS),
    "permission": (PERMISSIONS, MAIL),
    "cycle": (CYCLE,),
}
"""The small panels that events of a noun change; they are made again as a whole."""

_TAKE_AWAY = ("task.archived", "task.deleted")
"""Events that remove a task, after which its relations cannot be read any more."""


class Feed:
    """The rows of a board for a person.

    Args:
        orc: The board; nothing else uses it.
        person: The name that actions are recorded under, and whose mail is shown.
        workstream: Only tasks of this one are on the panel of the board.
    """

    def __init__(self, orc: Orchestrator, person: str, workstream: str | None = None) -> None:
        self.person = person
        self._orc = orc
        self._workstream = workstream
        self._turn = threading.Lock()
        self._is_closed = threading.Event()
        self._known: dict[str, Task] = {}
        self._made: dict[str, tuple[Row, ...]] = {}
        self._limits: dict[str, str] = {}
        self._events: deque[str] = deque()
        self._event = 0
        self._due = ""
        self._is_broken = False
        self._warnings: list[str] = []
        orc.engine.warn = self._warnings.append
        self._makers: dict[str, Callable[[State, str], Iterable[Row]]] = {
            PERMISSIONS: partial(panels.permission_rows, orc.engine),
            AGENTS: partial(panels.agent_rows, orc.engine),
            MAIL: lambda state, now: panels.mail_rows(state, person, now),
            LOCKS: panels.lock_rows,
            CLAIMS: panels.claim_rows,
            CYCLE: lambda state, now: panels.cycle_rows(state, self._cycle_tasks(state), now),
        }
        self._planned: tuple[int, list[str]] = (0, [])

    def close(self) -> None:
        """End a wait soon."""
        self._is_closed.set()

    def ask(self, question: Callable[[Orchestrator], T]) -> T:
        """Run a command or query while nothing else uses the board."""
        with self._turn:
            return question(self._orc)

    def warnings(self) -> list[str]:
        """The warnings of the board since the last call, each once, as safe lines."""
        warnings = [*dict.fromkeys(map(escape, self._warnings))]
        self._warnings.clear()
        return warnings

    # Updates

    def follow(
        self, show: Callable[[ViewUpdate], object], tell: Callable[[str], object], rest: float
    ) -> None:
        """Pass on what changes until the feed is closed.

        Args:
            show: Gets each update.
            tell: Gets a safe line with the reason when the board cannot be read well, and an empty text when
                it can be read again.
            rest: Seconds between two updates at least.
        """
        told = ""
        while True:
            pause = rest
            try:
                update = self.next()
                if update is None:
                    return
                show(update)
                problem = " ".join(self.warnings())
            except BrokenPipeError:
                raise
            except Exception as error:  # noqa: BLE001  # a screen that stands still would look like a quiet board
                pause = RETRY
                problem = escape(f"The board cannot be read: {error or type(error).__name__}")
            if problem != told:
                tell(problem)
            told = problem
            if self._is_closed.wait(pause):
                return

    def first(self) -> ViewUpdate:
        """Everything that is shown."""
        with self._turn:
            return self._everything(*self._look())

    def next(self) -> ViewUpdate | None:
        """Wait for the next events, or until time alone has changed what is shown; None once it is closed."""
        with self._turn:
            state, now = self._look()
            # An action of the person may have read on already.
            is_behind = self._is_broken or state.event != self._event
            left = 0.0 if is_behind else clock.between(now, self._due)
            wait = self._orc.engine.watch()
        while left > 0 and not self._is_closed.is_set() and not wait(min(left, _SLICE)):
            left -= _SLICE
        return None if self._is_closed.is_set() else self.changes()

    def changes(self) -> ViewUpdate:
        """What has changed since the last update."""
        with self._turn:
            state, now = self._look()
            if self._is_broken or state.event < self._event:  # the board was restored from a backup
                return self._everything(state, now)
            self._is_broken = True  # if reading fails below, the next update sends everything again
            engine = self._orc.engine
            records = [engine.event(n) for n in range(self._event + 1, state.event + 1)]
            self._event = state.event
            stale: Iterable[str] = dict.fromkeys(
                panel for record in records for panel in _SHOWS.get(_noun(record), ())
            )
            if self._due <= now:
                stale = self._makers
            news = self._news(records[-KEPT:], now)
            patches = [
                self._tasks(state, self._touched(state, records, now), now),
                self._files(records, now),
                news,
                *self._whole(stale, state, now),
            ]
            self._set_due(state, now)
            self._is_broken = False
            return ViewUpdate(
                event=state.event,
                cycle=self._cycle(state, now),
                patches=tuple(p for p in patches if p.rows or p.gone or p.is_whole),
                news=tuple(row.key for row in news.rows),
            )

    def _look(self) -> tuple[State, str]:
        return self._orc.engine.read(), self._orc.engine.now()

    def _everything(self, state: State, now: str) -> ViewUpdate:
        self._is_broken = True
        self._known, self._limits, self._made = {}, {}, {}
        self._events.clear()
        self._event = state.event
        self._planned = 0, []
        newest = islice(self._orc.engine.read_backwards(), KEPT)
        recent = [record for record in newest if record.id <= state.event][::-1]
        patches = (
            self._tasks(state, state.tasks, now),
            self._files(recent, now),
            self._news(recent, now),
        )
        self._set_due(state, now)
        update = ViewUpdate(
            event=state.event,
            cycle=self._cycle(state, now),
            patches=(
                *(replace(patch, is_whole=True) for patch in patches),
                *self._whole(self._makers, state, now),
            ),
        )
        self._is_broken = False
        return update

    def _set_due(self, state: State, now: str) -> None:
        """Set when time alone changes what is shown."""
        ends = [request.until for request in state.permissions.pending(now)]
        if (change := state.schedule.next_change(now)) is not None:
            ends.append(change)
        self._due = min([clock.after(now, TICK), *(end for end in ends if end > now)])

    # Tasks

    def _tasks(self, state: State, changed: Iterable[str], now: str) -> Patch:
        rows, gone = [], []
        for task_id in changed:
            self._limits.pop(task_id, None)
            task = state.tasks.get(task_id)
            if task is None:
                gone += [task_id] if self._known.pop(task_id, None) is not None else []
                continue
            self._known[task_id] = task
            if self._workstream not in (None, task.workstream):
                gone.append(task_id)  # it may have been moved
                continue
            rows.append(panels.task_row(state, task, now))
            later = [
                end for end in (task.lease_until, task.review_until, task.defer_until) if end > now
            ]
            if later and task.status not in ENDED:
                self._limits[task_id] = min(later)
        return Patch(panel=BOARD, rows=tuple(rows), gone=tuple(gone))

    def _touched(self, state: State, records: list[Recorded], now: str) -> dict[str, None]:
        """The tasks that events changed, and those that time alone has changed."""
        touched = {task: None for task, until in self._limits.items() if until <= now}
        spread: set[str] = set()
        for record in records:
            noun = _noun(record)
            if noun == "task" and record.type not in _TAKE_AWAY:
                self._spread(state, _tasks_in(record, state), spread)
            elif noun == "workstream":
                name = msgspec.json.decode(record.payload).get("workstream")
                touched |= {t.id: None for t in state.tasks.values() if t.workstream == name}
            elif noun in ("task", "agent", "workflow", "merge"):
                # Any number of tasks may have changed; their records show which.
                tasks = state.tasks.tasks
                changed = [i for i, task in tasks.items() if self._known.get(i) != task]
                touched |= dict.fromkeys((*changed, *(self._known.keys() - tasks.keys())))
        return touched | dict.fromkeys(spread)

    def _spread(self, state: State, tasks: Iterable[str], spread: set[str]) -> None:
        """Add tasks, and those around them whose records have changed with them."""
        queue = [*tasks]
        while queue:
            task_id = queue.pop()
            if task_id in spread:
                continue
            spread.add(task_id)
            task, known = state.tasks.get(task_id), self._known.get(task_id)
            if task is known:
                continue
            records = (record for record in (task, known) if record is not None)
            queue += [record.parent for record in records if record.parent is not None]
            for relation in ("children", "awaited_by", "needed_by", "failure_needed_by"):
                queue += getattr(state.tasks, relation).get(task_id, ())

    # The other panels

    def _files(self, records: list[Recorded], now: str) -> Patch:
        changes = (record for record in records if _noun(record) == "file")
        return Patch(panel=FILES, rows=tuple(panels.file_row(record, now) for record in changes))

    def _news(self, records: list[Recorded], now: str) -> Patch:
        """The new events, and the keys of the oldest rows, which no longer fit."""
        sentences = Sentences(self._orc.engine, lambda moment: clock.local_time(moment, now))
        rows = [panels.event_row(record, sentences.of(record), now) for record in records]
        self._events.extend(row.key for row in rows)
        gone = [self._events.popleft() for _ in range(len(self._events) - KEPT)]
        return Patch(panel=EVENTS, rows=tuple(rows), gone=tuple(gone))

    def _whole(self, names: Iterable[str], state: State, now: str) -> Iterable[Patch]:
        """Small panels as a whole, if they are not as they were."""
        for name in names:
            rows = tuple(self._makers[name](state, now))
            if self._made.get(name) != rows:
                self._made[name] = rows
                yield Patch(panel=name, rows=rows, is_whole=True)

    def _cycle_tasks(self, state: State) -> list[str]:
        cycle = state.cycles.cycle
        if cycle is None:
            return []
        if self._planned[0] != cycle.number:
            plan = self._orc.engine.event(cycle.starts[-1])
            self._planned = cycle.number, panels.planned_tasks(plan)
        return self._planned[1]

    def _cycle(self, state: State, now: str) -> str:
        return escape(panels.cycle_line(state, self._cycle_tasks(state), now))


def _noun(record: Recorded) -> str:
    return record.type.partition(".")[0]


def _tasks_in(record: Recorded, state: State) -> list[str]:
    """The ids of tasks in an event."""
    payload = msgspec.json.decode(record.payload)
    values = [*payload.values(), *payload.get("record", {}).values()]
    texts = [text for value in values for text in (value if isinstance(value, list) else [value])]
    return [text for text in texts if isinstance(text, str) and text in state.tasks]
