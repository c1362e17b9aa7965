"""Tasks as work: agents get tasks and reviews; results, checks and deaths decide about the tasks."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.tasks.verification_events import TaskDistrusted

from .running import Town, ends, open_gate, payload


def task(town: Town, id: str) -> Any:
    return town.orc.tasks.get(id)


def test_an_agent_is_given_a_task_with_its_brief_and_its_answer_is_the_result(town: Town):
    town.add("coder", "cat; echo $ORC_TASK {{event.payload.task}}", takes="[{ws: build}]")
    id = town.add_task("Write it", description="As the page says.")
    with town.running() as runner:
        runner.until_events("subscription.finished")
    done = task(town, id)
    assert (done.status, done.assigned_to) == ("done", "coder")
    assert f"Task {id}: Write it" in done.result
    assert "As the page says." in done.result
    assert done.result.endswith(f"{id} {id}")
    assert town.notes() == []


def test_a_failure_fails_the_task_after_its_attempts_and_its_output_is_a_note(town: Town):
    script = "echo no compiler; exit 3"
    town.add("coder", script, takes="[{ws: build}]", retry=1)
    id = town.add_task("Write it")
    with town.running() as runner:
        runner.until_events("task.failed")
        runner.until_events("subscription.failed", 2)
    failed = task(town, id)
    assert (failed.status, failed.reason) == ("failed", "it ended with exit status 3")
    assert [note.text for note in failed.notes] == [
        "The end of attempt 1:\nno compiler",
        "The end of attempt 2:\nno compiler",
    ]
    assert not town.orc.subscriptions.dead()


def test_checks_run_in_the_folder_of_the_agent_before_the_task_is_done(town: Town):
    (town.project / "src").mkdir()
    town.add("coder", "echo $ORC_ATTEMPT > made", takes="[{}]", workdir="src", retry=1)
    id = town.add_task("Make it", verify=["grep 2 made"], artifacts=["made"])
    with town.running() as runner:
        runner.until_events("task.completed")
        runner.until_events("subscription.finished")
        (failed,) = runner.of_type("subscription.failed")
    assert b"The check 'grep 2 made' of task" in bytes(failed.payload)
    done = task(town, id)
    assert done.status == "done"
    assert [(item.what, item.passed) for item in done.evidence] == [
        ("made", True),
        ("grep 2 made", True),
    ]


def test_a_check_is_ended_with_the_runner(town: Town):
    town.add("coder", "true", takes="[{}]", retry=1)
    os.mkfifo(town.project / "gate")
    id = town.add_task("Make it", verify=["sh -c 'echo $$ > pid; read x < gate'"])
    with town.running() as runner:
        runner.until_events("task.renewed")
        with (town.project / "gate").open("w"):
            pid = int((town.project / "pid").read_text())
            runner.stop()
            runner.stop()
            runner.until_events("subscription.interrupted")
    assert ends(pid)
    assert task(town, id).status == "pending"


@pytest.mark.parametrize("ending", ["complete", "fail", "release", "block"])
def test_what_an_agent_has_done_with_its_task_itself_stays(town: Town, ending: str):
    reason = "own words"
    town.add("coder", f'orc t {ending} "{reason}"; echo other words', takes="[{}]")
    id = town.add_task("Write it")
    with town.running() as runner:
        runner.until_events("subscription.finished")
        runner.stop()
    status = {"complete": "done", "fail": "failed", "release": "pending", "block": "blocked"}
    ended = task(town, id)
    assert ended.status == status[ending]
    assert "other words" not in (ended.result or "")


def test_a_review_is_given_to_another_agent_and_its_verdict_decides(town: Town):
    town.add(
        "coder", "echo version $ORC_ATTEMPT; date +%N", takes="[{ws: build, capability: code}]"
    )
    script = "if grep -q rejected; then echo approve; else echo reject: the date is missing; fi"
    town.add("critic", script, takes="[{ws: build, capability: review}]")
    id = town.add_task("Write it", labels=["code"], review=True)
    with town.running() as runner:
        runner.until_events("task.approved")
        runner.until_events("subscription.finished", 4)
    done = task(town, id)
    assert done.status == "done"
    assert [(e.kind, e.agent, e.passed, e.what) for e in done.evidence] == [
        ("review", "critic", False, "the date is missing"),
        ("review", "critic", True, ""),
    ]


def test_an_answer_without_a_verdict_gives_the_review_back_until_no_attempt_is_left(town: Town):
    town.add("coder", "echo done", takes="[{capability: code}]")
    town.add("critic", "echo hm", takes="[{capability: review}]", retry=1)
    id = town.add_task("Write it", labels=["code"], review=True)
    with town.running() as runner:
        runner.until_events("subscription.died")
    (letter,) = town.orc.subscriptions.dead()
    assert (letter.subscriber, letter.task, letter.attempts) == ("critic", id, 2)
    assert "no verdict" in letter.reason
    assert task(town, id).status == "in_review"
    with town.running() as runner:
        town.orc.subscriptions.retry(letter.number)
        runner.until_events("subscription.died")
        (letter,) = town.orc.subscriptions.dead()
        town.orc.subscriptions.dismiss(letter.number)
        town.push("seen")
        runner.until_events("seen")
    assert task(town, id).status == "in_review"


def test_so_many_agents_start_as_there_are_tasks(town: Town):
    for name in ("a", "b"):
        town.add(name, "read x < $ORC_TASK", takes="[{}]", concurrency=17)
    tasks = [town.add_task(f"Task {n}") for n in range(4)]
    for id in tasks:
        os.mkfifo(town.project / id)
    with town.running(most=30) as runner:
        runner.until_events("subscription.started", 4)
        for id in tasks:
            open_gate(town.project / id)
        runner.until_events("subscription.finished", 4)
        started = [record.agent for record in runner.of_type("subscription.started")]
    assert sorted(started) == ["a", "a", "b", "b"]


def test_the_lease_is_renewed_while_the_agent_works(town: Town, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("orchestrator.supervisor.attempts.TASK_LEASE", 0.5)
    town.add("coder", "read x < gate", takes="[{}]")
    os.mkfifo(town.project / "gate")
    id = town.add_task("Write it")
    with town.running() as runner:
        runner.until_events("subscription.renewed", 2)
        runner.until_events("task.renewed", 2)
        open_gate(town.project / "gate")
        runner.until_events("subscription.finished")
    assert task(town, id).status == "done"


def test_a_task_with_new_parts_is_handed_back_until_they_are_done(town: Town):
    script = 'mkdir split && orc t add build "A part" --parent $ORC_TASK; echo $ORC_TASK'
    town.add("coder", script, takes="[{ws: build, type: task}]")
    id = town.add_task("Write it")
    with town.running() as runner:
        runner.until_events("task.completed", 2)
        runner.until_events("subscription.finished", 3)
        assert not runner.of_type("subscription.failed")
    assert task(town, id).status == "done"


def test_checks_that_came_by_import_and_are_not_trusted_block_the_task(town: Town):
    town.add("coder", "echo done", takes="[{}]")
    id = town.add_task("Write it", verify=["touch ran"])
    distrust = lambda tx: tx.record(TaskDistrusted(tasks=(id,))) and None  # noqa: E731
    town.orc.engine.run("test", distrust, lambda *_: None, None)
    with town.running() as runner:
        runner.until_events("task.blocked")
    assert "nobody has trusted them" in task(town, id).reason
    assert not (town.project / "ran").exists()


def cancel(town: Town, task: str) -> None:
    town.orc.tasks.cancel(task, reason="not needed", agent="ann")


def delete(town: Town, task: str) -> None:
    with town.orc.transaction():
        cancel(town, task)
        town.orc.tasks.delete([task], agent="ann")


def block(town: Town, task: str) -> None:
    town.orc.tasks.block(task, reason="wait", agent="ann")


def assign(town: Town, task: str) -> None:
    town.orc.hooks.sling(task, "bob", agent="ann", force=True)


LOSSES = {
    "cancelled by ann": cancel,
    "deleted": delete,
    "blocked by ann": block,
    "released by ann": assign,
}
"""What others do with the task of an agent that works on it."""


@pytest.mark.parametrize("how", LOSSES)
def test_an_agent_is_ended_when_others_take_its_task(town: Town, how: str):
    town.add("coder", "echo half of it; read x < gate", takes="[{}]", retry=3)
    os.mkfifo(town.project / "gate")
    id = town.add_task("Write it")
    with town.running() as runner:
        runner.until_line("half of it")
        LOSSES[how](town, id)
        (ended,) = runner.until_events("subscription.interrupted")
        runner.stop()
    assert payload(ended)["reason"] == f"task {id} was {how}"
    assert payload(ended)["report"]["output"] == "half of it"
    assert f"task {id}: task {id} was {how}" in town.log("coder")
    if how != "deleted":
        assert [note.text for note in task(town, id).notes] == ["The end of attempt 1:\nhalf of it"]


def test_a_reviewer_is_ended_when_the_work_is_cancelled(town: Town):
    town.add("critic", "echo reading; read x < gate", takes="[{capability: review}]")
    os.mkfifo(town.project / "gate")
    id = town.add_task("Write it", review=True)
    town.orc.tasks.claim(id, agent="bob")
    town.orc.tasks.complete(id, agent="bob")
    with town.running() as runner:
        runner.until_line("reading")
        cancel(town, id)
        (ended,) = runner.until_events("subscription.interrupted")
    assert payload(ended)["reason"] == f"task {id} was cancelled by ann"


def test_an_agent_that_has_completed_its_task_itself_may_go_on(town: Town):
    town.add("coder", "orc t complete done; read x < gate; echo the end", takes="[{}]")
    os.mkfifo(town.project / "gate")
    id = town.add_task("Write it")
    with town.running() as runner:
        runner.until_events("task.completed")
        town.orc.tasks.reopen(id, agent="ann", reason="again")
        town.orc.tasks.cancel(id, agent="ann")
        town.push("seen")
        runner.until_events("seen")
        open_gate(town.project / "gate")
        runner.until_events("subscription.finished")
    assert "the end" in town.log("coder")


def test_events_and_tasks_take_turns(town: Town):
    town.add("both", "true", listen="[job]", takes="[{}]")
    with town.running() as runner:
        with town.orc.transaction():
            for number in range(3):
                town.push("job")
                town.add_task(f"Task {number}")
        runner.until_events("subscription.finished", 6)
        kinds = ["task" in payload(record) for record in runner.of_type("subscription.started")]
    assert kinds == [False, True] * 3


def in_git(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the project a repository with one commit."""
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "ann")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "ann@example.org")
    for words in (("init", "-q", "-b", "main"), ("commit", "-q", "--allow-empty", "-m", "first")):
        subprocess.run(["git", *words], cwd=town.project, check=True)


def test_an_agent_with_workdir_task_works_in_the_worktree_of_its_task(
    town: Town, monkeypatch: pytest.MonkeyPatch
):
    """Its checks run there, a reviewer is there too, and what it reads on stdin is its brief as always."""
    in_git(town, monkeypatch)
    town.add("coder", "cat > brief; pwd", takes="[{}]", workdir="task")
    town.add("critic", "test -s brief && pwd; echo approve", takes="[{}]", workdir="task")
    id = town.add_task("Write it", verify=["grep -q Write brief"], review=True)
    with town.running() as runner:
        runner.until_events("task.approved")
    folder = town.orc.worktrees.path(id)
    assert folder == f"{town.project}.worktrees/{id}"
    assert Path(folder, "brief").read_text().startswith("Task ")
    done = task(town, id)
    assert (done.status, done.result.strip()) == ("done", folder)
    assert folder in done.evidence[-1].what
    assert not (town.project / "brief").exists()


def test_a_branch_of_an_agent_is_merged_by_another_one_that_its_submission_starts(
    town: Town, monkeypatch: pytest.MonkeyPatch
):
    """Where merges are required, the task waits for the merge, and ends by it, with the agent's result."""
    in_git(town, monkeypatch)
    (town.board / "config.toml").write_text("[merge]\nrequired = true\n")
    work = "echo x > new.txt && git add new.txt && git commit -q -m new && echo written"
    town.add("coder", work, takes="[{}]", workdir="task")
    program = f"{sys.executable} {Path(__file__).parents[2] / 'cli.py'}"
    town.add("lander", f"{program} merge run --once", listen="[merge.submitted]")
    id = town.add_task("Write it")
    with town.running() as runner:
        (submitted,) = runner.until_events("merge.submitted")
        runner.until_events("merge.merged")
        runner.until_events("subscription.finished", 2)
        (merged,) = runner.of_type("merge.merged")
    branch = town.orc.worktrees.get(id).branch
    assert (submitted.agent, payload(submitted)["branch"]) == ("coder", branch)
    assert merged.cause is not None
    assert merged.cause.event == submitted.id
    done = task(town, id)
    assert (done.status, done.assigned_to, done.result.strip()) == ("done", "coder", "written")
    assert (town.project / "new.txt").read_text() == "x\n", "the main worktree has it too"
