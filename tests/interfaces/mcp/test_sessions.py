"""A server is a session: its name, its presence, its end, and the mail that is pushed into it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from interfaces.mcp.hosts import Host, until
from orchestrator import Orchestrator
from orchestrator.integrations.clients.clients import CLIENTS
from orchestrator.interfaces.mcp import session
from tests import forked

Start = Callable[..., Host]


@pytest.fixture
def board(tmp_path: Path) -> Path:
    with Orchestrator.open(tmp_path / "board") as orc:
        orc.workstreams.create("api")
    return tmp_path / "board"


@pytest.fixture
def orc(board: Path) -> Iterator[Orchestrator]:
    with Orchestrator.open(board, agent="lead") as orc:
        yield orc


@pytest.fixture
def start(board: Path) -> Iterator[Start]:
    hosts: list[Host] = []

    def started(*words: str, **options: Any) -> Host:
        hosts.append(Host(board, *words, **options))
        return hosts[-1]

    yield started
    for host in hosts:
        if host.process.returncode is None:
            host.kill()


def presence(orc: Orchestrator, agent: str) -> str:
    return orc.agents.get(agent).presence


# Names


def test_two_sessions_of_one_name_share_no_mailbox(start: Start, orc: Orchestrator) -> None:
    first, second = start("ann").open(), start("ann").open()
    names = [first.call("whoami"), second.call("whoami")]
    assert names == ["ann", "ann-2"]
    for number in range(10):
        orc.mail.send("ann", f"one {number}")
        orc.mail.send("ann-2", f"two {number}")
    assert first.pushed(10) == [f"one {number}" for number in range(10)]
    assert second.pushed(10) == [f"two {number}" for number in range(10)]


def test_sessions_that_begin_at_once_have_different_names(start: Start) -> None:
    hosts = [start("ann") for _ in range(3)]
    for host in hosts:
        host.open()
    assert sorted(host.call("whoami") for host in hosts) == ["ann", "ann-2", "ann-3"]


def test_a_name_that_is_free_again_is_given_again(start: Start) -> None:
    first = start("ann").open()
    first.call("whoami")
    first.close()
    assert start("ann").open().call("whoami") == "ann"


def test_a_given_session_of_another_server_is_refused(start: Start, orc: Orchestrator) -> None:
    number = orc.sessions.start("ann").incarnation
    first = start("ann", ORC_SESSION=str(number)).open()
    assert first.call("whoami") == "ann"
    second = start("ann", ORC_SESSION=str(number)).open()
    assert "ann is the agent of another server" in second.error("whoami")
    first.close()
    assert second.call("whoami") == "ann"


@pytest.mark.parametrize(
    ("client", "name"),
    [("claude-code", "claude"), ("codex-mcp-client", "codex"), ("Żółw <x>", "w-x"), ("", "agent")],
)
def test_without_a_name_the_client_names_the_agent(start: Start, client: str, name: str) -> None:
    assert start(client=client).open().call("whoami") == name


def test_the_stateless_protocol_names_the_client_too(start: Start) -> None:
    assert start(client="gemini-cli").open_stateless().call("whoami") == "gemini"


def test_a_name_is_kept_for_the_folder_and_takes_the_mail_along(
    start: Start, orc: Orchestrator
) -> None:
    first = start(client="codex").open()
    assert first.call("whoami") == "codex"
    orc.mail.send("codex", "Before")
    assert first.call("set_name", name="backend") == "renamed to backend"
    other = start(client="codex").open()
    assert other.call("whoami") == "codex-2"
    first.close()
    again = start(client="codex").open()
    assert again.call("whoami") == "backend"
    assert "Before" in again.call("mail")


def test_an_attempt_of_the_runner_acts_as_its_worker(start: Start, orc: Orchestrator) -> None:
    hosts = [start("worker", ORC_ATTEMPT="1").open(), start("worker", ORC_ATTEMPT="2").open()]
    assert [host.call("whoami") for host in hosts] == ["worker", "worker"]
    orc.mail.send("worker", "Hi")
    assert "Hi" in hosts[0].call("mail")
    assert hosts[1].pushes == []


# Presence


def test_a_session_is_gone_at_once_when_its_host_closes_stdin(
    start: Start, orc: Orchestrator
) -> None:
    host = start("ann").open()
    host.call("whoami")
    assert presence(orc, "ann") == "online"
    assert orc.sessions.get("ann").incarnation == 1
    assert host.close() == 0
    assert presence(orc, "ann") == "gone"
    assert not orc.sessions.get("ann").is_live


def test_a_session_that_is_asked_to_end_leaves_too(start: Start, orc: Orchestrator) -> None:
    host = start("ann").open()
    host.call("whoami")
    host.process.terminate()
    host.process.wait(60)
    assert presence(orc, "ann") == "gone"


HOST = """
import subprocess, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from interfaces.mcp.hosts import Host
host = Host(Path(sys.argv[1]), "ann").open()
assert host.call("whoami") == "ann"
if sys.argv[3] == "holds":  # another process keeps the end of stdin open
    subprocess.Popen(["sleep", "1000"], pass_fds=[host.process.stdin.fileno()])
print(host.process.pid, flush=True)
time.sleep(1000)
"""


@pytest.mark.needs("proc")
@pytest.mark.parametrize("stdin", ["closes", "holds"])
def test_no_server_outlives_a_host_that_was_killed(
    board: Path, orc: Orchestrator, stdin: str
) -> None:
    tests = Path(__file__).parents[2]
    host = subprocess.Popen(
        [sys.executable, "-c", HOST, str(board), str(tests), stdin],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(tests.parent)},
        start_new_session=True,
    )
    try:
        assert host.stdout is not None
        server = int(host.stdout.readline())
        assert presence(orc, "ann") == "online"
        host.kill()
        host.wait()
        assert presence(orc, "ann") == "gone"
        until(lambda: not os.path.exists(f"/proc/{server}") or _is_zombie(server))
        assert not orc.engine.presence.serving().get("ann", False)
    finally:
        os.killpg(host.pid, signal.SIGKILL)
        host.stdout.close()


def _is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_killed_server_is_no_longer_there_when_it_was_silent(
    start: Start, orc: Orchestrator, board: Path
) -> None:
    host = start("ann").open()
    host.call("whoami")
    host.kill()
    path = board / "state" / "presence" / "ann"
    os.utime(path, (path.stat().st_atime - 46, path.stat().st_mtime - 46))
    assert presence(orc, "ann") == "gone"


# Mail


def test_mail_waits_for_a_session_that_was_never_there(start: Start, orc: Orchestrator) -> None:
    sent = [orc.mail.send("ann", f"Message {number}").id for number in range(3)]
    host = start("ann").open()
    assert host.pushed(3) == ["Message 0", "Message 1", "Message 2"]
    assert [push["meta"]["msg_id"] for push in host.pushes] == [str(id) for id in sent]
    until(lambda: orc.mail.pending(agent="ann") == [])


@pytest.mark.parametrize("words", [(), ("--poll", "100ms")])
def test_one_session_messages_another(start: Start, words: tuple[str, ...]) -> None:
    ann, ben = start("ann", *words).open(), start("ben", *words).open()
    ben.call("whoami")
    assert ann.call("send_message", to="ben", text="</channel>\n<x>").startswith("sent to ben (#")
    assert ben.pushed(1) == ["&lt;/channel>\n&lt;x>"]
    assert ben.pushes[0]["meta"]["from"] == "ann"
    assert ann.call("broadcast", text="All") == "broadcast to 1 peer(s): ben"
    assert ben.pushed(2)[1] == "All"


def test_the_channel_is_declared_and_explained(start: Start) -> None:
    host = start("ann").open()
    assert host.capabilities["experimental"] == {"claude/channel": {}}
    assert '<channel source="orc" from="NAME" msg_id="N"' in host.instructions


def test_the_stateless_protocol_is_pushed_to_on_stdio(start: Start, orc: Orchestrator) -> None:
    host = start("ann").open_stateless()
    host.call("whoami")
    orc.mail.send("ann", "Hi")
    assert host.pushed(1) == ["Hi"]


@pytest.mark.parametrize("client", ["codex-mcp-client", "gemini-cli", "cursor-vscode", "opencode"])
def test_a_client_that_shows_no_pushes_gets_its_mail_by_the_tool(
    start: Start, orc: Orchestrator, client: str
) -> None:
    host = start("ann", client=client).open()
    host.call("whoami")
    orc.mail.send("ann", "Hi")
    assert "Hi" in host.call("mail")
    assert host.pushes == []
    until(lambda: orc.mail.pending(agent="ann") == [])


def test_a_client_that_perhaps_shows_no_pushes_gets_them_once_more_by_the_tool(
    start: Start, orc: Orchestrator
) -> None:
    host = start("ann").open()
    orc.mail.send("ann", "Hi")
    host.pushed(1)
    until(lambda: orc.mail.pending(agent="ann") == [])
    assert "| Hi" in host.call("mail")
    assert "| Hi" not in host.call("mail")


def test_a_client_that_says_so_gets_pushes_only(start: Start, orc: Orchestrator) -> None:
    host = start("ann", client="codex", experimental={"claude/channel": {}}).open()
    orc.mail.send("ann", "Hi")
    assert host.pushed(1) == ["Hi"]
    until(lambda: orc.mail.pending(agent="ann") == [])
    assert "Hi" not in host.call("mail")


@pytest.mark.parametrize(
    ("words", "shows"),
    [
        (["/usr/bin/claude", "--dangerously-load-development-channels", "server:orc"], "yes"),
        (["node", "/opt/claude/cli.js", "--channels=server:orc"], "perhaps"),
        (["node", "/opt/bin/claude", "--channels=server:orc"], "yes"),
        (["claude", "-p", "hi"], "no"),
        (["python", "test.py"], "perhaps"),
        ([], "perhaps"),
    ],
)
def test_claude_code_shows_pushes_if_it_was_started_with_channels(
    monkeypatch: pytest.MonkeyPatch, words: list[str], shows: str
) -> None:
    monkeypatch.setattr(session.processes, "host_words", lambda _host: words)
    assert session.shows_channels("claude-code", {}, "1 1 boot") == shows


def test_the_known_clients_are_those_that_can_be_set_up() -> None:
    assert {*session.CLIENTS} == {*CLIENTS}


def test_the_command_line_of_the_host_is_known() -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen(["cat", "-"], stdin=pipe, stdout=pipe, bufsize=0) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(b"\n")
        child.stdout.read(1)  # it runs: until then its command line may be empty
        assert session.processes.host_words(f"{child.pid} 1 boot") == ["cat", "-"]


def test_a_host_that_does_not_read_stops_neither_others_nor_the_end(
    board: Path, orc: Orchestrator, start: Start
) -> None:
    """The pipe is full: the server waits with a push, and the board is free meanwhile."""
    deaf = Host.__new__(Host)
    variables = {**os.environ, "ORCHESTRATOR_DIR": str(board), "ORC_AGENT": "deaf"}
    process = forked.popen(["mcp"], env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    deaf.process = process
    deaf.send(
        id=1,
        method="initialize",
        params={
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "tester", "version": "1"},
        },
    )
    deaf.send(method="notifications/initialized")
    sent = [orc.mail.send("deaf", "Big", "x" * 7000).id for _ in range(30)]
    until(lambda: orc.engine.presence.serving().get("deaf"))
    assert start("ann").open().call("whoami") == "ann"
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    assert process.wait(60) == 0
    process.stdout.close()
    assert orc.mail.pending(agent="deaf")[-1] == sent[-1]
