"""Export and import of a whole board as JSON lines."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from boards import SettableClock, changes_nothing, check_law

from orchestrator import (
    BadInput,
    Orchestrator,
    OrchestratorError,
    Refused,
    UsageError,
)
from orchestrator.formulas import compile_formula, load
from orchestrator.maintenance.backup import export_board, import_board
from orchestrator.stores.files import FileStore

HERE = Path(__file__).parent
GOLDEN = HERE.parent / "golden" / "events.jsonl"


@pytest.fixture
def empty(clock: SettableClock, tmp_path: Path) -> Orchestrator:
    return Orchestrator.open(tmp_path / "empty", now=clock)


def exported(board: Orchestrator) -> str:
    out = io.StringIO()
    done = export_board(board.engine, out)
    assert done == (board.engine.read().event, [])
    return out.getvalue()


def bring_in(board: Orchestrator, text: str) -> Any:
    return import_board(board.engine, io.StringIO(text))


def live(board: Orchestrator) -> None:
    """A board with an event of every kind."""
    board.workstreams.create("build", description="caf\u00e9 \N{GRINNING FACE}", agent="ann")
    board.agents.register("rig/ann", capabilities=["x"])
    with board.transaction():
        first = board.tasks.add("build", title="one", touches=["git"], estimate=2.5)
        board.tasks.add("build", title="two", needs=[first.id])
    with board.request("r-1"):
        board.tasks.next(agent="ann")
    board.tasks.complete(first.id, result="done\u2028")
    board.locks.acquire("src/**", agent="ann")
    board.knowledge.write("findings", "one\n", agent="ann", tags=["x"])
    board.knowledge.append("findings", "two\n")
    board.knowledge.write("gone", "x")
    board.knowledge.delete("gone")
    board.events.log("ann", "deployed", value=[1, 2.5, None, "\x01"])
    board.tasks.archive([first.id])


def test_an_imported_board_is_the_exported_one(board: Orchestrator, empty: Orchestrator):
    live(board)
    counts = bring_in(empty, exported(board))
    assert (counts.workstreams, counts.tasks, counts.agents, counts.topics) == (1, 2, 1, 1)
    assert counts.events == board.engine.read().event
    assert repr(empty.engine.read()) == repr(board.engine.read())
    assert [bytes(record.payload) for record in empty.events.read()] == [
        bytes(record.payload) for record in board.events.read()
    ]
    assert empty.status().workstreams == board.status().workstreams
    assert empty.knowledge.history("findings") == board.knowledge.history("findings")
    check_law(empty)


def test_the_log_of_an_imported_board_is_the_same_bytes(board: Orchestrator, empty: Orchestrator):
    live(board)
    bring_in(empty, exported(board))
    logs = [Path(str(orc.folder), "state", "events.jsonl") for orc in (board, empty)]
    assert logs[0].read_bytes() == logs[1].read_bytes()


def test_the_knowledge_files_are_written_and_no_deleted_ones(
    board: Orchestrator, empty: Orchestrator
):
    live(board)
    bring_in(empty, exported(board))
    mine, theirs = (Path(str(orc.folder), "knowledge") for orc in (board, empty))
    assert {p.name: p.read_bytes() for p in theirs.glob("*.md")} == {
        p.name: p.read_bytes() for p in mine.glob("*.md")
    }


def test_a_request_is_remembered_across_an_import(board: Orchestrator, empty: Orchestrator):
    live(board)
    bring_in(empty, exported(board))
    with changes_nothing(empty), empty.request("r-1"):
        task = empty.tasks.next(agent="ann")
        assert task is not None
        assert task.title == "one"


def test_an_export_is_jsonl_behind_a_line_that_names_the_format(board: Orchestrator):
    live(board)
    lines = [json.loads(line) for line in exported(board).split("\n")[:-1]]
    assert lines[0] == {"format": "orchestrator-board", "version": 1}
    assert [line["id"] for line in lines[1:]] == list(range(1, board.engine.read().event + 1))


def test_the_golden_board_goes_through(empty: Orchestrator, tmp_path: Path):
    folder = tmp_path / "golden"
    (folder / "state").mkdir(parents=True)
    shutil.copy(GOLDEN, folder / "state" / "events.jsonl")
    golden = Orchestrator(FileStore(folder, warn=pytest.fail))
    bring_in(empty, exported(golden))
    expected, last = golden.engine.read(), empty.engine.read().event
    expected.fold([empty.engine.event(last)])  # what says that the commands are not trusted here
    assert repr(empty.engine.read()) == repr(expected)


def test_a_board_takes_its_own_export_whatever_people_wrote_by_hand(
    board: Orchestrator, empty: Orchestrator
):
    """Data that the board once accepted must not make its backup invalid."""
    board.workstreams.create("build")
    board.knowledge.write("findings", "one\n")
    path = Path(str(board.folder), "knowledge", "findings.md")
    path.write_text("---\nauthor: Ann Smith\ntags: [two words, -x]\n---\n\nby hand\n")
    board.knowledge.append("findings", "more\n")
    value: Any = 1
    for _ in range(60):
        value = [value]
    board.events.log("ann", "deep", value=value)
    parent = board.tasks.add("build", title="p").id
    child = board.tasks.add("build", title="c", parent=parent, name="x" * 90).id
    board.tasks.add("build", title="g", parent=child, name="y" * 90)
    bring_in(empty, exported(board))
    assert repr(empty.engine.read()) == repr(board.engine.read())


def test_only_an_empty_board_is_imported_into(board: Orchestrator, empty: Orchestrator):
    live(board)
    text = exported(board)
    empty.workstreams.create("mine")
    with changes_nothing(empty), pytest.raises(Refused) as caught:
        bring_in(empty, text)
    assert caught.value.code == "not_empty"


def edited(text: str, number: int, change: Callable[[dict[str, Any]], object]) -> str:
    """The export with one of its lines changed."""
    lines = text.split("\n")
    fields = json.loads(lines[number])
    change(fields)
    lines[number] = json.dumps(fields)
    return "\n".join(lines)


BAD_EXPORTS: dict[str, Callable[[str], str]] = {
    "empty": lambda text: "",
    "no header": lambda text: text.split("\n", 1)[1],
    "another format": lambda text: text.replace("orchestrator-board", "other", 1),
    "a newer version": lambda text: text.replace('"version":1', '"version":2', 1),
    "no json": lambda text: text + "hello\n",
    "an array": lambda text: text + "[]\n",
    "a line missing": lambda text: "\n".join([*text.split("\n")[:2], *text.split("\n")[3:]]),
    "a line twice": lambda text: "\n".join([*text.split("\n")[:3], *text.split("\n")[2:]]),
    "the end of a commit missing": lambda text: "\n".join(text.split("\n")[:4]) + "\n",
    "NaN": lambda text: text.replace("2.5", "NaN"),
    "a key twice": lambda text: text.replace('"payload":{', '"payload":{"a":1,"a":2,', 1),
    "a huge number": lambda text: text.replace("2.5", "1" * 400),
    "a type of ours that is unknown": lambda text: text.replace("task.claimed", "task.grabbed"),
    "a field of another type": lambda text: edited(
        text, 1, lambda line: line["payload"].update(priority="high")
    ),
    "a task that was never added": lambda text: edited(
        text, 5, lambda line: line["payload"].update(task="00000000")
    ),
    "a workstream that is not there": lambda text: edited(
        text, 3, lambda line: line["payload"].update(workstream="other")
    ),
    "a time that is not valid": lambda text: edited(text, 1, lambda line: line.update(ts="noon")),
    "no payload": lambda text: edited(text, 1, lambda line: line.pop("payload")),
    "an id that is not a number": lambda text: edited(text, 1, lambda line: line.update(id="1")),
    "an agent that leaves its folder": lambda text: edited(
        text, 1, lambda line: line.update(agent="../ann")
    ),
    "a topic that leaves its folder": lambda text: text.replace('"findings"', '"../../evil"'),
    "a topic with a NUL": lambda text: text.replace('"findings"', '"a\\u0000"'),
    "a workstream with a control character": lambda text: text.replace('"build"', '"a\\u001b"'),
}


@pytest.mark.parametrize("harm", BAD_EXPORTS)
def test_what_is_not_a_whole_export_is_a_named_error_and_nothing_is_imported(
    board: Orchestrator, empty: Orchestrator, tmp_path: Path, harm: str
):
    live(board)
    text = BAD_EXPORTS[harm](exported(board))
    assert text != exported(board)
    files = sorted(tmp_path.rglob("*"))
    with pytest.raises(OrchestratorError) as caught:
        bring_in(empty, text)
    assert isinstance(caught.value, UsageError) or caught.value.code == "newer_version"
    assert empty.engine.read().event == 0
    new = {path.name for path in set(tmp_path.rglob("*")) - set(files)}
    assert not [name for name in new if name.endswith((".md", ".jsonl"))]
    empty.workstreams.create("still-empty")


def test_a_field_of_a_newer_version_comes_through_a_backup(
    board: Orchestrator, empty: Orchestrator
):
    live(board)
    text = edited(exported(board), 1, lambda line: line["payload"].update(colour="red"))
    bring_in(empty, text)
    assert '"colour":"red"' in exported(empty)


@pytest.mark.parametrize("payload", [None, [1, 2], "text", 5])
def test_an_event_of_the_agents_whose_payload_is_not_an_object_is_refused_or_shown(
    board: Orchestrator, empty: Orchestrator, payload: Any
):
    live(board)
    board.events.log("ann", "odd")
    text = edited(exported(board), -2, lambda line: line.update(payload=payload))
    try:
        bring_in(empty, text)
    except BadInput:
        return
    assert "odd" in empty.status().text()


# Wisps


def with_wisp(board: Orchestrator, *, on: str | None = None) -> str:
    """The root of a wisp that agents work on, that a convoy tracks, and that other records mention."""
    compiled = compile_formula(load("feature", board.engine.documents), {"feature": "Login"})
    poured = board.workflows.pour(compiled, ephemeral=True, on=on)
    first = poured.steps[0]
    board.tasks.claim(first.id, agent="ann")
    board.tasks.note(first.id, "secret of the wisp", agent="ann")
    mine = board.tasks.add("build", title="Mine")
    board.convoys.create("both", [mine.id, first.id])
    board.locks.acquire("db", agent="ann")
    board.mail.send("ann", subject="s", body="b", agent="bob")
    board.mail.read(board.mail.inbox(agent="ann")[0].id, agent="ann")
    board.events.log("ann", "deployed", task=first.id)
    return poured.root.id


def test_a_wisp_is_left_out_and_all_else_is_as_it_was(
    board: Orchestrator, empty: Orchestrator
) -> None:
    board.workstreams.create("build")
    kept = board.tasks.add("build", title="Kept").id
    board.tasks.claim(kept, agent="bob")
    root = with_wisp(board)
    text = exported(board)
    assert "secret of the wisp" not in text
    bring_in(empty, text)
    check_law(empty)
    assert not [task.id for task in empty.tasks.all() if task.id.startswith(root)]
    assert {task.title for task in empty.tasks.all()} == {"Kept", "Mine"}
    assert empty.tasks.get(kept) == board.tasks.get(kept)
    assert empty.convoys.get("both").tasks == (empty.tasks.all()[-1].id,)
    assert empty.mail.inbox(agent="ann") == board.mail.inbox(agent="ann")
    assert not empty.engine.read().workflows


def test_the_task_that_a_wisp_is_poured_on_stays_without_it(
    board: Orchestrator, empty: Orchestrator
) -> None:
    board.workstreams.create("build")
    task = board.tasks.add("build", title="Kept").id
    with_wisp(board, on=task)
    out = io.StringIO()
    export_board(board.engine, out)
    bring_in(empty, out.getvalue())
    check_law(empty)
    assert {task.title for task in empty.tasks.all()} == {"Kept", "Mine"}
    again = empty.tasks.get(task)
    assert (again.gate, again.milestone, again.waiting) == (None, False, False)


def test_a_wisp_that_another_task_needs_stays_and_is_named(
    board: Orchestrator, empty: Orchestrator
) -> None:
    board.workstreams.create("build")
    root = with_wisp(board)
    user = board.tasks.add("build", title="User", needs=[f"{root}.{_first_step(board, root)}"]).id
    out = io.StringIO()
    _, remarks = export_board(board.engine, out)
    assert remarks == [
        f"wisp {root} is included: task {user} needs {root}.{_first_step(board, root)}"
    ]
    bring_in(empty, out.getvalue())
    assert empty.tasks.get(user).needs == board.tasks.get(user).needs


def _first_step(board: Orchestrator, root: str) -> str:
    return board.engine.read().workflows.steps[root][0].removeprefix(f"{root}.")
