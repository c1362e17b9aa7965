"""The work of each cycle and agent, and the chart of the last cycle.

The rules are those of :mod:`orchestrator.planning.collect`, for all cycles in one pass: the last change of a
task in a cycle counts.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from orchestrator.core import clock
from orchestrator.core.transaction import SYSTEM
from orchestrator.engine import Engine
from orchestrator.planning.cycle_report import Failed, Finished, Shares
from orchestrator.reports.report.lives import Change, Chronicle, Life, ending_text
from orchestrator.reports.report.records import SHOWN, CycleWork, Gantt, GanttRow, Phase

CHARTED = 40
"""Rows of the chart."""

_CHARTED = ("in_progress", "in_review", "blocked")
"""The statuses that the chart shows."""


class Rounds:
    """The work between some events of the log: the starts of cycles, or one moment.

    Args:
        engine: The board.
        chronicle: The history from the log.
        lives: The tasks that count.
        starts: The events, oldest first; the first round is before them.

    Attributes:
        shares: The work of each agent, for each round.
    """

    def __init__(
        self,
        engine: Engine,
        chronicle: Chronicle,
        lives: Mapping[str, Life],
        starts: Sequence[int],
    ) -> None:
        self._engine = engine
        self._starts = starts
        rounds = range(len(starts) + 1)
        self.shares = [Shares() for _ in rounds]
        self._ended: list[list[tuple[Change, Life, float | None]]] = [[] for _ in rounds]
        for life in lives.values():
            self._note(life)
        for event, learned in chronicle.knowledge:
            self.shares[self.place(event)][learned.agent].knowledge += 1

    def place(self, event: int) -> int:
        """The round of an event; an event that starts a round is not in that round."""
        return bisect_left(self._starts, event)

    def _note(self, life: Life) -> None:
        changes = life.own
        first = changes[0]
        self.shares[self.place(first.event)][first.agent].added += 1
        claim: Change | None = None
        for change, following in zip(changes, [*changes[1:], None], strict=True):
            if change.status == "in_progress":
                claim = change
            elif change.status not in ("in_review", "done", "failed"):
                claim = None
            place = self.place(change.event)
            until = self.place(following.event) if following else len(self._starts) + 1
            if until == place and following is not None:
                continue  # another change in the same round counts
            if change.status in ("done", "failed"):
                self._end(place, change, life, claim)
            elif change.status == "in_progress":
                for later in range(place, until):
                    self.shares[later][change.agent or SYSTEM].running += 1

    def _end(self, place: int, change: Change, life: Life, claim: Change | None) -> None:
        seconds = None if claim is None else max(0.0, change.moment - claim.moment)
        self._ended[place].append((change, life, seconds))
        self.shares[place].note_ending(change.agent, seconds, is_done=change.status == "done")

    def work(self, place: int, number: int | None, started: str, ended: str | None) -> CycleWork:
        """Return the report of a round."""
        endings = sorted(self._ended[place], key=lambda entry: entry[0].event)
        done = [entry for entry in endings if entry[0].status == "done"]
        failed = [entry for entry in endings if entry[0].status == "failed"]
        shares = self.shares[place].in_order()
        return CycleWork(
            number=number,
            started_at=started,
            ended_at=ended,
            completed_count=len(done),
            failed_count=len(failed),
            added_count=sum(share.added for share in shares),
            finished=[
                Finished(**self._facts(*entry), result=ending_text(self._engine, entry[0]))
                for entry in done[-SHOWN:]
            ],
            failed=[
                Failed(**self._facts(*entry), reason=ending_text(self._engine, entry[0]) or "")
                for entry in failed[-SHOWN:]
            ],
            agents=shares,
        )

    def _facts(self, change: Change, life: Life, seconds: float | None) -> dict[str, Any]:
        named = life.named
        return {
            "task_id": named.pop("task"),
            **named,
            "agent": change.agent,
            "at": clock.timestamp(change.moment),
            "seconds": None if seconds is None else round(seconds, 3),
        }


def gantt(lives: Mapping[str, Life], number: int | None, begins: float, ends: float) -> Gantt:
    """Chart the tasks that were in work in a period, in the order of their start."""

    def charted(life: Life) -> Iterator[tuple[Change, float]]:
        for change, end in life.spans(ends):
            if change.status in _CHARTED and change.moment <= ends and end > begins:
                yield change, end

    begun = [
        (max(first[0].moment, begins), first[0].event, life)
        for life in lives.values()
        if (first := next(charted(life), None))
    ]
    begun.sort(key=lambda entry: entry[:2])
    return Gantt(
        cycle=number,
        begins=clock.timestamp(begins),
        ends=clock.timestamp(ends),
        rows=[_row(life, charted(life), begins, ends) for _, _, life in begun[-CHARTED:]],
        left_out=max(0, len(begun) - CHARTED),
    )


def _row(life: Life, spans: Iterable[tuple[Change, float]], begins: float, ends: float) -> GanttRow:
    return GanttRow(
        **life.named,
        status=life.last.status,
        phases=[
            Phase(
                status=change.status,
                begins=clock.timestamp(max(change.moment, begins)),
                ends=clock.timestamp(min(end, ends)),
                agent=change.agent or None,
            )
            for change, end in spans
        ],
    )
