"""The work graph: what blocks a task, by named rules and by random commands."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import pytest
from boards import (
    MORNING,
    SettableClock,
    add,
    as_text,
    changes_nothing,
    check_derived,
    code_of,
    fold,
    new_store,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from orchestrator import Orchestrator, OrchestratorError
from orchestrator.core import clock as times
from orchestrator.domain.tasks.dependencies import BLOCKING
from orchestrator.domain.tasks.events import TaskImported
from orchestrator.domain.tasks.records import ENDED, Task
from orchestrator.domain.tasks.relations import KINDS, Progress

pytestmark = pytest.mark.usefixtures("build")

AGENT = "ann"

FEW = 8
"""Live tasks of the random board: among more, what is picked by chance seldom has to do with the rest."""


# Random commands against the definitions of the issue


class Work:
    """The facts of a task in the model: only those set by commands, no derived ones."""

    def __init__(self, stream: str, priority: int) -> None:
        self.stream = stream
        self.priority = priority
        self.status = "pending"
        self.needs: list[str] = []
        self.failures: list[str] = []
        self.cancelled_by = ""
        self.parent: str | None = None
        self.gate: tuple[str, str] | None = None
        self.links: list[tuple[str, str]] = []
        self.defer = ""
        self.lease_until = ""
        self.archived = False


class Board:
    """The definitions of the rules, over all tasks that ever existed."""

    def __init__(self) -> None:
        self.works: dict[str, Work] = {}
        self.closed: set[str] = set()

    def live(self) -> list[str]:
        return [name for name, work in self.works.items() if not work.archived]

    def is_done(self, name: str) -> bool:
        return self.works[name].status == "done"

    def has_failed(self, name: str) -> bool:
        return self.works[name].status == "failed"

    def waits(self, work: Work) -> bool:
        """Whether one of its needs is not done, or a task whose failure it needs has not failed."""
        return not (all(map(self.is_done, work.needs)) and all(map(self.has_failed, work.failures)))

    def settle(self) -> None:
        """An open task is cancelled if a task whose failure it needs is done."""
        for name in self.live():
            work = self.works[name]
            done = [need for need in work.failures if self.is_done(need)]
            if done and work.status not in ENDED:
                work.status, work.cancelled_by = "cancelled", done[0]

    def reopen(self, name: str) -> None:
        """Reopen a task, and the tasks that its success has cancelled."""
        for work in (self.works[other] for other in self.live()):
            if name in work.failures and work.cancelled_by == name and work.status == "cancelled":
                work.status, work.cancelled_by = "pending", ""

    def children(self, name: str) -> list[str]:
        return [child for child, work in self.works.items() if work.parent == name]

    def open_parents(self, name: str) -> Iterator[str]:
        parent = self.works[name].parent
        while parent is not None and self.works[parent].status not in ENDED:
            yield parent
            parent = self.works[parent].parent

    def has_open_parts(self, name: str) -> bool:
        return any(self.works[child].status not in ENDED for child in self.children(name))

    def gate_is_closed(self, work: Work) -> bool:
        if work.gate is None:
            return False
        how, of = work.gate
        ends = [self.works[child].status for child in self.children(of)]
        if how == "any":
            return "done" not in ends
        return not ends or any(end not in ("done", "cancelled") for end in ends)

    def reasons(self, name: str, now: str) -> set[tuple[str, str | None]]:
        """All blockers of a task."""
        work = self.works[name]
        collected: set[tuple[str, str | None]] = set()
        if work.status == "blocked":
            collected.add(("blocked", None))
        if work.stream in self.closed:
            collected.add(("workstream", None))
        if work.defer > now:
            collected.add(("deferred", None))
        collected.update(("need", need) for need in work.needs if not self.is_done(need))
        collected.update(("failure", need) for need in work.failures if not self.has_failed(need))
        if self.gate_is_closed(work):
            assert work.gate is not None
            collected.add(("children", work.gate[1]))
        own_gate = self.gate_is_closed(work) and work.gate is not None and work.gate[1] == name
        if self.has_open_parts(name) and not own_gate:
            collected.add(("parts", None))
        for parent in self.open_parents(name):
            above = self.works[parent]
            if above.status == "blocked" or self.waits(above):
                collected.add(("parent", parent))
        return collected

    def is_idle(self, name: str, now: str) -> bool:
        """Whether no agent has it and it has not ended."""
        work = self.works[name]
        if work.status in ("assigned", "in_progress"):
            return work.lease_until <= now
        return work.status in ("pending", "blocked")

    def is_ready(self, name: str, now: str) -> bool:
        return self.is_idle(name, now) and not self.reasons(name, now)

    def keeps_from_claim(self, name: str, now: str) -> set[tuple[str, str | None]]:
        """Whether it blocks a claim by id, which is allowed before the parts of the task."""
        return self.reasons(name, now) - {("parts", None)}

    def can_be_completed(self, name: str) -> bool:
        work = self.works[name]
        waits = self.has_open_parts(name) or self.gate_is_closed(work)
        return not self.waits(work) and not waits

    # Would anything wait for itself?

    def awaited(self, name: str) -> set[str]:
        """The tasks that must be done before a task, independent of their statuses."""
        work = self.works[name]
        if work.archived:
            return set()
        collected = {*work.needs, *work.failures}
        for parent in self.parents(name):
            collected.update(self.works[parent].needs, self.works[parent].failures)
        if work.gate is not None:
            collected.update(self.children(work.gate[1]))
        return collected

    def parents(self, name: str) -> list[str]:
        """The parents above a task that may still be opened."""
        above: list[str] = []
        parent = self.works[name].parent
        while parent is not None and not self.works[parent].archived and parent not in above:
            above.append(parent)
            parent = self.works[parent].parent
        return above

    def has_circle(self) -> bool:
        names = self.live()
        if any(name in self.parents(name) for name in names):
            return True
        return any(name in self.reachable(name) for name in names)

    def reachable(self, name: str) -> set[str]:
        collected: set[str] = set()
        waiting = self.awaited(name)
        while waiting:
            current = waiting.pop()
            if current not in collected:
                collected.add(current)
                waiting |= self.awaited(current)
        return collected


picks = st.integers(0, 10_000)
many_picks = st.lists(picks, max_size=2)
streams = st.sampled_from(["build", "docs"])
delays = st.sampled_from(["", "30m", "2h", "1d"])


def replaced(names: list[str], old: str, new: str) -> list[str]:
    """The names, with one of them replaced."""
    return list(dict.fromkeys(new if name == old else name for name in names))


MODELLED = (*BLOCKING, *KINDS)
"""The links of this model."""


class WorkGraph(RuleBasedStateMachine):
    """A real board beside the definitions; after every command both must agree."""

    @initialize()
    def begin(self) -> None:
        self.clock = SettableClock(MORNING)
        self.store = new_store()
        self.orc = Orchestrator(self.store, now=self.clock)
        self.orc.workstreams.create("build", priority=2)
        self.orc.workstreams.create("docs", priority=1)
        self.board = Board()
        top = self.begin_with("build")
        self.begin_with("docs", parent=top)
        self.begin_with("build", parent=top)
        deploy = self.begin_with("build")
        self.begin_with("build", failures=[deploy])

    def begin_with(
        self, stream: str, parent: str | None = None, failures: Sequence[str] = ()
    ) -> str:
        """Add a first task; with a few tasks from the start, random choices meet more often."""
        task = self.orc.tasks.add(
            stream, title="x", priority=1, parent=parent, needs_failure_of=failures
        ).id
        self.board.works[task] = Work(stream, 1)
        self.board.works[task].failures = [*failures]
        self.board.works[task].parent = parent
        return task

    def now(self) -> str:
        return self.orc.engine.now()

    def pick(self, number: int, *, archived: bool = False) -> str:
        names = list(self.board.works) if archived else self.board.live()
        return names[number % len(names)]

    def has_tasks(self) -> bool:
        return bool(self.board.live())

    def moment(self, delay: str) -> str:
        return times.after(self.now(), times.duration(delay)) if delay else ""

    def change(self, name: str, command: Callable[[], Task], **fields: object) -> None:
        """Change the links of a task; this must be refused exactly if it closes a circle."""
        work = self.board.works[name]
        before = dict(vars(work))
        vars(work).update(fields)
        if self.board.has_circle():
            vars(work).update(before)
            with changes_nothing(self.orc):
                assert code_of(command) == "circle"
        else:
            command()
            self.board.settle()

    # Adding and linking

    @rule(
        stream=streams,
        priority=st.integers(0, 2),
        needs=many_picks,
        failures=st.lists(picks, max_size=1),
        parent=st.none() | picks,
        named=st.booleans(),
        gate=st.sampled_from(["", "all", "any", "all:", "any:"]),
        of=picks,
        delay=delays,
    )
    def add(
        self,
        stream: str,
        priority: int,
        needs: list[int],
        failures: list[int],
        parent: int | None,
        named: bool,
        gate: str,
        of: int,
        delay: str,
    ) -> None:
        if stream in self.board.closed or len(self.board.live()) >= FEW:
            return
        new = Work(stream, priority)
        if self.board.works:
            new.needs = list(dict.fromkeys(self.pick(n, archived=True) for n in needs))
            new.failures = [self.pick(n, archived=True) for n in failures]
        if self.has_tasks() and parent is not None:
            new.parent = self.pick(parent)
        new.defer = self.moment(delay)
        how, colon, _ = gate.partition(":")
        awaited = self.pick(of) if colon and self.has_tasks() else ""
        if how:
            new.gate = (how, awaited or "new")
        number = sum(work.parent == new.parent for work in self.board.works.values())
        name = f"part-{number}" if named and new.parent is not None else None
        if name is not None and f"{new.parent}.{name}" in self.board.works:
            name = None
        self.board.works["new"] = new
        circle = self.board.has_circle()
        del self.board.works["new"]

        def command() -> Task:
            return self.orc.tasks.add(
                stream,
                title="x",
                priority=priority,
                needs=new.needs,
                needs_failure_of=new.failures,
                parent=new.parent,
                name=name,
                waits_for=(f"{how}:{awaited}" if awaited else how) or None,
                defer=delay or None,
            )

        if circle:
            with changes_nothing(self.orc):
                assert code_of(command) == "circle"
            return
        task = command()
        assert task.id not in self.board.works, "an id was used a second time"
        if new.gate is not None and not awaited:
            new.gate = (how, task.id)
        self.board.works[task.id] = new
        self.board.settle()

    @precondition(has_tasks)
    @rule(task=picks, needs=many_picks)
    def edit_needs(self, task: int, needs: list[int]) -> None:
        name = self.pick(task)
        ids = list(dict.fromkeys(self.pick(n, archived=True) for n in needs))
        self.change(
            name, lambda: self.orc.tasks.edit(name, needs=ids, reason="planned anew"), needs=ids
        )

    @precondition(has_tasks)
    @rule(task=picks, parent=st.none() | picks)
    def move_below_another_parent(self, task: int, parent: int | None) -> None:
        name = self.pick(task)
        above = None if parent is None else self.pick(parent)
        self.change(
            name,
            lambda: self.orc.tasks.edit(name, parent=above or "", reason="planned anew"),
            parent=above,
        )

    @precondition(has_tasks)
    @rule(task=picks, of=st.none() | picks, how=st.sampled_from(["all", "any"]))
    def edit_gate(self, task: int, of: int | None, how: str) -> None:
        name = self.pick(task)
        gate = None if of is None else (how, self.pick(of))
        text = ":".join(gate) if gate else ""
        self.change(
            name,
            lambda: self.orc.tasks.edit(name, waits_for=text, reason="planned anew"),
            gate=gate,
        )

    @precondition(has_tasks)
    @rule(task=picks, needs=many_picks, parent=picks, of=picks)
    def edit_everything_at_once(self, task: int, needs: list[int], parent: int, of: int) -> None:
        name, above, gate = self.pick(task), self.pick(parent), self.pick(of)
        ids = list(dict.fromkeys(self.pick(n, archived=True) for n in needs))
        self.change(
            name,
            lambda: self.orc.tasks.edit(
                name, needs=ids, parent=above, waits_for=f"all:{gate}", reason="planned anew"
            ),
            needs=ids,
            parent=above,
            gate=("all", gate),
        )

    @precondition(has_tasks)
    @rule(task=picks, other=picks, kind=st.sampled_from(MODELLED), any=st.booleans())
    def link(self, task: int, other: int, kind: str, any: bool) -> None:
        name, to = self.pick(task), self.pick(other)
        work = self.board.works[name]
        any = any and kind == "waits-for"
        changed: dict[str, object]
        if kind == "needs":
            changed = {"needs": list(dict.fromkeys([*work.needs, to]))}
        elif kind == "needs-failure-of":
            changed = {"failures": list(dict.fromkeys([*work.failures, to]))}
        elif kind == "parent":
            changed = {"parent": to}
        elif kind == "waits-for":
            changed = {"gate": ("any" if any else "all", to)}
        elif name == to:
            assert code_of(lambda: self.orc.links.add(name, to, kind=kind)) == "usage"
            return
        else:
            changed = {"links": list(dict.fromkeys([*work.links, (kind, to)]))}
        self.change(
            name,
            lambda: self.orc.links.add(name, to, kind=kind, any=any, reason="planned anew"),
            **changed,
        )

    @precondition(has_tasks)
    @rule(task=picks, edge=picks)
    def unlink(self, task: int, edge: int) -> None:
        name = self.pick(task)
        work = self.board.works[name]
        edges = self.edges_of(name)
        if not edges:
            return
        kind, to = edges[edge % len(edges)]
        self.orc.links.remove(name, to, kind=kind, reason="planned anew")
        if kind == "needs":
            work.needs.remove(to)
        elif kind == "needs-failure-of":
            work.failures.remove(to)
        elif kind == "parent":
            work.parent = None
        elif kind == "waits-for":
            work.gate = None
        else:
            work.links.remove((kind, to))

    def edges_of(self, name: str) -> list[tuple[str, str]]:
        work = self.board.works[name]
        result = [("needs", need) for need in work.needs]
        result += [("needs-failure-of", need) for need in work.failures]
        result += [("parent", work.parent)] if work.parent is not None else []
        result += [("waits-for", work.gate[1])] if work.gate is not None else []
        return result + work.links

    # Steps

    @precondition(has_tasks)
    @rule(task=picks, lease=st.sampled_from(["1m", "1h"]))
    def claim(self, task: int, lease: str) -> None:
        name = self.pick(task)
        work = self.board.works[name]
        free = work.status == "assigned" or self.board.is_idle(name, self.now())
        if free and not self.board.keeps_from_claim(name, self.now()):
            work.lease_until = self.orc.tasks.claim(name, agent=AGENT, lease=lease).lease_until
            work.status = "in_progress"
        elif work.status == "in_progress" and work.lease_until > self.now():
            # A sign of life: it renews a lease of which half has passed, and changes nothing else.
            held = self.orc.tasks.get(name)
            again = self.orc.tasks.claim(name, agent=AGENT, lease=lease)
            assert replace(again, lease_until=held.lease_until, updated_at=held.updated_at) == held
        else:
            with changes_nothing(self.orc):
                code = code_of(lambda: self.orc.tasks.claim(name, agent=AGENT))
            refusals = ("not_ready", "workstream_closed", "illegal_step", "already_claimed")
            assert code in refusals

    @precondition(has_tasks)
    @rule(task=picks)
    def assign(self, task: int) -> None:
        name = self.pick(task)
        if self.board.works[name].status == "pending":
            self.orc.hooks.sling(name, AGENT, agent="boss")
            self.board.works[name].status = "assigned"

    @precondition(has_tasks)
    @rule(
        task=picks,
        step=st.sampled_from(
            ["complete", "complete", "fail", "release", "cancel", "block", "unblock", "reopen"]
        ),
    )
    def step(self, task: int, step: str) -> None:
        name = self.pick(task)
        work = self.board.works[name]
        leads = {
            "complete": (("in_progress",), "done"),
            "fail": (("in_progress",), "failed"),
            "release": (("assigned", "in_progress"), "pending"),
            "cancel": (("pending", "assigned", "in_progress", "blocked"), "cancelled"),
            "block": (("pending", "assigned", "in_progress"), "blocked"),
            "unblock": (("blocked",), "pending"),
            "reopen": (ENDED, "pending"),
        }
        before, after = leads[step]
        if step == "complete" and work.status in before and not self.board.can_be_completed(name):
            with changes_nothing(self.orc):
                assert code_of(lambda: self.orc.tasks.complete(name)) == "not_ready"
        elif (
            step == "reopen"
            and work.status in ENDED
            and any(map(self.board.is_done, work.failures))
        ):
            with changes_nothing(self.orc):
                assert code_of(lambda: self.orc.tasks.reopen(name)) == "needless"
        elif work.status in before:
            extra = {"reason": "no key"} if step in ("block", "cancel") else {}
            getattr(self.orc.tasks, step)(name, **extra)
            work.status = after
            if step == "reopen":
                self.board.reopen(name)
            self.board.settle()

    @precondition(has_tasks)
    @rule(task=picks)
    def reopen(self, task: int) -> None:
        """Reopen an ended task, more often than random choice would."""
        ended = [n for n in self.board.live() if self.board.works[n].status in ENDED]
        if ended:
            self.step(self.board.live().index(ended[task % len(ended)]), "reopen")

    @precondition(has_tasks)
    @rule(task=picks)
    def finish(self, task: int) -> None:
        """Claim and complete a task, so that many tasks get done."""
        ready = self.orc.links.ready()
        if ready:
            name = ready[task % len(ready)].id
            self.orc.tasks.claim(name, agent=AGENT)
            self.orc.tasks.complete(name, agent=AGENT)
            self.board.works[name].status = "done"
            self.board.settle()

    @precondition(has_tasks)
    @rule(task=picks)
    def archive(self, task: int) -> None:
        ended = [n for n in self.board.live() if self.board.works[n].status in ENDED]
        if ended:
            name = ended[task % len(ended)]
            self.orc.tasks.archive([name])
            self.board.works[name].archived = True

    @precondition(has_tasks)
    @rule(task=picks, other=picks, better=st.booleans())
    def take_the_place_of_a_task(self, task: int, other: int, better: bool) -> None:
        name, to = self.pick(task), self.pick(other)
        work = self.board.works[name]
        command = self.orc.links.supersede if better else self.orc.links.duplicate
        if name == to or work.status in ENDED:
            with changes_nothing(self.orc), suppress(OrchestratorError):
                command(name, to)
            return
        works = [self.board.works[n] for n in self.board.live()]
        before = [(work, work.needs, work.failures) for work in works]
        for work_there, needs, failures in before:
            work_there.needs = replaced(needs, name, to)
            work_there.failures = replaced(failures, name, to)
        if self.board.has_circle():
            for work_there, needs, failures in before:
                work_there.needs, work_there.failures = needs, failures
            with changes_nothing(self.orc):
                assert code_of(lambda: command(name, to)) == "circle"
            return
        assert command(name, to).id == name
        work.status = "cancelled"
        holder, link = (to, ("supersedes", name)) if better else (name, ("duplicates", to))
        links = self.board.works[holder].links
        self.board.works[holder].links = list(dict.fromkeys([*links, link]))
        self.board.settle()

    # Time, workstreams, processes

    @precondition(has_tasks)
    @rule(task=picks, delay=delays)
    def defer(self, task: int, delay: str) -> None:
        name = self.pick(task)
        self.board.works[name].defer = self.moment(delay)
        self.orc.tasks.edit(name, defer=delay)

    @rule(seconds=st.sampled_from([1, 59, 61, 1800, 7200, 90_000, -60, -5000]))
    def the_clock_jumps(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule(stream=streams)
    def close_or_reopen_a_workstream(self, stream: str) -> None:
        if stream in self.board.closed:
            self.orc.workstreams.reopen(stream)
            self.board.closed.remove(stream)
        else:
            self.orc.workstreams.close(stream)
            self.board.closed.add(stream)

    @rule()
    def another_process_opens_the_board(self) -> None:
        self.orc = Orchestrator(self.store, now=self.clock)

    # What must hold

    def follow_leases(self) -> None:
        """Copy the ends of leases from the board: their renewal is not a rule of the graph."""
        for name in self.board.live():
            task = self.orc.tasks.get(name)
            self.board.works[name].lease_until = task.lease_until
            assert task.status == self.board.works[name].status

    @invariant()
    def ready_is_what_the_definition_says(self) -> None:
        self.follow_leases()
        now, works = self.now(), self.board.works
        ready = [task.id for task in self.orc.links.ready()]
        assert set(ready) == {name for name in self.board.live() if self.board.is_ready(name, now)}
        assert len(ready) == len(set(ready))
        rank = {"docs": 1, "build": 2}
        born = list(works)
        assert ready == sorted(
            ready, key=lambda n: (rank[works[n].stream], works[n].priority, born.index(n))
        )
        for stream in rank:
            mine = [name for name in ready if works[name].stream == stream]
            assert [task.id for task in self.orc.links.ready(stream)] == mine
        assert {task.id for task in self.orc.tasks.all(ready=True)} == set(ready)

    @invariant()
    def blocked_is_every_other_idle_task_with_all_its_reasons(self) -> None:
        self.follow_leases()
        now = self.now()
        collected = {
            entry.task.id: sorted((by.kind, by.task or "") for by in entry.by)
            for entry in self.orc.links.blocked()
        }
        assert collected == {
            name: sorted((kind, task or "") for kind, task in self.board.reasons(name, now))
            for name in self.board.live()
            if self.board.is_idle(name, now) and not self.board.is_ready(name, now)
        }
        assert all(collected.values())

    @invariant()
    def the_graph_has_every_link(self) -> None:
        graph = self.orc.links.graph(ended=True)
        live = set(self.board.live())
        assert {task.id for task in graph.tasks} == live
        assert sorted((e.task, e.kind, e.other) for e in graph.edges) == sorted(
            (name, kind, to) for name in live for kind, to in self.edges_of(name) if to in live
        )

    @invariant()
    def the_state_is_the_fold_of_the_log(self) -> None:
        state = self.orc.engine.read()
        assert as_text(state, self.orc.engine.position) == as_text(*fold(self.store))
        check_derived(state)


TestWorkGraph = WorkGraph.TestCase
TestWorkGraph.settings = settings(stateful_step_count=40)


# The rules one by one


def done(orc: Orchestrator, *tasks: str) -> None:
    for task in tasks:
        orc.tasks.claim(task, agent=AGENT)
        orc.tasks.complete(task, agent=AGENT)


def ready(orc: Orchestrator) -> list[str]:
    return [task.id for task in orc.links.ready()]


def reasons(orc: Orchestrator, task: str) -> list[str]:
    return [blocker.says for blocker in orc.links.blockers(task)]


def test_a_need_keeps_back_until_it_is_done(orc: Orchestrator):
    need = add(orc)
    task = add(orc, needs=[need])
    assert ready(orc) == [need]
    assert reasons(orc, task) == [f"needs {need}, which is ready"]
    done(orc, need)
    assert ready(orc) == [task]


def test_what_keeps_a_parent_back_reaches_all_below_it(orc: Orchestrator):
    need = add(orc)
    top = add(orc, needs=[need])
    low = add(orc, parent=add(orc, parent=top))
    assert ready(orc) == [need]
    assert reasons(orc, low) == [f"its parent {top} waits for {need}"]
    done(orc, need)
    assert low in ready(orc)
    orc.tasks.block(top, reason="no key\nat all")
    assert ready(orc) == []
    assert reasons(orc, low) == [f"its parent {top} is blocked: no key at all"]
    orc.tasks.unblock(top)
    assert low in ready(orc)


@pytest.mark.parametrize("end", ["complete", "cancel"])
def test_a_parent_that_has_ended_keeps_nothing_back(orc: Orchestrator, end: str):
    top = add(orc)
    middle = add(orc, parent=top)
    low = add(orc, parent=middle)
    if end == "complete":
        orc.tasks.complete(middle, force=True, reason="we know")
    else:
        orc.tasks.cancel(middle)
    orc.tasks.block(top, reason="no key")
    assert ready(orc) == [low]
    orc.tasks.reopen(middle)
    assert ready(orc) == []


def test_a_parent_that_is_put_off_or_waits_for_its_parts_keeps_none_of_them_back(
    orc: Orchestrator,
):
    top = add(orc, waits_for="all", defer="3d")
    low = add(orc, parent=top)
    assert ready(orc) == [low]


def test_a_gate_for_all_children_opens_when_every_wanted_one_is_done(orc: Orchestrator):
    top = add(orc, waits_for="all")
    assert reasons(orc, top) == [f"waits for children of {top}, which has none yet"]
    first, second, third = (add(orc, parent=top) for _ in range(3))
    done(orc, first)
    assert reasons(orc, top) == [f"waits for the children of {top}: 1 of 3 are done"]
    orc.tasks.cancel(second)
    assert top not in ready(orc)
    done(orc, third)
    assert ready(orc) == [top]
    add(orc, parent=top)
    assert top not in ready(orc)


def test_a_gate_for_any_child_opens_with_the_first_and_closes_when_that_is_reopened(
    orc: Orchestrator,
):
    top = add(orc)
    first, second = add(orc, parent=top), add(orc, parent=top)
    waiter = add(orc, waits_for=f"any:{top}")
    assert reasons(orc, waiter) == [f"waits for one of the children of {top}: none of 2 is done"]
    done(orc, first)
    assert waiter in ready(orc)
    orc.tasks.reopen(first)
    assert waiter not in ready(orc)
    orc.tasks.cancel(first)
    orc.tasks.cancel(second)
    assert reasons(orc, waiter) == [f"waits for children of {top}, which are all cancelled"]


def test_a_failed_child_keeps_the_gate_closed(orc: Orchestrator):
    top = add(orc, waits_for="all")
    low = add(orc, parent=top)
    orc.tasks.claim(low, agent=AGENT)
    orc.tasks.fail(low, agent=AGENT)
    assert ready(orc) == []


def test_to_archive_a_task_opens_and_closes_no_gate(orc: Orchestrator):
    top = add(orc)
    first, second = add(orc, parent=top), add(orc, parent=top)
    waiter = add(orc, waits_for=f"all:{top}")
    done(orc, first)
    orc.tasks.complete(top, force=True, reason="we know")
    orc.tasks.archive([first, top])
    assert reasons(orc, waiter) == [f"waits for the children of {top}: 1 of 2 are done"]
    done(orc, second)
    assert ready(orc) == [waiter]
    orc.tasks.reopen(second)
    assert waiter not in ready(orc)
    orc.tasks.edit(second, parent="")
    assert waiter in ready(orc)


@pytest.mark.parametrize("kind", KINDS)
def test_other_links_never_keep_a_task_back(orc: Orchestrator, kind: str):
    other = add(orc)
    task = add(orc)
    orc.links.add(task, other, kind=kind)
    orc.links.add(other, task, kind=kind)
    assert ready(orc) == [other, task]
    assert [edge.task for edge in orc.links.linked(task)] == [other]


def test_a_deferred_task_is_given_to_no_agent_before_its_time(
    orc: Orchestrator, clock: SettableClock
):
    task = add(orc, defer="2h")
    assert reasons(orc, task) == ["put off until 08:13"]
    assert orc.tasks.next(agent=AGENT) is None
    assert code_of(lambda: orc.tasks.claim(task, agent=AGENT)) == "not_ready"
    clock.advance(7200)
    assert ready(orc) == [task]


@pytest.mark.parametrize("held", ["claim", "sling"])
def test_a_task_that_lapses_while_it_is_put_off_can_be_taken_when_its_time_has_come(
    orc: Orchestrator, clock: SettableClock, held: str
):
    task = add(orc)
    if held == "claim":
        orc.tasks.claim(task, agent=AGENT)
    else:
        orc.hooks.sling(task, AGENT, agent="boss")
    orc.tasks.edit(task, defer="3d")
    assert ready(orc) == []
    clock.advance(2 * 86400)
    assert ready(orc) == []
    clock.advance(86400)
    assert ready(orc) == [task]


@pytest.mark.parametrize("time", ["soon", "9999-12-31T23:59:59-10:00", "2026-13-01"])
def test_a_time_that_is_none_is_refused(orc: Orchestrator, time: str):
    task = add(orc)
    with changes_nothing(orc):
        assert code_of(lambda: orc.tasks.edit(task, defer=time)) == "usage"
        assert code_of(lambda: orc.tasks.edit(task, due=time)) == "usage"


def test_a_closed_workstream_has_nothing_ready_and_is_named_as_the_reason(orc: Orchestrator):
    task = add(orc)
    orc.workstreams.close("build")
    assert ready(orc) == []
    [entry] = orc.links.blocked("build")
    assert [(by.kind, by.says) for by in entry.by] == [
        ("workstream", "its workstream build is closed")
    ]
    assert entry.task.id == task


def test_who_has_a_task_is_not_a_reason_until_the_lease_has_ended(
    orc: Orchestrator, clock: SettableClock
):
    need, task = add(orc), add(orc)
    orc.tasks.claim(task, agent=AGENT, lease="1m")
    orc.tasks.edit(task, needs=[need])
    assert orc.links.blocked() == []
    clock.advance(60)
    [entry] = orc.links.blocked()
    assert entry.task.id == task


def test_a_long_reason_is_cut_in_sentences_about_other_tasks(orc: Orchestrator):
    top = add(orc)
    low = add(orc, parent=top)
    orc.tasks.block(top, reason="x" * 100_000)
    [says] = reasons(orc, low)
    assert len(says) < 300


# Circles


def circle_of(orc: Orchestrator, call: Callable[[], object]) -> list[str]:
    with changes_nothing(orc), pytest.raises(OrchestratorError) as caught:
        call()
    assert caught.value.code == "circle"
    assert " -> ".join(caught.value.details["circle"]) in caught.value.message
    return caught.value.details["circle"]


@pytest.mark.parametrize("kind", BLOCKING)
def test_a_task_cannot_need_belong_to_or_await_itself_by_another(orc: Orchestrator, kind: str):
    task = add(orc)
    if kind == "waits-for":
        low = add(orc, parent=task)
        assert circle_of(orc, lambda: orc.links.add(low, task, kind=kind)) == [low, low]
    else:
        assert circle_of(orc, lambda: orc.links.add(task, task, kind=kind)) == [task, task]


def test_a_circle_of_needs_is_refused_with_its_tasks_in_order(orc: Orchestrator):
    first = add(orc)
    second = add(orc, needs=[first])
    third = add(orc, needs=[second])
    assert circle_of(orc, lambda: orc.links.add(first, third)) == [first, third, second, first]


def test_a_circle_of_parents_is_refused(orc: Orchestrator):
    top = add(orc)
    low = add(orc, parent=add(orc, parent=top))
    assert circle_of(orc, lambda: orc.tasks.edit(top, parent=low))[0] == top


def test_a_parent_cannot_need_its_own_part(orc: Orchestrator):
    top = add(orc)
    low = add(orc, parent=add(orc, parent=top))
    assert circle_of(orc, lambda: orc.links.add(top, low)) == [top, low, top]


def test_a_part_cannot_need_the_parent_that_waits_for_it(orc: Orchestrator):
    top = add(orc, waits_for="all")
    low = add(orc, parent=top)
    assert circle_of(orc, lambda: orc.links.add(low, top)) == [low, top, low]
    orc.tasks.edit(top, waits_for="")
    orc.links.add(low, top)


def test_a_new_part_cannot_need_what_waits_for_the_parts(orc: Orchestrator):
    top = add(orc)
    after = add(orc, waits_for=f"all:{top}")
    last = add(orc, needs=[after])
    circle_of(orc, lambda: add(orc, parent=top, needs=[last]))


def test_a_circle_through_a_task_that_has_ended_is_refused_because_it_may_be_reopened(
    orc: Orchestrator,
):
    first = add(orc)
    second = add(orc, needs=[first])
    done(orc, first, second)
    circle_of(orc, lambda: orc.links.add(first, second))
    orc.tasks.archive([second])
    orc.links.add(first, second)


def test_an_edit_is_judged_by_what_comes_out_of_it(orc: Orchestrator):
    """Needs that would close a circle below the old parent close none below no parent."""
    top = add(orc)
    low = add(orc, parent=top)
    other = add(orc)
    orc.links.add(top, other)
    after = add(orc, needs=[low])
    circle_of(orc, lambda: orc.tasks.edit(other, parent=low, needs=[]))
    circle_of(orc, lambda: orc.tasks.edit(other, needs=[after]))
    circle_of(orc, lambda: orc.tasks.edit(low, needs=[top, after]))
    assert orc.tasks.edit(low, parent="", needs=[top]).parent is None


few = st.integers(0, 4)
moves = st.tuples(few, st.sampled_from(BLOCKING), st.none() | few)
"""Which of five tasks gets what kind of link to which of them; to None: it loses those of that kind."""


@settings(max_examples=300)
@given(st.lists(moves, max_size=14))
def test_links_are_refused_exactly_when_a_search_of_the_whole_graph_finds_a_circle(
    changes: list[tuple[int, str, int | None]],
):
    orc, board = Orchestrator(new_store()), Board()
    orc.workstreams.create("build")
    with orc.transaction():
        names = [add(orc) for _ in range(5)]
    for name in names:
        board.works[name] = Work("build", 5)
    for number, kind, to in changes:
        name, other = names[number], "" if to is None else names[to]
        work = board.works[name]
        before = dict(vars(work))
        if kind == "needs":
            work.needs = list(dict.fromkeys([*work.needs, other])) if other else []
            fields: dict[str, object] = {"needs": work.needs}
        elif kind == "parent":
            work.parent = other or None
            fields = {"parent": other}
        else:
            work.gate = ("all", other) if other else None
            fields = {"waits_for": f"all:{other}" if other else ""}
        refusal = None
        try:
            orc.tasks.edit(name, **fields)  # type: ignore[arg-type]
        except OrchestratorError as error:
            refusal = error.code
        assert refusal == ("circle" if board.has_circle() else None)
        if refusal:
            vars(work).update(before)


# Links


def test_a_link_that_is_there_already_is_not_recorded_again(orc: Orchestrator):
    first, second = add(orc), add(orc)
    for kind in ("needs", "related"):
        orc.links.add(first, second, kind=kind)
        with changes_nothing(orc):
            assert orc.links.add(first, second, kind=kind).id == first


def test_of_several_links_between_two_tasks_the_kind_must_be_named_to_remove_one(
    orc: Orchestrator,
):
    top = add(orc)
    low = add(orc, parent=top)
    orc.links.add(low, top, kind="related")
    with changes_nothing(orc):
        assert code_of(lambda: orc.links.remove(low, top)) == "usage"
        assert code_of(lambda: orc.links.remove(low, top, kind="needs")) == "link_not_found"
    assert orc.links.remove(low, top, kind="related").parent == top
    assert orc.links.remove(low, top).parent is None


def test_a_kind_that_there_is_not_is_refused(orc: Orchestrator):
    first, second = add(orc), add(orc)
    with changes_nothing(orc):
        assert code_of(lambda: orc.links.add(first, second, kind="likes")) == "usage"
        assert code_of(lambda: orc.links.add(first, second, any=True)) == "usage"


@pytest.mark.parametrize("step", ["duplicate", "supersede"])
def test_who_needed_a_task_that_is_replaced_needs_the_other_one(orc: Orchestrator, step: str):
    old, new = add(orc), add(orc)
    after = add(orc, needs=[old, new])
    replaced = getattr(orc.links, step)(old, new, reason="the same words")
    assert replaced.status == "cancelled"
    assert replaced.reason.endswith(f" {new}: the same words")
    assert orc.tasks.get(after).needs == (new,)
    done(orc, new)
    assert ready(orc) == [after]


def test_a_task_is_not_replaced_by_one_that_waits_for_it(orc: Orchestrator):
    old = add(orc)
    new = add(orc, needs=[old])
    circle_of(orc, lambda: orc.links.duplicate(old, new))
    with changes_nothing(orc):
        assert code_of(lambda: orc.links.duplicate(old, old)) == "usage"


def test_the_id_of_a_child_is_never_used_again(orc: Orchestrator):
    top = add(orc)
    assert add(orc, parent=top) == f"{top}.1"
    named = add(orc, parent=top, name="docs")
    orc.tasks.edit(named, parent="")
    orc.tasks.cancel(f"{top}.1")
    orc.tasks.archive([f"{top}.1"])
    assert add(orc, parent=top) == f"{top}.2"
    with changes_nothing(orc):
        assert code_of(lambda: add(orc, parent=top, name="docs")) == "task_exists"
        assert code_of(lambda: add(orc, parent=top, name="1")) == "task_exists"


def test_progress_counts_archived_children(orc: Orchestrator):
    top = add(orc)
    first, second = add(orc, parent=top), add(orc, parent=top)
    done(orc, first)
    orc.tasks.archive([first])
    progress = orc.tasks.get(top).progress
    assert progress is not None
    assert (progress.total, progress.done) == (2, 1)
    orc.tasks.edit(second, parent="")
    assert orc.tasks.get(top).progress == (progress.__class__)(1, 1, 0)


def test_facts_of_an_imported_record_about_other_tasks_are_not_trusted(orc: Orchestrator):
    record = orc.tasks.get(add(orc))
    strange = replace(record, id="other", held=True, waiting=True, open_needs=3)
    state = orc.engine.read()
    with orc.transaction():
        tx = orc.engine._open
        assert tx is not None
        tx.record(TaskImported(record=replace(strange, progress=Progress(9, 9, 9))))
    state = orc.engine.read()
    assert state.tasks["other"].is_clear
    assert state.tasks["other"].progress is None


# Views


def test_stale_is_open_and_untouched_for_so_many_days_longest_first(
    orc: Orchestrator, clock: SettableClock
):
    first, second, ended = add(orc), add(orc), add(orc)
    done(orc, ended)
    clock.advance(86400)
    orc.tasks.note(first, "still wanted")
    clock.advance(86400)
    assert [task.id for task in orc.links.stale(2)] == [second]
    assert [task.id for task in orc.links.stale(0.5)] == [second, first]
    assert code_of(lambda: orc.links.stale(-1)) == "usage"


def test_filters_of_a_listing_are_all_met(orc: Orchestrator, clock: SettableClock):
    first = add(orc, labels=["ui", "urgent"], priority=1, due="1d")
    second = add(orc, labels=["ui"], parent=first)
    third = add(orc, labels=["db"])

    def listed(**filters: object) -> list[str]:
        return [task.id for task in orc.tasks.all(**filters)]  # type: ignore[arg-type]

    assert listed(labels=["ui", "urgent"]) == [first]
    assert listed(any_labels=["urgent", "db"]) == [first, third]
    assert listed(labels=["ui"], any_labels=["urgent", "db"]) == [first]
    assert listed(parent=first) == [second]
    assert listed(priority=1) == [first]
    assert listed(overdue=True) == []
    clock.advance(86400)
    assert listed(overdue=True) == [first]
    done(orc, second, first)
    assert listed(overdue=True) == []


def test_commits_are_linked_beside_those_that_are(orc: Orchestrator):
    task = add(orc)
    orc.tasks.edit(task, commits=["ABCDEF12"])
    assert orc.tasks.edit(task, commits=["abcdef12", "0" * 64]).commits == ("abcdef12", "0" * 64)
    with changes_nothing(orc):
        assert code_of(lambda: orc.tasks.edit(task, commits=["HEAD; rm"])) == "usage"


def test_a_tree_opens_each_task_once_and_may_be_as_deep_as_the_board(orc: Orchestrator):
    with orc.transaction():
        first = last = add(orc)
        for _ in range(2000):
            last = add(orc, needs=[last])
        both = add(orc, needs=[last, first])
    down = list(orc.links.tree(both))
    assert [branch.depth for branch in down] == [*range(2002), 1]
    assert [branch.repeated for branch in down[-1:]] == [False]
    assert len(list(orc.links.tree(first, up=True))) == 2003
    assert next(iter(orc.links.tree(both))).id == both


def test_a_tree_shows_what_a_parent_waits_for_and_whom_it_keeps_back(orc: Orchestrator):
    need = add(orc)
    top = add(orc, needs=[need])
    low = add(orc, parent=top)

    def shown(task: str, *, up: bool) -> list[tuple[int, str, str]]:
        return [(row.depth, row.kind, row.id) for row in orc.links.tree(task, up=up)]

    assert shown(low, up=False) == [(0, "", low), (1, f"needed by its parent {top}", need)]
    assert shown(need, up=True) == [
        (0, "", need),
        (1, "needs it", top),
        (2, "child that it keeps back", low),
    ]


def test_a_graph_of_one_task_is_all_that_is_connected_with_it(orc: Orchestrator):
    first, second, third, alone = (add(orc) for _ in range(4))
    orc.links.add(second, first, kind="related")
    orc.links.add(second, third)
    graph = orc.links.graph(task=first)
    assert [task.id for task in graph.tasks] == [first, second, third]
    assert len(graph.edges) == 2
    assert [task.id for task in orc.links.graph(task=alone).tasks] == [alone]
    orc.tasks.cancel(second)
    assert [task.id for task in orc.links.graph("build").tasks] == [first, third, alone]
    assert len(orc.links.graph(ended=True).edges) == 2


def test_what_links_to_a_task_is_kept_in_step(orc: Orchestrator):
    """Links that were added, removed and edited, also of tasks that ended, were archived and restored."""
    first, second, third, hub = (add(orc) for _ in range(4))

    def linked() -> list[tuple[str, str]]:
        return [(edge.task, edge.kind) for edge in orc.links.linked(hub)]

    for task in (third, first):
        orc.links.add(task, hub, kind="related")
    orc.links.add(first, hub, kind="caused-by")
    orc.links.add(second, first, kind="related")
    assert linked() == [(first, "related"), (first, "caused-by"), (third, "related")]
    orc.links.remove(first, hub, kind="related")
    assert linked() == [(first, "caused-by"), (third, "related")]
    orc.tasks.delete([third])
    assert linked() == [(first, "caused-by")]
    orc.links.remove(first, hub)
    assert linked() == []
    assert hub not in orc.engine.read().tasks.linked_by
