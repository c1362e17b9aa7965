"""Rules are in a file that only their person reads; a rule that cannot work is refused when it is added."""

import os
import stat
from pathlib import Path

import pytest

from orchestrator import BadName, NotFound, Refused, UsageError
from orchestrator.notices.rules import NoticeRules, Rule, address_of, checked, shown_address

SECRET = "s3cr3t-t0ken"
HOOK = Rule(on=("task.failed",), to="webhook", address=f"https://u:{SECRET}@h/{SECRET}?k={SECRET}")


@pytest.fixture
def rules(tmp_path: Path) -> NoticeRules:
    return NoticeRules(str(tmp_path / "board"), str(tmp_path / "user"))


def test_rules_are_of_a_board_and_in_a_private_file(rules: NoticeRules, tmp_path: Path):
    rules.add("phone", HOOK)
    assert rules.get("phone") == HOOK
    assert NoticeRules(str(tmp_path / "other"), str(tmp_path / "user")).all() == {}
    assert stat.S_IMODE(os.stat(rules.path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(tmp_path / "user").st_mode) == 0o700
    assert SECRET not in repr(HOOK)


def test_a_name_is_added_once_and_removed_once(rules: NoticeRules):
    rules.add("phone", HOOK)
    with pytest.raises(Refused, match="already"):
        rules.add("phone", HOOK)
    rules.remove("phone")
    assert rules.all() == {}
    with pytest.raises(NotFound):
        rules.remove("phone")


@pytest.mark.needs("modes")
def test_a_file_that_others_may_read_is_refused(rules: NoticeRules):
    rules.add("phone", HOOK)
    os.chmod(rules.path, 0o644)
    with pytest.raises(Refused, match="Others may read"):
        rules.all()


def test_a_damaged_file_is_refused_without_its_text(rules: NoticeRules):
    rules.add("phone", HOOK)
    text = Path(rules.path).read_text()
    Path(rules.path).write_text(text.replace("webhook", SECRET))
    with pytest.raises(Refused) as refused:
        rules.all()
    assert SECRET not in str(refused.value)


def test_the_file_is_never_in_the_project(tmp_path: Path):
    with pytest.raises(Refused):
        NoticeRules(str(tmp_path), str(tmp_path / "user"))


def test_an_agent_that_an_event_started_adds_no_rule(
    rules: NoticeRules, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ORC_CAUSE", "1/x")
    with pytest.raises(Refused):
        rules.add("phone", HOOK)


def test_an_address_may_be_in_a_variable_or_a_private_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    rule = Rule(on=("*",), to="webhook", address="env:HOOK_URL")
    with pytest.raises(Refused, match="HOOK_URL holds no address"):
        address_of(rule)
    monkeypatch.setenv("HOOK_URL", f"https://h/{SECRET}\n")
    assert address_of(rule) == f"https://h/{SECRET}"
    file = tmp_path / "url"
    file.write_text(f"https://h/{SECRET}\n")
    file.chmod(0o600)
    rule = Rule(on=("*",), to="webhook", address=f"file:{file}")
    assert address_of(rule) == f"https://h/{SECRET}"
    assert shown_address(rule) == f"file:{file}"
    file.write_text("\n")
    with pytest.raises(Refused):
        address_of(rule)


@pytest.mark.needs("modes")
def test_a_file_with_an_address_is_private(tmp_path: Path):
    file = tmp_path / "url"
    file.write_text("https://h/x")
    file.chmod(0o644)
    with pytest.raises(Refused, match="Others may read"):
        address_of(Rule(on=("*",), to="webhook", address=f"file:{file}"))


@pytest.mark.parametrize(
    ("address", "shown"),
    [(HOOK.address, "https://***"), (SECRET, "***"), ("env:HOOK_URL", "env:HOOK_URL"), ("", "")],
)
def test_an_address_is_shown_without_secrets(address: str, shown: str):
    assert shown_address(Rule(on=("*",), to="webhook", address=address)) == shown


@pytest.mark.parametrize(
    ("rule", "error"),
    [
        (Rule(on=("task.faild",), to="desktop"), "task.failed"),
        (Rule(on=("task.f*",), to="desktop"), "pattern"),
        (Rule(on=("*",), to="webhook"), "needs an address"),
        (Rule(on=("*",), to="email"), "needs an address"),
        (Rule(on=("*",), to="desktop", address="https://h"), "has no address"),
        (Rule(on=("*",), to="command"), "needs its program"),
        (Rule(on=("*",), to="desktop", words=("x",)), "takes no program"),
        (Rule(on=("*",), to="desktop", body="{nothing}"), "no field"),
        (Rule(on=("*",), to="desktop", every=-1.0), "less than 0"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.to,
)
def test_a_rule_that_cannot_work_is_refused(rule: Rule, error: str):
    with pytest.raises((UsageError, BadName), match=error):
        checked("phone", rule)


def test_events_of_agents_and_of_later_nouns_may_be_named():
    for pattern in ("ci.failed", "*", "task.*", "decision.*", "subscription.died", "plan"):
        checked("phone", Rule(on=(pattern,), to="desktop"))
