"""Where the work of agents comes from: what the dispatcher asks each source."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import msgspec

from orchestrator.core.events import Recorded
from orchestrator.domain.state import State
from orchestrator.domain.subscriptions.records import Attempt
from orchestrator.runtimes.output import AttemptResult
from orchestrator.runtimes.port import Launch
from orchestrator.supervisor.workers import Worker


class Offer(msgspec.Struct, frozen=True):
    """Work that an agent may begin now.

    Attributes:
        worker: The agent.
        source: Where the work comes from.
        age: The id of the event that it is about, or that added the task.
        task: The task.
    """

    worker: Worker
    source: "WorkSource"
    age: int
    task: str = ""

    @property
    def rank(self) -> tuple[int, int, int]:
        """Which of several offers begins first.

        By the priority of the agent, then by age; of several agents for one task the one with the least work.
        """
        return self.worker.file.settings.priority, self.age, len(self.worker.running)


class AttemptInput(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent gets for an attempt.

    Attributes:
        title: What it is, for the log of the agent.
        event: The event, as ``events list --limit`` prints it; of a task, the one that claimed it.
        cause: The name of the event as a cause (``engine.cause_mark``).
        task: The task.
        brief: Its brief.
        is_review: The agent reviews the task.
    """

    title: str
    event: Mapping[str, Any]
    cause: str
    task: str = ""
    brief: str = ""
    is_review: bool = False


class Check(msgspec.Struct, frozen=True):
    """What checks the result of an agent, and the seconds that it may take."""

    launch: Launch
    timeout: float


class WorkSource(Protocol):
    """A kind of work. Its methods are called by the thread that uses the board."""

    def load(self, workers: Iterable[Worker], head: int) -> None:
        """Go on with these agents, of which some are new or have a changed file.

        Called again if it has failed.

        Args:
            workers: All agents that may be started.
            head: The last event that was given to :meth:`note`, or that is not given.
        """

    def note(self, record: Recorded) -> None:
        """Take a new event of the log; each is given once, in order."""

    def offer(self, worker: Worker, state: State) -> Offer | None:
        """The next work of an agent that may begin now."""

    def start(self, offer: Offer, lease: float) -> Attempt | None:
        """Begin an attempt in the log.

        Args:
            offer: The work.
            lease: Seconds until the attempt counts as interrupted.

        Returns:
            The attempt; None if there is nothing to do any more.

        Raises:
            Refused: It may not begin now.
        """

    def input(self, attempt: Attempt) -> AttemptInput:
        """What the agent gets for an attempt."""

    def checks(self, worker: Worker, attempt: Attempt, result: AttemptResult) -> Check | None:
        """What must run in a process of its own before a success is recorded; None if nothing."""

    def finish(self, worker: Worker, attempt: Attempt, result: AttemptResult) -> None:
        """Record the success of an attempt.

        Raises:
            Refused: It is none, or the attempt is over.
        """

    def wait(self, worker: Worker, state: State) -> float:
        """Seconds until an agent may have an offer although the log does not grow."""
