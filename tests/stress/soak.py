"""Part 5: many processes on the same board, killed at random and started again.

Every worker keeps a journal: what it is about to do, with which request id, and the answer. A worker that was
killed begins its next life by repeating its unfinished command. At the end the journals are compared with the
log.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator import Orchestrator
from orchestrator.core.errors import Damage, InputOutputError, OrchestratorError, OutcomeUnknown
from orchestrator.core.events import Recorded
from orchestrator.interfaces.cli.main import process

from . import harness
from .part import Part, fast_folder

STREAMS = ("build", "docs", "ops")
RESOURCES = ("git", "db:main", "cache", "src/a.py")
TOPICS = ("findings", "plan", "risks")

MIX = (
    ("add", 16),
    ("next", 26),
    ("complete", 18),
    ("release", 4),
    ("fail", 4),
    ("renew", 4),
    ("note", 8),
    ("lock", 6),
    ("lock-renew", 2),
    ("unlock", 5),
    ("kb", 2),
    ("kb-append", 2),
    ("log", 5),
    ("pair", 2),
    ("archive", 1),
    ("stale", 3),
    ("delete-snapshot", 0.1),
)
"""What workers do, and how often."""

BY_CLI, BY_PROCESS = 0.05, 0.008
"""Shares of the commands that go through the command line in a forked child, and in a new process."""


class Worker:
    """One life of a worker.

    Args:
        life: Counts the lives; names and randomness follow from it.
    """

    mix: tuple[tuple[str, float], ...] = MIX

    def __init__(self, board: str, journal: str, number: int, life: int, seed: int) -> None:
        self.board = board
        self.path = journal
        self.chance = random.Random(f"{seed}-{number}-{life}")
        # A name of its own for a few lives: leases of the dead are to end, not to be renewed.
        self.agent = f"w{number}-{life % 5}"
        self.life = f"{number}.{life}"
        self.orc = Orchestrator.open(board, agent=self.agent, timeout=30.0)
        self.held: list[tuple[str, int]] = []
        self.ended: list[tuple[str, int]] = []
        self.count = 0
        self.journal = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write(self, record: dict[str, Any], *, sync: bool = False) -> None:
        os.write(self.journal, json.dumps(record).encode() + b"\n")
        if sync:
            os.fsync(self.journal)

    def live(self) -> None:
        """Finish what the last life had begun, then work for ever."""
        begun = _unfinished(self.path)
        if begun is not None:
            self.carry_out(begun["words"], begun["request"], begun["way"], repeated_at=self.head())
        names, weights = zip(*self.mix, strict=True)
        while True:
            self.step(self.chance.choices(names, weights)[0])

    def head(self) -> int:
        """The last event of the log."""
        return self.orc.events.read(last=1)[-1].id

    def delete_snapshot(self) -> None:
        Path(self.board, "state", "state.json").unlink(missing_ok=True)

    def step(self, what: str) -> None:
        if what == "delete-snapshot":
            self.delete_snapshot()
        elif what == "pair":
            self.pair()
        else:
            words = self.words(what)
            if words is not None:
                self.count += 1
                dice = self.chance.random()
                way = "process" if dice < BY_PROCESS else "cli" if dice < BY_CLI else "api"
                request = f"{self.life}-{self.count}"
                self.carry_out([*words, "--agent", self.agent], request, way)

    def pair(self) -> None:
        """Two events in one commit, without a request."""
        self.count += 1
        name = f"{self.life}-{self.count}"
        try:
            with self.orc.transaction():
                for half in (1, 2):
                    self.orc.events.log(self.agent, "pair", name=name, half=half)
        except OrchestratorError as error:
            self.write({"pair": name, "error": error.code})
        else:
            self.write({"pair": name}, sync=True)

    def words(self, what: str) -> list[str] | None:
        """The command line of a step; None if no record for it exists."""
        text = f"{what} of {self.life} at {self.count}"
        stream, topic = self.chance.choice(STREAMS), self.chance.choice(TOPICS)
        resource = self.chance.choice(RESOURCES)
        lease = f"{self.chance.choice((0.2, 0.5, 2, 20))}s"
        simple = {
            "add": ["task", "add", stream, text, "--priority", str(self.chance.randrange(1, 6))],
            "next": ["task", "next", stream, "--lease", lease],
            "lock": ["lock", "acquire", resource, "--ttl", lease],
            "lock-renew": ["lock", "renew", resource],
            "unlock": ["lock", "release", resource],
            "kb": ["kb", "write", topic, text],
            "kb-append": ["kb", "append", topic, text],
            "log": ["events", "log", "said", f"text={text}"],
            "archive": ["task", "archive", "--older-than", "1s"],
        }
        if what in simple:
            return simple[what]
        among = self.ended if what == "stale" else self.held
        if not among:
            return None
        task, token = self.chance.choice(among)
        if what == "note":
            return ["task", "note", task, text]
        if what in ("complete", "release", "fail"):
            self.held.remove((task, token))
            self.ended = [*self.ended[-20:], (task, token)]
        verb = "complete" if what == "stale" else what
        rest = ["--lease", lease] if what == "renew" else []
        return ["task", verb, task, *rest, "--token", str(token)]

    def carry_out(
        self, words: list[str], request: str, way: str, *, repeated_at: int | None = None
    ) -> None:
        """Journal, do, journal.

        Args:
            repeated_at: Repeat the command of an earlier life; the last event before it.
        """
        start = time.monotonic()
        about = {"request": request, "words": words, "way": way, "start": start}
        self.write({**about, "state": "begun"})
        status, value = getattr(self, f"by_{way}")(words, request)
        end = time.monotonic()
        ended = {**about, "state": "ended", "status": status, "end": end}
        self.write({**ended, "repeated_at": repeated_at}, sync=True)
        if status == 0 and words[1] == "next" and value:
            self.held.append((value["id"], value["token"]))

    def by_api(self, words: list[str], request: str) -> tuple[int | str, Any]:
        try:
            return harness.on(self.orc, words, request)
        except (Damage, InputOutputError, OutcomeUnknown) as error:
            return f"{error.code}: {error.message}", None
        except OrchestratorError as error:
            return error.exit_status, None
        except Exception:
            return traceback.format_exc(), None

    def by_cli(self, words: list[str], request: str) -> tuple[int | str, Any]:
        """The command line in a forked child, as the programs run it."""
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.dup2(write, 1)
            os.dup2(write, 2)
            process(argv=["--board", self.board, *words, "--request-id", request, "--json"])
        os.close(write)
        with open(read, "rb") as file:
            output = file.read()
        return _told(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), output)

    def by_process(self, words: list[str], request: str) -> tuple[int | str, Any]:
        """The command line as people run it."""
        line = [harness.PYTHON, "cli.py", "--board", self.board, *words]
        child = subprocess.run(
            [*line, "--request-id", request, "--json"],
            cwd=harness.ROOT,
            env=harness.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            close_fds=False,
            check=False,
        )
        return _told(child.returncode, child.stdout)


def _told(status: int, output: bytes) -> tuple[int | str, Any]:
    if status in (4, 74, 75) or b"Traceback" in output or status < 0:
        return f"exit {status}: {output.decode(errors='replace')[-800:]}", None
    if status == 0:
        lines = [line for line in output.splitlines() if not line.startswith(b"Warning: ")]
        output = b"\n".join(lines)
        return 0, json.loads(lines[-1]) if lines and lines[-1][:1] == b"{" else json.loads(output)
    return status, None


def _unfinished(path: str) -> dict[str, Any] | None:
    """The command that was begun and not ended, by the journal."""
    if not os.path.exists(path):
        return None
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - 8192))
        last = file.read().rstrip(b"\n").rpartition(b"\n")[2]
    record = json.loads(last or b"{}")
    return record if record.get("state") == "begun" else None


# The parent


class Soak:
    """Starts the workers, kills them, and starts them again."""

    worker = Worker

    def __init__(self, folder: str, processes: int, seed: int) -> None:
        self.folder = folder
        self.board = f"{folder}/board"
        self.seed = seed
        self.chance = random.Random(seed)
        self.lives = dict.fromkeys(range(processes), 0)
        self.living: dict[int, int] = {}
        self.kills = 0
        self.died: list[str] = []
        # Every descendant holds the writing end; when it is closed everywhere, all are gone.
        self._gone, self._alive = os.pipe()
        os.set_inheritable(self._alive, True)

    def journal(self, number: int) -> str:
        return f"{self.folder}/journal-{number}"

    def prepare(self) -> None:
        with Orchestrator.open(self.board) as orc:
            for stream in STREAMS:
                orc.workstreams.create(stream)

    def start(self, number: int) -> None:
        self.lives[number] += 1
        pid = os.fork()
        if pid == 0:
            self._be(number)
        self.living[pid] = number

    def _be(self, number: int) -> None:
        os.setpgid(0, 0)
        os.close(self._gone)
        errors = f"{self.folder}/errors-{number}"
        try:
            journal, life = self.journal(number), self.lives[number]
            self.worker(self.board, journal, number, life, self.seed).live()
        except BaseException:
            Path(errors).write_text(traceback.format_exc())
        finally:
            os._exit(1)

    def work(self, seconds: float, kills_a_second: float) -> None:
        for number in self.lives:
            self.start(number)
        begun = time.monotonic()
        while (passed := time.monotonic() - begun) < seconds:
            time.sleep(0.01)
            self.interfere(passed / seconds)
            self._bury()
            while self.kills < passed * kills_a_second:
                self._kill(self.chance.choice(list(self.living)))
        for pid in list(self.living):
            self._kill(pid, again=False)
        os.close(self._alive)
        os.read(self._gone, 1)  # nothing comes; it ends when nobody is left

    def interfere(self, passed: float) -> None:
        """Do what else may happen meanwhile; here nothing.

        Args:
            passed: The part of the time that has passed.
        """

    def _kill(self, pid: int, *, again: bool = True) -> None:
        """Kill a worker, every second time together with its command line."""
        number = self.living.pop(pid)
        # The group is there as soon as the child has run; before, there is only the child.
        try:
            (os.killpg if self.chance.random() < 0.5 else os.kill)(pid, signal.SIGKILL)
        except ProcessLookupError:
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        self.kills += 1
        if again:
            self.start(number)

    def _bury(self) -> None:
        """Note a violation: a worker ended without being killed."""
        for pid in list(self.living):
            if os.waitpid(pid, os.WNOHANG)[0]:
                number = self.living.pop(pid)
                errors = Path(f"{self.folder}/errors-{number}")
                self.died.append(errors.read_text() if errors.exists() else f"worker {number}")
                self.start(number)


# The verdict


def judge(part: Part, soak: Soak) -> None:
    """Compare the journals with the log."""
    log = harness.read_contents(soak.board)
    if log.problem and not log.torn:
        part.violated(f"the log is damaged: {log.problem}")
    records = [json.loads(line) for number in soak.lives for line in _lines(soak.journal(number))]
    for died in soak.died:
        part.violated(f"a worker ended by itself: {died[-1500:]}")
    wrong = [
        *_acknowledged(records, log.events),
        *_in_order(records, log.events),
        *_leases(log.events),
        *_locks(log.events),
        *_tokens(records, log.events),
        *_pairs(records, log.events),
    ]
    for violation in wrong:
        part.violated(violation)
    for violation in harness.all_hold(soak.board, log):
        part.violated(violation)
    _figures(part, soak, records, log.events)


def _lines(path: str) -> list[bytes]:
    return Path(path).read_bytes().splitlines() if os.path.exists(path) else []


def _commits(events: list[Recorded]) -> Iterator[tuple[str, int, int]]:
    """Request, first and last event of every commit that answered one."""
    for entry in events:
        if entry.req is not None:
            yield entry.req.id, entry.req.first, entry.id


def _acknowledged(records: list[dict[str, Any]], events: list[Recorded]) -> Iterator[str]:
    """Check that acknowledged commands are in the log once, and refused ones are not."""
    times = Counter(request for request, _, _ in _commits(events))
    last = {request: last for request, _, last in _commits(events)}
    for request, number in times.items():
        if number > 1:
            yield f"request {request} was committed {number} times"
    finished = {
        (entry.agent, json.loads(bytes(entry.payload))["task"])
        for entry in events
        if entry.type == "task.completed"
    }
    for record in records:
        status, request = record.get("status"), record.get("request")
        if status == 0 and request not in last and not _does_nothing(record, finished):
            yield f"acknowledged and lost: {record}"
        elif isinstance(status, str):
            yield f"an error that nothing explains: {record}"
        elif status not in (0, None) and _may_not_be(record, last.get(request, 0)):
            yield f"refused and there: {record}"


def _may_not_be(record: dict[str, Any], event: int) -> bool:
    """Whether the commit of a refused request, up to this event (0: none), breaks the promise.

    Half of the kills leave the command line of the worker running. Then two processes work on the same
    request: a refusal is true at its moment, and the other process may commit later.
    """
    repeated_at = record["repeated_at"]
    two_at_work = repeated_at is not None and record["way"] != "api"
    return 0 < event <= repeated_at if two_at_work else event > 0


def _does_nothing(record: dict[str, Any], finished: set[tuple[str, str]]) -> bool:
    """Whether a command may have logged nothing: there was nothing to archive, or it was completed before."""
    words = record["words"]
    agent = words[words.index("--agent") + 1] if "--agent" in words else ""
    is_again = words[:2] == ["task", "complete"] and (agent, words[2]) in finished
    return is_again or words[:2] == ["task", "archive"]


def _in_order(records: list[dict[str, Any]], events: list[Recorded]) -> Iterator[str]:
    """Check that events acknowledged before others began have lower ids."""
    where = {request: (first, last) for request, first, last in _commits(events)}
    # What was repeated may have been committed in the life before.
    done = [
        (record["start"], record["end"], *where[record["request"]])
        for record in records
        if record.get("status") == 0
        and record["repeated_at"] is None
        and record["request"] in where
    ]
    by_start = sorted(done)
    by_end = sorted(done, key=lambda interval: interval[1])
    highest, ended = 0, 0
    for start, _, first, _ in by_start:
        while ended < len(by_end) and by_end[ended][1] < start:
            highest = max(highest, by_end[ended][3])
            ended += 1
        if first <= highest:
            yield f"event {first} began after event {highest} was acknowledged"


def _payload(record: Recorded) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(bytes(record.payload))
    return payload


_ENDS = {"completed", "failed", "released", "lapsed", "blocked", "cancelled"}


def _leases(events: list[Recorded]) -> Iterator[str]:
    """Check that no task has two valid leases."""
    held: dict[str, tuple[str, str]] = {}
    for entry in events:
        noun, _, verb = entry.type.partition(".")
        if noun != "task" or verb not in {*_ENDS, "claimed", "renewed"}:
            continue
        facts = _payload(entry)
        task = facts["task"]
        holder, until = held.get(task, ("", ""))
        if verb == "claimed":
            if holder and until > entry.ts:
                yield f"event {entry.id}: {entry.agent} claims {task}, {holder} has it until {until}"
            held[task] = (entry.agent, facts["until"])
        elif verb == "renewed":
            if holder != entry.agent:
                yield f"event {entry.id}: {entry.agent} renews {task}, which {holder or 'nobody'} has"
            held[task] = (entry.agent, facts["until"])
        else:
            if verb in ("completed", "failed", "released") and holder != entry.agent:
                yield f"event {entry.id}: {entry.agent} has {verb} {task}, which {holder or 'nobody'} has"
            if verb == "lapsed" and until > entry.ts:
                yield f"event {entry.id}: {task} lapsed before {until}"
            held.pop(task, None)


def _locks(events: list[Recorded]) -> Iterator[str]:
    """Check that no resource has two valid locks; all are exclusive here."""
    held: dict[str, tuple[str, str]] = {}
    for entry in events:
        noun, _, verb = entry.type.partition(".")
        if noun != "lock":
            continue
        facts = _payload(entry)
        resource = facts["resource"]
        holder, until = held.get(resource, ("", ""))
        if verb == "acquired":
            if holder not in ("", entry.agent) and until > entry.ts:
                yield f"event {entry.id}: {entry.agent} locks {resource}, {holder} has it until {until}"
            held[resource] = (entry.agent, facts["until"])
        elif verb == "renewed":
            if holder != entry.agent:
                yield f"event {entry.id}: {entry.agent} renews {resource}, which {holder} has"
            held[resource] = (entry.agent, facts["until"])
        elif verb in ("released", "lapsed") and holder == facts["holder"]:
            held.pop(resource, None)


def _completed_claims(events: list[Recorded]) -> set[tuple[str, int]]:
    """The tasks that were completed, each with the claim that it was completed under."""
    claims: dict[str, int] = {}
    completed: set[tuple[str, int]] = set()
    for entry in events:
        if entry.type == "task.claimed":
            claims[_payload(entry)["task"]] = entry.id
        elif entry.type == "task.completed":
            task = _payload(entry)["task"]
            completed.add((task, claims.get(task, 0)))
    return completed


def _tokens(records: list[dict[str, Any]], events: list[Recorded]) -> Iterator[str]:
    """Check that a step with a token happened during the claim of that token."""
    claims: dict[str, int] = {}
    steps: dict[str, tuple[str, int | None]] = {}
    first = {last: request for request, _, last in _commits(events)}
    group: list[tuple[str, int | None]] = []
    for entry in events:
        if (
            entry.type.startswith("task.")
            and entry.type != "task.archived"
            and entry.type != "task.added"
        ):
            task = _payload(entry)["task"]
            if entry.type == "task.claimed":
                claims[task] = entry.id
            elif entry.type != "task.noted":
                group.append((task, claims.get(task)))
        if not entry.more:
            if entry.id in first and group:
                steps[first[entry.id]] = group[0]
            group = []
    completed = _completed_claims(events)
    for record in records:
        if record.get("status") == 0 and "--token" in record["words"]:
            token = int(record["words"][record["words"].index("--token") + 1])
            task, claim = steps.get(record["request"], ("", None))
            wanted = (record["words"][2], token)
            # Completing again changes nothing; the claim must be that of the completion all the same.
            if (task, claim) != wanted and wanted not in completed:
                yield f"a step under an old token: {record}, the claim was {claim}"


def _pairs(records: list[dict[str, Any]], events: list[Recorded]) -> Iterator[str]:
    """Check that both halves of a commit are in the log, side by side, or none."""
    collected: dict[str, list[int]] = {}
    for entry in events:
        if entry.type == "pair":
            collected.setdefault(_payload(entry)["name"], []).append(entry.id)
    for name, ids in collected.items():
        if len(ids) != 2 or ids[1] != ids[0] + 1:
            yield f"half of a pair: {name} has the events {ids}"
    for record in records:
        if "pair" in record and ("error" in record) == (record["pair"] in collected):
            yield f"a pair differs from the report: {record}"


def _figures(part: Part, soak: Soak, records: list[dict[str, Any]], events: list[Recorded]) -> None:
    commits = sum(not entry.more for entry in events)
    part.figures["kills"] = soak.kills
    part.figures["commits"] = commits
    part.figures["events"] = len(events)
    part.figures["commits a second"] = round(commits / max(part.seconds(), 1))
    ended = [record for record in records if record.get("state") == "ended"]
    part.figures["acknowledged"] = sum(record["status"] == 0 for record in ended)
    part.figures["refused"] = dict(Counter(r["status"] for r in ended if r["status"] != 0))
    part.figures["steps refused for an old token or an ended task"] = sum(
        record["status"] != 0 and "--token" in record["words"] for record in ended
    )
    part.figures["begun by one life and ended by the next"] = sum(
        record["repeated_at"] is not None for record in ended
    )
    part.figures["ways"] = dict(Counter(record["way"] for record in ended))
    part.figures["torn tails set aside"] = len(harness.files(soak.board, "state/quarantine"))
    for type_name, number in Counter(entry.type for entry in events).items():
        part.count(type_name, number)


def main() -> None:
    """Be the program."""
    parser = argparse.ArgumentParser(prog="python -m tests.stress.soak")
    parser.add_argument("--quick", action="store_true", help="15 seconds")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--processes", type=int, default=20)
    parser.add_argument("--kills", type=float, default=8.0, help="a second")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--folder", help="where; in memory if not given")
    parser.add_argument("--json", metavar="FILE", help="also write the figures there")
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else (1 if given.quick else int(time.time()))
    part = Part("soak", quick=given.quick, seed=seed)
    folder = given.folder or fast_folder()
    soak = Soak(folder, given.processes, seed)
    soak.prepare()
    soak.work(given.seconds or (15.0 if given.quick else 300.0), given.kills)
    judge(part, soak)
    part.show()
    if given.json:
        Path(given.json).write_text(json.dumps(part.record(), default=repr))
    if part.violations:
        sys.stdout.write(f"The board and the journals are in {folder}\n")
    elif not given.folder:
        shutil.rmtree(folder)
    sys.exit(1 if part.violations else 0)


if __name__ == "__main__":
    main()
