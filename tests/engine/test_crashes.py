"""Crashes and failing disks at every system call of a command, on real files.

After each: no acknowledged event is lost, a command happened completely or not at all, the next command
works, repeating the request has a single effect, and the state is the fold of the log.
"""

import os
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest
from boards import SettableClock, as_text, check_law, saved_state

from orchestrator import InputOutputError, Orchestrator, OutcomeUnknown
from orchestrator.domain.workflows.compiled import CompiledFormula, CompiledStep
from orchestrator.maintenance.board_merge.merge import merge_board
from orchestrator.stores.files import FileStore
from orchestrator.stores.memory import MemoryStore

from . import faults
from .faults import Action, Faults, injected, named
from .test_cold import cold_at_once, named_cold_files

pytestmark = pytest.mark.needs("fork")

CLOCK = SettableClock()


@dataclass(frozen=True)
class Scene:
    """A board, and the command that is interrupted.

    Attributes:
        is_one_write: The command does what "one event" does to the disk, and has faults where its own
            events are written only.
        is_cold: The board has cold files, and the command moves records to them.
    """

    command: Callable[[Orchestrator], object]
    prepare: Callable[[Orchestrator], object] = lambda orc: None
    harm: Callable[[Path], object] = lambda folder: None
    segment_size: int = 64 << 20
    request: bool = True
    is_one_write: bool = False
    is_cold: bool = False


def prepare(orc: Orchestrator) -> None:
    orc.workstreams.create("build")
    for number in range(3):
        orc.tasks.add("build", title=str(number), agent="ann")


def prepare_agent(orc: Orchestrator) -> None:
    prepare(orc)
    orc.agents.register("ann")
    orc.tasks.next(agent="ann")
    orc.locks.acquire("git", agent="ann")


def prepare_topic(orc: Orchestrator) -> None:
    prepare(orc)
    orc.knowledge.write("findings", "one\n")


def add(orc: Orchestrator) -> object:
    return orc.tasks.add("build", title="new")


def many(orc: Orchestrator) -> None:
    with orc.transaction():
        orc.tasks.add("build", title="new")
        orc.tasks.next(agent="bob")
        orc.knowledge.write("findings", "two\n")


def log(folder: Path) -> Path:
    return folder / "state" / "events.jsonl"


def tear(folder: Path) -> None:
    with log(folder).open("ab") as file:
        file.write(b'{"id":5,"ts":"2026-11-21T06:13')


def take_newline(folder: Path) -> None:
    drop_snapshot(folder)
    os.truncate(log(folder), log(folder).stat().st_size - 1)


def drop_snapshot(folder: Path) -> None:
    (folder / "state" / "state.json").unlink()


def prepare_team(orc: Orchestrator) -> None:
    prepare(orc)
    for name in ("ann", "bob"):
        orc.agents.register(name)
    state = orc.engine.read()
    orc.convoys.create("release", [next(iter(state.tasks))], notify=["bob"])
    orc.mail.send("ann", "hi", "text", agent="bob")


def first(orc: Orchestrator) -> str:
    return next(iter(orc.engine.read().tasks))


def land(orc: Orchestrator) -> object:
    return orc.tasks.cancel(first(orc))


def read_mail(orc: Orchestrator) -> object:
    return orc.mail.read(orc.mail.inbox(agent="ann")[0].id, agent="ann")


def prepare_workflow(orc: Orchestrator) -> None:
    prepare(orc)
    orc.workflows.pour(WISP, workstream="build", ephemeral=True)
    orc.tasks.claim(f"{wisp(orc)}.a", agent="ann", lease="24h")


def wisp(orc: Orchestrator) -> str:
    return next(iter(orc.engine.read().workflows))


def burn(orc: Orchestrator) -> object:
    with orc.transaction():
        orc.tasks.release(f"{wisp(orc)}.a")
        return orc.workflows.burn(wisp(orc))


WISP = CompiledFormula(
    formula="made",
    steps=(CompiledStep(id="a", title="A"), CompiledStep(id="b", title="B", needs=("a",))),
)


def prepare_history(orc: Orchestrator) -> None:
    """Make several cold files of ended tasks and read mail; after one more file, they are merged."""
    prepare_team(orc)
    for number in range(5):
        task = orc.tasks.add("build", title=f"ended {number}")
        orc.tasks.claim(task.id, agent="ann")
        orc.tasks.complete(task.id, agent="ann")
        orc.mail.read(orc.mail.send("ann", "s", agent="bob").id, agent="ann")


def end_tasks(orc: Orchestrator) -> None:
    """End all open tasks: they go to a new cold file, and the older files are merged and then removed."""
    with orc.transaction():
        for task in orc.tasks.all(open=True):
            orc.tasks.cancel(task.id)


def merge(orc: Orchestrator) -> object:
    return merge_board(orc.engine, other_board().engine, name="other")


@cache
def other_board() -> Orchestrator:
    """A board with work of its own, and another text of a topic."""
    other = Orchestrator(MemoryStore(), now=CLOCK)
    prepare(other)
    other.knowledge.write("findings", "other\n")
    return other


ONE_WRITE = ["pwrite", "write", "sync_data", "write", "fsync", "replace", "fsync", "pwrite"]
"""What "one event" does to the disk: the holder, the log, the snapshot, the holder."""

SCENES = {
    "merge of a board": Scene(merge, prepare_topic),
    "pour": Scene(
        lambda orc: orc.workflows.pour(WISP, workstream="build"), prepare, is_one_write=True
    ),
    "advance": Scene(lambda orc: orc.workflows.advance(f"{wisp(orc)}.a"), prepare_workflow),
    "burn": Scene(burn, prepare_workflow, request=False, is_one_write=True),
    "dispatch": Scene(lambda orc: orc.dispatch.run(agent="boss"), prepare_team, is_one_write=True),
    "sling": Scene(
        lambda orc: orc.hooks.sling(first(orc), "ann", agent="boss"),
        prepare_team,
        is_one_write=True,
    ),
    "hang": Scene(lambda orc: orc.hooks.hang(first(orc), agent="ann"), prepare_team),
    "a convoy lands": Scene(land, prepare_team, is_one_write=True),
    "escalate": Scene(
        lambda orc: orc.sessions.escalate("x", agent="ann"), prepare_team, is_one_write=True
    ),
    "handoff": Scene(
        lambda orc: orc.sessions.handoff(note="x", agent="ann"), prepare_team, is_one_write=True
    ),
    "done": Scene(lambda orc: orc.sessions.done(agent="ann"), prepare_agent, is_one_write=True),
    "rename": Scene(lambda orc: orc.agents.rename("ann", "eve"), prepare_team, is_one_write=True),
    "read mail": Scene(
        lambda orc: orc.mail.read(orc.mail.inbox(agent="ann")[0].id, agent="ann"),
        prepare_team,
        is_one_write=True,
    ),
    "first commit": Scene(lambda orc: orc.workstreams.create("build")),
    "one event": Scene(add, prepare),
    "three events": Scene(many, prepare_topic, request=False),
    "retire": Scene(lambda orc: orc.agents.retire("ann"), prepare_agent, is_one_write=True),
    "new topic": Scene(lambda orc: orc.knowledge.write("findings", "one\n"), prepare),
    "another version": Scene(lambda orc: orc.knowledge.write("findings", "two\n"), prepare_topic),
    "delete topic": Scene(lambda orc: orc.knowledge.delete("findings"), prepare_topic),
    "seal": Scene(add, prepare, segment_size=600),
    "seal for a topic": Scene(
        lambda orc: orc.knowledge.write("findings", "two\n"), prepare_topic, segment_size=900
    ),
    "behind a torn tail": Scene(add, prepare, tear),
    "behind a lost newline": Scene(add, prepare, take_newline),
    "without a snapshot": Scene(add, prepare, drop_snapshot),
    "cold files": Scene(end_tasks, prepare_history, request=False, is_cold=True),
}


def open_board(folder: Path, scene: Scene) -> Orchestrator:
    store = FileStore(folder, segment_size=scene.segment_size, warn=lambda _: None)
    return Orchestrator(store, now=CLOCK, light=True)


def run(orc: Orchestrator, scene: Scene) -> object:
    if not scene.request:
        return scene.command(orc)
    with orc.request("crash-1"):
        return scene.command(orc)


class Stage:
    """One scene, set up once and copied for every fault."""

    def __init__(self, name: str, folder: Path) -> None:
        self.scene = SCENES[name]
        self.folder = folder
        self.original = folder / "original"
        self.original.mkdir(parents=True)
        with open_board(self.original, self.scene) as orc:
            self.scene.prepare(orc)
            self.before = orc.engine.read().event
        self.scene.harm(self.original)
        dry = self.copy()
        orc = open_board(dry, self.scene)
        with injected(Faults(faults.goes_through, 0)) as counted:
            run(orc, self.scene)
        self.calls = counted.names
        self.after = orc.engine.read().event
        assert self.after > self.before
        if self.scene.is_one_write:
            assert [name for name in self.calls if name not in ("open", "mkdir")] == ONE_WRITE
        if self.scene.is_cold:
            assert self.calls.count("replace") >= 3, "two cold files and the snapshot"
            assert self.calls.count("unlink") >= 2, "two cold files were merged"

    def points(self, *names: str) -> list[tuple[int, str]]:
        """The number and name of each call that has faults; of calls with these names only."""
        points = [point for point in enumerate(self.calls) if not names or point[1] in names]
        if self.scene.is_one_write:
            log = self.calls.index("write")
            points = [point for point in points if log <= point[0] <= self.calls.index("fsync")]
        return points

    def copy(self) -> Path:
        target = self.folder / "copy"
        shutil.rmtree(target, ignore_errors=True)
        return Path(shutil.copytree(self.original, target))

    def check(self, folder: Path, outcome: str, *, repeat: bool = True) -> None:
        """The board after a fault: ``outcome`` is done, nothing or unknown."""
        if self.scene.is_cold:
            assert saved_state(FileStore(folder, warn=pytest.fail)) is not None, (
                "the snapshot has all of its files"
            )
        orc = open_board(folder, self.scene)
        orc.engine.read()
        orc.agents.heartbeat("doctor")  # a command under the lock: it tidies up what the fault left
        event = orc.engine.read().event
        assert event in {"done": [self.after], "nothing": [self.before]}.get(
            outcome, [self.before, self.after]
        )
        self.check_documents(orc)
        if repeat and self.scene.request:
            run(orc, self.scene)
            assert orc.engine.read().event == self.after, "the request had another effect"
        orc.workstreams.create("next")
        assert orc.workstreams.get("next").name == "next"
        self.check_documents(orc)
        if any(topic.name == "findings" for topic in orc.knowledge.all()):
            was = orc.knowledge.read("findings") or ""
            orc.knowledge.append("findings", "more\n")
            assert (orc.knowledge.read("findings") or "").split() == [*was.split(), "more"]
        check_law(orc)
        if self.scene.is_cold:
            assert cold_files(folder) == named_cold_files(orc.engine.store), (
                "nothing is left behind"
            )
        assert as_text(open_board(folder, self.scene).engine.read(), orc.engine.position) == (
            as_text(orc.engine.read(), orc.engine.position)
        )

    def check_documents(self, orc: Orchestrator) -> None:
        """Readers see the last version of a topic in the log, and no hand edit is reported."""
        for name, topic in orc.engine.read().knowledge.items():
            document = orc.knowledge.document(name)
            if topic.deleted:
                assert document is None
            else:
                assert document is not None
                assert not document.edited
                assert document.version == len(topic.versions)


def cold_files(folder: Path) -> set[str]:
    return {path.name for path in (folder / "state" / "cold").glob("*.jsonl")}


@pytest.fixture(params=SCENES)
def stage(request: pytest.FixtureRequest, memory_path: Path) -> Iterator[Stage]:
    with cold_at_once() if SCENES[request.param].is_cold else nullcontext():
        yield Stage(request.param, memory_path)


def outcome_of(stage: Stage, folder: Path, fault: Faults) -> str:
    """Run the command with a fault; an error must be one of ours, and true about the outcome."""
    orc = open_board(folder, stage.scene)
    try:
        with injected(fault):
            run(orc, stage.scene)
    except OutcomeUnknown:
        return "unknown"
    except InputOutputError:
        return "nothing"
    return "done"


@pytest.mark.parametrize(
    "action",
    [faults.fails, faults.disk_full, faults.short_write],
    ids=lambda action: action.__name__,
)
def test_a_call_that_fails_once_makes_a_success_or_a_named_error_that_is_true(
    stage: Stage, action: Action
):
    for number, name in stage.points(*["write"] * (action is faults.short_write)):
        folder = stage.copy()
        outcome = outcome_of(stage, folder, Faults(action, number))
        with named(f"call {number} ({name}) of {stage.calls}: {outcome}"):
            stage.check(folder, outcome)


def test_a_sync_or_write_that_was_done_and_reported_as_failed_is_taken_back_or_unknown(
    stage: Stage,
):
    for number, name in stage.points("write", "sync_data", "fsync", "ftruncate"):
        folder = stage.copy()
        outcome = outcome_of(stage, folder, Faults(faults.fails_after, number))
        with named(f"call {number} ({name}) of {stage.calls}: {outcome}"):
            stage.check(folder, outcome)


def test_a_disk_that_fails_from_some_call_on_never_makes_a_false_promise(stage: Stage):
    for number, name in stage.points():
        folder = stage.copy()
        outcome = outcome_of(stage, folder, Faults(faults.fails, number, last=None))
        with named(f"from call {number} ({name}) of {stage.calls} on: {outcome}"):
            stage.check(folder, outcome)


def in_child(scene: Scene, folder: Path, fault: Faults) -> str:
    """Run the command in a separate process that may die; ``done`` only if it reported that."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        answer = b"died"
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            orc = open_board(folder, scene)
            with injected(fault):
                run(orc, scene)
            answer = b"done"
        except KeyboardInterrupt:
            answer = b"interrupted"
        except BaseException as error:
            answer = repr(error).encode()
        finally:
            os.write(writing, answer)
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        output = pipe.read().decode()
    os.waitpid(pid, 0)
    return output


CHANGES = ("write", "pwrite", "replace", "link", "ftruncate", "unlink", "mkdir", "open")
"""Calls that change what is on the disk; to die before another one is to die before the next of these."""


@pytest.mark.parametrize(
    ("action", "names"),
    [
        (faults.dies_before, CHANGES),
        (faults.dies_after, CHANGES),
        (faults.dies_halfway, ["write"]),
    ],
    ids=["before", "after", "halfway"],
)
def test_a_process_that_dies_at_any_call_leaves_all_of_its_command_or_nothing(
    stage: Stage, action: Action, names: Sequence[str]
):
    """To die after a call is to die before the next one, except after the last."""
    for number, name in stage.points(*names)[-1 if action is faults.dies_after else 0 :]:
        folder = stage.copy()
        assert in_child(stage.scene, folder, Faults(action, number)) == "", (
            number,
            name,
            stage.calls,
        )
        with named(f"died at call {number} ({name}) of {stage.calls}"):
            stage.check(folder, "unknown")


@pytest.mark.parametrize("first", ["new topic", "another version", "delete topic"])
def test_two_processes_that_die_one_after_the_other_never_make_a_stale_file_an_edit(
    first: str, memory_path: Path
):
    """Each may have died between its commit and the file; then the file is older than both commits."""
    stage = Stage(first, memory_path)
    second = replace(
        stage.scene, command=lambda orc: orc.knowledge.write("findings", "three\n", agent="bob")
    )
    files = ("write", "replace", "link", "unlink")
    points = [number for number, _ in stage.points(*files)]
    for index, point in enumerate(points):
        for other in range(index % 3, max(points) + 12, 3):
            folder = stage.copy()
            assert in_child(stage.scene, folder, Faults(faults.dies_before, point)) == ""
            in_child(replace(second, request=False), folder, Faults(faults.dies_after, other))
            with named(f"died at call {point} of {stage.calls}, then at {other}"):
                orc = open_board(folder, stage.scene)
                stage.check_documents(orc)
                orc.knowledge.append("findings", "last\n", agent="carl")
                stage.check_documents(orc)
                assert not orc.events.read(type="knowledge.edited")
                check_law(orc)


def interrupts(name: str, real: Callable[..., object], args: object, kwargs: object) -> object:
    os.kill(os.getpid(), signal.SIGINT)
    return real(*args, **kwargs)  # type: ignore[misc]


def test_after_an_interrupt_at_any_call_the_status_of_a_command_is_true(stage: Stage):
    """After the commit, SIGINT may not turn success into failure; before it, nothing happened."""
    for number, name in stage.points():
        folder = stage.copy()
        output = in_child(stage.scene, folder, Faults(interrupts, number))
        assert output in ("done", "interrupted"), output
        outcome = {"done": "done", "interrupted": "nothing"}[output]
        with named(f"interrupted at call {number} ({name}) of {stage.calls}: {output}"):
            stage.check(folder, outcome)
