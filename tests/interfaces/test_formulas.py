"""The command line of formulas and workflows."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from orchestrator.interfaces.cli import rendering
from orchestrator.interfaces.cli.layout import columns

from .conftest import CommandLine
from .terminal import at_terminal
from .test_work import files

REAL = Path(__file__).parents[1] / "data" / "formulas"
SHIPPED = {
    "feature": ("feature=Login",),
    "bugfix": ("bug=It hangs",),
    "release": ("version=1.2.0",),
    "review": ("target=main",),
    "research": ("question=Why",),
}


@pytest.fixture(autouse=True)
def _no_formulas_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def given(values: tuple[str, ...]) -> list[str]:
    return [word for value in values for word in ("--var", value)]


@pytest.fixture
def root(cli: CommandLine, tmp_path: Path) -> str:
    cli("ws", "create", "build")
    shutil.copytree(REAL, tmp_path / "board" / "formulas")
    poured = cli("f", "pour", "shiny", "--var", "feature=Login", "--ws", "build", "--json")
    return str(poured.json["root"]["id"])


def test_the_shipped_formulas_are_found_on_any_board(cli: CommandLine) -> None:
    listed = cli("formula", "list", "--json").json
    assert {entry["name"] for entry in listed} == set(SHIPPED)
    assert all(entry["where"] == "shipped" and not entry["problem"] for entry in listed)
    assert cli("f", "ls").lines[0].split() == ["formula", "type", "steps", "from", "what", "for"]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_formula_is_sound_and_can_be_poured_and_worked(
    cli: CommandLine, name: str
) -> None:
    report = cli("formula", "validate", name, "--json").json["formulas"][0]
    assert report == {"formula": name, "valid": True, "problems": [], "warnings": []}
    root = cli("formula", "pour", name, *given(SHIPPED[name]), "--json").json["root"]["id"]
    for signal in ("approved", None):
        while (taken := cli("t", "next", "--agent", "ann", "--json", status=None)).status == 0:
            cli("t", "complete", taken.json["id"], "ok", "--agent", "ann")
        if signal and cli("t", "show", root, "--json").json["status"] != "done":
            cli("t", "signal", f"{root}.approval", signal, "--agent", "boss")
    assert cli("t", "show", root, "--json").json["status"] == "done"


@pytest.mark.parametrize("name", sorted(path.name.split(".")[0] for path in REAL.iterdir()))
def test_every_real_formula_pours_unchanged(cli: CommandLine, root: str, name: str) -> None:
    values = {"version": "1.2.3", "problem": "Too slow", "pr": "7", "feature": "Login"}
    needed = {
        "gastown-release": ("version",),
        "mol-idea-to-plan": ("problem",),
        "code-review": ("pr",),
    }
    wanted = needed.get(name, ("feature",) if name.startswith("shiny") else ())
    words = given(tuple(f"{key}={values[key]}" for key in wanted))
    cooked = cli("formula", "cook", name, *words, "--json").json
    assert cooked["formula"] == name
    poured = cli("formula", "pour", name, *words, "--json").json
    ids = [f"{poured['root']['id']}.{step['id']}" for step in cooked["steps"]]
    assert [step["id"] for step in poured["steps"]] == ids


def test_show_draws_the_steps(cli: CommandLine, root: str) -> None:
    page = cli("formula", "show", "shiny-secure").out
    assert "implement-security-prescan: Security prescan for implement (after design)" in page
    drawn = cli("formula", "show", "shiny", "--format", "mermaid").lines
    assert drawn[0] == "flowchart TD"
    assert drawn[1] == '  s1["design#58; Design #123;#123;feature#125;#125;"]'
    assert drawn[-1] == "  s4 --> s5"
    feature = cli("formula", "show", "shiny", "--json").json["variables"]["feature"]
    assert feature["required"]
    assert feature["at"].endswith("shiny.formula.toml: vars.feature")


def test_an_indented_table_fits_the_terminal(cli: CommandLine, tmp_path: Path) -> None:
    cli("--board", str(tmp_path / "other"), "ws", "create", "build")
    page = at_terminal(tmp_path / "other", "formula", "show", "release")
    rows = page.partition("Variables:")[2].partition("Steps:")[0].splitlines()[1:]
    assert all(columns(row) <= 80 for row in rows)
    assert len(rows) > 4, "sentences are wrapped"
    assert "…" not in page


def test_missing_and_wrong_values_are_reported_with_their_place(
    cli: CommandLine, root: str
) -> None:
    missing = cli("formula", "cook", "shiny", "--json", status=2)
    assert missing.error["code"] == "bad_formula"
    assert "--var feature=VALUE" in missing.error["problems"][0]
    assert cli("formula", "cook", "../shiny", "--json", status=2).error["code"] == "bad_name"
    assert cli("f", "cook", "shin", "--json", status=1).error["code"] == "formula_not_found"


def test_validate_reports_all_problems(cli: CommandLine, root: str, tmp_path: Path) -> None:
    bad = tmp_path / "board" / "formulas" / "bad.formula.toml"
    bad.write_text('[[steps]]\nid = "a"\ntitel = "\\u001b[31mx"\nneeds = ["b"]\n')
    shown = cli("formula", "validate", "bad", status=2)
    assert shown.lines == [
        "bad: wrong",
        "  bad.formula.toml: steps[0] (a): unknown key 'titel'; did you mean 'title'?",
        "  bad.formula.toml: steps[0] (a): needs: there is no step 'b'",
    ]
    assert cli("formula", "validate", status=2).lines[-1].endswith(": ok")
    assert any("bad" in line and "unknown key" in line for line in cli("f", "ls").lines)


def test_values_come_from_files_too(cli: CommandLine, root: str, tmp_path: Path) -> None:
    for name, text in (
        ("v.json", '{"feature": "One"}'),
        ("v.toml", 'feature = "One"'),
        ("v.env", "# names\nfeature = One\n"),
    ):
        file = tmp_path / name
        file.write_text(text)
        cooked = cli("f", "cook", "shiny", "--vars-file", str(file), "--json").json
        assert cooked["steps"][0]["title"] == "Design One"
        both = cli("f", "cook", "shiny", "--vars-file", str(file), "--var", "feature=Two", "--json")
        assert both.json["steps"][0]["title"] == "Design Two"
    assert cli("f", "cook", "shiny", "--var", "feature", status=2).err


def test_complete_continue_claims_the_next_step_and_reports_the_end(
    cli: CommandLine, root: str
) -> None:
    ann = ("--agent", "ann")
    cli("t", "claim", f"{root}.design", *ann)
    first = cli("t", "complete", f"{root}.design", "done", "--continue", *ann)
    assert first.lines == [
        "Completed: Design Login (1 of 5 steps ended)",
        f"Claimed next step: {root}.implement - Implement Login",
    ]
    advanced = cli("t", "complete", f"{root}.implement", "x", "--continue", "--json", *ann).json
    assert (advanced["completed"]["status"], advanced["next"]["id"]) == ("done", f"{root}.review")
    for step in ("review", "test"):
        cli("t", "complete", f"{root}.{step}", "x", "--continue", *ann)
    last = cli("t", "complete", f"{root}.submit", "x", "--continue", *ann)
    assert last.lines[-1] == f"Workflow {root} is complete."


def test_current_and_progress_show_where_it_stands(cli: CommandLine, root: str) -> None:
    cli("t", "next", "--agent", "ann")
    assert cli("f", "current", root).lines == [
        f"[pending] {root}: shiny: feature=Login (0 of 5 steps ended)",
        "  at work:",
        f"    [in_progress] {root}.design: Design Login -> ann",
        "  waiting:",
        f"    [pending] {root}.implement: Implement Login",
        f"      needs {root}.design, which is in_progress",
        f"    [pending] {root}.review: Review implementation",
        f"      needs {root}.implement, which is waiting",
        f"    [pending] {root}.test: Test Login",
        f"      needs {root}.review, which is waiting",
        f"    [pending] {root}.submit: Submit for merge",
        f"      needs {root}.test, which is waiting",
    ]
    assert cli("f", "current", "--agent", "ann", "--json").json[0]["workflow"]["root"] == root
    assert cli("f", "current", "--agent", "bob", "--json").json[0]["workflow"]["root"] == root
    standing = cli("f", "progress", f"{root}.test", "--json").json
    assert (standing["total"], standing["percent"], len(standing["steps"])) == (5, 0, 5)
    assert cli("f", "progress").lines[1].split()[0] == root


def test_sling_takes_a_task_first_then_a_formula(cli: CommandLine, root: str) -> None:
    cli("sling", f"{root}.design", "ann", "--agent", "boss")
    slung = cli("sling", "shiny", "bob", "--var", "feature=X", "--agent", "boss")
    assert slung.lines[0].startswith("Slung to bob: workflow ")
    assert cli("sling", "nothing", "bob", "--json", "--agent", "boss", status=1).error["code"] == (
        "task_not_found"
    )


def test_wisps_are_squashed_and_burned_and_not_exported(
    cli: CommandLine, root: str, tmp_path: Path
) -> None:
    wisp = cli("f", "wisp", "rule-of-five", "--json").json["root"]["id"]
    cli("export", "beads", str(tmp_path / "issues.jsonl"))
    ids = {json.loads(line)["id"] for line in (tmp_path / "issues.jsonl").read_text().splitlines()}
    assert root in ids
    assert not any(entry.startswith(wisp) for entry in ids)
    assert (
        cli("f", "squash", wisp, "--summary", "All well").lines[0] == f"Squashed {wisp} (5 steps)"
    )
    assert cli("t", "show", wisp, "--json").json["status"] == "done"
    other = cli("f", "wisp", "rule-of-five", "--json").json["root"]["id"]
    assert cli("f", "burn", other).out == f"Burned {other} (5 steps)\n"
    assert cli("t", "show", other, status=1).err
    assert cli("f", "burn", root, "--json", status=1).error["code"] == "not_ephemeral"


def test_cook_pour_export_gives_the_same_steps_edges_and_texts(
    cli: CommandLine, root: str, tmp_path: Path
) -> None:
    cooked = cli("f", "cook", "shiny", "--var", "feature=Login", "--json").json["steps"]
    cli("export", "beads", str(tmp_path / "issues.jsonl"))
    issues = [json.loads(line) for line in (tmp_path / "issues.jsonl").read_text().splitlines()]
    exported = {
        issue["id"].removeprefix(f"{root}."): (
            issue["title"],
            issue["description"],
            issue.get("acceptance_criteria", ""),
            {
                link["depends_on_id"].removeprefix(f"{root}.")
                for link in issue["dependencies"]
                if link["type"] == "blocks"
            },
            {
                link["depends_on_id"]
                for link in issue["dependencies"]
                if link["type"] == "parent-child"
            },
        )
        for issue in issues
        if issue["id"] != root
    }
    assert exported == {
        step["id"]: (
            step["title"], step["description"], step["acceptance"], set(step["needs"]), {root}
        )
        for step in cooked
    }  # fmt: skip


def test_distill_writes_a_formula_that_cooks_to_the_same(cli: CommandLine, root: str) -> None:
    kept = ("id", "title", "description", "needs", "acceptance", "type")
    written = cli("f", "distill", root, "mine", "--var", "feature=Login")
    assert written.out.startswith("Wrote formula mine: ")
    mine = cli("f", "cook", "mine", "--var", "feature=Search", "--json").json["steps"]
    theirs = cli("f", "cook", "shiny", "--var", "feature=Search", "--json").json["steps"]
    assert [[s[key] for key in kept] for s in mine] == [[s[key] for key in kept] for s in theirs]
    assert cli("f", "distill", root, "mine", "--json", status=1).error["code"] == "formula_exists"
    assert "comes before the formula" in cli("f", "distill", root, "release").err


def test_distill_puts_variables_in_place_of_whole_words_that_are_there(
    cli: CommandLine, root: str
) -> None:
    cli("t", "edit", f"{root}.design", "--title", "Login, not LoginPage")
    text = cli("f", "distill", root, "mine", "--var", "page=Login", "--dry-run").out
    assert '"{{page}}, not LoginPage"' in text
    refused = cli("f", "distill", root, "mine", "--var", "page=Nowhere", status=2).err
    assert "contains 'Nowhere', so page has no use" in refused


def test_bond_takes_workflows_and_formulas(cli: CommandLine, root: str) -> None:
    bonded = cli("f", "bond", root, "bugfix", "--var", "bug=x", "--json").json
    assert bonded["first"] == root
    assert cli("t", "show", bonded["then"], "--json").json["needs"] == [root]
    refused = cli("f", "bond", root, "nothing", status=1).err
    assert "no task 'nothing', and there is no formula of this name" in refused


@pytest.mark.parametrize(
    "words",
    [
        ("formula", "pour", "shiny", "--var", "feature=x"),
        ("formula", "pour", "rule-of-five", "--on", "ROOT.design"),
        ("formula", "wisp", "rule-of-five"),
        ("formula", "bond", "ROOT", "bugfix", "--var", "bug=x"),
        ("formula", "distill", "ROOT", "new"),
        ("formula", "squash", "WISP"),
        ("formula", "burn", "WISP"),
        ("sling", "shiny", "ann", "--var", "feature=x"),
    ],
)
def test_a_dry_run_leaves_every_file_byte_for_byte(
    cli: CommandLine, tmp_path: Path, root: str, words: tuple[str, ...]
) -> None:
    wisp = cli("f", "wisp", "rule-of-five", "--json").json["root"]["id"]
    line = [word.replace("ROOT", root).replace("WISP", wisp) for word in words]
    before = files(tmp_path / "board")
    cli(*line, "--dry-run", "--agent", "boss")
    assert files(tmp_path / "board") == before


def test_texts_of_formulas_are_shown_escaped(cli: CommandLine, root: str, tmp_path: Path) -> None:
    evil = tmp_path / "board" / "formulas" / "evil.formula.toml"
    text = "\\u001b[2J\\u202e"
    evil.write_text(
        f'description = "{text}"\n[vars.v]\ndescription = "{text}"\ndefault = "{text}"\n'
        f'[[steps]]\nid = "a"\ntitle = "{text}{{{{v}}}}"\n[[steps.gate]]\ntype = "{text}"\n'
    )
    lines = [("list",), ("show", "evil"), ("cook", "evil"), ("pour", "evil"), ("validate", "evil")]
    lines += [("show", "evil", "--format", "mermaid"), ("current",), ("progress",)]
    for words in lines:
        shown = cli("formula", *words)
        for out in (shown.out, shown.err):
            assert "\x1b" not in out
            assert "\u202e" not in out


def test_pouring_shows_how_far_it_is(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "_PATIENCE", 0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    shown = cli("formula", "pour", "feature", "--var", "feature=Login").err
    assert "Compiling steps" in shown
    assert "Adding steps" in shown
    assert cli("formula", "pour", "feature", "--var", "feature=Login", "--json").err == ""


def test_a_batch_shows_how_far_it_is(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("ws", "create", "build")
    (tmp_path / "batch.json").write_text('[{"title":"A"},{"title":"B"}]')
    monkeypatch.setattr(rendering, "_PATIENCE", 0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert "Adding tasks" in cli("t", "batch", str(tmp_path / "batch.json"), "--ws", "build").err
