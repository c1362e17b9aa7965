"""``orc copy``: a board moves between stores and stays the same."""

import json
from pathlib import Path

import pytest

from orchestrator import Orchestrator, snapshot
from orchestrator.core.errors import Refused, UsageError
from orchestrator.core.store import START
from orchestrator.interfaces.cli.main import main
from orchestrator.maintenance.copying import copy_board
from tests.postgres_server import Server

OLD = Path(__file__).parent.parent / "data" / "board-of-1"


def lines(orc: Orchestrator) -> list[object]:
    return [record for chunk in orc.engine.store.read(START) for record in chunk.events]


def state(orc: Orchestrator) -> bytes:
    return snapshot.encode(orc.engine.read(), START)


def worked(folder: Path) -> Orchestrator:
    """A board with tasks, a commit of several events, knowledge in folders and a setting."""
    orc = Orchestrator.open(folder)
    orc.workstreams.create("build")
    task = orc.tasks.add("build", title="Ship caf\u00e9 \u2028")
    orc.tasks.claim(task.id, agent="ann")
    orc.tasks.complete(task.id, agent="ann", result="done")
    with orc.transaction():
        for number in range(20):
            orc.tasks.add("build", title=str(number))
    orc.knowledge.write("topic", "text\n", agent="ann")
    orc.decisions.add("Use it", agent="ann")
    (folder / "config.toml").write_text('workstream = "build"\n')
    orc.engine.close()
    return orc


def test_a_board_goes_to_a_database_and_back_and_is_equal(tmp_path: Path, postgres: Server) -> None:
    first = worked(tmp_path / "first")
    database = Orchestrator.open(postgres.new_board())
    copied = copy_board(first.engine, database.engine)
    assert (copied.events, copied.documents) == (first.status().event, 3)
    back = Orchestrator.open(tmp_path / "back")
    copy_board(database.engine, back.engine)
    assert lines(first) == lines(database) == lines(back)
    assert state(first) == state(database) == state(back)
    log = (tmp_path / "first/state/events.jsonl").read_bytes()
    assert (tmp_path / "back/state/events.jsonl").read_bytes() == log
    for orc in (database, back):
        assert orc.knowledge.read("topic") == "text\n"
        assert orc.tasks.add(title="here").workstream == "build"


def test_a_copy_that_was_interrupted_goes_on_and_a_second_one_adds_nothing(tmp_path: Path) -> None:
    first = worked(tmp_path / "first")
    half = Orchestrator.open(tmp_path / "half")
    (chunk,) = first.engine.store.read(START)
    with half.engine.store.locked("test", 60):
        half.engine.store.append(chunk.events[:2], START)
    assert copy_board(first.engine, half.engine).events == len(chunk.events) - 2
    assert copy_board(first.engine, half.engine).events == 0
    assert lines(first) == lines(half)


def test_a_board_with_other_events_is_never_a_target(tmp_path: Path) -> None:
    first, other = worked(tmp_path / "first"), Orchestrator.open(tmp_path / "other")
    other.workstreams.create("other")
    before = lines(other)
    with pytest.raises(Refused) as raised:
        copy_board(first.engine, other.engine)
    assert raised.value.code == "not_empty"
    longer = Orchestrator.open(tmp_path / "longer")
    copy_board(first.engine, longer.engine)
    longer.tasks.add("build", title="more")
    with pytest.raises(Refused):
        copy_board(first.engine, longer.engine)
    assert lines(other) == before


def test_a_folder_leads_to_a_board_in_a_database(
    tmp_path: Path,
    postgres: Server,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url = postgres.new_board()
    for machine in ("one", "two"):
        (tmp_path / machine).mkdir()
        monkeypatch.chdir(tmp_path / machine)
        assert main(["init", "--store", url]) == 0
        found = "Made" if machine == "one" else "Found"
        assert capsys.readouterr().out.startswith(f"{found} the board {url}: ")
    assert main(["ws", "create", "build"]) == 0
    assert main(["add", "build", "Ship", "--agent", "ann"]) == 0
    monkeypatch.chdir(tmp_path / "one")
    capsys.readouterr()
    assert main(["--json", "next", "build", "--agent", "bob"]) == 0
    assert json.loads(capsys.readouterr().out)["task"]["title"] == "Ship"
    assert main(["doctor"]) == 0
    assert not (tmp_path / "one/.orchestrator/state/events.jsonl").exists()


def test_a_board_of_its_own_does_not_become_one_that_leads_elsewhere(
    tmp_path: Path, postgres: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    worked(tmp_path / "first")
    (tmp_path / "first" / "config.toml").unlink()
    assert main(["init", str(tmp_path / "first"), "--store", postgres.new_board()]) == 1
    assert "board of its own" in capsys.readouterr().err
    assert main(["init", str(tmp_path / "new"), "--store", "memory:"]) == 2


def test_a_board_of_an_old_version_is_copied_as_it_is(tmp_path: Path, postgres: Server) -> None:
    import shutil

    shutil.copytree(OLD, tmp_path / "old")
    old = Orchestrator.open(tmp_path / "old", reads=True)
    database = Orchestrator.open(postgres.new_board())
    copy_board(old.engine, database.engine)
    assert lines(old) == lines(database)


def test_a_board_is_not_copied_to_itself(tmp_path: Path, postgres: Server) -> None:
    first, url = worked(tmp_path / "first"), postgres.new_board()
    Orchestrator.open(url)
    for board in (tmp_path / "first", url):
        one, same = Orchestrator.open(board), Orchestrator.open(board)
        with pytest.raises(UsageError):
            copy_board(one.engine, same.engine)
    assert state(first) == state(Orchestrator.open(tmp_path / "first"))
