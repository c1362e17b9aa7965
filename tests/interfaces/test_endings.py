"""The output after the first line of every command that ends a step, and ``orc done``."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import CommandLine
from .test_commands import added


def worked_on(cli: CommandLine, *options: str, agent: str = "ann", title: str = "Ship v1") -> str:
    task = added(cli, title, *options)
    cli("t", "claim", task, agent)
    return task


def test_each_ending_names_what_is_free_the_mail_and_the_next_command(cli: CommandLine) -> None:
    task = worked_on(cli, "--verify", "echo fine")
    free = added(cli, "Announce v1", "--needs", task)
    cli("mail", "send", "ann", "-s", "hello", "-m", "x", "--agent", "bob")
    checks, *rest = cli("t", "complete", task, "Shipped").lines[1:]
    assert checks.startswith("Checks: echo fine passed in ")
    assert rest == [
        f"Free now: {free} Announce v1",
        "Unread from bob: hello (`orc --agent ann mail read 5`)",
        "Next: `orc --agent ann next`",
    ]


def test_completing_again_names_what_became_of_another_result(cli: CommandLine) -> None:
    task = worked_on(cli, "--verify", "echo fine")
    cli("t", "complete", task, "Shipped")
    following = "Next: `orc --agent ann next`"
    same = cli("t", "complete", task, "Shipped", "--agent", "ann").lines
    assert same == ["Completed: Ship v1", "Nothing changed: it was so before.", following]
    other = cli("t", "complete", task, "Shipped twice", "--agent", "ann").lines
    kept = f"It had another result already; yours is a note: `orc show {task}`."
    assert other == ["Completed: Ship v1", kept, following]
    assert cli("t", "show", task, "--json").json["notes"][0]["text"] == "Shipped twice"


def test_more_than_three_freed_tasks_are_counted_and_listed_for_programs(cli: CommandLine) -> None:
    task = worked_on(cli)
    freed = [added(cli, f"Part {number}", "--needs", task) for number in range(5)]
    record = cli("t", "complete", task, "--json").json
    assert [other["id"] for other in record["freed"]] == freed
    assert (record["status"], record["next_command"]) == ("done", "orc --agent ann next")
    cli("t", "reopen", task)
    cli("t", "claim", task, "ann")
    assert cli("t", "complete", task).lines[1].endswith(f"{freed[2]} Part 2; 2 more")


def test_endings_without_success_name_what_waits(cli: CommandLine) -> None:
    task = worked_on(cli)
    waiting = added(cli, "Announce v1", "--needs", task)
    for words in (("block", task, "no key"), ("fail", task), ("cancel", task)):
        assert cli("t", *words, "--agent", "ann").lines[1:] == [
            f"Waits for it: {waiting} Announce v1",
            "Next: `orc --agent ann next`",
        ]
        cli("t", "unblock" if words[0] == "block" else "reopen", task)
        cli("t", "claim", task, "ann")
    assert cli("t", "release", task).lines[1:] == ["Next: `orc --agent ann next`"]


def test_a_review_names_who_may_approve_and_frees_what_waits(cli: CommandLine) -> None:
    task = worked_on(cli, "--review")
    free = added(cli, "Announce v1", "--needs", task)
    cli("a", "register", "bob")
    due = cli("t", "complete", task).lines
    assert due[:2] == ["To be reviewed: Ship v1", "May approve: any agent but ann, such as bob"]
    approved = cli("t", "approve", task, "--agent", "bob").lines
    assert approved[1] == f"Free now: {free} Announce v1"
    assert approved[-1] == "Next: `orc --agent bob next`"


def test_what_agents_wrote_is_shown_escaped(cli: CommandLine) -> None:
    task = worked_on(cli)
    added(cli, "a\x1b[2J title", "--needs", task)
    assert "a\\x1b[2J title" in cli("t", "complete", task).out


def test_a_failed_check_shows_the_end_of_what_it_wrote(cli: CommandLine) -> None:
    task = worked_on(cli, "--verify", "sh -c 'seq 1 30; exit 3'")
    err = cli("t", "complete", task, status=1).err.splitlines()
    assert "did not pass: exit status 3" in err[0]
    assert err[1] == "  (10 lines above)"
    assert err[2:22] == [f"  | {number}" for number in range(11, 31)]
    assert cli("t", "complete", task, "--json", status=1).error["output"].count("\n") == 30


# orc done


def test_done_completes_the_task_that_is_mine_and_leaves_the_session(cli: CommandLine) -> None:
    task = worked_on(cli)
    cli("session", "start", "ann")
    assert cli("done", "It works", "--agent", "ann").lines[0] == "Completed: Ship v1"
    record = cli("t", "show", task, "--json").json
    assert (record["status"], record["result"]) == ("done", "It works")
    assert cli("session", "show", "ann", "--json").json["ended_at"] == ""


def test_done_with_an_id_is_complete(cli: CommandLine) -> None:
    worked_on(cli)
    other = worked_on(cli, title="Other")
    assert cli("done", other[:5], "It", "works", "--agent", "ann").lines[0] == "Completed: Other"
    assert cli("t", "show", other, "--json").json["result"] == "It works"
    assert cli("done", "-m", "shipped", "--agent", "ann").lines[0] == "Completed: Ship v1"


def test_done_without_an_id_takes_the_hook_or_lists_what_i_work_on(cli: CommandLine) -> None:
    _, second, third = [worked_on(cli, title=title) for title in ("First", "Second", "Third")]
    assert cli("done", "--agent", "ann").lines[0] == "Completed: First", "it hangs on the hook"
    error = cli("done", "--agent", "ann", "--json", status=1).error
    assert (error["code"], error["tasks"]) == ("ambiguous_task", [second, third])
    assert f"{second} (Second), {third} (Third)" in error["message"]
    assert cli("done", "--agent", "bob", "--json", status=1).error["code"] == "hook_empty"


def test_done_leads_to_the_claim_of_what_was_not_begun(cli: CommandLine) -> None:
    task = added(cli)
    assert "`orc t next` takes one." in cli("done", "--agent", "ann", status=1).err
    cli("sling", task, "ann")
    assert f"`orc t claim {task}` begins" in cli("done", "--agent", "ann", status=1).err


def test_a_mistyped_id_is_not_a_result_of_my_own_task(cli: CommandLine) -> None:
    task = worked_on(cli)
    shown = cli("done", "ffffffff", "--agent", "ann", status=1)
    assert "There is no task 'ffffffff'" in shown.err
    assert "`orc done -m RESULT`" in shown.err
    assert cli("t", "show", task, "--json").json["status"] == "in_progress"


@pytest.mark.parametrize("word", ["COMPLETED", "completed", "Escalated", "deferred"])
def test_only_an_outcome_ends_the_session(cli: CommandLine, word: str) -> None:
    worked_on(cli)
    cli("session", "start", "ann")
    shown = cli("done", word, "-m", "see the notes", "--agent", "ann")
    assert shown.lines[0] == f"{word.upper()}: Ship v1"
    assert cli("session", "show", "ann", "--json").json["outcome"] == word.upper()


def test_an_outcome_takes_no_options_of_a_completion(cli: CommandLine) -> None:
    worked_on(cli)
    assert "ends the session" in cli("done", "DEFERRED", "--force", status=2).err
    assert "--until goes with DEFERRED" in cli("done", "--until", "3d", status=2).err


def test_done_twice_with_one_request_completes_one_task(cli: CommandLine) -> None:
    worked_on(cli)
    worked_on(cli, title="Second")
    line = ("done", "--agent", "ann", "--request-id", "r1")
    assert cli(*line).lines[0] == cli(*line).lines[0] == "Completed: Ship v1"


def test_done_goes_on_to_the_next_step_of_a_workflow(cli: CommandLine) -> None:
    root = worked_on(cli, title="Whole")
    assert "is not a step" in cli("done", root, "--continue", "--agent", "ann", status=1).err


def test_the_commands_that_are_printed_run_as_they_are(tmp_path: Path) -> None:
    environment = {
        "ORCHESTRATOR_DIR": str(tmp_path / "board"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }

    def shell(line: str) -> str:
        ended = subprocess.run(
            ["sh", "-c", line], env=environment, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    shell("orc ws create build && orc t add build First && orc t add build Second")
    shell("orc mail send ann -s hello -m x --agent bob")
    page = shell("orc t next --agent ann && orc done --agent ann")
    inbox, following = page.split("`")[1::2]
    assert "hello" in shell(inbox)
    assert "Second" in shell(following)


# Without an id the task that the agent works on is meant


@pytest.mark.parametrize(
    ("words", "first"),
    [
        (("note", "the key is gone"), "Noted: Ship v1"),
        (("note", "Gone"), "Noted: Ship v1"),
        (("done", "Shipped"), "Completed: Ship v1"),
        (("done", "Shipped", "it"), "Completed: Ship v1"),
        (("fail", "the API is gone"), "Failed: Ship v1"),
        (("release",), "Released: Ship v1"),
        (("t", "block", "rain", "falls"), "Blocked: Ship v1"),
    ],
)
def test_a_step_without_an_id_is_about_my_task(
    cli: CommandLine, words: tuple[str, ...], first: str
) -> None:
    task = worked_on(cli)
    assert cli(*words, "--agent", "ann").lines[0] == first
    record = cli("t", "show", task, "--json").json
    text = " ".join(word for word in words if word not in ("t", words[0], "block"))
    assert not text or text in (
        record["result"],
        record["reason"],
        *(n["text"] for n in record["notes"]),
    )


@pytest.mark.parametrize("verb", ["done", "note", "fail", "release"])
def test_a_mistyped_id_is_no_text_about_my_task(cli: CommandLine, verb: str) -> None:
    task = worked_on(cli)
    slip = task[:-1] + ("0" if task[-1] != "0" else "1")
    refused = cli(verb, slip, "it is so", "--agent", "ann", status=1)
    assert f"did you mean '{task}'?" in refused.err
    assert cli("t", "show", task, "--json").json["status"] == "in_progress"


def test_a_step_without_an_id_takes_an_agent_with_one_task(cli: CommandLine) -> None:
    worked_on(cli)
    assert "--agent NAME" in cli("note", "x y", status=2).err
    assert "works on no task" in cli("note", "x y", "--agent", "bob", status=1).err


def test_without_an_id_renew_and_complete_are_about_the_task_that_is_mine(cli: CommandLine) -> None:
    task = added(cli)
    for words in (["renew"], ["complete"], ["complete", "all is well"]):
        assert "ann works on no task" in cli("t", *words, "--agent", "ann", status=1).err
    cli("t", "claim", task, "ann")
    assert cli("t", "renew", "--lease", "1h", "--agent", "ann").out.startswith("Renewed: Ship v1")
    assert cli("t", "show", task, "--json").json["lease"] == 3600
    assert "There is no task" in cli("t", "renew", "x9", "--agent", "ann", status=1).err
    assert "There is no task" in cli("t", "complete", "x9", "--agent", "ann", status=1).err
    for verb in ("complete", "fail", "release", "renew"):
        assert "There is no task ''" in cli("t", verb, "", "--agent", "ann", status=1).err
    done = cli("t", "complete", "all is well", "--agent", "ann", "--json").json
    assert (done["id"], done["result"]) == (task, "all is well")


def test_without_an_id_review_is_about_the_review_that_is_mine(cli: CommandLine) -> None:
    tasks = [added(cli, "Ship v1", "--review") for _ in range(2)]
    for task in tasks:
        cli("t", "claim", task, "ann")
        cli("t", "complete", task)
    missing = cli("t", "review", "--agent", "bob", status=1).err
    assert missing == "Error: bob reviews no task\nHint: `orc next` takes a review that is due.\n"
    cli("t", "review", tasks[0], "bob")
    assert cli("t", "review", "--agent", "bob").lines[0] == "Reviewing: Ship v1 -> bob"
    cli("t", "review", tasks[1], "bob")
    assert "bob reviews 2 tasks" in cli("t", "review", "--agent", "bob", status=1).err
    cli("t", "review", tasks[0], "bob", "--release")
    assert cli("t", "review", "--release", "--agent", "bob").lines[0] == "Review released: Ship v1"
    assert cli("t", "show", tasks[1], "--json").json["reviewer"] is None


@pytest.mark.parametrize(("verb", "ends"), [("approve", "Approved"), ("reject", "Rejected")])
@pytest.mark.parametrize("group", [(), ("t",)])
def test_without_an_id_a_verdict_is_about_the_review_that_is_mine(
    cli: CommandLine, group: tuple[str, ...], verb: str, ends: str
) -> None:
    verdict = (*group, verb, "It reads well", "--agent", "bob")
    first, second = [added(cli, f"Ship v{n}", "--review") for n in (1, 2)]
    for task in (first, second):
        cli("t", "claim", task, "ann")
        cli("t", "complete", task)
    assert "bob reviews no task" in cli(*verdict, status=1).err
    cli("t", "review", first, "bob")
    cli("t", "review", second, "bob")
    several = cli(*verdict, status=1).err
    assert f"bob reviews 2 tasks: {first} (Ship v1), {second} (Ship v2)" in several
    cli("t", "review", first, "bob", "--release")
    assert cli(*verdict).lines[0] == f"{ends}: Ship v2"
    assert "It reads well" in cli("t", "show", second).out


def test_one_word_for_a_review_that_may_be_an_id_is_not_a_comment(cli: CommandLine) -> None:
    task = added(cli, "Ship v1", "--review")
    cli("t", "claim", task, "ann")
    cli("t", "complete", task)
    cli("t", "review", task, "bob")
    refused = cli("approve", "v1", "--agent", "bob", status=1).err
    assert "There is no task 'v1'" in refused
    assert "--comment" in refused
    assert cli("approve", "LGTM", "--agent", "bob").lines[0] == "Approved: Ship v1"


def test_show_edit_and_note_without_an_id_are_about_what_i_have(cli: CommandLine) -> None:
    task, other = added(cli, "Ship v1", "--review"), added(cli, "Ship v2")
    for words in (["show"], ["edit", "--priority", "1"], ["note", "a b"]):
        assert "bob works on no task" in cli(*words, "--agent", "bob", status=1).err
        cli("t", "claim", other, "bob")
        cli(*words, "--agent", "bob")
        cli("t", "release", other)
    cli("t", "claim", task, "ann")
    cli("t", "complete", task)
    cli("t", "review", task, "bob")
    cli("note", "what about Windows", "--agent", "bob")
    cli("edit", "--labels", "ui", "--agent", "bob")
    shown = cli("show", "--agent", "bob", "--json").json
    assert (shown["id"], shown["labels"]) == (task, ["ui"])
    assert shown["notes"][-1]["text"] == "what about Windows"
    refused = cli("done", "--agent", "bob", status=1).err
    assert f"You review {task}: `approve`" in refused


def test_what_still_waits_is_named_with_what_it_needs(cli: CommandLine) -> None:
    task, other = worked_on(cli), added(cli, "Ship v2")
    waiting = added(cli, "Announce", "--needs", f"{task},{other}")
    shown = cli("t", "complete", task, "Shipped").lines
    assert f"Still waits: {waiting} Announce needs {other} Ship v2" in shown
