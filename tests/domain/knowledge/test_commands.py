"""Knowledge: texts by topic, their versions, and the files that people edit."""

from collections.abc import Callable
from pathlib import Path

import pytest
from boards import changes_nothing, code_of
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator import BadInput, NotFound, Orchestrator, Refused
from orchestrator.core.errors import BadName
from orchestrator.domain.knowledge import frontmatter
from orchestrator.domain.knowledge.commands import join, split
from orchestrator.maintenance.doctor import examine


@pytest.fixture
def path(board: Orchestrator) -> Callable[[str], Path]:
    """The file of a topic."""
    assert board.folder is not None
    folder = board.folder
    return lambda topic: Path(folder, "knowledge", f"{topic}.md")


# Writing and reading


@pytest.mark.parametrize(
    "text",
    [
        "# Research\n\nfindings",
        "",
        "\n",
        "no newline",
        "trailing\n\n\n",
        "    indented code\n",
        "a\r\nb\u2028c",
        "text\n---\nmore\n---\nend\n",
    ],
)
@pytest.mark.parametrize("agent", ["ann", None])
def test_a_text_is_read_back_as_it_was_written(orc: Orchestrator, text: str, agent: str | None):
    orc.knowledge.write("findings", text, agent=agent)
    assert orc.knowledge.read("findings") == text


def test_a_topic_that_is_not_there_is_none(orc: Orchestrator):
    assert orc.knowledge.read("findings") is None
    assert orc.knowledge.document("findings") is None


def test_author_and_tags_stand_in_the_frontmatter_of_the_file(
    board: Orchestrator, path: Callable[[str], Path]
):
    board.knowledge.write("findings", "text\n", tags=["x", "y"], agent="ann")
    assert path("findings").read_text() == ("---\nauthor: ann\ntags:\n- x\n- y\n---\n\ntext\n")


def test_a_text_without_author_and_tags_is_the_file_as_it_is(
    board: Orchestrator, path: Callable[[str], Path]
):
    board.knowledge.write("findings", "text\n")
    assert path("findings").read_bytes() == b"text\n"


def test_frontmatter_that_is_given_is_kept_and_tags_last(orc: Orchestrator):
    orc.knowledge.write("findings", "---\nsource: web\ntags: [x]\n---\n\none\n", agent="ann")
    orc.knowledge.write("findings", "two\n", agent="bob")
    document = orc.knowledge.document("findings")
    assert document is not None
    assert (document.text, document.author, document.tags) == ("two\n", "bob", ("x",))
    assert orc.knowledge.write("findings", "three", tags=[]).tags == ()


def test_append_adds_at_the_end_and_begins_a_topic(orc: Orchestrator):
    orc.knowledge.append("findings", "one")
    orc.knowledge.append("findings", "two\n", agent="ann")
    text = orc.knowledge.read("findings")
    assert text is not None
    assert text.split() == ["one", "two"]
    assert text.index("one") < text.index("two")


def test_append_keeps_tags_and_other_frontmatter(orc: Orchestrator):
    orc.knowledge.write("findings", "---\nsource: web\n---\none", tags=["x"], agent="ann")
    orc.knowledge.append("findings", "two", agent="bob")
    document = orc.knowledge.document("findings")
    assert document is not None
    assert (document.author, document.tags) == ("bob", ("x",))
    last = orc.events.read(last=1)[0]
    assert b"source: web" in bytes(last.payload)


def test_history_keeps_every_version_also_behind_a_deletion(orc: Orchestrator):
    for text in ("one", "two", "three"):
        orc.knowledge.write("findings", text, agent="ann")
    orc.knowledge.delete("findings")
    assert [v.text for v in orc.knowledge.history("findings")] == ["one", "two", "three"]
    old = orc.knowledge.document("findings", version=2)
    assert old is not None
    assert (old.text, old.version) == ("two", 2)
    with pytest.raises(NotFound):
        orc.knowledge.document("findings", version=4)
    with pytest.raises(NotFound):
        orc.knowledge.document("findings", version=0)
    with pytest.raises(NotFound):
        orc.knowledge.history("nothing")


def test_a_text_that_changed_meanwhile_is_not_replaced(
    board: Orchestrator, path: Callable[[str], Path]
):
    board.knowledge.write("findings", "One", replaces="", agent="ann")
    first = board.knowledge.document("findings")
    assert first is not None
    with changes_nothing(board):
        with pytest.raises(Refused, match=r"'findings' exists: version 1 is by ann") as refused:
            board.knowledge.write("findings", "Two", replaces="")
        assert refused.value.code == "changed_meanwhile"
    board.knowledge.write("findings", "Two", replaces=first.digest)
    with pytest.raises(Refused, match="changed meanwhile"):
        board.knowledge.write("findings", "Three", replaces=first.digest)
    path("findings").write_text("By hand\n")
    edited = board.knowledge.document("findings")
    assert edited is not None
    assert edited.edited
    second = board.knowledge.document("findings", version=2)
    assert second is not None
    with pytest.raises(Refused, match="changed meanwhile"):
        board.knowledge.write("findings", "Three", replaces=second.digest)
    board.knowledge.write("findings", "Three", replaces=edited.digest)
    assert [version.text for version in board.knowledge.history("findings")] == [
        "One",
        "Two",
        "By hand\n",
        "Three",
    ]
    board.knowledge.delete("findings")
    with pytest.raises(Refused, match="was deleted meanwhile"):
        board.knowledge.write("findings", "Four", replaces=edited.digest)
    board.knowledge.write("findings", "Four", replaces="")


def test_delete_removes_the_file_and_is_refused_the_second_time(
    board: Orchestrator, path: Callable[[str], Path]
):
    board.knowledge.write("findings", "text")
    assert board.knowledge.delete("findings") is True
    assert not path("findings").exists()
    assert board.knowledge.read("findings") is None
    assert [topic.name for topic in board.knowledge.all()] == []
    with changes_nothing(board):
        assert board.knowledge.delete("findings") is False
        assert board.knowledge.delete("nothing") is False


def test_a_deleted_topic_can_be_written_again(board: Orchestrator):
    board.knowledge.write("findings", "one")
    board.knowledge.delete("findings")
    board.knowledge.write("findings", "one")
    assert board.knowledge.read("findings") == "one"
    assert len(board.knowledge.history("findings")) == 2


def test_topics_are_listed_by_name(orc: Orchestrator):
    for topic in ("b", "a", "c"):
        orc.knowledge.write(topic, "text")
    assert [topic.name for topic in orc.knowledge.all()] == ["a", "b", "c"]


def test_search_finds_all_words_in_any_case_the_most_relevant_first(orc: Orchestrator):
    orc.knowledge.write("one", "Locks and leases.\nLocks!")
    orc.knowledge.write("two", "locks, leases, LEASES, locks", tags=["time"])
    orc.knowledge.write("three", "locks only")
    matches = orc.knowledge.search("LEASES locks")
    assert [(match.topic, match.hits) for match in matches] == [("two", 4), ("one", 3)]
    assert matches[1].line == "Locks and leases."
    assert [match.topic for match in orc.knowledge.search("time")] == ["two"]
    assert orc.knowledge.search("") == []


@pytest.mark.parametrize(
    "topic",
    ["", ".", "..", "../x", "a/b", "a\\b", "-x", ".x", "x.", "a b", "a\0", "nul", "é" * 101],
)
def test_names_that_are_not_file_names_are_refused_at_every_door(board: Orchestrator, topic: str):
    with changes_nothing(board):
        for call in (
            lambda: board.knowledge.write(topic, "x"),
            lambda: board.knowledge.append(topic, "x"),
            lambda: board.knowledge.delete(topic),
            lambda: board.knowledge.read(topic),
            lambda: board.knowledge.history(topic),
        ):
            assert code_of(call) == "bad_name"


def test_topics_that_would_be_one_file_on_some_systems_are_refused(orc: Orchestrator):
    orc.knowledge.write("findings", "x")
    orc.knowledge.write("caf\u00e9", "x")
    with changes_nothing(orc):
        assert code_of(lambda: orc.knowledge.write("Findings", "x")) == "bad_name"
        assert code_of(lambda: orc.knowledge.write("cafe\u0301", "x")) == "bad_name"


@pytest.mark.parametrize("text", ["\0", "\ud800", "x" * (4 * 1024 * 1024 + 1)])
def test_a_text_that_cannot_be_kept_is_refused(orc: Orchestrator, text: str):
    with changes_nothing(orc), pytest.raises(BadInput):
        orc.knowledge.write("findings", text)


# Frontmatter


@pytest.mark.parametrize(
    "head",
    [
        "a: !!python/object/apply:os.system [ls]",
        "a: !tag x",
        "a: &anchor x\nb: *anchor",
        "a: 1\na: 2",
        "b: {a: 1, a: 2}",
        "- just\n- a list",
        "? [a]\n: x",
        "a: [",
        "a: {" * 30,
        "a: " + "[" * 5000,
        "x\ty: : :",
    ],
)
def test_frontmatter_of_another_kind_is_a_named_error(orc: Orchestrator, head: str):
    with changes_nothing(orc), pytest.raises(BadInput) as caught:
        orc.knowledge.write("findings", f"---\n{head}\n---\n\ntext")
    assert caught.value.code == "bad_frontmatter"


def test_no_and_012_stay_strings():
    metadata, _ = split("---\na: no\nb: 012\nc: 1.0\nd: null\ne: 2026-01-01\nf: ~\n---\nx")
    assert metadata == {
        "a": "no",
        "b": "012",
        "c": "1.0",
        "d": "null",
        "e": "2026-01-01",
        "f": "~",
    }


words = st.text(
    st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=("Cs",)), max_size=8
)
metadata = st.dictionaries(
    words,
    st.recursive(
        words, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3)
    ),
    max_size=4,
)


@given(metadata=metadata.filter(bool), body=words)
@example(metadata={"": "\xa0"}, body="")
@example(metadata={"": "\x85"}, body="")
@example(metadata={"a": "x\u2028---\u2028y"}, body="\u2028\x0b")
@example(metadata={"a": ["no", "012", "---", "#", "\t", "a: b", "\n\n"]}, body="---\n---\n")
def test_frontmatter_is_read_back_as_it_was_written(metadata: dict[str, object], body: str):
    assert frontmatter.split(frontmatter.join(metadata, body)) == (metadata, body)


@given(text=st.text(st.sampled_from("-ab: \n[{!&*"), max_size=60))
def test_any_text_is_read_or_refused_by_name_and_a_second_pass_changes_nothing(text: str):
    try:
        metadata, body = split(text)
    except BadInput:
        return
    assert split(join(metadata, body)) == (metadata, body) or not metadata


# Files and hand edits


def test_an_edit_by_hand_is_shown_to_readers_and_never_recorded_by_reading(
    board: Orchestrator, path: Callable[[str], Path]
):
    board.knowledge.write("findings", "one", tags=["x"], agent="ann")
    path("findings").write_text("---\nauthor: carl\ntags: [y]\n---\n\nby hand\n")
    with changes_nothing(board):
        document = board.knowledge.document("findings")
        assert document is not None
        assert (document.text.strip(), document.author, document.tags) == (
            "by hand",
            "carl",
            ("y",),
        )
        assert document.edited
        assert [match.topic for match in board.knowledge.search("hand")] == ["findings"]


@pytest.mark.parametrize("command", ["write", "append", "delete"])
def test_an_edit_by_hand_is_adopted_by_the_next_change_of_the_topic(
    board: Orchestrator, path: Callable[[str], Path], command: str
):
    board.knowledge.write("findings", "one")
    path("findings").write_text("by hand\n")
    if command == "delete":
        board.knowledge.delete("findings")
    else:
        getattr(board.knowledge, command)("findings", "two", agent="ann")
    assert [version.text for version in board.knowledge.history("findings")][1] == "by hand\n"
    types = [record.type for record in board.events.read(last=2)]
    assert types == [
        "knowledge.edited",
        f"knowledge.{'deleted' if command == 'delete' else 'written'}",
    ]
    if command == "append":
        assert (board.knowledge.read("findings") or "").split() == ["by", "hand", "two"]


def test_a_file_that_a_person_made_is_a_topic(board: Orchestrator, path: Callable[[str], Path]):
    path("idea").write_text("mine\n")
    with changes_nothing(board):
        assert board.knowledge.read("idea") == "mine\n"
        assert [(t.name, t.versions) for t in board.knowledge.all()] == [("idea", ())]
    board.knowledge.append("idea", "yours", agent="ann")
    assert board.knowledge.history("idea")[0].text == "mine\n"


def test_a_missing_file_is_an_interrupted_write_and_the_log_counts(
    board: Orchestrator, path: Callable[[str], Path]
):
    board.knowledge.write("findings", "one\n")
    path("findings").unlink()
    assert board.knowledge.read("findings") == "one\n"
    board.knowledge.append("findings", "two")
    assert path("findings").read_text().split() == ["one", "two"]


def test_a_file_that_is_the_previous_version_is_an_interrupted_write_and_the_log_counts(
    board: Orchestrator, path: Callable[[str], Path]
):
    board.knowledge.write("findings", "one\n")
    old = path("findings").read_bytes()
    board.knowledge.write("findings", "two\n")
    path("findings").write_bytes(old)
    assert board.knowledge.read("findings") == "two\n"
    board.knowledge.append("findings", "three")
    assert path("findings").read_text().split() == ["two", "three"]
    assert [record.type for record in board.events.read()] == ["knowledge.written"] * 3


@pytest.mark.parametrize("times", [1, 2, 3])
def test_several_interrupted_writes_in_a_row_are_not_edit_by_hand(
    board: Orchestrator, path: Callable[[str], Path], times: int
):
    """Each process was killed after its commit, so the file kept its content from before all of them."""
    board.knowledge.write("findings", "zero\n")
    old = path("findings").read_bytes()
    for number in range(times):
        board.knowledge.write("findings", f"{number}\n")
        path("findings").write_bytes(old)
    document = board.knowledge.document("findings")
    assert document is not None
    assert (document.text, document.edited) == (f"{times - 1}\n", False)
    board.knowledge.append("findings", "more\n")
    assert path("findings").read_text().split() == [str(times - 1), "more"]
    assert not board.events.read(type="knowledge.edited")


def test_a_write_behind_a_deletion_both_interrupted_is_not_an_edit_by_hand(
    board: Orchestrator, path: Callable[[str], Path]
):
    board.knowledge.write("findings", "old\n")
    old = path("findings").read_bytes()
    board.knowledge.delete("findings")
    path("findings").write_bytes(old)
    board.knowledge.write("findings", "new\n")
    path("findings").write_bytes(old)
    assert board.knowledge.read("findings") == "new\n"
    board.knowledge.append("findings", "more\n")
    assert not board.events.read(type="knowledge.edited")


def test_a_file_left_behind_by_an_interrupted_deletion_is_not_shown(
    board: Orchestrator, path: Callable[[str], Path]
):
    board.knowledge.write("findings", "one\n")
    left = path("findings").read_bytes()
    board.knowledge.delete("findings")
    path("findings").write_bytes(left)
    assert board.knowledge.read("findings") is None
    assert board.knowledge.all() == []


def test_an_edit_between_reading_and_writing_is_kept_and_reported(
    board: Orchestrator,
    path: Callable[[str], Path],
    warnings: list[str],
    monkeypatch: pytest.MonkeyPatch,
):
    """The commit lies between reading and writing; an edit at that time must not be lost."""
    board.knowledge.write("findings", "one\n")
    append = board.engine.store.append

    def edit_then_append(*arguments: object) -> object:
        path("findings").write_text("by hand\n")
        return append(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(board.engine.store, "append", edit_then_append)
    board.knowledge.write("findings", "two\n")
    monkeypatch.undo()
    assert path("findings").read_text() == "by hand\n"
    assert any("findings.md was edited meanwhile" in warning for warning in warnings)
    document = board.knowledge.document("findings")
    assert document is not None
    assert document.edited
    board.knowledge.write("findings", "three\n")
    texts = [version.text for version in board.knowledge.history("findings")]
    assert texts == ["one\n", "two\n", "by hand\n", "three\n"]


def test_a_link_in_place_of_a_file_is_refused_and_its_target_unchanged(
    board: Orchestrator, path: Callable[[str], Path], tmp_path: Path
):
    target = tmp_path / "secret"
    target.write_text("secret\n")
    path("findings").symlink_to(target)
    with changes_nothing(board):
        assert code_of(lambda: board.knowledge.write("findings", "x")) == "symlink"
        assert code_of(lambda: board.knowledge.read("findings")) == "symlink"
    assert target.read_text() == "secret\n"


def test_a_file_that_is_not_utf8_is_a_named_error_and_stays(
    board: Orchestrator, path: Callable[[str], Path]
):
    path("findings").write_bytes(b"\xff\xfe")
    with changes_nothing(board), pytest.raises(BadInput):
        board.knowledge.write("findings", "x")
    assert path("findings").read_bytes() == b"\xff\xfe"


def test_two_writes_in_one_transaction_leave_the_last_text_and_both_versions(
    board: Orchestrator, path: Callable[[str], Path]
):
    board.knowledge.write("findings", "zero")
    path("findings").write_text("by hand\n")
    with board.transaction():
        board.knowledge.write("findings", "one")
        board.knowledge.append("findings", "two")
        board.knowledge.write("other", "x")
        board.knowledge.delete("other")
    assert path("findings").read_text().split() == ["one", "two"]
    assert not path("other").exists()
    assert len(board.knowledge.history("findings")) == 4


def test_a_refused_transaction_leaves_the_files_alone(
    board: Orchestrator, path: Callable[[str], Path]
):
    board.knowledge.write("findings", "one")

    def attempt() -> None:
        with board.transaction():
            board.knowledge.write("findings", "two")
            board.tasks.get("00000000")

    with changes_nothing(board), pytest.raises(NotFound):
        attempt()
    assert path("findings").read_text() == "one\n"


# Files that people make


ODD_FILES = {
    "Old Notes": "parser\n",
    "Parser": "parser\n",
    "team/plan": "parser\n",
    "plain": "parser",
    "broken": "---\ntitle: a: b\n---\nparser\n",
    "marked": "\ufeff---\nauthor: ann\ntags: [x]\n---\n\nparser\n",
    "rule": "---\n\nparser\n",
    "rules": "---\n\nparser\n\n---\n\nmore\n",
}


@pytest.fixture
def odd(board: Orchestrator, path: Callable[[str], Path]) -> Orchestrator:
    """A board with odd files as people make them, and a good topic."""
    board.knowledge.write("good", "parser facts", agent="ann")
    path("team/plan").parent.mkdir()
    for topic, text in ODD_FILES.items():
        path(topic).write_bytes(text.encode())
    path("latin").write_bytes("parser: caf\u00e9\n".encode("latin-1"))
    path("binary").write_bytes(b"\xff\xfep\0")
    return board


def test_files_as_people_make_them_are_listed_read_and_searched(odd: Orchestrator):
    readable = {*ODD_FILES, "latin", "good"}
    with changes_nothing(odd):
        assert {topic.name for topic in odd.knowledge.all()} == {*readable, "binary"}
        assert {match.topic for match in odd.knowledge.search("parser")} == readable
        assert {*odd.status().topics} == {*readable, "binary"}
        assert odd.knowledge.read("Old Notes") == "parser\n"
        assert odd.knowledge.read("team/plan") == "parser\n"
        assert odd.knowledge.read("latin") == "parser: caf\u00e9\n"
        assert odd.knowledge.read("broken") == ODD_FILES["broken"]
        assert odd.knowledge.read("rule") == ODD_FILES["rule"]
        assert odd.knowledge.read("rules") == ODD_FILES["rules"]
        marked = odd.knowledge.document("marked")
        assert marked is not None
        assert (marked.text, marked.author, marked.tags) == ("parser\n", "ann", ("x",))
        assert code_of(lambda: odd.knowledge.read("binary")) == "bad_input"


def test_the_doctor_names_the_files_that_are_not_as_they_should_be(odd: Orchestrator):
    findings = [f for f in examine(odd.engine).findings if f.check == "knowledge"]
    assert {finding.level for finding in findings} == {"warning"}
    named = {
        topic for topic in ODD_FILES for f in findings if f.message.count(f"knowledge/{topic}.md")
    }
    assert named == {"Old Notes", "team/plan", "broken", "rules"}
    assert any("latin.md: it is not UTF-8 text" in finding.message for finding in findings)
    assert any("binary.md: it is not UTF-8 text" in finding.message for finding in findings)


def test_a_file_that_is_too_long_for_a_topic_hides_no_other(
    odd: Orchestrator, path: Callable[[str], Path]
):
    with path("huge").open("wb") as file:
        file.truncate(1 << 40)
    assert {match.topic for match in odd.knowledge.search("facts")} == {"good"}
    assert "huge" not in {topic.name for topic in odd.knowledge.all()}
    assert code_of(lambda: odd.knowledge.read("huge")) == "too_long"
    findings = [f for f in examine(odd.engine).findings if f.check == "knowledge"]
    assert any("huge.md is longer than" in finding.message for finding in findings)


def test_a_file_with_a_byte_order_mark_keeps_one_frontmatter(
    odd: Orchestrator, path: Callable[[str], Path]
):
    odd.knowledge.append("marked", "more", agent="bob")
    assert path("marked").read_text() == ("---\nauthor: bob\ntags:\n- x\n---\n\nparser\n\nmore\n")


@pytest.mark.parametrize("topic", ["Old Notes", "team/plan", "broken", "latin"])
def test_a_file_that_could_not_be_written_back_is_not_changed(
    odd: Orchestrator, path: Callable[[str], Path], topic: str
):
    before = path(topic).read_bytes()
    with changes_nothing(odd), pytest.raises((BadInput, BadName)):
        odd.knowledge.append(topic, "more")
    assert path(topic).read_bytes() == before


def test_the_files_of_decisions_are_not_topics(board: Orchestrator):
    board.decisions.add("Locks are leases", decision="So.")
    assert board.knowledge.all() == []


@pytest.mark.parametrize("text", ["text", "text\n", "", "# A\n\n", "a\r"])
def test_a_file_ends_with_a_newline_and_the_text_is_as_it_was_given(
    board: Orchestrator, path: Callable[[str], Path], text: str
):
    board.knowledge.write("findings", text)
    assert board.knowledge.read("findings") == text
    file = path("findings").read_bytes().decode()
    assert file == (text if text.endswith("\n") or not text else f"{text}\n")
    assert [f.level for f in examine(board.engine).findings if f.check == "knowledge"] == ["ok"]


def test_a_text_may_begin_with_a_rule(board: Orchestrator):
    board.knowledge.write("findings", "---\n\nText", agent="ann")
    assert board.knowledge.read("findings") == "---\n\nText"
