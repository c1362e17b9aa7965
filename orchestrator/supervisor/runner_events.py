"""What a runner does, as events: those of the log, the lines of its agents, and its own notes."""

import time
from abc import ABC, abstractmethod
from typing import Any

import msgspec

from orchestrator.core import clock
from orchestrator.core.events import Recorded

OUTPUT = "agent.output"
"""The type of a line that an agent has written."""


class RunnerEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event of the log, a line of an agent (:data:`OUTPUT`) or a note of the runner.

    Attributes:
        id: Its id in the log; 0: it is not in the log.
        ts: When it happened.
        agent: Whose it is; empty: the runner's own.
        payload: Of a line: ``event`` and ``text``; of a note: ``text``.
    """

    id: int = 0
    ts: str
    type: str
    agent: str
    payload: Any

    def as_dict(self) -> dict[str, Any]:
        """The event in the form of ``events list --limit``; what is not in the log has no id."""
        number = {"id": self.id} if self.id else {}
        return number | {
            "timestamp": int(clock.seconds(self.ts)),
            "type": self.type,
            "worker_id": self.agent,
            "payload": self.payload,
        }


class EventFollower(ABC):
    """A follower of the dispatcher that gets everything as events."""

    @abstractmethod
    def hear(self, event: RunnerEvent) -> None:
        """Hear of one event; called in any thread."""

    def event(self, record: Recorded) -> None:
        """The log has a new event."""
        payload = msgspec.json.decode(record.payload)
        self.hear(
            RunnerEvent(
                id=record.id, ts=record.ts, type=record.type, agent=record.agent, payload=payload
            )
        )

    def output(self, agent: str, event: int, lines: list[str]) -> None:
        """An agent has written lines."""
        now = clock.timestamp(time.time())
        for line in lines:
            payload = {"event": event, "text": line}
            self.hear(RunnerEvent(ts=now, type=OUTPUT, agent=agent, payload=payload))

    def note(self, type: str, agent: str, text: str) -> None:
        """The runner did what is not in the log, such as skipping a file."""
        now = clock.timestamp(time.time())
        self.hear(RunnerEvent(ts=now, type=type, agent=agent, payload={"text": text}))
