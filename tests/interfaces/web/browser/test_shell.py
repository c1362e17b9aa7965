"""The shell of the page: addresses, navigation, keys, the live stream, what the browser may load."""

import re
from pathlib import Path

from playwright.sync_api import expect

from .conftest import Opened


def test_the_shell_leads_to_every_view_by_keys_and_says_where_it_is(
    window: Opened, place: Path
) -> None:
    with window(place) as opened:
        page = opened.page
        opened.open("/graph")
        expect(page.get_by_role("heading", name="Graph", level=1)).to_be_visible()
        expect(page.get_by_text("Live", exact=True)).to_be_visible()
        page.keyboard.press("g")
        page.keyboard.press("e")
        expect(page).to_have_url(re.compile("/events$"))
        expect(page.get_by_role("heading", name="Events", level=1)).to_be_focused()
        expect(page.get_by_role("link", name="Events", exact=True)).to_have_attribute(
            "aria-current", "page"
        )
        page.go_back()
        expect(page.get_by_role("heading", name="Graph", level=1)).to_be_visible()
        page.keyboard.press("?")
        expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        opened.accessible()
