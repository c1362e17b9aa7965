"""A board in and out of other forms: JSONL of the whole board, and boards of the Node original."""

import builtins
import errno
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from boards import SettableClock, as_text, changes_nothing, check_law, code_of

from orchestrator import (
    BadInput,
    BadName,
    InputOutputError,
    NotFound,
    Orchestrator,
    OrchestratorError,
    Refused,
    UsageError,
)
from orchestrator.integrations.opspawn import import_opspawn
from orchestrator.maintenance.backup import export_board, import_board
from orchestrator.stores.files import FileStore

HERE = Path(__file__).parent
OPSPAWN = HERE.parent / "data" / "opspawn-board"
GOLDEN = HERE.parent / "golden" / "events.jsonl"


@pytest.fixture
def empty(clock: SettableClock, tmp_path: Path) -> Orchestrator:
    return Orchestrator.open(tmp_path / "empty", now=clock)


def exported(board: Orchestrator) -> str:
    out = io.StringIO()
    count = export_board(board.engine, out)
    assert count == board.engine.read().event
    return out.getvalue()


def bring_in(board: Orchestrator, text: str) -> Any:
    return import_board(board.engine, io.StringIO(text))


def live(board: Orchestrator) -> None:
    """A board on which everything happened once."""
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


# The whole board as JSONL


def test_an_imported_board_is_the_exported_one(board: Orchestrator, empty: Orchestrator):
    live(board)
    counts = bring_in(empty, exported(board))
    assert (counts.workstreams, counts.tasks, counts.agents, counts.topics) == (1, 2, 1, 1)
    assert counts.events == board.engine.read().event
    assert repr(empty.engine.read()) == repr(board.engine.read())
    assert [bytes(at.payload) for at in empty.events.read()] == [
        bytes(at.payload) for at in board.events.read()
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
    """What was taken in once is no reason to refuse the backup."""
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
    "a field that is unknown": lambda text: edited(
        text, 1, lambda line: line["payload"].update(colour="red")
    ),
    "a field of another type": lambda text: edited(
        text, 1, lambda line: line["payload"].update(priority="high")
    ),
    "a task that was never added": lambda text: edited(
        text, 5, lambda line: line["payload"].update(task="00000000")
    ),
    "a workstream that is not there": lambda text: edited(
        text, 3, lambda line: line["payload"].update(workstream="other")
    ),
    "a time that is none": lambda text: edited(text, 1, lambda line: line.update(ts="noon")),
    "no payload": lambda text: edited(text, 1, lambda line: line.pop("payload")),
    "an id that is no number": lambda text: edited(text, 1, lambda line: line.update(id="1")),
    "an agent that leaves its folder": lambda text: edited(
        text, 1, lambda line: line.update(agent="../ann")
    ),
    "a topic that leaves its folder": lambda text: text.replace('"findings"', '"../../evil"'),
    "a topic with a NUL": lambda text: text.replace('"findings"', '"a\\u0000"'),
    "a workstream with a control character": lambda text: text.replace('"build"', '"a\\u001b"'),
}


@pytest.mark.parametrize("harm", BAD_EXPORTS)
def test_what_is_no_whole_export_is_a_named_error_and_nothing_is_imported(
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


@pytest.mark.parametrize("payload", [None, [1, 2], "text", 5])
def test_an_event_of_the_agents_whose_payload_is_no_object_is_refused_or_shown(
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


# Boards of the Node original


def original() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((OPSPAWN / "state.json").read_text())
    return loaded


def test_the_real_board_shows_the_same_workstreams_counts_and_priorities(empty: Orchestrator):
    import_opspawn(empty.engine, str(OPSPAWN))
    old = original()["workstreams"]
    assert {s.name: (s.description, s.priority, s.status) for s in empty.workstreams.all()} == {
        name: (stream["description"], stream["priority"], stream["status"])
        for name, stream in old.items()
    }
    for name, stream in old.items():
        counted: dict[str, int] = {}
        for task in stream["tasks"]:
            counted[task["status"]] = counted.get(task["status"], 0) + 1
        assert empty.workstreams.counts(name) == counted
    check_law(empty)


def test_the_real_board_keeps_ids_titles_results_and_times_of_tasks(empty: Orchestrator):
    import_opspawn(empty.engine, str(OPSPAWN))
    for name, stream in original()["workstreams"].items():
        for old in stream["tasks"]:
            task = empty.tasks.get(old["id"])
            assert task.workstream == name
            for field in (
                "id", "title", "description", "status", "priority", "estimate", "assigned_to",
                "created_at", "updated_at", "result",
            ):  # fmt: skip
                assert getattr(task, field) == old[field], field
    assert len(empty.tasks.all()) == sum(
        len(s["tasks"]) for s in original()["workstreams"].values()
    )


def test_the_real_board_keeps_topics_with_author_and_time_of_their_header(empty: Orchestrator):
    import_opspawn(empty.engine, str(OPSPAWN))
    files = {path.stem: path.read_text() for path in (OPSPAWN / "knowledge").glob("*.md")}
    assert {topic.name for topic in empty.knowledge.all()} == set(files)
    for name, text in files.items():
        head, _, body = text.partition("\n")
        assert head.startswith("<!-- Updated by ")
        assert (empty.knowledge.read(name) or "").strip() == body.strip()
        document = empty.knowledge.document(name)
        assert document is not None
        assert f"Updated by {document.author} at" in head
        assert not document.edited
        file = Path(str(empty.folder), "knowledge", f"{name}.md").read_text()
        assert head.split(" at ")[1].removesuffix(" -->") in file


def test_the_real_boards_log_is_kept_as_history_with_its_agents_and_times(empty: Orchestrator):
    import_opspawn(empty.engine, str(OPSPAWN))
    old = [json.loads(line) for line in (OPSPAWN / "events.jsonl").read_text().splitlines()]
    kept = empty.events.read(type="opspawn.*")
    assert [(at.ts, at.agent, at.type) for at in kept] == [
        (line["ts"], line["agent"], f"opspawn.{line['action']}") for line in old
    ]
    for at, line in zip(kept, old, strict=True):
        facts = {k: v for k, v in line.items() if k not in ("ts", "agent", "action")}
        assert json.loads(bytes(at.payload)) == facts


def test_the_real_boards_agents_are_kept(empty: Orchestrator):
    import_opspawn(empty.engine, str(OPSPAWN))
    old = original()["agents"]["main"]
    agent = empty.engine.read().agents["main"]
    assert (agent.type, agent.registered_at) == (old["type"], old["registered_at"])


def test_the_real_board_is_one_commit_and_can_be_worked_on(empty: Orchestrator):
    import_opspawn(empty.engine, str(OPSPAWN))
    assert [at.more for at in empty.events.read()].count(False) == 1
    task = empty.tasks.next("revenue", agent="ann")
    assert task is not None
    assert task.id == "494af3c1"
    assert empty.tasks.next(agent="ann") is not None
    empty.tasks.complete(task.id, result="done")


def test_the_original_is_left_as_it_was(empty: Orchestrator, tmp_path: Path):
    copy = Path(shutil.copytree(OPSPAWN, tmp_path / "old"))
    before = {p: p.read_bytes() for p in copy.rglob("*") if p.is_file()}
    import_opspawn(empty.engine, str(copy))
    assert {p: p.read_bytes() for p in copy.rglob("*") if p.is_file()} == before


def test_an_original_is_imported_only_into_an_empty_board(board: Orchestrator):
    board.workstreams.create("mine")
    with changes_nothing(board):
        assert code_of(lambda: import_opspawn(board.engine, str(OPSPAWN))) == "not_empty"


def test_a_folder_without_a_state_is_not_found(empty: Orchestrator, tmp_path: Path):
    with changes_nothing(empty), pytest.raises(NotFound):
        import_opspawn(empty.engine, str(tmp_path / "nothing"))


def put(folder: Path, change: Callable[[dict[str, Any]], object]) -> str:
    shutil.copytree(OPSPAWN, folder)
    state = original()
    change(state)
    (folder / "state.json").write_text(json.dumps(state))
    return str(folder)


def first(state: dict[str, Any]) -> dict[str, Any]:
    task: dict[str, Any] = state["workstreams"]["revenue"]["tasks"][0]
    return task


ODD: dict[str, Callable[[dict[str, Any]], object]] = {
    "a task without an id": lambda state: first(state).pop("id"),
    "an id twice": lambda state: first(state).update(id="494af3c1"),
    "a status of another kind": lambda state: first(state).update(status="paused"),
    "a priority that is a word": lambda state: first(state).update(priority="high"),
    "a priority that is null": lambda state: first(state).update(priority=None),
    "a title that is a list": lambda state: first(state).update(title=[1]),
    "a result that is an object": lambda state: first(state).update(result={"a": 1}),
    "a holder that is a number": lambda state: first(state).update(assigned_to=7),
    "a holder that leaves its folder": lambda state: first(state).update(assigned_to="../x"),
    "an estimate that is a word": lambda state: first(state).update(estimate="2h"),
    "an estimate that is true": lambda state: first(state).update(estimate=True),
    "a time that is a number": lambda state: first(state).update(created_at=5),
    "a time that is none": lambda state: first(state).update(updated_at="noon"),
    "tasks that are null": lambda state: state["workstreams"]["revenue"].update(tasks=None),
    "tasks that are words": lambda state: state["workstreams"]["revenue"].update(tasks=["x"]),
    "a stream that is a word": lambda state: state["workstreams"].update(revenue="x"),
    "a stream that leaves its folder": lambda state: state["workstreams"].update({"../x": {}}),
    "streams that are a list": lambda state: state.update(workstreams=[]),
    "capabilities that are a word": lambda state: state["agents"]["main"].update(capabilities="x"),
    "capabilities of another type": lambda state: state["agents"]["main"].update(capabilities=[1]),
    "an agent that is null": lambda state: state["agents"].update(main=None),
    "an agent that leaves its folder": lambda state: state["agents"].update({"../x": {}}),
}


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_original_is_imported_readably_or_refused_by_name(
    empty: Orchestrator, tmp_path: Path, odd: str
):
    """Whatever it holds: no bare exception, and never a board that cannot be read any more."""
    folder = put(tmp_path / "odd", ODD[odd])
    try:
        import_opspawn(empty.engine, folder)
    except OrchestratorError as error:
        assert error.exit_status == 2  # noqa: PT017  # both ways keep the rule
        assert empty.engine.read().event == 0
        return
    Path(str(empty.folder), "state", "state.json").unlink(missing_ok=True)
    with Orchestrator.open(empty.folder, warn=pytest.fail) as reopened:
        assert reopened.workstreams.create("still-open").name == "still-open"
    empty.engine.forget()
    check_law(empty)


def test_a_task_in_progress_is_pending_again_because_its_claim_has_no_lease(
    empty: Orchestrator, tmp_path: Path
):
    folder = put(tmp_path / "old", lambda state: first(state).update(status="in_progress"))
    import_opspawn(empty.engine, folder)
    task = empty.tasks.get("299833bc")
    assert (task.status, task.assigned_to) == ("pending", None)
    assert as_text(empty.engine.read(), empty.engine._position)


@pytest.mark.parametrize(
    "line", ["hello", "[]", '{"action":"a b","agent":"x"}', '{"action":"x","agent":"../y"}', "{"]
)
def test_a_bad_line_of_the_old_log_is_a_named_error(empty: Orchestrator, tmp_path: Path, line: str):
    folder = put(tmp_path / "old", lambda state: None)
    with Path(folder, "events.jsonl").open("a") as file:
        file.write(line + "\n")
    with changes_nothing(empty), pytest.raises((BadInput, BadName)):
        import_opspawn(empty.engine, folder)


@pytest.mark.parametrize("unreadable", ["events.jsonl", "knowledge"])
def test_a_disk_that_does_not_answer_is_no_original_without_that_part(
    empty: Orchestrator, monkeypatch: pytest.MonkeyPatch, unreadable: str
) -> None:
    """It was imported without its log or its topics, and said nothing."""
    path = str(OPSPAWN / unreadable)
    assert os.path.exists(path)

    def broken(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(given: object = ".", *args: Any, **options: Any) -> Any:
            if str(given) == path:
                raise OSError(errno.EIO, os.strerror(errno.EIO), path)
            return real(given, *args, **options)

        return call

    for module, name in ((os, "stat"), (os, "lstat"), (os, "listdir"), (builtins, "open")):
        monkeypatch.setattr(module, name, broken(getattr(module, name)))
    with changes_nothing(empty), pytest.raises(InputOutputError, match="Input/output error"):
        import_opspawn(empty.engine, str(OPSPAWN))
