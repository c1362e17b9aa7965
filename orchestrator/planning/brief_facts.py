"""Facts in a brief that are not of the task itself: earlier tasks, other agents at work, knowledge."""

from collections import deque
from collections.abc import Iterator

from orchestrator.domain.knowledge.commands import Knowledge
from orchestrator.domain.tasks.blockers import ancestors
from orchestrator.domain.tasks.commands import Tasks
from orchestrator.domain.tasks.records import Task
from orchestrator.planning.brief_context import BriefContext

HEADING_WEIGHT = 3.0
"""The weight of a word of the title or a label, relative to a word of the description, in ranking."""

RESULTS = 30
"""How many earlier tasks a brief contains besides the needs of its task."""


def earlier_tasks(context: BriefContext) -> Iterator[Task]:
    """Yield the needs of the task; for a step also earlier tasks with a result, nearest first."""
    tasks, task = Tasks(context.desk), context.task
    seen = {task.id}
    waiting = deque(_prerequisites(context, task))
    shown = 0
    while waiting and shown < RESULTS:
        task_id = waiting.popleft()
        if task_id in seen:
            continue
        seen.add(task_id)
        earlier = tasks.get(task_id)
        if task.workflow is not None and earlier.milestone:
            # A milestone only represents its prerequisites, so these are as near as it is.
            waiting.extendleft(reversed(_prerequisites(context, earlier)))
        elif task.workflow is not None:
            waiting.extend(_prerequisites(context, earlier))
        if task_id in (*task.needs, *task.needs_failure_of) or (
            earlier.result and not earlier.milestone
        ):
            shown += 1
            yield earlier


def _prerequisites(context: BriefContext, task: Task) -> list[str]:
    """Return the needs of a task, and then those of its parents."""
    parts = context.state.tasks.children.get(task.id, []) if task.milestone else []
    parents = ancestors(context.state, task.parent) if task.workflow is not None else ()
    own = (*task.needs, *task.needs_failure_of)
    return [*own, *parts, *(need for parent in parents for need in parent.needs)]


def others_at_work(context: BriefContext) -> list[Task]:
    """Return the running tasks of other agents, those of the same workstream first."""
    state, now, task = context.state, context.now, context.task
    others = [t for t in state.schedule.running() if t.id != task.id and not t.has_lapsed(now)]
    return sorted(others, key=lambda other: other.workstream != task.workstream)


def query_for(task: Task) -> dict[str, float]:
    """Return the words by which knowledge for a task is ranked."""
    from orchestrator.planning.ranking import query_of

    return query_of(
        (" ".join([task.title, *task.labels]), HEADING_WEIGHT),
        (f"{task.workstream} {task.description} {task.acceptance}", 1.0),
    )


def fitting_topics(context: BriefContext) -> list[str]:
    """Return the topics whose name or tags match the task; no text is read."""
    topics = Knowledge(context.desk).all()
    if not topics:
        return []
    from orchestrator.planning.ranking import Text, rank

    return rank(query_for(context.task), [Text(topic.name, topic.tags, "") for topic in topics])
