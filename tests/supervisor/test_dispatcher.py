"""The dispatcher with real processes: each event is finished once, and no process of an agent remains."""

import os
import sys
from typing import Any

import pytest

from orchestrator import Orchestrator
from orchestrator.core.events import Recorded
from orchestrator.core.machine import this_machine
from orchestrator.domain.event_log import Events
from orchestrator.domain.subscriptions.commands import DEEPEST
from orchestrator.engine import cause_mark
from orchestrator.supervisor.agent_files import load_agent
from orchestrator.supervisor.processes import LOG_BYTES

from .running import Follower, Town, ends, open_gate, payload, until_true


def test_an_event_starts_an_agent_which_finishes(town: Town):
    town.add("count", "echo counted {{event.payload.path}}; echo oh >&2", listen="[plan.*]")
    with town.running() as runner:
        event = town.push("plan.created", {"path": "a b.md"})
        (finished,) = runner.until_events("subscription.finished")
    report = payload(finished)
    assert (report["subscriber"], report["event"], report["attempt"]) == ("count", event, 1)
    assert report["report"]["exit_status"] == 0
    assert sorted(report["report"]["output"].splitlines()) == ["counted a b.md", "oh"]
    assert "counted a b.md\n" in town.log("count")
    assert town.notes() == []


def test_agents_that_can_begin_together_start_in_one_commit(town: Town):
    for name in ("ann", "bob", "cleo"):
        town.add(name, "true", listen="[job]")
    with town.running():
        pass  # they hear what comes from now on
    town.push("job")
    with town.running() as runner:
        runner.until_events("subscription.finished", 3)
    assert [record.more for record in runner.of_type("subscription.started")] == [True, True, False]


def test_attempts_are_retried_then_the_event_is_a_dead_letter(town: Town):
    town.add("bad", "echo attempt $ORC_ATTEMPT; exit 3", listen="[job]", retry=2)
    with town.running() as runner:
        event = town.push("job")
        (died,) = runner.until_events("subscription.died")
    assert payload(died) == {
        "subscriber": "bad",
        "event": event,
        "reason": "it ended with exit status 3",
        "attempts": 3,
    }
    assert [text for _, _, text in runner.lines] == ["attempt 1", "attempt 2", "attempt 3"]
    assert not runner.of_type("subscription.finished")


def test_an_agent_that_ignores_signals_is_killed_at_its_timeout_with_its_group(town: Town):
    script = "trap '' TERM INT HUP\n(trap '' TERM; exec sleep 600) & echo child $!\nwait\nwait\n"
    for seconds in (1, 4, 16, 60):  # as long as it takes to start two programs
        town.add(f"deaf{seconds}", script, listen=f"[job{seconds}]", timeout=f"{seconds}s")
        with town.running(grace=0.2) as runner:
            town.push(f"job{seconds}")
            (died,) = runner.until_events("subscription.died")
        assert payload(died)["reason"].startswith("it was ended after its timeout of ")
        if runner.lines:
            break
    (child,) = [int(text.split()[1]) for _, _, text in runner.lines]
    assert ends(child)


def test_what_an_agent_leaves_in_its_group_is_ended_with_it(town: Town):
    town.add("fork", "for n in 1 2 3; do sleep 600 & echo child $!; done", listen="[job]")
    with town.running() as runner:
        town.push("job")
        runner.until_events("subscription.finished")
        children = [int(text.split()[1]) for _, _, text in runner.lines]
        assert len(children) == 3
        assert all(map(ends, children))


def test_a_flood_is_kept_to_the_last_lines_and_a_rotated_log(town: Town):
    script = "head -c 60000000 /dev/zero | tr '\\0' 'x' | fold -w 1000; echo; echo the end"
    town.add("flood", script, listen="[job]")
    with town.running() as runner:
        town.push("job")
        (finished,) = runner.until_events("subscription.finished")
    output = payload(finished)["report"]["output"]
    assert output.endswith("x\nthe end")
    assert len(output) <= 4096
    files = [*(town.board / "state" / "logs").iterdir()]
    assert sorted(file.name for file in files) == ["flood.log", "flood.log.1"]
    assert all(file.stat().st_size <= LOG_BYTES for file in files)
    assert os.path.getsize(town.board / "state" / "events.jsonl") < 20_000


def test_a_large_payload_comes_by_stdin_even_if_it_is_not_read(town: Town):
    town.add("read", "wc -c", listen="[job]")
    town.add("skip", "true", listen="[job]")
    with town.running() as runner:
        town.push("job", {"text": "x" * 5_000_000})
        runner.until_events("subscription.finished", 2)
    (count,) = [int(text) for agent, _, text in runner.lines if agent == "read"]
    assert count > 5_000_000


def test_one_agent_works_its_events_in_order_and_one_at_a_time(town: Town):
    script = "mkdir busy && echo $ORC_EVENT_PAYLOAD_N >> order && rmdir busy"
    town.add("one", script, listen="[job]")
    with town.running() as runner:
        for n in range(20):
            town.push("job", {"n": n})
        runner.until_events("subscription.finished", 20)
    assert (town.project / "order").read_text().split() == [str(n) for n in range(20)]


def test_so_many_agents_run_at_a_time_as_are_allowed(town: Town):
    for name in "abcd":
        town.add(name, "echo > up; read x < gate", listen="[job]", workdir=name)
        (town.project / name).mkdir()
        os.mkfifo(town.project / name / "gate")
    with town.running(most=2) as runner:
        town.push("job")
        runner.until_events("subscription.started", 2)
        open_gate(town.project / "a" / "gate")
        runner.until_events("subscription.finished", 1)
        runner.until_events("subscription.started", 3)
        assert len(runner.of_type("subscription.started")) == 3
        for name in "bcd":
            open_gate(town.project / name / "gate")
        runner.until_events("subscription.finished", 4)


def test_concurrency_lets_an_agent_work_several_events(town: Town):
    town.add("two", "read x < gate$ORC_EVENT_PAYLOAD_N", listen="[job]", concurrency=2)
    gates = [town.project / f"gate{n}" for n in range(3)]
    with town.running() as runner:
        for n, gate in enumerate(gates):
            os.mkfifo(gate)
            town.push("job", {"n": n})
        runner.until_events("subscription.started", 2)
        for done, gate in enumerate(gates, start=1):
            assert len(runner.of_type("subscription.started")) <= done + 1
            open_gate(gate)
            runner.until_events("subscription.finished", done)


def test_a_file_that_is_not_trusted_is_named_and_does_not_run(town: Town):
    path = town.add("wild", "echo ran", listen="[job]", trusted=False)
    with town.running() as runner:
        assert "is not trusted" in runner.until_note("agent.skipped", "wild")
        town.push("job")
        town.trust.add({str(path): load_agent(str(path)).digest})
        runner.until_note("agent.loaded", "wild")
        event = town.push("job")
        (finished,) = runner.until_events("subscription.finished")
    assert payload(finished)["event"] == event


def test_a_changed_file_is_read_while_the_runner_runs(town: Town):
    town.add("new", "echo old", listen="[job]")
    with town.running() as runner:
        town.push("job")
        runner.until_events("subscription.finished")
        town.add("new", "echo new", listen="[job, other]")
        runner.until(lambda: len(runner.notes_of("agent.loaded")) == 2)
        town.push("other")
        runner.until_events("subscription.finished", 2)
        (town.agents / "bad.md").write_text("---\nlisten: 1\nretry: x\n---\n")
        assert "retry" in runner.until_note("agent.skipped", "bad.md")
        (town.agents / "new.md").unlink()
        runner.until_note("agent.removed", "new")
    assert [text for _, _, text in runner.lines] == ["old", "new"]


def test_two_agents_of_every_event_end_at_the_limit(town: Town, monkeypatch: pytest.MonkeyPatch):
    mark = ""
    for _ in range(DEEPEST - 5):
        monkeypatch.setenv("ORC_CAUSE", mark)
        with Orchestrator.open(town.board) as orc:
            mark = cause_mark(orc.events.push("before"))
    monkeypatch.setenv("ORC_CAUSE", mark)
    deep = Orchestrator.open(town.board)
    monkeypatch.delenv("ORC_CAUSE")
    for name in "ab":
        town.add(name, f"busytown events push --type {name}.did --worker {name}", listen='["*"]')
    with town.running(most=2) as runner:
        deep.events.push("start")
        died = runner.until_events("subscription.died")
    assert "in a row of causes" in payload(died[0])["reason"]
    depths = {record.cause.depth for record in runner.events if record.cause}
    assert depths == {*range(DEEPEST - 5, DEEPEST + 2)}
    deep.close()


def test_agents_that_ran_finish_when_the_runner_is_asked_to_end(town: Town):
    os.mkfifo(town.project / "gate")
    town.add("slow", "read x < gate", listen="[job]")
    with town.running() as runner:
        town.push("job")
        town.push("job")
        runner.until_events("subscription.started")
        runner.stop()
        runner.until_note("runner.stopping")
        open_gate(town.project / "gate")
        runner.until_events("subscription.finished")
    assert len(town.orc.events.read(type="subscription.started")) == 1
    assert town.notes() == []


def test_a_second_request_ends_them_and_the_next_runner_tries_again(town: Town):
    town.add("slow", "test $ORC_ATTEMPT = 2 || sleep 600", listen="[job]", retry=1)
    with town.running() as runner:
        town.push("job")
        runner.until_events("subscription.started")
    (interrupted,) = town.orc.events.read(type="subscription.interrupted")
    assert payload(interrupted)["reason"] == "the runner was stopped"
    with town.running() as runner:
        runner.until_events("subscription.finished")
    assert town.notes() == []


def test_a_program_that_is_missing_fails_the_attempt(town: Town):
    town.add("lost", "", listen="[job]", runtime="command", command="[no-such-program]")
    with town.running() as runner:
        town.push("job")
        (died,) = runner.until_events("subscription.died")
    assert "no-such-program" in payload(died)["reason"]


def test_two_runners_work_each_event_once(town: Town):
    for name in "abcd":
        town.add(name, "echo $ORC_EVENT_ID >> ran", listen="[job]", concurrency=2, workdir=name)
        (town.project / name).mkdir()
    with town.running() as first, town.running():
        events = [town.push("job") for _ in range(15)]
        first.until_events("subscription.finished", 60)
    for name in "abcd":
        ran = (town.project / name / "ran").read_text().split()
        assert sorted(map(int, ran)) == events


def test_a_schedule_starts_its_agent_although_it_pushes_the_event_itself(town: Town):
    town.add("clock", "echo $ORC_EVENT_TYPE", every="1s", listen="[job]")
    town.add("other", "echo other", listen="[job]")
    with town.running() as runner:
        runner.until_events("subscription.finished", 2)
    assert {agent for agent, _, _ in runner.lines} == {"clock"}
    dues = [payload(record)["due"] for record in runner.of_type("schedule.due")]
    assert len(set(dues)) == len(dues)


def test_a_watched_file_starts_an_agent(town: Town):
    (town.project / "src").mkdir()
    town.add("build", "echo built {{event.payload.path}}", listen="[file.*]")
    with town.running(watch=[str(town.project / "src")], exclude=["*.tmp"]) as runner:
        (town.project / "src" / "a.tmp").write_text("1")
        (town.project / "src" / "a.py").write_text("1")
        runner.until_line("built src/a.py")
        runner.until_events("subscription.finished")
    assert [text for _, _, text in runner.lines] == ["built src/a.py"]
    (event,) = [record for record in runner.events if record.type.startswith("file.")]
    assert event.cause is None


def test_an_agent_that_writes_the_files_it_hears_of_has_a_chain_of_causes(town: Town):
    (town.project / "src").mkdir()
    town.add("loop", "echo >> src/a.py", listen="[file.*]")
    with town.running(watch=[str(town.project / "src")]) as runner:
        (town.project / "src" / "a.py").write_text("1")
        runner.until_events("subscription.started", 3)
    depths = [
        record.cause and record.cause.depth for record in runner.events if "file." in record.type
    ]
    assert depths[:3] == [None, 1, 2]


def test_agent_files_are_not_looked_at_while_they_do_not_change(
    town: Town, monkeypatch: pytest.MonkeyPatch
):
    town.add("ann", "echo ran", listen="[job]")
    with town.running() as runner:
        looks = []
        monkeypatch.setattr(
            os, "listdir", lambda path, of=os.listdir: looks.append(path) or of(path)
        )
        town.push("job")
        runner.until_events("subscription.finished")
        assert str(town.agents) not in looks


def reads_of_a_start(town: Town, monkeypatch: pytest.MonkeyPatch, until: Any = None) -> list[int]:
    """From where a runner reads the log when it starts."""
    reads: list[int] = []

    def read(events: Events, *, of: Any = Events.read, **options: Any) -> Any:
        if "first" in options:
            reads.append(options["since"])
        return of(events, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Events, "read", read)
        with town.running() as runner:
            if until is not None:
                runner.until_events("subscription.finished", until)
    return reads


def test_a_start_reads_what_was_added_since_the_last_runner(
    town: Town, monkeypatch: pytest.MonkeyPatch
):
    town.add("ann", "echo ran", listen="[job]")
    with town.running() as runner:
        head = [town.push("other") for _ in range(20)][-1]
        runner.until_events("other", 20)
    job = town.push("job")
    assert reads_of_a_start(town, monkeypatch, 1)[0] == head
    assert [payload(e)["event"] for e in town.orc.events.read(type="subscription.finished")] == [
        job
    ]


def test_an_agent_that_listens_for_more_hears_what_it_did_not_before(town: Town):
    town.add("ann", "echo ran", listen="[job]")
    with town.running() as runner:
        event = town.push("other")
        runner.until_events("other")
    town.add("ann", "echo ran", listen="[job, other]")
    with town.running() as runner:
        (finished,) = runner.until_events("subscription.finished")
    assert payload(finished)["event"] == event


@pytest.mark.parametrize("kept", ["", "no json", '{"event":3,"ts":"x","agents":{}}', "[]"])
def test_what_a_runner_has_kept_of_another_log_is_not_used(
    town: Town, monkeypatch: pytest.MonkeyPatch, kept: str
):
    town.add("ann", "echo ran", listen="[job]")
    with town.running():
        pass
    first = town.push("job")
    town.orc.engine.cursors.write(f"runner/{this_machine()}", kept)
    assert reads_of_a_start(town, monkeypatch, 1)[0] < first


def test_events_that_wait_are_kept_between_runners(town: Town):
    os.mkfifo(town.project / "gate")
    town.add("slow", "read x < gate", listen="[job]", retry=1)
    with town.running() as runner:
        jobs = [town.push("job") for _ in range(3)]
        runner.until_events("subscription.started")
    with town.running() as runner:
        for n in range(1, 4):
            runner.until_events("subscription.started", n)
            open_gate(town.project / "gate")
        runner.until_events("subscription.finished", 3)
    assert [payload(e)["event"] for e in runner.of_type("subscription.finished")] == jobs


def test_a_runner_works_without_a_keeper(town: Town, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "executable", "/no/python")
    town.add("ann", "echo ran", listen="[job]")
    with town.running() as runner:
        assert "did not start" in runner.until_note("runner.trouble")
        town.push("job")
        runner.until_events("subscription.finished")


def test_the_lines_of_an_agent_follow_its_start(town: Town, monkeypatch: pytest.MonkeyPatch):
    """However late the follower has the start, the lines come after it."""
    gate = town.project / "gate"
    town.add(
        "ann", f'echo one\nuntil [ -e "{gate}" ]; do sleep 0.01; done\necho two', listen="[job]"
    )
    order: list[str] = []

    def event(follower: Follower, record: Recorded) -> None:
        if record.type == "subscription.started":
            until_true(lambda: "one\n" in town.log("ann"))
            open_gate(gate)
            until_true(lambda: "two\n" in town.log("ann"))
            order.append("start")
        follower._add(follower.events, record)

    def output(follower: Follower, agent: str, event: int, lines: list[str]) -> None:
        order.extend(lines)

    monkeypatch.setattr(Follower, "event", event)
    monkeypatch.setattr(Follower, "output", output)
    with town.running() as runner:
        town.push("job")
        runner.until_events("subscription.finished")
    assert order == ["start", "one", "two"]
