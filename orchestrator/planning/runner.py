"""The cycle runner: plan a cycle, brief its tasks, collect its results."""

import msgspec

from orchestrator.core.errors import UsageError
from orchestrator.core.transaction import Committed, Noun, Transaction, command
from orchestrator.domain.cycles.events import CyclePlanned
from orchestrator.domain.knowledge.commands import Knowledge, written_topic
from orchestrator.domain.state import State
from orchestrator.planning.brief import write_brief
from orchestrator.planning.collect import collect
from orchestrator.planning.cycle_report import Collected
from orchestrator.planning.plan import make_plan
from orchestrator.planning.records import Plan


def recorded_plan(_state: object, events: Committed) -> Plan:
    """Return the result of planning: the plan as it was recorded."""
    plan = next(event.plan for _, event in events if isinstance(event, CyclePlanned))
    return msgspec.convert(plan, Plan)


class Planning(Noun[State], name="runner"):
    """``orc.plan``, ``orc.brief``, ``orc.collect``: one round of work."""

    @command(recorded_plan)
    def plan(self, tx: Transaction[State], *, max: int = 8, agent: str | None = None) -> None:
        """Begin the next cycle with a plan, and keep the plan in the log.

        Args:
            max: How many tasks may run side by side.
            agent: Who plans.

        Raises:
            UsageError: ``max`` is less than 1.
        """
        tx.act_as(agent)
        if max < 1:
            raise UsageError(
                f"{max} tasks side by side are not a plan", hint="Give a number from 1 on."
            )
        number = tx.state.cycles.cycle.number + 1 if tx.state.cycles.cycle else 1
        plan = make_plan(
            tx.state, now=tx.now, number=number, at_most=max, seen=self._desk.presence.seen()
        )
        tx.record(CyclePlanned(number=number, plan=msgspec.to_builtins(plan)))

    def brief(
        self, target: str, *, budget: int = 4000, prog: str = "orc", agent: str | None = None
    ) -> str:
        """Return markdown with all that an agent needs to start a task.

        Args:
            target: A workstream, for its best ready task; else a task's id or a prefix of it.
            budget: The largest number of tokens; a token counts as 4 characters.
            prog: What the commands in it begin with, such as ``python cli.py``.
            agent: The reader, for the commands.

        Raises:
            NotFound: There is neither, or the workstream has no ready task (``nothing_ready``).
        """
        return write_brief(self._desk, target, budget=budget, prog=prog, agent=agent)

    def collect(self, *, cycle: int | None = None, since: str | int | None = None) -> Collected:
        """Report the present cycle, another one, or the time since some moment.

        Args:
            cycle: Its number.
            since: A time, a duration (``2h``), or the id of an event.

        Raises:
            NotFound: There was no such cycle.
        """
        return collect(self._desk, cycle=cycle, since=since)

    @command(written_topic)
    def save_report(
        self,
        tx: Transaction[State],
        topic: str,
        *,
        cycle: int | None = None,
        since: str | int | None = None,
        agent: str | None = None,
    ) -> None:
        """Write the report of :meth:`collect` into the knowledge base.

        Args:
            topic: The topic to write.
            cycle: As for :meth:`collect`.
            since: As for :meth:`collect`.
            agent: Who writes.
        """
        report = self.collect(cycle=cycle, since=since).markdown()
        Knowledge(self._desk).write(topic, report, agent=tx.act_as(agent))
