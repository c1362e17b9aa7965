"""``orc t label``, ``move``, ``delete`` on the command line."""

from .conftest import CommandLine
from .test_commands import added


def test_labels_are_set_on_several_tasks_and_alone_the_group_counts_them(cli: CommandLine) -> None:
    first, second = added(cli), added(cli, "Ship v2")
    assert cli("t", "label").out == "No labels.\n"
    assert cli("t", "label", "add", first, second, "ui").lines == [
        f"{first} (Ship v1): labelled ui",
        f"{second} (Ship v2): labelled ui",
    ]
    assert cli("t", "label", "add", first, "ui").lines[-1] == "Nothing changed: it was so before."
    assert cli("t", "label", "remove", second, "ui").out == (
        f"{second} (Ship v2): not labelled ui any more\n"
    )
    assert cli("t", "label", "--json").json == {"ui": 1}
    both = f"{first},{second}"
    assert cli("t", "label", "add", "--ids", both, "a,b").out.count("labelled a,b") == 2
    assert cli("t", "label", "remove", "a,b", "--ids", both).out.count("not labelled a,b") == 2
    assert cli("t", "label", "--json").json == {"ui": 1}
    assert cli("t", "label", "add", first, status=2).err.startswith("Error: The LABEL is missing")


def test_tasks_move_and_the_answer_names_each(cli: CommandLine) -> None:
    first = added(cli)
    cli("ws", "create", "docs")
    assert cli("t", "move", first, "docs").out == f"{first} (Ship v1): now in docs\n"
    assert [task["workstream"] for task in cli("t", "ls", "--json").json] == ["docs"]


def test_a_deleted_task_is_shown_with_its_end_and_listed_nowhere(cli: CommandLine) -> None:
    first = added(cli)
    assert cli("t", "delete", first, "--reason", "twice").out == f"{first} (Ship v1): deleted\n"
    assert cli("t", "ls", "--json").json == []
    assert cli("t", "show", first).lines[-1].endswith(f"deleted {first} Ship v1: twice")
    assert cli("t", "claim", first, "--agent", "ann", status=1).err.startswith(
        f"Error: Task {first} is deleted\n"
    )
