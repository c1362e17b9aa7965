"""The log in the page: followed, filtered, read back to its beginning."""

import re
from pathlib import Path

from playwright.sync_api import Page, expect

from orchestrator import Orchestrator
from tests.interfaces.web.browser.conftest import Opened
from tests.interfaces.web.sample_boards import small


def sentences(page: Page) -> list[str]:
    return page.locator(".event-text").all_inner_texts()


def test_events_come_as_they_happen_and_wait_while_they_are_not_followed(
    window: Opened, place: Path
) -> None:
    with window(place) as opened:
        page = opened.page
        opened.open("/events")
        rows = page.get_by_role("list", name="Events").get_by_role("button")
        expect(rows.first).to_contain_text("created the workstream build")
        rows.first.focus()
        with opened.agent() as orc:
            task = orc.tasks.add("build", title="Write the parser").id
        expect(page.locator(".event-text").first).to_have_text(
            f"ann added {task} Write the parser to build"
        )
        focused = page.locator(".event-row:focus")
        expect(focused).to_contain_text("created the workstream build")
        page.get_by_role("checkbox", name="Follow").uncheck()
        with opened.agent() as orc:
            orc.tasks.claim(task)
            orc.tasks.note(task, "Begun")
        waiting = page.get_by_role("button", name="Show 2 new events")
        expect(waiting).to_be_visible()
        assert not any("claimed" in text for text in sentences(page))
        waiting.click()
        expect(page.locator(".event-text").first).to_contain_text("noted on")
        assert (
            len(sentences(page))
            == len({*sentences(page)})
            == 4
            + len([text for text in sentences(page) if "registered" in text or "session" in text])
        )


def test_filters_are_in_the_address_and_select_by_type_agent_and_task(
    window: Opened, tmp_path: Path
) -> None:
    ids = small(tmp_path / "board")
    with window(tmp_path / "board") as opened:
        page = opened.page
        opened.open("/events?type=task.claimed")
        expect(page.locator(".event-type").first).to_have_text("task.claimed")
        assert {*page.locator(".event-type").all_inner_texts()} == {"task.claimed"}
        page.get_by_role("searchbox", name="Agent").or_(
            page.get_by_role("combobox", name="Agent")
        ).fill("dan")
        expect(page).to_have_url(re.compile("agent=dan"))
        expect(page.locator(".event-text").first).to_have_text(re.compile("^dan claimed"))
        page.get_by_label("Task or workstream").fill(ids["links"])
        page.keyboard.press("Enter")
        expect(page.get_by_text("1 event.", exact=True)).to_be_visible()
        page.reload()
        expect(page.locator(".event-text")).to_have_count(1)
        opened.expect("status of 404")
        page.get_by_label("Task or workstream").fill("nothing")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("No task, workstream or agent")


def test_an_event_is_a_sentence_with_its_facts_as_a_tree_and_gives_the_focus_back(
    window: Opened, tmp_path: Path
) -> None:
    ids = small(tmp_path / "board")
    with window(tmp_path / "board") as opened:
        page = opened.page
        opened.open("/events?type=task.submitted")
        row = page.locator(".event-row").first
        row.focus()
        page.keyboard.press("Enter")
        details = page.get_by_role("region", name="Event")
        expect(details.get_by_role("heading")).to_be_focused()
        expect(details.get_by_role("link", name=ids["links"])).to_have_attribute(
            "href", f"/tasks/{ids['links']}"
        )
        expect(details.get_by_text("212 links, all work")).to_have_count(2)  # sentence and fact
        opened.accessible()
        opened.look("events")
        details.get_by_role("heading").focus()
        page.keyboard.press("Escape")
        expect(details).to_have_count(0)
        expect(row).to_be_focused()


def test_a_long_log_is_read_back_to_its_beginning_with_few_rows_in_the_page(
    window: Opened, place: Path
) -> None:
    with Orchestrator.open(place, agent="ann") as orc:
        for number in range(650):
            orc.events.log("ann", "probe", number=number)
        last = orc.engine.read().event
    with window(place) as opened:
        page = opened.page
        opened.open("/events")
        page.locator(".event-row").first.focus()
        whole = page.get_by_text(f"{last} events.", exact=True)
        while not whole.is_visible():
            before = page.get_by_text("and more events").inner_text()
            page.keyboard.press("End")
            expect(page.get_by_text(before, exact=True)).to_have_count(0)
        page.keyboard.press("End")
        expect(page.locator(".event-row:focus")).to_contain_text("created the workstream build")
        assert page.locator(".event-row").count() < 100
        assert page.get_by_role("listitem").last.get_attribute("aria-posinset") == str(last)
        page.keyboard.press("ArrowUp")
        expect(page.locator(".event-row:focus")).to_contain_text("logged probe: number=0")
