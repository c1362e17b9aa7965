"""Batches: add, edit, link and assign tasks in a single commit, all of them or none.

An entry has the fields of adding a task, or an ``id`` and those of editing it. ``key`` is a name for the
batch: other entries may use it in the place of an id, before or after it. ``assign`` gives the task to an
agent, and ``related``, ``discovered-from`` and the other kinds of links link it.
"""

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from orchestrator.core.errors import NotFound, OrchestratorError, UsageError, did_you_mean
from orchestrator.core.problems import Problems
from orchestrator.core.topological import topological_order
from orchestrator.core.transaction import Committed, Desk, Noun, Transaction, command
from orchestrator.domain.agents.assignment import assign, check_load, notify_assignee
from orchestrator.domain.agents.identity import act_now
from orchestrator.domain.state import State
from orchestrator.domain.tasks.batch_fields import ADDING, EDITING, read_field, words
from orchestrator.domain.tasks.commands import Tasks
from orchestrator.domain.tasks.dependencies import Links
from orchestrator.domain.tasks.edit_events import TaskEdited
from orchestrator.domain.tasks.events import TaskAdded, TaskAssigned
from orchestrator.domain.tasks.lookup import find_live, nearest, resolve
from orchestrator.domain.tasks.records import Task
from orchestrator.domain.tasks.relations import KINDS


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of a batch as written.

    Attributes:
        place: Its place, for messages: ``line 7``.
        fields: Its fields.
        inside: The number (from 0) of the entry that contains it.
        problem: Why it could not be read.
    """

    place: str
    fields: dict[str, Any]
    inside: int | None = None
    problem: str = ""


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a batch: ids of added and edited tasks, assignments, and the ids of keys."""

    added: list[str]
    edited: list[str]
    assigned: dict[str, str]
    keys: dict[str, str]
    tasks: list[Task]


def _applied(state: State, events: Committed) -> Applied:
    """Return the result of a batch, without the keys, which are in no event."""
    added = [event.task for _, event in events if isinstance(event, TaskAdded)]
    edits = dict.fromkeys(event.task for _, event in events if isinstance(event, TaskEdited))
    edited = [task for task in edits if task not in added]
    assigned = {event.task: event.to for _, event in events if isinstance(event, TaskAssigned)}
    touched = dict.fromkeys((*added, *edited, *assigned))
    tasks = [state.tasks[task] for task in touched]
    return Applied(added=added, edited=edited, assigned=assigned, keys={}, tasks=tasks)


class Batch(Noun[State]):
    """``orc.batch``: apply."""

    def apply(
        self,
        entries: Iterable[Entry | Mapping[str, Any]],
        *,
        workstream: str | None = None,
        agent: str | None = None,
    ) -> Applied:
        """Add, edit, link and assign tasks in one commit.

        Args:
            entries: Each an :class:`Entry`, or only its fields; see the module. Lists may be texts with
                commas or blanks.
            workstream: Where a new task belongs if its entry, or its parent, does not say it.
            agent: Who does it.

        Raises:
            BadInput: Entries are invalid; ``problems`` of its details lists each with its place.
            UsageError: There are no entries.
        """
        batch = tuple(
            entry if isinstance(entry, Entry) else Entry(place=f"entry {n}", fields=dict(entry))
            for n, entry in enumerate(entries, start=1)
        )
        if not batch:
            raise UsageError("The batch has no entries")
        applied = self._apply(batch, workstream, agent=agent)
        return msgspec.structs.replace(applied, keys=_keys(batch, applied.added))

    def repeated(self, applied: Applied) -> dict[str, str]:
        """Return the added tasks that have the place and title of an open one of before, each with that one.

        Whoever applies a file twice learns it so.
        """
        tasks = self._state.tasks
        new = {_position(self._state, tasks[task]): task for task in reversed(applied.added)}
        added = {*applied.added}
        return {
            new[position]: task.id
            for task in tasks.open()
            if task.id not in added
            if (position := _position(self._state, task)) in new
        }

    @command(_applied)
    def _apply(
        self,
        tx: Transaction[State],
        entries: tuple[Entry, ...],
        workstream: str | None,
        *,
        agent: str | None,
    ) -> Applied:
        act_now(tx, agent)
        _Run(self._desk, tx, entries, workstream).apply()
        return _applied(tx.state, [])


class _Run:
    """A batch during its application."""

    def __init__(
        self,
        desk: Desk[State],
        tx: Transaction[State],
        entries: tuple[Entry, ...],
        workstream: str | None,
    ) -> None:
        self._tasks, self._links = Tasks(desk), Links(desk)
        self._tx, self._state = tx, tx.state
        self._entries = entries
        self._workstream = workstream
        self._problems = Problems("The batch cannot be taken")
        self._fields: dict[int, dict[str, Any]] = {}
        self._keys: dict[str, int] = {}
        self._ids: dict[int, str] = {}
        has_references = any("external_ref" in entry.fields for entry in entries)
        tasks = self._state.tasks.values() if has_references else ()
        self._references = {task.external_ref: task.id for task in tasks if task.external_ref}

    def apply(self) -> None:
        """Apply every entry, or raise with all their problems."""
        for number, entry in enumerate(self._entries):
            self._check(number, entry)
        order, circle = _in_order(self._entries)
        for number in self._tx.show_progress(order, "Adding tasks"):
            self._attempt(number, self._place)
        if circle:
            places = " -> ".join(self._entries[number].place for number in circle)
            self._problems.note(places, "these wait for one another")
        for number in self._ids:
            if not _is_new(self._entries[number]):
                self._attempt(number, self._edit)
        for number in self._ids:
            self._attempt(number, self._link)
            self._attempt(number, self._assign)
        numbers = {entry.place: number for number, entry in enumerate(self._entries)}
        self._problems.sort(lambda place: numbers.get(place, len(numbers)))
        self._problems.check()

    def _attempt(self, number: int, action: Callable[[int], None]) -> None:
        self._problems.attempt(self._entries[number].place, action, number)

    def _check(self, number: int, entry: Entry) -> None:
        """Read the fields of an entry, and note the problems."""
        if entry.problem:
            self._problems.note(entry.place, entry.problem)
            return
        known = ADDING if _is_new(entry) else EDITING
        good = {}
        is_sound = True
        for name, value in entry.fields.items():
            if value is None:
                continue
            try:
                good[name] = read_field(name, value, known)
            except OrchestratorError as error:
                is_sound = False
                self._problems.note(entry.place, error.message)
        key = good.pop("key", None)
        if key is not None and self._keys.setdefault(key, number) != number:
            other = self._entries[self._keys[key]].place
            self._problems.note(entry.place, f"the key {key!a} stands in {other} already")
        if entry.inside is not None and "parent" in good:
            self._problems.note(entry.place, "it stands inside another entry and names a parent")
        elif is_sound:
            self._fields[number] = good

    def _place(self, number: int) -> None:
        """Find the task of an entry, or add it; do nothing if it or its parent has a problem."""
        entry, fields = self._entries[number], self._fields.get(number)
        if fields is None:
            return
        above = self._keys.get(fields.get("parent", ""), entry.inside)
        if above is not None and above not in self._ids:
            return
        is_new = _is_new(entry)
        self._ids[number] = self._add(number) if is_new else find_live(self._state, fields["id"]).id

    def _add(self, number: int) -> str:
        given = self._given(number)
        stream = given.pop("workstream", None) or self._workstream
        if given.get("parent"):
            stream = stream or find_live(self._state, given["parent"]).workstream
        if stream is None:
            raise UsageError("it belongs to no workstream: say `workstream`, or --ws for all")
        if stream not in self._state.workstreams:
            name = shlex.quote(stream)
            self._problems.advise(f"Nothing was changed. `ws create {name}` makes the workstream.")
        if "title" not in given:
            raise UsageError("it has no title, and no id of a task to edit")
        if (known := self._references.get(given.get("external_ref", ""))) is not None:
            raise UsageError(
                f"task {known} has the external_ref {given['external_ref']!a} already;"
                f" an entry with `id: {known}` changes it"
            )
        return self._tasks.add(stream, **given).id

    def _edit(self, number: int) -> None:
        given = self._given(number)
        del given["id"]
        if given:
            self._tasks.edit(self._ids[number], **given)

    def _link(self, number: int) -> None:
        for kind in KINDS:
            for other in self._fields[number].get(kind, ()):
                if (task := self._id_of(other)) is not None:
                    self._links.add(self._ids[number], task, kind=kind)

    def _assign(self, number: int) -> None:
        agent = self._fields[number].get("assign")
        if agent is None:
            return
        before = len(self._tx.events)
        to = self._state.agents.aliases.get(agent, agent)
        task = find_live(self._state, self._ids[number])
        check_load(self._state, task, to)
        task = assign(self._tx, task, to)
        if len(self._tx.events) > before:
            notify_assignee(self._tx, task)

    def _given(self, number: int) -> dict[str, Any]:
        """Return the fields that adding and editing take, with ids in place of keys."""
        fields, inside = self._fields[number], self._entries[number].inside
        given = {name: fields[name] for name in fields if name not in (*KINDS, "assign")}
        for field in ("needs", "needs_failure_of"):
            if field in given:
                given[field] = [*filter(None, map(self._id_of, given[field]))]
        if given.get("parent"):
            given["parent"] = self._id_of(given["parent"])
        elif inside is not None:
            given["parent"] = self._ids.get(inside)
        if given.get("waits_for"):
            how, colon, of = given["waits_for"].partition(":")
            task = self._id_of(of) if of else ""
            given["waits_for"] = "" if task is None else f"{how}{colon}{task}"
        return given

    def _id_of(self, text: str) -> str | None:
        """Return the id that a key, an id or a prefix names; None if its entry has a problem.

        Raises:
            NotFound: It names nothing.
        """
        number = self._keys.get(text)
        if number is not None:
            return self._ids.get(number)
        try:
            return resolve(self._state, text)
        except NotFound:
            raise NotFound(
                f"there is no key or task {text!a}"
                f"{did_you_mean(text, self._keys) or nearest(self._state, text)}"
            ) from None


def _position(state: State, task: Task) -> tuple[str, ...]:
    """Return the workstream of a task, its title, and the title of what it is a part of."""
    parent = state.tasks.get(task.parent or "")
    above = parent.title.casefold() if parent is not None else ""
    return task.workstream, task.title.casefold(), above


def _is_new(entry: Entry) -> bool:
    return "id" not in entry.fields


def _in_order(entries: tuple[Entry, ...]) -> tuple[list[int], list[int]]:
    """Return the entries in order, each after the entries that it names; and a circle, if there is one."""
    keys: dict[str, int] = {}
    for number, entry in enumerate(entries):
        keys.setdefault(str(entry.fields.get("key")), number)
    return topological_order(
        {number: [*_named(entry, keys)] for number, entry in enumerate(entries)}
    )


def _named(entry: Entry, keys: dict[str, int]) -> Iterator[int]:
    """Yield the entries that must be added before this one; editing comes after all adding."""
    if entry.inside is not None:
        yield entry.inside
    if not _is_new(entry):
        return
    texts = [
        entry.fields.get("parent"),
        *words(entry.fields.get("needs")),
        *words(entry.fields.get("needs_failure_of")),
    ]
    waits_for = entry.fields.get("waits_for")
    texts.append(waits_for.partition(":")[2] if isinstance(waits_for, str) else None)
    yield from (keys[text] for text in texts if isinstance(text, str) and text in keys)


def _keys(entries: tuple[Entry, ...], added: list[str]) -> dict[str, str]:
    """Return the ids of the keys of new tasks, which were added in the order of the entries."""
    news = [number for number in _in_order(entries)[0] if _is_new(entries[number])]
    return {
        entries[number].fields["key"]: task
        for number, task in zip(news, added, strict=True)
        if entries[number].fields.get("key") is not None
    }
