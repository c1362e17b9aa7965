"""Decisions: numbered records that read as files, and whose status only commands change."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from boards import changes_nothing, check_law, code_of

from orchestrator import Orchestrator, Refused
from orchestrator.domain.decisions.commands import digest
from orchestrator.domain.decisions.records import split

PATH = "knowledge/decisions/0001-settings-are-toml.md"


def add(orc: Orchestrator, title: str = "Settings are TOML", **texts: str) -> int:
    return orc.decisions.add(title, agent="ann", **texts).number


def document(orc: Orchestrator, path: str = PATH) -> str:
    data = orc.engine.documents.read(path)
    assert data is not None
    return data.decode()


def edit(orc: Orchestrator, old: str, new: str) -> None:
    orc.engine.documents.write(PATH, document(orc).replace(old, new).encode())


def test_a_decision_reads_as_a_record_in_the_usual_form(orc: Orchestrator):
    orc.workstreams.create("build")
    task = orc.tasks.add("build", title="Choose a format").id
    add(orc, context="YAML surprised us.", consequences="One parser less.", task=task[:5])
    day = orc.decisions.get(1).decided_at[:10]
    assert document(orc) == (
        "# 1. Settings are TOML\n\n"
        f"- Status: Accepted\n- Date: {day}\n- By: ann\n- Task: {task}\n\n"
        "## Context\n\nYAML surprised us.\n\n"
        "## Decision\n\nSettings are TOML\n\n"
        "## Consequences\n\nOne parser less.\n"
    )


def test_the_first_decision_upgrades_the_board(orc: Orchestrator):
    orc.events.log("bob", "decision.added", number="one")
    add(orc)
    add(orc, "Names are short")
    types = [record.type for record in orc.events.read()]
    assert types == ["decision.added", "board.upgraded", "decision.added", "decision.added"]
    assert [decision.number for decision in orc.decisions.all()] == [1, 2]


def test_a_decision_is_edited_and_its_history_keeps_every_text(orc: Orchestrator):
    add(orc, decision="TOML.")
    shown = digest(orc.decisions.get(1))
    orc.decisions.edit(1, text="## Decision\n\nTOML, for its comments.", agent="ben")
    assert "## Decision\n\nTOML, for its comments.\n" in document(orc)
    edit(orc, "comments", "comments by hand")
    with changes_nothing(orc):
        assert code_of(lambda: orc.decisions.edit(1, title="A", replaces=shown)) == (
            "changed_meanwhile"
        )
        edited = orc.decisions.get(1)
        assert edited.text == "## Decision\n\nTOML, for its comments by hand.\n"
    orc.decisions.edit(1, title="Settings are files", replaces=digest(edited), agent="ann")
    with changes_nothing(orc):
        orc.decisions.edit(1, title="Settings are files", agent="ann")
    versions = [(v.version, v.title, v.text[13:], v.author) for v in orc.decisions.history(1)]
    assert versions[1:] == [
        (2, "Settings are TOML", "TOML, for its comments.\n", "ben"),
        (3, "Settings are TOML", "TOML, for its comments by hand.\n", "ann"),
        (4, "Settings are files", "TOML, for its comments by hand.\n", "ann"),
    ]
    assert document(orc).startswith("# 1. Settings are files\n")


def test_a_superseded_decision_names_the_newer_one(orc: Orchestrator):
    add(orc)
    add(orc, "Settings are JSON")
    assert orc.decisions.supersede(1, 2).superseded_by == 2
    assert "- Status: Superseded by 0002\n" in document(orc)
    assert [d.status for d in orc.decisions.all()] == ["superseded", "accepted"]
    with changes_nothing(orc):
        assert orc.decisions.supersede(1, 2).superseded_by == 2
    assert code_of(lambda: orc.decisions.supersede(2, 1)) == "illegal_step"
    assert code_of(lambda: orc.decisions.supersede(2, 2)) == "illegal_step"
    assert code_of(lambda: orc.decisions.supersede(2, 3)) == "decision_not_found"
    assert code_of(lambda: orc.decisions.get(3)) == "decision_not_found"


def test_a_hand_edit_is_shown_and_adopted_as_text_by_the_next_change(orc: Orchestrator):
    add(orc)
    add(orc, "Settings are JSON")
    edit(orc, "Settings are TOML\n\n## Cons", "TOML, for its comments.\n\n## Cons")
    edit(orc, "# 1. Settings", "# 1. All settings")
    edit(orc, "Status: Accepted", "Status: Rejected")
    shown = orc.decisions.get(1)
    assert (shown.title, shown.status) == ("All settings are TOML", "accepted")
    assert "TOML, for its comments." in shown.text
    assert "Rejected" not in shown.document
    orc.decisions.supersede(1, 2, agent="bob")
    assert [record.type for record in orc.events.read()][-2:] == [
        "decision.edited",
        "decision.superseded",
    ]
    assert "- Status: Superseded by 0002\n" in document(orc)
    assert "TOML, for its comments." in document(orc)
    assert orc.decisions.get(1).text == shown.text


def test_a_document_whose_writing_was_interrupted_is_not_a_hand_edit(orc: Orchestrator):
    """A process may die between the commit and the file: then the file is missing or old."""
    add(orc)
    add(orc, "Settings are JSON")
    before = document(orc)
    orc.decisions.supersede(1, 2)
    orc.engine.documents.write(PATH, before.encode())
    assert orc.decisions.get(1).status == "superseded"
    orc.engine.documents.delete(PATH)
    assert orc.decisions.get(1).title == "Settings are TOML"


def test_a_file_that_is_not_a_decision_is_never_overwritten(orc: Orchestrator):
    orc.engine.documents.write(PATH, b"mine\n")
    with pytest.raises(Refused) as refused:
        add(orc)
    assert refused.value.code == "document_exists"
    assert document(orc) == "mine\n"
    assert orc.events.read() == []


@pytest.mark.parametrize("title", ["", " ", "a\nb\0", "x" * 501])
def test_a_title_is_a_single_line_that_is_not_empty(orc: Orchestrator, title: str):
    assert code_of(lambda: add(orc, title)) in ("usage", "bad_input")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("# 3. T\n\n- Status: Accepted\n- By: x\n\n## Context\n\nc\n", ("T", "## Context\n\nc\n")),
        ("# T\n\nfree text\n\n", ("T", "free text\n")),
        ("no title\n- Status: x", ("", "no title\n")),
        ("# T\n\n* **Status**: rejected\n- Deciders: bob\n", ("T", "- Deciders: bob\n")),
        ("# T\n\n## Status\n\nRejected\n\n## Context\n\nc\n", ("T", "## Context\n\nc\n")),
        ("# T\n\n## Context\n\nStatus: a word\n", ("T", "## Context\n\nStatus: a word\n")),
        ("", ("", "\n")),
    ],
)
def test_any_text_splits_into_a_title_and_sections(text: str, parts: tuple[str, str]):
    assert split(text) == parts


def test_two_titles_without_letters_get_files_of_their_own(orc: Orchestrator):
    paths = [orc.decisions.add(title).path for title in ("決定", "¿?")]
    assert paths == [f"knowledge/decisions/000{n}-decision.md" for n in (1, 2)]


def test_the_brief_of_its_task_shows_a_decision_that_holds(orc: Orchestrator):
    orc.workstreams.create("build")
    task = orc.tasks.add("build", title="Choose a format").id
    add(orc, context="YAML surprised us.", task=task)
    add(orc, "Settings are JSON", task=task)
    orc.decisions.supersede(1, 2)
    brief = orc.brief(task)
    assert "Settings are JSON" in brief
    assert "decision show 2" in brief
    assert "YAML surprised us." not in brief


def test_numbers_are_drawn_under_the_lock(tmp_path: Path):
    with Orchestrator.open(tmp_path / "board") as first:
        first.decisions.add("The first")
    boards = [Orchestrator.open(tmp_path / "board") for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        added = pool.map(
            lambda orc: [orc.decisions.add("Another").number for _ in range(5)], boards
        )
        numbers = [number for numbers in added for number in numbers]
    assert sorted(numbers) == list(range(2, 22))
    check_law(boards[0])
    for orc in boards:
        orc.close()
    state = msgspec.json.decode((tmp_path / "board" / "state" / "state.json").read_bytes())
    assert len(state["state"]["decisions"]) == 21
