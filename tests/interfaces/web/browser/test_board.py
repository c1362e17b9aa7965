"""The board: where tasks stand, moving them, two people at once, 10,000 tasks."""

import re
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, expect

from orchestrator import Orchestrator
from orchestrator.domain.event_log import as_dict
from tests.interfaces.web import sample_boards
from tests.interfaces.web.process import serving

from .conftest import Opened, Window


def card(page: Page, task: str) -> Locator:
    return page.locator(f'.card[data-task="{task}"]')


def card_in(page: Page, status: str, task: str) -> Locator:
    return page.locator(f'.board-cell[data-status="{status}"]').locator(f'[data-task="{task}"]')


def cell(page: Page, status: str, lane: str = "build") -> Locator:
    return page.locator(f'.board-cell[data-status="{status}"][data-lane="{lane}"]')


def said(page: Page) -> Locator:
    return page.locator(".said")


def grip(page: Page, task: str) -> None:
    """Begin to drag a task."""
    card(page, task).hover()
    page.mouse.down()
    page.mouse.move(400, 120)
    expect(card(page, task)).to_have_class(re.compile("is-dragged"))


def put(page: Page, status: str) -> None:
    """Drop what is dragged."""
    box = cell(page, status).bounding_box()
    assert box
    page.mouse.move(box["x"] + 10, box["y"] + 20)
    page.mouse.move(box["x"] + 12, box["y"] + 22)
    expect(cell(page, status)).to_have_class(re.compile("is-over"))
    page.mouse.up()


def last_event(board: Path, task: str) -> dict[str, Any]:
    with Orchestrator.open(board) as orc:
        events = [as_dict(record) for record in orc.events.read()]
    return [event for event in events if event["payload"].get("task") == task][-1]


def test_a_task_is_dragged_to_what_the_rules_allow_and_else_the_rule_speaks(
    window: Opened, tmp_path: Path
) -> None:
    ids = sample_boards.small(tmp_path / "board")
    with window(tmp_path / "board") as opened:
        page = opened.page
        opened.expect("status of 409")
        grip(page, ids["limits"])
        put(page, "blocked")
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("What stands in the way?").fill("The key is missing")
        dialog.get_by_role("button", name="Move").click()
        expect(card_in(page, "blocked", ids["limits"])).to_be_visible()
        event = last_event(tmp_path / "board", ids["limits"])
        assert (event["type"], event["agent"]) == ("task.blocked", "kim")
        assert event["payload"]["reason"] == "The key is missing"

        grip(page, ids["errors"])
        put(page, "done")
        expect(said(page)).to_contain_text(f"Task {ids['errors']} is pending")
        expect(said(page)).to_contain_text("`complete` is not possible")
        expect(card_in(page, "pending", ids["errors"])).to_be_visible()

        expect(card(page, ids["errors"])).to_contain_text("waits for 1")
        with Orchestrator.open(tmp_path / "board") as orc:
            orc.tasks.complete(ids["parser"], result="It parses", agent="ann")
        expect(card(page, ids["errors"])).not_to_contain_text("waits for")
        opened.accessible()
        opened.look("board")


def test_the_same_by_keys_and_the_focus_goes_with_the_task(window: Opened, tmp_path: Path) -> None:
    ids = sample_boards.small(tmp_path / "board")
    with window(tmp_path / "board") as opened:
        page = opened.page
        card(page, ids["parser"]).get_by_role("link").focus()
        page.keyboard.press("ArrowDown")
        expect(card(page, ids["server"]).get_by_role("link")).to_be_focused()
        page.keyboard.press("ArrowLeft")
        expect(card(page, ids["limits"]).get_by_role("link")).to_be_focused()
        page.keyboard.press("m")
        page.get_by_role("dialog").get_by_role("button", name="Cancelled").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_label("Why is it not wanted any more?")).to_be_focused()
        page.keyboard.type("Nobody asked")
        page.keyboard.press("Enter")
        expect(card_in(page, "cancelled", ids["limits"]).get_by_role("link")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile(f"/tasks/{ids['limits']}$"))


def test_two_people_drag_one_task_and_the_second_hears_who_has_it(
    window: Opened, home: Path, tmp_path: Path
) -> None:
    board = tmp_path / "board"
    ids = sample_boards.small(board)
    with window(board) as kim, serving(board, home, "--port", "0", "--agent", "ann") as server:
        ann = Window(kim.page.context.browser.new_context().new_page(), server, board)
        kim.expect("status of 409")
        ann.page.set_viewport_size({"width": 1280, "height": 800})
        ann.open("/")
        grip(kim.page, ids["implement"])
        grip(ann.page, ids["implement"])
        put(ann.page, "in_progress")
        expect(card_in(ann.page, "in_progress", ids["implement"])).to_contain_text("ann")
        expect(card_in(kim.page, "in_progress", ids["implement"])).to_contain_text("ann")
        put(kim.page, "in_progress")
        expect(said(kim.page)).to_contain_text(f"Task {ids['implement']} is in_progress with ann")
        expect(card_in(kim.page, "in_progress", ids["implement"])).to_contain_text("ann")
        assert last_event(board, ids["implement"])["agent"] == "ann"
        ann.check()
        ann.page.context.close()


def test_ten_thousand_tasks_are_a_few_cards_whose_list_goes_to_its_end(
    window: Opened, tmp_path: Path
) -> None:
    sample_boards.big(tmp_path / "board")
    with window(tmp_path / "board") as opened:
        page = opened.page
        opened.open("/?lanes=no")
        expect(page.get_by_role("heading", name="Pending 4980")).to_be_visible()
        cards = page.locator('.board-cell[data-status="pending"] .card')
        assert cards.count() < 40
        cards.first.get_by_role("link").focus()
        page.keyboard.press("End")
        expect(page.locator('[aria-posinset="4980"] a:focus')).to_be_visible()
        assert page.locator(".card").count() < 160
        with Orchestrator.open(tmp_path / "board", agent="ann") as orc:
            orc.tasks.add("stream-0", title="Brand new", priority=1)
        expect(page.get_by_role("heading", name="Pending 4981")).to_be_visible()
        expect(page.locator('[aria-posinset="4981"] a:focus')).to_be_visible()
        page.get_by_label("Filter").fill("brand")
        expect(page.get_by_role("link", name="Brand new")).to_be_visible()
        expect(page.locator(".card")).to_have_count(1)
        page.get_by_label("Filter").fill("")
        opened.open("/")
        expect(page.get_by_role("region", name="Workstream stream-0")).to_be_visible()
        opened.look("board-big")
        opened.open("/graph")
        expect(page.get_by_text("The first 1000 tasks are shown.")).to_be_visible()
        page.get_by_role("checkbox", name="As a list").check()
        expect(page.get_by_text("1000 of 1000 tasks.")).to_be_visible()
        assert page.get_by_role("row").count() < 300


def test_tasks_and_workstreams_are_added_on_the_board(window: Opened, tmp_path: Path) -> None:
    board = tmp_path / "board"
    sample_boards.empty(board)
    with window(board) as opened:
        page = opened.page
        dialog = page.get_by_role("dialog")
        expect(page.get_by_text("There are no tasks yet.")).to_be_visible()
        page.keyboard.press("n")
        expect(dialog.get_by_label("Title")).to_be_focused()
        page.keyboard.type("Write <b>the</b> parser")
        page.keyboard.press("Enter")
        expect(cell(page, "pending", "main")).to_contain_text("Write <b>the</b> parser")
        page.get_by_role("button", name="Add a workstream").click()
        dialog.get_by_label("Name").fill("docs")
        dialog.get_by_label("Priority").fill("2")
        page.keyboard.press("Enter")
        expect(dialog).to_have_count(0)
        page.get_by_role("button", name="Add a task").click()
        dialog.get_by_label("Workstream").select_option("docs")
        dialog.get_by_label("Title").fill("Write the guide")
        dialog.get_by_label("Priority").fill("first")
        dialog.get_by_label("Labels").fill("guide, urgent")
        dialog.get_by_text("More", exact=True).click()
        dialog.get_by_label("Estimate").fill("2h")
        opened.expect("status of 4")
        opened.accessible()
        page.keyboard.press("Enter")
        expect(dialog.get_by_role("alert")).to_contain_text("priority")
        dialog.get_by_label("Priority").fill("1")
        page.keyboard.press("Enter")
        expect(cell(page, "pending", "docs")).to_contain_text("P1")
        with Orchestrator.open(board, reads=True) as orc:
            added = orc.tasks.all("docs")[0]
        assert (added.priority, added.estimate, added.created_by) == (1, 120, "kim")
        assert added.labels == ("guide", "urgent")
        card(page, added.id).get_by_role("link").focus()
        page.keyboard.press("m")
        dialog.get_by_role("button", name="Assigned").click()
        dialog.get_by_label("Who gets it?").fill("ann")
        page.keyboard.press("Enter")
        expect(card_in(page, "assigned", added.id)).to_contain_text("ann")
        page.keyboard.press("g")
        page.keyboard.press("m")  # the mail, although `m` alone moves the task
        expect(page.get_by_role("heading", name="Mail", level=1)).to_be_visible()


def test_a_board_to_look_at_offers_no_change(window: Opened, tmp_path: Path) -> None:
    ids = sample_boards.small(tmp_path / "board")
    with window(tmp_path / "board", "--read-only") as opened:
        page = opened.page
        shown = card(page, ids["implement"])
        expect(shown).to_have_attribute("draggable", "false")
        expect(shown.get_by_role("button")).to_have_count(0)
        expect(page.get_by_role("button", name="Add a task")).to_be_disabled()
        opened.open(f"/tasks/{ids['implement']}")
        expect(page.get_by_role("button", name="Edit: Title")).to_be_disabled()
        expect(page.get_by_role("checkbox", name="Review")).to_be_disabled()
