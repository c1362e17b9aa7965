"""The page of a real server in a real browser: headless Chromium, driven by playwright."""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

sync_api = pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python")
pytest.importorskip("uvicorn")

from orchestrator import Orchestrator  # noqa: E402
from tests.interfaces.web.process import serving  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PICTURES = os.environ.get("ORC_PICTURES")
"""The folder for screenshots; without it none are taken."""

PATIENCE = 60_000
"""Milliseconds; the machine may be busy."""


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    """A browser for the tests of this folder: its event loop may not run while others begin one."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        # A container has no user namespaces for the sandbox, and little shared memory.
        flags = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


RULES: dict[str, Any] = {
    "resultTypes": ["violations"],
    "rules": {"target-size": {"enabled": True}},
}
"""All rules of axe-core, also that of WCAG 2.2 that it leaves out."""

OF_LOOKS: dict[str, Any] = {
    "resultTypes": ["violations"],
    "runOnly": [
        "color-contrast",
        "target-size",
        "scrollable-region-focusable",
        "link-in-text-block",
    ],
}
"""The rules that colours and sizes can break."""


class Window:
    """A page that a person has opened, and what went wrong in it.

    Args:
        page: The page.
        server: The server.
        board: The folder of the board.
    """

    def __init__(self, page: Any, server: Any, board: Path) -> None:
        self.page, self.server, self._board = page, server, board
        self.url = f"http://127.0.0.1:{server.port}"
        self.faults: list[str] = []
        self.expected: list[str] = []
        page.set_default_timeout(PATIENCE)
        sync_api.expect.set_options(timeout=PATIENCE)
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.faults.append(f"{error}"))
        page.on("request", self._asked)
        page.on("requestfailed", self._failed)
        page.on("dialog", self._asked_by_code)
        page.goto(f"{self.url}/?token={server.token}")

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(f"{message.type}: {message.text} {message.location}")

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.url, "data:")):
            self.faults.append(f"request: {request.url}")

    def _failed(self, request: Any) -> None:
        if "ABORTED" not in (request.failure or ""):  # the page has gone on meanwhile
            self.faults.append(f"failed: {request.url} {request.failure}")

    def _asked_by_code(self, dialog: Any) -> None:
        self.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def expect(self, pattern: str) -> None:
        """Expect faults that match a pattern, such as an answer that the test provokes."""
        self.expected.append(pattern)

    def check(self) -> None:
        """Fail if there was a fault that was not expected."""
        faults = [f for f in self.faults if not any(re.search(e, f) for e in self.expected)]
        assert not faults, faults

    def open(self, address: str) -> None:
        """Open an address of the page, as a bookmark does."""
        self.page.goto(self.url + address)

    @contextmanager
    def agent(self, name: str = "ann") -> Iterator[Orchestrator]:
        """The board as an agent has it, which works while a person looks on."""
        with Orchestrator.open(self._board, agent=name) as orc:
            yield orc

    def accessible(self, scheme: str = "light", rules: dict[str, Any] = RULES) -> None:
        """Check that axe-core finds nothing in these colours, by all rules or by some."""
        source = (Path(axe.__file__).parent / "axe.min.js").read_text()
        self.page.evaluate(f"if (!window.axe) {{ {source} }}")
        self.page.emulate_media(color_scheme=scheme)
        found = self.page.evaluate(f"axe.run(document, {json.dumps(rules)})")
        problems = [
            (each["id"], each["help"], [node["html"][:200] for node in each["nodes"]][:3])
            for each in found["violations"]
        ]
        assert not problems, (self.page.url, scheme, problems)
        self.page.emulate_media(color_scheme="light")

    def accessible_everywhere(self, name: str) -> None:
        """Check it in the light colours on a desk and in the dark ones on a phone, where all has room."""
        self.accessible()
        self.look(name, lambda: self.accessible("dark", OF_LOOKS))

    def look(self, name: str, check: Callable[[], None] = lambda: None) -> None:
        """Check that the page fits a phone, and more there; with ``ORC_PICTURES``, write how it looks."""
        size = self.page.viewport_size
        for scheme in ("dark", "light"):
            self.page.emulate_media(color_scheme=scheme)
            self._picture(f"{name}-{scheme}")
        self.page.set_viewport_size({"width": 360, "height": 740})
        # Charts are drawn anew for the width that they have.
        self.page.wait_for_function("() => document.documentElement.scrollWidth <= 360")
        check()
        self._picture(f"{name}-phone")
        self.page.set_viewport_size(size)

    def _picture(self, name: str) -> None:
        if PICTURES:
            name = re.sub(r"[^\w-]+", "-", name)
            self.page.screenshot(path=Path(PICTURES) / f"{name}.png")


Opened = Callable[..., Any]


@pytest.fixture
def window(browser: Any, home: Path) -> Opened:
    """Opens the page of a board: ``with window(board) as opened``. Any fault in it fails the test."""

    @contextmanager
    def opened(board: Path, *words: str) -> Iterator[Window]:
        with serving(board, home, "--port", "0", *words) as server:
            context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
            try:
                window = Window(context.new_page(), server, board)
                yield window
                window.check()
            finally:
                context.close()

    return opened
