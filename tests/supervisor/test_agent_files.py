"""Agent files: one schema, all problems of a file in one report, files of busytown as they are."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import BadInput, OrchestratorError
from orchestrator.supervisor.agent_files import agent_id, load_agents, parse_agent
from orchestrator.supervisor.agent_schema import FIELDS, AgentSettings, Budget, TaskFilter

FULL = """\
---
runtime: codex
description: Plans
listen: [plan.request, "review.*", "*"]
emits:
  - plan.created
takes:
  - ws: build
    type: code
    labels: [api, ui]
  - capability: rust
every: 1h
ignore_self: false
allowed_tools: [Read, "Bash(git:*)", "*"]
model: gpt-5
effort: high
resume: true
timeout: 10m
retry: 3
concurrency: 2
priority: high
budget: {runs: 10, tokens: 200000, cost: 2.50}
env: [GITHUB_TOKEN]
workdir: src/app
---

You plan.
"""


def problems(text: str, name: str = "agents/plan.md") -> list[str]:
    with pytest.raises(BadInput) as caught:
        parse_agent(name, text)
    assert caught.value.code == "bad_agent_file"
    found: Any = caught.value.details["problems"]
    return list(found)


@pytest.mark.parametrize(
    ("head", "listen"),
    [
        ("description: x", ("*",)),
        ("type: shell\nemits: [a]", ("*",)),
        ("type: shell\nlisten: []", ()),
        ("runtime: shell", ()),
        ("type: shell\nretry: 1", ()),
        ("type: shell\ntakes: [{}]", ()),
        ("type: shell\nlisten: [a]", ("a",)),
    ],
)
def test_a_file_of_busytown_without_listen_hears_everything(head: str, listen: tuple[str, ...]):
    assert parse_agent("a.md", f"---\n{head}\n---\ntrue\n").settings.listen == listen


def test_every_field_is_read():
    agent = parse_agent("agents/My  Planner!.md", FULL)
    assert (agent.id, agent.body, agent.script) == ("my-planner", "\nYou plan.\n", None)
    assert agent.settings == AgentSettings(
        runtime="codex",
        description="Plans",
        listen=("plan.request", "review.*", "*"),
        emits=("plan.created",),
        takes=(
            TaskFilter(ws="build", type="code", labels=("api", "ui")),
            TaskFilter(capability="rust"),
        ),
        every=3600.0,
        ignore_self=False,
        allowed_tools=("Read", "Bash(git:*)", "*"),
        model="gpt-5",
        effort="high",
        resume=True,
        timeout=600.0,
        retry=3,
        concurrency=2,
        priority=1,
        budget=Budget(runs=10, tokens=200_000, cost=2.5),
        env=("GITHUB_TOKEN",),
        workdir="src/app",
    )


def test_a_file_needs_no_field():
    assert parse_agent("a.md", "---\n---\nDo it.").settings == AgentSettings(listen=("*",))


def test_every_field_of_the_settings_is_declared():
    assert {*FIELDS} - {"type"} == {*AgentSettings.__struct_fields__}


def test_the_guide_has_every_field():
    guide = (Path(__file__).parents[2] / "docs" / "guides" / "runner.md").read_text()
    for name, field in FIELDS.items():
        form, about = field.form.replace("|", r"\|"), field.about.replace("*", r"\*")
        assert f"| `{name}` | `{form}` | {about} |\n" in guide


BUSYTOWN = {
    "ping.md": """\
---
description: Serves a pong
listen:
  - "ping"
emits:
  - "pong"
model: sonnet
---

You play.
""",
    "backlinker.md": """\
---
description: Finds links and adds Obsidian [[backlinks]]
listen:
  - "capture.ingested"
allowed_tools:
  - "Read"
  - "Bash(git:*)"
model: sonnet
---

# Backlinker

{{not}} "{{a}}" template
""",
    "mischief.md": """\
---
description: A mischievous agent
listen:
  - "*"
allowed_tools:
  - "*"
model: haiku
effort: low
---
x
""",
    "run-a.md": """\
---
type: shell
listen:
  - "job.*"
ignore_self: true
---

path={{event.payload.path}}
echo "got $path" >> out.log # {{event.id}}
busytown events push --type job.done --worker run-a --payload '{"n":'{{event.payload.n}}'}'
""",
}


@pytest.mark.parametrize("name", BUSYTOWN)
def test_files_of_busytown_are_read_as_they_are(name: str):
    agent = parse_agent(name, BUSYTOWN[name])
    assert agent.settings.runtime == ("shell" if name == "run-a.md" else "claude")
    assert (agent.script is None) == (name != "run-a.md")


def test_a_template_that_is_refused_is_named_with_the_line_of_the_file():
    text = '---\ntype: shell\nlisten: [x]\n---\n\necho "{{event.payload.path}}"\n{{{event.id}}}\n'
    refused, raw = problems(text)
    assert refused.startswith(
        "line 6: {{event.payload.path}} is refused, because it is inside double"
    )
    assert raw.startswith("line 7: {{{event.id}}}")
    (left,) = problems(text.replace("listen", "unsafe: true\nlisten"))
    assert left.startswith("line 7: ")


def test_all_problems_of_a_file_are_in_one_report_with_their_lines():
    text = """\
---
typ: shell
runtime: klaude
listen:
  - "a b"
  - plan.*
  - {x: y}
takes: [{wss: a, type: "-x"}, b]
ignore_self: maybe
timeout: soon
retry: -1
concurrency: 0
budget: {runs: many, cost: 1e3}
env: [A-B, OK]
workdir: ../up
every: 1h
cron: every day
emits: plan.created
command: []
effort: max
priority: x
model: -x
---
Text
"""
    assert problems(text) == [
        "line 2: there is no field 'typ'; did you mean 'type'?",
        "line 3: runtime: 'klaude' is not one of claude, codex, gemini, opencode, shell, command;"
        " did you mean 'claude'?",
        "line 5: listen: 'a b' is not a pattern of types of events",
        "line 7: listen: a text is expected",
        "line 8: there is no field 'wss'; did you mean 'ws'?",
        "line 8: takes.type: '-x' is not a word",
        "line 8: takes: fields are expected: ws, type, labels, capability",
        "line 9: ignore_self: 'maybe' is neither true nor false",
        *[problem for problem in problems(text) if problem.startswith("line 10:")],
        "line 11: retry: '-1' is not a whole number from 0 to 100",
        "line 12: concurrency: '0' is not a whole number from 1 to 100",
        "line 13: budget.runs: 'many' is not a whole number from 1 to 1000000",
        "line 13: budget.cost: '1e3' is not an amount of US dollars, such as 2.50",
        "line 14: env: 'A-B' is not the name of a variable",
        "line 15: workdir: '../up' is not a folder inside the project",
        "line 17: cron: 'every day' has not the five fields of cron: 0 7 * * 1-5",
        "line 18: emits: a list is expected: [a, b]",
        "line 19: command: the program is missing: write [PROGRAM, ARGUMENT]",
        "line 20: effort: 'max' is not one of low, medium, high",
        "line 21: priority: 'x' is not a whole number from 0 to 99",
        "line 22: model: '-x' is not a word",
    ]


@pytest.mark.parametrize(
    ("head", "problem"),
    [
        ("type: claude\nruntime: codex", "line 2: `type` is claude and `runtime` is codex"),
        (
            "command: [a]\nruntime: shell",
            "line 2: `command` and the runtime `command` belong together",
        ),
        ("runtime: command", "line 2: `command` and the runtime `command` belong together"),
        ("every: 1h\ncron: '0 7 * * *'", "line 3: `every` and `cron` are both given"),
        ("type: shell", "line 3: the script is missing"),
        ("- a", "line 2: `field: value` lines are expected"),
        (
            "a: !!python/object x",
            "frontmatter: The frontmatter cannot be read: it has a tag in line 2",
        ),
        ("a: &x 1\nb: *x", "frontmatter: The frontmatter cannot be read: it has an anchor"),
        (
            "retry: 1\nretry: 2",
            "frontmatter: The frontmatter cannot be read: it has the key 'retry' twice, again in line 3",
        ),
        ("a: [", "frontmatter: The frontmatter cannot be read: it is not valid YAML"),
    ],
)
def test_what_is_refused(head: str, problem: str):
    assert any(p.startswith(problem) for p in problems(f"---\n{head}\n---\n"))


def test_text_without_frontmatter_is_refused():
    for text in ("", "Just a text", "---\na: b\n", "\n---\na: b\n---\n"):
        assert problems(text) == ["line 1: frontmatter between two lines `---` is expected"]


def test_command_also_sets_the_runtime():
    text = "---\ncommand: [./agent, --fast]\n---\nDo it."
    assert parse_agent("a.md", text).settings.runtime == "command"
    assert parse_agent("a.md", text).settings.command == ("./agent", "--fast")


@pytest.mark.parametrize(
    ("name", "id"),
    [("plan.md", "plan"), ("My Agent.md", "my-agent"), ("a.b_c-D.md", "ab_c-d"), ("ÄB.md", "b")],
)
def test_ids_are_slugs_of_the_name(name: str, id: str):
    assert agent_id(f"/x/{name}") == id


@pytest.mark.parametrize("name", ["ä.md", "-x.md", "con.md", " .md"])
def test_a_name_without_a_slug_is_refused(name: str):
    assert problems("---\n---\nx", name)[0].startswith("its name: ")


def test_a_folder_is_read_and_bad_files_are_reported_and_skipped(tmp_path: Path):
    (tmp_path / "good.md").write_text(BUSYTOWN["ping.md"])
    (tmp_path / "bad.md").write_text("no")
    (tmp_path / "notes.txt").write_text("no agent")
    (tmp_path / "two.md").write_text("---\n---\nx")
    (tmp_path / "Two.md").write_text("---\n---\ny")
    (tmp_path / "bin.md").write_bytes(b"---\n---\n\xff")
    loaded = load_agents(str(tmp_path))
    assert [*loaded.agents] == ["good"]
    assert {Path(path).name for path in loaded.bad} == {"bad.md", "bin.md", "two.md", "Two.md"}
    assert load_agents(str(tmp_path / "none")).agents == {}


@pytest.mark.needs("links")
def test_a_link_is_no_agent_file(tmp_path: Path):
    (tmp_path / "real.txt").write_text(BUSYTOWN["ping.md"])
    (tmp_path / "link.md").symlink_to(tmp_path / "real.txt")
    assert [*load_agents(str(tmp_path)).bad] == [str(tmp_path / "link.md")]


def test_an_agent_that_takes_work_loads_nothing_of_it():
    code = "import sys, orchestrator.interfaces.cli.next_work, orchestrator.domain.tasks.commands;"
    code += " sys.exit('orchestrator.supervisor' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@given(st.text(), st.dictionaries(st.sampled_from([*FIELDS]), st.text(max_size=9), max_size=4))
def test_any_text_is_an_agent_or_a_report(body: str, fields: dict[str, str]):
    head = "\n".join(f"{name}: {value}" for name, value in fields.items())
    with suppress(OrchestratorError):
        parse_agent("a.md", f"---\n{head}\n---\n{body}")
