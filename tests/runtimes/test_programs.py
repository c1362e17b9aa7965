"""The command lines of the programs, and how their output is read."""

import json
from typing import Any

import msgspec
import pytest

from orchestrator.domain.permissions.records import TIME
from orchestrator.runtimes import permission_server
from orchestrator.runtimes.context import prompt_of
from orchestrator.runtimes.permission_server import TOOL
from orchestrator.runtimes.port import runtime_of
from tests.runtimes.stand_ins import EVENT, Project, agent, json_lines

SETTINGS: dict[str, Any] = {
    "model": "m1",
    "effort": "low",
    "allowed_tools": ("Read", "Bash(git:*)"),
    "resume": True,
}


def test_the_command_line_of_claude(project: Project):
    project.program("claude")
    mine = agent("claude", **SETTINGS)
    assert list(project.launch(mine, session="s1").words[1:]) == [
        *("--print", "--output-format", "stream-json", "--verbose"),
        *("--system-prompt", prompt_of(project.agent_run(mine))),
        *("--allowedTools", "Read", "Bash(git:*)", "Bash(busytown events:*)", "Bash(orc t:*)"),
        *("--mcp-config", f"{project.scratch}/mcp.json"),
        *("--permission-prompt-tool", "mcp__orc_permissions__permission_prompt"),
        *("--model", "m1", "--effort", "low", "--resume", "s1"),
    ]
    free = project.launch(agent("claude", allowed_tools=("*",)))
    assert free.words[-1] == "--dangerously-skip-permissions"
    assert free.files == {}


def test_claude_is_given_the_server_that_asks_people(project: Project):
    project.program("claude")
    project.variables |= {"XDG_DATA_HOME": "/data", "PYTHONPATH": "/evil"}
    project.run(agent("claude"))
    record = project.record("claude")
    (server,) = json.loads(record["files"]["mcp.json"])["mcpServers"].values()
    assert server["args"] == ["-P", "-m", "orchestrator.interfaces.mcp", "--tools", TOOL]
    assert server["timeout"] > TIME * 1000
    expected = {
        "ORCHESTRATOR_DIR": str(project.root / ".board"),
        "ORC_AGENT": "plan",
        "ORC_CAUSE": "7/2026-11-27T20:00:00.000Z",
        "PYTHONPATH": "",
        "XDG_DATA_HOME": "/data",
    }
    assert {name: server["env"][name] for name in expected} == expected


def test_without_the_extra_claude_is_given_no_server(
    project: Project, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(permission_server, "is_there", lambda: False)
    project.program("claude")
    launch = project.launch(agent("claude"))
    assert "--permission-prompt-tool" not in launch.words
    assert launch.files == {}


def test_the_command_line_of_codex(project: Project):
    project.program("codex")
    mine = agent("codex", 'Say "hi"\x7f 日本', **SETTINGS)
    instructions = msgspec.json.encode(prompt_of(project.agent_run(mine))).decode()
    instructions = instructions.replace("\x7f", "\\u007f")
    assert list(project.launch(mine, session="s1").words[1:]) == [
        *("exec", "--json", "--color", "never", "--skip-git-repo-check"),
        *("--sandbox", "workspace-write", "--add-dir", str(project.root / ".board")),
        *("-c", f"developer_instructions={instructions}"),
        *("--model", "m1", "-c", "model_reasoning_effort=low", "resume", "s1", "-"),
    ]
    free = project.launch(agent("codex", allowed_tools=("*",)), board="memory:").words
    assert "--dangerously-bypass-approvals-and-sandbox" in free
    assert not {"--sandbox", "--add-dir"} & {*free}


def test_the_command_line_of_gemini(project: Project):
    project.program("gemini")
    assert list(project.launch(agent("gemini", **SETTINGS), session="s1").words[1:]) == [
        *("--output-format", "stream-json"),
        *("--allowed-tools=Read", "--allowed-tools=Bash(git:*)"),
        "--allowed-tools=run_shell_command(busytown events)",
        "--allowed-tools=run_shell_command(orc t)",
        *("--model", "m1", "--resume", "s1"),
    ]
    assert project.launch(agent("gemini", allowed_tools=("*",))).words[-2:] == (
        "--approval-mode",
        "yolo",
    )


def test_the_command_line_of_opencode(project: Project):
    project.program("opencode")
    assert list(project.launch(agent("opencode", **SETTINGS), session="s1").words[1:]) == [
        *("run", "--format", "json", "--model", "m1", "--variant", "low", "--session", "s1")
    ]
    assert project.launch(agent("opencode", allowed_tools=("*",))).words[-1] == "--auto"


CLAUDE = [
    {"type": "system", "subtype": "init", "session_id": "c-1", "tools": ["Read"]},
    {
        "type": "assistant",
        "message": {
            "content": [
                {"type": "thinking", "thinking": "hm"},
                {"type": "text", "text": "I read.\n\nTwo lines."},
                {"type": "tool_use", "name": "Read", "input": {"file_path": "ä.md"}},
                {"type": "tool_use", "name": "Read", "input": {"file_path": "b\n.md"}},
            ]
        },
    },
    {"type": "user", "message": {"content": [{"type": "tool_result", "content": "text"}]}},
    {
        "type": "result",
        "subtype": "success",
        "is_error": False,
        "result": "Done: 日本",
        "session_id": "c-1",
        "total_cost_usd": 0.25,
        "usage": {
            "input_tokens": 3,
            "cache_creation_input_tokens": 10,
            "cache_read_input_tokens": 100,
            "output_tokens": 7,
        },
        "permission_denials": [{"tool_name": "Bash", "tool_input": {}}],
    },
]

CODEX = [
    {"type": "thread.started", "thread_id": "x-1"},
    {"type": "turn.started"},
    {"type": "error", "message": "Reconnecting... 1/5"},
    {"type": "item.started", "item": {"type": "command_execution", "command": "ls"}},
    {"type": "item.completed", "item": {"type": "reasoning", "text": "hm"}},
    {"type": "item.completed", "item": {"type": "command_execution", "command": "ls"}},
    {
        "type": "item.completed",
        "item": {"type": "mcp_tool_call", "server": "s", "tool": "ask", "arguments": {"a": 1}},
    },
    {"type": "item.completed", "item": {"type": "agent_message", "text": "Done"}},
    {
        "type": "turn.completed",
        "usage": {"input_tokens": 30, "cached_input_tokens": 20, "output_tokens": 4},
    },
]

GEMINI = [
    {"type": "init", "session_id": "g-1", "model": "auto"},
    {"type": "message", "role": "user", "content": "hi"},
    {"type": "message", "role": "assistant", "content": "I lo", "delta": True},
    {"type": "message", "role": "assistant", "content": "ok.", "delta": True},
    {"type": "tool_use", "tool_name": "read_file", "tool_id": "1", "parameters": {"path": "a"}},
    {"type": "tool_result", "tool_id": "1", "status": "success", "output": "x"},
    {"type": "error", "severity": "warning", "message": "Loop detected"},
    {"type": "message", "role": "assistant", "content": "Do", "delta": True},
    {"type": "message", "role": "assistant", "content": "ne\nAll", "delta": True},
    {"type": "result", "status": "success", "stats": {"input_tokens": 9, "output_tokens": 2}},
]

OPENCODE = [
    {"type": "step_start", "sessionID": "ses_1", "part": {}},
    {
        "type": "tool_use",
        "sessionID": "ses_1",
        "part": {"tool": "bash", "state": {"status": "completed", "input": {"command": "ls"}}},
    },
    {
        "type": "step_finish",
        "sessionID": "ses_1",
        "part": {
            "reason": "tool-calls",
            "cost": 0.25,
            "tokens": {"input": 5, "output": 2, "reasoning": 1, "cache": {"read": 7, "write": 1}},
        },
    },
    {"type": "text", "sessionID": "ses_1", "part": {"text": "Done"}},
    {
        "type": "step_finish",
        "sessionID": "ses_1",
        "part": {"reason": "stop", "cost": 0.5, "tokens": {"input": 1, "output": 1}},
    },
]

RUNS: dict[str, tuple[list[Any], list[str], dict[str, Any]]] = {
    "claude": (
        CLAUDE,
        [
            *("I read.", "", "Two lines.", '[Read] {"file_path":"ä.md"}'),
            *('[Read] {"file_path":"b\\n.md"}', "[Bash] was not allowed"),
        ],
        {
            "tools": {"Read": 2},
            "input_tokens": 113,
            "output_tokens": 7,
            "cost": 0.25,
            "session": "c-1",
            "answer": "Done: 日本",
        },
    ),
    "codex": (
        CODEX,
        ["error: Reconnecting... 1/5", "[command_execution] ls", '[ask] {"a":1}', "Done"],
        {
            "tools": {"command_execution": 1, "ask": 1},
            "input_tokens": 30,
            "output_tokens": 4,
            "session": "x-1",
            "answer": "Done",
        },
    ),
    "gemini": (
        GEMINI,
        ["I look.", '[read_file] {"path":"a"}', "warning: Loop detected", "Done", "All"],
        {
            "tools": {"read_file": 1},
            "input_tokens": 9,
            "output_tokens": 2,
            "session": "g-1",
            "answer": "Done\nAll",
        },
    ),
    "opencode": (
        OPENCODE,
        ['[bash] {"command":"ls"}', "Done"],
        {
            "tools": {"bash": 1},
            "input_tokens": 14,
            "output_tokens": 4,
            "cost": 0.75,
            "session": "ses_1",
            "answer": "Done",
        },
    ),
}


@pytest.mark.parametrize("name", RUNS)
def test_the_output_becomes_lines_and_a_report(project: Project, name: str):
    records, expected, values = RUNS[name]
    project.program(name, json_lines(*records))
    lines, result = project.run(agent(name))
    assert lines == expected
    assert result.failure == ""
    report = {**msgspec.structs.asdict(result.report), "answer": result.answer}
    assert {field: report[field] for field in values} == values
    assert report["output"] == "\n".join(expected)


FAILURES: dict[str, tuple[list[Any], str]] = {
    "claude": (
        [{"type": "result", "subtype": "success", "is_error": True, "result": "Not logged in\nx"}],
        "Not logged in",
    ),
    "codex": (
        [{"type": "turn.failed", "error": {"message": "no \x1b[31mmodel"}}],
        "no \\x1b[31mmodel",
    ),
    "gemini": (
        [{"type": "result", "status": "error", "error": {"message": "quota"}, "stats": {}}],
        "quota",
    ),
    "opencode": (
        [{"type": "error", "error": {"name": "APIError", "data": {"message": "no network"}}}],
        "no network",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_reported_error_is_a_failure_whatever_the_exit_status(project: Project, name: str):
    records, failure = FAILURES[name]
    for status in (0, 1):
        project.program(name, json_lines(*records), status=status)
        assert project.run(agent(name))[1].failure == failure


@pytest.mark.parametrize("name", RUNS)
def test_records_of_any_form_are_read_without_an_error(name: str):
    reader = runtime_of(agent(name).settings).reader()
    values: list[Any] = [None, 7, -1, 1e300, True, "x\n", [], ["a"], [[{}]], {}, {"a": None}]
    values += [{"type": value} for value in values]
    for record in RUNS[name][0]:
        for field in record:
            for value in values:
                reader.feed(json_lines({**record, field: value}))
                inner = record[field]
                if isinstance(inner, dict):
                    for key in inner:
                        reader.feed(json_lines({**record, field: {**inner, key: value}}))
    reader.feed(b'{"type":"result","usage":{"input_tokens":1' + b"0" * 400 + b"}}\n")
    reader.feed(b'{"type":"text","part":{"text":"\\ud800"}}\n')
    reader.feed(b'{"type":' * 100_000 + b"\n")
    _, result = reader.end(1, 0.0)
    msgspec.json.encode(result.report)
    assert "\n" not in result.failure


@pytest.mark.parametrize("name", RUNS)
def test_malformed_lines_are_logged_and_the_rest_is_read(project: Project, name: str):
    records, expected, _ = RUNS[name]
    noise = b'WARNING: \xff\n{"type": \n' + b"x" * 100_000 + b"\n"
    parts = [noise + json_lines(record) for record in records]
    project.program(name, b"".join(parts))
    lines, result = project.run(agent(name))
    assert result.failure == ""
    assert max(map(len, lines)) == 4097
    kept = [line for line in lines if not line.startswith(("WARNING: \ufffd", '{"type": ', "xxx"))]
    assert kept == expected


@pytest.mark.parametrize("name", RUNS)
def test_a_huge_record_is_read(name: str):
    reader = runtime_of(agent(name).settings).reader()
    for record in RUNS[name][0]:
        reader.feed(json_lines({**record, "more": "ä" * 2_000_000}))
    assert reader.end(0, 0.0)[1].failure == ""


def test_a_message_that_is_cut_is_logged(project: Project):
    project.program("gemini", json_lines(*GEMINI[:3]), status=1)
    lines, result = project.run(agent("gemini"))
    assert (lines, result.report.output) == (["I lo"], "I lo")


def test_a_session_that_could_be_an_option_is_not_kept(project: Project):
    for session in ("--help", "a b", "", "x" * 300, "a\n"):
        project.program("codex", json_lines({"type": "thread.started", "thread_id": session}))
        assert project.run(agent("codex"))[1].report.session == ""


def test_tools_are_counted_up_to_a_hundred_names(project: Project):
    blocks = [{"type": "tool_use", "name": f"t{n}" * 99, "input": {}} for n in range(500)]
    record = {"type": "assistant", "message": {"content": blocks}}
    project.program("claude", json_lines(record))
    tools = project.run(agent("claude"))[1].report.tools
    assert len(tools) == 100
    assert max(map(len, tools)) == 101


def test_what_follows_a_retry_by_the_program_itself_is_no_failure(project: Project):
    records = [{"type": "error", "error": {"name": "APIError"}}, *OPENCODE]
    project.program("opencode", json_lines(*records))
    assert project.run(agent("opencode"))[1].failure == ""


def test_the_event_and_the_prompt_are_apart(project: Project):
    for name in ("gemini", "opencode"):
        project.program(name)
        project.run(agent(name, "You plan."))
        stdin = project.record(name)["stdin"]
        prompt, _, event = stdin.partition("\n---\n\nYour input:\n\n")
        assert prompt.endswith("\nYou plan.\n")
        assert event == msgspec.json.encode(EVENT).decode() + "\n"
