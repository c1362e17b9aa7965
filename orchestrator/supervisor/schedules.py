"""Schedules of agent files: pushes one event ``schedule.due`` for each agent and moment.

``schedule_moments.py`` computes the moments. That each one is run once, by the first runner, is the rule of
``orc.subscriptions.push_due``.
"""

from collections.abc import Callable, Iterable

import msgspec

from orchestrator.api import Orchestrator
from orchestrator.core import clock
from orchestrator.core.errors import NotFound
from orchestrator.core.events import Recorded
from orchestrator.domain.subscriptions.records import DUE
from orchestrator.supervisor.agent_files import AgentFile
from orchestrator.supervisor.schedule_moments import Timetable, moments, newest_moment

LONGEST_WAIT = 60.0
"""Seconds after which the clock is read again: it may have jumped, or the machine slept."""


def schedule_of(agent: AgentFile) -> Timetable | None:
    """The schedule of an agent file."""
    settings = agent.settings
    if not settings.every and not settings.cron:
        return None
    return Timetable(every=settings.every, cron=settings.cron, timezone=settings.timezone)


def is_due_for(agent: str, record: Recorded) -> bool:
    """Whether an event starts an agent by its own schedule."""
    if record.type != DUE:
        return False
    payload = msgspec.json.decode(record.payload)
    return isinstance(payload, dict) and payload.get("agent") == agent


class Schedules:
    """The schedules of the agents that are loaded; its methods belong to the thread that uses the board.

    Args:
        orc: The board.
        warn: Gets the agent and a sentence where a schedule cannot be used.
    """

    def __init__(self, orc: Orchestrator, warn: Callable[[str, str], object]) -> None:
        self._orc = orc
        self._warn = warn
        self._schedules: dict[str, Timetable] = {}

    def load(self, agents: Iterable[AgentFile]) -> None:
        """Go on with the schedules of these agents. A new or changed one begins now."""
        schedules: dict[str, Timetable] = {}
        for agent in agents:
            schedule = schedule_of(agent)
            if schedule is not None and self._is_usable(agent.id, schedule):
                schedules[agent.id] = schedule
            if self._schedules.get(agent.id) != schedule or schedule is None:
                self._set(agent.id, schedule.text if schedule else "")
        self._schedules = schedules

    def _is_usable(self, agent: str, schedule: Timetable) -> bool:
        now = _milliseconds(self._orc.engine.now())
        try:
            next(moments(schedule, now, now), None)
        except NotFound as missing:
            self._warn(agent, f"{missing.message}. {missing.hint}")
            return False
        return True

    def push_due(self) -> float:
        """Push an event for each agent that is due: for the newest moment only, if several were missed.

        Returns:
            Seconds after which to call again, at most :data:`LONGEST_WAIT`.
        """
        wait = LONGEST_WAIT
        state = self._orc.engine.read()
        for agent, schedule in self._schedules.items():
            now = _milliseconds(self._orc.engine.now())
            subscriber = state.subscriptions.get(agent)
            known = subscriber.schedule if subscriber else None
            if known is None or known.text != schedule.text:
                continue  # a runner that has read a newer file has set another one
            since, last = _milliseconds(known.since), _milliseconds(known.due)
            due = newest_moment(schedule, since, last, now)
            if due is not None:
                self._orc.subscriptions.push_due(agent, schedule.text, _timestamp(due))
            coming = next(moments(schedule, since, max(last, now)), None)
            if coming is not None:
                wait = min(wait, (coming - now) / 1000)
        return max(wait, 0.0)

    def _set(self, agent: str, text: str) -> None:
        """Set the schedule in the log, if it is another one there."""
        subscriber = self._orc.engine.read().subscriptions.get(agent)
        if subscriber is None:
            if not text:
                return
            subscriber = self._orc.subscriptions.open(agent)
        if (subscriber.schedule.text if subscriber.schedule else "") != text:
            self._orc.subscriptions.set_schedule(agent, text)


def coming_moments(schedule: Timetable, now: str, since: str = "", most: int = 3) -> list[str]:
    """The next moments of a schedule.

    Args:
        schedule: The schedule.
        now: The time.
        since: When the schedule began; else it begins now.
        most: How many.
    """
    here = _milliseconds(now)
    following = moments(schedule, _milliseconds(since) if since else here, here)
    return [_timestamp(moment) for moment, _ in zip(following, range(most), strict=False)]


def _milliseconds(text: str) -> int:
    return round(clock.seconds(text) * 1000)


def _timestamp(milliseconds: int) -> str:
    return clock.timestamp((milliseconds + 0.5) / 1000)
