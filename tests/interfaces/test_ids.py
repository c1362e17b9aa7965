"""``--ids``: a transition of several tasks in a single commit."""

import pytest

from .conftest import CommandLine
from .test_commands import added


def statuses(cli: CommandLine) -> dict[str, str]:
    return {task["id"]: task["status"] for task in cli("t", "ls", "--json").json}


def claimed(cli: CommandLine, title: str, *options: str) -> str:
    task = added(cli, title, *options)
    cli("t", "claim", task, "ann")
    return task


@pytest.mark.parametrize(
    ("verb", "text", "line", "status"),
    [
        ("complete", ["Shipped"], "Completed", "done"),
        ("fail", ["--reason", "Gone"], "Failed", "failed"),
        ("release", [], "Released", "pending"),
        ("block", ["Waits", "for a key"], "Blocked", "blocked"),
        ("cancel", [], "Cancelled", "cancelled"),
    ],
)
def test_several_tasks_change_in_one_commit_and_each_has_its_line(
    cli: CommandLine, verb: str, text: list[str], line: str, status: str
) -> None:
    first, second = claimed(cli, "Ship v1"), claimed(cli, "Ship v2")
    before = len(cli("events", "--json", "--last", "100").json)
    shown = cli("t", verb, "--ids", f"{first},{second}", *text)
    assert shown.lines == [f"{line}: Ship v1", f"{line}: Ship v2"]
    assert statuses(cli) == {first: status, second: status}
    events = cli("events", "--json", "--last", "100").json[before:]
    assert len({event["ts"] for event in events}) == 1
    again = cli("t", verb, "--ids", f"{first},{second}", *text, "--json").json
    assert [task["id"] for task in again] == [first, second]
    if verb in ("block", "cancel"):
        back = "unblock" if verb == "block" else "reopen"
        assert len(cli("t", back, "--ids", first, "--ids", second).lines) == 2
        assert statuses(cli) == {first: "pending", second: "pending"}


def test_the_result_is_that_of_each_task_and_the_answer_is_a_list(cli: CommandLine) -> None:
    first, second = claimed(cli, "Ship v1"), claimed(cli, "Ship v2", "--review")
    done = cli("t", "complete", "--ids", f"{first},{second}", "-m", "Shipped", "--json").json
    assert [(task["id"], task["status"], task["result"]) for task in done] == [
        (first, "done", "Shipped"),
        (second, "in_review", "Shipped"),
    ]


def test_a_request_that_is_sent_again_has_one_effect(cli: CommandLine) -> None:
    first, second = claimed(cli, "Ship v1"), claimed(cli, "Ship v2")
    line = ("t", "fail", "--ids", f"{first},{second}", "--request-id", "r-1", "--json")
    assert cli(*line).json == cli(*line).json


@pytest.mark.parametrize("bad", ["ffffffff", "pending", "twice"])
def test_one_bad_id_changes_nothing(cli: CommandLine, bad: str) -> None:
    first, second = claimed(cli, "Ship v1"), claimed(cli, "Ship v2")
    ids = {"pending": added(cli, "Later"), "twice": first}
    before = statuses(cli)
    cli("t", "complete", "--ids", f"{first},{second},{ids.get(bad, bad)}", status=None)
    assert statuses(cli) == before


def test_a_task_with_checks_is_completed_alone(cli: CommandLine) -> None:
    first, second = claimed(cli, "Ship v1"), claimed(cli, "Ship v2", "--verify", "true")
    refused = cli("t", "complete", "--ids", f"{first},{second}", status=1)
    assert refused.err.splitlines()[0] == (
        f"Error: Task {second} has checks, which run before it is done"
    )
    assert f"t complete {second}" in refused.err
    assert statuses(cli) == {first: "in_progress", second: "in_progress"}


def test_ids_stand_in_place_of_the_task_and_of_what_is_for_one_only(cli: CommandLine) -> None:
    first, second = claimed(cli, "Ship v1"), claimed(cli, "Ship v2")
    assert f"--ids {first},{second}" in cli("t", "complete", "--ids", first, second, status=2).err
    for words in (["--continue"], ["--token", "3"], ["--force", "--reason", "x"]):
        refused = cli("t", "complete", "--ids", first, *words, status=2)
        assert f"{words[0]} is for one task" in refused.err
    assert "reason is needed" in cli("t", "block", "--ids", f"{first},{second}", status=2).err
    assert "the acting agent" in cli("t", "complete", status=2).err


def test_a_workstream_gives_its_tasks_a_prefix_which_is_shown(cli: CommandLine) -> None:
    cli("ws", "create", "web", "--prefix", "w")
    task = cli("t", "add", "web", "A page", "--json").json["id"]
    assert task.startswith("w-")
    assert len(task) == 6
    assert cli("t", "show", task[2:], "--json").json["id"] == task
    assert "prefix   w" in cli("ws", "show", "web").lines
    cli("ws", "edit", "web", "--prefix", "")
    assert cli("ws", "show", "web", "--json").json["prefix"] == ""
    assert "workstream web: prefix" in cli("log").out
