"""``t edit ID`` without options at a terminal: the task as a text in the user's editor."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.interfaces.cli import task_editor

from .conftest import CommandLine
from .terminal import in_terminal
from .test_commands import added

Editor = Callable[..., None]


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Editor:
    """Set an editor that replaces texts in the file, each once, and exits with a status."""
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


def test_a_text_for_a_list_is_split_at_commas_unless_its_items_are_lines(
    cli: CommandLine, editor: Editor
) -> None:
    task = added(cli, "Ship v1", "--labels", "ui", "--verify", "true", "--touches", "git")
    editor(
        ("labels:\n- ui", "labels: a, b"),
        ("verify:\n- 'true'", "verify: echo a, b"),
        ("touches:\n- git", "touches: 'src/{a,b}.py, git'"),
    )
    cli("t", "edit", task, "--reason", "wanted")
    record = cli("t", "show", task, "--json").json
    assert (record["labels"], record["touches"]) == (["a", "b"], ["src/{a,b}.py", "git"])
    assert record["checks"]["verify"] == ["echo a, b"]


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


@pytest.mark.parametrize(
    ("line", "pair"),
    [
        ("--title Other", ("title: Ship", "title: Sink")),
        ("--labels ui,api", ("- ui", "- web")),
        ("--description Other", ("All of it.", "Half of it.")),
    ],
)
def test_a_fact_that_another_agent_changed_meanwhile_is_not_overwritten(
    cli: CommandLine,
    editor: Editor,
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    pair: tuple[str, str],
) -> None:
    task = added(cli, "Ship", "--labels", "ui", "--description", "All of it.")
    run_editor = task_editor._run_editor

    def edit_meanwhile(path: str) -> None:
        run_editor(path)
        cli("t", "edit", task, *words)

    monkeypatch.setattr(task_editor, "_run_editor", edit_meanwhile)
    editor(pair)
    words = line.split()
    refused = cli("t", "edit", task, status=1)
    assert re.search(r"Error: Line \d+: \w+ was changed meanwhile", refused.err)
    assert "The text is kept in" in refused.err
    assert cli("events", "--type", "task.edited", "--json").json[1:] == []
    editor(("type: task", "type: bug"))
    words = ["--priority", "1"]
    cli("t", "edit", task)
    record = cli("t", "show", task, "--json").json
    assert (record["type"], record["priority"]) == ("bug", 1)


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


# At a real terminal


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], str]:
    """Make an editor from lines of Python, with the file in ``path`` and its text in ``text``."""

    def make(lines: str) -> str:
        file = tmp_path / "an editor.py"
        begin = "import sys\npath = sys.argv[-1]\ntext = open(path, encoding='utf-8').read()\n"
        check = "assert sys.stdin.isatty() and sys.stdout.isatty()\n"
        file.write_text(begin + check + lines)
        return f"{sys.executable} '{file}'"

    return make


SAVED = "open(path, 'w', encoding='utf-8').write(text.replace('Ship v1', {!r}))\n"


@pytest.fixture
def board(tmp_path: Path) -> Path:
    return tmp_path / "board"


@pytest.fixture
def task(cli: CommandLine) -> str:
    return added(cli, "Ship v1", "--description", "All of it.")


def kept_texts(board: Path) -> list[str]:
    return [path.read_text(encoding="utf-8") for path in board.glob("orc-*.md")]


@pytest.mark.needs("pty")
def test_what_is_saved_in_a_terminal_is_applied(
    board: Path, cli: CommandLine, task: str, script: Callable[[str], str]
) -> None:
    editor = script("print('in the editor')\n" + SAVED.format("Ship v2"))
    shown = in_terminal(board, "t", "edit", task, editor=editor)
    assert shown == (0, "in the editor\nEdited: Ship v2\n")
    assert cli("t", "show", task, "--json").json["title"] == "Ship v2"
    assert kept_texts(board) == []


@pytest.mark.needs("pty")
@pytest.mark.parametrize("lines", ["", SAVED.format("Ship v1")])
def test_a_text_that_is_left_in_a_terminal_changes_nothing(
    board: Path, cli: CommandLine, task: str, script: Callable[[str], str], lines: str
) -> None:
    before = cli("events", "--json").out
    status, text = in_terminal(board, "t", "edit", task, editor=script(lines))
    assert (status, text.splitlines()[-1]) == (0, "Nothing changed: it was so before.")
    assert cli("events", "--json").out == before
    assert kept_texts(board) == []


@pytest.mark.needs("pty")
@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (
            "open(path, 'w').write(text.replace('title: ', 'title: [') + 'Mine')\n",
            "is not valid YAML",
        ),
        ("open(path, 'w').write('Mine')\n", "frontmatter is missing"),
        ("open(path, 'w').write(text.replace('title: ', 'titel: ') + 'Mine')\n", "'titel'"),
        ("open(path, 'wb').write(b'---\\ntitle: \\xff\\n---\\nMine')\n", "UTF-8"),
        ("open(path, 'w').write(text + 'Mine')\nsys.exit(3)\n", "ended with status 3"),
        (
            "open(path, 'w').write(text + 'Mine')\nimport os\nos.kill(os.getpid(), 9)\n",
            "ended with",
        ),
    ],
    ids=["broken", "missing", "unknown", "bytes", "fails", "killed"],
)
def test_what_goes_wrong_in_a_terminal_changes_nothing_and_loses_no_text(
    board: Path,
    cli: CommandLine,
    task: str,
    script: Callable[[str], str],
    lines: str,
    problem: str,
) -> None:
    before = cli("events", "--json").out
    status, text = in_terminal(board, "t", "edit", task, editor=script(lines))
    assert status == 2
    assert problem in text
    (path,) = board.glob("orc-*.md")
    assert f"The text is kept in {path}." in text
    assert b"Mine" in path.read_bytes()
    assert cli("events", "--json").out == before


@pytest.mark.needs("pty")
@pytest.mark.parametrize("editor", ["no-such-editor", "'"])
def test_an_editor_that_cannot_be_started_is_named(board: Path, task: str, editor: str) -> None:
    status, text = in_terminal(board, "t", "edit", task, editor=editor)
    assert status == 2
    assert "cannot be started" in text
    assert "nothing changed" in text
