"""Every command from the line to the output: the original's words as text, whole records as JSON."""

import io
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import OPSPAWN_BOARD

from .conftest import CommandLine

TIME_OF_DAY = re.compile(r"(\d{4}-\d\d-\d\d )?\d\d:\d\d\b")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def steady(value: Any) -> Any:
    """A document with its times replaced, so that it can be compared as a whole."""
    if isinstance(value, dict):
        return {key: steady(item) for key, item in value.items()}
    if isinstance(value, list):
        return [steady(item) for item in value]
    return "TIME" if isinstance(value, str) and TIME.fullmatch(value) else value


def added(cli: CommandLine, title: str = "Ship v1", *options: str) -> str:
    """Add a task to the workstream `build`, which is created if it is missing; return the id."""
    cli("ws", "create", "build", status=None)
    return str(cli("t", "add", "build", title, *options, "--json").json["id"])


# Workstreams


def test_workstream_create_prints_the_name_and_takes_description_and_priority(
    cli: CommandLine,
) -> None:
    assert cli("ws", "create", "build", "Build things", "1").out == "Created workstream: build\n"
    assert cli("workstream", "list").lines == [
        "[P1] build - Build things",
        "  Tasks: 0 pending, 0 active, 0 done",
    ]
    assert steady(cli("ws", "ls", "--json").json) == [
        {
            "name": "build",
            "description": "Build things",
            "priority": 1,
            "prefix": "",
            "status": "active",
            "created_at": "TIME",
            "updated_at": "TIME",
            "created_by": "system",
            "counts": {},
        }
    ]


def test_a_workstream_of_the_same_name_is_refused(cli: CommandLine) -> None:
    cli("ws", "create", "build")
    again = cli("ws", "create", "build").lines
    assert again == ["Created workstream: build", "Nothing changed: it was so before."]
    shown = cli("ws", "create", "build", "--priority", "2", status=1)
    assert shown.out == ""
    assert shown.err.startswith("Error: There is already a workstream 'build'\nHint: ")


def test_a_workstream_is_edited_closed_and_reopened(cli: CommandLine) -> None:
    cli("ws", "create", "build")
    assert cli("ws", "edit", "build", "--priority", "2").out == "Edited workstream: build\n"
    assert cli("ws", "close", "build").out == "Closed workstream: build\n"
    assert cli("ws", "ls").lines[0] == "[P2] build - (no desc) [closed]"
    assert cli("ws", "reopen", "build").out == "Reopened workstream: build\n"
    assert cli("ws", "show", "build", "--json").json["status"] == "active"
    assert cli("ws", "show", "build").lines[2].split() == ["status", "active"]
    assert cli("ws", "edit", "build", status=2).err.startswith("Error: There is nothing to change")


def test_listings_of_an_empty_board_say_so(cli: CommandLine) -> None:
    assert cli("ws", "ls").out == "No workstreams.\n"
    assert cli("t", "ls").out == "No tasks.\n"
    assert cli("l", "ls").out == "No locks.\n"
    assert cli("kb", "ls").out == "(empty)\n"
    assert cli("events").out == "No events.\n"
    for noun in ("ws", "t", "l", "kb", "e"):
        assert cli(noun, "ls", "--json").json == []


# Tasks


def test_add_prints_id_and_title(cli: CommandLine) -> None:
    cli("ws", "create", "build")
    shown = cli("task", "add", "build", "Ship v1", "All of it", "2")
    assert re.fullmatch(r"Added task [0-9a-f]{8}: Ship v1\n", shown.out)


def test_the_record_of_a_task_has_the_names_of_the_original_and_all_others(
    cli: CommandLine,
) -> None:
    need = added(cli, "First")
    cli("ws", "create", "other")
    line = (
        "t add other Ship --description Long --type feature --priority 2 --label ui,web"
        " --acceptance Works --estimate 2h --touches git,src/** --json"
    )
    task = cli(*line.split(), "--needs", need).json
    assert steady(task) == {
        "id": task["id"],
        "workstream": "other",
        "title": "Ship",
        "description": "Long",
        "status": "pending",
        "type": "feature",
        "priority": 2,
        "labels": ["ui", "web"],
        "acceptance": "Works",
        "estimate": 120.0,
        "needs": [need],
        "open_needs": 1,
        "parent": None,
        "held": False,
        "gate": None,
        "waiting": False,
        "signals": [],
        "milestone": False,
        "until": "",
        "for_each": None,
        "workflow": None,
        "assignee": "",
        "progress": None,
        "links": [],
        "defer_until": "",
        "due": "",
        "commits": [],
        "external_ref": "",
        "needs_failure_of": [],
        "meta": {},
        "checks": None,
        "evidence": [],
        "touches": ["git", "src/**"],
        "assigned_to": None,
        "lease": None,
        "lease_until": "",
        "token": None,
        "attempt": 0,
        "workers": [],
        "failures": 0,
        "reviewer": None,
        "review_lease": None,
        "review_until": "",
        "waits_for": "",
        "proposal": None,
        "result": None,
        "reason": "",
        "notes": [],
        "created_at": "TIME",
        "created_by": "system",
        "updated_at": "TIME",
        "claimed_at": None,
        "machine": "",
        "ended_at": None,
        "events": [4],
    }


def test_description_and_priority_are_given_by_place_or_by_option_but_not_differently(
    cli: CommandLine,
) -> None:
    cli("ws", "create", "build")
    task = cli("t", "add", "build", "T", "D", "3", "--priority", "3", "--json").json
    assert (task["description"], task["priority"]) == ("D", 3)
    shown = cli("t", "add", "build", "T", "D", "3", "--priority", "4", status=2)
    assert shown.err.startswith("Error: The priority is given twice: 3 and --priority 4\n")


def test_the_lines_of_the_original(cli: CommandLine) -> None:
    task = added(cli)
    assert cli("t", "ls", "build").out == f"[pending] {task}: Ship v1\n"
    assert cli("t", "claim", "build", task, "agent-1").lines[0] == "Claimed: Ship v1 -> agent-1"
    assert cli("t", "ls", "build").out == f"[in_progress] {task}: Ship v1 -> agent-1\n"
    assert cli("t", "complete", "build", task, "Shipped!").lines[0] == "Completed: Ship v1"
    assert cli("t", "show", task, "--json").json["result"] == "Shipped!"
    second = added(cli, "Ship v2")
    assert cli("t", "next", "build", "agent-1").lines[0] == f"Claimed next task: {second} - Ship v2"
    nothing = "No pending tasks in this workstream."
    assert cli("t", "next", "build", "agent-1", status=1).lines[0] == nothing
    assert cli("t", "done", "build", second).lines[0] == "Completed: Ship v2"


def test_next_without_work_is_an_answer_on_stdout(cli: CommandLine) -> None:
    cli("ws", "create", "build")
    shown = cli("t", "next", "--agent", "a", "--json", status=1)
    assert (shown.out, shown.err) == ("null\n", "")
    assert cli("t", "next", "--agent", "a", status=1).lines[0] == "No pending tasks."
    assert cli("t", "next", "--agent", "a", "--quiet", status=1).out == "No pending tasks.\n"


def test_the_workstream_before_an_id_may_be_left_out(cli: CommandLine) -> None:
    task = added(cli)
    assert cli("t", "claim", task[:4], "agent-1").lines[0] == "Claimed: Ship v1 -> agent-1"
    assert cli("t", "complete", task, "It", "is", "done").lines[0] == "Completed: Ship v1"
    assert cli("t", "show", "build", task, "--json").json["result"] == "It is done"


def test_a_workstream_before_an_unknown_id_reports_the_id(cli: CommandLine) -> None:
    added(cli)
    assert cli("t", "show", "build", "ffffffff", status=1).err.startswith(
        "Error: There is no task 'ffffffff'\n"
    )


def test_a_word_too_many_is_a_usage_error(cli: CommandLine) -> None:
    task = added(cli)
    for line in (f"t claim {task} a b", f"t show {task} x", f"t renew build {task} x"):
        assert "is one word too many" in cli(*line.split(), status=2).err


def test_every_step_prints_what_happened_to_which_task(cli: CommandLine) -> None:
    task = added(cli)
    cli("t", "claim", task, "ann")
    output = [
        cli("t", "renew", task, "--lease", "1h").out[:16],
        cli("t", "release", task, "not", "mine").lines[0],
        cli("t", "block", task, "no key").lines[0],
        cli("t", "unblock", task).lines[0],
        cli("t", "note", task, "look").lines[0],
        cli("t", "edit", task, "--title", "Ship v2").lines[0],
        cli("t", "cancel", task, "--reason", "no").lines[0],
        cli("t", "reopen", task).lines[0],
        cli("t", "next", "build", "ann").lines[0],
        cli("t", "fail", task, "broken").lines[0],
        cli("t", "archive", task).lines[0],
    ]
    assert output == [
        "Renewed: Ship v1",
        "Released: Ship v1",
        "Blocked: Ship v1",
        "Unblocked: Ship v1",
        "Noted: Ship v1",
        "Edited: Ship v2",
        "Cancelled: Ship v2",
        "Reopened: Ship v2",
        f"Claimed next task: {task} - Ship v2",
        "Failed: Ship v2",
        "Archived: Ship v2",
    ]


def test_what_a_step_needs_is_asked_for(cli: CommandLine) -> None:
    task = added(cli)
    assert cli("t", "block", task, status=2).err.startswith("Error: A reason is needed\n")
    assert cli("t", "note", task, status=2).err.startswith("Error: A text is needed\n")
    assert cli("t", "edit", task, status=2).err.startswith("Error: There is nothing to change\n")
    assert cli("t", "archive", status=2).err.startswith("Error: Nothing to archive is named\n")
    assert cli("t", "next", "build", status=2).err.startswith("Error: ")
    assert cli("t", "complete", task, "one", "--result", "two", status=2).err.startswith(
        "Error: The result is given twice"
    )


def test_an_empty_list_clears_and_an_option_that_is_not_given_does_not(cli: CommandLine) -> None:
    task = added(cli, "T", "--labels", "a,b", "--touches", "git")
    edited = cli("t", "edit", task, "--labels", "", "--json").json
    assert (edited["labels"], edited["touches"]) == ([], ["git"])


def test_archiving_gives_the_archived_records(cli: CommandLine) -> None:
    task = added(cli)
    cli("t", "cancel", task)
    assert cli("t", "archive", "--older-than", "30d").out == "Nothing to archive.\n"
    assert [t["id"] for t in cli("t", "archive", task, "--json").json] == [task]
    assert cli("t", "show", task, "--json").json["status"] == "cancelled"


def test_tasks_are_listed_by_every_filter(cli: CommandLine) -> None:
    first = added(cli, "First", "--label", "ui", "--type", "bug")
    second = added(cli, "Second", "--needs", first)
    third = added(cli, "Third")
    cli("t", "claim", third, "ann")

    def ids(*options: str) -> list[str]:
        return [task["id"] for task in cli("t", "ls", *options, "--json").json]

    assert ids("build") == [first, second, third]
    assert ids("--status", "pending,in_progress") == [first, second, third]
    assert ids("--status", "in_progress") == ids("--agent", "ann") == [third]
    assert ids("--label", "ui") == ids("--type", "bug") == ids("--ready") == [first]
    assert "is not one of pending" in cli("t", "ls", "--status", "no", status=2).err


def test_show_has_history_and_dependants(cli: CommandLine) -> None:
    first = added(cli, "First", "--description", "Long\ntext", "--estimate", "90")
    second = added(cli, "Second", "--needs", first)
    cli("t", "note", first, "a remark", "--agent", "ann")
    record = cli("t", "show", first, "--json").json
    assert record["needed_by"] == [second]
    assert [event["type"] for event in record["history"]] == ["task.added", "task.noted"]
    text = cli("t", "show", first).out
    assert text.startswith(f"[pending] {first}: First\n")
    assert "\nDescription:\n  Long\n  text\n" in text
    assert re.search(r"\nestimate +1h30m\n", text)
    assert re.search(r"\nHistory:\n  .+\n  [\d:]+ ann noted on it: a remark$", text)
    assert re.search(r"\nNotes:\n  \d\d:\d\d ann: a remark\n", text)


def test_a_child_takes_the_id_of_its_parent(cli: CommandLine) -> None:
    parent = added(cli)
    child = added(cli, "Part", "--parent", parent, "--name", "docs")
    assert child == f"{parent}.docs"
    assert cli("t", "show", f"{parent[:5]}.docs", "--json").json["title"] == "Part"


# Agents


def test_an_agent_registers_lives_and_retires(cli: CommandLine) -> None:
    assert cli("a", "register", "ann", "builder", "--capability", "ui").out == (
        "Registered agent: ann (builder)\n"
    )
    assert cli("agent", "register", "bob").out == "Registered agent: bob (general)\n"
    assert cli("a", "heartbeat", "ann").out == "Heartbeat: ann\n"
    assert cli("a", "heartbeat", "--agent", "ann", "--json").json["renewed"] == []
    assert steady(cli("a", "whoami", "--agent", "ann", "--json").json) == {
        "id": "ann",
        "type": "builder",
        "status": "active",
        "presence": "idle",
        "stale": False,
        "capabilities": ["ui"],
        "max_load": None,
        "registered_at": "TIME",
        "last_seen": "TIME",
        "session": None,
        "hook": None,
        "tasks": [],
        "reviews": [],
        "assigned": [],
        "load": 0,
        "unread": 0,
        "do_not_disturb": None,
        "locks": [],
        "machine": "",
    }
    assert cli("a", "whoami", "--agent", "ann").lines[0] == "ann (builder)"
    assert cli("a", "retire", "bob", "--reason", "done").out == "Retired agent: bob\n"
    assert [line.split()[:2] for line in cli("a", "ls").lines] == [
        ["agent", "state"],
        ["ann", "idle"],
        ["bob", "retired"],
    ]


def test_a_heartbeat_without_an_agent_is_a_usage_error(cli: CommandLine) -> None:
    assert cli("a", "heartbeat", "--json", status=2).error["code"] == "agent_needed"


def test_the_actor_is_the_option_or_the_place_or_the_variable(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = added(cli)
    assert "given twice" in cli("t", "claim", task, "ann", "--agent", "bob", status=2).err
    monkeypatch.setenv("ORC_AGENT", "eve")
    assert cli("t", "claim", task).lines[0] == "Claimed: Ship v1 -> eve"
    assert cli("a", "whoami", "--json").json["id"] == "eve"


# Locks


def test_the_answers_of_a_lock(cli: CommandLine) -> None:
    assert cli("l", "acquire", "git", "ann", "--ttl", "5m").out == "Lock acquired: git\n"
    assert cli("l", "acquire", "git", "ann").out == "Lock acquired: git\n"
    denied = cli("lock", "acquire", "git", "bob", status=1)
    assert (denied.lines[0], denied.err) == ("Lock denied: git (held by another agent)", "")
    assert denied.lines[1].startswith("ann holds git until ")
    not_held = cli("l", "release", "git", "bob", status=1)
    assert (not_held.out, not_held.err) == ("Lock not held by bob\n", "")
    assert cli("l", "renew", "git", "ann").out.startswith("Lock renewed: git (until ")
    assert cli("l", "release", "git", "ann").out == "Lock released: git\n"
    assert cli("l", "renew", "git", "ann", status=1).out == "Lock not held by ann\n"


def test_the_records_of_a_lock(cli: CommandLine) -> None:
    lease = cli("l", "acquire", "git", "ann", "--shared", "--json").json
    assert steady(lease) == {
        "resource": "git",
        "agent": "ann",
        "token": 1,
        "until": "TIME",
        "ttl": 60.0,
        "shared": True,
    }
    assert steady(cli("l", "acquire", "git", "bob", "--json", status=1).json) == {
        "resource": "git",
        "acquired": False,
        "holder": "ann",
        "until": "TIME",
        "task": None,
    }
    assert cli("l", "release", "git", "bob", "--json", status=1).json == {
        "resource": "git",
        "released": False,
        "agent": "bob",
    }
    assert steady(cli("l", "ls", "--json").json) == [
        {
            "resource": "git",
            "holders": [
                {
                    "agent": "ann",
                    "token": 1,
                    "since": "TIME",
                    "until": "TIME",
                    "ttl": 60.0,
                    "shared": True,
                    "task": None,
                }
            ],
            "waiting": [],
        }
    ]
    assert cli("l", "ls").lines[1].split()[:3] == ["git", "ann", "shared"]
    assert cli("l", "ls").lines[0].split() == ["resource", "agent", "how", "until", "task"]
    assert cli("l", "break", "git", status=2).err.startswith("Error: A reason is needed")
    assert cli("l", "break", "git", "--reason", "gone").out == "Lock broken: git\n"


def test_what_running_tasks_hold_is_listed_with_the_locks(cli: CommandLine) -> None:
    task = added(cli, "Parser", "--touches", "src/**,db:shared")
    lapsed = added(cli, "Lapsed", "--touches", "old")
    cli("t", "claim", task, "ann")
    cli("t", "claim", lapsed, "ann", "--lease", "1ms")
    cli("l", "acquire", "db", "bob", "--shared")
    until = TIME_OF_DAY.sub("TIME", cli("l", "ls").out).splitlines()
    assert [line.split() for line in until] == [
        ["resource", "agent", "how", "until", "task"],
        ["db", "bob", "shared", "TIME"],
        ["db", "ann", "shared", "TIME", task, "Parser"],
        ["src/**", "ann", "held", "TIME", task, "Parser"],
    ]
    listed = cli("l", "ls", "--json").json
    holds = [(lock["resource"], h["agent"], h["task"]) for lock in listed for h in lock["holders"]]
    assert holds == [("db", "bob", None), ("db", "ann", task), ("src/**", "ann", task)]
    held = next(lock for lock in listed if lock["resource"] == "src/**")["holders"][0]
    record = cli("t", "show", task, "--json").json
    assert (held["token"], held["until"]) == (record["token"], record["lease_until"])
    assert cli("status", "--json").json["locks"] == listed
    shown = TIME_OF_DAY.sub("TIME", cli("status").out)
    assert f"  src/**: ann for task {task} until TIME\n" in shown
    assert f"  db: bob (shared) until TIME, ann (shared) for task {task} until TIME\n" in shown


# Knowledge


def test_the_answers_of_knowledge(cli: CommandLine) -> None:
    assert cli("kb", "write", "findings", "The", "API", "works").out == (
        "Wrote knowledge: findings\n"
    )
    assert cli("knowledge", "read", "findings").out == "The API works\n"
    assert cli("kb", "append", "findings", "- a list").out == "Appended to knowledge: findings\n"
    assert cli("kb", "ls").out == "findings\n"
    missing = cli("kb", "read", "nothing", status=1)
    assert (missing.out, missing.err) == ('(no knowledge on "nothing")\n', "")
    assert cli("kb", "read", "nothing", "--json", status=1).out == "null\n"
    assert cli("kb", "delete", "findings").out == "Deleted knowledge: findings\n"
    assert cli("kb", "delete", "findings", status=1).out == '(no knowledge on "findings")\n'


def test_a_document_has_author_tags_and_version(cli: CommandLine) -> None:
    cli("kb", "write", "findings", "one", "--tags", "api,web", "--agent", "ann")
    cli("kb", "write", "findings", "two", "--agent", "bob")
    assert steady(cli("kb", "read", "findings", "--version", "1", "--json").json) == {
        "topic": "findings",
        "text": "one",
        "author": "ann",
        "tags": ["api", "web"],
        "version": 1,
        "updated_at": "TIME",
        "edited": False,
        "digest": "fc20fa7cb019ff4b3b5650b074467c34",
    }
    assert cli("kb", "read", "findings").out == "two\n"
    assert [v["author"] for v in cli("kb", "history", "findings", "--json").json] == ["ann", "bob"]
    assert [line.split()[0] for line in cli("kb", "history", "findings").lines] == [
        "version",
        "1",
        "2",
    ]
    assert cli("kb", "search", "two", "api", "--json").json == [
        {"topic": "findings", "hits": 2, "line": "two"}
    ]
    assert cli("kb", "search", "three").out == "(no match)\n"


def test_content_comes_from_a_file_or_stdin(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "text.md"
    file.write_text("from a file", encoding="utf-8")
    cli("kb", "write", "one", "--file", str(file))
    for words in ((), ("-",)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"from stdin")))
        cli("kb", "write", "two", *words)
    assert cli("kb", "read", "one").out == "from a file\n"
    assert cli("kb", "read", "two").out == "from stdin\n"
    assert "given twice" in cli("kb", "write", "one", "x", "--file", str(file), status=2).err
    assert "cannot be read" in cli("kb", "write", "one", "--file", "nowhere", status=2).err
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff")))
    assert "is not UTF-8 text" in cli("kb", "write", "two", status=2).err
    monkeypatch.setattr(sys, "stdin", None)  # `<&-` of a shell
    assert "stdin is closed" in cli("kb", "write", "two", status=2).err


# Events


def test_an_event_is_one_line_in_the_form_of_the_original(cli: CommandLine) -> None:
    shown = cli("events", "log", "deployed", "service=api", "n=3", "tags=[1]", "--agent", "ann")
    assert re.fullmatch(
        r"\[\d\d:\d\d:\d\d\] ann: deployed \{service=api, n=3, tags=\[1\]\}\n", shown.out
    )
    assert steady(cli("e", "--json").json) == [
        {
            "id": 1,
            "ts": "TIME",
            "agent": "ann",
            "type": "deployed",
            "payload": {"service": "api", "n": 3, "tags": [1]},
        }
    ]


def test_a_value_that_is_not_strict_json_is_text(cli: CommandLine) -> None:
    facts = ("a=NaN", 'b={"x":1,"x":2}', "c=012", "d=true", 'e="5"', "f=", "g=a=b", "h=" + "9" * 30)
    payload = cli("events", "log", "t", *facts, "--json").json["payload"]
    assert payload == {
        "a": "NaN",
        "b": '{"x":1,"x":2}',
        "c": "012",
        "d": True,
        "e": "5",
        "f": "",
        "g": "a=b",
        "h": "9" * 30,
    }
    assert "is not KEY=VALUE" in cli("events", "log", "t", "word", status=2).err
    assert "is given twice" in cli("events", "log", "t", "a=1", "a=2", status=2).err


def test_events_are_chosen_by_every_filter(cli: CommandLine) -> None:
    added(cli)
    cli("events", "log", "deployed", "--agent", "ann")

    def ids(*options: str) -> list[int]:
        return [event["id"] for event in cli("events", *options, "--json").json]

    assert ids() == [1, 2, 3]
    assert ids("--last", "1") == ids("-n", "1") == ids("--agent", "ann") == [3]
    assert ids("--type", "task.*") == ids("--action", "task_added") == [2]
    assert ids("--since", "1") == [2, 3]
    assert ids("--since", "1h") == [1, 2, 3]


# The whole board


def test_status_shows_now_and_any_moment_of_the_past(cli: CommandLine) -> None:
    added(cli)
    assert "build" in cli("status").out
    assert cli("s", "--at", "1", "--json").json["event"] == 1
    assert cli("s", "--json").json["workstreams"][0]["counts"] == {"pending": 1}


def test_init_makes_a_board_once(cli: CommandLine, tmp_path: Path) -> None:
    folder = str(tmp_path / "new")
    assert cli("init", folder, "--json").json == {
        "board": folder,
        "created": True,
        "git": "",
    }
    assert cli("init", folder).out == f"There is already a board: {folder}\n"


def test_doctor_reports_findings_and_its_status(cli: CommandLine, tmp_path: Path) -> None:
    added(cli)
    assert cli("doctor").lines[0] == "[ok] log"
    (tmp_path / "board" / "state" / "state.json").unlink()
    shown = cli("doctor", "--json", status=1)
    assert [f["check"] for f in shown.json["findings"] if f["level"] == "warning"] == ["snapshot"]
    assert "[fixed] snapshot" in cli("doctor", "--fix").out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(cli: CommandLine, shell: str) -> None:
    assert "_ORC_COMPLETE" in cli("completion", shell).out


def test_an_unknown_shell_is_a_usage_error(cli: CommandLine) -> None:
    assert "'cmd' is not one of bash, zsh, fish" in cli("completion", "cmd", status=2).err


def test_a_shell_is_offered_commands_and_the_names_on_the_board(
    cli: CommandLine, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator.interfaces.cli.main import main

    task = added(cli)
    cli("kb", "write", "findings", "x")

    def offered(line: str) -> list[str]:
        words = line.split(" ")
        monkeypatch.setenv("_ORC_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
        capsysbinary.readouterr()
        assert main([]) == 0
        return [row.split(",")[1] for row in capsysbinary.readouterr().out.decode().splitlines()]

    assert offered("orc works") == ["workstream"]
    assert offered("orc t next bu") == ["build"]
    assert offered("orc t show ") == [task]
    assert offered("orc kb read f") == ["findings"]
    assert offered("orc t ls --status bl") == ["blocked"]
    assert offered("orc events l") == ["list", "log"]
    assert offered("orc cl") == ["claim"]
    assert offered("orc claim ") == [task]
    assert offered("orc help ti") == ["time"]


def test_a_board_goes_out_and_into_an_empty_one(cli: CommandLine, tmp_path: Path) -> None:
    task = added(cli)
    cli("kb", "write", "findings", "x")
    file, copy = str(tmp_path / "out.jsonl"), str(tmp_path / "copy")
    assert cli("export", file).out == f"Exported 3 events: {file}\n"
    assert cli("export").out == Path(file).read_text(encoding="utf-8")
    assert [line.get("id") for line in cli("export", "--json").json] == [None, 1, 2, 3]
    assert "is there already" in cli("export", file, status=2).err
    imported = cli("import", file, "--board", copy, "--json").json
    assert imported == {"workstreams": 1, "tasks": 1, "agents": 0, "topics": 1, "events": 3}
    assert cli("t", "ls", "--board", copy).out == f"[pending] {task}: Ship v1\n"
    assert cli("import", file, status=1).err.startswith("Error: This board is not empty")
    assert "cannot be read" in cli("import", "nowhere", "--board", copy, status=2).err


def test_a_board_of_the_original_is_taken_over(cli: CommandLine) -> None:
    shown = cli("import", "opspawn", str(OPSPAWN_BOARD))
    assert shown.out.startswith("Imported: 4 workstreams, 8 tasks, 1 agent, 2 topics, ")
    assert cli("ws", "ls").lines[:2] == [
        "[P1] revenue - Revenue generation: bounties, services, trading",
        "  Tasks: 2 pending, 0 active, 1 done",
    ]
    assert cli("t", "ls", "social").lines == [
        "[done] 4e756cdb: Post on The Colony",
        "[pending] b3b88e0e: Get Twitter write access",
    ]


# The runner


def test_the_runner_plans_briefs_and_collects(cli: CommandLine) -> None:
    task = added(cli)
    assert cli("runner", "plan", "--max", "3").json["cycle"] == 1
    assert cli("runner", "p", "--json").json["cycle"] == 2
    brief = cli("runner", "brief", "build", "--agent", "ann")
    assert f"orc t claim build {task} ann" in brief.out
    assert cli("runner", "b", task, "--json").json["target"] == task
    assert cli("runner", "collect", "--save", "report").json["completed_this_cycle"] == []
    assert cli("runner", "c", "--format", "markdown").out.startswith("# Cycle ")
    assert cli("kb", "read", "report").out.startswith("# Cycle ")
    assert (
        "exclude each other"
        in cli("runner", "collect", "--cycle", "1", "--since", "1h", status=2).err
    )


# Requests


def test_a_repeated_request_has_one_effect_and_the_first_result(cli: CommandLine) -> None:
    cli("ws", "create", "build")
    first = cli("t", "add", "build", "T", "--request-id", "r1")
    assert cli("--request-id", "r1", "t", "add", "build", "T").out == first.out
    assert len(cli("t", "ls").lines) == 1
    refused = cli("t", "add", "build", "U", "--request-id", "r1", "--json", status=1)
    assert refused.error["code"] == "request_conflict"


def test_add_at_the_top_takes_one_text_for_the_title(cli: CommandLine) -> None:
    assert cli("add", "Write the parser").out.endswith(": Write the parser\n")
    added = cli("add", "main", "Second", "At length", "2", "--json").json
    assert (added["workstream"], added["title"]) == ("main", "Second")
    assert (added["description"], added["priority"]) == ("At length", 2)
    cli("ws", "create", "ui")
    refused = cli("add", "Third", status=2)
    assert "is missing: it is one of main, ui" in refused.err
    assert "did you mean 'main'?" in cli("add", "mian", "Third", status=1).err
    assert "is one word too many" in cli("add", "main", "T", "D", "2", "more", status=2).err
    assert "is not a whole number" in cli("add", "main", "T", "D", "soon", status=2).err
