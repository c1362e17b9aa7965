"""Parts 1 and 2: a fault in every system call that a command makes on the board's files.

First every command runs once under ``strace``, which tells what it calls on which files of the board. Each
of these calls is then a place for a fault: the process is killed there, or the call fails with an error,
once or from then on (``strace -e inject``, restricted to the board's paths). The commands run on a sound
board (part 1) and on boards that have to be recovered first (part 2; see ``situations.py``).
``shim.py`` does the same inside Python, for what ``strace`` cannot reach.
"""

import argparse
import fnmatch
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.events import Recorded

from . import harness, shim
from .harness import LogContents
from .part import Part, fast_folder
from .situations import Command, Situation, make_all

SYSCALLS = (
    *(
        "openat",
        "read",
        "write",
        "pread64",
        "pwrite64",
        "lseek",
        "getdents64",
        "readlink",
        "access",
    ),
    *(
        "fdatasync",
        "fsync",
        "ftruncate",
        "rename",
        "renameat",
        "renameat2",
        "link",
        "linkat",
        "unlink",
    ),
    *("unlinkat", "mkdir", "mkdirat", "utimensat", "flock", "newfstatat", "statx", "faccessat2"),
    *("fchmod", "fchmodat", "chmod", "sendfile", "copy_file_range"),
)

ERRORS = ("EIO", "ENOSPC", "EDQUOT", "EROFS")
FAULTS = (
    ("SIGKILL", "once"),
    ("SIGINT", "once"),
    ("SIGTERM", "once"),
    ("EINTR", "once"),
    *((error, mode) for error in ERRORS for mode in ("once", "on")),
)
"""What happens at a place, and whether it goes on happening."""

REQUEST = "sweep-1"
_PID = "$$"
_TIME = re.compile(r"\d{8}T\d{6}")
_PLACE = re.compile(r"orchestrator/(\w+/?\w*\.py\", line \d+, in \w+)")
_LINE = re.compile(r"^\d+ +(\w+)\((.*)$")
_PATH = re.compile(r'"((?:[^"\\]|\\.)*)"|<([^>]*)>')


@dataclass
class Reference:
    """The effects of a command without a fault.

    Attributes:
        types: The types of the events that it records.
        places: How often it makes each system call on files of the board.
        paths: These files, as ends of the board's path; ``$$`` stands for the process id.
        unreached: Calls on files with a time in their names, which are not known in advance.
    """

    status: int
    types: list[str]
    out: str
    places: dict[str, int]
    paths: list[str]
    unreached: int


@dataclass(frozen=True)
class Case:
    """A run with a fault at the ``number``-th call of ``syscall`` that a command makes on the board."""

    situation: str
    command: str
    syscall: str
    number: int
    fault: str
    mode: str

    @property
    def name(self) -> str:
        return (
            f"{self.situation}:{self.command}/{self.syscall}#{self.number}/{self.fault}/{self.mode}"
        )


class Sweep:
    """The boards, the references, and the runs; one in each process."""

    def __init__(self, folder: str, situations: list[Situation]) -> None:
        self.folder = folder
        self.situations = {situation.name: situation for situation in situations}
        self._told: dict[str, LogContents] = {}
        self._runs = 0

    def command(self, situation: str, name: str) -> Command:
        return next(c for c in self.situations[situation].commands if c.name == name)

    def before(self, situation: Situation) -> LogContents:
        if situation.name not in self._told:
            self._told[situation.name] = harness.read_contents(situation.board)
        return self._told[situation.name]

    def copy(self, situation: Situation) -> str:
        """A fresh copy of the board."""
        self._runs += 1
        board = f"{self.folder}/run-{os.getpid()}-{self._runs}"
        if os.path.isdir(situation.board):
            shutil.copytree(situation.board, board, copy_function=shutil.copy2, symlinks=True)
            link_again(situation.board, board)
            for path in Path(board, "state", "presence").glob("*"):  # present as when it was made
                seen = path.stat().st_mtime + time.time() - situation.made
                os.utime(path, (seen, seen))
        return board

    def refer(self, situation: Situation, command: Command) -> Reference:
        """Run a command without a fault, and note its effects."""
        board = self.copy(situation)
        status, out, errors, trace = _run(situation, command, board, [], [])
        came = _came(situation, self.before(situation), harness.read_contents(board))
        if status != 0:
            raise RuntimeError(f"{situation.name}:{command.name} fails by itself: {errors}")
        places: Counter[str] = Counter()
        paths: set[str] = set()
        unreached = 0
        for syscall, touched in _calls(trace, board):
            fixed = {path for path in touched if not _TIME.search(path)}
            paths |= fixed
            if fixed:
                places[syscall] += 1
            else:
                unreached += 1
        shutil.rmtree(board)
        return Reference(status, came, out, dict(places), sorted(paths), unreached)

    def run(self, case: Case, reference: Reference) -> tuple[str, list[str]]:
        """Run a case; return the outcome of the command and the violations."""
        situation = self.situations[case.situation]
        command = self.command(case.situation, case.command)
        board = self.copy(situation)
        what = f"signal={case.fault}" if case.fault.startswith("SIG") else f"error={case.fault}"
        when = f"{case.number}{'+' if case.mode == 'on' else ''}"
        inject = ["-e", f"inject={case.syscall}:{what}:when={when}"]
        status, out, errors, trace = _run(situation, command, board, inject, reference.paths)
        reached = status is None or "(INJECTED)" in trace or "--- SIG" in trace
        try:
            wrong = judge(
                situation,
                command,
                board,
                self.before(situation),
                reference.types,
                (reference.status, status),
                out,
                errors,
            )
            if status == reference.status and reference.types:
                wrong += _unsynced(trace, board)
        finally:
            shutil.rmtree(board, ignore_errors=True)
        outcome = "killed" if status is None else f"exit {status}"
        if wrong:
            wrong.append(f"it ended with {outcome}, saying {errors.strip()[-900:]!r}")
        return outcome if reached else "not reached", wrong


def judge(
    situation: Situation,
    command: Command,
    board: str,
    before: LogContents,
    expected: list[str],
    statuses: tuple[int, int | None],
    out: str,
    errors: str,
) -> list[str]:
    """The violations on a board after a command with a fault.

    Args:
        statuses: The exit status of a sound run, and the one of this run (None: it was killed).
    """
    usual, status = statuses
    if not os.path.isdir(f"{board}/state"):  # a board that was not even made
        return [] if status != usual else ["acknowledged, and there is no board"]
    after = harness.read_contents(board)
    came = _came(situation, before, after)
    reported = 0 if status == usual else status
    if command.partly and status in (1, 4):
        reported = harness.UNKNOWN
    wrong = [
        *harness.older_is_whole(before, after),
        *harness.outcome_holds(reported, came, expected, errors=errors),
        *(harness.snapshot_agrees(board, after) if situation.name != "bad-snapshot" else ()),
        *_knowledge_is_whole(situation, board, after),
        *_kept(before, board, after),
    ]
    if status not in (None, harness.UNKNOWN) and after.rest and not before.rest:
        wrong.append(f"exit {status} left {after.rest[:60]!r} behind the log")
    if command.repeats:
        wrong += _repeat(situation, command, board, before, expected, out if status == 0 else None)
    wrong += harness.next_command_works(board)
    wrong += harness.doctor_finds_no_damage(board)
    wrong += harness.fixing_twice_equals_once(board)
    wrong += _knowledge_is_shown(board)
    wrong += harness.older_is_whole(before, harness.read_contents(board))
    return wrong


def _repeat(
    situation: Situation,
    command: Command,
    board: str,
    before: LogContents,
    expected: list[str],
    first: str | None,
) -> Iterator[str]:
    """Check that a repeated request has a single effect, and the same first line."""
    words = situation.line(command)
    status, out, errors = harness.cli(board, *words, "--request-id", REQUEST)
    if status != 0:
        yield f"repeating the request ends with {status}: {errors.strip()}"
        return
    came = _came(situation, before, harness.read_contents(board))
    if came != expected:
        yield f"repeating the request: {came} came of {expected}"
    if first and out.partition("\n")[0] != first.partition("\n")[0]:
        yield f"repeating the request prints {out!r}, and before it printed {first!r}"


def _came(situation: Situation, before: LogContents, after: LogContents) -> list[str]:
    """The types of the events that a command recorded, without those that a repair restored."""
    came = harness.new_types(before, after)
    lost = min(situation.lost, len(came))
    return came[lost:]


def _kept(before: LogContents, board: str, after: LogContents) -> Iterator[str]:
    """Check that the torn tail is still in the log, or in a file of the quarantine."""
    rest = before.rest
    if (
        not rest
        or after.rest.startswith(rest)
        or after.committed.startswith(before.committed + rest)
    ):
        return
    aside = harness.files(board, "state/quarantine").values()
    if rest not in aside:
        yield f"the torn tail of {len(rest)} bytes is gone"


def _knowledge_is_whole(situation: Situation, board: str, after: LogContents) -> Iterator[str]:
    """Check that every knowledge file is unchanged, equals a version in the log, or is missing as before."""
    was = harness.files(situation.board, "knowledge")
    texts = {_content(entry) for entry in after.events if entry.type == "knowledge.written"}
    now = harness.files(board, "knowledge")
    for path, data in now.items():
        if not path.endswith(".new") and data != was.get(path) and data not in texts:
            yield f"{path} is neither old nor new: {data[:60]!r}"
    topics = after.fold.knowledge
    for path in was.keys() - now.keys():
        topic = topics.get(Path(path).stem)
        if not path.endswith(".new") and not (topic and topic.deleted):
            yield f"{path} is gone"


def _content(version: Recorded) -> bytes:
    """The content of a topic's file after the event of a version."""
    payload = json.loads(bytes(version.payload))
    return f"{payload['text']}{chr(10) if payload.get('newline') else ''}".encode()


def _knowledge_is_shown(board: str) -> Iterator[str]:
    """Check that after all repairs the files match the log."""
    after = harness.read_contents(board)
    for name, topic in after.fold.knowledge.items():
        path = Path(board, "knowledge", f"{name}.md")
        if topic.deleted:
            if path.exists():
                yield f"{path.name} is deleted, and is there"
            continue
        written = after.events[topic.versions[-1] - 1]
        if not path.exists() or path.read_bytes() != _content(written):
            yield f"{path.name} is not the last version of the log"


def _unsynced(trace: str, board: str) -> Iterator[str]:
    """Check by the trace of system calls that acknowledged events were synced after the last write."""
    log, new, state = (
        f"{board}/state{name}" for name in ("/events.jsonl", "/events.jsonl.new", "")
    )
    dirty = {log: False, new: False, state: False}
    for line in trace.splitlines():
        done = _LINE.match(line)
        if done is None or " = -1 " in line or "?" in line[-12:]:
            continue
        syscall, rest = done.groups()
        touched = {path for match in _PATH.findall(rest) for path in match if path in dirty}
        if syscall in ("write", "pwrite64"):
            dirty.update(dict.fromkeys(touched, True))
        elif syscall in ("fsync", "fdatasync"):
            dirty.update(dict.fromkeys(touched, False))
        elif syscall.startswith("rename") and log in touched and new in touched:
            dirty[log], dirty[new], dirty[state] = dirty[new], False, True
    left = [os.path.relpath(path, board) for path, is_dirty in dirty.items() if is_dirty]
    if left:
        yield f"acknowledged, and not synced: {left}"


def link_again(source: str, copy: str) -> None:
    """Restore a hard link: a copy makes two files of two names of a file."""
    first: dict[int, str] = {}
    for top, _, names in os.walk(source):
        for name in names:
            path = f"{top}/{name}"
            status = os.stat(path)
            if status.st_nlink > 1:
                target = copy + path[len(source) :]
                if status.st_ino in first:
                    os.unlink(target)
                    os.link(first[status.st_ino], target)
                else:
                    first[status.st_ino] = target


def _run(
    situation: Situation, command: Command, board: str, inject: list[str], paths: list[str]
) -> tuple[int | None, str, str, str]:
    """Run a command line under strace: exit status, stdout, stderr, trace."""
    trace = f"{board}.trace"
    strace = ["strace", "-D", "-f", "-y", "-s", "0", "-o", trace]
    if not any("signal=" in word for word in inject):  # together with it, signals are not delivered
        strace.append("--seccomp-bpf")
    strace += ["-e", f"trace={','.join(SYSCALLS)}", *inject]
    for path in paths:
        strace += ["-P", board + path]
    request = ["--request-id", REQUEST] if command.repeats else []
    situation.words["board"] = board
    line = [*_program(situation), "--board", board, *situation.line(command), *request]
    # `strace -D` becomes the command, so the shell knows the process id that stands in temporary names.
    quoted = " ".join(_quoted(word) for word in [*strace, *line])
    child = subprocess.run(
        ["/bin/sh", "-c", f"exec {quoted}"],
        cwd=harness.ROOT,
        env=harness.environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    errors = Path(trace).read_text(errors="replace") if os.path.exists(trace) else ""
    Path(trace).unlink(missing_ok=True)
    killed = child.returncode == -signal.SIGKILL
    return None if killed else child.returncode, child.stdout, child.stderr, errors


def _program(situation: Situation) -> list[str]:
    if situation.segment_size is None:
        return [harness.PYTHON, "cli.py"]
    return [harness.PYTHON, "-m", "tests.stress.sealing", str(situation.segment_size)]


def _quoted(word: str) -> str:
    """A word quoted for the shell, where ``$$`` stays the process id."""
    return '"' + re.sub(r'(["`\\])', r"\\\1", word) + '"'


def _calls(trace: str, board: str) -> Iterator[tuple[str, set[str]]]:
    """Each call on files of the board: its name, and the files, as ends of the board's path."""
    for line in trace.splitlines():
        called = _LINE.match(line)
        if called is None:
            continue
        pid = line.split(" ", 1)[0]
        touched = {
            path[len(board) :].replace(f".{pid}-", f".{_PID}-")
            for match in _PATH.findall(called[2])
            for path in match
            if path == board or path.startswith(board + "/")
        }
        if touched:
            yield called[1], touched


# The suite


_sweep: Sweep | None = None


def _begin(folder: str, situations: list[Situation]) -> None:
    global _sweep
    _sweep = Sweep(folder, situations)


def _refer(situation: str, command: str) -> Reference:
    assert _sweep is not None
    return _sweep.refer(_sweep.situations[situation], _sweep.command(situation, command))


def _run_case(case: Case, reference: Reference) -> tuple[str, list[str]]:
    assert _sweep is not None
    try:
        return _sweep.run(case, reference)
    except subprocess.TimeoutExpired:
        return "hung", ["the command did not end within two minutes"]
    except Exception:
        return "no verdict", [f"there is no verdict: {traceback.format_exc()}"]


def _run_inside(case: "shim.Case", types: list[str]) -> tuple[str, list[str]]:
    assert _sweep is not None
    try:
        return shim.run(_sweep, case, types)
    except Exception:
        return "no verdict", [f"there is no verdict: {traceback.format_exc()}"]


def cases_of(situation: str, command: str, reference: Reference) -> Iterator[Case]:
    """Every fault at every place of a command."""
    for syscall, count in reference.places.items():
        for number in range(1, count + 1):
            for fault, mode in FAULTS:
                yield Case(situation, command, syscall, number, fault, mode)


def sweep(part: Part, *, runs: int | None, only: str | None, seconds: float, jobs: int) -> None:
    """Run the cases: all of them, or a sample that the seed chooses."""
    folder = fast_folder()
    situations = make_all(f"{folder}/boards")
    try:
        with ProcessPoolExecutor(jobs, initializer=_begin, initargs=(folder, situations)) as pool:
            _sweep_in(pool, part, situations, runs, only, seconds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep_in(
    pool: ProcessPoolExecutor,
    part: Part,
    situations: list[Situation],
    runs: int | None,
    only: str | None,
    seconds: float,
) -> None:
    pairs = [(situation, c) for situation in situations for c in situation.commands]
    if only:
        pairs = [pair for pair in pairs if _wanted(f"{pair[0].name}:{pair[1].name}", only)] or pairs
    if runs is not None and runs < len(pairs) * 4:
        pairs = part.random.sample(pairs, max(1, min(len(pairs), runs // 4)))
    names = [(situation.name, command.name) for situation, command in pairs]
    references = dict(
        zip(names, pool.map(_refer, *zip(*names, strict=True), chunksize=2), strict=True)
    )
    every: list[Case | shim.Case] = []
    for (situation, command), reference in references.items():
        every += cases_of(situation, command, reference)
        every += shim.cases_of(situation, command, sum(reference.places.values()))
    if only:
        every = [
            case for case in every if fnmatch.fnmatchcase(case.name, only) or case.name == only
        ]
    part.figures["commands on boards"] = len(references)
    part.figures["places"] = sum(sum(r.places.values()) for r in references.values())
    part.figures["calls on files named by a time (swept inside Python)"] = sum(
        reference.unreached for reference in references.values()
    )
    part.figures["cases there are"] = len(every)
    chosen = every if runs is None or runs >= len(every) else _sample(part.random, every, runs)
    _carry_out(pool, part, chosen, references, seconds)


def _wanted(name: str, only: str) -> bool:
    return fnmatch.fnmatchcase(name, only.split("/")[0])


def _sample(
    chance: random.Random, every: "list[Case | shim.Case]", runs: int
) -> "list[Case | shim.Case]":
    """A sample: three quarters from outside the process, a quarter from inside; all faults equally often."""
    by_fault: dict[tuple[bool, str, str], list[Case | shim.Case]] = {}
    for case in every:
        by_fault.setdefault((isinstance(case, Case), case.fault, case.mode), []).append(case)
    chosen: list[Case | shim.Case] = []
    for outside in (True, False):
        kinds = [cases for key, cases in by_fault.items() if key[0] == outside]
        share = (runs * 3 // 4 if outside else runs // 4) // max(len(kinds), 1) + 1
        for cases in kinds:
            chosen += chance.sample(cases, min(len(cases), share))
    chance.shuffle(chosen)
    return chosen[:runs]


def _carry_out(
    pool: ProcessPoolExecutor,
    part: Part,
    chosen: "list[Case | shim.Case]",
    references: dict[tuple[str, str], Reference],
    seconds: float,
) -> None:
    deadline = time.monotonic() + seconds
    waiting = iter(chosen)
    running: list[tuple[Case | shim.Case, object]] = []
    ended = 0
    kinds: dict[str, list[str]] = {}
    while True:
        while len(running) < 8 and time.monotonic() < deadline:
            case = next(waiting, None)
            if case is None:
                break
            reference = references[case.situation, case.command]
            if isinstance(case, Case):
                running.append((case, pool.submit(_run_case, case, reference)))
            else:
                running.append((case, pool.submit(_run_inside, case, reference.types)))
        if not running:
            break
        case, future = running.pop(0)
        outcome, wrong = future.result()  # type: ignore[attr-defined]
        ended += 1
        if ended % 500 == 0:
            _say(f"  {ended} of {len(chosen)} runs, {len(part.violations)} violations")
        inside = "" if isinstance(case, Case) else "inside Python: "
        part.count(f"{inside}{case.fault}, then {outcome}")
        if wrong:
            kinds.setdefault(_kind(wrong), []).append(case.name)
            replay = f"python -m tests.stress.sweep --only '{case.name}'"
            part.violated(f"{'; '.join(wrong)} -- {replay}", case.name)
    part.figures["runs"] = ended
    for kind, names in kinds.items():
        part.figures[f"{len(names)} x {kind}"] = names[:3]
    if ended < len(chosen):
        part.skip(f"{len(chosen) - ended} of {len(chosen)} runs", f"{seconds:g} s were over")


def _kind(wrong: list[str]) -> str:
    """The key of a kind of violation: the rule, and the origin of the error."""
    places = _PLACE.findall(wrong[-1]) or _PLACE.findall(wrong[0])
    what = re.sub(r"\d+|sweep-\S+|/dev/shm\S+", "_", wrong[0])[:120]
    return f"{what} {places[-1] if places else ''}"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    """Be the program."""
    parser = argparse.ArgumentParser(prog="python -m tests.stress.sweep")
    parser.add_argument("--quick", action="store_true", help="the short form that CI runs")
    parser.add_argument("--runs", type=int, help="how many; 3000 if not given")
    parser.add_argument("--all", action="store_true", help="every case there is (hours)")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--only", metavar="CASE", help="one case, or a pattern with *")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no run after")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2)
    parser.add_argument("--json", metavar="FILE", help="also write the figures there")
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else (1 if given.quick else int(time.time()))
    part = Part("sweep", quick=given.quick, seed=seed)
    runs = given.runs or (150 if given.quick else 3000)
    if shutil.which("strace") is None:
        part.skip("everything", "there is no strace here")
    else:
        sweep(
            part,
            runs=None if given.all or given.only else runs,
            only=given.only,
            seconds=given.seconds,
            jobs=given.jobs,
        )
    part.show()
    if given.json:
        Path(given.json).write_text(json.dumps(part.record(), default=repr))
    sys.exit(1 if part.violations else 0)


if __name__ == "__main__":
    main()
