"""Boards of older formats: new nouns do not claim events that agents logged, and every board opens."""

import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import msgspec
import pytest
from boards import as_text, check_law, code_of, fold

from orchestrator import BadName, Damage, Orchestrator, snapshot
from orchestrator.core import events
from orchestrator.core.events import FORMAT, Event, Recorded, declare_noun, event
from orchestrator.core.transaction import Noun, Transaction, command
from orchestrator.domain.board.commands import upgrade_for
from orchestrator.domain.board.events import BoardUpgraded
from orchestrator.domain.board.records import BoardSlice
from orchestrator.domain.state import State

ROOT = Path(__file__).parents[2]
OLD_BOARD = ROOT / "tests" / "data" / "board-of-1"
OLD_VERSION = "239b675"

NOUN = "tests"


@event(f"{NOUN}.named")
class LaterNamed(Event):
    """An event of a noun since the second format; it names a workstream."""

    name: str

    def apply(self, state: State, record: Recorded) -> None:
        stream = state.workstreams["build"]
        state.workstreams["build"] = msgspec.structs.replace(stream, description=self.name)


class Commands(Noun[State]):
    @command(lambda state, events: None)
    def name(self, tx: Transaction[State], name: str) -> None:
        upgrade_for(tx, NOUN)
        tx.record(LaterNamed(name=name))

    @command(lambda state, events: None)
    def upgrade(self, tx: Transaction[State], format: int) -> None:
        tx.record(BoardUpgraded(format=format))


@pytest.fixture(autouse=True)
def _later_noun() -> Iterator[None]:
    declare_noun(NOUN, since=2)
    yield
    del events._NOUNS[NOUN]
    for decoders in events._decoders.values():
        decoders.clear()


@pytest.fixture
def board(orc: Orchestrator) -> Orchestrator:
    orc.workstreams.create("build", description="as agents said")
    return orc


def types(orc: Orchestrator) -> list[str]:
    return [record.type for record in orc.events.read()]


def description(orc: Orchestrator) -> str:
    return orc.workstreams.get("build").description


def test_an_event_of_a_later_noun_is_the_agents_own_until_the_board_is_upgraded(
    board: Orchestrator,
):
    board.events.log("ann", f"{NOUN}.named", name="mine")
    board.events.log("ann", f"{NOUN}.named", something=["else"])
    board.events.log("ann", f"{NOUN}.unknown")
    assert description(board) == "as agents said"


def test_the_first_command_of_a_later_noun_upgrades_the_board_in_its_commit(board: Orchestrator):
    board.events.log("ann", f"{NOUN}.named", name="mine")
    Commands(board.engine).name("ours")
    Commands(board.engine).name("again")
    assert types(board)[2:] == ["board.upgraded", f"{NOUN}.named", f"{NOUN}.named"]
    upgrade = board.engine.event(3)
    assert upgrade.more
    assert description(board) == "again"
    assert description(Orchestrator(board.engine.store)) == "again"


def test_each_event_keeps_the_format_it_was_written_in_after_later_upgrades():
    slice_ = BoardSlice(format=3, upgraded={4: 2, 9: 3})
    assert [slice_.format_at(number) for number in (1, 4, 5, 9, 10)] == [1, 1, 2, 2, 3]


def test_agents_cannot_log_the_types_of_a_noun_once_the_board_is_upgraded(board: Orchestrator):
    Commands(board.engine).name("ours")
    with pytest.raises(BadName, match="toolkit's own"):
        board.events.log("ann", f"{NOUN}.named", name="mine")
    assert code_of(lambda: board.events.log("ann", f"{NOUN}.unknown")) == "bad_name"


def test_a_board_of_a_format_to_come_is_refused_as_written_by_a_newer_version(
    board: Orchestrator,
):
    with pytest.raises(Damage) as refused:
        Commands(board.engine).upgrade(FORMAT + 1)
    assert refused.value.code == "newer_version"
    assert types(board) == ["workstream.created"]


def test_a_snapshot_of_an_upgraded_board_is_none_for_the_version_before(board: Orchestrator):
    """That version does not know upgrades in snapshots: it must read the event, and refuses it."""
    formats = []
    for change in (lambda: None, lambda: Commands(board.engine).name("ours")):
        change()
        state, cursor = fold(board.engine.store)
        data = snapshot.encode(state, cursor)
        formats.append(msgspec.json.decode(data)["format"])
        decoded = snapshot.decode(data, board.engine.store.cursor_type)
        assert decoded is not None
        assert as_text(*decoded) == as_text(state, cursor)
    assert formats[1] == formats[0] + 1


def test_no_two_slices_have_a_field_of_the_same_name():
    names = [name for _, name in State().holders()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("keeps_snapshot", [True, False])
def test_a_board_of_the_first_format_opens_unchanged(tmp_path: Path, keeps_snapshot: bool):
    """Its ``state.json`` contains fewer facts of tasks than this version stores, so the log is folded
    again."""
    folder = shutil.copytree(OLD_BOARD, tmp_path / "board")
    log = (folder / "state" / "events.jsonl").read_bytes()
    saved = (folder / "state" / "state.json").read_bytes()
    if not keeps_snapshot:
        (folder / "state" / "state.json").unlink()
    with Orchestrator.open(folder) as orc:
        assert snapshot.decode(saved, orc.engine.store.cursor_type) is None
        state = orc.engine.read()
        assert as_text(state, orc.engine.position) == as_text(*fold(orc.engine.store))
        assert (len(state.tasks), len(state.tasks.archived)) == (5, 2)
        assert {len(each) for each in (state.convoys, state.workflows, state.knowledge)} == {1}
        assert (len(state.mail.messages), len(state.locks), len(state.agents.hooks)) == (2, 2, 2)
        [root] = state.workflows
        assert state.agents.sessions["ann"].note == "See the parser"
        assert "The grammar is small." in orc.knowledge.read("findings")
        assert (folder / "state" / "events.jsonl").read_bytes() == log
        assert orc.tasks.complete(f"{root}.sweep", agent="bob").status == "done"
        check_law(orc)


def test_the_version_before_and_this_one_work_side_by_side_until_an_upgrade(tmp_path: Path):
    """After an upgrade the older version shows the earlier events with a warning, and changes nothing."""
    old = tmp_path / "old"
    archive = subprocess.run(
        ["git", "archive", OLD_VERSION], cwd=ROOT, capture_output=True, check=False
    )
    if archive.returncode:
        pytest.skip(f"git has no {OLD_VERSION} here: a shallow or exported checkout")
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
        files.extractall(old, filter="data")
    folder = shutil.copytree(OLD_BOARD, tmp_path / "board")

    def run(*words: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, str(old / "cli.py"), "--board", str(folder), *words],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    with Orchestrator.open(folder, agent="ann") as orc:
        task = orc.tasks.add("build", title="From this version")
    assert run("t", "claim", task.id, "bob")[0] == 0
    assert run("t", "complete", task.id, "Done by the older one")[0] == 0
    with Orchestrator.open(folder, agent="ann") as orc:
        assert orc.tasks.get(task.id).result == "Done by the older one"
        check_law(orc)
        Commands(orc.engine).name("ours")
    log = (folder / "state" / "events.jsonl").read_bytes()
    status, text = run("t", "list", "build")
    assert (status, "'board.upgraded', which this version does not know" in text) == (0, True)
    status, text = run("t", "add", "build", "Too late")
    assert (status != 0, "written by a newer version" in text) == (True, True)
    assert (folder / "state" / "events.jsonl").read_bytes() == log
    with Orchestrator.open(folder, agent="ann") as orc:
        assert description(orc) == "ours"
