"""No value of an event reaches a shell as code. Each attack is shown to work on the naive version first."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator import BadInput
from orchestrator.core.problems import Problems
from orchestrator.supervisor.templates import LARGE, Script, check_script, render, variable_of

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no sh")


def event(value: Any) -> dict[str, Any]:
    return {"id": 7, "timestamp": 1, "type": "x", "worker_id": "w", "payload": {"x": value}}


def checked(text: str, *, unsafe: bool = False) -> tuple[Script, list[str]]:
    problems = Problems()
    script = check_script(text, problems, unsafe=unsafe)
    return script, [f"{place}: {message}" for place, message in problems]


def run(script: Script, value: Any, folder: Path, shell: str = "sh") -> str:
    """The output of a script for an event, run like in a runtime."""
    rendered = render(script, event(value))
    for name, text in rendered.large.items():
        (folder / name).write_text(text)
    variables = {"PATH": os.environ["PATH"], "ORC_VALUES": str(folder), **rendered.variables}
    return subprocess.run(
        [shell, "-c", rendered.text], env=variables, cwd=folder, capture_output=True
    ).stdout.decode()


def naive(text: str, value: str, folder: Path, shell: str = "sh") -> None:
    """Run a script like busytown: with the quoted value inserted into its text."""
    text = re.sub(r"\{\{\{([^}]+)\}\}\}", lambda _: value, text)
    quoted = "'" + value.replace("'", "'\\''") + "'"
    text = re.sub(r"\{\{([^}]+)\}\}", lambda _: quoted, text)
    subprocess.run([shell, "-c", text], cwd=folder, capture_output=True)


TOUCH = "touch pwned"
ATTACKS = [
    ('echo "{{event.payload.x}}"', f"$({TOUCH})", "sh"),
    ('echo "{{event.payload.x}}"', f"`{TOUCH}`", "sh"),
    ("echo '{{event.payload.x}}'", f"; {TOUCH} #", "sh"),
    ("cat <<END\n{{event.payload.x}}\nEND\n", f"$({TOUCH})", "sh"),
    ("cat <<'END'\n{{event.payload.x}}\nEND\n", f"a\nEND\n{TOUCH}\n", "sh"),
    ("cat <<-END\n\t{{event.payload.x}}\n\tEND\n", f"$({TOUCH})", "sh"),
    ('echo "$(echo "{{event.payload.x}}")"', f"$({TOUCH})", "sh"),
    ("echo `echo '{{event.payload.x}}'`", f"; {TOUCH} #", "sh"),
    ('echo "${A:-{{event.payload.x}}}"', f"$({TOUCH})", "sh"),
    ("echo \\{{event.payload.x}}", f"; {TOUCH} #", "sh"),
    ("echo ${{event.payload.x}}", f"\\'; {TOUCH} #", "bash"),
    ("eval echo {{event.payload.x}}", f"; {TOUCH}", "sh"),
    ("sh -c {{event.payload.x}}", TOUCH, "sh"),
    ("env A=1 sh -ec {{event.payload.x}}", TOUCH, "sh"),
    ("trap {{event.payload.x}} EXIT", TOUCH, "sh"),
    ("printf 1 | xargs -I_ sh -c {{event.payload.x}}", TOUCH, "sh"),
    ("python3 -c {{event.payload.x}}", "open('pwned', 'w')", "sh"),
    ("awk {{event.payload.x}} /dev/null", 'BEGIN { print > "pwned" }', "sh"),
    ("{{event.payload.x}}", "./attack", "sh"),
    ("A=1 {{event.payload.x}}", "./attack", "sh"),
    ("true && {{event.payload.x}}", "./attack", "sh"),
    ("if {{event.payload.x}}; then :; fi", "./attack", "sh"),
    ("exec {{event.payload.x}}", "./attack", "sh"),
    ("timeout 5 {{event.payload.x}}", "./attack", "sh"),
    (". {{event.payload.x}}", "./attack", "sh"),
    ("sh {{event.payload.x}}", "./attack", "sh"),
    ("a=(1); unset {{event.payload.x}}", f"a[$({TOUCH})]", "bash"),
    ("declare {{event.payload.x}}", f"a[$({TOUCH})]=1", "bash"),
    ("read {{event.payload.x}} <<< 1", f"a[$({TOUCH})]", "bash"),
    ("printf -v {{event.payload.x}} 1", f"a[$({TOUCH})]", "bash"),
    ("[[ {{event.payload.x}} -eq 1 ]]", f"a[$({TOUCH})]", "bash"),
    ("let {{event.payload.x}}", f"a[$({TOUCH})]", "bash"),
    ("echo {{{event.payload.x}}}", f"; {TOUCH}", "sh"),
    ("bash -o pipefail -c -x {{event.payload.x}}", TOUCH, "sh"),
    ("sh -c -- {{event.payload.x}}", TOUCH, "bash"),
    ("find . -maxdepth 0 -exec sh -c {{event.payload.x}} ';'", TOUCH, "sh"),
    ("find . -maxdepth 0 -exec {{event.payload.x}} ';'", "./attack", "sh"),
    ("coproc {{event.payload.x}}; wait", "./attack", "bash"),
    ("perl -e {{event.payload.x}}", "`touch pwned`", "sh"),
]


@pytest.mark.parametrize(("text", "value", "shell"), ATTACKS)
def test_an_attack_that_works_on_the_naive_version_is_refused_with_its_line(
    text: str, value: str, shell: str, tmp_path: Path
):
    attack = tmp_path / "attack"
    attack.write_text(f"#!/bin/sh\n{TOUCH}\n")
    attack.chmod(0o755)
    naive(text, value, tmp_path, shell)
    assert (tmp_path / "pwned").exists(), "the attack does not work"
    _, refused = checked(f"true\n{text}")
    line = next(n for n, line in enumerate(text.split("\n"), 2) if "event.payload" in line)
    assert refused
    assert all(problem.startswith(f"line {line}: ") for problem in refused)


SAFE = [
    "sh -c 'printf %s \"$2\"' -c x {{event.payload.x}}",
    "printf %s {{event.payload.x}}",
    "printf %s pre{{event.payload.x}}post",
    "printf %s 'a'{{event.payload.x}}\"b\"",
    'x={{event.payload.x}}; printf %s "$x"',
    "x={{event.payload.x}} sh -c 'printf %s \"$x\"'",
    'export X={{event.payload.x}}; printf %s "$X"',
    "sh -c 'printf %s \"$1\"' sh {{event.payload.x}}",
    "# {{event.payload.x}}\nprintf %s {{ event.payload.x }}",
    'for i in {{event.payload.x}}; do printf %s "$i"; done',
    "case {{event.payload.x}} in *) printf %s {{event.payload.x}};; esac",
    "if true; then\n  printf %s \\\n    {{event.payload.x}}\nfi",
    "(printf %s {{event.payload.x}} | cat) && true",
    'printf %s "$ORC_EVENT_PAYLOAD_X"',
    "printf %s {{event.payload.x}} > out; cat out",
    "cat <<END >/dev/null\na 'b\nEND\nprintf %s {{event.payload.x}}",
    'sudo() { "$@"; }; printf %s {{event.payload.x}}',
    'printf %s "it\'s" >/dev/null; printf %s {{event.payload.x}}',
]
HOSTILE = [
    "plain",
    "",
    "a b  c",
    "'; touch pwned; '",
    '"; touch pwned; "',
    "$(touch pwned)`touch pwned`",
    "\\'; touch pwned #",
    "a\nEND\ntouch pwned\n",
    "-n\n",
    "*",
    "~",
    "$HOME",
    "{{event.type}} {{{event.type}}}",
    "é \u2028 \U0001f600 \x1b[2J",
    "x" * 20_000 + "\n\n",
]


@pytest.mark.parametrize("text", SAFE)
@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_is_passed_as_it_is(text: str, value: str, tmp_path: Path):
    script, refused = checked(text)
    assert refused == []
    shown = run(script, value, tmp_path)
    before, after = (
        ("pre", "post") if "pre{{" in text else ("a", "b") if "'a'" in text else ("", "")
    )
    assert shown == f"{before}{value}{after}"
    assert not (tmp_path / "pwned").exists()


@settings(max_examples=30, deadline=None)
@given(value=st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_any_text_is_one_word(value: str, tmp_path_factory: pytest.TempPathFactory):
    script, _ = checked(
        "set -- {{event.payload.x}} && printf '%s' $# && printf %s {{event.payload.x}}"
    )
    assert run(script, value, tmp_path_factory.mktemp("x")) == f"1{value}"


def test_a_large_value_is_read_from_a_file_whole(tmp_path: Path):
    value = "é'\n" * LARGE + "\n\n"
    script, _ = checked(
        'x={{event.payload.x}}; printf %s "${#ORC_EVENT_PAYLOAD_X}"; printf %s "$x"'
    )
    rendered = render(script, event(value))
    assert list(rendered.large) == ["ORC_EVENT_PAYLOAD_X"]
    assert max(map(len, rendered.variables.values())) < LARGE
    shown = run(script, value, tmp_path)
    assert shown.endswith(value)
    assert not render(checked("true")[0], event(value)).large


def test_every_value_is_in_the_environment(tmp_path: Path):
    happened = event("a") | {"payload": {"x": {"y z": 1, "b": True, "n": None, "l": [1, "é"]}}}
    variables = render(checked("true")[0], happened).variables
    assert variables == {
        "ORC_EVENT_ID": "7",
        "ORC_EVENT_TIMESTAMP": "1",
        "ORC_EVENT_TYPE": "x",
        "ORC_EVENT_WORKER_ID": "w",
        "ORC_EVENT_PAYLOAD_X_Y_Z": "1",
        "ORC_EVENT_PAYLOAD_X_B": "true",
        "ORC_EVENT_PAYLOAD_X_N": "",
        "ORC_EVENT_PAYLOAD_X_L": '[1,"é"]',
    }
    many = event("a") | {"payload": {f"k{n}": "v" * 100 for n in range(10_000)}}
    variables = render(checked('echo "$ORC_EVENT_PAYLOAD_K9999"')[0], many).variables
    assert sum(map(len, variables.values())) < LARGE
    assert "ORC_EVENT_PAYLOAD_K9999" in variables


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("event.id", "7"),
        ("event.payload.x.1.a", "2"),
        ("event.payload.x.9", ""),
        ("event.payload.missing.deep", ""),
        ("event.payload.x", '["é",{"a":2}]'),
    ],
)
def test_a_path_leads_into_the_event_and_what_is_missing_is_empty(
    path: str, text: str, tmp_path: Path
):
    script, refused = checked(f"printf %s {{{{{path}}}}}")
    assert refused == []
    assert run(script, ["é", {"a": 2}], tmp_path) == text


def test_three_braces_need_unsafe_and_are_filled_once(tmp_path: Path):
    text = 'printf %s "{{{event.payload.x}}}"'
    assert checked(text)[1] == [
        "line 1: {{{event.payload.x}}} puts the value into the script as code: write"
        " {{event.payload.x}} without quotes, or add `unsafe: true`"
    ]
    script, refused = checked(text, unsafe=True)
    assert refused == []
    assert run(script, "$(echo {{event.type}})", tmp_path) == "{{event.type}}"


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ('echo "a {{event.payload.x}}"', "write $ORC_EVENT_PAYLOAD_X in its place"),
        ("echo 'a {{event.payload.x}}'", """write '"$ORC_EVENT_PAYLOAD_X"' in its place"""),
        ("echo $(cat {{event.payload.x}})", 'write "$ORC_EVENT_PAYLOAD_X" in its place'),
        (
            "cat <<E\n{{event.payload.x}}\nE",
            "write $ORC_EVENT_PAYLOAD_X in its place, and the end word",
        ),
        ("echo \\{{event.payload.x}}", "leave that character out"),
        ("docker ps --format '{{.Names}}'", "'{''{' if two braces are meant"),
        ("echo {{payload.x}}", "write {{event.payload.NAME}}"),
    ],
)
def test_what_is_refused_comes_with_its_rewrite(text: str, how: str, tmp_path: Path):
    (problem,) = checked(text)[1]
    assert how in problem


@pytest.mark.parametrize("text", ['echo "a {{event.payload.x}}"', "echo 'a {{event.payload.x}}'"])
def test_the_rewrite_passes_the_value(text: str, tmp_path: Path):
    new = "$ORC_EVENT_PAYLOAD_X" if '"' in text else "'\"$ORC_EVENT_PAYLOAD_X\"'"
    script, refused = checked(text.replace("{{event.payload.x}}", new))
    assert refused == []
    assert run(script, "'; touch pwned; $(b)", tmp_path) == "a '; touch pwned; $(b)\n"


def test_all_refused_placeholders_are_reported_at_once():
    assert len(checked('echo "{{event.a}}"\neval {{event.b}}\n{{{event.c}}}\n{{event.d}}')[1]) == 4


def test_two_values_with_one_variable_are_refused():
    (problem,) = checked("echo {{event.payload.a-b}} {{event.payload.a_b}}")[1]
    assert "have the same variable" in problem
    assert variable_of("event.payload.a-b") == variable_of("event.payload.a_b")


def test_a_value_that_no_shell_can_take_is_refused_when_it_comes():
    with pytest.raises(BadInput, match="NUL"):
        render(checked("echo {{event.payload.x}}")[0], event("a\0b"))
    assert "ORC_EVENT_PAYLOAD_X" not in render(checked("true")[0], event("a\0b")).variables


def pieces() -> Iterator[str]:
    yield from [
        "'",
        '"',
        "`",
        "$(",
        "${",
        "((",
        ")",
        "}",
        "\\",
        "\n",
        " ",
        ";",
        "|",
        "#",
        "<<E",
        "E\n",
    ]
    yield from [
        "echo",
        "{{event.payload.x}}",
        "{{{event.payload.x}}}",
        "$",
        "{{",
        "}}",
        "x=",
        "case ",
    ]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([*pieces()]), max_size=30))
def test_any_text_is_read_to_its_end_and_none_of_it_is_lost(parts: list[str]):
    text = "".join(parts)
    script, _ = checked(text, unsafe=True)
    assert list(script.places) == sorted(script.places, key=lambda place: place.start)
    again = script.texts[0]
    for place, after in zip(script.places, script.texts[1:], strict=True):
        again += text[place.start : place.end] + after
    assert again == text


def test_a_script_that_is_nested_too_deep_is_refused():
    assert checked('"${' * 100_000)[1] == ["line 1: the script is nested too deep"]
