"""The runner in trouble: damaged logs, full disks, clocks that jump, killed twins. It goes on and reports."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from boards import SettableClock

from orchestrator import Orchestrator
from orchestrator.core.errors import InputOutputError
from orchestrator.core.processes import MARK
from orchestrator.supervisor.processes import (
    AgentLog,
    AttemptNote,
    NoteFile,
    ProcessIdentity,
)

from .running import Town, ends, payload

# The log


def test_a_malformed_line_is_reported_and_the_runner_goes_on_when_it_is_gone(town: Town):
    town.add("one", "echo ran", listen="[job]")
    log = town.board / "state" / "events.jsonl"
    with town.running() as runner:
        town.push("job")
        runner.until_events("subscription.finished")
        whole = log.read_bytes()
        log.write_bytes(whole + b"{not json}\n" + whole[-200:])
        assert str(log) in runner.until_note("runner.trouble")
        log.write_bytes(whole)
        event = town.push("job")
        finished = runner.until_events("subscription.finished", 2)
    assert payload(finished[-1])["event"] == event


def test_a_runner_that_starts_on_a_damaged_log_reports_it_and_waits(town: Town):
    town.add("one", "echo ran", listen="[job]")
    town.push("job")
    log = town.board / "state" / "events.jsonl"
    whole = log.read_bytes()
    log.write_bytes(whole.replace(b'"type":"job"', b'"type":"jab"'))
    with town.running(ready="runner.trouble") as runner:
        assert str(log) in runner.until_note("runner.trouble")
        log.write_bytes(whole)
        runner.until_note("runner.ready")
        town.push("job")
        runner.until_events("subscription.finished")


def test_an_attempt_that_ends_while_the_log_is_damaged_is_recorded_later(town: Town):
    os.mkfifo(town.project / "gate")
    town.add("slow", "read x < gate", listen="[job]")
    log = town.board / "state" / "events.jsonl"
    with town.running() as runner:
        town.push("job")
        runner.until_events("subscription.started")
        whole = log.read_bytes()
        log.write_bytes(whole[:-20] + b"?" * 19 + b"\n")
        (town.project / "gate").write_text("go\n")
        runner.until_note("runner.trouble")
        log.write_bytes(whole)
        runner.until_events("subscription.finished")


# Disks


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full device")
def test_a_full_disk_under_the_log_of_an_agent_is_a_warning(tmp_path: Path):
    warnings: list[str] = []
    log = AgentLog(str(tmp_path), "one", warnings.append)
    log._fd = os.open("/dev/full", os.O_WRONLY)
    log.write(["lost"])
    log.write(["lost too"])
    assert warnings == [f"{log.path} cannot be written: No space left on device"]
    log.close()
    log.write(["kept"])
    assert Path(log.path).read_text() == "kept\n"


def test_an_agent_whose_note_cannot_be_written_does_not_run_on(
    town: Town, monkeypatch: pytest.MonkeyPatch
):
    pids: list[int] = []

    def fails(note: NoteFile, pid: int) -> None:
        pids.append(pid)
        raise InputOutputError("no space left")

    monkeypatch.setattr(NoteFile, "add_process", fails)
    town.add("slow", "sleep 600", listen="[job]")
    with town.running() as runner:
        town.push("job")
        (died,) = runner.until_events("subscription.died")
        assert all(map(ends, pids))
    assert payload(died)["reason"] == "no space left"
    assert town.notes() == []


def test_a_board_that_cannot_be_read_is_reported_and_the_runner_goes_on(town: Town):
    town.add("one", "echo ran", listen="[job]")
    state, away = town.board / "state", town.board / "away"
    with town.running() as runner:
        state.rename(away)
        state.write_text("in the way")
        runner.until_note("runner.trouble")
        state.unlink()
        away.rename(state)
        town.push("job")
        runner.until_events("subscription.finished")


def test_a_follower_that_is_gone_fails_no_attempt(town: Town, monkeypatch: pytest.MonkeyPatch):
    def fails(*_: object) -> None:
        raise BrokenPipeError

    town.add("one", "echo ran", listen="[job]")
    with town.running() as runner:
        monkeypatch.setattr(runner, "output", fails)
        town.push("job")
        runner.until_events("subscription.finished")


# Twins


def test_what_another_runner_works_on_is_not_interrupted_for_one_that_was_killed(town: Town):
    """Both had written a note for this event, and one was killed before it could begin."""
    os.mkfifo(town.project / "gate")
    town.add("slow", "read x < gate", listen="[job]")
    gone = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = ProcessIdentity.of(gone.pid)
    gone.communicate(b"\n")
    with town.running() as runner:
        event = town.push("job")
        runner.until_events("subscription.started")
        note = AttemptNote(
            machine=socket.gethostname(), runner=identity, agent="slow", event=event, mark="1-gone"
        )
        NoteFile(str(town.board / "state" / "runner"), note)
        with town.running():
            assert not (town.board / "state" / "runner" / "1-gone.note").exists()
        (town.project / "gate").write_text("go\n")
        runner.until_events("subscription.finished")
    assert not town.orc.events.read(type="subscription.interrupted")


def test_files_of_an_attempt_whose_runner_was_killed_are_deleted(town: Town):
    gone = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = ProcessIdentity.of(gone.pid)
    gone.communicate(b"\n")
    folder = town.board / "state" / "runner"
    with town.running():
        pass
    note = AttemptNote(
        machine=socket.gethostname(), runner=identity, agent="slow", event=1, mark="1-gone"
    )
    NoteFile(str(folder), note)
    (folder / "1-gone.files").mkdir()
    (folder / "1-gone.files" / "prompt.md").write_text("secret")
    with town.running():
        assert [*folder.iterdir()] == []


def test_notes_whose_runner_was_killed_while_it_wrote_them_are_deleted_when_nobody_writes_them(
    town: Town,
):
    with town.running():
        pass
    folder = town.board / "state" / "runner"
    written = folder / "1-now.note.new"
    left = folder / "1-gone.note.new"
    for path in (written, left):
        path.write_bytes(b'{"machine":')
    os.utime(left, (1.0, 1.0))
    with town.running():
        assert [*folder.iterdir()] == [written]


def test_what_a_killed_runner_left_is_ended_also_in_sessions_of_their_own(town: Town):
    gone = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = ProcessIdentity.of(gone.pid)
    gone.communicate(b"\n")
    with town.running():
        pass
    note = AttemptNote(
        machine=socket.gethostname(), runner=identity, agent="slow", event=1, mark="1-left"
    )
    NoteFile(str(town.board / "state" / "runner"), note)
    left = subprocess.Popen(
        ["sh", "-c", "trap '' TERM; echo ready; sleep 600; sleep 600"],
        env={**os.environ, MARK: "1-left"},
        start_new_session=True,
        stdout=subprocess.PIPE,
    )
    assert left.stdout is not None
    left.stdout.readline()
    with town.running():
        assert left.wait(60) == -9
    left.stdout.close()


# Clocks


def test_a_back_off_is_over_when_the_clock_was_set_back_behind_its_attempt(
    board: Orchestrator, clock: SettableClock
):
    board.subscriptions.open("plan", position=0)
    event = board.events.push("job", agent="ann").id
    attempt = board.subscriptions.start("plan", event, after=0, lease=60, most=3)
    assert attempt is not None
    board.subscriptions.fail("plan", event, attempt.token, "no", back_off=30)
    clock.advance(-3600)
    again = board.subscriptions.start("plan", event, after=event, lease=60, most=3)
    assert again is not None
    assert again.number == 2


@pytest.mark.parametrize("jump", [-86400.0, 86400.0])
def test_a_clock_that_jumps_neither_ends_an_attempt_nor_keeps_its_retry(town: Town, jump: float):
    offset = [0.0]
    os.mkfifo(town.project / "gate")
    town.add("slow", "read x < gate; exit $ORC_EVENT_PAYLOAD_N", listen="[job]", retry=1)
    with town.running(now=lambda: time.time() + offset[0]) as runner:
        town.push("job", {"n": 1})
        runner.until_events("subscription.started")
        offset[0] = jump
        town.push("other")
        (town.project / "gate").write_text("go\n")
        runner.until_events("subscription.failed")
        runner.until_events("subscription.started", 2)
        offset[0] = 0.0
        (town.project / "gate").write_text("go\n")
        (died,) = runner.until_events("subscription.died")
    assert payload(died)["attempts"] == 2
    assert payload(died)["reason"] == "it ended with exit status 1"
