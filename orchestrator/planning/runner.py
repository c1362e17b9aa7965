"""The commands of the cycle runner: plan a cycle, and keep its report."""

import msgspec

from orchestrator.core.errors import UsageError
from orchestrator.core.transaction import Committed, Noun, Transaction, command
from orchestrator.domain.cycles.events import CyclePlanned
from orchestrator.domain.knowledge.commands import Knowledge, written_topic
from orchestrator.domain.state import State
from orchestrator.planning.collect import collect
from orchestrator.planning.plan import make_plan
from orchestrator.planning.records import Plan


def recorded_plan(_state: object, events: Committed) -> Plan:
    """Return the result of planning: the plan as it was recorded."""
    plan = next(event.plan for _, event in events if isinstance(event, CyclePlanned))
    return msgspec.convert(plan, Plan)


class Planning(Noun[State], name="runner"):
    """``orc.plan`` and ``orc.save_report``: the begin and the end of one round of work."""

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
        """Write the report of a cycle into the knowledge base.

        Args:
            topic: The topic to write.
            cycle: As for :func:`orchestrator.planning.collect.collect`.
            since: As for the same.
            agent: Who writes.
        """
        report = collect(self._desk, cycle=cycle, since=since).markdown()
        Knowledge(self._desk).write(topic, report, agent=tx.act_as(agent))
