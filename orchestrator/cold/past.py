"""Which records of the state are past: no open work needs them, so they may be cold.

A cold record can still be read, so this decides only about speed. A map that is not named here stays in
memory.
"""

from collections.abc import Callable, Mapping
from functools import cache
from itertools import starmap
from typing import Any, NamedTuple

from orchestrator.core.cold_map import ColdMap
from orchestrator.domain.state import State
from orchestrator.domain.tasks.records import ENDED, Task

_OF_TASKS = (
    "archived",
    "deleted",
    "needed_by",
    "failure_needed_by",
    "children",
    "awaited_by",
    "linked_by",
    "unknown_facts",
    "goals_of",
    "tracked_by",
    "submissions_of",
)
"""Maps by the ids of tasks: the record of a past task in them is past, too."""

KINDS = ("tasks", *_OF_TASKS, "messages", "workflows", "steps", "work", "submissions", "requests")
"""The fields of the state that can have cold records, apart from the read mail of each mailbox."""

NEWEST = {"tasks": 1000, "messages": 100, "requests": 100}
"""How many of the newest records of a map stay in memory: a new task is compared with 1,000 others."""

MAILBOX = "read"
"""The kind of the read messages of a mailbox, before the number of the mailbox."""


class HotRecord(NamedTuple):
    """A record in memory: when it was added to its map, its key there, and the record."""

    order: int
    key: Any
    value: Any


class DividedMap(NamedTuple):
    """A map of the state, and which of its records are past.

    Attributes:
        kind: The name of its field in the state; of a mailbox, ``read``.
        agent: Whose mailbox it is; empty: it is none.
        records: The map.
        is_past: Whether the record of a key is past.
    """

    kind: str
    agent: str
    records: Mapping[Any, Any]
    is_past: Callable[[Any, Any], bool]

    @property
    def newest(self) -> int:
        """How many records always stay in memory: at least the last one, which gives the next number."""
        return NEWEST.get(self.kind, 1)

    def surplus(self) -> int:
        """How many records can leave the memory, at least."""
        past = sum(starmap(self.is_past, dict.items(self.records)))  # type: ignore[arg-type]
        return max(0, past - self.newest)

    def hot(self) -> list[HotRecord]:
        """The records in memory, in their order."""
        if isinstance(self.records, ColdMap):
            return [HotRecord(*entry) for entry in self.records.hot()]
        return [HotRecord(order, *item) for order, item in enumerate(self.records.items())]

    def parts(self) -> tuple[list[HotRecord], list[HotRecord]]:
        """The records that stay in memory, and those that are past, each in their order."""
        records = self.hot()
        stays: list[HotRecord] = []
        past: list[HotRecord] = []
        newest = len(records) - self.newest
        for number, record in enumerate(records):
            is_past = number < newest and self.is_past(record.key, record.value)
            (past if is_past else stays).append(record)
        return stays, past


def divided_maps(state: State) -> list[DividedMap]:
    """The fields of the state that can have past records."""
    tasks, workflows, mail = state.tasks.tasks, state.workflows.workflows, state.mail

    @cache
    def awaited() -> set[int]:
        """The messages that wait in a queue, or that an agent has not read yet."""
        numbers = {number for queue in mail.queues.values() for number in queue}
        for box in mail.mailboxes.values():
            numbers.update(box.new, box.unread)
        return numbers

    def of_task(key: str, _: object) -> bool:
        task = dict.get(tasks, key)  # a cold one is past
        return task is None or _is_past(task)

    def of_workflow(key: str, _: object) -> bool:
        workflow = dict.get(workflows, key)
        # A wisp is collected some days after its end.
        return workflow is None or (workflow.ended_at != "" and not workflow.ephemeral)

    rules: dict[str, Callable[[Any, Any], bool]] = {
        **dict.fromkeys(("tasks", *_OF_TASKS), of_task),
        **dict.fromkeys(("workflows", "steps", "work"), of_workflow),
        "messages": lambda key, _: key not in awaited(),
        "submissions": lambda _, submission: not submission.is_open,
        "requests": _always,
    }
    fields = state.fields()
    return [DividedMap(kind, "", fields[kind], rules[kind]) for kind in KINDS]


def divided_mailboxes(state: State) -> list[DividedMap]:
    """The read messages of every mailbox, all of which are past."""
    boxes = state.mail.mailboxes.items()
    return [DividedMap(MAILBOX, agent, box.read, _always) for agent, box in boxes]


def _always(*_: object) -> bool:
    return True


def _is_past(task: Task) -> bool:
    """Whether a task has ended; not if it failed more than once: the lead sees it until it is reopened."""
    is_alarming = task.status == "failed" and (task.failures > 1 or task.attempt > 1)
    return task.status in ENDED and not is_alarming
