"""The graph in the page: laid out beside the page, walked through by keys, zoomed, and the same as a list."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from orchestrator import Orchestrator
from tests.interfaces.web.browser.conftest import Opened
from tests.interfaces.web.sample_boards import small


@pytest.fixture
def large(place: Path) -> Path:
    """A board of 500 tasks that need each other."""
    with Orchestrator.open(place, agent="ann") as orc, orc.transaction():
        ids: list[str] = []
        for number in range(500):
            needs = [ids[-1 - number % 3], ids[-1 - number % 29]] if number > 30 else []
            ids.append(orc.tasks.add("build", title=f"Step {number}", needs=[*{*needs}]).id)
    return place


def node(page: Page, name: str) -> Any:
    return page.get_by_role("link", name=re.compile(f"^{name},"))


def test_500_tasks_are_laid_out_by_a_worker_while_the_page_is_used(
    window: Opened, large: Path
) -> None:
    with window(large) as opened:
        page = opened.page
        workers: list[str] = []
        page.on("worker", lambda worker: workers.append(worker.url))
        opened.open("/graph")
        page.get_by_role("searchbox", name="Find").fill("Step 49")
        expect(page.get_by_text("11 of 500 tasks")).to_be_visible()
        assert page.locator("[data-task]").count() == 500
        assert page.locator(".graph-node.faded").count() == 489
        assert [url.rpartition("/")[2] for url in workers] == ["graph-layout.js"]
        page.get_by_role("button", name="Fit", exact=True).click()
        frame = page.get_by_role("region", name="Drawing")
        expect(page.get_by_label("Zoom")).not_to_have_text("100 %")
        expect(frame.locator("svg")).to_be_in_viewport(ratio=0.5)
        assert frame.evaluate("(box) => box.scrollWidth <= box.clientWidth + 1")
        opened.look("graph-500")


def test_the_drawing_is_walked_zoomed_and_opened_by_the_keyboard_and_follows_the_board(
    window: Opened, tmp_path: Path
) -> None:
    ids = small(tmp_path / "board")
    with window(tmp_path / "board") as opened:
        page = opened.page
        opened.open("/graph")
        expect(page.get_by_text("15 of 15 tasks")).to_be_visible()
        page.get_by_role("button", name="Critical path: 3 tasks").click()
        expect(node(page, "Write the parser")).to_be_focused()
        expect(page.locator(".graph-node.critical")).to_have_count(3)
        expect(page.locator(".graph-line.critical")).to_have_count(2)
        page.keyboard.press("ArrowRight")
        expect(node(page, "Write the guide")).to_be_focused()
        page.keyboard.press("ArrowDown")
        expect(node(page, "Report errors with their line")).to_be_focused()
        page.keyboard.press("+")
        expect(page.get_by_label("Zoom")).to_have_text("125 %")
        page.keyboard.press("0")
        expect(page.get_by_label("Zoom")).to_have_text("100 %")
        with opened.agent() as orc:
            other = orc.tasks.add("build", title="Print errors", needs=[ids["errors"]]).id
            orc.tasks.edit(ids["errors"], title="Report all errors")
        expect(page.get_by_text("16 of 16 tasks")).to_be_visible()
        expect(node(page, "Report all errors")).to_be_focused()
        page.keyboard.press("ArrowRight")
        expect(page.locator(f'[data-task="{other}"]')).to_be_focused()
        opened.accessible()
        opened.look("graph")
        page.locator(f'[data-task="{other}"]').focus()
        page.keyboard.press("o")
        expect(page).to_have_url(re.compile(f"task={other}"))
        expect(page.get_by_text("5 of 5 tasks")).to_be_visible()
        page.locator(f'[data-task="{other}"]').focus()
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile(f"/tasks/{other}$"))


def test_the_drawing_is_moved_by_the_mouse_the_wheel_and_two_fingers(
    window: Opened, large: Path
) -> None:
    with window(large) as opened:
        page = opened.page
        opened.open("/graph")
        expect(page.get_by_text("500 of 500 tasks")).to_be_visible()
        frame = page.get_by_role("region", name="Drawing")
        box = frame.bounding_box()
        assert box is not None
        x, y = box["x"] + 300, box["y"] + 200
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x - 120, y - 40, steps=4)
        page.mouse.up()
        assert frame.evaluate("(box) => [box.scrollLeft, box.scrollTop]") == [120, 40]
        expect(page).to_have_url(re.compile("/graph$"))  # a drag is no click on a task
        page.keyboard.down("Control")
        page.mouse.wheel(0, -100)
        page.keyboard.up("Control")
        expect(page.get_by_label("Zoom")).not_to_have_text("100 %")
        page.get_by_role("button", name="100 %", exact=True).click()
        frame.evaluate(
            """(box) => {
                const touch = (id, x) => new Touch({ identifier: id, target: box, clientX: x, clientY: 300 });
                const two = (half) => [touch(1, 400 - half), touch(2, 400 + half)];
                const how = { cancelable: true, bubbles: true };
                const send = (type, half) =>
                    box.dispatchEvent(new TouchEvent(type, { touches: two(half), ...how }));
                send("touchstart", 50);
                send("touchmove", 100);
            }"""
        )
        expect(page.get_by_label("Zoom")).to_have_text("200 %")


def test_the_graph_as_a_list_has_the_same_for_those_who_do_not_see_it(
    window: Opened, tmp_path: Path
) -> None:
    small(tmp_path / "board")
    with window(tmp_path / "board") as opened:
        page = opened.page
        opened.open("/graph")
        page.get_by_role("checkbox", name="As a list").check()
        row = page.get_by_role("row", name=re.compile("^Write the guide"))
        expect(row).to_contain_text("critical path 2")
        expect(row.get_by_role("listitem").first).to_contain_text("needs Write the parser")
        page.get_by_label("Workstream").select_option("docs")
        expect(page.get_by_role("row")).to_have_count(3)
        page.reload()
        expect(page.get_by_role("row")).to_have_count(3)
        opened.accessible()
        opened.look("graph-list")
