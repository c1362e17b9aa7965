"""``t edit ID`` alone at a terminal: the task as a text in the editor of the user."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.interfaces.cli import task_editor

from .conftest import CommandLine
from .test_commands import added

Editor = Callable[..., None]


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Editor:
    """Set an editor that replaces texts in the file, each once, and ends with a status."""
    monkeypatch.setattr(task_editor, "is_terminal", lambda: True)
    monkeypatch.setattr(sys, "stdin", type("Terminal", (), {"isatty": lambda _: True})())
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(task_editor.tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("VISUAL", raising=False)

    def use(*pairs: tuple[str, str], status: int = 0) -> None:
        script = tmp_path / "an editor; with $signs.py"
        script.write_text(
            "import sys\n"
            "path = sys.argv[-1]\n"
            "text = open(path, encoding='utf-8').read()\n"
            f"for old, new in {pairs!r}:\n"
            "    assert old in text, text\n"
            "    text = text.replace(old, new, 1)\n"
            "open(path, 'w', encoding='utf-8').write(text)\n"
            f"sys.exit({status})\n"
        )
        monkeypatch.setenv("EDITOR", f"{sys.executable} '{script}'")

    return use


def test_only_what_changed_is_applied_and_the_file_is_gone(
    cli: CommandLine, editor: Editor, tmp_path: Path
) -> None:
    task = added(cli, "Ship v1", "--labels", "ui,web", "--description", "All of it.")
    editor(
        ("title: Ship v1", "title: Ship v2"),
        ("- web\n", ""),
        ("priority: 5", "priority: 1"),
        ("All of it.", "All of it,\nand more."),
    )
    assert cli("t", "edit", task).out == "Edited: Ship v2\n"
    record = cli("t", "show", task, "--json").json
    facts = ("title", "labels", "priority", "description")
    assert [record[fact] for fact in facts] == ["Ship v2", ["ui"], 1, "All of it,\nand more."]
    edited = cli("events", "--json", "--last", "1").json[0]
    assert {*edited["payload"]} == {"task", *facts}
    assert [*tmp_path.glob("orc-*")] == []


def test_a_text_that_is_left_as_it_is_changes_nothing(cli: CommandLine, editor: Editor) -> None:
    task = added(
        cli, "Ship: v1", "--acceptance", "a\nb", "--meta", "team=web", "--verify", "true, x",
        "--due", "2999-01-01", "--estimate", "90",
    )  # fmt: skip
    editor()
    assert cli("t", "edit", task).lines[-1] == "Nothing changed: it was so before."
    editor(("acceptance: ", "x-acceptance: "))
    assert "'x-acceptance' is not a fact" in cli("t", "edit", task, status=2).err


def test_an_empty_value_clears_a_fact_and_meta_loses_what_is_removed(
    cli: CommandLine, editor: Editor
) -> None:
    task = added(cli, "Ship", "--acceptance", "All", "--meta", "team=web", "--meta", "risk=high")
    editor(
        ("acceptance: All", "acceptance:"), ("  risk: high\n", ""), ("review: false", "review: yes")
    )
    cli("t", "edit", task)
    record = cli("t", "show", task, "--json").json
    assert (record["acceptance"], record["meta"]) == ("", {"team": "web"})
    assert record["checks"]["review"] is True


@pytest.mark.parametrize(
    ("pair", "line", "what"),
    [
        (("priority: 5", "priority: high!"), "priority:", "Line "),
        (("needs: []", "needs: [ffffffff]"), "needs:", "There is no task 'ffffffff'"),
        (("title: Ship", "title: ''"), "title:", "title"),
        (("type: task", "type: task\ntype: bug"), "type: bug", "twice"),
    ],
)
def test_a_mistake_names_its_line_and_the_text_is_kept(
    cli: CommandLine, editor: Editor, pair: tuple[str, str], line: str, what: str
) -> None:
    task = added(cli, "Ship")
    before = cli("t", "show", task, "--json").json
    editor(pair)
    shown = cli("t", "edit", task, status=None)
    assert shown.status != 0
    path = re.search(r"The text is kept in (\S+)\.$", shown.err, re.MULTILINE)
    assert path is not None, shown.err
    rows = Path(path[1]).read_text().split("\n")
    number = next(n for n, row in enumerate(rows, 1) if row.startswith(line))
    assert re.search(rf"[Ll]ine {number}\b", shown.err), shown.err
    assert what in shown.err
    assert cli("t", "show", task, "--json").json == before


def test_an_editor_that_fails_changes_nothing(
    cli: CommandLine, editor: Editor, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = added(cli, "Ship")
    editor(("title: Ship", "title: Sink"), status=3)
    assert "ended with status 3; nothing changed" in cli("t", "edit", task, status=2).err
    monkeypatch.setenv("EDITOR", "no-such-editor --wait")
    assert "cannot be started" in cli("t", "edit", task, status=2).err
    assert cli("t", "show", task, "--json").json["title"] == "Ship"


def test_without_a_terminal_or_an_editor_a_field_is_needed(
    cli: CommandLine, editor: Editor, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = added(cli, "Ship")
    assert "nothing to change" in cli("t", "edit", task, status=2).err
    editor(("title: Ship", "title: Sink"))
    monkeypatch.setattr(task_editor, "is_terminal", lambda: False)
    assert "nothing to change" in cli("t", "edit", task, status=2).err
