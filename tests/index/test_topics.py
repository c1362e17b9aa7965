"""Briefs and `kb search` rank knowledge like `search`, with an index and without."""

import sqlite3
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator import Orchestrator
from orchestrator.index import board_ranking
from orchestrator.stores.memory import MemoryStore


def found(orc: Orchestrator, words: str) -> list[str]:
    return [match.topic for match in orc.knowledge.search(words)]


def briefed(orc: Orchestrator, task: str) -> list[str]:
    lines = orc.brief(task, budget=100_000).split("\n")
    return [line.split("`")[1] for line in lines if line.startswith("Topic `")]


@pytest.fixture
def by_index(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each ranking, whether it used the index."""
    asked: list[bool] = []
    plain = board_ranking.ranked

    def watched(database: sqlite3.Connection, *arguments: object, **named: object) -> object:
        asked.append(any(row[2] for row in database.execute("PRAGMA database_list")))
        return plain(database, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(board_ranking, "ranked", watched)
    return asked


def write(orc: Orchestrator) -> str:
    """Topics, and other texts with the same words; returns the task that they are for."""
    orc.workstreams.create("build")
    orc.knowledge.write("lexer", "It hands tokens to the parser. " + "Filler. " * 200)
    orc.knowledge.write("parser", "Written by hand.", tags=["grammar"])
    orc.knowledge.write("grammar", "What the parser and the lexer know: LL(1) for the parser.")
    orc.knowledge.write("解析器", "解析器を書く")
    orc.knowledge.write("birds", "They sing.")
    for number in range(30):
        orc.tasks.add("build", title=f"A lexer for language {number}")
    return orc.tasks.add("build", title="Write the parser", description="As 書く says").id


def test_the_same_topics_in_the_same_order_with_the_index_and_without(
    board: Orchestrator, by_index: list[bool]
) -> None:
    task = write(board)
    questions = ("parser", "lexer parser", "pars", "解析", "the", "birds", "nothing")
    without = [briefed(board, task), *(found(board, words) for words in questions)]
    assert without[:2] == [["parser", "grammar", "解析器", "lexer"], ["parser", "grammar", "lexer"]]
    assert not any(by_index)
    by_index.clear()
    board.index.build()
    assert [briefed(board, task), *(found(board, words) for words in questions)] == without
    assert by_index
    assert all(by_index)


def test_kb_search_and_search_agree(board: Orchestrator) -> None:
    write(board)
    board.index.build()
    ranked = [match.key for match in board.index.search("parser", kinds=["knowledge"])]
    assert found(board, "parser") == ranked


def test_what_was_written_since_is_ranked_too(board: Orchestrator) -> None:
    task = write(board)
    board.index.build()
    board.knowledge.write("parser", "Something else: birds.")
    board.knowledge.delete("grammar")
    board.knowledge.write("the-parser", "A parser! " * 3)
    indexed = [briefed(board, task), found(board, "parser"), found(board, "birds")]
    board.index.drop()
    assert [briefed(board, task), found(board, "parser"), found(board, "birds")] == indexed


def test_a_hand_edit_that_no_index_has_is_found(
    board: Orchestrator, tmp_path: Path, by_index: list[bool]
) -> None:
    task = write(board)
    board.index.build()
    assert board.folder
    Path(board.folder, "knowledge", "birds.md").write_text("The parser " * 20, encoding="utf-8")
    Path(board.folder, "knowledge", "Old Notes.md").write_text("My parser", encoding="utf-8")
    assert {"birds", "Old Notes"} <= {*found(board, "parser")}
    assert {"birds", "Old Notes"} <= {*briefed(board, task)}
    assert not any(by_index)


def test_inside_a_transaction_its_own_topics_are_ranked(board: Orchestrator) -> None:
    write(board)
    board.index.build()
    with board.transaction():
        board.knowledge.write("late", "The parser")
        assert "late" in found(board, "parser")


def test_words_in_the_middle_of_others_come_last(orc: Orchestrator) -> None:
    orc.knowledge.write("a", "subparsers " * 5)
    orc.knowledge.write("b", "subparsers parsers")
    orc.knowledge.write("c", "subparsers")
    assert found(orc, "parsers") == ["b", "a", "c"]


def test_short_texts_rare_words_and_names_weigh_more(orc: Orchestrator) -> None:
    orc.workstreams.create("build")
    orc.knowledge.write("long", "payments " + "filler " * 500)
    orc.knowledge.write("short", "payments soon")
    orc.knowledge.write("payments", "how it is done")
    for number in range(9):
        orc.knowledge.write(f"often-{number}", "often done")
    assert briefed(orc, orc.tasks.add("build", title="Payments").id) == [
        "payments",
        "short",
        "long",
    ]
    assert briefed(orc, orc.tasks.add("build", title="Often soon").id)[0] == "short"


def test_a_word_that_all_topics_have_counts_still(orc: Orchestrator) -> None:
    """FTS5 gives no weight to a word that is in half of the texts, and topics are few."""
    orc.workstreams.create("build")
    orc.knowledge.write("parser", "It is fast")
    orc.knowledge.write("lexer", "Faster than the parser, and near it")
    orc.knowledge.write("birds", "They sing like a lexer, nearly")
    assert briefed(orc, orc.tasks.add("build", title="Parser near it").id)[0] == "parser"


@given(
    texts=st.lists(st.text("ab «\"'*-():^猫犬\n", max_size=12), min_size=2, max_size=6),
    words=st.text("ab «\"'*-():^猫犬", max_size=8),
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_words_find_what_contains_them(texts: list[str], words: str) -> None:
    orc = Orchestrator(MemoryStore())
    for number, text in enumerate(texts):
        orc.knowledge.write(f"topic-{number}", text)
    wanted = words.casefold().split()
    having = {
        f"topic-{n}"
        for n, text in enumerate(texts)
        if wanted and all(word in f"topic-{n}\n{text}".casefold() for word in wanted)
    }
    assert {*found(orc, words)} == having
