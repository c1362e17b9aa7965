"""The process: every version of the protocol, waits, changes by others, and input that is no message."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client.stdio import stdio_client

from orchestrator import Orchestrator
from orchestrator.interfaces.mcp.stdio import LONGEST_LINE
from tests.interfaces.mcp.serving import PATIENCE, Host, every_version, official_client, started


@every_version
def test_the_official_client_works_a_day_on_every_version(board: Path, version: str):
    async def main() -> None:
        async with official_client(board, version) as client:
            tools = {tool.name for tool in (await client.list_tools()).tools}
            assert {"next", "done", "send_message", "whoami"} <= tools
            assert (await client.call_tool("add", {"title": "Build it"})).content[0].text
            claimed = (await client.call_tool("next", {})).content[0].text
            assert claimed.startswith("Claimed next task: ")
            await client.call_tool("done", {"result": "Built."})
            refused = await client.call_tool("show", {"task": "nothing"})
            assert refused.is_error
            uris = [str(resource.uri) for resource in (await client.list_resources()).resources]
            assert "orc://status" in uris
            status = (await client.read_resource("orc://status")).contents[0].text
            assert "1 done" in status
            assert len((await client.list_prompts()).prompts) == 4

    anyio.run(main)
    with Orchestrator.open(board) as orc:
        assert [task.result for task in orc.tasks.all()] == ["Built."]


@every_version
def test_a_wait_reports_progress_and_takes_nothing_once_it_is_cancelled(board: Path, version: str):
    reports: list[tuple[float, float | None, str | None]] = []

    async def main() -> None:
        async with official_client(board, version) as client:
            reported = anyio.Event()

            async def report(progress: float, total: float | None, message: str | None) -> None:
                reports.append((progress, total, message))
                reported.set()

            async def wait() -> None:
                await client.call_tool("next", {"wait": "1h"}, progress_callback=report)

            with anyio.fail_after(PATIENCE):
                async with anyio.create_task_group() as group:
                    group.start_soon(wait)
                    await reported.wait()
                    await _until_waiting(board)
                    group.cancel_scope.cancel()
                await _until_waiting(board, False)
            with Orchestrator.open(board, agent="lead") as orc:
                task = orc.tasks.add("api", title="Later").id
            assert "Later" in (await client.call_tool("ready", {})).content[0].text
            with Orchestrator.open(board) as orc:
                assert orc.tasks.get(task).status == "pending"

    anyio.run(main)
    assert {report[1:] for report in reports} == {(3600.0, "waiting")}


async def _until_waiting(board: Path, is_there: bool = True) -> None:
    """Wait until ann waits for work, or does not any more."""
    folder = board / "state" / "presence" / "waiting"
    while bool(folder.exists() and [*folder.iterdir()]) != is_there:
        await anyio.sleep(0.01)


@every_version
def test_a_subscriber_hears_of_changes_by_other_processes(board: Path, version: str):
    with Orchestrator.open(board, agent="lead") as orc:
        task = orc.tasks.add("api", title="T").id
    uri = f"orc://tasks/{task}"

    def change() -> None:
        with Orchestrator.open(board, agent="lead") as orc:
            orc.knowledge.write("else", "not about the task")
            orc.tasks.note(task, "A finding")

    async def by_request() -> None:
        heard, arrived = anyio.create_memory_object_stream[str](10)

        async def on_message(message: Any) -> None:
            if getattr(message, "method", "") == "notifications/resources/updated":
                await heard.send(str(message.params.uri))

        async with official_client(board, version, message_handler=on_message) as client:
            with pytest.warns(match="subscribe"):
                await client.subscribe_resource(uri)
            change()
            with anyio.fail_after(PATIENCE):
                assert await arrived.receive() == uri
            assert "A finding" in (await client.read_resource(uri)).contents[0].text

    async def by_stream() -> None:
        async with official_client(board, version) as client:
            async with client.listen(
                resource_subscriptions=[uri], resources_list_changed=True
            ) as sub:
                change()
                with anyio.fail_after(PATIENCE):
                    heard = {str(await anext(sub)), str(await anext(sub))}
            assert any(uri in event for event in heard)
            assert any("ListChanged" in event for event in heard)

    anyio.run(by_stream if version >= "2026" else by_request)


def test_a_client_of_the_first_version_by_hand(board: Path):
    with Host(board) as host:
        result = host.shake_hands("2024-11-05")
        assert result["protocolVersion"] == "2024-11-05"
        assert result["serverInfo"]["name"] == "orc"
        assert result["capabilities"]["resources"]["subscribe"]
        assert host.answer("ping") == {}
        assert "whoami" in [tool["name"] for tool in host.answer("tools/list")["tools"]]
        assert host.call("whoami") == "ann"
        number = host.ask("tools/call", name="next", arguments={"wait": "1h"})
        host.notify("notifications/cancelled", requestId=number)
        assert host.call("add", title="After the cancel").startswith("Added task ")
        with Orchestrator.open(board) as orc:
            assert [task.status for task in orc.tasks.all()] == ["pending"]
        assert host.end() == (b"", 0)


def test_concurrent_calls_are_all_answered(board: Path):
    async def main() -> None:
        async with (
            official_client(board, "2025-11-25") as client,
            anyio.create_task_group() as group,
        ):
            for number in range(30):
                group.start_soon(client.call_tool, "add", {"title": f"T{number}"})

    anyio.run(main)
    with Orchestrator.open(board) as orc:
        assert {task.title for task in orc.tasks.all()} == {f"T{number}" for number in range(30)}


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM")
def test_a_signal_ends_a_server_that_waits(board: Path):
    with Host(board) as host:
        host.shake_hands()
        host.ask("tools/call", name="next", arguments={"wait": "1h"})
        assert host.call("whoami") == "ann"
        host.process.send_signal(signal.SIGTERM)
        assert host.process.wait(PATIENCE) == 0


# Changes by others


def test_a_server_sees_what_other_processes_do(board: Path, orc: Orchestrator):
    with Host(board) as host:
        host.shake_hands()
        assert "Seen" not in host.call("ready")
        orc.tasks.add("api", title="Seen")
        assert "Seen" in host.call("ready")


def test_a_board_that_is_gone_moved_or_replaced_is_an_error_that_says_so(board: Path):
    with Host(board) as host:
        host.shake_hands()
        host.call("add", title="Before")
        moved = board.with_name("moved")
        board.rename(moved)
        gone = host.call("ready")
        assert gone.startswith("Error: ")
        assert str(board) in gone
        assert not board.exists()
        assert host.call("add", title="x").startswith("Error: ")
        assert not board.exists()
        moved.rename(board)
        assert "Before" in host.call("ready")
        board.rename(moved)
        with Orchestrator.open(board, agent="lead") as orc:
            orc.workstreams.create("other")
        replaced = host.call("add", title="After")
        assert replaced.startswith("Error: ")
        assert "Hint: " in replaced
        with Orchestrator.open(board) as orc:
            assert orc.tasks.all() == []
        assert host.end() == (b"", 0)


# What is not the protocol


NOISE = """\
import os, subprocess, sys
print("before")
import orchestrator.interfaces.cli.main as main
from orchestrator.interfaces.cli import mcp_server
taken = mcp_server._check_extra
def noisy():
    taken()
mcp_server._check_extra = noisy
import orchestrator.interfaces.mcp.descriptors as descriptors
take = descriptors.take_descriptors
def then_print():
    both = take()
    print("a library", flush=True)
    os.write(1, b"a library in C\\n")
    subprocess.run(["echo", "a child"])
    assert sys.stdin.read() == "", "a library reads stdin"
    return both
descriptors.take_descriptors = then_print
main.process(argv=["mcp", *sys.argv[1:]])
"""


def test_stdout_carries_only_the_protocol_whatever_is_printed(board: Path, orc: Orchestrator):
    check = f"{sys.executable} -c \"print('a check'); import os; os.write(1, b'raw')\""
    task = orc.tasks.add("api", title="T", verify=[check]).id
    with Host(board, code=NOISE.replace('print("before")\n', "")) as host:
        assert host.shake_hands()["serverInfo"]["name"] == "orc"
        host.call("claim", task=task)
        assert host.call("done", task=task, result="x").startswith("Completed: T")
        rest, status = host.end()
        assert (rest, status) == (b"", 0)


HOSTILE: list[tuple[bytes, object]] = [
    (b"no JSON", None),
    (b"[]", None),
    (b'{"a":1}', None),
    (b'{"jsonrpc":"2.0","id":7}', 7),
    (b'{"jsonrpc":"2.0","id":"x","params":' + b"[" * 100_000, "x"),
    (b'{"jsonrpc":"2.0","id":9,"params":"' + b"x" * LONGEST_LINE + b'"}', 9),
    (b"\xff\xfe\x00", None),
]


def test_each_line_that_is_no_message_is_answered_and_the_server_goes_on(board: Path):
    with Host(board) as host:
        host.shake_hands()
        for line, number in HOSTILE:
            host.write(line + b"\n")
            answer = host.read()
            assert (answer["id"], answer["error"]["code"]) == (number, -32700), line[:40]
        host.write(b"\n \n")
        assert host.call("whoami") == "ann"


CALLS: list[tuple[str, object]] = [
    ("add", {"title": "\ud800"}),
    ("add", {"\ud800": "x"}),
    ("add", {"title": "x" * 1_000_000}),
    ("add", {"title": "x", "priority": 10**40}),
    ("add", {"title": "x", "priority": 1.5}),
    ("add", {"title": json.loads("[" * 150 + "]" * 150)}),
    ("add", {"title": {"a": 1}}),
    ("add", {"title": None}),
    ("add", {"title": "\x00"}),
    ("kb_write", {"topic": "../../x", "content": "x"}),
    ("kb_write", {"topic": "x\x00", "content": "x"}),
    ("note", {"task": "-1", "text": "\ud800"}),
    ("send_message", {"to": "\ud800", "text": "x"}),
    ("send_message", {"to": "../x", "text": "x"}),
    ("set_name", {"name": "\u202e"}),
    ("next", {"wait": "for ever"}),
    ("next", {"wait": {"a": 1}}),
    ("next", {"wait": -1}),
    ("lock", {"resource": "x", "ttl": "1e999"}),
    ("search", {"words": '"'}),
    ("show", {"task": "x", "unknown": 1}),
]


def test_hostile_arguments_are_errors_of_the_tool(board: Path):
    with Host(board) as host:
        host.shake_hands()
        for tool, arguments in CALLS:
            answer = host.answer("tools/call", name=tool, arguments=arguments)
            shown = json.dumps(arguments)[:80]
            assert answer["isError"] or tool == "search", (tool, shown, answer)
            text = answer["content"][0]["text"]
            assert "\x1b" not in text
            assert "\u202e" not in text
        for name in ("\ud800", "no such tool", ""):
            assert host.answer("tools/call", name=name, arguments={})["code"] == -32602
        for uri in (
            "orc://",
            "orc://tasks/\ud800",
            "orc://knowledge/..%2f..%2fx",
            "file:///etc/passwd",
        ):
            assert host.answer("resources/read", uri=uri)["code"] == -32602
            assert host.answer("resources/subscribe", uri=uri)["code"] == -32602
        assert host.answer("prompts/get", name="\ud800")["code"] == -32602
        assert host.call("whoami") == "ann"
    with Orchestrator.open(board) as orc:
        assert orc.tasks.all() == []


def test_a_host_that_stops_reading_ends_the_server(board: Path):
    with Host(board) as host:
        host.shake_hands()
        assert host.process.stdout is not None
        host.process.stdout.close()
        host.ask("tools/list")
        assert host.process.wait(PATIENCE) == 0


def test_a_server_needs_stdin_and_stdout(board: Path):
    environment = {**os.environ, "ORCHESTRATOR_DIR": str(board)}
    status = os.spawnve(
        os.P_WAIT,
        "/bin/sh",
        ["sh", "-c", f"{sys.executable} -m orchestrator.interfaces.mcp <&- 2>/dev/null"],
        environment,
    )
    assert status == 2


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
            text: str = (await client.call_tool("whoami", {})).content[0].text
            return text

    assert anyio.run(main) == "codex"
    with Orchestrator.open(board) as orc:
        assert orc.sessions.get("codex").incarnation == 1
