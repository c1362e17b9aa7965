"""A board that several machines share: where agents are, what is local, and where work is completed."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from boards import SettableClock

from orchestrator import Orchestrator
from orchestrator.core.errors import BadName, Refused
from orchestrator.core.machine import this_machine
from orchestrator.domain.state import State
from orchestrator.stores.memory import MemoryStore

On = Callable[[str], Orchestrator]


@pytest.fixture
def on(clock: SettableClock) -> On:
    """Opens one board on a machine."""
    store = MemoryStore()

    def opened(machine: str) -> Orchestrator:
        return Orchestrator(store, now=clock, machine=machine)

    opened("mill").workstreams.create("w")
    return opened


@pytest.fixture
def local(clock: SettableClock) -> Orchestrator:
    """A board that only one machine can use, whatever store the tests run on."""
    orc = Orchestrator(MemoryStore(), now=clock)
    orc.workstreams.create("build")
    return orc


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(Refused) as raised:
        act()
    return raised.value.code


# Names


@pytest.fixture
def boots(monkeypatch: pytest.MonkeyPatch, clock: SettableClock) -> Callable[[str, float], None]:
    """Lets this process run on a machine with this boot id, which was started so many seconds ago."""

    def boot(name: str, ago: float) -> None:
        monkeypatch.setattr("orchestrator.core.system.identity", lambda: (1, name))
        began = clock() - ago
        monkeypatch.setattr("orchestrator.core.machine.time.monotonic", lambda: clock() - began)

    return boot


def test_another_machine_of_the_same_name_is_noticed_but_not_a_reboot_or_a_second_clone(
    clock: SettableClock, boots: Callable[[str, float], None]
) -> None:
    store, warnings = MemoryStore(), list[str]()

    def noted(machine: str = "mill") -> bool:
        warnings.clear()
        Orchestrator(store, now=clock, machine=machine, warn=warnings.append).engine.note_machine()
        clock.advance(60)
        return bool(warnings)

    boots("a", 3600)
    assert [noted(), noted()] == [False, False], "two clones, two users: one machine"
    boots("a2", 10)
    assert not noted(), "the machine was rebooted"
    boots("b", 7200)
    assert noted(), "the other machine used the board while this one ran"
    assert "ORC_MACHINE" in warnings[0]
    boots("a2", 200)
    assert noted(), "the first machine notices the other one too"
    assert [noted(), noted("forge")] == [False, False], "the other machine has a new name"
    boots("c", 5)
    assert not noted(), "it may be the first machine after a reboot"
    boots("a2", 300)
    assert noted(), "it was not the first machine"
    store.cursors.write("machine/mill", "damaged")
    assert [noted(), noted()] == [False, False], "a damaged note is replaced"
    assert [noted(""), noted("")] == [False, False], "a board of files has no machines"


def test_a_machine_has_its_host_name_unless_a_variable_names_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("ORC_MACHINE", raising=False)
    monkeypatch.setattr("socket.gethostname", lambda: "-mill..example (1)")
    assert this_machine() == "mill.example_1_"
    monkeypatch.setattr("socket.gethostname", lambda: "")
    assert this_machine() == "machine"
    monkeypatch.setenv("ORC_MACHINE", "forge")
    assert this_machine() == "forge"
    monkeypatch.setenv("ORC_MACHINE", "../forge")
    with pytest.raises(BadName):
        this_machine()


def test_an_agent_is_where_it_registered_began_a_session_or_claimed_last(on: On) -> None:
    mill, forge = on("mill"), on("forge")
    mill.agents.register("ann")
    assert mill.agents.get("ann").machine == "mill"
    forge.agents.register("ann", agent="boss")  # an other agent says nothing about where it is
    assert forge.agents.get("ann").machine == "mill"
    forge.agents.register("ann")
    assert mill.agents.get("ann").machine == "forge"
    mill.sessions.start("ann")
    assert forge.agents.get("ann").machine == "mill"
    forge.tasks.add("w", title="x")
    forge.tasks.next("w", agent="ann")
    assert mill.agents.get("ann").machine == "forge"
    mill.agents.rename("ann", "anna")
    assert mill.agents.get("anna").machine == "forge"


def test_a_board_of_one_machine_names_no_machine(local: Orchestrator) -> None:
    local.agents.register("ann")
    local.tasks.add("build", title="x")
    assert local.tasks.next("build", agent="ann").machine == ""
    assert local.agents.get("ann").machine == ""


# Resources


def test_a_local_resource_collides_on_its_machine_only(on: On) -> None:
    mill, forge = on("mill"), on("forge")
    for title in ("one", "two", "three"):
        mill.tasks.add("w", title=title, touches=["local:gpu"])
    assert mill.tasks.next("w", agent="ann").title == "one"
    assert mill.tasks.next("w", agent="bob") is None
    assert forge.tasks.next("w", agent="fay").title == "two"
    assert forge.tasks.next("w", agent="flo") is None
    assert [lock.resource for lock in mill.locks.all()] == ["local@forge:gpu", "local@mill:gpu"]
    assert on("barn").locks.acquire("local:gpu", agent="eve").resource == "local@barn:gpu"
    assert refused(lambda: mill.locks.acquire("local:g*", agent="bob")) == "lock_denied"


def test_a_resource_without_a_scope_collides_on_all_machines(on: On) -> None:
    mill, forge = on("mill"), on("forge")
    mill.tasks.add("w", title="one", touches=["src/a.py"])
    mill.tasks.add("w", title="two", touches=["src/**"])
    assert mill.tasks.next("w", agent="ann").title == "one"
    assert forge.tasks.next("w", agent="fay") is None
    assert refused(lambda: forge.locks.acquire("src/*.py", agent="fay")) == "lock_denied"


def test_a_hold_stays_on_its_machine_when_its_agent_moves(on: On) -> None:
    mill, forge = on("mill"), on("forge")
    for title in ("one", "two"):
        mill.tasks.add("w", title=title, touches=["local:gpu"])
    mill.tasks.next("w", agent="ann")
    forge.sessions.start("ann")
    assert mill.tasks.next("w", agent="bob") is None
    assert forge.tasks.next("w", agent="bob").title == "two"
    state = State()
    for chunk in mill.engine.store.read(type(mill.engine.position)()):
        state.fold(chunk.events)
    assert state == mill.engine.read()  # the process of a machine folds what every other folds


def test_a_local_resource_of_another_machine_can_be_named(on: On) -> None:
    mill, forge = on("mill"), on("forge")
    mill.locks.acquire("local:./gpu//0:shared", agent="ann")
    assert forge.locks.get("local@mill:gpu/0").holders[0].agent == "ann"
    assert not forge.locks.get("local:gpu/0").holders
    assert forge.locks.break_("local@mill:gpu/0", reason="gone", agent="boss") == "local@mill:gpu/0"
    with pytest.raises(BadName):
        mill.locks.acquire("local@-mill:gpu", agent="ann")
    with pytest.raises(BadName):
        mill.locks.acquire("local:../gpu", agent="ann")
    mill.locks.acquire("local:gpu", agent="ann")
    mill.locks.release("local:gpu", agent="ann")


def test_local_resources_collide_on_a_board_of_files_and_with_no_other(local: Orchestrator) -> None:
    local.locks.acquire("local:src/a.py", agent="ann")
    assert refused(lambda: local.locks.acquire("local:src/*", agent="bob")) == "lock_denied"
    local.locks.acquire("src/**", agent="bob")
    local.locks.acquire("localhost:80", agent="carl")
    assert [lock.resource for lock in local.locks.all()] == [
        "local:src/a.py",
        "localhost:80",
        "src/**",
    ]


# Work


def test_checks_run_where_the_task_was_claimed(
    on: On, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mill, forge = on("mill"), on("forge")
    monkeypatch.chdir(tmp_path)
    task = mill.tasks.add("w", title="one", artifacts=["out.txt"])
    mill.tasks.claim(task.id, agent="ann")
    (tmp_path / "out.txt").write_text("made")
    assert refused(lambda: forge.tasks.complete(task.id, agent="ann")) == "other_machine"
    done = mill.tasks.complete(task.id, agent="ann")
    assert done.evidence[0].passed
    plain = mill.tasks.add("w", title="two")
    mill.tasks.claim(plain.id, agent="ann")
    assert forge.tasks.complete(plain.id, agent="ann").status == "done"
    forced = mill.tasks.add("w", title="three", artifacts=["none.txt"])
    mill.tasks.claim(forced.id, agent="ann")
    done = forge.tasks.complete(forced.id, agent="ann", force=True, reason="mill burnt down")
    assert "its checks did not run" in done.evidence[-1].problem


# Sessions


def test_a_session_of_another_machine_is_not_taken_for_gone_or_free(on: On) -> None:
    """The processes of another machine are not seen here, so they are not judged here."""
    mill, forge = on("mill"), on("forge")
    host = f"{os.getpid()} 1 other-boot"
    first = mill.sessions.join("claude", host=host, folder="/work")
    assert mill.agents.get(first.agent).presence == "gone"  # such a process does not run here
    assert forge.agents.get(first.agent).presence == "online"
    second = forge.sessions.join("claude", host="1 1 forge-boot", folder="/work")
    assert (first.agent, second.agent) == ("claude", "claude-2")
    assert second.machine == "forge"
    again = mill.sessions.join("claude", host="2 2 mill-boot", folder="/work")
    assert again.agent == "claude"
