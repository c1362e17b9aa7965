"""``permission``: what waits is shown, answered once, and remembered where a person says so."""

import os
from pathlib import Path

import pytest

from orchestrator import Orchestrator
from orchestrator.domain.permissions.records import TIME

from .conftest import CommandLine

HOSTILE = {"command": "git push\n\x1b[2J; rm -rf /\u202e", "description": "x" * 2000}


@pytest.fixture
def user(cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_DATA_HOME", "HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "user"))


def asked(tool: str = "Bash", tool_input: object = None, agent: str = "plan") -> str:
    with Orchestrator.open(os.environ["ORCHESTRATOR_DIR"]) as orc:
        given = {"command": "git push"} if tool_input is None else tool_input
        request: str = orc.permissions._request(tool, given, agent, TIME).id
        return request


def test_what_waits_is_listed_shown_and_answered(cli: CommandLine, user: None):
    assert cli("permission").out == "No requests wait.\n"
    first, second = asked(), asked("WebFetch", {"url": "https://x"})
    assert cli("permission").lines[1::2] == ['  {"command":"git push"}', '  {"url":"https://x"}']
    assert cli("permission", "allow", first, "--agent", "ann").out == "Allowed: plan Bash\n"
    denied = cli("permission", "deny", second, "Not now.", "--agent", "ann")
    assert denied.out == "Denied: plan WebFetch\n"
    assert cli("permission", "list").out == "No requests wait.\n"
    statuses = [row["status"] for row in cli("permission", "list", "--all", "--json").json]
    assert statuses == ["allowed", "denied"]
    shown = cli("permission", "show", second).out
    assert "Answered by  ann" in shown
    assert "Not now." in shown


def test_the_second_who_answers_learns_of_the_first(cli: CommandLine, user: None):
    request = asked()
    cli("permission", "allow", request, "--agent", "ann")
    late = cli("permission", "deny", request, "--agent", "ben", status=1)
    assert late.err == f"Error: ann has answered request {request}: allowed\n"
    error = cli("permission", "deny", request, "--agent", "ben", "--json", status=1).error
    assert (error["code"], error["answered_by"]) == ("answered", "ann")


def test_status_and_prime_of_people_show_what_waits(cli: CommandLine, user: None):
    request = asked(tool_input=HOSTILE)
    assert f"  {request}: plan asks to use Bash until " in cli("status").out
    assert f"permission show {request}" in cli("prime", "--agent", "ann").out
    with Orchestrator.open(os.environ["ORCHESTRATOR_DIR"]) as orc:
        orc.subscriptions.open("plan")
    assert request not in cli("prime", "--agent", "plan").out
    (waiting,) = cli("status", "--json").json["permissions"]
    assert waiting["tool_input"] == HOSTILE
    cli("permission", "deny", request)
    assert "Permissions asked" not in cli("status").out + cli("prime", "--agent", "ann").out


def test_hostile_input_is_escaped_and_cut_wherever_it_is_printed(cli: CommandLine, user: None):
    request = asked(tool_input=HOSTILE)
    for words in (
        ("permission",),
        ("permission", "show", request),
        ("status",),
        ("prime", "--agent", "ann"),
        ("mail", "inbox", "--agent", "overseer"),
        ("mail", "check", "--agent", "overseer"),
        ("log",),
    ):
        out = cli(*words).out
        assert not {"\x1b", "\u202e"} & {*out}, words
        assert "; rm -rf /" not in out.splitlines(), words
        if words[-1] != request:
            assert "x" * 400 not in out, words
    assert "x" * 2000 in cli("permission", "show", request).out
    hostile = asked("Ba\x1b[2J\nsh", {})
    assert "\x1b" not in cli("permission").out + cli("permission", "show", hostile).out
    assert "\x1b" not in cli("status").out + cli("prime", "--agent", "ann").out


def test_an_answer_is_remembered_with_always(cli: CommandLine, user: None):
    request = asked()
    allowed = cli("permission", "allow", request, "--always", "Bash(git:*)")
    assert allowed.out == "Allowed: plan Bash, and from now on Bash(git:*)\n"
    assert cli("permission", "rules").out == "plan  allow  Bash(git:*)\n"
    assert cli("permission", "rules", "code").out == "No rules.\n"


def test_a_pattern_that_does_not_fit_the_request_answers_nothing(cli: CommandLine, user: None):
    request = asked(tool_input={"command": "git status; rm -rf /"})
    refused = cli("permission", "allow", request, "--always", "Bash(git:*)", status=2)
    assert "does not fit the pattern 'Bash(git:*)'" in refused.err
    assert len(cli("permission", "--json").json) == 1
    assert cli("permission", "rules").out == "No rules.\n"


def test_rules_are_set_and_removed(cli: CommandLine, user: None):
    assert (
        cli("permission", "rules", "plan", "mcp__x__*", "--deny").out
        == "Set: plan deny mcp__x__*\n"
    )
    cli("permission", "rules", "plan", "*", "--allow")
    rows = [(r["pattern"], r["behavior"]) for r in cli("permission", "rules", "--json").json]
    assert rows == [("*", "allow"), ("mcp__x__*", "deny")]
    assert cli("permission", "rules", "plan", "*", "--remove").out == "Removed: plan *\n"
    cli("permission", "rules", "plan", "*", "--remove", status=1)


@pytest.mark.parametrize(
    "words",
    [
        ("plan", "*"),
        ("plan", "--allow"),
        ("plan", "*", "--allow", "--deny"),
        ("plan", "Bash(git *)", "--allow"),
    ],
)
def test_half_a_rule_is_refused(cli: CommandLine, user: None, words: tuple[str, ...]):
    cli("permission", "rules", *words, status=2)
    assert cli("permission", "rules").out == "No rules.\n"


def test_an_agent_cannot_answer_or_set_rules(
    cli: CommandLine, user: None, monkeypatch: pytest.MonkeyPatch
):
    request = asked()
    cli("permission", "allow", request, "--agent", "plan", status=1)
    monkeypatch.setenv("ORC_CAUSE", "1/x")
    for words in (("allow", request), ("deny", request), ("rules", "plan", "*", "--allow")):
        error = cli("permission", *words, "--agent", "ann", "--json", status=1).error
        assert error["code"] == "not_yours"
    assert len(cli("permission", "--json").json) == 1


def test_mcp_needs_its_extra(cli: CommandLine, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("orchestrator.interfaces.cli.mcp_server.is_there", lambda: False)
    assert "pip install 'agent-orchestrator[mcp]'" in cli("mcp", status=2).err
