"""Tasks of another tracker: their ids and needs, and the commit that imports them.

A need still blocks the task if it cannot become a need here: it becomes a signal of the kind ``need``. This
happens if it names a record that is not imported or an unknown id, or would close a circle. An export writes
it as a need again.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, TypedDict, Unpack

import msgspec
from msgspec.structs import replace

from orchestrator.core import names
from orchestrator.core.errors import BadName, Refused
from orchestrator.core.multimap import multimap
from orchestrator.core.printable import first_of
from orchestrator.core.store import Presence
from orchestrator.core.transaction import SYSTEM, Committed, Noun, Transaction, command
from orchestrator.domain.agents.assignment import DEFAULT_ASSIGNMENT
from orchestrator.domain.agents.identity import act_now, name_here
from orchestrator.domain.knowledge.commands import Knowledge
from orchestrator.domain.knowledge.events import KnowledgeWritten
from orchestrator.domain.state import State
from orchestrator.domain.tasks.circles import check_no_circle
from orchestrator.domain.tasks.edit_events import TaskReimported
from orchestrator.domain.tasks.events import TaskImported
from orchestrator.domain.tasks.facts import MOVING
from orchestrator.domain.tasks.judged import takes_reason
from orchestrator.domain.tasks.records import ENDED, IN_WORK, Note, Task
from orchestrator.domain.tasks.relations import Gate, Link, Signal
from orchestrator.domain.validation import check_line
from orchestrator.domain.workstreams.commands import Workstreams
from orchestrator.engine import Engine
from orchestrator.integrations.order import Kind, Wait, in_order
from orchestrator.integrations.report import Losses, Report, digest, is_plain
from orchestrator.integrations.updates import (
    FAILURE_NEED,
    NEED,
    NEEDS,
    OPEN_NEEDS,
    OWN_WORK,
    Histories,
    Update,
    find_known,
    is_as_here,
    is_known,
    is_same,
)


class IncomingTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task of another tracker. Its links contain ids of the tracker, also of missing tasks.

    ``task`` has everything else; if its status is assigned, it waits for its agent.
    """

    id: str
    task: Task
    needs: tuple[str, ...] = ()
    needs_failure_of: tuple[str, ...] = ()
    parent: str | None = None
    gate: Gate | None = None
    links: tuple[Link, ...] = ()


class Surroundings(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The data of an import besides its tasks.

    Attributes:
        left_out: Ids of records that are not tasks here, and whether they block the tasks that need them.
        missing_keeps_back: Whether a need of an unknown id blocks.
        topics: Texts that become knowledge, by topic.
    """

    left_out: dict[str, bool] = {}
    missing_keeps_back: bool = False
    topics: dict[str, str] = {}


Projection = Callable[[Task], IncomingTask]
"""Returns for a task of the board the result of an export to the tracker and an import."""


class ImportOptions(TypedDict, total=False):
    """How an import changes the board.

    Attributes:
        workstream: The workstream of new tasks.
        skip_existing: Do not update tasks that are on the board already.
        strict: Refuse what cannot be read, duplicate ids, circles, and tasks that are on the board.
        reason: Why the importing agent changes the criteria for its own work.
        agent: The importing agent.
    """

    workstream: str
    skip_existing: bool
    strict: bool
    reason: str
    agent: str | None


def take_in(
    engine: Engine,
    incoming_tasks: Iterable[tuple[IncomingTask, Losses]],
    losses: Losses,
    projection: Projection,
    *,
    source: str,
    usual: str,
    surroundings: Surroundings,
    **options: Unpack[ImportOptions],
) -> Report:
    """Import tasks and report it; see :meth:`TaskImport.arrive`.

    Args:
        engine: The board.
        incoming_tasks: The tasks, each with its data that has no place here.
        losses: Other data of the tracker without a place here.
        projection: See :data:`Projection`.
        source: The name of the tracker.
        usual: The workstream of new tasks if none is named.
        surroundings: The data of the tracker besides its tasks.
        **options: See :class:`ImportOptions`.
    """
    by_id = {incoming.id: (incoming, lost) for incoming, lost in incoming_tasks}
    task_import = TaskImport(engine)
    task_import.projection, task_import.kept, task_import.agents = projection, {}, {}
    how: dict[str, Any] = {"skip_existing": False, "strict": False, "reason": "", "agent": None}
    how |= options
    arrived = task_import.arrive(
        tuple(incoming for incoming, _ in by_id.values()),
        how.pop("workstream", usual),
        surroundings=surroundings,
        source=source,
        **how,
    )
    known = find_known(engine.read(), map(_keys, (incoming for incoming, _ in by_id.values())))
    skipped = []
    for theirs, (incoming, lost) in by_id.items():
        here = known.get(theirs, _id_here(theirs))
        task = arrived.added.get(here) or arrived.updated.get(here)
        if task is None:
            skipped.append(here)
            continue
        losses.add(lost, here)
        _count_cut(losses, incoming, task)
        if here != theirs:
            losses.renamed[f"task {theirs}"] = here
    for here, kinds in task_import.kept.items():
        for kind in kinds:
            losses.lose(kind, example=here)
    for name, agent_here in task_import.agents.items():
        if agent_here != name:
            losses.renamed[f"agent {name}"] = agent_here
    kept_back = [
        task.id
        for task in (*arrived.added.values(), *arrived.updated.values())
        if any(signal.kind in NEEDS and not signal.given_at for signal in task.signals)
    ]
    return losses.report(
        arrived.added.values(), arrived.updated, skipped, arrived.topics, kept_back
    )


class Arrived(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an import: new and changed tasks, and written topics."""

    added: dict[str, Task]
    updated: dict[str, Task]
    topics: tuple[str, ...]


def _arrived(state: State, events: Committed) -> Arrived:
    """What came in."""
    added = [event.record for _, event in events if isinstance(event, TaskImported)]
    updated = [event.task for _, event in events if isinstance(event, TaskReimported)]
    return Arrived(
        added={task.id: task for task in added},
        updated={task_id: state.tasks[task_id] for task_id in updated if task_id in state.tasks},
        topics=tuple(event.topic for _, event in events if isinstance(event, KnowledgeWritten)),
    )


class TaskImport(Noun[State], name="arrivals"):
    """The command that imports tasks in a single commit.

    Attributes:
        projection: See :data:`Projection`.
        kept: What the last import left as it is here although the tracker has it otherwise, by task.
        agents: The agents of this board by the names that they have in the tracker.
    """

    projection: Projection
    kept: dict[str, list[str]]
    agents: dict[str, str]

    @command(_arrived)
    def arrive(
        self,
        tx: Transaction[State],
        incoming_tasks: tuple[IncomingTask, ...],
        workstream: str,
        *,
        surroundings: Surroundings,
        skip_existing: bool,
        strict: bool,
        source: str,
        reason: str,
        agent: str | None,
    ) -> None:
        """Take tasks into a workstream, which is made if it is not there, with their times and results.

        A task that is on the board gets its changes from the tracker. It keeps its status if its checks have
        not passed, and without a reason the facts that judge the importing agent; ``kept`` names these. Links
        to tasks that are neither among them nor on the board are left out; needs are kept as signals, see the
        module.

        Raises:
            Refused: A task of another project has the same id; the workstream is closed. With ``strict``:
                some are on the board already, or wait for one another in a circle.
        """
        act_now(tx, agent)
        self.kept = {}
        presence = self._desk.presence
        taking = _Taking(tx, incoming_tasks, workstream, surroundings, strict, presence)
        self.agents = taking.agents
        self._refuse_strangers(taking, skip_existing=skip_existing)
        new_ones = list(taking.new_ones())
        if new_ones:
            if workstream not in tx.state.workstreams:
                Workstreams(self._desk).create(workstream)
            tx.state.workstreams.find_active(workstream)
        for incoming, cuts in new_ones:
            tx.record(TaskImported(record=taking.record(incoming, cuts)))
        if not skip_existing:
            self._update(tx, taking, source, check_line("reason", reason))
        for topic, text in taking.surroundings.topics.items():
            knowledge = Knowledge(self._desk)
            if knowledge.read(topic) != text:
                knowledge.write(topic, text)

    def _refuse_strangers(self, taking: "_Taking", *, skip_existing: bool) -> None:
        """Refuse tasks whose ids are taken by others, or with ``strict`` by anything."""
        tasks = taking.state.tasks
        wrong = [
            here
            for theirs, here in taking.known.items()
            if taking.strict
            or (
                here in tasks
                and not is_same(tasks[here], taking.coming[theirs].task, taking.workstream)
            )
        ]
        if wrong and not skip_existing:
            raise _are_here(wrong, strict=taking.strict)

    def _update(self, tx: Transaction[State], taking: "_Taking", source: str, reason: str) -> None:
        ended = []
        known = [task for here in taking.known.values() if (task := tx.state.tasks.get(here))]
        histories = Histories(tx, self._desk, known)
        for theirs, here in taking.known.items():
            mine = tx.state.tasks.get(here)
            if mine is None:
                continue  # it was archived, and stays as it was
            coming = taking.record(taking.coming[theirs], (), at_home=mine)
            if is_as_here(coming, mine):
                continue
            same = taking.record(self.projection(mine), (), at_home=mine)
            update = Update(
                mine, coming, same, tx.now, untouched=partial(histories.is_untouched, mine)
            )
            changes = update.changes
            if not MOVING.isdisjoint(changes):
                changes = taking.without_circle(mine, changes)
            if not reason and takes_reason(tx, mine, changes):
                # As a whole, so that the same import with a reason takes it in.
                self.kept[here] = [OWN_WORK]
                continue
            if changes.keys() - {"updated_at"}:
                holder = (mine.assigned_to or "") if mine.status in IN_WORK else ""
                about = {"source": source, "why": reason, "holder": holder}
                tx.record(TaskReimported(task=here, **changes, **about))
                ended += [here] if changes.get("status") == "done" else []
            if update.kept:
                self.kept[here] = update.kept
        for here in ended:
            if tx.state.tasks[here].open_needs:
                self.kept.setdefault(here, []).append(OPEN_NEEDS)


class _Taking:
    """One import: what comes, what is known of it, and how its records become those of the board."""

    def __init__(
        self,
        tx: Transaction[State],
        incoming_tasks: tuple[IncomingTask, ...],
        workstream: str,
        surroundings: Surroundings,
        strict: bool,
        presence: Presence,
    ) -> None:
        self.tx, self.state, self.workstream = tx, tx.state, workstream
        self.surroundings, self.strict = surroundings, strict
        self.presence = presence
        self.agents: dict[str, str] = {SYSTEM: SYSTEM}
        self.coming = {incoming.id: incoming for incoming in incoming_tasks}
        self.known = find_known(tx.state, map(_keys, incoming_tasks))
        self._here = {theirs: self.known.get(theirs, _id_here(theirs)) for theirs in self.coming}
        self._theirs = {here: theirs for theirs, here in self._here.items()}

    def here(self, theirs: str) -> str | None:
        """The id of a task here; None if there is none."""
        if theirs in self._here:
            return self._here[theirs]
        task_id = _id_here(theirs)
        return task_id if is_known(self.state, task_id) else None

    def new_ones(self) -> Iterator[tuple[IncomingTask, list[Wait]]]:
        """Yield the tasks that are not on the board, each behind those it waits for, oldest first.

        With each come the waits that it cannot have, because they would close a circle.

        Raises:
            Refused: They wait for one another in a circle, and the import is strict.
        """
        new = [incoming for incoming in self.coming.values() if incoming.id not in self.known]
        # Age decides between equal priorities, and age is the order of the events.
        new.sort(key=lambda incoming: incoming.task.created_at)
        ids = {incoming.id for incoming in new}
        waits = {i.id: [wait for wait in self._waits(i) if wait.other in ids] for i in new}
        order, cuts = in_order(waits)
        cuts = [cut for cut in cuts if cut.wait.kind != "gate"]
        if cuts and self.strict:
            raise _circle([self._here[theirs] for theirs in cuts[0].circle])
        lost = multimap((cut.task, cut.wait) for cut in cuts)
        for theirs in order:
            yield self.coming[theirs], lost.get(theirs, [])

    def _waits(self, incoming: IncomingTask) -> Iterator[Wait]:
        ended = incoming.task.status in ENDED
        for need in incoming.needs:
            yield Wait("need", need, 0 if ended else 1 if self._is_done(need) else 2)
        for need in incoming.needs_failure_of:
            yield Wait("failure", need, 0 if ended else 2)
        if incoming.gate is not None and incoming.gate.of != incoming.id:
            yield Wait("gate", incoming.gate.of, 0)  # it may come later: its children count
        if incoming.parent is not None:
            yield Wait("parent", incoming.parent, 3)

    def _is_done(self, theirs: str) -> bool:
        incoming, here = self.coming.get(theirs), self._here.get(theirs)
        if here is not None and is_known(self.state, here):
            return self.state.tasks.is_done(here)
        return incoming is not None and incoming.task.status == "done"

    def record(
        self, incoming: IncomingTask, cuts: Iterable[Wait], *, at_home: Task | None = None
    ) -> Task:
        """The record of a task here: its links by ids of this board, and no retired agent in its way.

        Args:
            incoming: The task.
            cuts: What it cannot wait for.
            at_home: The task of the board that it is, if it is there.
        """
        task, archived = incoming.task, self.state.tasks.archived
        without = {(wait.kind, wait.other) for wait in cuts}
        if at_home is not None and at_home.signals:
            without.update(self._cut_before(incoming, at_home))
        signals = dict.fromkeys(task.signals)
        needs = self._needs("need", incoming.needs, without, signals)
        failures = self._needs("failure", incoming.needs_failure_of, without, signals)
        parent = self.here(incoming.parent) if incoming.parent is not None else None
        gate = incoming.gate
        if gate is not None:
            of = self.here(gate.of)
            if of is None:
                if signal := self._signal(gate.of):
                    signals[signal] = None
                gate = None
            else:
                gate = Gate(gate.how, of) if of not in archived else None
        links = ((link.kind, self.here(link.task)) for link in incoming.links)
        if ("parent", incoming.parent) in without or parent in archived:
            parent = None
        updated = task.updated_at or task.created_at or self.tx.now
        record = replace(
            task,
            id=at_home.id if at_home else self._here[incoming.id],
            workstream=at_home.workstream if at_home else self.workstream,
            needs=needs,
            needs_failure_of=failures,
            parent=parent,
            gate=gate,
            signals=tuple(signals),
            links=tuple(dict.fromkeys(Link(kind, other) for kind, other in links if other)),
            created_at=task.created_at or self.tx.now,
            created_by=self._agent(task.created_by) if task.created_by else SYSTEM,
            notes=tuple(map(self._with_author, task.notes)),
            updated_at=updated,
            ended_at=(task.ended_at or updated) if task.status in ENDED else None,
        )
        record = self._with_lease(record)
        return record if at_home else self.without_circle_of(record)

    def _cut_before(self, incoming: IncomingTask, mine: Task) -> Iterator[tuple[Kind, str]]:
        """Yield the needs for which a task waits for signals, because they would still close a circle."""
        keys = {signal.key for signal in mine.signals}
        kinds: tuple[tuple[Kind, str, str, tuple[str, ...]], ...] = (
            ("need", NEED, "needs", incoming.needs),
            ("failure", FAILURE_NEED, "needs_failure_of", incoming.needs_failure_of),
        )
        for kind, signal, field, needs in kinds:
            for need in needs:
                here = self.here(need) if Signal(kind=signal, name=need).key in keys else None
                if here is not None and not self._fits(mine, {field: (here,)}):
                    yield kind, need

    def _needs(
        self,
        kind: Kind,
        theirs: Iterable[str],
        without: Collection[tuple[Kind, str]],
        signals: dict[Signal, None],
    ) -> tuple[str, ...]:
        """The needs of a kind by ids of this board; for those that cannot be here, signals are added."""
        needs: dict[str, None] = {}
        for need in theirs:
            here = self.here(need) if (kind, need) not in without else None
            if here is not None:
                needs[here] = None
            elif signal := self._signal(need, FAILURE_NEED if kind == "failure" else NEED):
                signals[signal] = None
        return tuple(needs)

    def _signal(self, theirs: str, kind: str = NEED) -> Signal | None:
        """The signal that blocks a task in place of a need; None if the need does not block."""
        if theirs in self.coming:
            keeps_back = not self._is_done(theirs)
        elif theirs in self.surroundings.left_out:
            keeps_back = self.surroundings.left_out[theirs]
        elif self.surroundings.missing_keeps_back:
            keeps_back = True
        else:
            return None
        return Signal(kind=kind, name=theirs, given_at="" if keeps_back else self.tx.now)

    def _with_lease(self, record: Task) -> Task:
        """An assigned task has a lease here; the work of a retired agent is free."""
        agents = self.state.agents
        agent = self._agent(record.assigned_to) if record.assigned_to else None
        if record.status != "assigned" or agent is None:
            return replace(record, assigned_to=agent)
        known = agents.get(agent)
        if known is not None and known.status == "retired":
            return replace(record, status="pending", assigned_to=None)
        until = self.tx.later(DEFAULT_ASSIGNMENT)
        return replace(record, assigned_to=agent, lease=DEFAULT_ASSIGNMENT, lease_until=until)

    def _agent(self, name: str) -> str:
        """The agent of this board that a name means, which may have another case there."""
        if name not in self.agents:
            self.agents[name] = name_here(self.state, self.presence, name)
        return self.agents[name]

    def _with_author(self, note: Note) -> Note:
        """A note of an agent of this board; one without an author keeps the tracker's name."""
        return note if is_plain(note) else replace(note, agent=self._agent(note.agent))

    def without_circle_of(self, record: Task) -> Task:
        """The record of a new task, or one that waits for signals in place of what would close a circle."""
        # Those that come later are not needed yet, so only gates can close a circle here.
        if record.gate is None and not self.state.tasks.awaited_by:
            return record
        return replace(record, **self.without_circle(record, {}))

    def without_circle(self, task: Task, changes: Mapping[str, Any]) -> dict[str, Any]:
        """The changes of a task without what would close a circle, which becomes signals."""
        changes = dict(changes)
        if self._fits(task, changes):
            return changes
        if self.strict:
            check_no_circle(self.state, task.id, replace(task, **changes))
        facts = replace(task, **changes)
        cut = []
        changes |= {"needs": (), "needs_failure_of": (), "gate": None, "parent": None}
        for field, value in (("parent", facts.parent), ("gate", facts.gate)):
            if not self._fits(task, changes | {field: value}):
                cut += [(NEED, value.of)] if isinstance(value, Gate) else []
            else:
                changes[field] = value
        for field, kind in (("needs", NEED), ("needs_failure_of", FAILURE_NEED)):
            for need in getattr(facts, field):
                more = changes | {field: (*changes[field], need)}
                if self._fits(task, more):
                    changes = more
                else:
                    cut.append((kind, need))
        signals = (
            Signal(kind=kind, name=self._theirs.get(other, other))
            for kind, other in cut
            if not self.state.tasks.is_done(other)
        )
        changes["signals"] = tuple(dict.fromkeys((*facts.signals, *signals)))
        return {
            field: value
            for field, value in changes.items()
            if field == "updated_at" or value != getattr(task, field)
        }

    def _fits(self, task: Task, changes: Mapping[str, Any]) -> bool:
        """Whether a task with these changes does not wait for itself."""
        try:
            check_no_circle(self.state, task.id, replace(task, **changes))
        except Refused:
            return False
        return True


def _keys(incoming: IncomingTask) -> tuple[str, str, str]:
    return incoming.id, _id_here(incoming.id), incoming.task.external_ref


def _id_here(text: str) -> str:
    """The id of a task here: the tracker's id, or an id that is derived from it."""
    try:
        return names.name("task", text)
    except BadName:
        return digest(text)


def _count_cut(losses: Losses, incoming: IncomingTask, task: Task) -> None:
    """Note the links that lead nowhere, and the retired agent whose work is free now."""
    given = sum(signal.kind in NEEDS and signal.given_at != "" for signal in task.signals)
    lost = {
        "needs of tasks that are not here": len({*incoming.needs, *incoming.needs_failure_of})
        - len(task.needs)
        - len(task.needs_failure_of)
        - given,
        "links to tasks that are not here": len({*incoming.links}) - len(task.links),
        "parents that are not here": int(incoming.parent is not None and not task.parent),
        "gates on tasks that are not here": int(incoming.gate is not None and not task.gate),
        "assignees that are retired": int(
            incoming.task.status == "assigned" and task.status == "pending"
        ),
    }
    for kind, values in lost.items():
        losses.lose(kind, max(0, values), task.id)


def _circle(circle: list[str]) -> Refused:
    return Refused(
        f"These tasks wait for one another: {' -> '.join(circle)}",
        code="circle",
        hint="Remove one of the links in the file; parents count as links, too.",
        circle=circle,
    )


def _are_here(known: list[str], *, strict: bool) -> Refused:
    what = "are on the board already" if strict else "have ids of other tasks of the board"
    return Refused(
        f"{len(known)} of these tasks {what}: {first_of(known, 10)}",
        code="task_exists",
        hint="--skip-existing takes in the others and leaves these as they are.",
        tasks=known,
    )
