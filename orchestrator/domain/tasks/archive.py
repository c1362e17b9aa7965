"""Archived tasks: read their records from the log."""

from collections.abc import Iterator

from orchestrator.core.events import decode
from orchestrator.core.progress import ShowProgress
from orchestrator.core.transaction import Desk
from orchestrator.domain.state import State
from orchestrator.domain.tasks.events import TaskArchived
from orchestrator.domain.tasks.records import Task

CLOSE = 100
"""How many events can be skipped in the time of finding one by its number."""


def record_in(desk: Desk[State], number: int) -> Task:
    """Return the record that an event ``task.archived`` keeps."""
    event = decode(desk.event(number))
    assert isinstance(event, TaskArchived)
    return event.record


def records_in(desk: Desk[State], numbers: list[int], progress: ShowProgress) -> Iterator[Task]:
    """Yield the records in these events, newest first.

    Args:
        desk: The board.
        numbers: Events ``task.archived``, oldest first.
        progress: Shows how many are read.
    """
    # One pass over the log is faster if the events stand close to each other.
    is_close = numbers and desk.read().event - numbers[0] < CLOSE * len(numbers)
    passing = desk.read_backwards() if is_close else iter(())
    record = next(passing, None)
    for number in progress(numbers[::-1], "Reading archived tasks"):
        while record is not None and record.id > number:
            record = next(passing, None)
        is_passed = record is not None and record.id == number
        event = decode(record if is_passed and record is not None else desk.event(number))
        assert isinstance(event, TaskArchived)
        yield event.record


def is_of_wisp(state: State, task: Task) -> bool:
    """Whether a task is a step of an ephemeral workflow, or the root that was made for it."""
    workflow = state.workflows.get(task.workflow or task.id)
    if workflow is None or not workflow.ephemeral:
        return False
    return task.workflow is not None or workflow.own_root
