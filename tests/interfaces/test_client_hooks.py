"""Commands as hooks of clients: who acts, what each client reads, and that nothing stops a session."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator import Orchestrator
from orchestrator.core import processes

from .conftest import CommandLine, Shown, Stdin

CLIENTS = ("claude", "codex", "gemini", "cursor", "opencode")


@pytest.fixture
def hook(cli: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Run a command as a hook, with what the client writes to stdin."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(processes, "host_process", lambda: f"{id(monkeypatch) % 99999} 1 boot")

    def run(*words: str, facts: Any = "", client: str = "claude") -> Shown:
        text = facts if isinstance(facts, str) else json.dumps(facts)
        monkeypatch.setattr(sys, "stdin", Stdin(text))
        return cli(*words, "--hook", client)

    return run


def test_the_start_of_a_session_names_the_agent_after_the_client(
    hook: Any, cli: CommandLine
) -> None:
    shown = hook("prime", facts={"hook_event_name": "SessionStart"}).json
    assert shown["hookSpecificOutput"]["hookEventName"] == "SessionStart"
    assert "# You are claude\n" in shown["hookSpecificOutput"]["additionalContext"]
    again = hook("prime").json["hookSpecificOutput"]["additionalContext"]
    assert "This is session 1." in again, "one process is one session"


@pytest.mark.parametrize("client", CLIENTS)
def test_each_client_gets_text_in_its_form(hook: Any, cli: CommandLine, client: str) -> None:
    out = hook("prime", client=client).out
    if client == "opencode":
        assert out.startswith("# You are opencode")
    elif client == "cursor":
        shown = json.loads(out)
        assert shown["env"] == {"ORC_AGENT": "cursor"}
        assert shown["additional_context"].startswith("# You are cursor")
    else:
        assert json.loads(out)["hookSpecificOutput"]["hookEventName"] == "SessionStart"
    assert hook("mail", "check", "--inject", client=client).out == "", "no mail, no words"
    cli("mail", "send", client, "The key", "It is new.", "--agent", "bob")
    out = hook("mail", "check", "--inject", client=client).out
    assert "It is new." in out
    if client == "cursor":
        assert json.loads(out)["continue"] is True
    assert hook("mail", "check", "--inject", client=client).out == "", "it is delivered once"
    for words in (("handoff", "--keep", "--collect"), ("session", "end")):
        assert hook(*words, client=client).out == "", "what is printed there would be misread"


def test_a_named_agent_stays_itself(hook: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORC_AGENT", "ann")
    assert "# You are ann" in hook("prime").out
    assert "# You are ann" in hook("prime").out
    monkeypatch.delenv("ORC_AGENT")
    assert "# You are ann" in hook("prime").out, "everything of one program is one agent"


@pytest.mark.needs("proc")
def test_the_hooks_of_a_second_session_of_one_name_are_another_agent(
    hook: Any, cli: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started, boot = processes.system.identity()
    with Orchestrator.open(tmp_path / "board") as orc:
        orc.sessions.join("claude", host=f"{os.getpid()} {started} {boot}", name="ann")
    monkeypatch.setenv("ORC_AGENT", "ann")
    assert "# You are ann-2" in hook("prime").out
    cli("mail", "send", "ann", "For the first", "--agent", "bob")
    assert hook("mail", "check", "--inject").out == ""
    monkeypatch.setenv("ORC_ATTEMPT", "1")
    assert "For the first" in hook("mail", "check", "--inject").out


def test_without_a_board_a_hook_is_silent_and_makes_none(
    hook: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("ORCHESTRATOR_DIR")
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for words in (
        ("prime",),
        ("mail", "check", "--inject"),
        ("handoff", "--keep"),
        ("session", "end"),
    ):
        shown = hook(*words, facts={"cwd": str(folder)})
        assert (shown.out, shown.err) == ("", "")
    assert [*folder.iterdir()] == []


@pytest.mark.parametrize(
    "facts", ["", "no json", "[1]", '{"cwd": 7, "hook_event_name": []}', "\x00"]
)
def test_odd_input_stops_nothing(hook: Any, facts: str) -> None:
    assert "# You are claude" in hook("prime", facts=facts).out


def test_an_error_is_a_warning(
    hook: Any, cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORC_AGENT", "no good name!")
    assert hook("mail", "check", "--inject").out == ""


def test_the_shell_of_claude_code_acts_as_the_agent(
    hook: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CLAUDE_ENV_FILE", str(tmp_path / "env.sh"))
    hook("prime")
    assert (tmp_path / "env.sh").read_text() == "export ORC_AGENT=claude\n"


def test_a_note_before_a_compaction_keeps_the_session_and_comes_back_with_prime(
    hook: Any, cli: CommandLine
) -> None:
    hook("prime")
    cli("handoff", "--keep", "-s", "Tests are next", "--agent", "claude")
    hook("handoff", "--keep", "--collect")
    session = cli("session", "show", "claude", "--json").json
    assert (session["ended_at"], session["subject"]) == ("", "Tests are next")
    assert "Tests are next" in hook("prime").json["hookSpecificOutput"]["additionalContext"]


def test_the_end_of_a_session_is_presence_and_begins_none(hook: Any, cli: CommandLine) -> None:
    hook("session", "end")
    assert cli("a", "list", "--json").json == []
    hook("prime")
    hook("session", "end")
    [agent] = cli("a", "list", "--json").json
    assert (agent["id"], agent["presence"]) == ("claude", "gone")
    assert cli("session", "show", "claude", "--json").json["outcome"] == "left"
