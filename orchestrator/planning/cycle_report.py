"""The report of a cycle: its records, whose fields are the names in its JSON, and its markdown."""

from collections.abc import Callable, Sequence

import msgspec

from orchestrator.core.clock import spoken
from orchestrator.core.printable import escape
from orchestrator.planning.quoting import quote_titled, writer


class ReportedTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task in the report."""

    workstream: str
    task_id: str
    title: str

    def markdown(self, action: str, agent: str, text: str | None = None) -> str:
        """Return the entry for people: the agent and its action, and the quoted title and text."""
        label = f"{self.workstream}/{self.task_id}, {action.format(writer(agent))}:"
        return quote_titled(label, self.title, text)


class Finished(ReportedTask, frozen=True, kw_only=True):
    """A task that was done, and still is at the end of the cycle. ``seconds``: since its last claim."""

    result: str | None
    agent: str
    at: str
    seconds: float | None


class Failed(ReportedTask, frozen=True, kw_only=True):
    """A task that failed, and was not tried again within the cycle."""

    reason: str
    agent: str
    at: str
    seconds: float | None


class Running(ReportedTask, frozen=True, kw_only=True):
    """A task in progress at the end of the cycle."""

    assigned_to: str
    since: str
    age_seconds: float


class Added(ReportedTask, frozen=True, kw_only=True):
    """A task that was added or imported."""

    agent: str
    at: str


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """The last change of a knowledge topic: written, edited (by hand) or deleted."""

    topic: str
    change: str
    agent: str
    at: str


class Share(msgspec.Struct, kw_only=True):
    """The work of an agent. ``seconds`` is the time for the tasks that it finished and failed."""

    agent: str
    completed: int = 0
    failed: int = 0
    running: int = 0
    added: int = 0
    knowledge: int = 0
    seconds: float = 0.0


class Shares(dict[str, Share]):
    """The work of each agent, by name."""

    def __missing__(self, agent: str) -> Share:
        return self.setdefault(agent, Share(agent=agent))

    def note_ending(self, agent: str, seconds: float | None, *, is_done: bool) -> None:
        """Count a task that an agent finished or failed, and the time for it."""
        share = self[agent]
        share.seconds += seconds or 0.0
        share.completed += is_done
        share.failed += not is_done

    def in_order(self) -> list[Share]:
        """The shares in the order of the names."""
        return [self[agent] for agent in sorted(self)]


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """The report of a cycle, each list oldest first.

    Attributes:
        cycle: Its number; None if the report is of the time since some moment.
        started_at: When it began; None for the beginning of the log.
        ended_at: When the next cycle began; None if it has not ended.
        knowledge_updates: The names of changed topics, as in the original; ``knowledge`` has the changes.
    """

    collected_at: str
    cycle: int | None
    started_at: str | None
    ended_at: str | None
    completed_this_cycle: list[Finished]
    failed: list[Failed]
    still_in_progress: list[Running]
    added: list[Added]
    knowledge_updates: list[str]
    knowledge: list[Learned]
    agents: list[Share]

    def markdown(self, shown_time: Callable[[str], str] = str) -> str:
        """Return the report for people; texts of agents are quoted.

        Args:
            shown_time: How a timestamp is shown.
        """
        name = f"Cycle {self.cycle}" if self.cycle is not None else "Collected"
        start = shown_time(self.started_at) if self.started_at else "the beginning"
        end = shown_time(self.ended_at or self.collected_at)
        lists = {
            "Finished": [
                task.markdown(f"done by {{}}{_took(task.seconds)}", task.agent, task.result)
                for task in self.completed_this_cycle
            ],
            "Failed": [
                task.markdown(f"given up by {{}}{_took(task.seconds)}", task.agent, task.reason)
                for task in self.failed
            ],
            "Still running": [
                task.markdown(f"with {{}} for {spoken(task.age_seconds)}", task.assigned_to)
                for task in self.still_in_progress
            ],
            "Added": [task.markdown("added by {}", task.agent) for task in self.added],
            "Knowledge": [
                f"- `{escape(topic.topic)}` {topic.change} by {writer(topic.agent)}"
                for topic in self.knowledge
            ],
        }
        parts = [f"# {name}\n\nFrom {start} to {end}."]
        for title, entries in lists.items():
            parts += [f"## {title} ({len(entries)})", *entries] if entries else []
        if self.agents:
            parts += ["## Agents", _table(self.agents)]
        return "\n\n".join(parts) + "\n"


def _table(agents: Sequence[Share]) -> str:
    rows = [
        f"| {writer(a.agent)} | {a.completed} | {a.failed} | {a.running} | {a.added}"
        f" | {a.knowledge} | {spoken(a.seconds)} |"
        for a in agents
    ]
    heads = "| agent | done | failed | running | added | knowledge | time |"
    return "\n".join([heads, "|---|--:|--:|--:|--:|--:|--:|", *rows])


def _took(seconds: float | None) -> str:
    return f" in {spoken(seconds)}" if seconds is not None else ""
