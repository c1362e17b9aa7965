"""Rules belong to the user of a machine, and are kept by board and agent."""

from pathlib import Path

import pytest

from orchestrator import BadInput, NotFound, Refused
from orchestrator.supervisor.permission_rules import PermissionRules


@pytest.fixture
def rules(tmp_path: Path) -> PermissionRules:
    return PermissionRules(str(tmp_path / "board"), str(tmp_path / "user"))


def test_rules_are_of_an_agent_and_a_board(rules: PermissionRules, tmp_path: Path):
    assert rules.set("plan", "Bash('git':*)", "allow") == "Bash(git:*)"
    rules.set("plan", "Bash( git:*)", "deny")
    assert rules.all() == {"plan": {"Bash(git:*)": "deny"}}
    assert rules.decide("plan", "Bash", {"command": "git x"}) == "deny"
    assert rules.decide("code", "Bash", {"command": "git x"}) is None
    other = PermissionRules(str(tmp_path / "other"), str(tmp_path / "user"))
    assert other.all() == {}
    other.set("plan", "*", "allow")
    assert rules.decide("plan", "Read", {}) is None


def test_a_rule_is_removed(rules: PermissionRules):
    rules.set("plan", "Read", "allow")
    rules.set("plan", "*", "deny")
    assert rules.remove("plan", "Read") == "Read"
    assert rules.all() == {"plan": {"*": "deny"}}
    with pytest.raises(NotFound):
        rules.remove("plan", "Read")
    rules.remove("plan", "*")
    assert rules.all() == {}


def test_a_bad_pattern_changes_nothing(rules: PermissionRules):
    with pytest.raises(BadInput):
        rules.set("plan", "Bash(git *)", "allow")
    assert not Path(rules.path).exists()


def test_a_bad_pattern_in_the_file_allows_nothing(rules: PermissionRules):
    rules.set("plan", "Read", "allow")
    path = Path(rules.path)
    path.write_text(path.read_text().replace('"Read"', '"a b"'))
    with pytest.raises(BadInput):
        rules.decide("plan", "Read", {})


@pytest.mark.needs("modes")
def test_the_file_is_in_a_folder_of_this_user_only(rules: PermissionRules):
    rules.set("plan", "Read", "allow")
    assert Path(rules.path).parent.stat().st_mode & 0o077 == 0


def test_an_agent_that_an_event_started_sets_no_rule(
    rules: PermissionRules, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ORC_CAUSE", "1/x")
    with pytest.raises(Refused) as caught:
        rules.set("plan", "*", "allow")
    assert caught.value.code == "not_yours"
    assert rules.all() == {}


def test_a_board_cannot_hold_its_own_rules(tmp_path: Path):
    with pytest.raises(Refused):
        PermissionRules(str(tmp_path), str(tmp_path / "user"))
