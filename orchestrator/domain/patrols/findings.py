"""What a patrol finds: facts of the board, of the presence of agents, and of worktrees.

=====================  ===================================================================================
kind                   meaning
=====================  ===================================================================================
`quiet_task`           its agent, which has it under a live lease, has missed its heartbeats
`gone_agent`           an agent is gone, and has tasks or reviews, or a worktree with uncommitted changes
`lapsing_lease`        a lease is about to end, and its agent has not renewed it
`waiting_submission`   a branch waits long to be merged
`still_convoy`         no agent works on an open convoy, and none of its tasks has changed for long
`lock_of_gone`         an agent that is gone holds a lock
`idle_worktree`        no agent has the task of a worktree, and its branch does not wait to be merged
=====================  ===================================================================================

The presence of an agent says whether it is there, as in `agent list`: it needs a heartbeat or a lease; a
process alone is not enough.
"""

from collections.abc import Iterator, Mapping

import msgspec

from orchestrator.core import clock
from orchestrator.core.multimap import multimap
from orchestrator.core.printable import amount, escape, first_of, one_line
from orchestrator.core.transaction import SYSTEM
from orchestrator.domain.agents.commands import AgentView
from orchestrator.domain.agents.records import OVERSEER
from orchestrator.domain.board.settings import PatrolSettings
from orchestrator.domain.convoys.records import Convoy
from orchestrator.domain.patrols.records import Concern
from orchestrator.domain.state import State
from orchestrator.domain.tasks.records import HELD, Task

_TITLE = 60
_NAMED = 3
_LAST_PART = 4
"""A lease is about to end in its last quarter, at the earliest."""


class TreeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A worktree of a task as it stands.

    Attributes:
        agent: Who made it.
        is_dirty: Whether it has changes that are not committed.
    """

    task: str
    agent: str
    branch: str
    made_at: str
    is_dirty: bool = False


class PatrolFinding(Concern, frozen=True, kw_only=True):
    """A concern as it is now.

    Attributes:
        text: What is wrong, in one sentence.
        advice: What to do.
        since: Since when.
        tasks: The tasks that it concerns.
    """

    text: str
    advice: str
    since: str
    tasks: tuple[str, ...] = ()


class PatrolLook(msgspec.Struct, frozen=True):
    """A look at the board.

    Attributes:
        state: The board.
        now: The time.
        agents: The agents with their presence.
        trees: The worktrees by task.
        limits: How long is too long.
    """

    state: State
    now: str
    agents: Mapping[str, AgentView]
    trees: Mapping[str, TreeFacts]
    limits: PatrolSettings

    def findings(self) -> list[PatrolFinding]:
        """What is wrong now, by key."""
        found = [
            *self._leases(),
            *self._gone_agents(),
            *self._waiting_submissions(),
            *self._still_convoys(),
            *self._idle_worktrees(),
        ]
        return sorted((self._addressed(finding) for finding in found), key=lambda f: f.key)

    def _addressed(self, finding: PatrolFinding) -> PatrolFinding:
        """The finding, for the overseer if there is no agent that could be told."""
        to = self.state.agents.aliases.get(finding.to, finding.to)
        is_there = to not in ("", SYSTEM) and not self.state.agents.is_retired(to)
        return msgspec.structs.replace(finding, to=to if is_there else OVERSEER)

    def _is_gone(self, agent: str) -> bool:
        view = self.agents.get(agent)
        return view is None or view.presence == "gone"

    def _last_seen(self, agent: str) -> str:
        view = self.agents.get(agent)
        return (view.last_seen if view is not None else None) or ""

    def _before(self, duration: str) -> str:
        """The moment that was so long ago."""
        return clock.after(self.now, -clock.duration(duration))

    def _leases(self) -> Iterator[PatrolFinding]:
        """What is wrong with tasks and locks under leases that have not ended."""
        for task in self.state.schedule.running():
            if task.lease_until > self.now:
                yield from self._lease_of(task)
        for lock in self.state.locks.values():
            for holder in lock.holders:
                if holder.until > self.now and holder.task is None and self._is_gone(holder.agent):
                    yield PatrolFinding(
                        kind="lock_of_gone",
                        subject=lock.resource,
                        mark=str(holder.token),
                        to=holder.agent,
                        text=f"{holder.agent} is gone and holds the lock {escape(lock.resource)} until"
                        f" {holder.until}",
                        advice="The lock ends with its lease. `lock break` frees it earlier, with a reason.",
                        since=self._last_seen(holder.agent) or holder.since,
                    )

    def _lease_of(self, task: Task) -> Iterator[PatrolFinding]:
        holder = task.assigned_to or SYSTEM
        view = self.agents.get(holder)
        if view is not None and view.presence == "silent":
            yield PatrolFinding(
                kind="quiet_task",
                subject=task.id,
                mark=str(task.token),
                to=holder,
                text=f"{holder} has {_named(task)} and gives no sign of life",
                advice=f"`t renew {task.id}` keeps it, `t release {task.id}` gives it back.",
                since=view.last_seen or task.updated_at,
                tasks=(task.id,),
            )
        left = clock.between(self.now, task.lease_until)
        if left <= min(clock.duration(self.limits.lease), (task.lease or 0.0) / _LAST_PART):
            yield PatrolFinding(
                kind="lapsing_lease",
                subject=task.id,
                mark=task.lease_until,
                to=holder,
                text=f"The lease of {holder} on {_named(task)} ends at {task.lease_until}",
                advice=f"`t renew {task.id}` keeps it; otherwise another agent can take it.",
                since=self.now,
                tasks=(task.id,),
            )

    def _gone_agents(self) -> Iterator[PatrolFinding]:
        schedule = self.state.schedule
        dirty = multimap(
            (owner_of(self.state, tree), tree) for tree in self.trees.values() if tree.is_dirty
        )
        for name in sorted({*schedule.holders(), *schedule.reviews.reviewers(), *dirty}):
            if name == SYSTEM or not self._is_gone(name):
                continue
            held = [t for t in schedule.held_by(name) if t.is_held_by(name, self.now)]
            reviews = [
                t for t in schedule.reviews.held_by(name) if t.is_reviewed_by(name, self.now)
            ]
            changed = dirty.get(name, [])
            parts = [
                *([f"has {first_of(held, _NAMED, _named)}"] if held else []),
                *([f"reviews {first_of(reviews, _NAMED, _named)}"] if reviews else []),
                *([f"left changes in {_trees(changed)}"] if changed else []),
            ]
            if parts:
                tasks = [*(t.id for t in (*held, *reviews)), *(t.task for t in changed)]
                yield PatrolFinding(
                    kind="gone_agent",
                    subject=name,
                    to=name,
                    text=f"{name} is gone, and {', '.join(parts)}",
                    advice="A patrol gives the work back when its lease ends. It removes nothing from a"
                    " worktree.",
                    since=self._last_seen(name),
                    tasks=tuple(dict.fromkeys(tasks)),
                )

    def _waiting_submissions(self) -> Iterator[PatrolFinding]:
        oldest = self._before(self.limits.submission)
        for submission in self.state.merges.open():
            if submission.submitted_at > oldest or submission.is_being_merged(self.now):
                continue
            number = submission.number
            yield PatrolFinding(
                kind="waiting_submission",
                subject=str(number),
                mark=submission.submitted_at,
                to=submission.author,
                text=f"Submission {number}, {escape(submission.branch)} to {escape(submission.target)},"
                f" has waited since {submission.submitted_at}",
                advice=f"`merge show {number}` shows its state, `merge run` merges the waiting branches.",
                since=submission.submitted_at,
                tasks=(submission.task,) if submission.task else (),
            )

    def _still_convoys(self) -> Iterator[PatrolFinding]:
        oldest = self._before(self.limits.convoy)
        for convoy in self.state.convoys.values():
            if convoy.status != "open" or not convoy.open_tasks:
                continue
            last = self._last_change(convoy)
            if last is not None and last <= oldest:
                open_tasks = [t for t in convoy.tasks if self.state.tasks.is_open(t)]
                yield PatrolFinding(
                    kind="still_convoy",
                    subject=convoy.name,
                    mark=last,
                    to=convoy.created_by,
                    text=f"Nothing has changed in the convoy {escape(convoy.name)} since {last}:"
                    f" {amount(len(open_tasks), 'task')} open, and no agent works on one",
                    advice=f"`convoy show {convoy.name}` lists them, `dispatch --convoy {convoy.name}`"
                    " assigns the ready tasks.",
                    since=last,
                    tasks=tuple(open_tasks),
                )

    def _last_change(self, convoy: Convoy) -> str | None:
        """When a task of a convoy changed last; None if an agent has one of them."""
        tasks = self.state.tasks.present(convoy.tasks)
        if any(task.is_held(self.now) or task.review_until > self.now for task in tasks):
            return None
        changes = (task.updated_at for task in tasks)
        return max(convoy.created_at, convoy.started_at, *changes)

    def _idle_worktrees(self) -> Iterator[PatrolFinding]:
        oldest = self._before(self.limits.worktree)
        for tree in self.trees.values():
            task = self.state.tasks.get(tree.task)
            since = max(tree.made_at, task.updated_at if task is not None else "")
            if since > oldest or is_in_hands(self.state, tree.task, self.now):
                continue
            if tree.is_dirty and self._is_gone(owner_of(self.state, tree)):
                continue  # it is told with its agent
            state_of_task = task.status if task is not None else "not on the board any more"
            rest = " and has uncommitted changes" if tree.is_dirty else ""
            yield PatrolFinding(
                kind="idle_worktree",
                subject=tree.task,
                mark=tree.made_at,
                to=tree.agent,
                text=f"No agent has the worktree of {tree.task}, on {escape(tree.branch)}{rest}; its"
                f" task is {state_of_task}",
                advice=f"`worktree show {tree.task}` shows its contents, `worktree prune --dry-run` shows"
                " what can be removed.",
                since=since,
                tasks=(tree.task,),
            )


def is_in_hands(state: State, task_id: str, now: str) -> bool:
    """Whether an agent has a task or reviews it, or its branch waits to be merged."""
    task = state.tasks.get(task_id)
    if task is None:
        return False
    is_with_agent = task.is_held(now) or task.status == "in_review"
    return is_with_agent or state.merges.open_of_task(task.id) is not None


def owner_of(state: State, tree: TreeFacts) -> str:
    """The agent that works in a worktree: the one that has its task, else the one that made it."""
    task = state.tasks.get(tree.task)
    holder = task.assigned_to if task is not None and task.status in HELD else None
    agent = holder or tree.agent
    return state.agents.aliases.get(agent, agent)


def _named(task: Task) -> str:
    return f"{task.id} {escape(one_line(task.title, _TITLE))}"


def _trees(trees: list[TreeFacts]) -> str:
    return f"the worktree of {first_of(trees, _NAMED, lambda tree: tree.task)}"
