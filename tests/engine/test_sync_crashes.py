"""``kb sync`` while a disk fails or the process is killed, at calls on files of the board and of the machine.

After each fault, no text that a person wrote is lost, and no document is incomplete. The next synchronisation
gives the same result as one without a fault.
"""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from boards import SettableClock, check_law

from orchestrator import Orchestrator
from orchestrator.core.errors import OrchestratorError
from orchestrator.stores import local_files
from orchestrator.stores.files import FileStore, layout

from . import faults
from .faults import Action, Faults, injected, named

pytestmark = pytest.mark.needs("fork")

CLOCK = SettableClock()
STORE = 'store = "postgresql:///x"\n'
HAND = {
    "knowledge/adopted.md": "edited here\n",
    "knowledge/both.md": "edited here, too\n",
    "knowledge/revived.md": "edited here, deleted there\n",
    "knowledge/fresh.md": "made here\n",
    "queries/both.sql": "SELECT 'here'\n",
    "queries/fresh.sql": "SELECT 'made here'\n",
    "config.toml": f'{STORE}workstream = "build"\n',
}
"""What a person has written on this machine since the last synchronisation, by path."""


class SharedFiles(FileStore):
    """A board on disk that counts as shared by machines, so that faults reach both sides."""

    is_local = False


def machine(folder: Path) -> Orchestrator:
    """The machine ``mill`` with its folder of the shared board."""
    store = SharedFiles(folder / "board", warn=lambda _: None)
    return Orchestrator(
        store,
        now=CLOCK,
        light=True,
        machine="mill",
        local=local_files(str(folder / "mill")),
        warn=lambda _: None,
    )


def prepare(folder: Path) -> None:
    """A board and a machine whose documents differ in every way."""
    for name in ("board", "mill"):
        layout.make(str(folder / name))
    mill = folder / "mill"
    (mill / "config.toml").write_text(STORE)
    orc = machine(folder)
    orc.workstreams.create("build")
    for topic in ("adopted", "both", "revived", "deleted", "missing", "written"):
        orc.knowledge.write(topic, f"{topic}, first", agent="ann")
    decision = orc.decisions.add("Use TOML", context="a", decision="b", consequences="c")
    for name in ("both", "removed"):
        orc.engine.documents.write(f"queries/{name}.sql", b"SELECT 1\n")
    orc.knowledge.sync()
    orc.decisions.edit(1, title="Use JSON")
    for topic in ("both", "written"):
        orc.knowledge.write(topic, f"{topic}, second", agent="bob")
    for topic in ("revived", "deleted"):
        orc.knowledge.delete(topic)
    orc.engine.documents.write("queries/both.sql", b"SELECT 'there'\n")
    (mill / "knowledge/missing.md").unlink()
    (mill / "queries/removed.sql").unlink()
    for path, text in HAND.items():
        (mill / path).write_text(text)
    document = mill / decision.path
    document.write_text(document.read_text().replace("Use TOML", "Use YAML"))


def documents(folder: Path) -> dict[str, bytes]:
    """The documents of the board and of the machine, without temporary files of interrupted writes."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        is_document = not name.partition("/")[2].startswith("state/")
        if path.is_file() and is_document and not path.name.startswith("."):
            found[name] = path.read_bytes()
    return found


def outcome_of(folder: Path) -> dict[str, bytes]:
    """The documents of the board and of the machine; for topics, the text that the board answers.

    After a crash, the file of a topic on the board may be older than this text.
    """
    orc = machine(folder)
    found = {
        name: data for name, data in documents(folder).items() if "board/knowledge" not in name
    }
    topics = {topic.name: orc.knowledge.read(topic.name) or "" for topic in orc.knowledge.all()}
    return found | {f"topic {name}": text.encode() for name, text in topics.items()}


def texts_of(orc: Orchestrator) -> list[str]:
    """Every version of every topic and decision."""
    topics = [topic.name for topic in orc.knowledge.all()]
    versions = [version.text for topic in topics for version in orc.knowledge.history(topic)]
    return versions + [version.title for version in orc.decisions.history(1)]


def logged(folder: Path) -> list[tuple[str, bytes]]:
    """The events of the log, without ids and times."""
    orc = machine(folder)
    return sorted((event.type, bytes(event.payload)) for event in orc.events.read(first=1000))


class Stage:
    """A board and a machine with different documents, and the result of a synchronisation without faults.

    They are made once, and copied for every fault.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.original = folder / "original"
        self.original.mkdir()
        prepare(self.original)
        self.before = documents(self.original)
        sound = self.copy()
        orc = machine(sound)
        with injected(Faults(faults.goes_through, 0)) as counted:
            changes = orc.knowledge.sync()
        self.calls = counted.names
        self.after = documents(sound)
        self.outcome, self.events = outcome_of(sound), logged(sound)
        assert {change.action for change in changes} == {
            "adopted",
            "conflict",
            "written",
            "deleted",
        }
        assert machine(sound).knowledge.sync() == []
        check_kept(sound)

    def copy(self) -> Path:
        target = self.folder / "copy"
        shutil.rmtree(target, ignore_errors=True)
        return Path(shutil.copytree(self.original, target))

    def check(self, folder: Path) -> None:
        now = documents(folder)
        for path, data in now.items():
            whole = (self.before.get(path), self.after.get(path))
            assert data in whole or path.endswith(".mine"), f"{path} is incomplete"
        for path in self.before.keys() & self.after.keys():
            assert path in now, f"{path} is gone"
        check_kept(folder)
        machine(folder).knowledge.sync()
        orc = machine(folder)
        assert orc.knowledge.sync() == []
        assert outcome_of(folder) == self.outcome
        assert logged(folder) == self.events
        check_kept(folder)
        check_law(orc)


def check_kept(folder: Path) -> None:
    """Every text that the person wrote is in a file or a version."""
    files = documents(folder).values()
    texts = [*(data.decode() for data in files), *texts_of(machine(folder))]
    for text in HAND.values():
        assert any(text.strip() in known or text.removeprefix(STORE) in known for known in texts), (
            text
        )
    assert any("Use YAML" in known for known in texts)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(tmp_path_factory.mktemp("sync"))


def points(stage: Stage, *names: str) -> Iterator[tuple[int, str]]:
    return ((number, name) for number, name in enumerate(stage.calls) if name in names or not names)


STRIDE = 4
"""Each kind of failure is tried at every fourth call, because all calls would take a minute.

A process is killed at every call that changes files.
"""


@pytest.mark.parametrize(
    ("action", "lasting", "first"),
    [(faults.fails, False, 0), (faults.fails, True, 1), (faults.disk_full, False, 2)],
    ids=["fails once", "fails on", "is full"],
)
def test_a_disk_that_fails_during_a_synchronisation_loses_no_text_and_the_next_one_completes_it(
    stage: Stage, action: Action, lasting: bool, first: int
):
    for number, name in [*points(stage)][first::STRIDE]:
        folder = stage.copy()
        outcome = "done"
        orc = machine(folder)
        try:
            with injected(Faults(action, number, None if lasting else -1)):
                changes = orc.knowledge.sync()
            kept = [change.path for change in changes if change.action == "kept"]
            outcome = f"kept {kept}" if kept else outcome
        except OrchestratorError as error:
            outcome = repr(error)
        with named(f"call {number} ({name}): {outcome}"):
            stage.check(folder)


@pytest.mark.parametrize(
    ("action", "names"),
    [
        (faults.dies_before, ("write", "replace", "unlink", "mkdir")),
        (faults.dies_halfway, ("write",)),
    ],
    ids=["before", "halfway"],
)
def test_a_synchronisation_that_is_killed_loses_no_text_and_the_next_one_completes_it(
    stage: Stage, action: Action, names: tuple[str, ...]
):
    for number, name in points(stage, *names):
        folder = stage.copy()
        assert died(machine(folder).knowledge.sync, Faults(action, number))
        with named(f"call {number} ({name})"):
            stage.check(folder)


def died(command: Callable[[], object], fault: Faults) -> bool:
    """Run a command in a new process with a fault; return whether the fault killed it."""
    pid = os.fork()
    if pid == 0:
        try:
            with injected(fault):
                command()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
