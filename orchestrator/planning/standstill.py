"""Why an agent gets no work: every open task is in one of a few groups, each with its reason.

The groups are counted with maps of the state and the schedule, and only the first tasks of each are named,
so a large board costs little more than a small one.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import msgspec

from orchestrator.core.clock import local_time, spoken
from orchestrator.core.printable import escape, first_of, one_line
from orchestrator.domain.state import State
from orchestrator.domain.tasks.blockers import SHOWN, blockers, ended_needs
from orchestrator.domain.tasks.records import Task
from orchestrator.domain.tasks.stages import open_parts

NAMED = 3
"""How many tasks of a group are named; the others are counted."""

TITLE = 80
"""Characters of a title."""

WAIT = "10m"
"""How long the suggested command waits, for an agent that finds no work."""


class NamedTask(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A task that is named.

    Attributes:
        agent: The agent that has it or reviews it, or the runner that merges its branch.
        worker: The agent that did the work in review.
        until: The end of the agent's lease or of the postponement.
        reason: Why it is blocked; of a running task, the check that failed last.
        command: The command that changes this.
        needed_by: How many tasks need it.
    """

    task: str
    title: str
    agent: str = ""
    worker: str = ""
    until: str = ""
    reason: str = ""
    command: str = ""
    needed_by: int = 0


class TaskGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Open tasks that are blocked for the same reason: how many, and the first of them."""

    count: int = 0
    tasks: tuple[NamedTask, ...] = ()


class Standstill(msgspec.Struct, frozen=True, kw_only=True):
    """The open tasks, as seen by an agent that asks for work. Each is in one group.

    Attributes:
        open: How many tasks have not ended.
        ended: How many tasks have ended, by status.
        ready: The agent can claim them.
        mine: The agent has them.
        working: Other agents work on them.
        assigned: They wait for the agent that they were given to.
        in_review: They wait for their review, or are reviewed.
        merging: Their branches wait to be merged, or are merged now.
        blocked: They were set aside.
        held_back: They touch what another agent holds.
        deferred: They were put off.
        signals: They wait for a signal.
        waiting: They wait for other tasks.
        closed: Their workstream is closed.
        stuck: Ended tasks that are not done, and that open ones need.
        review: A review that the agent may take.
        waiters: Other agents that wait for work.
    """

    agent: str
    workstream: str | None
    now: str
    open: int
    ended: dict[str, int]
    ready: TaskGroup
    mine: TaskGroup
    working: TaskGroup
    assigned: TaskGroup
    in_review: TaskGroup
    merging: TaskGroup
    blocked: TaskGroup
    held_back: TaskGroup
    deferred: TaskGroup
    signals: TaskGroup
    waiting: TaskGroup
    closed: TaskGroup
    stuck: TaskGroup
    review: str | None
    waiters: tuple[str, ...]

    @property
    def goes_on(self) -> bool:
        """Whether a task is running or put off, so that work may become free without a decision."""
        begun = (self.mine, self.working, self.assigned, self.in_review, self.merging)
        running = (*begun, self.deferred)
        return any(group.count for group in running)

    @property
    def waits_for_runner(self) -> bool:
        """Whether nothing goes on but what the runner of the merge queue does, and it has not begun."""
        begun = (self.mine, self.working, self.assigned, self.in_review, self.deferred)
        is_begun = any(group.count for group in begun)
        return (
            self.merging.count > 0 and not is_begun and not any(t.agent for t in self.merging.tasks)
        )

    @property
    def needs_decision(self) -> bool:
        """Whether all remaining tasks wait for tasks that ended without being done."""
        others = (self.ready, self.blocked, self.held_back, self.signals, self.closed)
        return self.stuck.count > 0 and not self.goes_on and not any(g.count for g in others)

    @property
    def at_hand(self) -> bool:
        """Whether the agent has work that it can go on with."""
        reviews = (named for named in self.in_review.tasks if named.agent == self.agent)
        return any(named.command for named in (*self.mine.tasks, *reviews))

    @property
    def holds_up(self) -> NamedTask | None:
        """The task of another agent that all other open tasks wait for; None if there is no such task."""
        held = (*self.working.tasks, *self.assigned.tasks, *self.in_review.tasks)
        is_alone = len(held) == 1 and self.open == 1 + self.waiting.count
        return held[0] if is_alone and held[0].agent not in ("", self.agent) else None

    def lines(self, prog: str, waited: float = 0.0) -> list[str]:
        """Return the reasons in lines, with commands that run as printed.

        Args:
            prog: How the command line is called as this agent.
            waited: How long the agent waited without a result, in seconds.
        """
        vain = [f"Nothing came in {spoken(waited)}."] if waited else []
        return [*vain, *_reasons(self, prog), *_advice(self, prog, waited)]


def standstill(
    state: State, agent: str, workstream: str | None, now: str, waiters: Iterable[str] = ()
) -> Standstill:
    """Return the groups of the open tasks of a workstream, or of all, for an agent.

    Args:
        state: The board.
        agent: The agent that asks for work.
        workstream: Only tasks of this stream.
        now: The time.
        waiters: The agents that wait for work.
    """
    groups = _Groups(state, agent, workstream, now)
    review = state.schedule.best_review(workstream, agent, now)
    return Standstill(
        agent=agent,
        workstream=workstream,
        now=now,
        open=groups.count_open(),
        ended=groups.ended,
        review=None if review is None else review.id,
        waiters=tuple(sorted({*waiters} - {agent})),
        **groups.all(),
    )


def work_at_hand(state: State, agent: str, now: str) -> Iterator[Task]:
    """Yield the tasks and reviews that an agent has and can go on with."""
    for task in state.schedule.held_by(agent):
        if task.is_run_by(agent, now) and task.is_clear and not open_parts(state, task):
            yield task
    for task in state.schedule.reviews.held_by(agent):
        if task.is_reviewed_by(agent, now):
            yield task


class _Groups:
    """The groups of a board for an agent."""

    def __init__(self, state: State, agent: str, workstream: str | None, now: str) -> None:
        self.state, self.agent, self.now = state, agent, now
        self.at_hand = {task.id for task in work_at_hand(state, agent, now)}
        self.streams = {
            name for name in state.workstreams if workstream is None or name == workstream
        }
        self.closed = {s for s in self.streams if state.workstreams[s].status != "active"}
        self.counts = [(name, state.tasks.counts[name]) for name in self.streams]
        self.ended = {
            status: n
            for status in ("done", "failed", "cancelled")
            if (n := sum(counts.get(status, 0) for _, counts in self.counts))
        }
        begun = [task for task in state.tasks.open() if task.status != "pending"]
        self.special = [task for task in begun if task.workstream in self.streams]
        self.lapsed = [task for task in self.special if task.has_lapsed(now)]

    def count_open(self) -> int:
        return sum(sum(counts.values()) for _, counts in self.counts) - sum(self.ended.values())

    def all(self) -> dict[str, TaskGroup]:
        """Return the groups by name."""
        held = [t for t in self.special if t.is_held(self.now)]
        others = [task for task in held if task.assigned_to != self.agent]
        reviews = self.state.schedule.reviews.all()
        going = [task for task in self.special if not self._is_stopped(task)]
        named = {
            "mine": [task for task in held if task.assigned_to == self.agent],
            "working": [task for task in others if task.status == "in_progress"],
            "assigned": [t for t in others if t.status == "assigned" and not self._is_stopped(t)],
            "in_review": [
                t for t in reviews if t.workstream in self.streams and not self._is_stopped(t)
            ],
            "merging": [task for task in self.special if task.waits_for],
            "blocked": [task for task in going if task.status == "blocked"],
        }
        groups = {name: self._group(tasks) for name, tasks in named.items()}
        return {
            **groups,
            **self._free(),
            "stuck": self._group(self._stuck()),
        }

    def _free(self) -> dict[str, TaskGroup]:
        """Return the groups of the tasks that no agent has, and that were not set aside."""
        state, schedule = self.state, self.state.schedule
        ready: list[Task] = []
        held_back: list[Task] = []
        collides: dict[tuple[str, ...], bool] = {}
        for task in schedule.ready(None, self.now):
            if task.workstream in self.streams:
                if task.touches not in collides:
                    collisions = schedule.task_collisions(task, self.agent, self.now)
                    collides[task.touches] = bool(collisions)
                (held_back if collides[task.touches] else ready).append(task)
        put_off = (*schedule.deferred(self.now), *self.lapsed)
        deferred = [
            task
            for task in {task.id: task for task in put_off}.values()
            if self._is_free(task) and task.is_clear and task.defer_until > self.now
        ]
        awaiting = {task: None for tasks in state.tasks.signals.values() for task in tasks}
        signals = [
            task
            for task in map(state.tasks.__getitem__, awaiting)
            if self._is_free(task) and task.is_reached
        ]
        closed = sum(counts.get("pending", 0) for s, counts in self.counts if s in self.closed)
        closed += sum(task.workstream in self.closed for task in self.lapsed)
        pending = sum(counts.get("pending", 0) for _, counts in self.counts) + len(self.lapsed)
        others = (ready, held_back, deferred, signals)
        waiting = pending - closed - sum(map(len, others))
        closed += sum(map(self._is_stopped, self.special))
        return {
            "ready": self._group(ready),
            "held_back": self._group(held_back),
            "deferred": self._group(deferred),
            "signals": self._group(signals),
            "waiting": self._group(islice(self._waiting(), NAMED if waiting else 0), waiting),
            "closed": self._group(islice(self._closed(), NAMED if closed else 0), closed),
        }

    def _is_free(self, task: Task) -> bool:
        """Whether no agent has a task, and its workstream is one of those and active."""
        free = task.status == "pending" or task.has_lapsed(self.now)
        return free and task.workstream in self.streams - self.closed

    def _waiting(self) -> Iterator[Task]:
        for task in self.state.tasks.open():
            is_due = task.is_clear and task.defer_until <= self.now
            waits = not task.is_reached or (is_due and open_parts(self.state, task))
            if waits and self._is_free(task):
                yield task

    def _closed(self) -> Iterator[Task]:
        for task in self.state.tasks.open():
            free = task.status == "pending" or task.has_lapsed(self.now)
            if task.workstream in self.closed and (free or self._is_stopped(task)):
                yield task

    def _is_stopped(self, task: Task) -> bool:
        """Whether a task goes on only when its workstream is open again, though it waits for nothing else."""
        if task.workstream not in self.closed or task.has_lapsed(self.now):
            return False
        is_unseen = task.awaits_review and task.review_until <= self.now
        is_given = task.status == "assigned" and task.assigned_to != self.agent
        return is_unseen or is_given or task.status == "blocked"

    def _stuck(self) -> list[Task]:
        """The failed and cancelled tasks that block open tasks of these workstreams."""
        users = (task for task in self.state.tasks.open() if task.workstream in self.streams)
        return self.state.tasks.present(ended_needs(self.state, users))

    def _users(self, task: Task) -> list[str]:
        """The tasks that need a task, and unless it failed those that need its failure."""
        tasks = self.state.tasks
        failing = () if task.status == "failed" else tasks.failure_needed_by.get(task.id, ())
        return [*dict.fromkeys((*tasks.needed_by.get(task.id, ()), *failing))]

    def _group(self, tasks: Iterable[Task], count: int | None = None) -> TaskGroup:
        chosen = tasks if isinstance(tasks, Sequence) else [*tasks]
        named = sorted(chosen, key=lambda task: (task.priority, task.events[0]))[:NAMED]
        return TaskGroup(
            count=len(chosen) if count is None else count, tasks=tuple(map(self._held, named))
        )

    def _held(self, task: Task) -> NamedTask:
        """Return a task in the words of its group."""
        who: dict[str, str] = {}
        reason, command = "", ""
        reopen = f"ws reopen {task.workstream}"
        if self._is_stopped(task):
            reason, command = f"its workstream {task.workstream} is closed", reopen
        elif task.waits_for:
            who, command = self._merge(task)
        elif task.status == "in_review":
            who, reason, command = self._review(task)
        elif task.is_held(self.now):
            who = {"agent": task.assigned_to or "", "until": task.lease_until}
            reason = _failed_check(task)
            if task.id in self.at_hand:
                command = f'done {task.id} "the result"'
        elif task.status in ("failed", "cancelled"):
            is_closed = self.state.workstreams[task.workstream].status != "active"
            reason, command = task.reason, reopen if is_closed else f"t reopen {task.id}"
        elif task.defer_until > self.now and task.is_clear:
            who = {"until": task.defer_until}
        else:
            reason, command = self._obstacle(task)
        return NamedTask(
            task=task.id,
            title=one_line(task.title, TITLE),
            reason=one_line(reason, SHOWN),
            command=command,
            needed_by=len(self._users(task)),
            **who,
        )

    def _review(self, task: Task) -> tuple[dict[str, str], str, str]:
        """Return who did a task and reviews it, why the agent cannot, and how it ends its own review."""
        who = {"worker": task.assigned_to or ""}
        if task.review_until > self.now:
            is_mine = task.id in self.at_hand
            who |= {"agent": task.reviewer or "", "until": task.review_until}
            return who, "", f'approve {task.id} "what you looked at"' if is_mine else ""
        if self.agent in task.all_workers:
            return who, "another agent must review it", ""
        record = self.state.agents.get(self.agent)
        suits = record is None or record.suits(task)
        return who, "" if suits else "it is of a kind that your capabilities leave out", ""

    def _merge(self, task: Task) -> tuple[dict[str, str], str]:
        """Return who did a task, which runner merges its branch, and the command that shows more."""
        who = {"worker": task.assigned_to or ""}
        submission = self.state.merges.open_of_task(task.id)
        if submission is not None and submission.is_being_merged(self.now):
            who |= {"agent": submission.runner, "until": submission.until}
        return who, f"merge show {task.id}"

    def _obstacle(self, task: Task) -> tuple[str, str]:
        """Return the first blocker of a task, and the command that removes it."""
        if task.status == "blocked":
            return task.reason, f"t unblock {task.id}"
        for blocker in blockers(self.state, task, self.now):
            other = self.state.tasks.get(blocker.task or "")
            says = blocker.says
            if other is not None and other is not task:
                title = one_line(other.title, TITLE)
                says = says.replace(other.id, f"{other.id} {title}", 1)
            # What another one is blocked by, failed in or is reviewed for stands in its own group.
            is_named = other is not None and blocker.kind == "need"
            return says, "" if is_named else blocker.command
        for hold in self.state.schedule.task_collisions(task, self.agent, self.now):
            until = local_time(hold.until, self.now)
            return f"touches {hold.resource}, which {hold.agent} holds until {until}", ""
        return "", ""


def _failed_check(task: Task) -> str:
    """The first check of a running task that did not pass; empty if there is none."""
    failed = (e for e in task.evidence if e.kind in ("verify", "artifact") and not e.passed)
    return next((f"{item.what} did not pass: {item.problem}" for item in failed), "")


def _reasons(what: Standstill, prog: str) -> Iterator[str]:
    now = what.now

    def until(held: NamedTask) -> str:
        return f" until {local_time(held.until, now)}" if held.until else ""

    def needed(held: NamedTask) -> str:
        return f" (needed by {held.needed_by})" if held.needed_by else ""

    def way(held: NamedTask) -> str:
        return f" (`{prog} {held.command}`)" if held.command else ""

    def reason(held: NamedTask) -> str:
        return f": {escape(held.reason)}" if held.reason else ""

    def review(held: NamedTask) -> str:
        by = f"{held.agent} reviews it{until(held)}" if held.agent else "no agent reviews it yet"
        if held.agent == what.agent:
            by = f"you review it{until(held)}{way(held)}"
        return f" of {held.worker or 'no agent'}, {by}{reason(held)}{needed(held)}"

    def merge(held: NamedTask) -> str:
        by = f"{held.agent} merges it{until(held)}" if held.agent else "no runner merges it yet"
        return f" of {held.worker or 'no agent'}, {by}{way(held)}{needed(held)}"

    groups = (
        (what.mine, "You have", lambda h: f"{until(h)}{reason(h)}{way(h)}{needed(h)}"),
        (what.working, "In work", lambda h: f": {h.agent}{until(h)}{reason(h)}{needed(h)}"),
        (what.assigned, "Given to", lambda h: f": {h.agent}, to begin{until(h)}{needed(h)}"),
        (what.in_review, "In review", review),
        (what.merging, "To be merged", merge),
        (what.held_back, "Held back", reason),
        (what.blocked, "Blocked", lambda h: f"{reason(h)}{way(h)}{needed(h)}"),
        (what.stuck, "Not done, but needed", lambda h: f"{reason(h)}{way(h)}{needed(h)}"),
        (what.signals, "Waits for a signal", lambda h: f"{reason(h)}{way(h)}"),
        (what.deferred, "Put off", until),
        (what.waiting, "Waits for other tasks", lambda h: f"{reason(h)}{way(h)}"),
        (what.closed, "In a closed workstream", lambda h: f"{reason(h)}{way(h)}"),
    )
    for group, label, details in groups:
        if group.count:
            rest = group.count - len(group.tasks)
            tasks = [f"{h.task} {escape(h.title)}{details(h)}" for h in group.tasks]
            tasks += [f"and {rest} more"] if rest else []
            yield f"- {label} ({group.count}): {'; '.join(tasks)}"


def _advice(what: Standstill, prog: str, waited: float) -> Iterator[str]:
    if what.waiters:
        yield f"Also waiting for work: {first_of(what.waiters, NAMED)}."
    if what.open and not what.goes_on:
        yield "Nobody works on a task, so no task will end without a new claim."
    if what.waits_for_runner:
        yield f"Only merges are left: `{prog} merge run --once` makes them, if no runner does."
    if what.review is not None:
        yield f"`{prog} t review {what.review}` takes a review that is due."
    if waited and (held := what.holds_up):
        ask = f'{prog} mail send {held.agent} "QUESTION"'
        yield f"Everything waits for {held.task}: `{ask}` asks {held.agent}."
    if not (what.needs_decision or what.at_hand):
        scope = f" {what.workstream}" if what.workstream else ""
        yield f"`{prog} next{scope} --wait {WAIT}` waits for work."
