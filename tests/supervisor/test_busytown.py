"""Agents made for busytown run as they are: its examples, with a script in place of the model."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator import Orchestrator
from orchestrator.engine import cause_mark
from orchestrator.supervisor.agent_files import load_agent

from .running import Town, payload
from .test_agent_files import BUSYTOWN

AGENT = """\
---
description: {about}
listen:
  - "{listen}"
emits:
  - "{emits}"
allowed_tools:
  - "Read"
  - "Bash(git:*)"
model: sonnet
---

# {about}

Read the event. At the end run `busytown events push`, and keep {{{{its}}}} "{{payload}}" as it is.
"""

CLAUDE = """\
#!/bin/sh
payload=$(sed 's/.*"payload":\\(.*\\)}$/\\1/')
for last; do case "$last" in *'You push these types: '*) prompt=$last ;; esac; done
type=$(echo "$prompt" | sed -n 's/^You push these types: \\(.*\\)\\.$/\\1/p')
busytown events push --worker "$ORC_AGENT" --type "$type" --payload "$payload" > /dev/null
echo '{"type": "result", "subtype": "success"}'
"""
"""Plays `claude`: it pushes the type that its prompt names, with the payload that came on stdin."""


@pytest.fixture
def town(memory_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Town]:
    programs = memory_path / "programs"
    programs.mkdir()
    (programs / "claude").write_text(CLAUDE)
    (programs / "claude").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    town = Town(memory_path)
    yield town
    town.orc.close()


def add(town: Town, name: str, text: str) -> None:
    path = town.agents / f"{name}.md"
    path.write_text(text)
    town.trust.add({str(path): load_agent(str(path)).digest})


def test_notes_go_through_a_row_of_agents_with_their_payload(town: Town):
    types = ["capture.request", "capture.ingested", "links.updated", "breadcrumb.created", "asked"]
    names = ["zettelkasten", "backlinker", "breadcrumb", "questions"]
    for name, listen, emits in zip(names, types[:-1], types[1:], strict=True):
        add(town, name, AGENT.format(about=f"Works as {name}", listen=listen, emits=emits))
    content = {"content": 'one idea\'s "note"\nü 日本 $(x) `x` {{event.id}}'}
    with town.running() as runner:
        town.push("capture.request", content, agent="user")
        runner.until_events("subscription.finished", 4)
    made = [record for record in runner.events if record.type in types]
    assert [record.agent for record in made] == ["user", *names]
    assert [record.type for record in made] == types
    assert all(payload(record) == content for record in made)


def test_pingpong_which_never_ends_by_itself_ends_at_the_limit_of_causes_and_is_reported(
    town: Town, monkeypatch: pytest.MonkeyPatch
):
    add(town, "ping", AGENT.format(about="Serves a pong", listen="ping", emits="pong"))
    add(town, "pong", AGENT.format(about="Serves a ping", listen="pong", emits="ping"))
    mark = cause_mark(town.orc.events.push("began", agent="user"))
    for _ in range(40):  # as if they had played for a while: each serve starts two programs
        monkeypatch.setenv("ORC_CAUSE", mark)
        with Orchestrator.open(town.board) as orc:
            mark = cause_mark(orc.events.push("played", agent="user"))
    monkeypatch.setenv("ORC_CAUSE", mark)
    with Orchestrator.open(town.board) as orc:
        monkeypatch.delenv("ORC_CAUSE")
        with town.running() as runner:
            orc.events.push("ping", {"ball": 1}, agent="user")
            (died,) = runner.until_events("subscription.died")
    served = [record for record in runner.events if record.type in ("ping", "pong")]
    assert [record.type for record in served] == ["ping", "pong"] * 5 + ["ping"]
    assert [record.cause.depth for record in served if record.cause] == [*range(41, 52)]
    assert payload(died)["event"] == served[-1].id
    assert "in a row of causes" in payload(died)["reason"]
    assert "in a row of causes" in town.orc.status().text()


def test_a_shell_agent_of_busytown_works_each_job_once_under_two_runners(town: Town):
    add(town, "run-a", BUSYTOWN["run-a.md"])
    with town.running() as first, town.running():
        jobs = [town.push("job.new", {"path": f"a b '{n}'.md", "n": n}) for n in range(10)]
        first.until_events("job.done", len(jobs))
        first.until_events("subscription.finished", len(jobs))
    done = town.orc.events.read(type="job.done")
    assert sorted(payload(record)["n"] for record in done) == [*range(10)]
    assert {record.agent for record in done} == {"run-a"}
    lines = (town.project / "out.log").read_text().splitlines()
    assert sorted(lines) == [f"got a b '{n}'.md" for n in range(10)]


def test_a_file_with_a_template_that_is_refused_is_named_with_its_line_and_the_others_run(
    town: Town,
):
    add(town, "run-a", BUSYTOWN["run-a.md"])
    bad = town.agents / "unsafe.md"
    bad.write_text(
        '---\ntype: shell\nlisten: ["job.*"]\n---\n\necho "{{event.payload.path}}" >> out.log\n'
    )
    with town.running() as runner:
        skipped = runner.until_note("agent.skipped", "unsafe.md")
        town.push("job.new", {"path": "x", "n": 1})
        runner.until_events("subscription.finished")
    assert "line 6: {{event.payload.path}} is refused, because it is inside double" in skipped
    assert (town.project / "out.log").read_text() == "got x\n"
