"""Tasks as work: agents get tasks and reviews as ``next`` would give them, and their results end them."""
# ruff: noqa: ARG002, D102 -- the methods of a source of work have one signature, described there

import os
import re
import sys
from collections.abc import Iterable

import msgspec

from orchestrator.api import Orchestrator
from orchestrator.core import clock
from orchestrator.core.errors import Refused
from orchestrator.core.events import Recorded, is_reserved
from orchestrator.core.machine import VARIABLE
from orchestrator.core.printable import escape
from orchestrator.domain.board import FILE
from orchestrator.domain.event_log import queue_event
from orchestrator.domain.merges.policy import due_with
from orchestrator.domain.state import State
from orchestrator.domain.subscriptions.records import Attempt
from orchestrator.domain.subscriptions.task_attempts import (
    actor_of,
    best_task,
    held_by_attempt,
)
from orchestrator.domain.tasks.checks import NO_CHECKS
from orchestrator.domain.tasks.records import Task
from orchestrator.domain.validation import LONGEST_TEXT
from orchestrator.engine import cause_mark
from orchestrator.planning.work_brief import brief_text, brief_work
from orchestrator.runtimes.output import AttemptResult, OutputReader
from orchestrator.runtimes.port import Launch, find_program
from orchestrator.supervisor.sources import AttemptInput, Check, Offer
from orchestrator.supervisor.workers import Worker

BRIEF_TOKENS = 4000
"""The most tokens of the brief that an agent gets with a task."""

_PROG = "orc"
_MARGIN = 60.0  # seconds that the checks of a task may take beyond the times of their commands
_QUIET = ("subscription", "message", "knowledge", "goal", "decision", "permission")
"""Nouns whose events make no task free."""

_VERDICT = re.compile(r"\W*(approved?|reject(?:ed)?)\W*(?:$|:\s*(.*))", re.IGNORECASE)
_PAUSE = 60.0  # seconds until the next look if nothing else is known


class CheckReader(OutputReader):
    """Reads how ``t complete`` ended: what it prints goes nowhere, its error becomes the failure."""

    def __init__(self) -> None:
        super().__init__()
        self._data = bytearray()

    def feed(self, data: bytes, *, stderr: bool = False) -> list[str]:
        if stderr:
            self._data += data
            del self._data[:-LONGEST_TEXT]
        return []

    def end(self, status: int | None, seconds: float) -> tuple[list[str], AttemptResult]:
        try:
            error = msgspec.json.decode(bytes(self._data))["error"]
            self.error = error["message"]
            lines = [self.error, *str(error.get("output", "")).splitlines()]
        except (msgspec.DecodeError, KeyError, TypeError):
            lines = self._data.decode("utf-8", "replace").splitlines()
        _, result = super().end(status, seconds)
        return lines, result


class TaskWork:
    """The tasks and reviews of the agents that take some.

    Args:
        orc: The board.
        board: Its folder.
        project: The folder in which agents work.
    """

    def __init__(self, orc: Orchestrator, board: str, project: str) -> None:
        self._orc = orc
        self._board = board
        self._project = project
        self._idle: dict[str, str] = {}  # agents that nothing fits, until when

    def load(self, workers: Iterable[Worker], head: int) -> None:
        """Look again for all agents."""
        self._idle.clear()

    def note(self, record: Recorded) -> None:
        """Look again for all agents if the event may have made a task free."""
        is_quiet = record.type.partition(".")[0] in _QUIET and record.type != "subscription.retried"
        if is_reserved(record.type) and not is_quiet:
            self._idle.clear()

    def offer(self, worker: Worker, state: State) -> Offer | None:
        """The task that an agent is given next; before it, one whose runner is gone, to hand it back."""
        subscriber = state.subscriptions.get(worker.id)
        if subscriber is None:
            return None
        now = self._orc.engine.now()
        for attempt in subscriber.running:
            if attempt.task and attempt.event not in worker.running and attempt.until <= now:
                return Offer(worker, self, attempt.event, attempt.task)
        settings = worker.file.settings
        if not settings.takes or len(subscriber.in_work) >= settings.concurrency:
            return None
        if self._idle.get(worker.id, now) > now:
            return None
        task = best_task(state, subscriber, settings.takes, now)
        if task is not None:
            return Offer(worker, self, task.events[0], task.id)
        ends = [attempt.due for attempt in subscriber.attempts]
        ends += filter(None, [state.schedule.next_change(now)])
        later = (end for end in ends if end > now)
        self._idle[worker.id] = min(later, default=clock.after(now, _PAUSE))
        return None

    def wait(self, worker: Worker, state: State) -> float:
        """Seconds until a lease, a review or a time of waiting ends that keeps a task from an agent."""
        subscriber = state.subscriptions.get(worker.id)
        if subscriber is None or not (worker.file.settings.takes or subscriber.running):
            return float("inf")
        now = self._orc.engine.now()
        ends = [a.until for a in subscriber.running if a.task and a.event not in worker.running]
        if len(subscriber.in_work) < worker.file.settings.concurrency:
            ends += filter(None, [self._idle.get(worker.id)])
        return min((clock.between(now, end) for end in ends), default=float("inf"))

    def start(self, offer: Offer, lease: float) -> Attempt | None:
        """Claim the task, or its review; hand back one whose runner is gone."""
        agent, settings = offer.worker.id, offer.worker.file.settings
        known = self._orc.subscriptions.get(agent).attempt(offer.age)
        if known is not None and known.task == offer.task:
            self._orc.subscriptions.interrupt(
                agent, known.event, known.token, "its lease has ended"
            )
            return None
        try:
            return self._orc.subscriptions.take(
                agent,
                offer.task,
                settings.takes,
                most=settings.retry + 1,
                concurrency=settings.concurrency,
                rounds=settings.rounds or None,
                budget=settings.budget,
            )
        except Refused as refused:
            if refused.code == "retired":
                self._idle[agent] = clock.after(self._orc.engine.now(), _PAUSE)
            raise

    def input(self, attempt: Attempt) -> AttemptInput:
        """The brief."""
        engine = self._orc.engine
        record, task = engine.event(attempt.event), self._orc.tasks.get(attempt.task)
        is_review = task.status == "in_review"
        brief = brief_work(engine, task, record.agent, prog=_PROG)
        kind = "review" if is_review else "task"
        text = brief_text(task, brief, budget=BRIEF_TOKENS, prog=_PROG, now=engine.now())
        return AttemptInput(
            title=f"{kind} {task.id}",
            event=queue_event(record),
            brief=f"{kind.capitalize()} {task.id}: {escape(task.title)}\n{text}\n",
            cause=cause_mark(record),
            task=task.id,
            is_review=is_review,
        )

    def checks(self, worker: Worker, attempt: Attempt, result: AttemptResult) -> Check | None:
        """The process that completes the task, if it runs checks or looks at the branch; else None."""
        engine = self._orc.engine
        task = held_by_attempt(engine.read(), worker.id, attempt)
        if task is None or task.status == "in_review" or not task.is_reached:
            return None
        checks = task.checks or NO_CHECKS
        has_branch = due_with(engine.read(), engine.documents.read(FILE), task) is not None
        if checks.are_inert or not (checks.are_due or has_branch):
            return None
        # The checks of a task with a worktree run there, wherever the command is started.
        folder = os.path.join(self._project, worker.file.settings.folder)
        mark = cause_mark(self._orc.engine.event(attempt.event))
        path = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
        answer = _text(result.answer)
        words = ["--json", "t", "complete", task.id, "--token", str(task.token)]
        words += ["--file", "-"] if answer else []
        launch = Launch(
            words=(find_program(_PROG, folder, path), *words),
            folder=folder,
            variables={
                **{k: v for k, v in os.environ.items() if k == VARIABLE or not k.startswith("ORC")},
                "ORC_AGENT": actor_of(self._orc.engine.read(), worker.id),
                "ORC_CAUSE": mark,
                "ORCHESTRATOR_DIR": self._board,
            },
            stdin=answer.encode(),
            files={},
        )
        return Check(launch, len(checks.verify) * checks.patience + _MARGIN)

    def finish(self, worker: Worker, attempt: Attempt, result: AttemptResult) -> None:
        """Complete the task with the answer of the agent, or judge the work that it has reviewed.

        What the agent has done with its task itself stays.

        Raises:
            Refused: The answer is no verdict, or the task cannot be completed with it.
        """
        task = held_by_attempt(self._orc.engine.read(), worker.id, attempt)
        try:
            with self._orc.transaction():
                if task is not None:
                    self._end(worker, task, _text(result.answer))
                self._finish(worker, attempt, result)
        except Refused as refused:
            if task is None or refused.code not in ("not_ready", "not_trusted"):
                raise
            with self._orc.transaction():
                self._wait_for_others(worker, task, refused)
                self._finish(worker, attempt, result)

    def _finish(self, worker: Worker, attempt: Attempt, result: AttemptResult) -> None:
        self._orc.subscriptions.finish(worker.id, attempt.event, attempt.token, result.report)

    def _end(self, worker: Worker, task: Task, answer: str) -> None:
        agent = actor_of(self._orc.engine.read(), worker.id)
        if task.status != "in_review":
            self._orc.tasks.complete(task.id, result=answer or None, agent=agent, token=task.token)
            return
        approves, comment = verdict(answer)
        if approves:
            self._orc.reviews.approve(task.id, comment=comment, agent=agent)
        else:
            self._orc.reviews.reject(task.id, reason=comment, agent=agent)

    def _wait_for_others(self, worker: Worker, task: Task, refused: Refused) -> None:
        """Hand a task back that waits for others now, or for a person who trusts its checks."""
        agent = actor_of(self._orc.engine.read(), worker.id)
        if refused.code == "not_trusted":
            self._orc.tasks.block(task.id, reason=refused.message, agent=agent)
        else:
            self._orc.tasks.release(task.id, reason=refused.message, agent=agent, token=task.token)


def verdict(answer: str) -> tuple[bool, str]:
    """Whether a reviewer approves, and its comment: the last line ``approve`` or ``reject: REASON``.

    Raises:
        Refused: There is no such line.
    """
    lines = answer.splitlines()
    for number in range(len(lines) - 1, -1, -1):
        match = _VERDICT.fullmatch(lines[number].strip())
        if match:
            approves = match[1].lower().startswith("approve")
            rest = "\n".join(lines[:number]).strip()
            comment = (match[2] or "").strip(" *_`") or rest
            return approves, comment or ("" if approves else "rejected without a reason")
    raise Refused(
        "its answer has no verdict: a line `approve`, or `reject: REASON`", code="no_verdict"
    )


def _text(answer: str) -> str:
    """An answer as the text of a task: without NUL, and not too long."""
    return answer.replace("\0", "").strip()[:LONGEST_TEXT].encode("utf-8", "replace").decode()
