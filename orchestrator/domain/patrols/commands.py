"""The rules of patrols: they tell, escalate, and give back work whose lease has ended; they remove nothing.

A round is one commit, made from the state under the lock. So if two patrols run at the same time, the second
one finds that everything is done.
"""

from collections.abc import Iterable, Mapping
from typing import TypeVar

import msgspec

from orchestrator.core.printable import amount, one_line
from orchestrator.core.transaction import SYSTEM, Committed, Noun, Transaction, command
from orchestrator.domain.agents.commands import Agents, AgentView
from orchestrator.domain.agents.identity import act_now
from orchestrator.domain.agents.records import OVERSEER
from orchestrator.domain.board.commands import end_lapsed, upgrade_for
from orchestrator.domain.board.settings import FILE, PatrolSettings, settings
from orchestrator.domain.locks.events import LockLapsed
from orchestrator.domain.mail import commands as mail
from orchestrator.domain.patrols.events import PatrolEscalated, PatrolNudged, PatrolSettled
from orchestrator.domain.patrols.findings import PatrolFinding, PatrolLook, TreeFacts
from orchestrator.domain.patrols.records import Concern
from orchestrator.domain.patrols.steps import Steps, ended_reviews, steps
from orchestrator.domain.state import State
from orchestrator.domain.tasks.events import ReviewReleased, TaskLapsed
from orchestrator.domain.validation import LONGEST_TITLE

PATROL = "patrol"
"""Who patrols if no agent is named."""

LEASE_ENDED = "its lease ended"

E = TypeVar("E")


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What was told to whom."""

    to: str
    concerns: tuple[Concern, ...]


class GivenBack(msgspec.Struct, frozen=True, kw_only=True):
    """A task, the review of one, or a lock that went back because its lease had ended."""

    what: str
    holder: str


class PatrolRound(msgspec.Struct, frozen=True, kw_only=True):
    """What a patrol did.

    Attributes:
        nudged: Who was told what.
        escalated: What the overseer was told, because nudges have not helped.
        tasks: The tasks that went back.
        reviews: The reviews that went back.
        locks: The locks that went back.
        settled: What is over.
    """

    nudged: tuple[Told, ...] = ()
    escalated: tuple[Told, ...] = ()
    tasks: tuple[GivenBack, ...] = ()
    reviews: tuple[GivenBack, ...] = ()
    locks: tuple[GivenBack, ...] = ()
    settled: tuple[Concern, ...] = ()


def done(_state: State, events: Committed) -> PatrolRound:
    """What the events of a round say."""

    def of(kind: type[E]) -> list[E]:
        return [event for _, event in events if isinstance(event, kind)]

    return PatrolRound(
        nudged=tuple(Told(to=e.to, concerns=e.concerns) for e in of(PatrolNudged)),
        escalated=tuple(Told(to=e.to, concerns=e.concerns) for e in of(PatrolEscalated)),
        tasks=tuple(GivenBack(what=e.task, holder=e.holder) for e in of(TaskLapsed)),
        reviews=tuple(GivenBack(what=e.task, holder=e.holder) for e in of(ReviewReleased)),
        locks=tuple(GivenBack(what=e.resource, holder=e.holder) for e in of(LockLapsed)),
        settled=tuple(concern for e in of(PatrolSettled) for concern in e.concerns),
    )


class PatrolRecords(Noun[State], name="patrols"):
    """What patrols find and do on the board; the noun of the facade adds the facts of worktrees."""

    def _found(self, state: State, now: str, trees: Mapping[str, TreeFacts]) -> list[PatrolFinding]:
        return PatrolLook(state, now, self._agents(state, now), trees, self._limits()).findings()

    def _agents(self, state: State, now: str) -> dict[str, AgentView]:
        views = Agents.present(state, now, self._desk.presence, needed=True)
        return {view.id: view for view in views}

    def _limits(self) -> PatrolSettings:
        return settings(self._desk.documents.read(FILE)).patrol

    def _steps(self, state: State, now: str, trees: Mapping[str, TreeFacts]) -> Steps:
        return steps(state, now, self._found(state, now, trees), self._limits())

    def _patrol(self, trees: Mapping[str, TreeFacts], agent: str | None) -> PatrolRound:
        """Do what is due; without anything to do, the board is not locked."""
        if not self._steps(self._state, self._desk.now(), trees):
            return PatrolRound()
        return self._round(trees, agent)

    @command(done, answers_request=False)
    def _round(
        self, tx: Transaction[State], trees: Mapping[str, TreeFacts], agent: str | None
    ) -> None:
        if act_now(tx, agent) == SYSTEM:
            tx.act_as(PATROL)
        _give_back(tx)
        due = self._steps(tx.state, tx.now, trees)
        if due:
            upgrade_for(tx, "patrol")
        if due.settled:
            tx.record(PatrolSettled(concerns=tuple(watch.concern for watch in due.settled)))
        for to, found in due.nudges.items():
            tx.record(PatrolNudged(to=to, concerns=tuple(f.concern for f in found)))
            _tell(tx, to, found)
        if due.escalations:
            concerns = tuple(finding.concern for finding in due.escalations)
            tx.record(PatrolEscalated(to=OVERSEER, concerns=concerns))
            _tell(tx, OVERSEER, due.escalations, is_escalation=True)


def _give_back(tx: Transaction[State]) -> None:
    end_lapsed(tx)
    for task in ended_reviews(tx.state, tx.now):
        holder = task.reviewer or SYSTEM
        tx.record(ReviewReleased(task=task.id, holder=holder, reason=LEASE_ENDED))


def _tell(
    tx: Transaction[State], to: str, found: Iterable[PatrolFinding], *, is_escalation: bool = False
) -> None:
    """Send one message about all findings for an agent."""
    found = [*found]
    count = "" if len(found) == 1 else f" (and {amount(len(found) - 1, 'more finding')})"
    label = "Patrol, not solved" if is_escalation else "Patrol"
    told = f"\n{found[0].to} was told before." if is_escalation and len(found) == 1 else ""
    mail.post(
        tx,
        (to,),
        subject=one_line(f"{label}: {found[0].text}", LONGEST_TITLE - len(count)) + count,
        body="\n\n".join(f"{finding.text}.\n{finding.advice}" for finding in found) + told,
        kind="coordination_request" if is_escalation else "notification",
        priority="high" if is_escalation else "normal",
    )
