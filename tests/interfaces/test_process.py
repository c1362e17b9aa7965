"""The programs: the scripts of a checkout, pipes, signals, and the imports of a frequent command."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator import Orchestrator
from orchestrator.stores.files.folders import FilePresence

ROOT = Path(__file__).parents[2]
SLOW_IMPORTS = ("filelock", "lark", "wcwidth", "frontmatter", "jsonlines", "yaml", "dataclasses")


def start(board: Path, *words: str, door: str = "cli.py", **options: object) -> subprocess.Popen:  # type: ignore[type-arg]
    """Start a program of the checkout on a board."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("ORC_AGENT", "ORC_REQUEST_ID", "ORCHESTRATOR_DIR")
    }
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
        [sys.executable, ROOT / door, *words],
        env={**environment, "ORCHESTRATOR_DIR": str(board)},
        **settings,
    )


def run(board: Path, *words: str, door: str = "cli.py") -> tuple[int, str, str]:
    """Run a program of the checkout to its end."""
    process = start(board, *words, door=door)
    out, err = process.communicate(timeout=60)
    return process.returncode, out.decode(), err.decode()


def wait_until_seen(board: Path, agent: str) -> None:
    """Wait until a command of the agent has read the board: then its signal handlers are installed."""
    while not (board / "state" / "presence" / agent).exists():
        time.sleep(0.01)


@pytest.fixture
def board(tmp_path: Path) -> Path:
    folder = tmp_path / "board"
    assert run(folder, "ws", "create", "build")[0] == 0
    return folder


def test_the_doors_of_a_checkout(board: Path) -> None:
    assert run(board, "t", "add", "build", "T")[1].endswith(": T\n")
    status, out, _ = run(board, "plan", door="runner.py")
    assert (status, json.loads(out)["cycle"]) == (0, 1)
    status, out, _ = run(board, "b", "build", "--agent", "ann", door="runner.py")
    assert "python cli.py t claim build" in out
    status, _, err = run(board, "t", "ls", door="runner.py")
    assert (status, err.partition("\n")[0]) == (2, "Error: No such command 't'.")
    assert "python runner.py brief build" in run(board, "brief", "--help", door="runner.py")[1]
    assert "python cli.py runner b build" in run(board, "runner", "b", "--help")[1]


@pytest.mark.needs("flock")
def test_a_hot_command_loads_no_library_it_does_not_need(board: Path) -> None:
    run(board, "t", "add", "build", "T")
    words = [sys.executable, "-X", "importtime", ROOT / "cli.py", "--board", board]
    for line in (
        ["t", "next", "build", "ann"],
        ["t", "ls", "build"],
        ["l", "acquire", "git", "ann"],
        ["m", "send", "ann", "-s", "hi"],
        ["m", "check", "--agent", "ann"],
        ["m", "check", "--inject", "--agent", "ann"],
    ):
        done = subprocess.run([*words, *line], capture_output=True, text=True, check=True)
        loaded = {row.rpartition("|")[2].strip() for row in done.stderr.splitlines()}
        assert "msgspec" in loaded
        assert not loaded & set(SLOW_IMPORTS)


def test_a_reader_that_goes_away_is_not_a_failure(board: Path) -> None:
    for words in (["ws", "create", "other"], ["events"], ["export"]):
        reading, writing = os.pipe()
        os.close(reading)
        process = start(board, *words, stdout=writing)
        os.close(writing)
        assert process.communicate(timeout=60)[1] == b""
        assert process.returncode == 0
    assert "other" in run(board, "ws", "ls")[1]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_under_stdout_fails_a_query_but_not_what_was_committed(board: Path) -> None:
    with open("/dev/full", "wb") as full:
        command = start(board, "ws", "create", "other", stdout=full)
        _, err = command.communicate(timeout=60)
        query = start(board, "ws", "ls", stdout=full)
        _, errors = query.communicate(timeout=60)
    assert command.returncode == 0
    assert err.startswith(b"Warning: it is done, but the answer could not be written")
    assert query.returncode == 74
    assert errors.startswith(b"Error: ")


def test_a_process_without_stdout_still_works(board: Path) -> None:
    line = f'exec "{sys.executable}" "{ROOT}/cli.py" --board "{board}" ws create other >&-'
    assert subprocess.run(["sh", "-c", line], check=False).returncode == 0
    assert "other" in run(board, "ws", "ls")[1]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_while_waiting_ends_quietly(board: Path, number: int, status: int) -> None:
    waiting = start(board, "t", "next", "build", "ann", "--wait", "60s")
    wait_until_seen(board, "ann")
    waiting.send_signal(number)
    out, err = waiting.communicate(timeout=60)
    assert (waiting.returncode, out, err) == (status, b"", b"")


INTERRUPTED_IN_A_FINALIZER = """
import os, sys, time
from orchestrator.interfaces.cli import main

class Finalized:
    def __del__(self):
        os.kill(os.getpid(), int(sys.argv[1]))

def wait(**settings):
    Finalized()
    for _ in range(5000):
        time.sleep(0.01)

main.main = wait
main.process()
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_that_comes_while_a_finalizer_runs_ends_the_process(
    number: int, status: int
) -> None:
    words = [sys.executable, "-c", INTERRUPTED_IN_A_FINALIZER, str(int(number))]
    ended = subprocess.run(words, capture_output=True, timeout=50, check=False, cwd=ROOT)
    assert (ended.returncode, ended.stdout, ended.stderr) == (status, b"", b"")


def test_an_interrupt_while_waiting_for_a_lock_takes_the_waiting_back(board: Path) -> None:
    run(board, "l", "acquire", "git", "ann")
    waiting = start(board, "l", "acquire", "git", "bob", "--wait", "10m")
    with Orchestrator.open(board) as orc:
        wait = orc.engine.watch()
        while not orc.locks.get("git").waiting:
            wait(60)
            wait = orc.engine.watch()
    waiting.send_signal(signal.SIGTERM)
    waiting.communicate(timeout=60)
    assert waiting.returncode == 143
    assert json.loads(run(board, "l", "ls", "--json")[1])[0]["waiting"] == []


def test_following_prints_events_as_they_come(board: Path) -> None:
    run(board, "events", "log", "deployed", "n=1")
    following = start(board, "events", "--follow", "--json", "--type", "deployed")
    assert json.loads(following.stdout.readline())["payload"] == {"n": 1}
    run(board, "events", "log", "ignored")
    run(board, "events", "log", "deployed", "n=2")
    assert json.loads(following.stdout.readline())["payload"] == {"n": 2}
    following.send_signal(signal.SIGINT)
    following.communicate(timeout=60)
    assert following.returncode == 130


def test_next_waits_for_a_task_and_takes_it(board: Path) -> None:
    waiting = start(board, "t", "next", "build", "ann", "--wait", "60s")
    wait_until_seen(board, "ann")
    run(board, "t", "add", "build", "Late")
    out, _ = waiting.communicate(timeout=60)
    assert out.decode().splitlines()[0].endswith(" - Late")


def until_agents_wait(board: Path, *agents: str) -> None:
    """Wait until exactly these agents wait for work."""
    presence = FilePresence(str(board / "state"), pytest.fail)
    while presence.waiting() != {*agents}:
        time.sleep(0.01)


def test_an_agent_waits_until_there_is_work_and_is_shown_waiting(board: Path) -> None:
    waiting = start(board, "next", "--wait", "60s", "--agent", "ann")
    until_agents_wait(board, "ann")
    [ann] = json.loads(run(board, "a", "list", "--json")[1])
    assert (ann["id"], ann["presence"], ann["stale"]) == ("ann", "waiting", False)
    assert "ann (general) [waiting]" in run(board, "status")[1]
    run(board, "t", "add", "build", "Deferred", "--defer", "1h")
    assert "Also waiting for work: ann." in run(board, "next", "--agent", "bob")[1]
    run(board, "t", "add", "build", "Free")
    out, _ = waiting.communicate(timeout=60)
    assert out.decode().splitlines()[0].endswith(" - Free")
    until_agents_wait(board)


def test_an_agent_that_is_killed_waits_no_longer(board: Path) -> None:
    waiting = start(board, "next", "--wait", "60s", "--agent", "ann")
    until_agents_wait(board, "ann")
    waiting.kill()
    waiting.wait()
    until_agents_wait(board)


def test_agents_that_wait_share_the_reviews_that_come_without_a_double_claim(board: Path) -> None:
    tasks = []
    for _ in range(3):
        task = json.loads(run(board, "t", "add", "build", "T", "--review", "--json")[1])["id"]
        run(board, "t", "claim", task, "worker")
        tasks.append(task)
    names = ["ann", "bob", "carl"]
    words = ("next", "--wait", "60s", "--no-mail", "--json", "--agent")
    waiting = [start(board, *words, name) for name in names]
    until_agents_wait(board, *names)
    for task in tasks:
        run(board, "t", "complete", task, "--agent", "worker")
    last = start(board, *words, "worker")
    given = [json.loads(process.communicate(timeout=60)[0]) for process in waiting]
    assert [answer["kind"] for answer in given] == ["review"] * 3
    assert {answer["task"]["id"] for answer in given} == {*tasks}
    assert {answer["task"]["reviewer"] for answer in given} == {*names}
    for answer in given:
        run(board, "t", "approve", answer["task"]["id"], "--agent", answer["agent"])
    assert json.loads(last.communicate(timeout=60)[0])["kind"] == "ended"
    assert last.returncode == 6


@pytest.mark.parametrize("door", ["cli.py", "runner.py"])
def test_a_checkout_without_its_environment_names_the_command_to_run(door: str) -> None:
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-S", ROOT / door, "status"]  # -S: no installed packages
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(
        r"Error: this Python has no module '\w+': run `make demo` or `make test` once and then "
        r"`.venv/bin/python cli.py`, or install with `python3 -m venv .venv && "
        r".venv/bin/pip install -e .`.\n",
        done.stderr,
    )
