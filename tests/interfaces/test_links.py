"""The work graph on the command line: texts, JSON, and valid drawings."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.printable import escape
from orchestrator.domain.tasks.blockers import Edge
from orchestrator.domain.tasks.dependencies import Graph
from orchestrator.domain.tasks.fact_values import CLEARED
from orchestrator.domain.tasks.given_facts import FACTS
from orchestrator.domain.tasks.records import Task
from orchestrator.interfaces.cli import drawing
from orchestrator.interfaces.cli import links as commands

from .conftest import CommandLine
from .test_commands import added

HOSTILE = '"]; click t1 "javascript:alert(1)"\n%% end <b>\\" \\'


def drawn(title: str) -> Graph:
    task = Task(
        id="299833bc", workstream="w", title=title, status="pending", type="task", created_by="ann"
    )
    return Graph(tasks=[task], edges=[Edge(task=task.id, kind="needs", other=task.id)])


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_no_title_gets_out_of_its_label_in_mermaid(title: str) -> None:
    _, node, _ = drawing.mermaid(drawn(title)).split("\n")
    label = re.fullmatch(r'  t1\["((?:[\w .,-]|#\d+;)*)"\]', node)
    assert label is not None
    # Not html.unescape, which drops the references of characters that are in no text of HTML.
    shown = re.sub(r"#(\d+);", lambda match: chr(int(match[1])), label[1])
    assert shown == f"299833bc: {escape(title)} (pending)"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_no_title_gets_out_of_its_label_in_dot(title: str) -> None:
    node = drawing.dot(drawn(title)).split("\n")[3]
    label = re.fullmatch(r'  t1 \[label="((?:[^"\\]|\\\\|\\")*)"\];', node)
    assert label is not None
    shown = re.sub(r"\\(.)", r"\1", label[1]).replace("&amp;", "&")
    assert shown == f"299833bc: {escape(title)} (pending)"
    assert not re.search(r"&(?!amp;)", label[1])


@pytest.mark.parametrize("form", ["text", "mermaid", "dot"])
def test_a_drawing_has_a_line_for_each_task_and_link_whatever_they_are_called(
    cli: CommandLine, form: str
) -> None:
    need = added(cli, HOSTILE)
    added(cli, "After", "--needs", need)
    shown = cli("t", "graph", "--format", form)
    frame = {"text": 0, "mermaid": 1, "dot": 4}[form]
    assert len(shown.lines) == 3 + frame
    assert shown.err == ""


def test_the_text_of_a_graph_is_a_tree_of_parts_with_their_links(cli: CommandLine) -> None:
    top = added(cli, "Epic")
    added(cli, "One", "--parent", top)
    added(cli, "Two", "--parent", top, "--needs", f"{top}.1")
    assert cli("t", "graph").lines == [
        f"[pending] {top}: Epic",
        f"  [pending] {top}.1: One",
        f"  [pending] {top}.2: Two (waits for {top}.1)",
        f"      needs {top}.1",
    ]


def test_a_graph_as_json_is_tasks_and_edges_by_option_and_by_format(cli: CommandLine) -> None:
    need = added(cli, "First")
    task = added(cli, "Second", "--needs", need)
    whole = cli("t", "graph", "--json").json
    assert [record["id"] for record in whole["tasks"]] == [need, task]
    assert whole["edges"] == [{"task": task, "kind": "needs", "other": need}]
    assert whole["critical"] == [need, task]
    assert cli("t", "graph", "--format", "json").json == whole


def test_a_graph_leaves_out_what_has_ended_unless_all_is_asked_for(cli: CommandLine) -> None:
    need = added(cli, "First")
    task = added(cli, "Second", "--needs", need)
    cli("t", "cancel", need)
    assert cli("t", "graph").lines == [f"[pending] {task}: Second (waits for {need})"]
    assert len(cli("t", "graph", "--all", "--json").json["tasks"]) == 2
    assert [t["id"] for t in cli("t", "graph", "--task", task, "--json").json["tasks"]] == [task]


def test_a_big_graph_is_cut_with_a_note_on_stderr_but_whole_for_programs(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "MANY", 2)
    tasks = [added(cli, f"Task {n}") for n in range(4)]
    shown = cli("t", "graph")
    assert len(shown.lines) == 2
    assert shown.err.startswith("Warning: 2 of 4 tasks are shown; --limit N")
    assert cli("t", "graph", "--limit", "4").err == ""
    assert len(cli("t", "graph", "--format", "json").json["tasks"]) == 4
    for before, after in pairwise(tasks):
        cli("t", "dep", "add", after, before)
    tree = cli("t", "dep", "tree", tasks[-1])
    assert (len(tree.lines), tree.err[:7]) == (2, "Warning")
    assert len(cli("t", "dep", "tree", tasks[-1], "--json").json) == 4


def test_dep_add_and_remove_change_one_link(cli: CommandLine) -> None:
    first, second = added(cli, "One"), added(cli, "Two")
    output = cli("t", "dep", "add", first[:6], second, "--type", "needs").out
    assert output == f"Linked: {first} (One) needs {second}\n"
    assert cli("t", "dep", "add", second, first, "--json", status=1).error["circle"] == [
        second,
        first,
        second,
    ]
    cli("t", "dep", "add", first, second, "--type", "discovered-from")
    assert "--type" in cli("t", "dep", "remove", first, second, status=2).err
    record = cli("t", "dep", "rm", first, second, "--type", "needs", "--json").json
    assert (record["needs"], record["links"]) == ([], [{"kind": "discovered-from", "task": second}])


def test_dep_add_of_a_gate_takes_any(cli: CommandLine) -> None:
    first, second = added(cli, "One"), added(cli, "Two")
    record = cli("t", "dep", "add", first, second, "--type", "waits-for", "--any", "--json").json
    assert record["gate"] == {"how": "any", "of": second}
    assert cli("t", "dep", "add", first, second, "--any", status=2).out == ""


def test_dep_tree_goes_down_and_up(cli: CommandLine) -> None:
    first = added(cli, "One")
    second = added(cli, "Two", "--needs", first)
    third = added(cli, "Three", "--needs", f"{second},{first}")
    assert cli("t", "dep", "tree", third).lines == [
        f"[pending] {third}: Three",
        f"  needs: [pending] {second}: Two",
        f"    needs: [pending] {first}: One",
        f"  needs: [pending] {first}: One",
    ]
    assert cli("t", "dep", "tree", first, "--up").lines == [
        f"[pending] {first}: One",
        f"  needs it: [pending] {second}: Two",
        f"    needs it: [pending] {third}: Three",
        f"  needs it: [pending] {third}: Three",
    ]


def test_ready_and_blocked_say_what_can_go_on_and_what_cannot_and_why(cli: CommandLine) -> None:
    first = added(cli, "One")
    second = added(cli, "Two", "--needs", first)
    assert cli("t", "ready").lines == [f"[pending] {first}: One"]
    assert cli("t", "ready", "build", "--limit", "1").lines == [f"[pending] {first}: One"]
    assert cli("t", "blocked").lines == [
        f"[pending] {second}: Two",
        f"    needs {first}, which is ready",
    ]
    [entry] = cli("t", "blocked", "build", "--json").json
    assert entry["task"]["id"] == second
    sentence = f"needs {first}, which is ready"
    assert entry["by"] == [{"kind": "need", "task": first, "says": sentence, "command": ""}]
    assert cli("t", "ready", "nowhere", status=1).out == ""


def test_defer_puts_off_and_takes_back(cli: CommandLine) -> None:
    task = added(cli, "One")
    assert (
        f"{task} (One): put off until 2999-01-01 00:00" in cli("t", "defer", task, "2999-01-01").out
    )
    assert cli("t", "list").out.endswith(": One (put off until 2999-01-01 00:00)\n")
    assert cli("t", "ready", "--json").json == []
    assert cli("t", "defer", task, "").out == f"{task} (One): not put off any more\n"
    assert cli("t", "list").out.endswith(": One\n")


def test_stale_shows_since_when(cli: CommandLine) -> None:
    task = added(cli, "One")
    assert cli("t", "stale").out == "No task is stale.\n"
    assert f"[pending] {task}: One (since " in cli("t", "stale", "build", "--days", "0").out


@pytest.mark.parametrize(
    ("step", "why"), [("duplicate", "duplicate of"), ("supersede", "superseded by")]
)
def test_a_task_gives_way_to_another(cli: CommandLine, step: str, why: str) -> None:
    first, second = added(cli, "One"), added(cli, "Two")
    output = cli("t", step, first, second, "--reason", "same\x1bwords").out
    assert output == f"Cancelled: {first} (One): {why} {second}: same\\x1bwords\n"


def test_add_and_edit_take_place_and_times(cli: CommandLine) -> None:
    top = added(cli, "Epic", "--waits-for", "any")
    part = added(cli, "Part", "--parent", top, "--name", "docs", "--due", "2999-01-01")
    assert part == f"{top}.docs"
    other = added(cli, "Other")
    line = ("t", "edit", other, "--parent", top, "--defer", "2999-01-01", "--commit", "abc123")
    record = cli(*line, "--commit", "ABC124", "--json").json
    assert record["parent"] == top
    assert record["commits"] == ["abc123", "abc124"]
    assert record["defer_until"] == "2999-01-01T00:00:00.000Z"
    cleared = cli("t", "edit", other, "--parent", "", "--defer", "", "--json").json
    assert (cleared["parent"], cleared["defer_until"]) == (None, "")


@pytest.mark.parametrize("name", [n for n, fact in FACTS.items() if fact.kind in CLEARED])
def test_an_empty_text_clears_a_fact_that_is_a_word_a_number_or_a_time(
    cli: CommandLine, name: str
) -> None:
    values = {"type": "bug", "priority": "1", "estimate": "2h", "waits_for": "all"}
    value = values.get(name, "2999-01-01")
    if name == "parent":
        value = added(cli, "Epic")
    flag = f"--{name.replace('_', '-')}"
    plain = cli("t", "show", added(cli, "Plain"), "--json").json
    task = added(cli, "A", flag, value)
    field = FACTS[name].field or name
    assert cli("t", "show", task, "--json").json[field] != plain[field]
    assert cli("t", "edit", task, flag, "", "--json").json[field] == plain[field]


def test_show_names_the_goals_of_a_task(cli: CommandLine) -> None:
    task = added(cli, "Write the parser")
    assert "goals" not in cli("t", "show", task).out
    for name in ("beta", "launch"):
        cli("goal", "create", name, task, "--due", "7d")
    assert "\ngoals beta, launch\n" in re.sub(" +", " ", cli("t", "show", task).out)
    assert cli("t", "show", task, "--json").json["goals"] == ["beta", "launch"]


def test_show_prints_the_place_of_a_task_in_the_graph(cli: CommandLine) -> None:
    top = added(cli, "Epic", "--waits-for", "all")
    first, second = (added(cli, name, "--parent", top) for name in ("One", "Two"))
    cli("t", "dep", "add", first, top, "--type", "related")
    cli("t", "claim", first, "ann")
    cli("t", "complete", first)
    shown = re.sub(" +", " ", cli("t", "show", top).out)
    for line in (
        f"children {first}, {second}",
        "progress 1 of 2 done",
        "waits for all of its own children",
        f"linked by {first} (related)",
        f"Kept back:\n waits for the children of {top}: 1 of 2 are done",
    ):
        assert f"\n{line}\n" in shown
    record = cli("t", "show", top, "--json").json
    assert record["children"] == [first, second]
    assert record["linked_by"] == [{"task": first, "kind": "related", "other": top}]
    assert [by["kind"] for by in record["kept_back_by"]] == ["children"]
    assert record["allowed"] == ["claim", "sling", "block", "cancel"]
    assert record["named"] == {
        first: {"title": "One", "status": "done"},
        second: {"title": "Two", "status": "pending"},
    }
    cli("t", "archive", first)
    assert f"parent {top}" in re.sub(" +", " ", cli("t", "show", first).out)


def test_the_line_of_a_listing_names_a_few_reasons_and_counts_the_rest(cli: CommandLine) -> None:
    needs = [added(cli, f"Need {n}") for n in range(5)]
    added(cli, "After", "--needs", ",".join(needs))
    reasons = ", ".join(f"waits for {need}" for need in needs[:3])
    assert cli("t", "list").lines[-1].endswith(f": After ({reasons}, and 2 more)")


def test_filters_of_a_list(cli: CommandLine) -> None:
    first = added(cli, "One", "--labels", "ui,urgent", "--priority", "1")
    second = added(cli, "Two", "--labels", "ui", "--parent", first)
    third = added(cli, "Three", "--labels", "db", "--due", "2001-01-01")

    def listed(*words: str) -> list[str]:
        return [task["id"] for task in cli("t", "list", *words, "--json").json]

    assert listed("--labels", "ui,urgent") == [first]
    assert listed("--any-label", "urgent", "--any-label", "db") == [first, third]
    assert listed("--priority", "1") == [first]
    assert listed("--parent", first) == [second]
    assert listed("--overdue") == [third]
    assert listed("build", "--ready", "--label", "ui") == [second]


def test_a_group_inside_a_group_has_help_and_no_version(cli: CommandLine) -> None:
    shown = cli("t", "dep", "--help").out
    assert "Usage: orc t dep COMMAND" in shown
    assert "--version" not in shown
    assert "Example: orc t dep tree" in cli("t", "dep", "tree", "--help").out


def test_a_task_that_waits_for_its_own_children_is_drawn_above_them_only(cli: CommandLine) -> None:
    top = added(cli, "Epic", "--waits-for", "all")
    part = added(cli, "Part", "--parent", top)
    after = added(cli, "After")
    cli("t", "dep", "add", after, top, "--type", "waits-for")
    assert cli("t", "graph").lines == [
        f"[pending] {top}: Epic (waits for its children)",
        f"  [pending] {part}: Part",
        f"[pending] {after}: After (waits for children of {top})",
        f"    waits for the children of {top}",
    ]
    for format in ("mermaid", "dot"):
        assert cli("t", "graph", "--format", format).out.count("waits-for") == 1
