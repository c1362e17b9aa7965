"""The permission tool: the official client against the real server, and a stand-in for Claude Code."""

import json
import os
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from orchestrator import Orchestrator
from orchestrator.runtimes.permission_server import TOOL, TOOL_OF_CLAUDE
from orchestrator.supervisor.permission_rules import PermissionRules
from tests.interfaces.mcp.serving import MODULE, connected
from tests.supervisor.running import PATIENCE, Town

SERVER = (*MODULE, "--tools", TOOL)
INPUT = {"command": "make x; ls", "description": "d"}


@pytest.fixture
def board(tmp_path: Path) -> Path:
    Orchestrator.open(tmp_path / "board", agent="ann").workstreams.create("w")
    return tmp_path / "board"


@pytest.fixture
def ann(board: Path) -> Iterator[Orchestrator]:
    with Orchestrator.open(board, agent="ann") as orc:
        yield orc


@pytest.fixture
def rules(board: Path, tmp_path: Path) -> PermissionRules:
    return PermissionRules(str(board), str(tmp_path / "user" / "orc"))


@asynccontextmanager
async def server(board: Path, mode: str = "auto", **variables: str) -> AsyncIterator[Client]:
    named = {"ORCHESTRATOR_DIR": str(board), "ORC_AGENT": "plan", "HOME": str(board.parent)}
    data = {"XDG_DATA_HOME": str(board.parent / "user")}
    parameters = StdioServerParameters(
        command=sys.executable, args=[*SERVER], env={**named, **data, **variables}
    )
    async with Client(connected(parameters), mode=mode) as client:
        yield client


async def ask(client: Client, **arguments: Any) -> Any:
    given = {"tool_name": "Bash", "input": INPUT, "tool_use_id": "toolu_1", **arguments}
    result = await client.call_tool(TOOL, given)
    assert not result.is_error
    (content,) = result.content
    return json.loads(content.text)


class Person(threading.Thread):
    """Answers the next request, as a person in a process of their own would."""

    def __init__(self, board: Path, behavior: str, message: str = "") -> None:
        super().__init__(daemon=True)
        self.board, self.behavior, self.message = board, behavior, message
        self.start()

    def run(self) -> None:
        with Orchestrator.open(self.board, agent="ann") as orc:
            for _ in orc.events.follow(type="permission.request", since=0):
                if waiting := orc.permissions.pending():
                    break
            if self.behavior == "allow":
                orc.permissions.allow(waiting[0].id)
            else:
                orc.permissions.deny(waiting[0].id, self.message)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_a_person_allows_what_the_official_client_asks(board: Path, mode: str):
    async def run() -> Any:
        async with server(board, mode) as client:
            (tool,) = (await client.list_tools()).tools
            assert tool.name == TOOL
            return await ask(client)

    person = Person(board, "allow")
    assert anyio.run(run) == {"behavior": "allow", "updatedInput": INPUT}
    person.join(PATIENCE)


def test_a_denial_has_the_words_of_the_person(board: Path):
    async def run() -> Any:
        async with server(board) as client:
            return await ask(client)

    Person(board, "deny", 'Not "now".')
    assert anyio.run(run) == {
        "behavior": "deny",
        "message": 'Not "now". Do without this, or say what you need.',
    }


def test_rules_answer_without_a_request(board: Path, rules: PermissionRules, ann: Orchestrator):
    rules.set("plan", "Bash(git:*)", "allow")
    rules.set("plan", "WebFetch", "deny")
    rules.set("code", "*", "allow")

    async def run() -> list[Any]:
        async with server(board) as client:
            plain = await ask(client, input={"command": "git status"})
            denied = await ask(client, tool_name="WebFetch", input={})
            return [plain, denied]

    plain, denied = anyio.run(run)
    assert plain == {"behavior": "allow", "updatedInput": {"command": "git status"}}
    assert denied["message"].startswith("A rule denies it.")
    assert ann.permissions.all() == []


def test_a_rule_does_not_answer_a_command_that_does_more(
    board: Path, rules: PermissionRules, ann: Orchestrator
):
    rules.set("plan", "Bash(git:*)", "allow")

    async def run() -> Any:
        async with server(board) as client:
            return await ask(client, input={"command": "git status; rm -rf /"})

    Person(board, "deny")
    assert anyio.run(run)["behavior"] == "deny"
    assert [request.status for request in ann.permissions.all()] == ["denied"]


@pytest.mark.parametrize(
    "arguments",
    [
        {"input": "text"},
        {"tool_name": 1},
        {"input": {"n": 2**70}},
        {"input": {"text": "x" * 1_000_001}},
        {"tool_name": "x" * 501},
    ],
)
def test_what_goes_wrong_is_a_denial(board: Path, arguments: dict[str, Any]):
    async def run() -> Any:
        async with server(board) as client:
            return await ask(client, **arguments)

    assert anyio.run(run)["behavior"] == "deny"


def test_damaged_rules_allow_nothing(board: Path, rules: PermissionRules):
    rules.set("plan", "*", "allow")
    Path(rules.path).write_text("{")

    async def run() -> Any:
        async with server(board) as client:
            return await ask(client)

    answer = anyio.run(run)
    assert answer["behavior"] == "deny"
    assert "is damaged" in answer["message"]


def test_a_server_without_an_agent_denies(board: Path):
    async def run() -> Any:
        async with server(board, ORC_AGENT="") as client:
            return await ask(client)

    assert anyio.run(run)["behavior"] == "deny"


def test_a_request_survives_its_server_and_the_answer_counts_when_it_is_asked_again(
    board: Path, ann: Orchestrator
):
    async def killed() -> None:
        async with server(board) as client, anyio.create_task_group() as group:
            group.start_soon(ask, client)
            while not ann.permissions.pending():
                await anyio.sleep(0.01)
            group.cancel_scope.cancel()

    async def again() -> Any:
        async with server(board) as client:
            return await ask(client)

    anyio.run(killed)
    (request,) = ann.permissions.pending()
    ann.permissions.allow(request.id)
    assert anyio.run(again)["behavior"] == "allow"
    assert [r.id for r in ann.permissions.all()] == [request.id]


def test_modules_in_the_folder_of_the_agent_are_not_the_servers(board: Path, tmp_path: Path):
    """The agent may write there: what it writes must not answer its requests."""
    for name in ("mcp", "json", "orchestrator", "msgspec"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'pwned')!r}, 'w')\n")

    async def run() -> list[str]:
        parameters = StdioServerParameters(
            command=sys.executable,
            args=[*SERVER],
            cwd=str(tmp_path),
            env={"ORCHESTRATOR_DIR": str(board), "ORC_AGENT": "plan", "PYTHONPATH": ""},
        )
        async with Client(stdio_client(parameters)) as client:
            return [tool.name for tool in (await client.list_tools()).tools]

    assert anyio.run(run) == [TOOL]
    assert not (tmp_path / "pwned").exists()


CLAUDE = """\
#!{python}
import json, sys
import anyio
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

def option(name):
    return sys.argv[sys.argv.index(name) + 1]

async def main():
    _, name, tool = option("--permission-prompt-tool").split("__", 2)
    config = json.load(open(option("--mcp-config")))["mcpServers"][name]
    parameters = StdioServerParameters(
        command=config["command"], args=config["args"], env=config["env"]
    )
    async with Client(stdio_client(parameters)) as client:
        given = {{"tool_name": "Bash", "input": {{"command": "make"}}, "tool_use_id": "t1"}}
        result = await client.call_tool(tool, given)
        text = result.content[0].text
    print(json.dumps({{"type": "result", "result": text, "session_id": "s1"}}))
    print(text, file=sys.stderr)

anyio.run(main)
"""


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Town:
    program = tmp_path / "bin" / "claude"
    program.parent.mkdir()
    program.write_text(CLAUDE.format(python=sys.executable))
    program.chmod(0o755)
    (tmp_path / "town").mkdir()
    town = Town(tmp_path / "town")
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_DATA_HOME", str(town.data))
    return town


def test_an_agent_of_the_runner_is_answered_by_a_person(town: Town):
    assert f"mcp__orc_permissions__{TOOL}" == TOOL_OF_CLAUDE
    town.add("plan", "Plan.", runtime="claude", listen="[x]")
    with town.running() as follower:
        event = town.push("x")
        (asked,) = follower.until_events("permission.request")
        (request,) = town.orc.permissions.pending()
        assert (request.agent, request.tool_input, request.cause) == (
            "plan",
            {"command": "make"},
            event,
        )
        assert asked.cause is not None
        town.orc.permissions.allow(request.id, agent="ann")
        follower.until_events("subscription.finished")
        follower.until_line('"behavior":"allow"')


def test_an_agent_of_the_runner_is_answered_by_a_rule(town: Town):
    town.add("plan", "Plan.", runtime="claude", listen="[x]")
    PermissionRules(str(town.board)).set("plan", "Bash(make)", "allow")
    with town.running() as follower:
        town.push("x")
        follower.until_events("subscription.finished")
        follower.until_line('"behavior":"allow"')
        assert follower.of_type("permission.request") == []


def test_an_answer_waits_for_the_next_attempt_when_the_runner_is_killed(town: Town):
    town.add("plan", "Plan.", runtime="claude", listen="[x]", retry=1)
    with town.running() as follower:
        town.push("x")
        follower.until_events("permission.request")
    (request,) = town.orc.permissions.pending()
    town.orc.permissions.allow(request.id, agent="ann")
    with town.running() as follower:
        follower.until_events("subscription.finished")
        follower.until_line('"behavior":"allow"')
    assert [r.id for r in town.orc.permissions.all()] == [request.id]
