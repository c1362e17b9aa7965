"""The work graph: what keeps a task back and what does not, by rules with names and by random commands."""

from collections.abc import Callable, Iterator

from boards import MORNING, SettableClock, as_text, changes_nothing, check_derived, code_of, fold
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from orchestrator import Orchestrator
from orchestrator.core import clock as times
from orchestrator.domain.links import BLOCKING, KINDS
from orchestrator.domain.task_events import ENDED, Task
from orchestrator.stores.memory import MemoryStore

AGENT = "ann"


# Random commands against the definitions of the issue


class Work:
    """What is known of a task: only what commands said, nothing that follows from it."""

    def __init__(self, stream: str, priority: int) -> None:
        self.stream = stream
        self.priority = priority
        self.status = "pending"
        self.needs: list[str] = []
        self.parent: str | None = None
        self.gate: tuple[str, str] | None = None
        self.links: list[tuple[str, str]] = []
        self.defer = ""
        self.lease_until = ""
        self.archived = False


class Board:
    """The definitions, written from the words of the issue, over all tasks that ever were."""

    def __init__(self) -> None:
        self.works: dict[str, Work] = {}
        self.closed: set[str] = set()

    def live(self) -> list[str]:
        return [name for name, work in self.works.items() if not work.archived]

    def is_done(self, name: str) -> bool:
        return self.works[name].status == "done"

    def children(self, name: str) -> list[str]:
        return [child for child, work in self.works.items() if work.parent == name]

    def open_parents(self, name: str) -> Iterator[str]:
        parent = self.works[name].parent
        while parent is not None and self.works[parent].status not in ENDED:
            yield parent
            parent = self.works[parent].parent

    def gate_is_closed(self, work: Work) -> bool:
        if work.gate is None:
            return False
        how, of = work.gate
        ends = [self.works[child].status for child in self.children(of)]
        if how == "any":
            return "done" not in ends
        return not ends or any(end not in ("done", "cancelled") for end in ends)

    def reasons(self, name: str, now: str) -> set[tuple[str, str | None]]:
        """Everything that keeps a task back."""
        work = self.works[name]
        found: set[tuple[str, str | None]] = set()
        if work.status == "blocked":
            found.add(("blocked", None))
        if work.stream in self.closed:
            found.add(("workstream", None))
        if work.defer > now:
            found.add(("deferred", None))
        found.update(("need", need) for need in work.needs if not self.is_done(need))
        if self.gate_is_closed(work):
            assert work.gate is not None
            found.add(("children", work.gate[1]))
        for parent in self.open_parents(name):
            above = self.works[parent]
            if above.status == "blocked" or not all(map(self.is_done, above.needs)):
                found.add(("parent", parent))
        return found

    def is_idle(self, name: str, now: str) -> bool:
        """Nobody has it, and it is not over."""
        work = self.works[name]
        if work.status in ("assigned", "in_progress"):
            return work.lease_until <= now
        return work.status in ("pending", "blocked")

    def is_ready(self, name: str, now: str) -> bool:
        return self.is_idle(name, now) and not self.reasons(name, now)

    # Would anything wait for itself?

    def awaited(self, name: str) -> set[str]:
        """What must be done before a task can be, whatever the statuses are now."""
        work = self.works[name]
        if work.archived:
            return set()
        found = set(work.needs)
        for parent in self.parents(name):
            found.update(self.works[parent].needs)
        if work.gate is not None:
            found.update(self.children(work.gate[1]))
        return found

    def parents(self, name: str) -> list[str]:
        """The parents above a task that can still be open one day."""
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
        found: set[str] = set()
        waiting = self.awaited(name)
        while waiting:
            current = waiting.pop()
            if current not in found:
                found.add(current)
                waiting |= self.awaited(current)
        return found


picks = st.integers(0, 10_000)
many_picks = st.lists(picks, max_size=2)
streams = st.sampled_from(["build", "docs"])
delays = st.sampled_from(["", "30m", "2h", "1d"])


class WorkGraph(RuleBasedStateMachine):
    """A real board beside the definitions; after every command they must say the same."""

    @initialize()
    def begin(self) -> None:
        self.clock = SettableClock(MORNING)
        self.store = MemoryStore()
        self.orc = Orchestrator(self.store, now=self.clock)
        self.orc.workstreams.create("build", priority=2)
        self.orc.workstreams.create("docs", priority=1)
        self.board = Board()

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
        """Give a task other links; refused exactly if something would wait for itself then."""
        work = self.board.works[name]
        before = dict(vars(work))
        vars(work).update(fields)
        if self.board.has_circle():
            vars(work).update(before)
            with changes_nothing(self.orc):
                assert code_of(command) == "circle"
        else:
            command()

    # Adding and linking

    @rule(
        stream=streams,
        priority=st.integers(0, 2),
        needs=many_picks,
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
        parent: int | None,
        named: bool,
        gate: str,
        of: int,
        delay: str,
    ) -> None:
        if stream in self.board.closed:
            return
        new = Work(stream, priority)
        if self.board.works:
            new.needs = list(dict.fromkeys(self.pick(n, archived=True) for n in needs))
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

    @precondition(has_tasks)
    @rule(task=picks, needs=many_picks)
    def edit_needs(self, task: int, needs: list[int]) -> None:
        name = self.pick(task)
        ids = list(dict.fromkeys(self.pick(n, archived=True) for n in needs))
        self.change(name, lambda: self.orc.tasks.edit(name, needs=ids), needs=ids)

    @precondition(has_tasks)
    @rule(task=picks, parent=st.none() | picks)
    def move_below_another_parent(self, task: int, parent: int | None) -> None:
        name = self.pick(task)
        above = None if parent is None else self.pick(parent)
        self.change(name, lambda: self.orc.tasks.edit(name, parent=above or ""), parent=above)

    @precondition(has_tasks)
    @rule(task=picks, of=st.none() | picks, how=st.sampled_from(["all", "any"]))
    def edit_gate(self, task: int, of: int | None, how: str) -> None:
        name = self.pick(task)
        gate = None if of is None else (how, self.pick(of))
        text = ":".join(gate) if gate else ""
        self.change(name, lambda: self.orc.tasks.edit(name, waits_for=text), gate=gate)

    @precondition(has_tasks)
    @rule(task=picks, needs=many_picks, parent=picks, of=picks)
    def edit_everything_at_once(self, task: int, needs: list[int], parent: int, of: int) -> None:
        name, above, gate = self.pick(task), self.pick(parent), self.pick(of)
        ids = list(dict.fromkeys(self.pick(n, archived=True) for n in needs))
        self.change(
            name,
            lambda: self.orc.tasks.edit(name, needs=ids, parent=above, waits_for=f"all:{gate}"),
            needs=ids,
            parent=above,
            gate=("all", gate),
        )

    @precondition(has_tasks)
    @rule(task=picks, other=picks, kind=st.sampled_from((*BLOCKING, *KINDS)), any=st.booleans())
    def link(self, task: int, other: int, kind: str, any: bool) -> None:
        name, to = self.pick(task), self.pick(other)
        work = self.board.works[name]
        any = any and kind == "waits-for"
        changed: dict[str, object]
        if kind == "needs":
            changed = {"needs": list(dict.fromkeys([*work.needs, to]))}
        elif kind == "parent":
            changed = {"parent": to}
        elif kind == "waits-for":
            changed = {"gate": ("any" if any else "all", to)}
        elif name == to:
            assert code_of(lambda: self.orc.links.add(name, to, kind=kind)) == "usage"
            return
        else:
            changed = {"links": list(dict.fromkeys([*work.links, (kind, to)]))}
        self.change(name, lambda: self.orc.links.add(name, to, kind=kind, any=any), **changed)

    @precondition(has_tasks)
    @rule(task=picks, edge=picks)
    def unlink(self, task: int, edge: int) -> None:
        name = self.pick(task)
        work = self.board.works[name]
        edges = self.edges_of(name)
        if not edges:
            return
        kind, to = edges[edge % len(edges)]
        self.orc.links.remove(name, to, kind=kind)
        if kind == "needs":
            work.needs.remove(to)
        elif kind == "parent":
            work.parent = None
        elif kind == "waits-for":
            work.gate = None
        else:
            work.links.remove((kind, to))

    def edges_of(self, name: str) -> list[tuple[str, str]]:
        work = self.board.works[name]
        found = [("needs", need) for need in work.needs]
        found += [("parent", work.parent)] if work.parent is not None else []
        found += [("waits-for", work.gate[1])] if work.gate is not None else []
        return found + work.links

    # Steps

    @precondition(has_tasks)
    @rule(task=picks, lease=st.sampled_from(["1m", "1h"]))
    def claim(self, task: int, lease: str) -> None:
        name = self.pick(task)
        work = self.board.works[name]
        mine = work.status == "assigned" and not self.board.reasons(name, self.now())
        if self.board.is_ready(name, self.now()) or mine:
            work.lease_until = self.orc.tasks.claim(name, agent=AGENT, lease=lease).lease_until
            work.status = "in_progress"
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
        if work.status in before:
            extra = {"reason": "no key"} if step == "block" else {}
            getattr(self.orc.tasks, step)(name, **extra)
            work.status = after

    @precondition(has_tasks)
    @rule(task=picks)
    def finish(self, task: int) -> None:
        """The usual way, so that many tasks get done."""
        ready = self.orc.links.ready()
        if ready:
            name = ready[task % len(ready)].id
            self.orc.tasks.claim(name, agent=AGENT)
            self.orc.tasks.complete(name, agent=AGENT)
            self.board.works[name].status = "done"

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
            with changes_nothing(self.orc):
                code_of(lambda: command(name, to))
            return
        dependants = [n for n in self.board.live() if name in self.board.works[n].needs]
        before = {n: self.board.works[n].needs for n in dependants}
        for dependant in dependants:
            changed = [to if need == name else need for need in before[dependant]]
            self.board.works[dependant].needs = list(dict.fromkeys(changed))
        if self.board.has_circle():
            for dependant, needs in before.items():
                self.board.works[dependant].needs = needs
            with changes_nothing(self.orc):
                assert code_of(lambda: command(name, to)) == "circle"
            return
        assert command(name, to).id == name
        work.status = "cancelled"
        holder, link = (to, ("supersedes", name)) if better else (name, ("duplicates", to))
        links = self.board.works[holder].links
        self.board.works[holder].links = list(dict.fromkeys([*links, link]))

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
        """A sign of life renews what an agent has; how long is no matter of the graph."""
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
        found = {
            entry.task.id: sorted((by.kind, by.task or "") for by in entry.by)
            for entry in self.orc.links.blocked()
        }
        assert found == {
            name: sorted((kind, task or "") for kind, task in self.board.reasons(name, now))
            for name in self.board.live()
            if self.board.is_idle(name, now) and not self.board.is_ready(name, now)
        }
        assert all(found.values())

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
        assert as_text(state, self.orc.engine._position) == as_text(*fold(self.store))
        check_derived(state)


TestWorkGraph = WorkGraph.TestCase
TestWorkGraph.settings = settings(stateful_step_count=40)
