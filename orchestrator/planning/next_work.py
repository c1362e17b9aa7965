"""The next work of an agent: the task that it claims, else its new mail, or why there is no work."""

from collections import Counter
from typing import TYPE_CHECKING, Literal

import msgspec

from orchestrator.core import clock
from orchestrator.domain.agents.identity import own_name
from orchestrator.domain.mail.records import Message
from orchestrator.domain.state import State
from orchestrator.domain.tasks.records import ENDED, IN_WORK, Task
from orchestrator.domain.tasks.taking import TaskTaking
from orchestrator.domain.waiting import wait_for
from orchestrator.engine import Engine

if TYPE_CHECKING:
    from orchestrator.planning.standstill import Standstill


class Next(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent should do next.

    Attributes:
        kind: task or review: it was claimed; mail: messages arrived; none: there is nothing now; ended: every
            task has ended.
        agent: The asking agent.
        workstream: The workstream that was asked for; None for all.
        task: The claimed task, or the one to review.
        mail: New messages that no earlier answer contained.
        standstill: Why there is no work, if no task was claimed.
        waited: How long it waited without a result, in seconds.
    """

    kind: Literal["task", "review", "mail", "none", "ended"]
    agent: str
    workstream: str | None
    task: Task | None = None
    mail: tuple[Message, ...] = ()
    standstill: "Standstill | None" = None
    waited: float = 0.0


def next_work(
    engine: Engine,
    workstream: str | None = None,
    *,
    agent: str | None = None,
    review: bool = True,
    mail: bool = True,
    wait: float | str = 0,
    lease: float | str | None = None,
) -> Next:
    """Claim what an agent should do next: a task, or a review of the work of another.

    The order: the task on its hook, a task that is assigned to it, a review that it suits, the best ready
    task. Otherwise the answer is its new mail, or the reason why there is no work.

    Args:
        workstream: Only tasks of this stream; None for all.
        agent: Who asks; needed.
        review: Also hand out reviews.
        mail: Also answer with mail that no earlier answer announced.
        wait: How long to wait for one of these, or for the end of all tasks.
        lease: How long the claim lasts, as ``30m`` or seconds.
    """
    name = own_name(engine, agent)
    asked = _Asked(engine, workstream, name, review=review, mail=mail, lease=lease)
    patience = clock.duration(wait)
    answer = asked.attempt(last=patience <= 0)
    if answer is None:
        with engine.presence.waiting_as(name):
            answer = wait_for(engine, asked.attempt, patience)
    if answer is None:
        asked.waited = patience
        answer = asked.attempt(last=True)
    assert answer is not None
    if answer.mail:
        from orchestrator.domain.mail.announced import announce

        announce(engine, name, answer.mail[-1].id, asked.kept)
    return answer


class _Asked:
    """An agent that asks for work."""

    def __init__(
        self,
        engine: Engine,
        workstream: str | None,
        agent: str,
        *,
        review: bool,
        mail: bool,
        lease: float | str | None,
    ) -> None:
        self._engine = engine
        self._workstream = workstream
        self._agent = agent
        self._review, self._mail, self._lease = review, mail, lease
        self.waited = 0.0
        self.kept: list[int] = []  # mail that is not to disturb the agent now

    def attempt(self, *, last: bool = False) -> Next | None:
        """Claim work, or find another answer; None if there is none and another attempt follows."""
        while True:
            task = TaskTaking(self._engine).next(
                self._workstream, agent=self._agent, lease=self._lease, review=self._review
            )
            if task is not None:
                is_review = task.status == "in_review"
                return self._answer("review" if is_review else "task", task=task)
            mail: tuple[Message, ...] = ()
            if self._mail:
                from orchestrator.domain.mail.announced import unannounced

                mail, self.kept = unannounced(self._engine, self._agent)
            state, now = self._engine.read(), self._engine.now()
            if state.schedule.best(self._workstream, self._agent, now, review=self._review) is None:
                break  # else work came in between, and the answer would be wrong
        from orchestrator.planning.standstill import standstill, work_at_hand

        counts = self._counts(state)
        is_ended = bool(counts) and counts.keys() <= {*ENDED}
        # An agent that can continue its own work must not wait.
        last = last or any(work_at_hand(state, self._agent, now))
        if not (last or mail or is_ended) and not counts.keys().isdisjoint(IN_WORK):
            return None
        waiters = self._engine.presence.waiting()
        reasons = standstill(state, self._agent, self._workstream, now, waiters)
        if is_ended:
            return self._answer("ended", mail=mail, standstill=reasons)
        if mail:
            return self._answer("mail", mail=mail, standstill=reasons)
        # If all wait, no agent learns that a decision is needed.
        is_over = last or reasons.needs_decision
        return self._answer("none", standstill=reasons) if is_over else None

    def _answer(
        self, kind: Literal["task", "review", "mail", "none", "ended"], **facts: object
    ) -> Next:
        return Next(
            kind=kind,
            agent=self._agent,
            workstream=self._workstream,
            waited=self.waited if kind == "none" else 0.0,
            **facts,  # type: ignore[arg-type]
        )

    def _counts(self, state: State) -> Counter[str]:
        """The number of tasks of each status in the requested workstream."""
        streams = state.tasks.counts if self._workstream is None else (self._workstream,)
        counts = Counter[str]()
        for stream in streams:
            counts.update(state.tasks.counts[stream])
        return +counts
