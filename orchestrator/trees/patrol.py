"""``orc.patrols``: find work without progress, also in worktrees, and explain a task.

A patrol tells agents by mail, tells the overseer after some nudges, and gives back work whose lease has
ended. It ends no process and removes nothing.
"""

from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from orchestrator.core import clock
from orchestrator.core.errors import OrchestratorError
from orchestrator.core.git import Git
from orchestrator.core.git_worktrees import changes
from orchestrator.core.printable import times
from orchestrator.domain.agents.commands import AgentView
from orchestrator.domain.agents.records import OVERSEER
from orchestrator.domain.patrols.commands import PatrolRecords, PatrolRound
from orchestrator.domain.patrols.findings import PatrolFinding, TreeFacts, is_in_hands, owner_of
from orchestrator.domain.patrols.records import WatchedConcern
from orchestrator.domain.patrols.steps import next_step
from orchestrator.domain.tasks.lookup import find_live
from orchestrator.domain.tasks.records import HELD
from orchestrator.domain.worktrees.records import folder_of


class ExplainedFinding(msgspec.Struct, frozen=True, kw_only=True):
    """A finding about a task, with what was done and what comes next.

    Attributes:
        kind: What is wrong.
        text: What is wrong, in one sentence.
        advice: What to do.
        to: Who is told.
        nudges: How often it was told.
        nudged_at: When it was told last; empty if it was not.
        escalated_at: When the overseer was told; empty if it was not.
        next: What the next patrol does about it: ``nudge`` or ``escalate``; empty: nothing more.
        due: When; empty: at once.
    """

    kind: str
    text: str
    advice: str
    to: str
    nudges: int = 0
    nudged_at: str = ""
    escalated_at: str = ""
    next: str = ""
    due: str = ""


class TaskExplanation(msgspec.Struct, frozen=True, kw_only=True):
    """What a patrol knows of a task.

    Attributes:
        status: Its status.
        agent: The agent that has it.
        presence: Whether that agent is there: waiting, working, online, idle, silent or gone.
        last_seen: The last sign of life of the agent.
        lease_until: When its lease ends.
        is_lapsed: Whether that has passed: a patrol gives the task back.
        worktree: Its worktree.
        findings: What is wrong.
    """

    task: str
    title: str
    status: str
    agent: str | None
    presence: str
    last_seen: str | None
    lease_until: str
    is_lapsed: bool
    worktree: TreeFacts | None
    findings: tuple[ExplainedFinding, ...]

    def lines(self, now: str) -> list[str]:
        """What it says, for people."""
        lines = [f"{self.task} is {self.status}"]
        if self.agent is not None:
            seen = f", seen {clock.local_time(self.last_seen, now)}" if self.last_seen else ""
            lines.append(f"{self.agent} has it and is {self.presence}{seen}")
        if self.lease_until:
            ended = "ended" if self.is_lapsed else "ends"
            lines.append(f"The lease {ended} {clock.local_time(self.lease_until, now)}")
        if self.is_lapsed:
            lines.append("The next patrol gives it back")
        if self.worktree is not None:
            rest = ", with uncommitted changes" if self.worktree.is_dirty else ""
            lines.append(f"Its worktree is on {self.worktree.branch}{rest}")
        for finding in self.findings:
            lines += [f"{finding.kind}: {finding.text}", f"  {finding.advice}"]
            lines.append(f"  {_done(finding, now)}; {_next(finding, now)}")
        return lines if self.findings else [*lines, "Nothing is wrong with it."]


class Patrols(PatrolRecords, name="patrols"):
    """``orc.patrols``: run, explain, findings."""

    def run(self, *, agent: str | None = None) -> PatrolRound:
        """Look at the board once, and do what is due.

        Two patrols at once do nothing twice: what was done is in the log. Without anything to do, nothing is
        recorded.

        Args:
            agent: Who patrols; ``patrol`` if nobody is named.
        """
        self._desk.pause()
        return self._patrol(self._trees(), agent)

    def findings(self) -> list[PatrolFinding]:
        """Return what is wrong now, without doing anything about it."""
        return self._found(self._state, self._desk.now(), self._trees())

    def explain(self, task: str) -> TaskExplanation:
        """Return what a patrol knows of a task, and what it does next.

        Args:
            task: Its id or a prefix.

        Raises:
            NotFound: There is no such task.
        """
        state, now = self._state, self._desk.now()
        known = find_live(state, task)
        trees = self._trees(known.id)
        holder = known.assigned_to if known.status in HELD else known.reviewer
        view: AgentView | None = self._agents(state, now).get(holder or "")
        about = (f for f in self._found(state, now, trees) if known.id in f.tasks)
        limits = self._limits()
        return TaskExplanation(
            task=known.id,
            title=known.title,
            status=known.status,
            agent=holder,
            presence=view.presence if view is not None else "gone" if holder else "",
            last_seen=view.last_seen if view is not None else None,
            lease_until=known.lease_until if known.status in HELD else known.review_until,
            is_lapsed=known.has_lapsed(now),
            worktree=trees.get(known.id),
            findings=tuple(
                _explained(
                    f, state.patrols.get(f.key), next_step(state.patrols.get(f.key), f.to, limits)
                )
                for f in about
            ),
        )

    def _trees(self, task: str = "") -> dict[str, TreeFacts]:
        """The worktrees of tasks; git is asked about those that no agent works in, and about one more."""
        state, now = self._state, self._desk.now()
        agents = self._agents(state, now) if state.worktrees else {}
        trees: dict[str, TreeFacts] = {}
        for worktree in state.worktrees.values():
            tree = TreeFacts(
                task=worktree.task,
                agent=worktree.agent,
                branch=worktree.branch,
                made_at=worktree.made_at,
            )
            owner = agents.get(owner_of(state, tree))
            is_used = is_in_hands(state, tree.task, now) and owner is not None and not owner.stale
            if worktree.is_on(state.machine) and (not is_used or tree.task == task):
                tree = replace(tree, is_dirty=_is_dirty(folder_of(worktree, self._desk.folder)))
            trees[tree.task] = tree
        return trees


def _is_dirty(folder: str) -> bool:
    """Whether a worktree has changes that are not committed; False if it is gone, or git cannot read it."""
    try:
        found = changes(Git(folder))
    except OrchestratorError:
        return False
    return bool(found.changed or found.untracked)


def _explained(
    finding: PatrolFinding, watch: WatchedConcern | None, step: tuple[str, str] | None
) -> ExplainedFinding:
    return ExplainedFinding(
        kind=finding.kind,
        text=finding.text,
        advice=finding.advice,
        to=finding.to,
        nudges=watch.nudges if watch else 0,
        nudged_at=watch.nudged_at if watch else "",
        escalated_at=watch.escalated_at if watch else "",
        next=step[0] if step else "",
        due=step[1] if step else "",
    )


def _done(finding: ExplainedFinding, now: str) -> str:
    if not finding.nudges:
        return f"{finding.to} was not told yet"
    last = clock.local_time(finding.nudged_at, now)
    told = f"{finding.to} was told {times(finding.nudges)}, last {last}"
    return f"{told}; {OVERSEER} was told" if finding.escalated_at else told


def _next(finding: ExplainedFinding, now: str) -> str:
    if not finding.next:
        return "no more mail is sent"
    who = finding.to if finding.next == "nudge" else OVERSEER
    when = f"after {clock.local_time(finding.due, now)}" if finding.due > now else "at once"
    return f"the next patrol tells {who} {when}"


def told(patrol: PatrolRound) -> Iterable[str]:
    """What a patrol did, in lines for people."""
    for label, done in (("Told", patrol.nudged), ("Escalated to", patrol.escalated)):
        for message in done:
            about = ", ".join(f"{c.kind.replace('_', ' ')} {c.subject}" for c in message.concerns)
            yield f"{label} {message.to}: {about}"
    for noun, given in (
        ("task", patrol.tasks),
        ("the review of", patrol.reviews),
        ("the lock", patrol.locks),
    ):
        for back in given:
            yield f"Gave back {noun} {back.what}, whose lease of {back.holder} had ended"
    for concern in patrol.settled:
        yield f"Solved: {concern.kind.replace('_', ' ')} {concern.subject}"
