"""The board as tools: made from the commands, few tokens, answers and errors that lead on."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from orchestrator import AsyncOrchestrator, Orchestrator
from orchestrator.interfaces.cli.mcp_server import _served
from orchestrator.interfaces.mcp.board_tools import ALL, MINIMAL, STANDARD, BoardTool
from orchestrator.interfaces.mcp.messages import Self
from orchestrator.interfaces.mcp.server import AgentServer, cost_of

Calls = Callable[..., Any]


class Session:
    """An agent with tools, on a board."""

    def __init__(self, board: Path, agent: str, tools: str = "standard") -> None:
        self.board, self.agent, self.tools = board, agent, tools

    def run(self, use: Callable[[Client], Any], mode: str = "auto") -> Any:
        async def main() -> Any:
            warnings: list[str] = []
            with Orchestrator.open(self.board, agent=self.agent, warn=warnings.append) as orc:
                served = _served(AsyncOrchestrator(orc), self.tools, Self(self.agent), warnings)
                async with Client(AgentServer(served).sdk, mode=mode) as client:
                    return await use(client)

        return anyio.run(main)

    def call(self, tool: str, **arguments: Any) -> str:
        """The text of a call that succeeds."""
        result = self.result(tool, **arguments)
        assert not result.is_error, result
        return "\n".join(content.text for content in result.content)

    def error(self, tool: str, **arguments: Any) -> str:
        result = self.result(tool, **arguments)
        assert result.is_error
        return result.content[0].text

    def result(self, tool: str, **arguments: Any) -> Any:
        return self.run(lambda client: client.call_tool(tool, arguments))


@pytest.fixture
def board(tmp_path: Path) -> Path:
    with Orchestrator.open(tmp_path / "board", agent="lead") as orc:
        orc.workstreams.create("api")
    return tmp_path / "board"


@pytest.fixture
def ann(board: Path) -> Session:
    return Session(board, "ann")


@pytest.fixture
def orc(board: Path) -> Iterator[Orchestrator]:
    with Orchestrator.open(board, agent="lead") as orc:
        yield orc


def test_the_tools_cost_few_tokens(ann: Session, orc: Orchestrator):
    shared = AsyncOrchestrator(orc)
    costs = {
        tools: sum(cost_of(tool.definition) for tool in _served(shared, tools, Self("ann"), []))
        for tools in ("minimal", "standard", "all")
    }
    assert costs["minimal"] < 1200
    assert costs["standard"] < 3000


def test_the_sets_hold_each_other():
    assert {*MINIMAL} < {*STANDARD} < {*ALL}


@pytest.mark.parametrize("name", ALL)
def test_each_row_fits_its_command(name: str):
    tool = BoardTool(name, ALL[name])
    assert tool.definition.description
    parts = [p.name for p in tool.call.parameters if p.declared is None]
    has_words = any(param.nargs == -1 for param in tool.call.command.arguments)
    assert not parts or has_words, f"{parts} are neither parameters nor words"
    flags = {flag for param in tool.call.command.params for flag in param.opts}
    assert {*tool.row.always} <= flags


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_a_day_of_an_agent(board: Path, mode: str):
    async def use(client: Client) -> dict[str, str]:
        answers: dict[str, str] = {}

        async def call(key: str, tool: str, **arguments: Any) -> None:
            result = await client.call_tool(tool, arguments)
            answers[key] = result.content[0].text
            assert not result.is_error, answers[key]

        await call("add", "add", workstream="api", title="Build it", priority=1, labels=["x", "y"])
        await call("ready", "ready", workstream="api")
        await call("next", "next")
        await call("whoami", "whoami")
        await call("done", "done", result="Built.")
        await call("end", "next")
        return answers

    answers = Session(board, "ann").run(use, mode)
    assert "Build it" in answers["ready"]
    assert answers["next"].startswith("Claimed next task: ")
    assert answers["whoami"] == "ann"
    assert answers["done"].startswith("Completed: ")
    with Orchestrator.open(board) as orc:
        (done,) = orc.tasks.all()
        assert (done.status, done.result, done.labels) == ("done", "Built.", ("x", "y"))
        assert done.assigned_to == "ann"


def test_notes_reviews_locks_knowledge_and_search(ann: Session, orc: Orchestrator):
    task = orc.tasks.add("api", title="Parser", review=True).id
    ben = Session(ann.board, "ben")
    ann.call("claim", task=task)
    ann.call("note", task=task, text="--force is an option of theirs")
    ann.call("done", task=task, result="Parsed.")
    assert "Parsed." in ben.call("review", task=task)
    ben.call("reject", task=task, reason="No tests")
    assert "No tests" in ann.call("show", task=task)
    assert ann.call("lock", resource="git", ttl="5m") == "Lock acquired: git"
    assert "Lock denied: git" in ben.call("lock", resource="git")
    assert ann.call("unlock", resource="git") == "Lock released: git"
    ann.call("lock", resource="db", shared=True)
    ann.call("lock", resource="api", shared=False)
    assert [lock.holders[0].shared for lock in orc.locks.all()] == [False, True]
    ann.call("kb_write", topic="parser", content="- it is LL(1)")
    assert ben.call("kb_read", topic="parser") == "- it is LL(1)"
    assert "parser" in ben.call("search", words="parser")
    assert "ann" in ben.call("status")
    assert ben.call("prime").startswith("# You are ben")


def test_an_error_names_the_next_step(ann: Session, orc: Orchestrator):
    assert ann.error("claim", task="nothing").startswith("Error: There is no task 'nothing'")
    assert "Hint: " in ann.error("claim", task="nothing")
    text = ann.error("done", taks="x")
    assert "There is no argument 'taks'; did you mean 'task'?" in text
    assert "The argument 'task' is missing" in ann.error("show")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("add", {"title": ["x"]}),
        ("add", {"title": "x", "priority": [1]}),
        ("add", {"title": "x", "priority": True}),
        ("add", {"title": "x", "labels": "a"}),
        ("add", {"title": "x", "labels": [["a"]]}),
        ("add", {"title": {"x": 1}}),
    ],
)
def test_an_argument_of_another_type_is_refused(
    ann: Session, orc: Orchestrator, name: str, arguments: dict[str, Any]
):
    assert ann.error(name, workstream="api", **arguments).startswith("Error: The argument ")
    assert orc.tasks.all() == []


HOSTILE = [
    "--force",
    "--",
    "-",
    "@/etc/passwd",
    "$(touch x)",
    "a\nb",
    "\x1b[2J",
    "日本 '\"",
    "-x=1",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_of_an_argument_becomes_an_option_or_a_file(
    ann: Session, orc: Orchestrator, text: str
):
    task = orc.tasks.add("api", title="T").id
    if text == "-":
        assert "no stdin" in ann.error("note", task=task, text=text)
        return
    ann.call("note", task=task, text=text)
    assert orc.tasks.get(task).notes[-1].text == text
    ann.call("kb_write", topic="t", content=text)
    assert orc.knowledge.read("t") == text


def test_what_a_tool_prints_has_no_control_characters(ann: Session, orc: Orchestrator):
    task = orc.tasks.add("api", title="T\x1b[2J\u202e").id
    for name, arguments in (("show", {"task": task}), ("ready", {}), ("status", {})):
        assert not {"\x1b", "\u202e"} & {*ann.call(name, **arguments)}


def test_all_has_structured_results_that_fit_their_schema(board: Path, orc: Orchestrator):
    orc.tasks.add("api", title="T")
    session = Session(board, "ann", "all")
    result = session.result("tasks", workstream="api")
    assert [task["title"] for task in result.structured_content["result"]] == ["T"]
    assert Session(board, "ann").result("status").structured_content is None


def test_tools_that_are_named_are_served(board: Path):
    names = Session(board, "ann", "next,done,permission_prompt,whoami").run(
        lambda client: client.list_tools()
    )
    assert [tool.name for tool in names.tools] == ["next", "done", "permission_prompt", "whoami"]


def test_annotations_say_what_only_reads(ann: Session):
    tools = {tool.name: tool.annotations for tool in ann.run(lambda c: c.list_tools()).tools}
    assert tools["show"].read_only_hint
    assert tools["list_peers"].read_only_hint
    assert not tools["done"].read_only_hint
    assert tools["done"].destructive_hint is False
    assert tools["claim"].idempotent_hint


# The tools of agentbus


def test_messages_have_the_words_of_agentbus(ann: Session, orc: Orchestrator):
    for name in ("backend", "frontend"):
        orc.agents.heartbeat(name)
    assert ann.call("list_peers").splitlines() == ["ann (you)", "backend", "frontend", "lead"]
    sent = ann.call("send_message", to="backend", text="Hello\nthere")
    (header,) = orc.mail.inbox(agent="backend")
    assert (sent, header.subject) == (f"sent to backend (#{header.id})", "Hello there")
    assert ann.call("broadcast", text="All") == "broadcast to 3 peer(s): backend, frontend, lead"
    assert "| Hello\n| there\n" in Session(ann.board, "backend").call("mail")


def test_a_message_to_a_peer_that_was_never_here_waits(ann: Session, orc: Orchestrator):
    text = ann.call("send_message", to="later", text="Hi")
    assert text.startswith("sent to later (#")
    assert "Warning: no agent later was here yet" in text
    assert len(orc.mail.inbox(agent="later")) == 1


def test_a_session_is_renamed_and_its_mail_follows(ann: Session, orc: Orchestrator):
    orc.mail.send("ann", "Before", agent="lead")

    async def use(client: Client) -> list[str]:
        texts = []
        for name, arguments in (
            ("set_name", {"name": "anna"}),
            ("whoami", {}),
            ("mail", {}),
        ):
            texts.append((await client.call_tool(name, arguments)).content[0].text)
        return texts

    renamed, name, mail = ann.run(use)
    assert (renamed, name) == ("renamed to anna", "anna")
    assert "Before" in mail


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("send_message", {"to": "ann", "text": "me"}),
        ("send_message", {"to": "a b", "text": "x"}),
        ("send_message", {"to": "lead"}),
        ("send_message", {"to": "lead", "text": 1}),
        ("set_name", {"name": "A B"}),
        ("set_name", {"name": "x" * 33}),
        ("set_name", {"name": "lead"}),
    ],
)
def test_what_agentbus_refuses_is_an_error_of_the_tool(
    ann: Session, name: str, arguments: dict[str, Any]
):
    ann.call("whoami")
    ann.call("status")
    assert ann.error(name, **arguments).startswith("Error: ")


# The process


def started(board: Path, *words: str, **variables: str) -> StdioServerParameters:
    return StdioServerParameters(
        command=sys.executable,
        args=["-P", "-m", "orchestrator.interfaces.mcp", *words],
        env={"ORCHESTRATOR_DIR": str(board), "HOME": str(board.parent), **variables},
    )


def test_a_call_that_waits_keeps_no_other_from_the_board_and_can_be_cancelled(board: Path):
    async def main() -> str:
        async with Client(stdio_client(started(board, ORC_AGENT="ann"))) as client:
            async with anyio.create_task_group() as group:
                group.start_soon(client.call_tool, "next", {"wait": "1h"})
                for _ in range(3):
                    assert not (await client.call_tool("status", {})).is_error
                group.cancel_scope.cancel()
            return (await client.call_tool("whoami", {})).content[0].text

    assert anyio.run(main) == "ann"


def test_stdout_carries_only_the_protocol_and_the_process_ends_with_stdin(board: Path):
    messages = [
        {
            "method": "initialize",
            "id": 1,
            "params": {
                "protocolVersion": "2024-11-05",
                "capabilities": {},
                "clientInfo": {"name": "x", "version": "1"},
            },
        },
        {"method": "notifications/initialized"},
        {"method": "tools/list", "id": 2},
        {
            "method": "tools/call",
            "id": 3,
            "params": {"name": "send_message", "arguments": {"to": "later", "text": "x"}},
        },
        {"method": "tools/call", "id": 4, "params": {"name": "next", "arguments": {"wait": "1h"}}},
    ]
    server = subprocess.Popen(
        [sys.executable, "-P", "-m", "orchestrator.interfaces.mcp"],
        env={**os.environ, "ORCHESTRATOR_DIR": str(board), "ORC_AGENT": "ann"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    for message in messages:
        server.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        server.stdin.flush()
        if message.get("id") in (1, 2, 3):
            answer = json.loads(server.stdout.readline())
            assert (answer["jsonrpc"], answer["id"]) == ("2.0", message["id"])
    server.stdin.close()
    rest = server.stdout.read()
    assert server.wait(60) == 0
    assert all(json.loads(line)["jsonrpc"] == "2.0" for line in rest.splitlines())


def test_in_a_folder_without_a_board_a_client_is_served_no_tools(tmp_path: Path):
    async def main() -> tuple[list[Any], str | None]:
        parameters = started(tmp_path, "--client", "codex")
        parameters.cwd = tmp_path
        parameters.env = {"HOME": str(tmp_path)}
        async with Client(stdio_client(parameters)) as client:
            return (await client.list_tools()).tools, client.instructions

    tools, instructions = anyio.run(main)
    assert tools == []
    assert "There is no board here" in (instructions or "")
    assert [*tmp_path.iterdir()] == []


def test_a_server_without_a_name_is_a_session_of_its_client(board: Path):
    async def main() -> str:
        async with Client(stdio_client(started(board, "--client", "codex"))) as client:
            return (await client.call_tool("whoami", {})).content[0].text

    assert anyio.run(main) == "codex"
    with Orchestrator.open(board) as orc:
        assert orc.sessions.get("codex").incarnation == 1
