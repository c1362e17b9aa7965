"""The context of a brief: the task, its reader, the authors of its texts, and what is near it."""

from collections import deque
from collections.abc import Iterator
from functools import cached_property

from orchestrator.core.events import decode
from orchestrator.core.transaction import Desk
from orchestrator.domain.knowledge.commands import Knowledge
from orchestrator.domain.state import State
from orchestrator.domain.tasks.blockers import ancestors
from orchestrator.domain.tasks.commands import Tasks
from orchestrator.domain.tasks.edit_events import TaskEdited, TaskReimported
from orchestrator.domain.tasks.events import TaskCompleted
from orchestrator.domain.tasks.records import HELD, Task
from orchestrator.planning.quoting import writer

HEADING_WEIGHT = 3.0
"""The weight of a word of the title or a label, relative to a word of the description, in ranking."""

RESULTS = 30
"""How many earlier tasks a brief contains besides the needs of its task."""


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

    def show_of(self, task: Task) -> str:
        """Return the command that shows a task."""
        return f"{self.prog} t show {task.id}"

    # Authors

    @cached_property
    def writers(self) -> dict[str, str]:
        """The last author of each field, and under ``reason`` that of the last reason."""
        writers: dict[str, str] = {}
        for number in self.task.events[1:]:
            record = self.desk.event(number)
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

    def writer_of(self, field: str) -> str:
        """Return the last author of a text of the task, for a label."""
        return writer(self.writers.get(field, self.task.created_by))

    # Other tasks

    def earlier_tasks(self) -> Iterator[Task]:
        """Yield the needs of the task; for a step also earlier tasks with a result, nearest first."""
        tasks, task = Tasks(self.desk), self.task
        seen = {task.id}
        waiting = deque(self._prerequisites(task))
        shown = 0
        while waiting and shown < RESULTS:
            task_id = waiting.popleft()
            if task_id in seen:
                continue
            seen.add(task_id)
            earlier = tasks.get(task_id)
            if task.workflow is not None and earlier.milestone:
                # A milestone only represents its prerequisites, so these are as near as it is.
                waiting.extendleft(reversed(self._prerequisites(earlier)))
            elif task.workflow is not None:
                waiting.extend(self._prerequisites(earlier))
            is_need = task_id in (*task.needs, *task.needs_failure_of)
            if is_need or (earlier.result and not earlier.milestone):
                shown += 1
                yield earlier

    def _prerequisites(self, task: Task) -> list[str]:
        """Return the needs of a task, and then those of its parents."""
        parts = self.state.tasks.children.get(task.id, []) if task.milestone else []
        parents = ancestors(self.state, task.parent) if task.workflow is not None else ()
        own = (*task.needs, *task.needs_failure_of)
        return [*own, *parts, *(need for parent in parents for need in parent.needs)]

    def others_at_work(self) -> list[Task]:
        """Return the running tasks of other agents, those of the same workstream first."""
        running = self.state.schedule.running()
        others = [t for t in running if t.id != self.task.id and not t.has_lapsed(self.now)]
        return sorted(others, key=lambda other: other.workstream != self.task.workstream)

    # Knowledge

    def query(self) -> dict[str, float]:
        """Return the words by which knowledge for the task is ranked."""
        from orchestrator.planning.significant_words import query_of

        task = self.task
        return query_of(
            (" ".join([task.title, *task.labels]), HEADING_WEIGHT),
            (f"{task.workstream} {task.description} {task.acceptance}", 1.0),
        )

    def fitting_topics(self) -> list[str]:
        """Return the topics whose name or tags match the task; no text is read."""
        topics = Knowledge(self.desk).all()
        if not topics:
            return []
        from orchestrator.planning.significant_words import fitting

        return fitting(self.query(), topics)
