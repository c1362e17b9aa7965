"""The score of a submission: runners of the merge queue take the highest first, of equal ones the oldest.

=========  ======================================================================  =====================
part       points                                                                  why
=========  ======================================================================  =====================
base       1000
convoy     10 for each hour since the oldest open convoy of its task was created   old convoys end first
priority   100 for each step above 5, the default; -100 for each below, at         urgent work first
           most 4 steps
retries    -50 for each time that it was submitted again, at least -300            it may fail again
waiting    1 for each hour since it was submitted                                  nothing waits forever
=========  ======================================================================  =====================

A convoy counts from its creation, so all of its branches rise together. Time has no limit: a branch that was
returned six times overtakes new ones of its priority after 300 hours.
"""

import msgspec

from orchestrator.core import clock
from orchestrator.domain.merges.records import Submission
from orchestrator.domain.state import State
from orchestrator.domain.tasks.facts import NO_FACTS

BASE = 1000.0
CONVOY_HOUR = 10.0
PRIORITY_STEP = 100.0
PRIORITY_STEPS = 4
RETRY = -50.0
ALL_RETRIES = -300.0
WAITING_HOUR = 1.0


class ScorePart(msgspec.Struct, frozen=True):
    """A part of a score: how many points, and why."""

    part: str
    points: float
    why: str


class Score(msgspec.Struct, frozen=True):
    """The score of a submission, and its parts."""

    points: float
    parts: tuple[ScorePart, ...]


def score(state: State, submission: Submission, now: str) -> Score:
    """The score of an open submission at a time."""
    parts = (
        ScorePart("base", BASE, "every submission"),
        _of_convoy(state, submission, now),
        _of_priority(state, submission),
        ScorePart(
            "retries",
            max(RETRY * submission.retries, ALL_RETRIES) + 0.0,
            f"submitted again {submission.retries} times",
        ),
        ScorePart(
            "waiting",
            _rounded(WAITING_HOUR * _hours(submission.submitted_at, now)),
            "since it was submitted",
        ),
    )
    return Score(_rounded(sum(part.points for part in parts)), parts)


def ranked(state: State, submissions: list[Submission], now: str) -> list[Submission]:
    """Submissions by their score, the highest first."""
    return sorted(submissions, key=lambda s: (-score(state, s, now).points, s.number))


def _of_convoy(state: State, submission: Submission, now: str) -> ScorePart:
    tracking = state.convoys.tracked_by.get(submission.task or "", ())
    convoys = state.convoys.present((*tracking, submission.convoy))
    open_since = {
        convoy.name: convoy.created_at
        for convoy in convoys
        if convoy.status == "open" or convoy.name == submission.convoy
    }
    if not open_since:
        return ScorePart("convoy", 0.0, "no open convoy")
    oldest = min(open_since, key=lambda name: open_since[name])
    points = _rounded(CONVOY_HOUR * _hours(open_since[oldest], now))
    return ScorePart("convoy", points, f"since convoy {oldest} was created")


def _of_priority(state: State, submission: Submission) -> ScorePart:
    task = state.tasks.get(submission.task or "")
    if task is None:
        return ScorePart("priority", 0.0, "no task on the board")
    steps = NO_FACTS.priority - task.priority
    steps = max(-PRIORITY_STEPS, min(steps, PRIORITY_STEPS))
    return ScorePart(
        "priority", PRIORITY_STEP * steps, f"priority {task.priority} of task {task.id}"
    )


def _hours(begin: str, now: str) -> float:
    return max(0.0, clock.between(begin, now) / 3600)


def _rounded(points: float) -> float:
    return round(points, 1)
