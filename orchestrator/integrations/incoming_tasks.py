"""Tasks that come from another tracker: their ids, their order, and the one commit that takes them in."""

from collections.abc import Iterable, Iterator

import msgspec
from msgspec.structs import replace

from orchestrator.core import names
from orchestrator.core.errors import BadName, Refused
from orchestrator.core.topological import topological_order
from orchestrator.core.transaction import Committed, Noun, Transaction, command
from orchestrator.domain.agents.assignment import DEFAULT_ASSIGNMENT
from orchestrator.domain.agents.identity import act_now
from orchestrator.domain.state import State
from orchestrator.domain.tasks.circles import check_no_circle
from orchestrator.domain.tasks.events import TaskImported
from orchestrator.domain.tasks.records import Task
from orchestrator.domain.tasks.relations import Gate, Link
from orchestrator.domain.workstreams.commands import Workstreams
from orchestrator.engine import Engine
from orchestrator.integrations.report import Losses, Report, digest


class IncomingTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task of another tracker. Its links are by the tracker's ids, and may lead nowhere.

    ``task`` has everything else; of status assigned it waits here for the agent that it is assigned to.
    """

    id: str
    task: Task
    needs: tuple[str, ...] = ()
    parent: str | None = None
    gate: Gate | None = None
    links: tuple[Link, ...] = ()

    @property
    def after(self) -> Iterator[str]:
        """The ids of the tasks that must be there before."""
        yield from self.needs
        if self.parent is not None:
            yield self.parent
        if self.gate is not None and self.gate.of != self.id:
            yield self.gate.of


def take_in(
    engine: Engine,
    incoming_tasks: Iterable[tuple[IncomingTask, Losses]],
    losses: Losses,
    *,
    workstream: str,
    skip_existing: bool = False,
    agent: str | None = None,
) -> Report:
    """Take tasks in and report it; see :meth:`TaskImport.arrive`.

    Args:
        engine: The board.
        incoming_tasks: The tasks, each with what of it has no place here.
        losses: What else of the tracker's data has no place.
        workstream: Where they belong.
        skip_existing: Take in those only that are not on the board.
        agent: Who takes them in.
    """
    by_id = {_id_here(incoming.id): (incoming, lost) for incoming, lost in incoming_tasks}
    tasks = TaskImport(engine).arrive(
        tuple(incoming for incoming, _ in by_id.values()),
        workstream,
        skip_existing=skip_existing,
        agent=agent,
    )
    here = set()
    for task in tasks:
        incoming, lost = by_id[task.id]
        losses.add(lost)
        _count_cut(losses, incoming, task)
        if task.id != incoming.id:
            losses.renamed[f"task {incoming.id}"] = task.id
        here.add(task.id)
    return losses.report(tasks, [task_id for task_id in by_id if task_id not in here])


def _imported_tasks(state: State, events: Committed) -> list[Task]:  # noqa: ARG001  as every `shows`
    """The tasks that came in."""
    return [event.record for _, event in events if isinstance(event, TaskImported)]


class TaskImport(Noun[State], name="arrivals"):
    """The command that takes tasks in, in one commit."""

    @command(_imported_tasks)
    def arrive(
        self,
        tx: Transaction[State],
        incoming_tasks: tuple[IncomingTask, ...],
        workstream: str,
        *,
        skip_existing: bool = False,
        agent: str | None = None,
    ) -> None:
        """Take tasks into a workstream, which is made if it is not there, with their times and results.

        Links to tasks that are neither among them nor on the board are left out.

        Raises:
            Refused: Some are on the board already, they wait for one another in a circle, or the
                workstream is closed.
        """
        act_now(tx, agent)
        coming = {_id_here(incoming.id): incoming for incoming in incoming_tasks}
        known = [task_id for task_id in coming if _is_known(tx.state, task_id)]
        if known and not skip_existing:
            raise _are_here(known)
        for task_id in known:
            del coming[task_id]
        if workstream not in tx.state.workstreams:
            Workstreams(self._desk).create(workstream)
        tx.state.workstreams.find_active(workstream)
        for task_id in _in_order(coming):
            record = _record(tx, coming, task_id, workstream)
            # Those that come later are not needed yet, so only gates can close a circle here.
            if record.gate is not None or tx.state.tasks.awaited_by:
                check_no_circle(tx.state, record.id, record)
            tx.record(TaskImported(record=record))


def _id_here(text: str) -> str:
    """The id of a task here: the tracker's, or another one that always stands for it."""
    try:
        return names.name("task", text)
    except BadName:
        return digest(text)


def _is_known(state: State, task_id: str) -> bool:
    return task_id in state.tasks or task_id in state.tasks.archived


def _record(
    tx: Transaction[State], coming: dict[str, IncomingTask], task_id: str, workstream: str
) -> Task:
    """The record of a task here: its links by ids of this board, and no retired agent in its way."""
    incoming, state = coming[task_id], tx.state

    def here(other: str) -> str | None:
        task_id = _id_here(other)
        return task_id if task_id in coming or _is_known(state, task_id) else None

    needs = dict.fromkeys(filter(None, map(here, incoming.needs)))
    parent = here(incoming.parent) if incoming.parent is not None else None
    gate = incoming.gate and Gate(incoming.gate.how, here(incoming.gate.of) or "")
    links = ((link.kind, here(link.task)) for link in incoming.links)
    record = replace(
        incoming.task,
        id=task_id,
        workstream=workstream,
        needs=tuple(needs),
        parent=parent if parent not in state.tasks.archived else None,
        gate=gate if gate and gate.of and gate.of not in state.tasks.archived else None,
        links=tuple(dict.fromkeys(Link(kind, other) for kind, other in links if other)),
        created_at=incoming.task.created_at or tx.now,
        created_by=incoming.task.created_by or tx.agent,
        updated_at=incoming.task.updated_at or incoming.task.created_at or tx.now,
    )
    return _with_lease(tx, record)


def _with_lease(tx: Transaction[State], record: Task) -> Task:
    """An assigned task has a lease here; the work of a retired agent is free."""
    agent = tx.state.agents.aliases.get(record.assigned_to or "", record.assigned_to)
    if record.status != "assigned" or agent is None:
        return replace(record, assigned_to=agent)
    known = tx.state.agents.get(agent)
    if known is not None and known.status == "retired":
        return replace(record, status="pending", assigned_to=None)
    until = tx.later(DEFAULT_ASSIGNMENT)
    return replace(record, assigned_to=agent, lease=DEFAULT_ASSIGNMENT, lease_until=until)


def _count_cut(losses: Losses, incoming: IncomingTask, task: Task) -> None:
    """Note the links that lead nowhere, and the retired agent whose work is free now."""
    losses.lose("needs of tasks that are not here", len({*incoming.needs}) - len(task.needs))
    losses.lose("links to tasks that are not here", len({*incoming.links}) - len(task.links))
    losses.lose("parents that are not here", int(incoming.parent is not None and not task.parent))
    losses.lose(
        "gates on tasks that are not here", int(incoming.gate is not None and not task.gate)
    )
    losses.lose("assignees that are retired", int(incoming.task.status != task.status))


def _in_order(coming: dict[str, IncomingTask]) -> list[str]:
    """The tasks oldest first, but each behind those that it needs, belongs to or awaits.

    Raises:
        Refused: They wait for one another in a circle.
    """
    # Age decides between equal priorities, and age is the order of the events.
    waits = {
        task_id: [before for before in map(_id_here, coming[task_id].after) if before in coming]
        for task_id in sorted(coming, key=lambda task_id: coming[task_id].task.created_at)
    }
    order, circle = topological_order(waits)
    if circle:
        raise Refused(
            f"These tasks wait for one another: {' -> '.join(circle)}",
            code="circle",
            hint="Remove one of the links in the file; parents count as links, too.",
            circle=circle,
        )
    return order


def _are_here(known: list[str]) -> Refused:
    shown = ", ".join(known[:10])
    more = f" and {len(known) - 10} more" if len(known) > 10 else ""
    return Refused(
        f"{len(known)} of these tasks are on the board already: {shown}{more}",
        code="task_exists",
        hint="--skip-existing takes in the others and leaves these as they are.",
        tasks=known,
    )
