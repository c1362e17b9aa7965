"""A batch is a single commit: all of its entries or none, and every problem with its place."""

from typing import Any

import pytest
from boards import changes_nothing, code_of

from orchestrator import Orchestrator
from orchestrator.core.errors import BadInput, UsageError
from orchestrator.domain.tasks.batch import ADDING, EDITING, Applied
from orchestrator.domain.tasks.records import Task
from orchestrator.domain.tasks.relations import KINDS, Gate, Link
from orchestrator.integrations.batch_file import entries_of


def apply(orc: Orchestrator, *entries: dict[str, Any]) -> Applied:
    return orc.batch.apply(entries, workstream="build")


def read(orc: Orchestrator, text: str) -> Applied:
    return orc.batch.apply(entries_of(text), workstream="build")


def problems(orc: Orchestrator, text: str) -> list[str]:
    with changes_nothing(orc), pytest.raises(BadInput) as caught:
        read(orc, text)
    assert caught.value.code == "bad_entries"
    messages = caught.value.details["problems"]
    assert isinstance(messages, list)
    return messages


def by_title(orc: Orchestrator) -> dict[str, Task]:
    return {task.title: task for task in orc.tasks.all()}


# Entries


def test_a_batch_takes_the_fields_of_adding_and_editing() -> None:
    """If a field is new to `tasks.add` or `tasks.edit`, a batch must have it too."""
    import inspect

    from orchestrator.domain.tasks.commands import Tasks

    own = {"key", "assign", *KINDS}
    assert ADDING.keys() - own == inspect.signature(Tasks.add).parameters.keys() - {
        "self", "tx", "agent",
    }  # fmt: skip
    assert EDITING.keys() - own - {"id"} == inspect.signature(Tasks.edit).parameters.keys() - {
        "self", "tx", "task", "agent",
    }  # fmt: skip


def test_it_adds_edits_links_and_assigns_in_one_commit(build: Orchestrator) -> None:
    old = build.tasks.add("build", title="Old")
    before = build.engine.read().event
    done = apply(
        build,
        {"key": "a", "title": "A", "priority": 2, "labels": ["ui"], "assign": "ann"},
        {"key": "b", "title": "B", "needs": ["a", old.id], "related": "a", "estimate": "2h"},
        {"id": old.id, "title": "New", "commits": ["abcd12"]},
    )
    a, b = build.tasks.get(done.keys["a"]), build.tasks.get(done.keys["b"])
    assert (a.status, a.assigned_to, a.priority, a.labels) == ("assigned", "ann", 2, ("ui",))
    assert (b.needs, b.links, b.estimate) == ((a.id, old.id), (Link("related", a.id),), 120.0)
    assert (done.added, done.edited, done.assigned) == ([a.id, b.id], [old.id], {a.id: "ann"})
    assert build.tasks.get(old.id).title == "New"
    commits = [record.more for record in build.events.read(since=before)]
    assert commits.count(False) == 1


def test_a_key_may_be_used_before_its_entry(build: Orchestrator) -> None:
    done = apply(
        build,
        {"title": "Last", "needs": "first, second", "waits_for": "any:first"},
        {"key": "second", "title": "Second", "parent": "first", "name": "two"},
        {"key": "first", "title": "First"},
    )
    first, last = done.keys["first"], by_title(build)["Last"]
    assert done.keys["second"] == f"{first}.two"
    assert (last.needs, last.gate) == ((first, f"{first}.two"), Gate("any", first))
    assert [task.title for task in done.tasks] == ["First", "Second", "Last"]


def test_an_edit_may_name_new_tasks(build: Orchestrator) -> None:
    old = build.tasks.add("build", title="Old")
    done = apply(build, {"id": old.id[:4], "needs": ["new"]}, {"key": "new", "title": "New"})
    assert build.tasks.get(old.id).needs == (done.keys["new"],)


def test_an_agent_that_is_given_work_gets_a_single_notice(build: Orchestrator) -> None:
    old = build.tasks.add("build", title="Old")
    apply(build, {"id": old.id, "assign": "ann"})
    done = apply(build, {"id": old.id, "assign": "ann"})
    assert done.assigned == {}
    assert len(build.mail.inbox(agent="ann")) == 1


def test_a_repeated_request_has_one_effect_and_the_same_result(build: Orchestrator) -> None:
    def once() -> Applied:
        with build.request("r1"):
            return apply(
                build, {"key": "b", "title": "B", "needs": "a"}, {"key": "a", "title": "A"}
            )

    first = once()
    assert once() == first
    assert len(build.tasks.all()) == 2
    with build.request("r1"):
        assert code_of(lambda: apply(build, {"title": "other"})) == "request_conflict"


def test_nothing_is_done_unless_everything_is_good(build: Orchestrator) -> None:
    task = build.tasks.add("build", title="Old")
    with changes_nothing(build), pytest.raises(BadInput) as caught:
        apply(
            build,
            {"key": "a", "title": "Good", "assign": "ann"},
            {"title": "x", "prio": 1, "needs": 5},
            {"title": "x", "priority": "soon"},
            {"title": " "},
            {"id": "nope"},
            {"id": task.id, "name": "x"},
            {"title": "x", "needs": ["a", "aa"]},
            {"title": "x", "parent": "b"},
            {"key": "b", "title": "x", "priority": 5000},
            {"key": "a", "title": "x"},
            {"title": "x", "assign": "../y"},
        )
    assert caught.value.details["problems"] == [
        "entry 2: 'prio' is not a field here; did you mean 'priority'?",
        "entry 2: needs is not a list of texts",
        "entry 3: priority is not a whole number",
        "entry 4: A title is needed",
        "entry 5: There is no task 'nope'",
        "entry 6: 'name' goes with an entry without an id only",
        "entry 7: there is no key or task 'aa'; did you mean 'a'?",
        "entry 9: 5000 is not a priority",
        "entry 10: the key 'a' stands in entry 1 already",
        "entry 11: '..' cannot name an agent: it may not begin with `-` or `.`, end with `.`, or"
        " contain `..`",
    ]


def test_new_tasks_that_wait_for_one_another_are_refused(build: Orchestrator) -> None:
    with changes_nothing(build), pytest.raises(BadInput) as caught:
        apply(
            build,
            {"key": "a", "title": "A", "needs": "b"},
            {"key": "b", "title": "B", "needs": "a"},
            {"key": "c", "title": "C", "needs": "b"},
        )
    assert caught.value.details["problems"] == [
        "entry 1 -> entry 2 -> entry 1: these wait for one another"
    ]


def test_a_problem_of_many_entries_is_reported_once_with_the_command_that_solves_it(
    build: Orchestrator,
) -> None:
    entries = [{"title": str(number), "workstream": "new one"} for number in range(5)]
    with changes_nothing(build), pytest.raises(UsageError) as caught:
        build.batch.apply(entries)
    assert caught.value.message == (
        "The batch cannot be taken: entry 1, entry 2, entry 3 and 2 more:"
        " There is no workstream 'new one'"
    )
    assert caught.value.details["problems"] == [
        f"entry {number}: There is no workstream 'new one'" for number in range(1, 6)
    ]
    assert "`ws create 'new one'`" in caught.value.hint


def test_a_dry_run_shows_what_would_be_done_and_changes_nothing(build: Orchestrator) -> None:
    with changes_nothing(build), build.rehearsal():
        assert len(apply(build, {"title": "A"}).added) == 1


def test_a_batch_of_nothing_is_refused(build: Orchestrator) -> None:
    with pytest.raises(UsageError):
        apply(build)


def test_null_is_not_given_and_empty_clears(build: Orchestrator) -> None:
    done = apply(build, {"title": "A", "labels": ["x"], "due": None, "acceptance": "y"})
    apply(build, {"id": done.added[0], "labels": [], "acceptance": None})
    task = build.tasks.get(done.added[0])
    assert (task.labels, task.acceptance) == ((), "y")


def test_a_command_of_a_check_is_one_text_with_its_blanks(build: Orchestrator) -> None:
    done = apply(
        build, {"title": "A", "verify": "make test", "review": True, "verify_timeout": "5m"}
    )
    checks = build.tasks.get(done.added[0]).checks
    assert checks is not None
    assert (checks.verify, checks.review, checks.timeout) == (("make test",), True, 300.0)


# JSON


def test_json_is_a_list_or_an_object_with_the_workstream_of_all(build: Orchestrator) -> None:
    build.workstreams.create("other")
    build.batch.apply(entries_of('{"workstream":"other","tasks":[{"title":"A"}]}'))
    read(build, '[{"title":"B"},{"title":"C","workstream":"other"}]')
    assert [(t.title, t.workstream) for t in build.tasks.all()] == [
        ("A", "other"),
        ("B", "build"),
        ("C", "other"),
    ]


@pytest.mark.parametrize(
    "text", ["{}", '{"tasks":5}', '{"tasks":[],"foo":1}', "[NaN]", '{"tasks":[],"tasks":[]}', "[", "{x"]
)  # fmt: skip
def test_json_that_is_not_a_batch_is_refused(build: Orchestrator, text: str) -> None:
    with changes_nothing(build), pytest.raises(UsageError):
        read(build, text)


def test_an_entry_that_is_not_an_object_is_a_problem(build: Orchestrator) -> None:
    assert problems(build, '[5, {"title": 5}, {"titel": "x"}]') == [
        "entry 1: it is not an object",
        "entry 2: title is not a text",
        "entry 3: 'titel' is not a field here; did you mean 'title'?",
    ]


# Markdown


PLAN = """\
# Version 2 {workstream: build, priority: 3}

Prose is not a task.

## Payment {key: pay, labels: "ui, web"}

What is *below* a heading.

- [ ] Ask the bank {key: bank, assign: ann}
* Build the form {needs: [bank], due: 2027-01-02}
  The form:

      indented

  ```
  - not an item
  ```
  1. Nested {estimate: 90, related: pay}
- Wait {} {}

---

### Deeper ###
- Below

## Another #1
"""


def test_headings_and_items_are_tasks_and_what_is_nested_is_a_part(build: Orchestrator) -> None:
    done = build.batch.apply(entries_of(PLAN, "plan.md"))
    tasks = by_title(build)
    assert [*tasks] == [
        "Payment", "Ask the bank", "Build the form", "Nested", "Wait {}", "Deeper", "Below", "Another #1",
    ]  # fmt: skip
    parents = {
        title: task.parent and build.tasks.get(task.parent).title for title, task in tasks.items()
    }
    assert parents == {
        "Payment": None,
        "Ask the bank": "Payment",
        "Build the form": "Payment",
        "Nested": "Build the form",
        "Wait {}": "Payment",
        "Deeper": "Payment",
        "Below": "Deeper",
        "Another #1": None,
    }
    assert {task.priority for task in tasks.values()} == {3}
    assert tasks["Payment"].labels == ("ui", "web")
    assert tasks["Build the form"].needs == (done.keys["bank"],)
    assert tasks["Nested"].estimate == 90
    assert tasks["Nested"].links == (Link("related", tasks["Payment"].id),)
    assert done.assigned == {done.keys["bank"]: "ann"}


def test_text_below_is_the_description_without_its_indent(build: Orchestrator) -> None:
    build.batch.apply(entries_of(PLAN))
    tasks = by_title(build)
    assert tasks["Payment"].description == "What is *below* a heading."
    assert tasks["Build the form"].description == (
        "The form:\n\n    indented\n\n```\n- not an item\n```"
    )
    assert tasks["Ask the bank"].description == ""


def test_every_problem_of_a_markdown_file_is_reported_with_its_line(build: Orchestrator) -> None:
    text = (
        "# All {due: 3d, priority: 2}\n"
        "- [x] Done before\n"
        "- A {prio: 1}\n"
        "- B {needs: [a, &x b]}\n"
        "- C {key: c, key: d}\n"
        "- D {description: one}\n  two\n"
        "- E\n  - F {parent: x}\n"
        "- G {title: H}\n"
        "- I {needs: nope}\n"
    )
    messages = problems(build, text)
    assert messages == [
        "line 1: 'due' cannot be set for all tasks: only workstream, type, priority, labels, assign",
        "line 2: it is ticked off; take the line out, or untick it",
        "line 3: 'prio' is not a field here; did you mean 'priority'?",
        "line 4: the braces cannot be read: it has an anchor or alias",
        "line 5: the braces cannot be read: it has the key 'key' twice, again",
        "line 6: it has two descriptions",
        "line 9: it stands inside another entry and names a parent",
        "line 10: it has two titles",
        "line 11: there is no key or task 'nope'",
    ]


def test_an_item_with_an_id_edits_and_takes_new_parts(build: Orchestrator) -> None:
    old = build.tasks.add("build", title="Old")
    read(build, f"- Renamed {{id: {old.id}}}\n  - Part\n- {{id: {old.id}, priority: 1}}\n")
    task = build.tasks.get(old.id)
    assert (task.title, task.priority) == ("Renamed", 1)
    assert by_title(build)["Part"].parent == old.id


def test_tabs_and_windows_line_ends_are_read_and_kept_inside_of_lines(build: Orchestrator) -> None:
    read(build, "- A\r\n\t- B\r\n\t\tx\ty\r\n")
    tasks = by_title(build)
    assert tasks["B"].parent == tasks["A"].id
    assert tasks["B"].description == "x\ty"
