"""Rules for tools: the most specific one answers, and hostile input widens none."""

import shlex
import shutil
import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import BadInput
from orchestrator.domain.permissions.records import Behavior
from orchestrator.domain.permissions.rules import Pattern, decide, parse_pattern, plain_words

ALLOW_GIT: dict[str, Behavior] = {"Bash(git:*)": "allow"}


def bash(command: str, **more: Any) -> dict[str, Any]:
    return {"command": command, **more}


@pytest.mark.parametrize(
    ("rule", "tool", "tool_input"),
    [
        ("*", "Anything", {}),
        ("WebFetch", "WebFetch", {"url": "https://x"}),
        ("mcp__x__*", "mcp__x__y", {}),
        ("Bash", "Bash", bash("a; b")),
        ("Bash(git:*)", "Bash", bash("git")),
        ("Bash(git:*)", "Bash", bash("  git  log --format='%h; | $(x)' \"a b\" ")),
        ("Bash(git:*)", "Bash", bash("'git' log", description="x; y", timeout=9)),
        ("Bash(npm run test:*)", "Bash", bash("npm run test -- --fast")),
        ("Bash(npm test)", "Bash", bash("npm 'test'")),
    ],
)
def test_a_rule_answers_what_it_fits(rule: str, tool: str, tool_input: dict[str, Any]):
    assert decide({rule: "allow"}, tool, tool_input) == "allow"
    assert decide({rule: "deny"}, tool, tool_input) == "deny"


@pytest.mark.parametrize(
    ("rule", "tool", "tool_input"),
    [
        ("WebFetch", "WebFetchAll", {}),
        ("mcp__x__*", "mcp__xy__z", {}),
        ("mcp__x__*", "mcp__x__\n", {}),
        ("*", "", {}),
        ("*", "x" * 201, {}),
        ("*", "Bash\n", {}),
        ("Bash(git:*)", "Bash", bash("gitx status")),
        ("Bash(npm run test:*)", "Bash", bash("npm run tests")),
        ("Bash(npm test)", "Bash", bash("npm test --fast")),
        ("Bash(git:*)", "BashOutput", bash("git")),
        ("Bash(git:*)", "Bash", {}),
        ("Bash(git:*)", "Bash", {"command": ["git"]}),
        ("Bash(git:*)", "Bash", bash("git", dangerouslyDisableSandbox=True)),
    ],
)
def test_a_rule_does_not_answer_what_it_does_not_fit(
    rule: str, tool: str, tool_input: dict[str, Any]
):
    assert decide({rule: "allow"}, tool, tool_input) is None


ATTACKS = [
    "git status; touch pwned",
    "git status && touch pwned",
    "git fail || touch pwned",
    "git status & touch pwned",
    "git status | touch pwned",
    "git status\ntouch pwned",
    "git status\r\ntouch pwned",
    "git status $(touch pwned)",
    "git status `touch pwned`",
    'git status "$(touch pwned)"',
    'git status "`touch pwned`"',
    "git status ${x:-$(touch pwned)}",
    "git status <(touch pwned)",
    "git status > pwned",
    "git status >pwned 2>&1",
    "git status 2>pwned",
    "git status 'a' 'b\n'; touch pwned",
    "git status \\\n; touch pwned",
    'git status "\\\\"; touch pwned; : "x"',
    "git status '\\'; touch pwned; : ''",
    "git status $'\\''; touch pwned; : ''",
    "git status # '\ntouch pwned",
    "git(){ touch pwned; }; git",
    "git status\x0btouch pwned; touch pwned",
    "git status\u2028; touch pwned",
    "(git status; touch pwned)",
    "{ git status; touch pwned; }",
    "! git status; touch pwned",
    "git status <<E\n$(touch pwned)\nE",
]


@pytest.mark.parametrize("command", ATTACKS)
def test_a_command_that_does_more_fits_no_pattern_of_commands(command: str, tmp_path: Any):
    """Each attack works on a shell: it is no attack on paper."""
    assert decide(ALLOW_GIT, "Bash", bash(command)) is None
    assert plain_words(command) is None
    shell = shutil.which("bash")
    if shell is None:
        pytest.skip("there is no bash")
    git = tmp_path / "git"
    git.write_text('#!/bin/sh\n[ "$1" != fail ]\n')
    git.chmod(0o755)
    path = f"{tmp_path}:/usr/bin:/bin"
    subprocess.run([shell, "-c", command], cwd=tmp_path, capture_output=True, env={"PATH": path})
    assert (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    "command",
    ["git {push,origin}", "git pu*", "git pus?", "git pu[s]h", "X=1 git push", "git $X", "a; b"],
)
def test_a_broad_rule_does_not_get_around_a_denied_command(command: str):
    rules: dict[str, Behavior] = {"Bash": "allow", "*": "allow", "Bash(git push:*)": "deny"}
    assert decide(rules, "Bash", bash("git push")) == "deny"
    assert decide(rules, "Bash", bash("git pull")) == "allow"
    assert decide(rules, "Bash", bash(command)) is None
    assert decide({"Bash": "allow"}, "Bash", bash(command)) == "allow"


def test_the_most_specific_rule_answers_in_any_order():
    rules: dict[str, Behavior] = {
        "*": "deny",
        "Ba*": "allow",
        "Bash": "deny",
        "Bash(git:*)": "allow",
        "Bash(git push:*)": "deny",
        "Bash(git push origin)": "allow",
    }
    expected = {
        "git push origin": "allow",
        "git push origin x": "deny",
        "git push": "deny",
        "git pull": "allow",
        "make": "deny",
    }
    for known in (rules, dict(reversed(rules.items()))):
        assert {c: decide(known, "Bash", bash(c)) for c in expected} == expected
        assert decide(known, "Bark", {}) == "allow"
        assert decide(known, "Read", {}) == "deny"


@pytest.mark.parametrize(
    "text",
    [
        *("", "**", "a b", "Bash(", "Bash(x", "Bash()", "Bash(:*)", "Bash(git *)", "Read(./x)"),
        *("Bash(a; b:*)", "Bash($x:*)", "bash(git:*)", "Bash(git:*)x", "a\n", "mcp__*__x"),
    ],
)
def test_what_is_no_pattern_is_refused_with_a_hint(text: str):
    with pytest.raises(BadInput) as caught:
        parse_pattern(text)
    assert caught.value.hint


WORDS = st.lists(st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1)).map(
    lambda words: ["git", *words]
)
NAMES = st.text("abBm_-.", min_size=1, max_size=6)
PATTERNS = st.one_of(
    st.builds(Pattern, NAMES, st.booleans()),
    st.builds(Pattern, st.just("Bash"), st.just(False), WORDS.map(tuple), st.booleans()),
)


@given(PATTERNS)
def test_each_pattern_has_one_text_that_reads_as_it(pattern: Pattern):
    assert parse_pattern(str(pattern)) == pattern


@given(WORDS)
def test_the_words_of_a_plain_command_are_those_of_a_shell(words: list[str]):
    assert plain_words(shlex.join(words)) == tuple(words)


@given(st.text("git '\"\\$`;&|<>(){}[]*?!#~=\n\tab", max_size=30))
def test_what_counts_as_plain_has_the_words_that_a_shell_reads(command: str):
    words = plain_words(command)
    if words is not None:
        assert shlex.split(command) == [*words]
        assert not {*shlex.shlex(command, punctuation_chars=True)} & {*";&|<>()\n"}


SIMPLE = st.lists(st.sampled_from(["git", "push", "pull", "-f", "x"]), min_size=1, max_size=4)
RULES = st.dictionaries(
    st.one_of(
        st.sampled_from(["*", "B*", "Bash", "Read"]),
        SIMPLE.map(lambda words: f"Bash({' '.join(words)}:*)"),
        SIMPLE.map(lambda words: f"Bash({' '.join(words)})"),
    ),
    st.sampled_from(["allow", "deny"]),
    max_size=6,
)
TAILS = st.sampled_from(["", "; x", " && x", "\nx", " $(x)", " > x", " {a,b}", " `x`", " 'a"])


@given(RULES, SIMPLE, TAILS)
def test_more_in_a_command_never_makes_a_denial_or_a_question_an_allowance(
    rules: dict[str, Behavior], words: list[str], tail: str
):
    command = " ".join(words)
    whole = decide(rules, "Bash", bash(command + tail))
    if tail and whole == "allow":
        names: dict[str, Behavior] = {r: b for r, b in rules.items() if "(" not in r}
        assert decide(names, "Bash", {}) == "allow", "only a rule for every input allows it"
        assert "deny" not in [b for r, b in rules.items() if "(" in r]


@given(RULES, SIMPLE, TAILS, RULES)
def test_a_further_denial_allows_nothing_that_was_not_allowed(
    rules: dict[str, Behavior], words: list[str], tail: str, more: dict[str, Behavior]
):
    command = bash(" ".join(words) + tail)
    denials: dict[str, Behavior] = dict.fromkeys(more, "deny")
    if decide(rules, "Bash", command) != "allow":
        assert decide({**rules, **denials}, "Bash", command) != "allow"


@given(RULES, SIMPLE)
def test_of_the_rules_that_fit_one_is_the_most_specific(
    rules: dict[str, Behavior], words: list[str]
):
    fitting = [p for p in map(parse_pattern, rules) if p.fits("Bash", tuple(words))]
    assert len({p.rank for p in fitting}) == len(fitting)
