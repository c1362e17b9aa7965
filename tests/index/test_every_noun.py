"""An index that was updated by events of every type equals a newly built one."""

import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator import Orchestrator
from orchestrator.core.events import Recorded
from orchestrator.core.store import START
from orchestrator.index import writing
from orchestrator.interfaces.cli.main import main
from orchestrator.stores.files import FileStore
from orchestrator.stores.memory import MemoryStore
from tests.stress.situations import COMMANDS, _prepare

from .comparing import built, check_sound, contents
from .test_histories import check_is_index_of

GOLDEN = Path(__file__).parents[1] / "golden" / "events.jsonl"


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> list[Recorded]:
    """The golden log: an event of every type."""
    folder = tmp_path_factory.mktemp("golden")
    (folder / "state").mkdir()
    (folder / "state" / "events.jsonl").write_bytes(GOLDEN.read_bytes())
    chunks = FileStore(folder, warn=print).read(START)
    return [record for chunk in chunks for record in chunk.events]


def check_steps(records: list[Recorded], ends: set[int]) -> None:
    """Update an index while a log grows in steps; compare it with a new index at each step."""
    store = MemoryStore()
    index = built(store)
    for number, record in enumerate(records, start=1):
        store._records.append(record)
        if number in ends:
            writing.follow(index, store)
    writing.follow(index, store)
    assert contents(index) == contents(built(store))
    check_sound(index)


def test_event_by_event(golden: list[Recorded]):
    check_steps(golden, {*range(len(golden))})


def test_up_to_an_event_and_then_the_rest(golden: list[Recorded]):
    for end in range(1, len(golden), 7):
        check_steps(golden, {end})


@settings(max_examples=15)
@given(ends=st.sets(st.integers(1, 130), max_size=12))
def test_in_any_steps(golden: list[Recorded], ends: set[int]):
    check_steps(golden, ends)


@pytest.mark.parametrize("seed", range(3))
def test_commands_of_every_noun_in_any_order(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """After each command, also a refused one, the updated index matches the log."""
    board = str(tmp_path / "board")
    words = _prepare(board)
    monkeypatch.setenv("ORCHESTRATOR_DIR", board)
    orc = Orchestrator.open(board)
    orc.index.build()
    commands = [command for command in COMMANDS if command.name not in ("init", "doctor-fix")]
    if seed:
        Random(seed).shuffle(commands)
    for command in commands:
        main([word.format(**words) for word in command.words])
        orc.index.query("SELECT 1")
    assert orc.index.verify() == []
    with closing(sqlite3.connect(Path(board, "state", "index.db"), isolation_level=None)) as index:
        check_is_index_of(index, orc.engine.store)
