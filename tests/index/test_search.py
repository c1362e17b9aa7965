"""Search finds words in every text of the board, the most relevant first; no query is an error."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator import Orchestrator
from orchestrator.index.search import KINDS, TextKind, TextMatch
from orchestrator.stores.memory import MemoryStore


def fill(orc: Orchestrator) -> str:
    """Texts of every kind on a board; returns the task that they are about."""
    orc.workstreams.create("build")
    orc.workstreams.create("docs")
    task = orc.tasks.add(
        "build", title="Write the parser", description="It reads lines", review=True, agent="lead"
    ).id
    orc.tasks.add("docs", title="Describe it", description="What a parser is for", agent="lead")
    orc.tasks.claim(task, agent="ann")
    orc.tasks.note(task, "the parser is slow", agent="ann")
    orc.tasks.complete(task, result="a parser of 200 lines", agent="ann")
    orc.reviews.approve(task, comment="a fine parser", agent="bob")
    orc.knowledge.write("findings", "A parser is a machine", agent="bob")
    orc.decisions.add("The parser is by hand", context="No library fits", agent="bob", task=task)
    orc.goals.create("beta", due="3d", description="The parser is fast", agent="bob")
    orc.mail.send(["ann"], "the parser", "is it ready?", agent="bob")
    orc.events.log("ci", "build.ended", state="parser is green")
    return task


@pytest.fixture
def orc_with_texts(board: Orchestrator) -> Orchestrator:
    fill(board)
    return board


def kinds(matches: list[TextMatch]) -> set[str]:
    return {match.kind for match in matches}


def test_every_kind_of_text_is_found_with_the_index_and_without(
    orc_with_texts: Orchestrator,
) -> None:
    without = orc_with_texts.index.search("parser")
    assert kinds(without) == set(KINDS)
    orc_with_texts.index.build()
    assert orc_with_texts.index.search("parser") == without


def test_on_a_large_board_the_first_search_builds_a_file_that_stays(
    board: Orchestrator, warnings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    board.workstreams.create("build")
    board.tasks.add("build", title="Write the parser")
    monkeypatch.setattr("orchestrator.index.database.LARGE", 3)
    assert len(board.index.search("parser")) == 1
    assert not board.index.status().exists
    assert warnings == []
    board.tasks.add("build", title="Test the parser")
    assert len(board.index.search("parser")) == 2
    assert board.index.status().event == 3
    assert len(warnings) == 1
    assert "The board has 3 events: the search builds" in warnings[0]
    assert len(board.index.search("parser")) == 2
    assert len(warnings) == 1


def test_what_was_written_after_the_index_was_built_is_found(orc_with_texts: Orchestrator) -> None:
    orc_with_texts.index.build()
    orc_with_texts.tasks.add("docs", title="An unheard word: zyzzyva")
    assert [match.title for match in orc_with_texts.index.search("zyzzyva")] == [
        "An unheard word: zyzzyva"
    ]
    orc_with_texts.tasks.add("docs", title="zyzzyva again")
    assert len(orc_with_texts.index.search("zyzzyva", stale=True)) == 1


def test_a_word_in_a_title_counts_more_than_in_a_text(orc: Orchestrator) -> None:
    orc.workstreams.create("build")
    orc.tasks.add("build", title="Another thing", description="which needs the parser badly")
    orc.tasks.add("build", title="The parser", description="which needs another thing badly")
    for number in range(10):
        orc.tasks.add("build", title=f"Task {number}")
    first, second = orc.index.search("parser")
    assert (first.title, second.title) == ("The parser", "Another thing")
    assert first.score > second.score


def test_of_two_equal_texts_the_new_one_comes_first(orc: Orchestrator, clock) -> None:
    orc.workstreams.create("build")
    old = orc.tasks.add("build", title="The parser").id
    for number in range(10):
        orc.tasks.add("build", title=f"Task {number}")
    clock.advance(90 * 86_400)
    new = orc.tasks.add("build", title="The parser").id
    assert [match.key for match in orc.index.search("parser")] == [new, old]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("slow", {"note"}),
        ("SLOW", {"note"}),
        ("slo*", {"note"}),
        ("slo", set()),
        ('"parser is slow"', {"note"}),
        ('"slow is parser"', set()),
        ("slow green", set()),
        ("slow OR green", {"note", "event"}),
        ("parser NOT slow NOT green", {*KINDS} - {"note", "event"}),
        ("parser -slow", {*KINDS} - {"note"}),
        ("-slow", {"note"}),
        ("lines", {"task", "result", "message"}),
        ("zyzzyva", set()),
    ],
)
def test_the_language_of_questions(
    orc_with_texts: Orchestrator, words: str, expected: set[str]
) -> None:
    assert kinds(orc_with_texts.index.search(words)) == expected


def test_an_expression_narrows_the_answer_to_texts_about_tasks_that_pass(
    orc_with_texts: Orchestrator,
) -> None:
    search = orc_with_texts.index.search
    without = search("parser", where="type = task and status = pending")
    assert [match.title for match in without] == ["Describe it"]
    assert kinds(search("parser", where="status = failed")) == set()
    assert "note" in kinds(search("parser", where="status = done", kinds=["note", "task"]))
    orc_with_texts.index.build()
    assert search("parser", where="type = task and status = pending") == without


def test_filters_narrow_the_answer(orc_with_texts: Orchestrator) -> None:
    ask = orc_with_texts.index.search
    some: tuple[TextKind, ...] = ("note", "result")
    assert kinds(ask("parser", kinds=some)) == set(some)
    assert {match.agent for match in ask("parser", agent="bob")} == {"bob"}
    assert {match.title for match in ask("parser", workstream="docs")} == {"Describe it"}
    assert {match.title for match in ask("parser", status=["pending"])} == {"Describe it"}
    assert ask("parser", since="2200-01-01") == []
    assert len(ask("parser", limit=2)) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("日本語の文書を解析する部分です", "解析"),
        ("我们需要一个解析器", "解析器"),
        ("เราต้องการตัวแยกวิเคราะห์", "วิเคราะห์"),
        ("파서를 작성한다", "파서"),
        ("Größe über Straße", "strasse OR straße"),
        ("naïve café", "cafe"),
    ],
)
def test_scripts_without_blanks_are_found_and_the_words_are_marked(
    orc: Orchestrator, text: str, words: str
) -> None:
    orc.workstreams.create("build")
    task = orc.tasks.add("build", title="x", description=f"head {text} tail").id
    [match] = orc.index.search(words)
    assert match.key == task
    [(first, end)] = match.marks
    assert match.snippet[first:end] in text


HARD = [
    '"',
    "'",
    '"""',
    "AND",
    "OR",
    "NOT",
    "NOT NOT a",
    "-",
    "--",
    "*",
    "a*b*",
    "(",
    "NEAR(a b)",
    "^a",
]


@pytest.fixture(scope="module")
def filled() -> Orchestrator:
    orc = Orchestrator(MemoryStore())
    fill(orc)
    return orc


@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from([*HARD, "parser", "title:x", "解", "\0", "\ud800"])).map(" ".join)
)
@example(" ".join(HARD))
@example("a " * 2000)
def test_no_question_is_an_error(filled: Orchestrator, words: str) -> None:
    for match in filled.index.search(words):
        for first, end in match.marks:
            assert 0 <= first < end <= len(match.snippet)


def test_signs_in_a_text_do_not_pass_as_marks(orc: Orchestrator) -> None:
    orc.workstreams.create("build")
    orc.tasks.add("build", title="x", description="the \x02needle\x03 \x03 is\x02 here needle")
    [match] = orc.index.search("needle")
    assert "\x02" not in match.snippet
    assert "\x03" not in match.snippet
