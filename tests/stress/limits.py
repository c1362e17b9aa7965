"""Part 7: exhausted resources, wrong clocks and blocking processes.

Full disks, no inodes, no descriptors, limits on file sizes, folders that cannot be written, clocks that are
off or step, a holder of the lock that is stopped, a pid that belongs to another process now, and a hundred
waiting processes.

While a resource runs out a command may fail with a named error and the right exit status, never in part:
what was acknowledged is there, the state is the fold of the log, and once there is room again the next
command works.
"""

import gc
import json
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestrator import Orchestrator
from orchestrator.core.errors import OrchestratorError
from orchestrator.core.store import START
from orchestrator.domain.state import State

from .part import Part, fast_folder, run

ROOT = Path(__file__).parents[2]
HOUR, YEAR = 3600.0, 365 * 86400.0


def cli(board: str, *words: str, limits: Callable[[], None] | None = None) -> tuple[int, str, str]:
    """Run a command in a separate process."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ORC")}
    done = subprocess.run(
        [sys.executable, str(ROOT / "cli.py"), "--board", board, *words],
        capture_output=True, text=True, env=environment, preexec_fn=limits, timeout=120, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def whole(board: str, acknowledged: list[int]) -> str:
    """The violations on a board after a fault; empty if all acknowledged events are there."""
    orc = Orchestrator.open(board, timeout=5)
    state = orc.engine.read()
    fold = State()
    for chunk in orc.engine.store.read(START):
        fold.fold(chunk.events)
    if repr(fold) != repr(state):
        return "the state is not the fold of the log"
    numbers = {json.loads(bytes(entry.payload))["n"] for entry in orc.events.read(type="counted")}
    if lost := set(acknowledged) - numbers:
        return f"{len(lost)} acknowledged events are lost: {sorted(lost)[:5]}"
    return ""


class Counting:
    """Runs commands and counts: which were acknowledged, and how the others failed."""

    def __init__(self, part: Part, what: str, board: str) -> None:
        self.part, self.what, self.board = part, what, board
        self.acknowledged: list[int] = []
        self.statuses: dict[str, int] = {}
        self.next = 0

    def command(self, *, size: int = 10, limits: Callable[[], None] | None = None) -> int:
        """Run a command in a separate process, and judge its exit status."""
        self.next += 1
        words = ("events", "log", "counted", f"n={self.next}", f"text={'x' * size}")
        status, out, err = cli(self.board, *words, limits=limits)
        self._note(status, out + err)
        return status

    def call(self, orc: Orchestrator, *, size: int = 10) -> str:
        """Run a command in this process; return the code of its error, or an empty text."""
        self.next += 1
        self.part.count(self.what)
        try:
            orc.events.log("ann", "counted", n=self.next, text="x" * size)
        except OrchestratorError as error:
            self.statuses[error.code] = self.statuses.get(error.code, 0) + 1
            if error.exit_status not in (74, 75):
                self.part.violated(f"{self.what}: refused as {error.code}: {error.message}")
            return error.code
        except Exception as error:
            self.part.violated(f"{self.what}: {type(error).__name__} got out: {error}")
            return "another"
        self.acknowledged.append(self.next)
        self.statuses["done"] = self.statuses.get("done", 0) + 1
        return ""

    def _note(self, status: int, message: str) -> None:
        self.part.count(self.what)
        self.statuses[f"exit {status}"] = self.statuses.get(f"exit {status}", 0) + 1
        if status == 0:
            self.acknowledged.append(self.next)
        elif status not in (74, 75):
            self.part.violated(f"{self.what}: exit {status}: {message:.300}")
        if "Traceback" in message:
            self.part.violated(f"{self.what}: a traceback: {message[-500:]}")

    def judge(self) -> None:
        """Check that the board is whole, and that the next command works."""
        if wrong := whole(self.board, self.acknowledged):
            self.part.violated(f"{self.what}: {wrong}")
        if self.command() != 0:
            self.part.violated(f"{self.what}: the next command fails although there is room again")
        self.part.figures[self.what] = self.statuses


@contextmanager
def small_disk(options: str) -> Iterator[str]:
    """A small file system in memory."""
    point = tempfile.mkdtemp(prefix="orc-stress-")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", point],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        os.rmdir(point)
        raise PermissionError(done.stderr.strip().partition("\n")[0])
    try:
        yield point
    finally:
        subprocess.run(["umount", "-l", point], check=False)
        os.rmdir(point)


def full_disk(part: Part) -> None:
    """A disk is filled, by other files and by the board itself, and is emptied again."""
    with small_disk("size=256k") as point:
        board = f"{point}/board"
        counting = Counting(part, "full disk", board)
        counting.command()
        ballast = Path(point) / "ballast"
        with ballast.open("wb", buffering=0) as file:
            try:
                while file.write(b"x" * 4096):
                    pass
            except OSError:
                pass
            # Free a little at a time: each amount stops another of a command's writes.
            for _ in range(8 if part.quick else 60):
                size = max(0, os.fstat(file.fileno()).st_size - 4096)
                counting.command(size=6000)
                os.ftruncate(file.fileno(), size)
            with Orchestrator.open(board) as orc:
                while counting.call(orc, size=700) == "" and counting.next < 2000:
                    pass
                for _ in range(20):
                    counting.call(orc, size=700)
                os.ftruncate(file.fileno(), 0)
                counting.call(orc)
        ballast.unlink()
        counting.judge()


def no_inodes(part: Part) -> None:
    with small_disk("size=4m,nr_inodes=24") as point:
        board = f"{point}/board"
        counting = Counting(part, "no inodes", board)
        counting.command()
        made = []
        while True:
            path = Path(point) / f"ballast-{len(made)}"
            try:
                path.touch()
            except OSError:
                break
            made.append(path)
        for path in [None, *made[:6]]:
            if path is not None:
                path.unlink()
            counting.command()
            cli(board, "kb", "write", "topic", "text")
        for path in made[6:]:
            path.unlink()
        counting.judge()


def file_size(part: Part) -> None:
    """RLIMIT_FSIZE: a write stops at any byte; Python ignores the signal of the limit."""
    folder = fast_folder()
    try:
        counting = Counting(part, "RLIMIT_FSIZE", f"{folder}/board")
        counting.command(size=2000)
        log = Path(folder) / "board/state/events.jsonl"
        for number in range(6 if part.quick else 120):
            limit = log.stat().st_size + part.random.randrange(0, 3000)
            counting.command(size=part.random.randrange(2000), limits=lambda: _limit(limit))  # noqa: B023
            if number % 4 == 0:
                counting.command()
        counting.judge()
    finally:
        shutil.rmtree(folder)


def _limit(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def descriptors(part: Part) -> None:
    """RLIMIT_NOFILE: a process that may open no more files, or only some."""
    folder = fast_folder()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        counting = Counting(part, "no descriptors", f"{folder}/board")
        counting.command()
        for free in range(8 if part.quick else 16):
            for fresh in (True, False):
                orc = Orchestrator.open(counting.board)
                if not fresh:
                    counting.call(orc)
                held = []
                try:
                    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
                    try:
                        while True:
                            held.append(os.open("/dev/null", os.O_RDONLY))
                    except OSError:
                        for fd in held[:free]:
                            os.close(fd)
                        del held[:free]
                    counting.call(orc)
                    counting.call(orc)
                finally:
                    for fd in held:
                        os.close(fd)
                    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                counting.call(orc)
                orc.close()
        counting.judge()
    finally:
        shutil.rmtree(folder)


def read_only(part: Part) -> None:
    """A file system that becomes read-only: reading works, writing is refused, no event is lost."""
    with small_disk("size=4m") as point:
        board = f"{point}/board"
        counting = Counting(part, "read-only", board)
        counting.command()
        with Orchestrator.open(board) as orc:
            counting.call(orc)
        del orc
        gc.collect()  # a file that is open for writing keeps the file system writable
        subprocess.run(["mount", "-o", "remount,ro", point], check=True)
        before = (Path(board) / "state/events.jsonl").read_bytes()
        for _ in range(3):
            if counting.command() == 0:
                part.violated("read-only: a command reported success")
        for words in (["status"], ["t", "ls"], ["events"], ["kb", "ls"], ["export"], ["doctor"]):
            status, out, err = cli(board, *words)
            part.count("read-only")
            if status != 0 or "Traceback" in err:
                part.violated(f"read-only: {words} gives exit {status}: {out}{err:.300}")
        if (Path(board) / "state/events.jsonl").read_bytes() != before:
            part.violated("read-only: the log changed")
        subprocess.run(["mount", "-o", "remount,rw", point], check=True)
        counting.judge()


def clocks(part: Part) -> None:
    """Clocks that are off by an hour and a year, and that step while leases run."""
    for first, second in ((0.0, HOUR), (0.0, -HOUR), (0.0, YEAR), (0.0, -YEAR), (YEAR, 0.0)):
        folder = fast_folder()
        try:
            _two_clocks(part, f"{folder}/board", first, second)
        finally:
            shutil.rmtree(folder)
    for _ in range(3 if part.quick else 100):
        folder = fast_folder()
        try:
            _stepping(part, f"{folder}/board")
        finally:
            shutil.rmtree(folder)


def _two_clocks(part: Part, board: str, first: float, second: float) -> None:
    """Two processes of one machine that disagree: an old token is refused whatever the clocks say."""
    part.count("clocks that are off")
    base = 1_795_241_580.0
    first_board = Orchestrator.open(board, agent="one", now=lambda: base + first)
    first_board.workstreams.create("ws")
    task = first_board.tasks.add("ws", title="T")
    claimed = first_board.tasks.claim(task.id, lease="30m")
    two = Orchestrator.open(board, agent="two", now=lambda: base + second)
    try:
        again = two.tasks.claim(task.id, lease="30m")
    except OrchestratorError:
        again = None
    if (again is not None) != (second - first >= 1800):
        part.violated(f"clocks {first}, {second}: claimed anew: {again is not None}")
    if again is not None:
        if (again.token or 0) <= (claimed.token or 0):
            part.violated("a later claim has no higher token")
        try:
            first_board.tasks.complete(task.id, token=claimed.token)
            part.violated("a result under an old token was taken")
        except OrchestratorError:
            pass
    holder = first_board if again is None else two
    holder.tasks.complete(task.id, token=(again or claimed).token)
    holder.knowledge.write("topic", "text")
    if wrong := whole(board, []):
        part.violated(f"clocks {first}, {second}: {wrong}")


def _stepping(part: Part, board: str) -> None:
    """The clock steps both ways between commands; two agents never hold one task under one token."""
    part.count("clocks that step")
    time_now = [1_795_241_580.0]
    agents = [
        Orchestrator.open(board, agent=name, now=lambda: time_now[0])
        for name in ("ann", "bob", "eve")
    ]
    agents[0].workstreams.create("ws")
    for number in range(5):
        agents[0].tasks.add("ws", title=f"T{number}", touches=["git"] if number % 2 else [])
    tokens: dict[str, int] = {}
    for _ in range(80):
        time_now[0] += part.random.choice([0, 1, 60, 1801, -1, -1801, HOUR, -HOUR, YEAR, -YEAR])
        orc = part.random.choice(agents)
        try:
            task = orc.tasks.next("ws", lease="30m")
            if task is not None:
                if (task.token or 0) <= tokens.get(task.id, 0):
                    part.violated(f"token {task.token} follows {tokens[task.id]}")
                tokens[task.id] = task.token or 0
                if part.random.random() < 0.3:
                    orc.tasks.release(task.id, token=task.token)
            orc.agents.heartbeat(orc.engine.agent)
            orc.locks.acquire("git", ttl="10m")
            orc.status()
        except OrchestratorError as error:
            if error.exit_status != 1:
                part.violated(f"a stepping clock: {error.code}: {error.message}")
        except Exception as error:
            part.violated(f"a stepping clock: {type(error).__name__} got out: {error}")
    if wrong := whole(board, []):
        part.violated(f"a stepping clock: {wrong}")


_HOLD = """
import sys, time
from orchestrator.stores.files import FileStore
with FileStore(sys.argv[1], warn=print).locked("hold for the test", 10):
    print("held", flush=True)
    time.sleep(600)
"""


@contextmanager
def holder(board: str) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, board], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def stopped_holder(part: Part) -> None:
    """A process that waits for a stopped holder gets an error with the holder's name within the timeout."""
    folder = fast_folder()
    board = f"{folder}/board"
    try:
        cli(board, "ws", "create", "ws")
        with holder(board) as process:
            process.send_signal(signal.SIGSTOP)
            begun = time.monotonic()
            status, _, err = cli(board, "ws", "create", "other")
            part.count("stopped holder")
            part.figures["stopped holder: seconds until told"] = round(time.monotonic() - begun, 1)
            for word in (f"pid {process.pid}", "hold for the test", "since 20", "stopped"):
                if word not in err:
                    part.violated(f"stopped holder: {word!r} is not named: {err}")
            if status != 5:
                part.violated(f"stopped holder: exit {status}: {err}")
            for words in (["status"], ["t", "ls", "ws"]):
                if cli(board, *words)[0] != 0:
                    part.violated(f"stopped holder: a reader fails: {words}")
            process.send_signal(signal.SIGCONT)
        if cli(board, "ws", "create", "other")[0] != 0:
            part.violated("after the holder was killed the next command fails")
    finally:
        shutil.rmtree(folder)


def reused_pid(part: Part) -> None:
    """A pid in .holder that is now another process is not reported as the holder."""
    folder = fast_folder()
    board = f"{folder}/board"
    try:
        cli(board, "ws", "create", "ws")
        path = Path(board) / "state/.holder"
        with holder(board) as process:
            record = json.loads(path.read_text())
            for change, expected in (
                ({}, False),
                ({"pid": os.getpid()}, True),  # alive, but begun at another time
                ({"started": record["started"] + 1}, True),
                ({"boot": "00000000-0000-0000-0000-000000000000"}, True),
                ({"pid": 1}, True),
                ({"pid": 2**31}, True),
                ({"pid": -1}, True),
            ):
                path.write_text(json.dumps({**record, **change}))
                try:
                    Orchestrator.open(board, timeout=0.05).workstreams.create("other")
                except OrchestratorError as error:
                    message = error.message
                else:
                    part.violated("the lock was taken although it is held")
                    continue
                part.count("reused pid")
                if ("is gone" in message) != expected:
                    part.violated(f"reused pid {change}: {message}")
            for garbage in (
                b"",
                b"{}",
                b"\0" * 512,
                b"{" * 600,
                b'{"held":1,"pid":"x"}',
                b"\xff" * 99,
            ):
                path.write_bytes(garbage)
                part.count("reused pid")
                try:
                    Orchestrator.open(board, timeout=0.05).workstreams.create("other")
                except OrchestratorError as error:
                    if error.exit_status != 5:
                        part.violated(f"garbage in .holder: {error.code}")
            process.kill()
            process.wait()
        if cli(board, "ws", "create", "other")[0] != 0:
            part.violated("garbage in .holder stops the next command")
    finally:
        shutil.rmtree(folder)


_TURNS = """
import json, os, sys, time
from orchestrator import Orchestrator
board, name, until = sys.argv[1], sys.argv[2], float(sys.argv[3])
orc = Orchestrator.open(board, agent=name, timeout=300)
orc.events.log(name, "counted", n=0)  # what the first command imports is not what is measured
open(board + "/ready-" + name, "w").close()
while not os.path.exists(board + "/go"):
    time.sleep(0.01)
waits, begun = [], time.monotonic()
while time.monotonic() - begun < until:
    t = time.monotonic()
    orc.events.log(name, "counted", n=1)
    waits.append(time.monotonic() - t)
print(json.dumps(waits))
"""

_NEXT = """
import json, os, sys, time
from orchestrator import Orchestrator
board, name = sys.argv[1], sys.argv[2]
orc = Orchestrator.open(board, agent=name, timeout=60)
open(board + "/ready-" + name, "w").close()
task = orc.tasks.next("ws", wait=float(sys.argv[3]))
print(json.dumps([task and task.id, time.time()]))
"""


def _crowd(code: str, board: str, number: int, *words: str) -> list[subprocess.Popen[str]]:
    # A hundred interpreters at once would measure the machine; forks of one would share its locks.
    return [
        subprocess.Popen(
            [sys.executable, "-c", code, board, f"agent-{n}", *words],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        )
        for n in range(number)
    ]  # fmt: skip


def _until_ready(board: str, number: int) -> None:
    deadline = time.monotonic() + 300
    while len(list(Path(board).glob("ready-*"))) < number:
        if time.monotonic() > deadline:
            raise RuntimeError("the crowd did not come together")
        time.sleep(0.05)


def _answers(crowd: list[subprocess.Popen[str]], part: Part, what: str) -> list[Any]:
    collected = []
    for process in crowd:
        out, err = process.communicate(timeout=300)
        if process.returncode:
            part.violated(f"{what}: exit {process.returncode}: {err[-300:]}")
        else:
            collected.append(json.loads(out))
    return collected


def crowd_at_the_lock(part: Part) -> None:
    """Many processes that write as fast as possible: the longest wait, and the fewest turns of a process."""
    folder = fast_folder()
    board = f"{folder}/board"
    number, seconds = (16, 4) if part.quick else (100, 60)
    try:
        Orchestrator.open(board).workstreams.create("ws")
        crowd = _crowd(_TURNS, board, number, str(seconds))
        _until_ready(board, number)
        Path(board, "go").touch()
        waits = _answers(crowd, part, "crowd at the lock")
        turns = sorted(len(w) for w in waits)
        each = sorted(w for all_of_one in waits for w in all_of_one)
        part.count("turns at the lock", sum(turns))
        part.figures[f"{number} at the lock for {seconds} s"] = {
            "longest wait s": round(each[-1], 2),
            "p99 s": round(each[len(each) * 99 // 100], 3),
            "turns": {"fewest": turns[0], "median": statistics.median(turns), "most": turns[-1]},
            "fairness (Jain; 1 is even)": round(
                sum(turns) ** 2 / (len(turns) * sum(t * t for t in turns)), 2
            ),
        }
        if turns[0] == 0:
            part.violated("a process got no turn at the lock")
        if each[-1] > 10:
            part.violated(
                f"a process waited {each[-1]:.1f} s for the lock: over the default timeout"
            )
        if wrong := whole(board, []):
            part.violated(f"crowd at the lock: {wrong}")
    finally:
        shutil.rmtree(folder)


def crowd_at_next(part: Part) -> None:
    """Many processes wait for tasks: each task goes to one of them, soon, and each process gets some."""
    folder = fast_folder()
    board = f"{folder}/board"
    number = 16 if part.quick else 100
    try:
        orc = Orchestrator.open(board, timeout=60)
        orc.workstreams.create("ws")
        crowd = _crowd(_NEXT, board, number, "120")
        _until_ready(board, number)
        time.sleep(1)
        added = {}
        for n in range(number):
            task = orc.tasks.add("ws", title=f"T{n}")
            added[task.id] = time.time()
            time.sleep(0.05)
        got = _answers(crowd, part, "crowd at next")
        waits = sorted(entry - added[id] for id, entry in got if id is not None)
        part.count("waiters at next", len(got))
        if len({id for id, _ in got}) != number or any(id is None for id, _ in got):
            part.violated("a task went to two processes, or to none")
        if waits:
            part.figures[f"{number} waiting with `t next --wait`"] = {
                "longest s": round(waits[-1], 2),
                "median s": round(statistics.median(waits), 3),
            }
    finally:
        shutil.rmtree(folder)


def body(part: Part) -> None:
    os.environ.update({"PYTHONPATH": str(ROOT)})
    for name in ("ORCHESTRATOR_DIR", "ORC_AGENT", "ORC_REQUEST_ID"):
        os.environ.pop(name, None)
    for trial in (
        full_disk, no_inodes, file_size, descriptors, read_only, clocks, stopped_holder, reused_pid,
        crowd_at_the_lock, crowd_at_next,
    ):  # fmt: skip
        try:
            trial(part)
        except PermissionError as error:
            part.skip(trial.__name__, f"{error}")
        except OrchestratorError as error:
            part.violated(f"{trial.__name__}: {error.code}: {error.message}")
        part.figures[f"seconds after {trial.__name__}"] = round(part.seconds(), 1)


if __name__ == "__main__":
    run("limits", body)
