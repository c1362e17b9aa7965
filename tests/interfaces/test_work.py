"""The commands for working together: hook, sling, dispatch, convoy, session, prime, handoff, done."""

import hashlib
from pathlib import Path

import pytest

from orchestrator.core.errors import InputOutputError
from orchestrator.engine import Engine

from .conftest import CommandLine


@pytest.fixture
def task(cli: CommandLine) -> str:
    cli("ws", "create", "build")
    return str(cli("t", "add", "build", "Ship v1", "--json").json["id"])


def files(folder: Path) -> dict[str, str]:
    """Every file below a folder, with a digest of its bytes."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


UNCHANGED = "Nothing changed: it was so before."


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("t claim ID ann", "Claimed: Ship v1 -> ann"),
        ("t complete ID done --agent ann", "Completed: Ship v1"),
        ("t fail ID --agent ann", "Failed: Ship v1"),
        ("t cancel ID", "Cancelled: Ship v1"),
        ("t block ID rain", "Blocked: Ship v1"),
        ("t edit ID --priority 3", "Edited: Ship v1"),
        ("t dep add ID OTHER --type related", "Linked: ID (Ship v1) related OTHER"),
        ("t defer ID 2199-01-01", "ID (Ship v1): put off until 2199-01-01"),
        ("t duplicate ID OTHER", "Cancelled: ID (Ship v1): duplicate of OTHER"),
        ("a register bob", "Registered agent: bob (general)"),
        ("a retire boss", "Retired agent: boss"),
        ("ws close build", "Closed workstream: build"),
        ("convoy start all", "Started convoy: all (open, 0 of 1 ended)"),
        ("convoy cancel all", "Cancelled convoy: all (cancelled, 0 of 1 ended)"),
        ("kb write notes text", "Wrote knowledge: notes"),
        ("mail list night ann,bob", "Set mailing list: night"),
        ("hook ID --agent ann", "Hung: Ship v1 -> ann"),
    ],
)
def test_a_repeated_command_reports_it_and_logs_nothing(
    cli: CommandLine, task: str, words: str, first: str
) -> None:
    other = cli("t", "add", "build", "Other", "--json").json["id"]
    cli("a", "register", "boss")
    cli("convoy", "create", "all", other)
    if words.startswith(("t complete", "t fail")):
        cli("t", "claim", task, "ann")
    line = [{"ID": task, "OTHER": other}.get(word, word) for word in words.split()]
    shown = first.replace("ID", task).replace("OTHER", other)
    assert cli(*line).lines[0].startswith(shown)
    before = cli("events", "--json").json[-1]["id"]
    again = cli(*line)
    assert (again.lines[0].startswith(shown), again.lines[1]) == (True, UNCHANGED)
    assert cli("events", "--json").json[-1]["id"] == before


def test_undefer_of_a_task_that_is_not_deferred_reports_it(cli: CommandLine, task: str) -> None:
    assert cli("t", "defer", task, "").lines == [
        f"{task} (Ship v1): not put off any more",
        UNCHANGED,
    ]


def test_a_forced_hook_reports_the_task_that_it_replaced(cli: CommandLine, task: str) -> None:
    other = cli("t", "add", "build", "Other", "--json").json["id"]
    cli("hook", task, "--agent", "kim")
    assert cli("hook", other, "--force", "--agent", "kim").lines[:2] == [
        "Hung: Other -> kim",
        f"Pending again, it hung there: {task} (Ship v1)",
    ]


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("sling ID kim", "Would hang: Ship v1 -> kim"),
        ("dispatch", "Would assign:"),
        ("handoff", "Would hand off."),
        ("convoy start all", "Would start convoy: all"),
        ("convoy start all --dispatch", "Would start convoy: all"),
    ],
)
def test_a_dry_run_prints_what_would_be_done(
    cli: CommandLine, task: str, words: str, first: str
) -> None:
    cli("a", "register", "ann")
    cli("convoy", "create", "all", task)
    line = [task if word == "ID" else word for word in words.split()]
    assert cli(*line, "--dry-run", "--agent", "ann").lines[0].startswith(first)


def test_mail_to_a_name_that_no_agent_used_is_sent_with_a_note(cli: CommandLine) -> None:
    cli("a", "register", "bob")
    sent = cli("mail", "send", "bbo", "-s", "hello", "--agent", "bob")
    assert sent.out.startswith("Sent message")
    assert sent.err == (
        "Warning: no agent bbo was here yet; did you mean 'bob'?; what is meant for it waits\n"
    )
    assert cli("mail", "send", "bob", "-s", "hello", "--agent", "bob").err == ""


GIVING = (
    "mail list night bbo",
    "convoy create all ID --notify bbo",
    "sling ID bbo",
    "t batch FILE",
)


@pytest.mark.parametrize("words", GIVING)
def test_giving_work_or_mail_to_an_unused_name_is_noted_everywhere(
    cli: CommandLine, task: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / "batch.json").write_text(f'[{{"id": "{task}", "assign": "bbo"}}]')
    cli("a", "register", "bob")
    places = {"ID": task, "FILE": str(tmp_path / "batch.json")}
    line = [places.get(word, word) for word in words.split()]
    assert "no agent bbo was here yet; did you mean 'bob'?" in cli(*line, "--agent", "bob").err


WORDS = (
    "t note ID x",
    "kb write findings x",
    "kb append findings x",
    "say bob x y",
    "mail broadcast x y",
    "decision add x",
    "done ID --force --reason x",
    "t complete ID --force --reason x",
)


@pytest.mark.parametrize("words", WORDS)
def test_writing_without_a_name_is_noted_once(cli: CommandLine, task: str, words: str) -> None:
    cli("a", "register", "bob")
    cli("a", "register", "ann")
    line = [task if word == "ID" else word for word in words.split()]
    with_name = cli(*line, "--agent", "ann").err
    cli("t", "reopen", task, status=None)
    note = 'Note: recorded as "system"; give --agent NAME or export ORC_AGENT=NAME\n'
    assert note not in with_name
    assert cli(*line, "--json").err == ""
    cli("t", "reopen", task, status=None)
    assert cli(*(word.replace("x", "z") for word in line)).err == note


def test_the_note_about_a_missing_name_reads_nothing_after_the_commit(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise InputOutputError("Could not read the log")

    monkeypatch.setattr(Engine, "event", fail)
    assert cli("kb", "write", "findings", "A").err.startswith("Note: recorded as")


def test_a_step_that_is_not_the_word_of_an_agent_needs_no_name(cli: CommandLine, task: str) -> None:
    assert cli("t", "edit", task, "--title", "Dig").err == ""
    cli("t", "claim", task, "ann")
    assert cli("t", "complete", task).err == ""


def test_cancelling_a_parent_names_its_open_parts(cli: CommandLine, task: str) -> None:
    part = cli("t", "add", "build", "Dig", "--parent", task, "--json").json["id"]
    page = cli("t", "cancel", task).out
    assert f"Its open parts stay, and it keeps them back no longer: {part} Dig" in page


def test_a_label_that_is_empty_is_refused_when_a_task_is_added(cli: CommandLine, task: str) -> None:
    assert "labels is empty" in cli("t", "add", "build", "x", "--label", "", status=2).err
    assert cli("t", "edit", task, "--label", "").lines[0] == "Edited: Ship v1"


def test_a_hook_is_shown_filled_and_shown_of_others(cli: CommandLine, task: str) -> None:
    empty = "On the hook of ann: nothing: `t next` finds work\n"
    assert cli("hook", "--agent", "ann").out == empty
    assert cli("hook", task, "--agent", "ann").lines[0] == "Hung: Ship v1 -> ann"
    shown = f"On the hook of ann: [in_progress] {task}: Ship v1 -> ann\n"
    assert cli("hook", "show", "ann").out == shown
    assert cli("hook", "--agent", "ann").out == shown
    assert cli("hook", "show", "ann", "--json").json["task"]["id"] == task
    assert cli("unsling", "--agent", "ann").out == "Unslung: Ship v1\n"


def test_sling_prints_the_agent(cli: CommandLine, task: str) -> None:
    assert cli("sling", task, "ann", "--agent", "boss").out == "Slung: Ship v1 -> ann\n"
    again = cli("sling", task, "ann", "--agent", "boss").lines
    assert again == ["Slung: Ship v1 -> ann", UNCHANGED]
    assert cli("sling", task, "bob", status=1).err.startswith(
        f"Error: Task {task} is assigned with ann\nHint: "
    )


def test_dispatch_prints_what_was_given_to_whom(cli: CommandLine, task: str) -> None:
    assert cli("dispatch").out == "Nothing to dispatch.\n"
    cli("a", "register", "ann")
    assert cli("dispatch", "--json").json == [
        {"task": task, "title": "Ship v1", "agent": "ann", "load": 1}
    ]
    assert cli("agents").lines[1].split()[1] in ("idle", "working")


def test_a_convoy_is_created_changed_shown_and_lands(cli: CommandLine, task: str) -> None:
    created = cli("convoy", "create", "release", task, "--notify", "boss")
    assert created.out == "Created convoy: release (open, 0 of 1 ended)\n"
    other = cli("t", "add", "build", "Docs", "--json").json["id"]
    assert cli("convoy", "add", "release", other).out.endswith("(open, 0 of 2 ended)\n")
    assert cli("convoy", "remove", "release", other).out.endswith("(open, 0 of 1 ended)\n")
    assert cli("c", "start", "release").out.startswith("Started convoy: release")
    cli("t", "cancel", task)
    assert cli("convoy", "list").out == "No convoys.\n"
    assert cli("convoy", "list", "--all", "--json").json[0]["status"] == "landed"
    assert cli("convoy", "status", "release").lines[0] == "[landed] release"
    assert cli("convoy", "status", "release", "--json").json["percent"] == 100
    assert cli("convoy", "status", "nothing", status=1).err.startswith("Error: There is no convoy")


def test_a_session_begins_is_handed_off_and_primes_the_next(cli: CommandLine, task: str) -> None:
    started = cli("session", "start", "ann")
    assert started.out == "Session 1 of ann. Set ORC_SESSION=1 in its environment.\n"
    cli("hook", task, "--agent", "ann")
    assert cli("handoff", "-m", "Go on", "--agent", "ann").lines[0] == "Handed off."
    cli("session", "start", "ann")
    text = cli("prime", "ann", "--if-changed").out
    assert "> Go on" in text
    assert "This is session 2." in text
    assert cli("prime", "ann", "--if-changed").out == ""
    assert cli("prime", "ann", "--if-changed", "--json").json["changed"] is False
    assert "> Go on" in cli("prime", "ann").out


def test_a_handoff_of_a_session_that_was_not_begun_names_no_number(cli: CommandLine) -> None:
    shown = cli("handoff", "-m", "Go on", "--agent", "ann")
    assert shown.lines[:2] == ["Handed off.", "Session of ann"]
    assert "began" not in shown.out
    assert cli("session", "show", "ann").lines[0] == "Session of ann"
    cli("session", "start", "ann")
    assert cli("session", "show", "ann").lines[0] == "Session 1 of ann"


def test_an_older_session_is_refused(
    cli: CommandLine, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        cli("session", "start", "ann")
    cli("t", "claim", task, "ann")
    monkeypatch.setenv("ORC_SESSION", "1")
    refused = cli("t", "complete", task, "--agent", "ann", "--json", status=1)
    assert refused.error["code"] == "older_session"
    monkeypatch.setenv("ORC_SESSION", "two")
    assert cli("t", "list", status=2).err.startswith("Error: ORC_SESSION is 'two'\nHint: ")
    monkeypatch.setenv("ORC_SESSION", "2")
    cli("t", "complete", task, "--agent", "ann")


@pytest.mark.parametrize(
    ("words", "out"),
    [
        ((), "Choose a name and say who you are: `orc prime NAME`\n"),
        (("--budget", "x"), "Choose a name and say who you are: `orc prime NAME`\n"),
        (("--agent", "../x"), ""),
    ],
)
def test_prime_never_fails(cli: CommandLine, words: tuple[str, ...], out: str) -> None:
    assert cli("prime", *words, status=0).out == out


def test_prime_without_a_board_explains_how_to_make_it(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_DIR", str(tmp_path / "none"))
    shown = cli("prime", "ann", status=0)
    assert shown.lines[0].endswith("none. `orc init` makes one.")
    assert (len(shown.lines), shown.err) == (1, "")
    assert not (tmp_path / "none").exists()


def test_prime_does_not_stop_a_session_on_a_damaged_board_or_without_one(
    cli: CommandLine, tmp_path: Path, task: str
) -> None:
    folder = tmp_path / "board" / "state"
    (folder / "events.jsonl").write_bytes(b"no log\n")
    (folder / "state.json").unlink(missing_ok=True)
    cli("prime", "ann", status=0)


def test_done_and_escalate_say_what_was_made(cli: CommandLine, task: str) -> None:
    cli("hook", task, "--agent", "ann")
    made = cli("escalate", "No key", "--severity", "high", "--agent", "ann", "--json").json
    assert (made["type"], made["priority"]) == ("escalation", 2)
    assert cli("done", "-m", "shipped", "--agent", "ann").lines[0] == "Completed: Ship v1"
    assert cli("done", "--agent", "ann", "--json", status=1).error["code"] == "hook_empty"


@pytest.mark.parametrize(
    "words",
    [
        ("sling", "TASK", "ann"),
        ("dispatch",),
        ("convoy", "start", "release"),
        ("convoy", "start", "release", "--dispatch"),
        ("handoff", "-m", "note", "--collect"),
    ],
)
def test_a_dry_run_leaves_every_file_byte_for_byte(
    cli: CommandLine, tmp_path: Path, task: str, words: tuple[str, ...]
) -> None:
    cli("a", "register", "bob")
    cli("convoy", "create", "release", task)
    before = files(tmp_path / "board")
    line = [word.replace("TASK", task) for word in words]
    cli(*line, "--dry-run", "--agent", "boss")
    assert files(tmp_path / "board") == before
    cli(*line, "--agent", "boss")
    assert files(tmp_path / "board") != before


def test_an_agent_is_renamed(cli: CommandLine, task: str) -> None:
    cli("hook", task, "--agent", "ann")
    assert cli("a", "rename", "ann", "team/ann").out == "Renamed agent: ann -> team/ann\n"
    assert cli("hook", "show", "team/ann", "--json").json["task"]["id"] == task
