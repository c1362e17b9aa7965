"""The search over everything."""

import re
from pathlib import Path

from playwright.sync_api import expect

from tests.interfaces.web import sample_boards

from .conftest import Opened


def test_a_slash_leads_to_the_search_and_a_hit_to_what_it_is_about(
    window: Opened, tmp_path: Path
) -> None:
    ids = sample_boards.small(tmp_path / "board")
    with window(tmp_path / "board") as opened:
        page = opened.page
        expect(page.get_by_role("heading", name="Board", level=1)).to_be_visible()
        page.keyboard.press("/")
        words = page.get_by_role("searchbox", name=re.compile("^Words"))
        expect(words).to_be_focused()
        page.keyboard.type("grammar")
        hits = page.locator(".search-hit")
        expect(hits.filter(has_text="Write down the grammar").first).to_be_visible()
        expect(page).to_have_url(re.compile(r"/search\?q=grammar$"))
        expect(page.locator("h2 mark").first).to_have_text("grammar")
        opened.accessible()
        opened.look("search")
        page.get_by_role("combobox", name="In").select_option("result")
        expect(hits.filter(has=page.locator(".badge", has_text="task"))).to_have_count(0)
        hits.get_by_role("link", name="Write down the grammar").click()
        expect(page).to_have_url(re.compile(f"/tasks/{ids['grammar']}$"))
        page.go_back()
        expect(hits.first).to_be_visible()
        words.fill("nothingofthekind")
        expect(page.get_by_text("Nothing has these words.")).to_be_visible()
