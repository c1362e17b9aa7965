"""The pictures of docs/guides/window.md: each is there, and its view still shows what the guide describes.

With ``ORC_DRAW=1`` the test writes them again.
"""

import os
import re
from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from tests.interfaces.web import sample_boards

from .conftest import Opened

GUIDE = Path(__file__).parents[4] / "docs" / "guides" / "window.md"
SIZE = {"width": 1080, "height": 640}
PHONE = {"width": 360, "height": 640}

PICTURES: dict[str, tuple[str, str, str, dict[str, int]]] = {
    "board": ("/", "Write the parser", "light", SIZE),
    "task": ("/tasks/{parser}", "Begin with expressions.", "light", SIZE),
    "graph": ("/graph", "Critical path: 3 tasks", "dark", SIZE),
    "agents": ("/agents", "cleo", "light", SIZE),
    "cycle": ("/cycle", "Who did what", "light", SIZE),
    "numbers": ("/numbers", "Where it is stuck", "dark", SIZE),
    "convoys": ("/convoys", "1 of 6 steps ended", "light", SIZE),
    "permissions": ("/permissions", "rm -r build", "light", SIZE),
    "phone": ("/cycle", "Who did what", "dark", PHONE),
}
"""The address of each, a text that is in it, its colours and its size."""


def test_each_picture_of_the_guide_is_there_and_its_view_is_as_it_shows(
    window: Opened, tmp_path: Path
) -> None:
    named = re.findall(r"\(pictures/window-(\w+)\.png\)", GUIDE.read_text())
    assert sorted(named) == sorted(PICTURES)
    ids = sample_boards.small(tmp_path / "parser")
    with window(tmp_path / "parser") as opened:
        for name, (address, text, scheme, size) in PICTURES.items():
            page = opened.page
            page.set_viewport_size(size)
            page.emulate_media(color_scheme=scheme)
            opened.open(address.format(**ids))
            expect(page.get_by_text(text).first).to_be_visible()
            expect(page.locator("main .failure")).to_have_count(0)
            file = GUIDE.parent / "pictures" / f"window-{name}.png"
            if os.environ.get("ORC_DRAW"):
                _settle(page, name)
                page.screenshot(path=file)
            assert _size(file) == (size["width"], size["height"])


def _settle(page: Any, name: str) -> None:
    """Show the part of a long view that the guide is about."""
    if name in ("cycle", "phone"):
        page.get_by_role("heading", name="What came back").scroll_into_view_if_needed()
        page.evaluate("document.querySelector('#collected').scrollIntoView()")
    if name == "graph":
        expect(page.get_by_role("link", name=re.compile("^Write the parser"))).to_be_visible()
    if name == "convoys":
        page.locator("summary", has_text="feature").click()
        expect(page.get_by_text("Review Login")).to_be_visible()


def _size(file: Path) -> tuple[int, int]:
    """The size that the head of a PNG file has."""
    head = file.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
