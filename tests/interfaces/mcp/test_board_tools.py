"""The board as tools: made from the commands, few tokens, answers and errors that lead on."""

from pathlib import Path
from typing import Any

import pytest
from mcp import Client, ClientSession

from orchestrator import Orchestrator
from orchestrator.interfaces.mcp.board_tools import ALL, MINIMAL, STANDARD, BoardTool
from orchestrator.interfaces.mcp.messages import Self
from orchestrator.interfaces.mcp.offer import agent_server
from orchestrator.interfaces.mcp.served import cost_of
from orchestrator.interfaces.mcp.served_board import ServedBoard
from tests.interfaces.mcp.serving import InProcess


def test_the_tools_cost_few_tokens(ann: InProcess, orc: Orchestrator):
    costs = {
        tools: sum(map(cost_of, agent_server(ServedBoard(orc), tools, Self("ann"), []).definitions))
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

    answers = InProcess(board, "ann").run(use, mode)
    assert "Build it" in answers["ready"]
    assert answers["next"].startswith("Claimed next task: ")
    assert answers["whoami"] == "ann"
    assert answers["done"].startswith("Completed: ")
    with Orchestrator.open(board) as orc:
        (done,) = orc.tasks.all()
        assert (done.status, done.result, done.labels) == ("done", "Built.", ("x", "y"))
        assert done.assigned_to == "ann"


def test_notes_reviews_locks_knowledge_and_search(ann: InProcess, orc: Orchestrator):
    task = orc.tasks.add("api", title="Parser", review=True).id
    ben = InProcess(ann.board, "ben")
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


def test_an_error_names_the_next_step(ann: InProcess, orc: Orchestrator):
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
    ann: InProcess, orc: Orchestrator, name: str, arguments: dict[str, Any]
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
    ann: InProcess, orc: Orchestrator, text: str
):
    task = orc.tasks.add("api", title="T").id
    if text == "-":
        assert "no stdin" in ann.error("note", task=task, text=text)
        return
    ann.call("note", task=task, text=text)
    assert orc.tasks.get(task).notes[-1].text == text
    ann.call("kb_write", topic="t", content=text)
    assert orc.knowledge.read("t") == text


def test_what_a_tool_prints_has_no_control_characters(ann: InProcess, orc: Orchestrator):
    task = orc.tasks.add("api", title="T\x1b[2J\u202e").id
    for name, arguments in (("show", {"task": task}), ("ready", {}), ("status", {})):
        assert not {"\x1b", "\u202e"} & {*ann.call(name, **arguments)}


def test_all_has_structured_results_and_other_sets_have_no_schemas(board: Path, orc: Orchestrator):
    orc.tasks.add("api", title="T")
    result = InProcess(board, "ann", "all").result("tasks", workstream="api")
    assert [task["title"] for task in result.structured_content["result"]] == ["T"]
    standard = InProcess(board, "ann")
    assert standard.result("status").structured_content is None
    tools = standard.run(lambda client: client.list_tools()).tools
    assert not any(tool.output_schema for tool in tools)


DAY: tuple[tuple[str, dict[str, str]], ...] = (
    ("prime", {}),
    ("status", {}),
    ("ready", {}),
    ("next", {"workstream": "api"}),
    ("claim", {"task": "{first}"}),
    ("show", {"task": "{first}"}),
    ("note", {"task": "{first}", "text": "N"}),
    ("edit", {"task": "{first}", "title": "First of all"}),
    ("brief", {"target": "{first}"}),
    ("done", {"task": "{first}", "result": "R"}),
    ("add", {"workstream": "api", "title": "One more"}),
    ("claim", {"task": "{second}"}),
    ("block", {"task": "{second}", "reason": "R"}),
    ("blocked", {}),
    ("unblock", {"task": "{second}"}),
    ("claim", {"task": "{second}"}),
    ("release", {"task": "{second}"}),
    ("claim", {"task": "{second}"}),
    ("fail", {"task": "{second}", "reason": "R"}),
    ("review", {"task": "{good}"}),
    ("approve", {"task": "{good}"}),
    ("review", {"task": "{bad}"}),
    ("reject", {"task": "{bad}", "reason": "R"}),
    ("lock", {"resource": "git"}),
    ("lock", {"resource": "main"}),
    ("unlock", {"resource": "git"}),
    ("unlock", {"resource": "git"}),
    ("search", {"words": "Good"}),
    ("kb_read", {"topic": "none"}),
    ("kb_write", {"topic": "facts", "content": "C"}),
    ("kb_append", {"topic": "facts", "content": "D"}),
    ("kb_read", {"topic": "facts"}),
    ("topics", {}),
    ("decide", {"title": "T", "decision": "D"}),
    ("merges", {}),
    ("mail", {}),
    ("mail_read", {"id": "{mail}"}),
    ("reply", {"id": "{mail}", "text": "T"}),
    ("plan", {}),
    ("tasks", {}),
    ("log", {}),
    ("handoff", {"subject": "S", "message": "M", "keep": True}),
)  # fmt: skip
"""Calls of all tools; ``{word}`` is an id of the board."""


def test_the_results_of_all_tools_pass_the_check_of_the_official_client(
    board: Path, orc: Orchestrator, monkeypatch: pytest.MonkeyPatch
):
    assert {name for name, _ in DAY} == {*ALL}
    ids = {
        "first": orc.tasks.add("api", title="First", priority=1).id,
        "second": orc.tasks.add("api", title="Second").id,
        "mail": orc.mail.send("ann", "S", "T").id,
    }
    for name in ("good", "bad"):
        ids[name] = orc.tasks.add("api", title=name.title(), review=True).id
        orc.tasks.claim(ids[name], agent="bob")
        orc.tasks.complete(ids[name], agent="bob")
    orc.locks.acquire("main", agent="bob")
    checked: list[str] = []
    validate = ClientSession.validate_tool_result

    async def seen(session: ClientSession, name: str, result: Any) -> None:
        await validate(session, name, result)
        checked.append(name)

    monkeypatch.setattr(ClientSession, "validate_tool_result", seen)

    async def use(client: Client) -> None:
        await client.list_tools()
        for tool, arguments in DAY:
            filled = {
                name: ids[value[1:-1]] if str(value).startswith("{") else value
                for name, value in arguments.items()
            }
            result = await client.call_tool(tool, filled)
            assert not result.is_error, (tool, result.content)
            assert result.structured_content is not None

    InProcess(board, "ann", "all").run(use)
    assert checked == [name for name, _ in DAY]


def test_tools_that_are_named_are_served(board: Path):
    names = InProcess(board, "ann", "next,done,permission_prompt,whoami").run(
        lambda client: client.list_tools()
    )
    assert [tool.name for tool in names.tools] == ["next", "done", "permission_prompt", "whoami"]


def test_annotations_say_what_only_reads(ann: InProcess):
    tools = {tool.name: tool.annotations for tool in ann.run(lambda c: c.list_tools()).tools}
    assert tools["show"].read_only_hint
    assert tools["list_peers"].read_only_hint
    assert not tools["done"].read_only_hint
    assert tools["done"].destructive_hint is False
    assert tools["claim"].idempotent_hint


# The tools of agentbus


def test_messages_have_the_words_of_agentbus(ann: InProcess, orc: Orchestrator):
    for name in ("backend", "frontend"):
        orc.agents.heartbeat(name)
    assert ann.call("list_peers").splitlines() == ["ann (you)", "backend", "frontend", "lead"]
    sent = ann.call("send_message", to="backend", text="Hello\nthere")
    (header,) = orc.mail.inbox(agent="backend")
    assert (sent, header.subject) == (f"sent to backend (#{header.id})", "Hello there")
    assert ann.call("broadcast", text="All") == "broadcast to 3 peer(s): backend, frontend, lead"
    assert "| Hello\n| there\n" in InProcess(ann.board, "backend").call("mail")


def test_a_message_to_a_peer_that_was_never_here_waits(ann: InProcess, orc: Orchestrator):
    text = ann.call("send_message", to="later", text="Hi")
    assert text.startswith("sent to later (#")
    assert "Warning: no agent later was here yet" in text
    assert len(orc.mail.inbox(agent="later")) == 1


def test_a_session_is_renamed_and_its_mail_follows(ann: InProcess, orc: Orchestrator):
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
    ann: InProcess, name: str, arguments: dict[str, Any]
):
    ann.call("whoami")
    ann.call("status")
    assert ann.error(name, **arguments).startswith("Error: ")
