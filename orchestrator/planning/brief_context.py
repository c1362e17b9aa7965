"""The context of a brief: the task, its reader, and the authors of its texts."""

from functools import cached_property

from orchestrator.core.events import decode
from orchestrator.core.transaction import Desk
from orchestrator.domain.state import State
from orchestrator.domain.tasks.edit_events import TaskEdited, TaskReimported
from orchestrator.domain.tasks.events import (
    TaskCompleted,
)
from orchestrator.domain.tasks.records import HELD, Task
from orchestrator.planning.quoting import writer


class BriefContext:
    """The task of a brief, on its board, for its reader.

    Attributes:
        prog: The command that commands in the brief begin with.
        agent: The reader: the named agent, else the holder of the task, else AGENT.
        show: The command that shows the whole task.
        current: The command that shows the progress of its workflow.
    """

    def __init__(self, desk: Desk[State], task: Task, prog: str, agent: str | None) -> None:
        self.desk, self.state, self.now = desk, desk.read(), desk.now()
        self.task, self.prog = task, prog
        self.agent = agent or (task.assigned_to if task.status in HELD else None) or "AGENT"
        self.show = self.show_of(task)
        self.current = f"{prog} formula current {task.workflow}"

    @cached_property
    def writers(self) -> dict[str, str]:
        """Who wrote each text of the task last; see :func:`_last_writers`."""
        return _last_writers(self.desk, self.task)

    def show_of(self, task: Task) -> str:
        """Return the command that shows a task."""
        return f"{self.prog} t show {task.id}"

    def writer_of(self, field: str) -> str:
        """Return the last author of a text of the task, for a label."""
        return writer(self.writers.get(field, self.task.created_by))


def _last_writers(desk: Desk[State], task: Task) -> dict[str, str]:
    """Return the last author of each field, and under ``reason`` that of the last reason."""
    writers: dict[str, str] = {}
    for number in task.events[1:]:
        record = desk.event(number)
        if record.type in ("task.edited", "task.reimported"):
            edit = decode(record)
            assert isinstance(edit, TaskEdited | TaskReimported)
            writers.update(dict.fromkeys(edit.facts(), record.agent))
        elif record.type in ("task.failed", "task.blocked", "task.cancelled", "task.submitted"):
            writers["reason"] = record.agent
        elif record.type == "task.completed":
            completed = decode(record)
            assert isinstance(completed, TaskCompleted)
            writers["reason"] = completed.worker or record.agent
    return writers
