"""Similar tasks, and the note about a similar task when adding one."""

from pathlib import Path

import pytest

from orchestrator import Orchestrator
from orchestrator.index import ranking
from orchestrator.reports import similar
from orchestrator.reports.similar import SAME, likeness, open_twin
from tests.boards import SettableClock


@pytest.fixture
def board(orc: Orchestrator) -> Orchestrator:
    orc.workstreams.create("w")
    return orc


def add(orc: Orchestrator, *titles: str, **facts: object) -> list[str]:
    return [orc.tasks.add("w", title=title, **facts).id for title in titles]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("title", "other", "is_same"),
    [
        ("Write the parser", "write the PARSER.", True),
        ("Write the parser", "Write teh parser", True),
        ("Write the parser", "The parser: write!", True),
        ("Straße bauen", "STRASSE bauen", True),
        ("解析器を書く", "解析器を書く。", True),
        ("Step 3 of the release", "Step 4 of the release", False),
        ("Release v1", "Release v2", False),
        ("Write the parser", "Write the printer", False),
        ("解析器を書く", "印刷機を買う", False),
        ("?!", "?", False),
    ],
)
def test_titles_say_the_same_but_for_a_slip_or_the_order(
    title: str, other: str, is_same: bool
) -> None:
    assert (likeness(title, other) >= SAME) is is_same
    assert likeness(title, other) == pytest.approx(likeness(other, title), abs=0.1)
    assert likeness(title, title) == 1


def test_candidates_are_ranked_by_likeness(board: Orchestrator) -> None:
    parser, _, printer = add(
        board, "Write the parser", "Buy milk", "Write the printer of the parser"
    )
    (ended,) = add(board, "Write a parser")
    board.tasks.cancel(ended)
    ids = lambda *args, **how: [s.task.id for s in board.similar(*args, **how)]  # noqa: E731
    assert ids("write THE parser!") == [parser, ended, printer]
    assert ids(parser) == [ended, printer]
    assert ids(parser[:6], where="open") == [printer]
    assert ids("write the parser", limit=1) == [parser]
    assert ids("Nothing like that") == []
    assert board.similar("Write the parser")[0].likeness == 1


def test_the_same_candidates_with_the_index_and_without(
    tmp_path: Path, clock: SettableClock
) -> None:
    orc = Orchestrator.open(tmp_path / "indexed", now=clock)
    orc.workstreams.create("w")
    titles = (
        "Write the parser",
        "The parser: write!",
        "Write the printer",
        "解析器を書く",
        "Buy milk",
    )
    ids = add(orc, *titles, "解析器を読む", "Write it, the parser", description="The parser")
    orc.tasks.cancel(ids[1])
    questions = [("write the parser", ""), (ids[0], "open"), ("解析器を書く。", ""), ("??", "")]
    without = [orc.similar(text, where=where) for text, where in questions]
    assert [len(answer) for answer in without] == [4, 2, 2, 0]
    orc.index.build()
    assert [orc.similar(text, where=where) for text, where in questions] == without
    with orc.transaction():  # what it adds is in no index
        (new,) = add(orc, "Write the PARSER")
        assert new in [s.task.id for s in orc.similar("write the parser")]


def test_descriptions_count_where_both_have_one(board: Orchestrator) -> None:
    (other,) = add(board, "Handle errors", description="The lexer stops at a stray quote")
    (same,) = add(board, "Handle errors", description="The network drops the connection")
    (task,) = add(board, "Handle errors", description="A stray quote stops the lexer")
    assert [s.task.id for s in board.similar(task)] == [other, same]


def test_letters_are_compared_for_a_bounded_number_of_tasks(
    board: Orchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "CANDIDATES", 5)
    *_, rare = add(board, *(f"the task {n}" for n in range(20)), "the zebra")
    assert len(board.similar("the zebra task", limit=50)) <= 5
    assert board.similar("the zebra task")[0].task.id == rare


def test_an_added_task_has_an_open_twin_among_the_newest(
    board: Orchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, other, new = add(board, "Write the parser", "Write the printer", "write parser the")

    def twin(task: str) -> str | None:
        twin = open_twin(board.engine, board.tasks.get(task))
        return twin.id if twin else None

    assert twin(new) == old
    assert twin(other) is None
    monkeypatch.setattr(similar, "RECENT", 2)
    assert twin(new) is None
    monkeypatch.undo()
    board.tasks.cancel(old)
    assert twin(new) is None


def test_parts_of_different_tasks_may_bear_one_title(board: Orchestrator) -> None:
    first, second = add(board, "First", "Second")
    add(board, "Test", parent=first)
    (part,) = add(board, "Test", parent=second)
    assert open_twin(board.engine, board.tasks.get(part)) is None
    (again,) = add(board, "Test", parent=second)
    assert open_twin(board.engine, board.tasks.get(again)) == board.tasks.get(part)
