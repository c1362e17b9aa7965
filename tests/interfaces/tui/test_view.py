"""What a dashboard shows, without a board: rows in order, patches, searches, the lines by number."""

import random

import pytest

from orchestrator.interfaces.tui.view import DashboardView, Heading, Panel, Patch, Row, ViewUpdate


def row(key: str, section: str = "A", order: int = 0, text: str = "", **facts: bool) -> Row:
    return Row(key=key, section=section, order=(order, key), text=text or key, **facts)


def texts(panel: Panel) -> list[str]:
    return [line.text for line in panel.lines()]


@pytest.fixture
def panel() -> Panel:
    panel = Panel("P", ("A", "B"), "Nothing.")
    panel.apply(Patch(panel="P", rows=(row("b", "B"), row("a2", order=2), row("a1", order=1))))
    return panel


def test_rows_stand_in_their_order_below_the_headings_of_sections_that_have_any(panel):
    assert texts(panel) == ["A (2)", "a1", "a2", "B (1)", "b"]
    assert len(panel) == 5
    assert panel.counts == {"A": 2, "B": 1}


def test_a_row_that_changes_moves_to_its_new_place_and_one_that_goes_leaves_none(panel):
    panel.apply(Patch(panel="P", rows=(row("a1", "B", 5),), gone=("a2",)))
    assert texts(panel) == ["B (2)", "b", "a1"]


def test_a_whole_patch_removes_what_it_does_not_have(panel):
    panel.apply(Patch(panel="P", rows=(row("c", "C"),), is_whole=True))
    assert texts(panel) == ["C (1)", "c"]
    panel.apply(Patch(panel="P", is_whole=True))
    assert texts(panel) == ["Nothing."]


def test_the_number_of_a_row_is_that_of_its_line(panel):
    for number, line in enumerate(panel.lines()):
        if isinstance(line, Row):
            assert panel.number(line.key) == number
    assert panel.number("gone") is None
    assert panel.number(None) is None


def test_near_a_heading_the_next_row_is_meant(panel):
    assert panel.near(0) == "a1"
    assert panel.near(3) == "b"
    assert panel.near(3, -1) == "a2"
    assert panel.near(-5, -1) == "a1"
    assert panel.near(99) == "b"
    assert Panel("P", (), "Nothing.").near(0) is None


def test_a_search_shows_rows_with_all_words_in_any_case_and_rows_that_come_later_too(panel):
    panel.search("A")
    assert texts(panel) == ["A (2)", "a1", "a2"]
    panel.search("a 2")
    panel.apply(Patch(panel="P", rows=(row("A22"), row("zzz")), gone=("a1",)))
    assert texts(panel) == ["A (2)", "A22", "a2"]
    assert panel.row("zzz") is None
    assert (panel.found, panel.counts) == (2, {"A": 3, "B": 1})
    panel.search("none of these")
    assert texts(panel) == ['Nothing has "none of these". Esc ends the search.']
    panel.search("")
    assert texts(panel) == ["A (3)", "A22", "zzz", "a2", "B (1)", "b"]


def test_records_of_the_machinery_are_hidden_and_shown_again(panel):
    panel.apply(Patch(panel="P", rows=(row("s", is_system=True),)))
    panel.hide_system(True)
    assert "s" not in texts(panel)
    assert panel.total == 4
    panel.apply(Patch(panel="P", gone=("a1", "a2", "b")))
    assert texts(panel) == ["All of them are system events, which are hidden: `s` shows them."]
    panel.hide_system(False)
    assert "s" in texts(panel)


def test_any_order_of_patches_leaves_what_the_last_ones_have():
    chance = random.Random(5)
    panel, known = Panel("P", ("A", "B", "C"), "Nothing."), {}
    for _ in range(3000):
        key = str(chance.randrange(40))
        if chance.random() < 0.3:
            known.pop(key, None)
            panel.apply(Patch(panel="P", gone=(key,)))
        else:
            known[key] = row(key, chance.choice("ABC"), chance.randrange(5))
            panel.apply(Patch(panel="P", rows=(known[key],)))
        if chance.random() < 0.05:
            panel.search(chance.choice(["", "1", "3"]))
    panel.search("")
    rows = [line for line in panel.lines() if isinstance(line, Row)]
    assert rows == sorted(known.values(), key=lambda row: (row.section, row.order))
    assert sum(isinstance(line, Heading) for line in panel.lines()) == len(panel.counts)


def test_the_summary_begins_with_what_asks_for_the_person():
    view = DashboardView()
    assert view.summary == "No tasks"
    rows = (row("t", "Ready"),)
    patches = Patch(panel="Board", rows=rows), Patch(panel="Permissions", rows=(row("p", ""),))
    mail = Patch(panel="Mail", rows=(row("1", "Unread"),))
    assert view.apply(ViewUpdate(event=3, cycle="", patches=(*patches, mail))) == {
        "Board",
        "Permissions",
        "Mail",
    }
    assert view.summary == "1 request for permission, 1 unread, 1 ready"
    for panel in view.panels.values():
        panel.search("nothing")
    assert view.summary == "1 request for permission, 1 unread, 1 ready", "a search changes none"
