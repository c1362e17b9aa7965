"""The records of subscriptions: positions of agents, attempts, claims of events, dead letters."""

from typing import Literal

from orchestrator.core import clock
from orchestrator.domain.slices import MapSlice, Record

DUE = "schedule.due"
"""The type of the event that starts an agent by its schedule; its payload names the agent."""

NEVER = "9999-12-31T23:59:59.999Z"
"""When an attempt is due that is not begun any more."""

NOUN = "subscription"
"""The noun of these events; a pattern hears them only if it names it."""

NOTICES = "notify/"
"""How the names of subscribers begin that are no agents: the rules by which people get notices."""


class AttemptReport(Record, frozen=True, kw_only=True):
    """The report of a runtime about an attempt; unreported fields are empty.

    Attributes:
        exit_status: The exit status of the process; negative: the signal that ended it.
        seconds: How long it ran.
        tools: How often each tool was used.
        cost: In US dollars.
        session: The session of the runtime; a later attempt may resume it.
        output: The end of its output.
    """

    exit_status: int | None = None
    seconds: float = 0.0
    tools: dict[str, int] = {}
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0
    session: str = ""
    output: str = ""


class Attempt(Record, frozen=True, kw_only=True):
    """An attempt of an agent to process an event, or to do a task.

    Attributes:
        event: The event; of a task, the one that claimed it or its review.
        number: Counted from 1 for each event or task.
        most: How many attempts there may be.
        status: ``waiting``: it has failed, and the next one may begin at ``due``.
        token: The fencing token: the id of the event that started it.
        root: The event at the beginning of the chain of causes; 0 for a notice, which is in none.
        first: The first event of a notice, which ends with ``event``; 0 for an agent.
        machine: The machine of its runner, if machines share the board.
    """

    event: int
    number: int
    most: int
    status: Literal["running", "waiting"]
    token: int
    since: str
    until: str
    root: int
    due: str = ""
    task: str = ""
    first: int = 0
    machine: str = ""

    def may_begin(self, now: str) -> bool:
        """Whether the next attempt may begin: after the wait, or after the lease of a runner that is gone.

        A clock that was set back behind the attempt ends the wait, which would else last as long.
        """
        if self.status == "running":
            return self.until <= now
        return self.due <= now or now < self.since


class Usage(Record, frozen=True, kw_only=True):
    """What an agent used of late, by the beginnings of timestamps.

    Attributes:
        runs: Attempts that began, by the minute, of the last hour.
        tokens: By ten minutes, of the last day.
        cost: In US dollars, by ten minutes, of the last day.
    """

    runs: dict[str, int] = {}
    tokens: dict[str, int] = {}
    cost: dict[str, float] = {}


class Rest(Record, frozen=True, kw_only=True):
    """The attempts of an agent that failed in a row.

    Attributes:
        failures: How many.
        reason: Why the last one failed.
        since: When it failed.
        until: The agent is not started before; empty if so few failures do not matter.
    """

    failures: int
    reason: str
    since: str
    until: str = ""


class AgentSchedule(Record, frozen=True, kw_only=True):
    """The schedule that starts an agent.

    Attributes:
        text: The schedule as in its file.
        since: When it was set; earlier moments do not count as missed.
        due: The last moment for which the agent was started; ``since`` before the first start.
    """

    text: str
    since: str
    due: str


class Subscriber(Record, frozen=True, kw_only=True):
    """An agent that events start.

    Attributes:
        position: Every event up to here is settled, except those in ``attempts``.
        attempts: The attempts that run or wait, in the order of their events.
        session: The last reported session of its runtime.
        rest: Its failures since the last success; None if there are none.
        noticed: When the first attempt at its last notice began; empty for an agent.
        passed: The first and the last event of what it settled on another board, before that was merged.
    """

    agent: str
    position: int
    attempts: tuple[Attempt, ...] = ()
    session: str = ""
    schedule: AgentSchedule | None = None
    rest: Rest | None = None
    usage: Usage = Usage()
    noticed: str = ""
    passed: tuple[tuple[int, int], ...] = ()

    def has_passed(self, event: int) -> bool:
        """Whether it settled an event on another board, which was merged."""
        return any(first <= event <= last for first, last in self.passed)

    def attempt(self, event: int) -> Attempt | None:
        """The attempt at an event that runs or waits."""
        return next((attempt for attempt in self.attempts if attempt.event == event), None)

    def attempt_on(self, task: str) -> Attempt | None:
        """The attempt at a task that runs or waits."""
        return next((attempt for attempt in self.attempts if attempt.task == task), None)

    @property
    def in_work(self) -> tuple[Attempt, ...]:
        """The attempts that keep others from beginning.

        An event that waits for its next attempt keeps its place; a task that waits is free for other agents.
        """
        return tuple(a for a in self.attempts if a.status == "running" or not a.task)

    @property
    def running(self) -> tuple[Attempt, ...]:
        """The attempts that run according to the log."""
        return tuple(attempt for attempt in self.attempts if attempt.status == "running")

    def next_notice(self, every: float, now: str) -> str:
        """When the next notice may begin that is not a further attempt at the last one.

        A clock that was set back behind the last notice ends the pause, which would else last as long.

        Args:
            every: Seconds from the beginning of one notice to that of the next.
            now: The time of the board.
        """
        last = self.noticed
        return clock.after(last, every) if last and last <= now else now


class EventClaim(Record, frozen=True, kw_only=True):
    """The claim of a worker on an event; ``until`` is empty once the work is finished."""

    event: int
    agent: str
    token: int
    since: str
    until: str
    lease: float = 0.0

    def is_valid(self, now: str) -> bool:
        """Whether it prevents others from claiming the event."""
        return not self.until or self.until > now


class DeadLetter(Record, frozen=True, kw_only=True):
    """An event that an agent could not process.

    Attributes:
        number: The id of the event that records it.
        attempts: The number of attempts; 0 if none began.
        task: The task whose review it was.
        first: As in the attempts.
    """

    number: int
    subscriber: str
    event: int
    attempts: int
    reason: str
    since: str
    task: str = ""
    first: int = 0

    @property
    def work(self) -> str:
        """What the agent gave up."""
        return f"the review of task {self.task}" if self.task else f"event {self.event}"


REMEMBERED_CHAINS = 1000
"""Of how many chains of causes the attempts are counted; the oldest are forgotten first."""


class SubscriptionSlice(MapSlice[str, Subscriber]):
    """The subscribers by agent.

    Attributes:
        event_claims: The open claims by event.
        finished_claims: The id of the finished claim, by event.
        dead_letters: By number.
        chains: How many attempts each chain of causes has started, by the event at its beginning.
    """

    MAIN, NOUN = "subscribers", "subscriber"
    HINT = "An agent subscribes when the runner loads its file."
    subscribers: dict[str, Subscriber] = {}
    event_claims: dict[int, EventClaim] = {}
    finished_claims: dict[int, int] = {}
    dead_letters: dict[int, DeadLetter] = {}
    chains: dict[int, int] = {}
