"""Three machines work one board while their network delays, loses, resets and cuts. It takes 30 seconds."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import network
import pytest

from orchestrator import Orchestrator
from tests import forked, postgres_server

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TIMEOUTS = "connect_timeout=2&tcp_user_timeout=1500"
MACHINES = ("mill", "forge", "barn")


class Machine:
    """A machine: its network, and the wire to the hub with the database."""

    def __init__(self, name: str, space: network.Namespace, wire: network.Wire, port: int) -> None:
        self.name, self.space, self.wire = name, space, wire
        self.url = f"postgresql://orc@{wire.hub_address}:{port}/postgres?board=b&{TIMEOUTS}"
        self.said: list[dict[str, Any]] = []

    def start(self, *words: str) -> "subprocess.Popen[str]":
        environment = {k: v for k, v in os.environ.items() if not k.startswith("ORC")}
        return subprocess.Popen(
            self.space.words(sys.executable, *words),
            env={**environment, "ORC_MACHINE": self.name, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def work(self, *, waits: bool = False, clock: float = 0.0) -> None:
        """Start its worker, whose clock is so many seconds ahead."""
        words = (self.url, self.name, "waits" if waits else "", str(clock))
        self.process = self.start(str(HERE / "machine_worker.py"), *words)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(json.loads(line))

    def ended(self) -> int:
        """Wait for the end of its worker."""
        status = self.process.wait(120)
        self._reader.join()
        return status

    def told(self, word: str) -> list[str]:
        return [facts[word] for facts in self.said if word in facts]

    def orc(self, *words: str) -> "subprocess.Popen[str]":
        return self.start("-c", forked.PROGRAM, "--board", self.url, *words)


class Town:
    """Three machines, the hub between them, and the board as the hub sees it."""

    def __init__(self, hub: network.Namespace, machines: dict[str, Machine], port: int) -> None:
        self.machines = machines
        with hub.entered():
            self.orc = Orchestrator.open(f"postgresql://orc@127.0.0.1:{port}/postgres?board=b")

    def until(self, condition: Any) -> None:
        deadline = time.monotonic() + 120
        while not condition():
            assert time.monotonic() < deadline, {
                m.name: m.said[-20:] for m in self.machines.values()
            }
            time.sleep(0.01)

    def count(self, type: str) -> dict[str, int]:
        """How many events of a type each task has."""
        counts: dict[str, int] = {}
        for event in self.orc.events.read(type=type, first=1000):
            task = json.loads(bytes(event.payload))["task"]
            counts[task] = counts.get(task, 0) + 1
        return counts


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    why = network.lacking()
    if not why and not postgres_server.is_here():
        why = "no PostgreSQL server is installed here"
    if why:
        pytest.skip(why)
    with contextlib.ExitStack() as stack:
        hub = stack.enter_context(network.Namespace())
        spaces = {name: stack.enter_context(network.Namespace()) for name in MACHINES}
        wires = [network.Wire(hub, space, n) for n, space in enumerate(spaces.values(), 1)]
        stack.enter_context(network.Carrier(wires))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()), "data")
        folder.parent.chmod(0o755)
        folder.mkdir(mode=0o700)
        with hub.entered():
            server = postgres_server.Server(folder, "listen_addresses=*")
            with (folder / "pg_hba.conf").open("a") as file:
                file.write("host all all 10.77.0.0/16 trust\n")
            server.start()
        stack.callback(server.stop)
        machines = {
            name: Machine(name, space, wire, server.port)
            for (name, space), wire in zip(spaces.items(), wires, strict=True)
        }
        town = Town(hub, machines, server.port)
        stack.callback(town.orc.close)
        for machine in machines.values():
            stack.callback(lambda m=machine: hasattr(m, "process") and m.process.kill())
        yield town


def test_machines_do_each_task_once_whatever_the_network_does(town: Town) -> None:
    mill, forge, barn = town.machines.values()
    town.orc.workstreams.create("w")
    first = town.orc.tasks.add("w", title="first", priority=0).id
    tasks = {first, *(town.orc.tasks.add("w", title=f"t{n}").id for n in range(8))}

    # forge takes a task, and is cut off; its clock is an hour ahead
    forge.work(waits=True, clock=3600.0)
    town.until(lambda: forge.told("claimed") == [first])
    forge.wire.cut()
    assert forge.process.stdin is not None
    print(file=forge.process.stdin, flush=True)

    # barn's answer to a commit is lost: the outcome is unknown
    barn.wire.delay = 0.15
    words = ("add", "w", "asked", "--request-id", "request-1", "--agent", "barn")
    asking = barn.orc(*words)
    town.until(lambda: len(town.orc.tasks.all()) == len(tasks) + 1)
    barn.wire.cut()

    # mill works on over a bad network, with a clock an hour behind, and takes over what forge had
    mill.wire.delay, mill.wire.loss = 0.02, 0.05
    mill.work(clock=-3600.0)
    town.until(lambda: first in mill.told("done"))
    town.until(lambda: forge.told("trouble"))
    assert not forge.told("done")

    # the network of forge comes back, but resets connections now and then
    forge.wire.mend()
    town.until(lambda: forge.told("refused"))
    more = {town.orc.tasks.add("w", title=f"m{n}").id for n in range(8)}
    for _ in range(5):
        forge.wire.resets = True
        time.sleep(0.1)  # how long the network is broken
        forge.wire.resets = False
        time.sleep(0.3)

    _, errors = asking.communicate(timeout=120)
    assert (asking.returncode, "same --request-id" in errors) == (75, True), errors
    barn.wire.mend()
    again = barn.orc(*words)
    _, errors = again.communicate(timeout=120)
    assert again.returncode == 0, errors
    barn.work()
    assert [machine.ended() for machine in town.machines.values()] == [0, 0, 0]

    known = {task.id: task for task in town.orc.tasks.all()}
    assert [task.title for task in known.values()].count("asked") == 1
    assert known.keys() >= tasks | more
    assert set(town.count("task.completed").values()) == {1}, "no task is done twice"
    assert {task.status for task in known.values()} == {"done"}
    for machine in town.machines.values():
        for task in machine.told("done"):
            assert known[task].result == machine.name, "what was acknowledged stands"
    assert forge.told("refused") == [first], "its lease had lapsed: it is told so"
    assert known[first].machine == "mill"
    assert "not_holder" in [facts.get("code") for facts in forge.said]
    times = [event.ts for event in town.orc.events.read(first=1000)]
    assert times == sorted(times), "all times are those of the database"
