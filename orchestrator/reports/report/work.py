"""The input of the forecast: the history of the work, and the open work."""

from collections import deque
from collections.abc import Iterator, Mapping

from orchestrator.core import clock
from orchestrator.core.multimap import multimap
from orchestrator.domain.state import State
from orchestrator.domain.tasks.blockers import ancestors, awaited_failures, open_needs
from orchestrator.domain.tasks.records import ENDED, Task, rank_of
from orchestrator.domain.tasks.stages import open_parts
from orchestrator.reports.report.lives import Change, Life
from orchestrator.reports.report.rhythm import Rhythm, rhythm_of
from orchestrator.reports.report.simulation import OpenTask, Took, WorkHistory

LAST = 1000
"""The number of ended tasks, newest first, whose durations are used."""

RECENT = 14 * 86400.0
"""The period before the last claim in which workers and pauses are measured, in seconds."""


def work_history(lives: Mapping[str, Life], until: float) -> WorkHistory:
    """Measure the durations of tasks and the pauses of workers."""
    rhythm = _rhythm(lives, until)
    known = (_took(life, until, rhythm) for life in lives.values())
    took = sorted(filter(None, known), key=lambda t: t[0])
    pickups, workers = _pickups(lives, rhythm)
    return WorkHistory([entry[1] for entry in took[-LAST:]], pickups, workers, rhythm)


def _rhythm(lives: Mapping[str, Life], until: float) -> Rhythm:
    """When work rests: from the last times at which tasks were claimed or given back, handed in or ended."""
    spans = [span for life in lives.values() for span in _claims(life)]
    moments = sorted(change.moment for span in spans for change in span if change is not None)
    return rhythm_of(moments[-2 * LAST :], until)


def _claims(life: Life) -> Iterator[tuple[Change, Change | None]]:
    """Each time in progress: the claim, and the change that ended it; None while it goes on.

    Times that ended because the agent had left the task are omitted: the working time is unknown.
    """
    changes = life.own
    for change, following in zip(changes, [*changes[1:], None], strict=True):
        if change.status == "in_progress" and not (following and following.is_lapse):
            yield change, following


def _took(life: Life, until: float, rhythm: Rhythm) -> tuple[float, Took] | None:
    """The duration of a task, and when it was known; None if it has none."""
    claims = [*_claims(life)]
    if not claims or life.facts is None:
        return None
    kind, (claim, end) = life.facts.type, claims[-1]
    if end is None:
        if getattr(life.facts, "lease_until", "") <= clock.timestamp(until):
            return None  # its agent has left it
        return until, Took(kind, claim.agent, rhythm.between(claim.moment, until), has_ended=False)
    if life.last.status not in ("done", "failed"):
        return None
    worked = sum(rhythm.between(begin.moment, end.moment) for begin, end in claims if end)
    waited = max(0.0, rhythm.between(claims[0][0].moment, life.last.moment) - worked)
    return life.last.moment, Took(kind, claim.agent, worked, waited)


def _pickups(lives: Mapping[str, Life], rhythm: Rhythm) -> tuple[list[float], int]:
    """Measure the pauses of free workers before ready tasks, and the number of workers at the same time.

    Workers have no names here, because agents come and go: the one that is free longest claims next.
    """
    claims = [(life, *span) for life in lives.values() for span in _claims(life)]
    last = max((claim.moment for _, claim, _ in claims), default=0.0)
    recent = [entry for entry in claims if entry[2] is None or entry[2].moment >= last - RECENT]
    recent.sort(key=lambda entry: (entry[1].moment, entry[1].event))
    ends = sorted((end.moment, end.event) for _, _, end in recent if end)
    free: deque[float] = deque()
    pickups: list[float] = []
    workers = ended = 0
    for life, claim, _ in recent:
        while ended < len(ends) and ends[ended] < (claim.moment, claim.event):
            free.append(ends[ended][0])
            ended += 1
        if free:
            ready = max(free.popleft(), _ready_since(life, claim, lives))
            pickups.append(rhythm.between(ready, claim.moment))
        else:
            workers += 1
    return pickups, workers


def _ready_since(life: Life, claim: Change, lives: Mapping[str, Life]) -> float:
    """The time since when the claimed task was ready: it became pending, or its last need ended."""
    before = max((c.moment for c in life.changes if c.event < claim.event), default=claim.moment)
    needs = (lives[need].last.moment for need in life.facts.needs if need in lives)  # type: ignore[union-attr]
    return max([before, *(end for end in needs if end <= claim.moment)])


class WorkLeft:
    """The open tasks of a workstream, or of all, with their needs elsewhere, in the order of the queue.

    Attributes:
        tasks: The simulated tasks.
        assumed_free: The number of them that are blocked or wait for a signal.
        places: The position of each in ``tasks``, by id.
        spared: Open tasks that are not simulated, because they are only done if others fail; the others are
            simulated as successful. No parent waits for such a part.
        left_out: The number of open tasks that are not simulated: they wait for a decision.
    """

    def __init__(self, state: State, workstream: str | None, now: str) -> None:
        self._state, self._now = state, now
        streams = state.workstreams
        open_tasks = [task for task in state.tasks.open() if workstream in (None, task.workstream)]
        failures = {task.id: awaited_failures(state, task) for task in open_tasks}
        others = {task: needs for task, needs in failures.items() if needs}
        self.spared = {t for t, needs in others.items() if all(map(state.tasks.is_open, needs))}
        wanted = [task for task in open_tasks if task.id not in others]
        before: dict[str, list[str]] = {}
        result = [*wanted]
        for task in result:  # grows while it is read: what is needed of other workstreams
            if task.id not in before:
                waits = before[task.id] = self._before(task)
                result += (state.tasks[other] for other in waits if not self._is_undone(other))
        stuck = self._stuck(before)
        self.tasks = sorted(
            (state.tasks[task] for task in before if task not in stuck),
            key=lambda task: (streams[task.workstream].priority, rank_of(task)),
        )
        stuck_ones = sum(task.id in stuck for task in wanted)
        self.left_out = stuck_ones + len(others) - len(self.spared)
        self.assumed_free = sum(t.status == "blocked" or t.awaits_signal for t in self.tasks)
        self.places = {task.id: place for place, task in enumerate(self.tasks)}
        self._needed = before

    def _before(self, task: Task) -> list[str]:
        """The open tasks that must end before this one begins."""
        state = self._state
        parts = open_parts(state, task)
        if task.gate is not None and task.gate.how != "any":
            children = state.tasks.children.get(task.gate.of, ())
            parts += (child for child in children if state.tasks.is_open(child))
        waits = open_needs(state, task)
        waits += (part for part in parts if not awaited_failures(state, state.tasks[part]))
        for parent in ancestors(state, task.parent):
            waits += open_needs(state, parent)
        return [*dict.fromkeys(other for other in waits if other != task.id)]

    def _stuck(self, before: dict[str, list[str]]) -> set[str]:
        """The tasks that need a decision to continue, and the tasks that wait for them."""
        state = self._state
        after = multimap((other, task) for task, waits in before.items() for other in waits)
        stuck: list[str] = []
        for task, waits in before.items():
            is_closed = state.workstreams[state.tasks[task].workstream].status != "active"
            if is_closed or any(map(self._is_undone, waits)):
                stuck.append(task)
        known = {*stuck}
        for task in stuck:  # grows while it is read
            more = [other for other in after.get(task, ()) if other not in known]
            known.update(more)
            stuck += more
        return known

    def _is_undone(self, other: str) -> bool:
        """Whether a task that another one waits for is not going to be done as things stand."""
        task = self._state.tasks.get(other)
        if task is None or task.status in ENDED:
            return True
        return bool(awaited_failures(self._state, task))

    def played(self, rhythm: Rhythm) -> list[OpenTask]:
        """The tasks as the forecast plays them, on a board of this rhythm."""
        return [self._played(task, rhythm) for task in self.tasks]

    def _played(self, task: Task, rhythm: Rhythm) -> OpenTask:
        now = clock.seconds(self._now)
        is_running = task.status == "in_progress" and not task.has_lapsed(self._now)
        deferred = clock.seconds(task.defer_until) if task.defer_until else now
        since = clock.seconds(task.claimed_at) if is_running and task.claimed_at else now
        return OpenTask(
            kind=task.type,
            agent=task.assigned_to or "" if is_running else "",
            before=[self.places[other] for other in self._needed[task.id]],
            ready_in=rhythm.between(now, deferred),
            elapsed=rhythm.between(since, now) if is_running else None,
            is_worked=task.status == "in_review",
            is_instant=task.completes_itself,
        )

    def at_hand(self, usual: Mapping[str, float]) -> list[int]:
        """The places of the tasks that can be worked on, those first behind which the longest chains wait.

        Args:
            usual: How long tasks of a type take; of any other under an empty text.
        """
        chains = [0.0] * len(self.tasks)
        for place in self._ends_first():
            task = self.tasks[place]
            length = 0.0 if task.completes_itself else usual.get(task.type, usual[""])
            chains[place] += length
            for other in self._needed[task.id]:
                before = self.places[other]
                chains[before] = max(chains[before], chains[place])
        at_hand = [
            place
            for place, task in enumerate(self.tasks)
            if not self._needed[task.id]
            and not task.completes_itself
            and task.defer_until <= self._now
        ]
        return sorted(at_hand, key=lambda place: -chains[place])

    def _ends_first(self) -> Iterator[int]:
        """The places of the tasks, each before all that it waits for."""
        waiting = [0] * len(self.tasks)
        for task in self.tasks:
            for other in self._needed[task.id]:
                waiting[self.places[other]] += 1
        ready = [place for place, count in enumerate(waiting) if not count]
        for place in ready:  # grows while it is read
            yield place
            for other in self._needed[self.tasks[place].id]:
                before = self.places[other]
                waiting[before] -= 1
                if not waiting[before]:
                    ready.append(before)
