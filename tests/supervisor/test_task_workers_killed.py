"""A task has one agent, also with two runners, and when runners, agents or their machine are killed."""

import json
from collections import Counter
from typing import Any

from orchestrator import Orchestrator
from orchestrator.core import system
from orchestrator.domain.subscriptions.task_attempts import TASK_LEASE, TaskFilter

from .running import Town, ends, kill_runners, runner_of, until


def statuses(town: Town) -> Counter[str]:
    return Counter(task.status for task in town.orc.tasks.all())


def payloads(town: Town, type: str) -> list[Any]:
    return [json.loads(bytes(record.payload)) for record in town.orc.events.read(type=type)]


def check_history(town: Town) -> None:
    """Each task was completed once, and no agent began one that another one had."""
    completed = [item["task"] for item in payloads(town, "task.completed")]
    assert len(completed) == len(set(completed))
    holders: dict[str, str] = {}
    for record in town.orc.events.read():
        task = json.loads(bytes(record.payload)).get("task")
        if record.type == "task.claimed":
            assert task not in holders, (task, record)
            holders[task] = record.agent
        elif record.type in ("task.completed", "task.failed", "task.released", "task.lapsed"):
            holders.pop(task)
    assert not holders


def test_the_next_runner_hands_back_the_task_of_a_killed_one_at_once(town: Town):
    script = (
        'if test $ORC_ATTEMPT = 1; then orc t note "half done"; echo child $$; sleep 600; fi; cat'
    )
    town.add("coder", script, takes="[{}]")
    id = town.add_task("Write it")
    killed = runner_of(town)
    until(killed, "runner.ready")
    line = until(killed, "child ")
    pid = int(line.partition("child ")[2].partition('"')[0])
    killed.kill()
    killed.communicate()
    with town.running() as runner:
        runner.until_events("subscription.finished")
    assert ends(pid)
    done = town.orc.tasks.get(id)
    assert (done.status, done.attempt) == ("done", 2)
    assert "coder noted: half done" in done.result
    assert "coder gave it back: its runner was killed" in done.result
    check_history(town)


def test_checks_end_when_their_runner_is_killed(town: Town):
    town.add("coder", "test $ORC_ATTEMPT = 1 || touch checked", takes="[{}]")
    check = "sh -c 'test -e checked || { echo $$ > pid; touch begun; exec sleep 600; }'"
    id = town.add_task("Write it", verify=[check])
    killed = runner_of(town)
    until(killed, "task.renewed")
    while not (town.project / "begun").exists():
        assert killed.poll() is None
    killed.kill()
    killed.communicate()
    with town.running() as runner:
        runner.until_events("subscription.finished")
    assert ends(int((town.project / "pid").read_text()))
    assert (town.orc.tasks.get(id).status, town.orc.tasks.get(id).attempt) == ("done", 2)


def test_an_agent_that_is_killed_hands_its_task_back(town: Town):
    town.add("coder", "test $ORC_ATTEMPT -gt 2 || kill -9 $$", takes="[{}]")
    id = town.add_task("Write it")
    with town.running() as runner:
        runner.until_events("subscription.finished")
    done = town.orc.tasks.get(id)
    assert (done.status, done.attempt) == ("done", 3)
    reasons = [item["reason"] for item in payloads(town, "task.released")]
    assert reasons == ["SIGKILL ended it", "SIGKILL ended it"]


def test_a_task_whose_agents_die_fails_after_three_of_them(town: Town):
    town.add("coder", "kill -9 $$", takes="[{}]")
    id = town.add_task("Write it")
    with town.running() as runner:
        runner.until_events("task.failed")
        runner.until_events("subscription.failed", 3)
    assert town.orc.tasks.get(id).reason == "SIGKILL ended it"


def test_the_lease_of_a_runner_on_a_machine_that_is_gone_ends(town: Town):
    now = [1_795_000_000.0]
    with Orchestrator.open(town.board, now=lambda: now[0]) as orc:
        orc.subscriptions.open("coder")
        takes = (TaskFilter(),)
        id = town.add_task("Write it")
        first = orc.subscriptions.take("coder", id, takes)
        assert first is not None
        now[0] += TASK_LEASE / 2
        orc.subscriptions.renew("coder", first.event, first.token, lease=TASK_LEASE)
        now[0] += TASK_LEASE / 2
        assert orc.tasks.get(id).is_held_by("coder", orc.engine.now())
    town.add("coder", "echo done", takes="[{}]")
    with town.running() as runner:  # by its clock the lease has ended long ago
        runner.until_events("subscription.finished")
    assert town.orc.tasks.get(id).status == "done"
    assert [item["reason"] for item in payloads(town, "task.released")] == ["its lease has ended"]


def test_two_runners_give_each_task_to_one_agent(town: Town):
    for name in ("a", "b", "c"):
        town.add(name, "echo $ORC_TASK", takes="[{}]", concurrency=2)
    with town.running() as first, town.running():
        tasks = [town.add_task(f"Task {n}") for n in range(30)]
        first.until_events("subscription.finished", 30)
    assert statuses(town) == {"done": 30}
    results = {task.id: task.result for task in town.orc.tasks.all()}
    assert results == {id: id for id in tasks}
    assert len(payloads(town, "task.claimed")) == 30
    check_history(town)


def test_each_task_is_done_once_though_runners_and_agents_are_killed(town: Town):
    # By the task: numbers of events may go on in the same step, and then one task dies for ever.
    die_once = 'case $ORC_TASK in *[0-3]) mkdir "died-$ORC_TASK" && kill -9 $$;; esac'
    for name in ("a", "b"):
        town.add(
            name,
            f"echo pid=$$; {die_once}; echo $ORC_TASK",
            takes="[{}]",
            concurrency=2,
            retry=50,
        )
    tasks = [town.add_task(f"Task {n}") for n in range(20)]
    killed = runner_of(town)
    until(killed, "runner.ready")
    kill_runners(town, killed, 6)
    with town.running() as runner:
        runner.until(lambda: statuses(town) == {"done": 20})
    assert {task.id for task in town.orc.tasks.all()} == set(tasks)
    check_history(town)
    assert not [path for path in town.notes() if path.suffix == ".note"]
    assert all(map(ends, system.processes_with("ORCHESTRATOR_DIR", str(town.board))))
