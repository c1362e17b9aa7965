"""Groups of commits: one sync for several commands, and otherwise what each of them does alone."""

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from boards import SettableClock, check_law
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import InputOutputError, Orchestrator, OrchestratorError
from orchestrator.core import system
from orchestrator.core.transaction import Transaction
from orchestrator.stores.memory import MemoryStore

Settled = list[BaseException | None]
Command = Callable[[Orchestrator], Any]


class Undone(Exception):
    """Ends a command of these tests after it has recorded something."""


def half(orc: Orchestrator) -> None:
    with suppress(Undone), orc.transaction():
        orc.tasks.add("build", title="undone")
        raise Undone


def rehearsed(orc: Orchestrator) -> str:
    with orc.rehearsal():
        return orc.tasks.add("build", title="rehearsed").title


def repeated(orc: Orchestrator) -> list[str]:
    def once() -> str:
        with orc.request("same"):
            return orc.tasks.add("build", title="once").id

    return [once(), once()]


def noted(orc: Orchestrator) -> list[bytes]:
    """Read the events of a task, which are of the same group."""
    task = orc.tasks.note(orc.tasks.add("build", title="noted").id, "N" * 50)
    return [bytes(orc.engine.event(number).payload) for number in task.events]


def done_twice(orc: Orchestrator) -> Any:
    """Complete a task again, for which the command reads the event of its claim."""
    task = orc.tasks.claim(orc.tasks.add("build", title="done").id, agent="bob")
    orc.tasks.complete(task.id, agent="bob")
    return orc.tasks.complete(task.id, agent="bob", token=task.token)


COMMANDS: list[Command] = [
    lambda orc: orc.tasks.add("build", title="one").id,
    lambda orc: orc.tasks.next("build", agent="ann"),
    lambda orc: [orc.tasks.complete(t.id, agent="ann") for t in orc.tasks.all(agent="ann")[:1]],
    lambda orc: orc.tasks.note(orc.tasks.add("build", title="big").id, "x" * 70_000),
    lambda orc: orc.knowledge.write("topic", f"after {orc.engine.read().event}"),
    lambda orc: orc.knowledge.read("topic"),
    lambda orc: orc.mail.send("bob", "S", "T"),
    lambda orc: [orc.mail.read(each.id, agent="bob") for each in orc.mail.inbox(agent="bob")[:1]],
    lambda orc: orc.tasks.claim("none", agent="ann"),
    lambda orc: [record.id for record in itertools.islice(orc.engine.read_backwards(), 3)],
    lambda orc: orc.engine.state_at(1).event,
    lambda orc: orc.engine.event(orc.engine.read().event).type,
    half,
    rehearsed,
    repeated,
    noted,
    done_twice,
]


def outcome(command: Callable[[Orchestrator], Any], orc: Orchestrator) -> str:
    try:
        return repr(command(orc))
    except OrchestratorError as error:
        return f"{error.code}: {error.message}"


def count_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next board get the same random ids as the last one."""
    numbers = itertools.count(1)
    monkeypatch.setattr(Transaction, "random_id", lambda *_: f"{next(numbers):08x}")


def opened(folder: Path | MemoryStore) -> Orchestrator:
    orc = Orchestrator.open(folder, agent="kim", now=SettableClock())
    orc.workstreams.create("build")
    return orc


@given(st.lists(st.lists(st.sampled_from(COMMANDS), max_size=5), min_size=1, max_size=4))
def test_a_log_written_in_groups_is_the_log_of_the_same_commands_one_by_one(
    tmp_path_factory: pytest.TempPathFactory, groups: list[list[Callable[[Orchestrator], Any]]]
):
    folder = tmp_path_factory.mktemp("groups")
    with pytest.MonkeyPatch.context() as patch:
        count_ids(patch)
        with opened(folder / "alone") as alone:
            wanted = [outcome(command, alone) for group in groups for command in group]
            check_law(alone)
        count_ids(patch)
        with opened(folder / "grouped") as orc:
            found, settled = [], Settled()
            for group in groups:
                with orc.engine.grouped(settled.append):
                    found += [outcome(command, orc) for command in group]
            check_law(orc)
    assert found == wanted
    assert {*settled} == {None}
    logs = [(folder / name / "state/events.jsonl").read_bytes() for name in ("alone", "grouped")]
    assert logs[0] == logs[1]


def test_small_commits_of_a_group_have_one_sync_and_nothing_is_in_the_log_before(
    memory_path: Path, monkeypatch: pytest.MonkeyPatch
):
    orc, syncs, settled = opened(memory_path / "b"), [], Settled()
    sync = system.sync_data
    monkeypatch.setattr(system, "sync_data", lambda file: (syncs.append(file), sync(file)))
    with Orchestrator.open(memory_path / "b") as other:
        with orc.engine.grouped(settled.append):
            for _ in range(5):
                orc.tasks.add("build", title="one")
            assert (other.tasks.all(), syncs, settled) == ([], [], [])
        assert len(other.tasks.all()) == 5
    assert (len(syncs), {*settled}) == (1, {None})
    commits = [chunk.events for chunk in orc.engine.store.read(orc.engine.store.cursor_type())]
    assert not any(record.more for events in commits for record in events)


def test_a_group_that_cannot_be_written_has_changed_nothing_and_says_so(
    memory_path: Path, monkeypatch: pytest.MonkeyPatch
):
    orc, settled = opened(memory_path / "b"), Settled()
    log = memory_path / "b/state/events.jsonl"
    before = log.read_bytes()

    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(system, "sync_data", full)
        with suppress(InputOutputError), orc.engine.grouped(settled.append):
            orc.tasks.add("build", title="one")
            orc.tasks.add("build", title="two")
    assert log.read_bytes() == before
    assert orc.tasks.all() == []
    assert isinstance(settled[0], InputOutputError)
    orc.tasks.add("build", title="three")
    check_law(orc)


def test_a_command_that_fails_takes_nothing_with_it_that_was_committed_before(memory_path: Path):
    orc, settled = opened(memory_path / "b"), Settled()
    with orc.engine.grouped(settled.append):
        orc.tasks.add("build", title="one")
        half(orc)
        orc.tasks.add("build", title="two")
    assert [task.title for task in orc.tasks.all()] == ["one", "two"]
    check_law(orc)


def test_a_long_action_ends_the_group_and_gives_the_lock_back(memory_path: Path):
    orc, settled = opened(memory_path / "b"), Settled()
    with Orchestrator.open(memory_path / "b", timeout=0.1) as other:
        with orc.engine.grouped(settled.append) as group:
            orc.tasks.add("build", title="one")
            orc.engine.pause()
            assert (settled, group.is_open) == ([None, None], False)
            other.tasks.add("build", title="two")
            orc.tasks.add("build", title="three")
        assert [task.title for task in other.tasks.all()] == ["one", "two", "three"]


def full(_file: int) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    "flushing",
    [repeated, lambda orc: orc.engine.state_at(1), lambda orc: orc.knowledge.write("k", "text")],
)
def test_a_group_that_fails_in_the_middle_commits_nothing_more_and_leaves_the_log_whole(
    memory_path: Path, monkeypatch: pytest.MonkeyPatch, flushing: Callable[[Orchestrator], Any]
):
    orc, settled = opened(memory_path / "b"), Settled()
    with orc.engine.grouped(settled.append):
        orc.tasks.add("build", title="lost")
        with monkeypatch.context() as patch:
            patch.setattr(system, "sync_data", full)
            with pytest.raises(InputOutputError):
                flushing(orc)
        with pytest.raises(InputOutputError):  # its caller may have committed something before
            orc.tasks.add("build", title="after the failure")
    assert isinstance(settled[0], InputOutputError)
    assert orc.tasks.all() == []
    assert repeated(orc) == [orc.tasks.all()[0].id] * 2
    check_law(orc)
    with Orchestrator.open(memory_path / "b") as other:
        assert [task.title for task in other.tasks.all()] == ["once"]


def test_a_group_that_was_ended_does_not_end_that_of_another_thread(memory_path: Path):
    """The first leaves the board for long, and does not come back before it ends."""
    orc = opened(memory_path / "b")
    first, second = Settled(), Settled()
    ended = threading.Event()

    def other() -> None:
        with orc.engine.grouped(second.append):
            orc.tasks.add("build", title="two")
            begun.set()
            assert ended.wait(60)
            assert second == []
            orc.tasks.add("build", title="three")

    begun = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        try:
            with orc.engine.grouped(first.append):
                orc.tasks.add("build", title="one")
                orc.engine.pause()
                work = pool.submit(other)
                assert begun.wait(60)
        finally:
            ended.set()
        work.result()
    assert (first, second) == ([None, None], [None, None])
    assert [task.title for task in orc.tasks.all()] == ["one", "two", "three"]
    check_law(orc)


def test_another_thread_neither_reads_nor_continues_what_is_not_durable_yet(memory_path: Path):
    orc, settled = opened(memory_path / "b"), Settled()
    with ThreadPoolExecutor(2) as pool:
        with orc.engine.grouped(settled.append):
            orc.tasks.add("build", title="one")
            others = [
                pool.submit(lambda: (orc.tasks.all(), [*settled])),
                pool.submit(lambda: (orc.tasks.add("build", title="two"), [*settled])),
            ]
            assert not wait(others, timeout=0.1).done
            assert settled == []
        assert all(each.result()[1][:1] == [None] for each in others)
    assert [task.title for task in orc.tasks.all()] == ["one", "two"]
    check_law(orc)


def test_who_reads_backwards_sees_each_event_once_although_commits_are_written_meanwhile(
    memory_path: Path,
):
    orc, settled = opened(memory_path / "b"), Settled()
    with orc.engine.grouped(settled.append):
        for title in ("one", "two"):
            orc.tasks.add("build", title=title)
        newest = orc.engine.read_backwards()
        ids = [next(newest).id, orc.engine.state_at(2).event, *(each.id for each in newest)]
    assert ids == [3, 2, 2, 1]
