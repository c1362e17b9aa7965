"""The import of boards of the Node original."""

import errno
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
)
from orchestrator.integrations.opspawn import import_opspawn

OPSPAWN = Path(__file__).parent.parent / "data" / "opspawn-board"


@pytest.fixture
def empty(clock: SettableClock, tmp_path: Path) -> Orchestrator:
    return Orchestrator.open(tmp_path / "empty", now=clock)


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
    assert [(record.ts, record.agent, record.type) for record in kept] == [
        (line["ts"], line["agent"], f"opspawn.{line['action']}") for line in old
    ]
    for record, line in zip(kept, old, strict=True):
        facts = {k: v for k, v in line.items() if k not in ("ts", "agent", "action")}
        assert json.loads(bytes(record.payload)) == facts


def test_the_real_boards_agents_are_kept(empty: Orchestrator):
    import_opspawn(empty.engine, str(OPSPAWN))
    old = original()["agents"]["main"]
    agent = empty.engine.read().agents["main"]
    assert (agent.type, agent.registered_at) == (old["type"], old["registered_at"])


def test_the_real_board_is_one_commit_and_can_be_worked_on(empty: Orchestrator):
    import_opspawn(empty.engine, str(OPSPAWN))
    assert [record.more for record in empty.events.read()].count(False) == 1
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
    "a time that is not valid": lambda state: first(state).update(updated_at="noon"),
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
    """With any content: no unexpected exception, and never an unreadable board."""
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
    assert as_text(empty.engine.read(), empty.engine.position)


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
def test_a_disk_that_does_not_answer_is_not_an_original_without_that_part(
    empty: Orchestrator, monkeypatch: pytest.MonkeyPatch, unreadable: str
) -> None:
    """It was once imported without its log or topics, and without an error."""
    path = str(OPSPAWN / unreadable)
    assert os.path.exists(path)

    def broken(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(given: object = ".", *args: Any, **options: Any) -> Any:
            if str(given) == path:
                raise OSError(errno.EIO, os.strerror(errno.EIO), path)
            return real(given, *args, **options)

        return call

    for module, name in ((os, "stat"), (os, "lstat"), (os, "listdir"), (os, "open")):
        monkeypatch.setattr(module, name, broken(getattr(module, name)))
    with changes_nothing(empty), pytest.raises(InputOutputError, match="Input/output error"):
        import_opspawn(empty.engine, str(OPSPAWN))
