"""The pictures of docs/guides/dashboard.md, of a board that is always the same; `make docs` writes them."""

import asyncio
import html
import os
import re
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from boards import SettableClock

from interfaces.tui.conftest import asked, fill
from orchestrator import Orchestrator
from orchestrator.interfaces.tui.app import Dashboard
from orchestrator.interfaces.tui.feed import Feed
from orchestrator.stores.memory import MemoryStore

PICTURES: dict[str, tuple[tuple[int, int], tuple[str, ...]]] = {
    "board": ((80, 24), ()),
    "permissions": ((80, 24), ("2",)),
    "task": ((80, 24), ("G", "k", "k", "enter")),
    "wide": ((140, 30), ("3",)),
}
"""The size of the terminal and the keys of each picture."""

_ID = re.compile(r"\b[0-9a-f]{8}\b")


async def drawn(size: tuple[int, int], keys: tuple[str, ...]) -> str:
    """A picture of the terminal as SVG, without fonts from elsewhere."""
    clock = SettableClock()
    orc = Orchestrator(MemoryStore(), now=clock)
    fill(orc)
    asked(orc, command="npm install && npm test", description="Run the tests of the page")
    app = Dashboard(Feed(orc, "kim"))
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        for key in keys:
            await pilot.press(key)
            await pilot.pause()
        await app.workers.wait_for_complete()
        await pilot.pause()
        await pilot.pause()
        svg = app.export_screenshot()
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    svg = re.sub(r"terminal-\d+", "terminal", svg).replace("Fira Code", "monospace")
    ids: dict[str, str] = {}
    return _ID.sub(lambda match: ids.setdefault(match[0], f"a{len(ids) + 1:07}"), svg)


def text_of(svg: str) -> str:
    """The text of a picture: what does not differ between versions of the library."""
    words = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    return " ".join(html.unescape(" ".join(words)).replace("\xa0", " ").split())


def main(folder: str) -> None:
    """Write the pictures."""
    os.environ["TZ"] = "UTC"
    time.tzset()
    os.makedirs(folder, exist_ok=True)
    for name, (size, keys) in PICTURES.items():
        svg = asyncio.run(drawn(size, keys))
        lines = [line.rstrip() for line in svg.splitlines()]
        Path(folder, f"{name}.svg").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
