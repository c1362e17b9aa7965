"""Pages that follow a board whose server is killed and started again."""

import signal
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from orchestrator import Orchestrator
from tests.interfaces.web.process import serving

from .conftest import Opened

# Keeps the number of each event that the page is sent, before the page sees it.
COUNTED = """
window.sent = [];
const Stream = window.EventSource;
window.EventSource = class extends Stream {
  constructor(...given) {
    super(...given);
    this.addEventListener("message", (message) => window.sent.push(Number(message.lastEventId)));
  }
};
"""
HAS_LOCKS = """() => performance.getEntriesByType("resource")
    .some(each => each.name.endsWith("views/locks.js"))"""
CUT = "net::ERR_"


def followed(page: Page, head: int) -> list[int]:
    """Wait until an event has arrived, and return the numbers of all events that arrived."""
    page.wait_for_function("head => window.sent.at(-1) >= head", arg=head)
    numbers: list[int] = page.evaluate("window.sent")
    return numbers


def add_tasks(orc: Orchestrator, first: int, last: int) -> None:
    for number in range(first, last):
        orc.tasks.add("build", title=f"Part {number}.")


def last_event(board: Path) -> int:
    with Orchestrator.open(board) as orc:
        return orc.engine.read().event


def test_pages_say_that_they_are_cut_off_and_go_on_without_a_lost_or_doubled_event(
    window: Opened, place: Path, home: Path
) -> None:
    with window(place) as opened:
        other: Any = opened.page.context.new_page()
        pages = {opened.page: "/events", other: "/"}
        first = last_event(place)
        opened.expect(CUT)
        for page, address in pages.items():
            page.add_init_script(COUNTED)
            page.goto(opened.url + address)
            expect(page.get_by_text("Live", exact=True)).to_be_visible()
        other.wait_for_function(HAS_LOCKS)
        with opened.agent() as orc:
            add_tasks(orc, 0, 10)
            opened.server.end(signal.SIGKILL)  # in the middle of what it sends
            add_tasks(orc, 10, 20)
            for page in pages:
                expect(page.get_by_text("Cut off", exact=True)).to_be_visible()
            # A view that is opened meanwhile shows its answer as soon as there is a server.
            other.get_by_role("link", name="Locks", exact=True).click()
            expect(other.get_by_role("alert").first).to_contain_text("The server does not answer")
            add_tasks(orc, 20, 30)
            with serving(place, home, "--port", str(opened.server.port)):
                for page in pages:
                    expect(page.get_by_text("Live", exact=True)).to_be_visible()
                expect(other.get_by_role("alert")).to_have_count(0)
                add_tasks(orc, 30, 40)
                last = last_event(place)
                for page in pages:
                    assert followed(page, last) == [*range(first + 1, last + 1)]
                rows = opened.page.locator(".event-text")
                expect(rows.first).to_contain_text("Part 39.")
                shown = [text.split("Part ")[1] for text in rows.all_inner_texts()]
                assert shown == [f"{39 - row}. to build" for row in range(len(shown))]
                row = opened.page.locator(".virtual-row").first
                expect(row).to_have_attribute("aria-setsize", str(last))
                expect(opened.page.get_by_role("alert")).to_have_count(0)
