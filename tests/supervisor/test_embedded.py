"""``orc.supervisor``: agent files and a runner inside a Python program, plain and async."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

from orchestrator import AsyncOrchestrator, Orchestrator, Refused
from orchestrator.core.trust import Trust
from orchestrator.stores.memory import MemoryStore
from orchestrator.supervisor import embedded
from orchestrator.supervisor.runner_events import RunnerEvent

from .running import Town, ends


@pytest.fixture
def town(memory_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Town]:
    town = Town(memory_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(town.data))
    town.trust = Trust()
    monkeypatch.chdir(memory_path)
    yield town
    town.orc.close()


def until(events: Any, type: str) -> RunnerEvent:
    return next(event for event in events if event.type == type)


async def async_until(events: Any, type: str) -> RunnerEvent:
    return await anext(event async for event in events if event.type == type)


def test_agents_are_loaded_and_checked(town: Town):
    town.add("count", "wc", listen="[job]", trusted=False)
    (town.agents / "bad.md").write_text("---\nlisten: 1\nretry: x\n---\n")
    files = town.orc.supervisor.agents()
    assert files.agents["count"].settings.listen == ("job",)
    (error,) = files.bad.values()
    assert len(error.details["problems"]) == 2
    assert town.orc.supervisor.agents("elsewhere").agents == {}


def test_a_plain_program_runs_agents_and_follows_them(town: Town):
    town.add("count", "echo counted {{event.payload.path}}", listen="[job]")
    with town.orc.supervisor.runner(max_agents=2) as runner:
        event = town.push("job", {"path": "a.md"}, agent="ann")
        events = iter(runner)
        assert until(events, "agent.loaded").agent == "count"
        assert until(events, "job").as_dict()["payload"] == {"path": "a.md"}
        line = until(events, "agent.output")
        assert (line.agent, line.payload) == ("count", {"event": event, "text": "counted a.md"})
        assert until(events, "subscription.finished").payload["event"] == event
        runner.stop()
        assert [event.type for event in events][-1] == "runner.stopping"


def test_the_end_of_the_block_lets_agents_finish_and_an_error_ends_them(town: Town):
    town.add("slow", "echo pid $$; read x < gate; echo went on", listen="[job]", retry=5)
    os.mkfifo(town.project / "gate")
    with town.orc.supervisor.runner() as runner:
        town.push("job")
        until(runner, "agent.output")
        runner.stop()
        (town.project / "gate").write_text("go\n")
    assert "went on" in town.log("slow")
    with suppress(KeyError), town.orc.supervisor.runner() as runner:
        town.push("job")
        pid = int(until(runner, "agent.output").payload["text"].split()[1])
        raise KeyError
    assert ends(pid)
    assert len(town.orc.events.read(type="subscription.interrupted")) == 1
    assert not [path for path in town.notes() if path.suffix == ".note"]


def test_a_second_runner_is_refused_and_a_board_needs_a_folder(town: Town):
    with town.orc.supervisor.runner():
        with pytest.raises(Refused) as refused, town.orc.supervisor.runner():
            pass
        assert refused.value.code == "runner_runs"
    with town.orc.supervisor.runner():
        pass
    with pytest.raises(Refused, match="not in a folder"):
        Orchestrator(MemoryStore()).supervisor.runner()


def test_events_without_a_taker_are_counted_and_dropped(
    town: Town, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(embedded, "KEPT", 10)
    town.add("talk", "seq 100; busytown events push --worker talk --type said", listen="[job]")
    with town.orc.supervisor.runner() as runner:
        wait = town.orc.engine.watch()
        town.push("job")
        while not town.orc.events.read(type="subscription.finished"):
            wait(60.0)
            wait = town.orc.engine.watch()
    missed, *kept = runner
    assert missed.type == "runner.missed"
    assert len(kept) == 10
    assert kept[-1].type in ("runner.stopping", "subscription.finished")


@pytest.mark.anyio
async def test_an_async_program_runs_agents_and_follows_them(town: Town):
    town.add("count", "echo counted", listen="[job]")
    async with AsyncOrchestrator.open(town.board) as orc:
        assert list((await orc.supervisor.agents()).agents) == ["count"]
        async with await orc.supervisor.runner() as runner:
            event = await orc.events.push("job", agent="ann")
            finished = await async_until(runner, "subscription.finished")
            assert finished.payload["event"] == event.id


@pytest.mark.anyio
async def test_a_cancelled_task_ends_its_agents(town: Town):
    town.add("slow", "echo pid $$; exec sleep 600", listen="[job]", retry=1)
    async with AsyncOrchestrator.open(town.board) as orc:
        with anyio.CancelScope() as scope:
            async with await orc.supervisor.runner() as runner:
                await orc.events.push("job", agent="ann")
                line = await async_until(runner, "agent.output")
                scope.cancel()
                async for _ in runner:
                    pass
    assert ends(int(line.payload["text"].split()[1]))
    assert len(town.orc.events.read(type="subscription.interrupted")) == 1


def test_a_cancelled_task_of_asyncio_ends_its_agents_also_while_it_waits_for_them(town: Town):
    town.add("slow", "echo pid $$; exec sleep 600", listen="[job]")
    pids: list[int] = []

    async def run(runs: asyncio.Event) -> None:
        async with AsyncOrchestrator.open(town.board) as orc:
            async with await orc.supervisor.runner() as runner:
                await orc.events.push("job", agent="ann")
                line = await async_until(runner, "agent.output")
                pids.append(int(line.payload["text"].split()[1]))
            runs.set()

    async def main() -> None:
        runs = asyncio.Event()
        task = asyncio.create_task(run(runs))
        while not pids:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not runs.is_set()

    asyncio.run(main())
    assert ends(pids[0])
    assert town.orc.subscriptions.dead() != []
