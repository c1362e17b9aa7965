"""Tasks that come from a neighbour: their ids, their order, and the one commit that takes them in."""

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


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """A task as a neighbour tells it. Its links are by the neighbour's ids, and may lead nowhere.

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
    arrivals: Iterable[tuple[Arrival, Losses]],
    losses: Losses,
    *,
    workstream: str,
    skip_existing: bool = False,
    agent: str | None = None,
) -> Report:
    """Take tasks in and report it; see :meth:`Arrivals.arrive`.

    Args:
        engine: The board.
        arrivals: The tasks, each with what of it has no place here.
        losses: What else of the neighbour's data has no place.
        workstream: Where they belong.
        skip_existing: Take in those only that are not on the board.
        agent: Who takes them in.
    """
    came = {_id_here(arrival.id): (arrival, lost) for arrival, lost in arrivals}
    tasks = Arrivals(engine).arrive(
        tuple(arrival for arrival, _ in came.values()),
        workstream,
        skip_existing=skip_existing,
        agent=agent,
    )
    here = set()
    for task in tasks:
        arrival, lost = came[task.id]
        losses.add(lost)
        _count_cut(losses, arrival, task)
        if task.id != arrival.id:
            losses.renamed[f"task {arrival.id}"] = task.id
        here.add(task.id)
    return losses.report(tasks, [task_id for task_id in came if task_id not in here])


def _the_tasks(state: State, events: Committed) -> list[Task]:  # noqa: ARG001  as every `shows`
    """The tasks that came in."""
    return [event.record for _, event in events if isinstance(event, TaskImported)]


class Arrivals(Noun[State]):
    """The command that takes tasks in, in one commit."""

    @command(_the_tasks)
    def arrive(
        self,
        tx: Transaction[State],
        arrivals: tuple[Arrival, ...],
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
        coming = {_id_here(arrival.id): arrival for arrival in arrivals}
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
    """The id of a task here: the neighbour's, or another one that always stands for it."""
    try:
        return names.name("task", text)
    except BadName:
        return digest(text)


def _is_known(state: State, task_id: str) -> bool:
    return task_id in state.tasks or task_id in state.tasks.archived


def _record(
    tx: Transaction[State], coming: dict[str, Arrival], task_id: str, workstream: str
) -> Task:
    """The record of a task here: its links by ids of this board, and nobody of old in its way."""
    arrival, state = coming[task_id], tx.state

    def here(other: str) -> str | None:
        found = _id_here(other)
        return found if found in coming or _is_known(state, found) else None

    needs = dict.fromkeys(filter(None, map(here, arrival.needs)))
    parent = here(arrival.parent) if arrival.parent is not None else None
    of = here(arrival.gate.of) if arrival.gate is not None else None
    links = ((link.kind, here(link.task)) for link in arrival.links)
    record = replace(
        arrival.task,
        id=task_id,
        workstream=workstream,
        needs=tuple(needs),
        parent=parent if parent not in state.tasks.archived else None,
        gate=Gate(arrival.gate.how, of)
        if arrival.gate and of and of not in state.tasks.archived
        else None,
        links=tuple(dict.fromkeys(Link(kind, other) for kind, other in links if other)),
        created_at=arrival.task.created_at or tx.now,
        created_by=arrival.task.created_by or tx.agent,
        updated_at=arrival.task.updated_at or arrival.task.created_at or tx.now,
    )
    return _given_out(tx, record)


def _given_out(tx: Transaction[State], record: Task) -> Task:
    """An assigned task has a lease here; the work of somebody who retired is anybody's."""
    agent = tx.state.agents.aliases.get(record.assigned_to or "", record.assigned_to)
    if record.status != "assigned" or agent is None:
        return replace(record, assigned_to=agent)
    known = tx.state.agents.get(agent)
    if known is not None and known.status == "retired":
        return replace(record, status="pending", assigned_to=None)
    until = tx.later(DEFAULT_ASSIGNMENT)
    return replace(record, assigned_to=agent, lease=DEFAULT_ASSIGNMENT, lease_until=until)


def _count_cut(losses: Losses, arrival: Arrival, task: Task) -> None:
    """Note the links that lead nowhere, and the agent whose work nobody has now."""
    losses.lose("needs of tasks that are not here", len({*arrival.needs}) - len(task.needs))
    losses.lose("links to tasks that are not here", len({*arrival.links}) - len(task.links))
    losses.lose("parents that are not here", int(arrival.parent is not None and not task.parent))
    losses.lose("gates on tasks that are not here", int(arrival.gate is not None and not task.gate))
    losses.lose("assignees that are retired", int(arrival.task.status != task.status))


def _in_order(coming: dict[str, Arrival]) -> list[str]:
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
