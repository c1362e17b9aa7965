"""``runner start``, ``restart``, ``logs``, ``check`` and ``install``, with real processes."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.supervisor.processes import LOG_BYTES, AgentLog, runner_folder
from orchestrator.supervisor.runner import RunnerPlace
from orchestrator.supervisor.service_unit import quoted, unit_text

from .running import PATIENCE, Town, command, ends, orc, until


@pytest.fixture
def town(memory_path: Path) -> Iterator[Town]:
    town = Town(memory_path)
    yield town
    if (note := RunnerPlace(str(town.board)).current()) is not None:
        os.kill(note.pid, 9)
    town.orc.close()


def finished(town: Town, count: int) -> None:
    for _ in town.orc.events.follow(type="subscription.finished", since=0):
        count -= 1
        if not count:
            return


def test_a_runner_in_the_background_is_ready_when_start_returns(town: Town):
    town.add("count", "echo counted", listen="[job]")
    answer = json.loads(orc(town, "--json", "runner", "start", "--max-agents", "3"))
    shown = json.loads(orc(town, "--json", "runner", "status"))
    assert (shown["pid"], shown["log"]) == (answer["pid"], answer["log"])
    town.push("job")
    finished(town, 1)
    second = orc(town, "runner", "start")
    assert f"process {answer['pid']}, for " in second
    assert orc(town, "runner", "stop") == f"Stopped: process {answer['pid']}\n"
    assert ends(answer["pid"])
    log = Path(answer["log"]).read_text()
    assert "ready: 1 agent" in log
    assert "finished in" in log


def test_a_runner_that_cannot_start_gives_the_reason(town: Town, monkeypatch: pytest.MonkeyPatch):
    assert "There is no folder" in orc(town, "runner", "start", "--watch", "src")
    monkeypatch.setenv("ORC_CAUSE", "1/2026-11-27T20:00:00.000Z")
    error = json.loads(orc(town, "--json", "runner", "start"))["error"]
    assert error["code"] == "not_yours"
    assert error["message"] == "An agent that an event has started cannot be a runner"


def test_restart_keeps_the_options_and_is_for_runners_in_the_background(town: Town):
    (town.project / "src").mkdir()
    orc(town, "runner", "start", "--watch", "src", "--exclude", "*.tmp", "--max-agents", "3")
    before = RunnerPlace(str(town.board)).needed()
    restarted = json.loads(orc(town, "--json", "runner", "restart"))
    now = RunnerPlace(str(town.board)).needed()
    assert restarted["pid"] == now.pid != before.pid
    assert now.options == before.options
    assert f"--watch={town.project / 'src'}" in now.options
    orc(town, "runner", "stop")
    assert "No runner runs here" in orc(town, "runner", "restart")
    runner = command(town, "--json", "runner", "run")
    until(runner, "runner.ready")
    assert "was not started by `" in orc(town, "runner", "restart")
    orc(town, "runner", "stop")
    runner.communicate(timeout=PATIENCE)


def test_logs_are_of_one_agent_or_of_all(town: Town):
    for name in ("ann", "bob"):
        town.add(name, "echo line $ORC_EVENT_PAYLOAD_N of $ORC_AGENT", listen="[job]")
    assert "No logs" in orc(town, "runner", "logs")
    with town.running() as runner:
        for n in (1, 2):
            town.push("job", {"n": n})
        runner.until_events("subscription.finished", 4)
    ann = orc(town, "runner", "logs", "ann").splitlines()
    assert [line for line in ann if not line.startswith("===")] == [
        "line 1 of ann",
        "line 2 of ann",
    ]
    assert orc(town, "runner", "logs", "ann", "-n", "2").splitlines() == ann[-2:]
    both = orc(town, "runner", "logs").splitlines()
    assert "ann  line 1 of ann" in both
    assert "bob  line 2 of bob" in both
    lines = map(json.loads, orc(town, "--json", "runner", "logs", "bob").splitlines())
    assert {"text": "line 2 of bob"} in [line["payload"] for line in lines]
    assert "did you mean" in orc(town, "runner", "logs", "anna")


def test_following_goes_on_behind_a_rotation_and_sees_new_agents(town: Town):
    folder = runner_folder(str(town.board), "logs")
    log = AgentLog(folder, "ann", pytest.fail)
    log.write(["first"])
    following = command(town, "runner", "logs", "-f")
    until(following, "first")
    for n in range(3):
        log.write([f"begin {n}", "x" * (LOG_BYTES - 100), f"end {n}"])
    AgentLog(folder, "bob", pytest.fail).write(["hello"])
    assert following.stdout is not None
    seen = [until(following, f"{word} {n}") for n in range(3) for word in ("begin", "end")]
    assert [line.split(maxsplit=1)[1] for line in seen][-1] == "end 2\n"
    until(following, "bob")
    following.kill()
    following.communicate()


def test_lines_of_a_structured_runtime_reach_the_log(town: Town, monkeypatch: pytest.MonkeyPatch):
    program = town.project / "claude"
    event = {"type": "assistant", "message": {"content": [{"type": "text", "text": "I read it"}]}}
    result = {"type": "result", "subtype": "success", "is_error": False, "result": "done"}
    lines = "".join(f"{json.dumps(line)}\n" for line in (event, result))
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{lines}END\n")
    program.chmod(0o755)
    town.add("ann", "You read.", runtime="claude", listen="[job]")
    town.push("job")
    monkeypatch.setenv("PATH", f"{town.project}:{os.environ['PATH']}")
    runner = command(town, "--json", "runner", "run")
    until(runner, "runner.ready")
    town.push("job")
    assert json.loads(until(runner, "I read it"))["type"] == "agent.output"
    until(runner, "subscription.finished")
    assert "I read it" in orc(town, "runner", "logs", "ann")
    orc(town, "runner", "stop")
    runner.communicate(timeout=PATIENCE)


def test_check_shows_what_would_start_each_agent_and_starts_nothing(town: Town):
    town.add("ann", "echo {{event.payload.x}}", listen="[job, plan.*]", every="1h")
    town.add("bob", "true", listen="[job]", trusted=False)
    town.add("lost", "", listen="[job]", runtime="command", command="[no-such-program, --now]")
    (town.agents / "bad.md").write_text("---\nlisten: 1\nretry: x\n---\n")
    shown = json.loads(orc(town, "--json", "runner", "check"))
    ann, bob, lost = shown["agents"]
    assert ann["trust"] == "trusted"
    assert ann["starts"][:2] == ["event job", "event plan.*"]
    assert ann["starts"][2].startswith("every 3600s, next 20")
    assert ann["command"] == [shutil.which("sh"), "-c", 'echo "$ORC_EVENT_PAYLOAD_X"\n']
    assert bob["trust"] == "new"
    assert lost["problem"] == "There is no program no-such-program"
    assert lost["command"] == ["no-such-program", "--now"]
    ((path, problems),) = shown["bad"].items()
    assert (os.path.basename(path), len(problems)) == ("bad.md", 2)
    text = orc(town, "runner", "check")
    assert "not trusted: read it, then `" in text
    assert not town.orc.events.read(type="subscription.started")
    checked = command(town, "runner", "check")
    checked.communicate(timeout=PATIENCE)
    assert checked.returncode == 1


HOSTILE = "a \"b\" $c %d \\e 'f' é"


def test_a_unit_has_every_path_as_it_is(tmp_path: Path):
    text = unit_text(
        f"/x/{HOSTILE}", ["/bin/true", f"--board=/x/{HOSTILE}"], {"PATH": f"/{HOSTILE}"}
    )
    line = next(line for line in text.splitlines() if line.startswith("ExecStart="))
    assert line == 'ExecStart="/bin/true" "--board=/x/a \\"b\\" $$c %%d \\\\e \'f\' \\xc3\\xa9"'
    assert quoted("a\nb") == '"a\\x0ab"'
    assert text.count("\n[") == 3


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_reads_the_unit(tmp_path: Path):
    folder = tmp_path / HOSTILE.replace("/", "")
    folder.mkdir()
    program = folder / "run"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / "orc-test.service"
    unit.write_text(unit_text(str(folder), [str(program), f"--board={folder}"], os.environ))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
    )
    assert "orc-test.service" not in done.stderr, done.stderr


def test_install_writes_the_same_unit_once_and_names_the_next_command(
    town: Town, monkeypatch: pytest.MonkeyPatch
):
    tools = town.project / "tools"
    tools.mkdir()
    systemctl = tools / "systemctl"
    systemctl.write_text("#!/bin/sh\n")
    systemctl.chmod(0o755)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(town.data))
    monkeypatch.setenv("PATH", str(tools))
    first = json.loads(orc(town, "--json", "runner", "install", "--max-agents", "2"))
    again = json.loads(orc(town, "--json", "runner", "install", "--max-agents", "2"))
    assert (first["changed"], again["changed"]) == (True, False)
    name = os.path.basename(first["path"])
    assert f"systemctl --user enable --now {name}" in first["next"]
    text = Path(first["path"]).read_text()
    assert '"runner" "run"' in text
    assert '"--max-agents=2"' in text
    assert orc(town, "runner", "install", "--print", "--max-agents", "2") == text
    Path(first["path"]).write_text("[Unit]\n")
    assert "is not ours" in orc(town, "runner", "install")
    systemctl.unlink()
    assert "has no systemd" in orc(town, "runner", "install")


def test_an_old_board_gets_the_lines_that_git_needs(town: Town):
    ignored = town.board / "state" / ".gitignore"
    ignored.write_text("index.db*\nbackups/")
    with town.running():
        pass
    assert ignored.read_text() == "index.db*\nbackups/\nlogs/\nrunner/\n"
