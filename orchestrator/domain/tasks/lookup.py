"""Find tasks by an id or prefix, and choose ids of new tasks."""

from collections.abc import Iterable, Iterator
from itertools import chain

from orchestrator.core import names
from orchestrator.core.calls import check_list
from orchestrator.core.cold_map import keys_beginning
from orchestrator.core.errors import NotFound, Refused
from orchestrator.core.transaction import Committed, Transaction
from orchestrator.domain.state import State
from orchestrator.domain.tasks.events import RENEWED, TaskAdded, TaskEvent
from orchestrator.domain.tasks.ids import DIGITS, SHORTEST, USUAL, begins
from orchestrator.domain.tasks.records import STATUSES, Task

_FEW = 20
"""If the ids of a board have at most so many prefixes, a search for digits reads only those parts of the cold
files in which a matching id can be. If they have more, it reads all ids.
"""


def exists(state: State, task_id: str) -> bool:
    """Whether a task of this id exists or existed."""
    return task_id in state.tasks or task_id in state.tasks.archived


def resolve(state: State, text: str) -> str:
    """Return the id of the task, archived or not, that a text names; see :func:`resolve_ever`.

    Raises:
        Refused: It is deleted.
    """
    task_id = resolve_ever(state, text)
    if task_id in state.tasks.deleted:
        raise _gone(task_id, "deleted")
    return task_id


def resolve_ever(state: State, text: str) -> str:
    """Return the id of the task, archived and deleted ones included, that a text names.

    An exact id wins; else the first 3 or more digits that only one undotted id has, with or without the
    prefix of its workstream before them; ``DIGITS.name`` names a child of that task.

    Raises:
        NotFound: There is no such task.
        Refused: The prefix fits more than one task.
    """
    if exists(state, text):
        return text
    head, dot, tail = text.partition(".")
    fits: list[str] = []
    if len(head) >= 3:
        tasks = state.tasks
        texts: tuple[str, ...] = ("",)
        if len(tasks.prefixes) <= _FEW:
            texts = (head, *(f"{prefix}-{head}" for prefix in tasks.prefixes))
        fits = [
            task_id
            for task_id in chain.from_iterable(
                keys_beginning(records, texts) for records in (tasks.tasks, tasks.archived)
            )
            if begins(task_id, head) and "." not in task_id and task_id not in tasks.deleted
        ]
    if len(fits) > 1:
        raise Refused(
            f"{head!a} fits {len(fits)} tasks: {', '.join(sorted(fits)[:5])}",
            code="ambiguous_id",
            hint="Give more digits of the id.",
        )
    task_id = fits[0] + dot + tail if fits else ""
    if exists(state, task_id):
        return task_id
    raise NotFound(
        f"There is no task {text!a}{nearest(state, text)}",
        code="task_not_found",
        hint="`t list` shows the tasks of a workstream with their ids.",
    )


def nearest(state: State, text: str) -> str:
    """Return ``; did you mean ...?`` with an id that differs by one typing error; else an empty text.

    The errors are tried, not the tasks, so that the cost does not grow with the board.
    """
    head, dot, tail = text.partition(".")
    for near in _slips(head):
        if exists(state, near + dot + tail):
            return f"; did you mean {near + dot + tail!a}?"
    return ""


def _slips(text: str) -> Iterator[str]:
    """Yield texts that differ from an id by one wrong, missing or extra digit, or by two swapped ones."""
    if not 5 <= len(text) <= 40:
        return
    yield text.lower()
    for i in range(len(text) + 1):
        head, tail = text[:i], text[i:]
        yield head + tail[1:]
        yield head + tail[1:2] + tail[:1] + tail[2:]
        for digit in DIGITS:
            yield head + digit + tail[1:]
            yield head + digit + tail


def resolve_all(state: State, texts: Iterable[str]) -> tuple[str, ...]:
    """Return the ids that texts name; see :func:`resolve`.

    Raises:
        UsageError: Two of them name one task.
    """
    tasks = tuple(resolve(state, text) for text in texts)
    check_list("tasks", tasks)
    return tasks


def outline(state: State, task_id: str) -> dict[str, str | None]:
    """Return the status, title and agent of a task, archived or not."""
    task = state.tasks.get(task_id)
    if task is None:
        outcome = state.tasks.archived[task_id].outcome
        return {"task": task_id, "status": outcome, "title": "(archived)", "assigned_to": None}
    facts = {name: getattr(task, name) for name in ("status", "title", "assigned_to")}
    return {"task": task_id, **facts}


def outlines(
    state: State, tasks: Iterable[str]
) -> tuple[list[dict[str, str | None]], dict[str, int]]:
    """Return the outline of each task, and how many tasks have each status."""
    rows = [outline(state, task) for task in tasks]
    statuses = [row["status"] for row in rows]
    return rows, {status: statuses.count(status) for status in STATUSES if status in statuses}


def new_id(tx: Transaction[State], workstream: str) -> str:
    """Return a random id that no task has or had; behind the prefix of the workstream it is short."""
    stream = tx.state.workstreams.get(workstream)
    prefix = stream.prefix if stream is not None else ""
    begin, length = (f"{prefix}-", SHORTEST) if prefix else ("", USUAL)
    while exists(tx.state, task_id := begin + tx.random_id()[:length]):
        length = min(length + 1, USUAL)
    return task_id


def check_new_id(state: State, task_id: str) -> str:
    """Check an id that a caller chose, and return it.

    Raises:
        BadName: It is not a valid id.
        Refused: There is or was a task of this id.
    """
    names.name("task", task_id)
    if exists(state, task_id):
        raise Refused(f"There is or was a task {task_id}", code="task_exists")
    return task_id


def find_live(state: State, text: str) -> Task:
    """Return the task that a text names; see :func:`resolve`.

    Raises:
        Refused: The task is archived.
    """
    task_id = resolve(state, text)
    if task_id in state.tasks.archived:
        raise _gone(task_id, "archived")
    return state.tasks[task_id]


def _gone(task_id: str, how: str) -> Refused:
    return Refused(
        f"Task {task_id} is {how}",
        code=how,
        hint="`t show` still shows it; add a new task to go on.",
    )


def hooked_task(state: State, agent: str) -> Task:
    """Return the task on an agent's hook.

    Raises:
        NotFound: The hook is empty.
    """
    task_id = state.agents.hooks.get(agent)
    if task_id is None:
        raise NotFound(
            f"Nothing hangs on the hook of {agent}",
            code="hook_empty",
            hint="`hook` shows it, `hook TASK` puts a task there.",
        )
    return state.tasks[task_id]


def changed_task(state: State, events: Committed) -> Task:
    """Return the task that a command was about, as the commit left it.

    A lease that was renewed on the way does not count, unless nothing else happened.
    """
    changes = [event for _, event in events if isinstance(event, TaskAdded | TaskEvent)]
    first = next((event for event in changes if not isinstance(event, RENEWED)), changes[0])
    return state.tasks[first.task]
