"""Part 10: the runner under fire.

Two runners of one board, as if on two machines, and 200 jobs, while runners and agents are killed at random;
agents that flood, fork and ignore signals; events of 5 MB for every runtime; full disks; a disk that fills
while an agent writes. What must hold: each event has one finish by each agent, attempts are numbered without
a gap and each is explained in the log, nothing of an agent is left, and the runner stays small.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from orchestrator import Orchestrator
from orchestrator.core.errors import OrchestratorError
from orchestrator.core.trust import Trust
from orchestrator.supervisor.agent_files import load_agent
from orchestrator.supervisor.processes import LOG_BYTES, MARK

from .limits import small_disk, whole
from .part import Part, fast_folder, run

ROOT = Path(__file__).parents[2]
PATIENCE = 900.0
MEGABYTE = 1024 * 1024
SMALL = 200 * MEGABYTE
"""Bytes of memory that a runner may use whatever its agents write."""

MACHINE = """
import socket, sys
name = sys.argv.pop(1)
socket.gethostname = lambda: name
from orchestrator.interfaces.cli.main import console
console()
"""
"""The command line on a machine of this name: the lock and the notes of a runner belong to a machine."""


class Town:
    """A project with a board, agents and trust of its own, and runners in processes of their own."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.board = self.folder / ".orchestrator"
        self.agents = self.board / "agents"
        self.orc = Orchestrator.open(self.board, timeout=60)
        self.agents.mkdir()
        self.data = self.folder / "user"
        (self.folder / "bin").mkdir()
        self.runners: list[subprocess.Popen[bytes]] = []
        self.output: IO[bytes] = (self.folder / "runners.out").open("wb")

    def add(self, name: str, script: str, **fields: object) -> None:
        """A trusted shell agent, unless ``runtime`` says more."""
        lines = "".join(
            f"{key}: {value}\n" for key, value in {"runtime": "shell", **fields}.items()
        )
        path = self.agents / f"{name}.md"
        path.write_text(f"---\n{lines}---\n{script}\n")
        Trust(str(self.data / "orc")).add({str(path): load_agent(str(path)).digest})

    def program(self, name: str, code: str) -> None:
        """A stand-in for a program of agents."""
        path = self.folder / "bin" / name
        path.write_text(f"#!{sys.executable}\nimport json, sys\n{code}\n")
        path.chmod(0o755)

    def environment(self) -> dict[str, str]:
        kept = {name: text for name, text in os.environ.items() if not name.startswith("ORC")}
        return kept | {
            "XDG_DATA_HOME": str(self.data),
            "PYTHONPATH": str(ROOT),
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        }

    def words(self, machine: str) -> list[str]:
        """The command line on a machine of this name."""
        return [sys.executable, "-c", MACHINE, machine, "--board", str(self.board)]

    def start(self, machine: str = "one", *options: str) -> "subprocess.Popen[bytes]":
        """A runner on a machine of this name; it listens."""
        ready = len(self.opened())
        runner = subprocess.Popen(
            [*self.words(machine), "--json", "runner", "run", *options],
            cwd=self.folder,
            env=self.environment(),
            stdout=self.output,
            stderr=subprocess.STDOUT,
        )
        self.runners.append(runner)
        until(lambda: len(self.opened()) > ready or runner.poll() is not None, "a runner is ready")
        return runner

    def opened(self) -> list[bytes]:
        """What runners have printed when they began to listen."""
        data = (self.folder / "runners.out").read_bytes()
        return [line for line in data.splitlines() if b'"runner.ready"' in line]

    def records(self, type: str) -> list[dict[str, Any]]:
        """The payloads of the events of a type, each with the id of its event."""
        return [
            {"id": record.id, **json.loads(bytes(record.payload))}
            for record in self.orc.events.read(type=f"subscription.{type}")
        ]

    def end(self) -> list[str]:
        """End every runner; what is wrong then."""
        for runner in self.runners:
            if runner.poll() is None:
                runner.send_signal(signal.SIGTERM)
        for runner in self.runners:
            try:
                runner.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                runner.kill()
                return ["a runner did not end"]
        self.output.close()
        return []


def until(condition: Any, what: str) -> None:
    """Wait for what another process does."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"it did not happen that {what}")
        time.sleep(0.02)


@contextmanager
def town(folder: str | None = None) -> Iterator[Town]:
    """A town that is taken down, with all its processes."""
    own = folder or fast_folder()
    place = Town(own)
    try:
        yield place
    finally:
        for runner in place.runners:
            if runner.poll() is None:
                runner.kill()
                runner.wait()
        place.orc.close()
        if folder is None:
            shutil.rmtree(own, ignore_errors=True)


def started(place: Town) -> set[int]:
    """The processes that attempts on this board have started; the keeper of a runner is none."""
    pids = set()
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            entries = Path(f"/proc/{name}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        is_marked = any(entry.startswith(f"{MARK}=".encode()) for entry in entries)
        if is_marked and f"ORCHESTRATOR_DIR={place.board}".encode() in entries:
            pids.add(int(name))
    return pids


def explained(place: Town, agents: list[str], jobs: list[int]) -> Iterator[str]:
    """What the log does not explain: a finish for each, attempts from 1 on, each with an end."""
    finishes = Counter((r["subscriber"], r["event"]) for r in place.records("finished"))
    wanted = {(agent, job) for agent in agents for job in jobs}
    if missing := wanted - finishes.keys():
        yield f"{len(missing)} have no finish: {sorted(missing)[:5]}"
    if double := [key for key, count in finishes.items() if count > 1]:
        yield f"{len(double)} have two: {double[:5]}"
    starts: dict[tuple[str, int], list[int]] = {}
    for record in place.records("started"):
        starts.setdefault((record["subscriber"], record["event"]), []).append(record["attempt"])
    ends = Counter(
        (record["subscriber"], record["event"], record["attempt"])
        for type in ("finished", "failed", "interrupted")
        for record in place.records(type)
    )
    for (agent, event), numbers in starts.items():
        if numbers != list(range(1, len(numbers) + 1)):
            yield f"the attempts of {agent} at {event} are {numbers}"
        for number in numbers:
            if ends[agent, event, number] != 1:
                yield f"attempt {number} of {agent} at {event} has {ends[agent, event, number]} ends"


KILLED = """
(setsid sleep 600 &)
echo $ORC_EVENT_ID $ORC_ATTEMPT >> ran-$ORC_AGENT
sleep 0.0$(($$ % 9))
"""


def killed(part: Part) -> None:
    """Two runners on two machines, 200 jobs, and SIGKILL at random for runners and agents."""
    jobs = 40 if part.quick else 200
    what = f"{jobs} jobs, two agents, two runners"
    agents = ["one", "two"]
    with town() as place:
        for agent in agents:
            place.add(agent, KILLED, listen="[job]", retry=50, concurrency=4, timeout="20s")
        runners = {machine: place.start(machine) for machine in ("one", "two")}
        refused = subprocess.run(
            [*place.words("one"), "runner", "run"],
            cwd=place.folder, env=place.environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        if refused.returncode != 1 or f"process {runners['one'].pid}, for " not in refused.stderr:
            part.violated(f"{what}: a second runner of a machine: {refused.stderr}")
        pushed = [place.orc.events.push("job", {"n": n}, agent="ann").id for n in range(jobs)]
        wanted = jobs * len(agents)
        kills = _kill(part, place, runners, wanted)
        for wrong in (*place.end(), *explained(place, agents, pushed)):
            part.violated(f"{what}: {wrong}")
        if left := started(place) | _sleepers(place):
            part.violated(f"{what}: processes are left: {left}")
        if notes := [*(place.board / "state" / "runner").glob("*.note")]:
            part.violated(f"{what}: notes are left: {notes}")
        if wrong := whole(str(place.board), []):
            part.violated(f"{what}: {wrong}")
        interrupted, failed = len(place.records("interrupted")), len(place.records("failed"))
        part.count("events with one finish", wanted)
        part.figures[what] = {**kills, "interrupted": interrupted, "failed": failed}


def _kill(
    part: Part, place: Town, runners: dict[str, "subprocess.Popen[bytes]"], wanted: int
) -> Counter[str]:
    """Kill runners and agents at random until so many attempts have finished; how many were killed."""
    kills: Counter[str] = Counter()
    deadline = time.monotonic() + 1200
    while len(place.records("finished")) < wanted:
        if time.monotonic() > deadline:
            part.violated(f"only {len(place.records('finished'))} of {wanted} have finished")
            break
        time.sleep(part.random.uniform(0.0, 0.2))
        if part.random.random() < 0.2:
            machine = part.random.choice([*runners])
            runners[machine].kill()
            runners[machine].wait()
            runners[machine] = place.start(machine)
            kills["runners killed"] += 1
        elif victims := sorted(started(place)):
            try:
                os.kill(part.random.choice(victims), signal.SIGKILL)
                kills["agents killed"] += 1
            except ProcessLookupError:
                pass
    return kills


def _memory(runner: "subprocess.Popen[bytes]") -> int:
    # What was started is the keeper; the runner is its child.
    (child,) = Path(f"/proc/{runner.pid}/task/{runner.pid}/children").read_text().split()
    text = Path(f"/proc/{child}/status").read_text()
    return int(text.partition("VmHWM:")[2].split()[0]) * 1024


FLOODS = {
    "lines": ("shell", "head -c {size} /dev/zero | tr '\\0' 'x' | fold -w 200"),
    "one line": ("shell", "head -c {size} /dev/zero | tr '\\0' 'x'"),
    "newlines": ("shell", "head -c {few} /dev/zero | tr '\\0' '\\n'"),
    "no text": ("shell", "head -c {small} /dev/urandom"),
    "stderr": ("shell", "head -c {small} /dev/urandom | base64 >&2"),
    "records": ("claude", "record"),
    "parts": ("gemini", "part"),
}
"""What agents write, each with its runtime."""

_RECORDS = """
size, written = {small}, 0
text = {{'type': 'assistant', 'message': {{'content': [{{'type': 'text', 'text': 'x' * 1_000_000}}]}}}}
while written < size:
    written += len(line := json.dumps(text))
    print(line)
print(json.dumps({{'type': 'result', 'result': 'the end'}}))
"""
_PARTS = """
size, written = {small}, 0
while written < size:
    written += len(line := json.dumps({{'type': 'message', 'role': 'assistant', 'content': 'x' * 1000}}))
    print(line)
print(json.dumps({{'type': 'result', 'status': 'success'}}))
"""


def floods(part: Part) -> None:
    """Agents that write without end: the runner stays small, the log at its limit, the board's log short."""
    size = (20 if part.quick else 1000) * MEGABYTE
    sizes = {"size": size, "small": size // 5, "few": size // 500}
    for kind, (runtime, script) in FLOODS.items():
        with town() as place:
            place.program("claude", _RECORDS.format(**sizes))
            place.program("gemini", _PARTS.format(**sizes))
            place.output.close()
            place.output = open(os.devnull, "wb")  # noqa: SIM115 -- the town closes it
            place.add("flood", script.format(**sizes), runtime=runtime, listen="[job]")
            runner = subprocess.Popen(
                [sys.executable, str(ROOT / "cli.py"), "--board", str(place.board), "runner", "run"],
                cwd=place.folder, env=place.environment(), stdout=subprocess.DEVNULL,
            )  # fmt: skip
            place.runners.append(runner)
            until(lambda: place.orc.subscriptions.all(), "it listens")
            place.orc.events.push("job", agent="ann")
            ended = ("finished", "died")
            until(lambda: any(map(place.records, ended)), "it ends")  # noqa: B023
            memory = _memory(runner)
            part.count("floods")
            part.figures[f"memory of the runner, {kind}"] = f"{memory // MEGABYTE} MB"
            if memory > SMALL:
                part.violated(f"{kind}: the runner uses {memory // MEGABYTE} MB")
            for file in (place.board / "state" / "logs").iterdir():
                if file.stat().st_size > LOG_BYTES:
                    part.violated(f"{kind}: {file.name} has {file.stat().st_size} bytes")
            if (log := (place.board / "state" / "events.jsonl").stat().st_size) > 100_000:
                part.violated(f"{kind}: the log of the board has {log} bytes")
            if not place.records("finished"):
                part.violated(f"{kind}: it died: {place.records('died')}")
            for wrong in place.end():
                part.violated(f"{kind}: {wrong}")


LEAVING = {
    "a session": "setsid sleep 600 & sleep 0.1",
    "a double fork": "(setsid sh -c '(sleep 600 &)' &); sleep 0.1",
    "without its variables": "(env -i setsid sleep 600 &); sleep 0.1",
    "deaf": "setsid sh -c 'trap \"\" TERM INT HUP; sleep 600; sleep 600' & sleep 0.1",
    "a crowd": "for n in 1 2 3 4 5 6 7 8; do setsid sleep 600 & done; sleep 0.1",
    "hangs": "trap '' TERM INT HUP; sleep 600; sleep 600",
    "crashes": "kill -SEGV $$",
}


def leaving(part: Part) -> None:
    """Agents that fork, hang, crash and ignore signals: when the runner has ended, none of them is left."""
    with town() as place:
        for number, script in enumerate(LEAVING.values()):
            place.add(f"a{number}", script, listen="[job]", timeout="1s")
        place.start()
        place.orc.events.push("job", agent="ann")
        until(
            lambda: len(place.records("finished")) + len(place.records("died")) == len(LEAVING),
            "they end",
        )
        for wrong in place.end():
            part.violated(f"leaving: {wrong}")
        part.count("agents that leave processes", len(LEAVING))
        if left := started(place) | _sleepers(place):
            part.violated(f"leaving: processes are left: {left}")


def _sleepers(place: Town) -> set[int]:
    """The processes of ``sleep`` that work in this folder, whatever their environment."""
    pids = set()
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            folder = os.readlink(f"/proc/{name}/cwd")
            words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if folder == str(place.folder) and words[0] == b"sleep":
            pids.add(int(name))
    return pids


def large_payloads(part: Part) -> None:
    """Events of 5 MB are pushed, listed, and start an agent of each runtime."""
    stand_in = "print(json.dumps({'n': len(sys.stdin.read())}), file=sys.stderr)\n"
    results = {
        "claude": {"type": "result", "result": "x"},
        "codex": {"type": "turn.completed", "usage": {}},
        "gemini": {"type": "result", "status": "success"},
        "opencode": {"type": "step_finish", "part": {"reason": "stop"}},
    }
    with town() as place:
        for name, record in results.items():
            place.program(name, f"{stand_in}print(json.dumps({record!r}))")
            place.add(name, "You read.", runtime=name, listen="[job]")
        place.program("mine", stand_in)
        place.add("mine", "You read.", runtime="command", command="[mine]", listen="[job]")
        place.add("whole", "wc -c", listen="[job]")
        place.add("value", "x={{event.payload.text}}; echo ${#x}", listen="[job]")
        place.add("keys", "echo $ORC_EVENT_PAYLOAD_KEYS_K9", listen="[job]")
        place.start()
        payload = {
            "text": "é'\n" * (5 * MEGABYTE // 4),
            "keys": {f"k{n}": n for n in range(20_000)},
        }
        file = place.folder / "payload.json"
        file.write_text(json.dumps(payload))
        words = [sys.executable, str(ROOT / "cli.py"), "--board", str(place.board), "events"]
        for given in (["--file", str(file)], ["--payload", "-"]):
            with file.open() as stdin:
                done = subprocess.run(
                    [*words, "push", "--type", "job", "--worker", "ann", *given],
                    stdin=stdin, capture_output=True, text=True, check=False,
                )  # fmt: skip
            if done.returncode or json.loads(done.stdout)["payload"] != payload:
                part.violated(f"push {given[0]}: exit {done.returncode}: {done.stderr:.300}")
        done = subprocess.run(
            [*words, "list", "--tail", "1", "--worker", "ann"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode or json.loads(done.stdout)["payload"] != payload:
            part.violated(f"list: exit {done.returncode}: {done.stderr:.300}")
        wanted = 2 * (len(results) + 4)
        until(
            lambda: len(place.records("finished")) + len(place.records("died")) >= wanted,
            "they end",
        )
        part.count("agents with 5 MB", wanted)
        for died in place.records("died"):
            part.violated(f"5 MB: {died}")
        for wrong in place.end():
            part.violated(f"5 MB: {wrong}")


def full_disk(part: Part) -> None:
    """The disk of the board fills while an agent writes its log, and is emptied again."""
    with small_disk("size=8m") as point, town(point) as place:
        place.add(
            "loud",
            "head -c 20000000 /dev/zero | tr '\\0' 'x' | fold -w 100",
            listen="[job]",
            retry=9,
        )
        place.add("quiet", "true", listen="[job]", retry=9)
        place.output.close()
        place.output = open(f"/tmp/{Path(point).name}.out", "wb")  # noqa: SIM115 -- the town closes it
        place.opened = lambda: [  # type: ignore[method-assign]
            line
            for line in Path(place.output.name).read_bytes().splitlines()
            if b"runner.ready" in line
        ]
        runner = place.start()
        first = place.orc.events.push("job", agent="ann").id
        until(lambda: b"runner.trouble" in Path(place.output.name).read_bytes(), "it is reported")
        until(lambda: b'"agent.output"' in Path(place.output.name).read_bytes(), "it goes on")
        time.sleep(1)
        if runner.poll() is not None:
            part.violated("full disk: the runner has ended")
        until(lambda: _emptied(place) and len(place.records("finished")) >= 2, "both finish")
        second = None
        while second is None:
            _emptied(place)
            try:
                second = place.orc.events.push("job", agent="ann").id
            except OrchestratorError:
                time.sleep(0.05)
        part.count("full disks under a runner")
        until(lambda: _emptied(place) and ("quiet", second) in _finishes(place), "it goes on")
        if ("quiet", first) not in _finishes(place):
            part.violated("full disk: an event was lost")
        runner.send_signal(signal.SIGTERM)
        until(lambda: _emptied(place) and runner.poll() is not None, "the runner ends")
        os.unlink(place.output.name)


def _emptied(place: Town) -> bool:
    """Make room: empty the logs of agents."""
    for path in (place.board / "state" / "logs").iterdir():
        os.truncate(path, 0)
    return True


def _finishes(place: Town) -> set[tuple[str, int]]:
    return {(record["subscriber"], record["event"]) for record in place.records("finished")}


def body(part: Part) -> None:
    for trial in (leaving, large_payloads, floods, full_disk, killed):
        try:
            trial(part)
        except PermissionError as error:
            part.skip(trial.__name__, f"{error}")
        except (OrchestratorError, RuntimeError) as error:
            part.violated(f"{trial.__name__}: {error}")
        part.figures[f"seconds after {trial.__name__}"] = round(part.seconds(), 1)


if __name__ == "__main__":
    run("runner", body)
