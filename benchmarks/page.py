"""The web page in headless Chromium at 10,000 tasks: first paint, first cards, an event, scrolling."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from statistics import median
from time import time
from typing import Any

from playwright.sync_api import ViewportSize, sync_playwright

from benchmarks.boards import Boards
from benchmarks.measure import Figure
from benchmarks.web import serving
from orchestrator import Orchestrator

SIZE = ViewportSize(width=1280, height=800)

# Marks the frame after the first card is there.
CARDS = """
new MutationObserver((_, watcher) => {
  if (!document.querySelector(".card")) return;
  watcher.disconnect();
  requestAnimationFrame(() => performance.mark("first card"));
}).observe(document, {childList: true, subtree: true});
"""

# When an element with this text was painted: a frame after it was there.
SEEN = """
text => { window.seen = new Promise(done => {
  const watcher = new MutationObserver(() => {
    if (!document.querySelector("main").textContent.includes(text)) return;
    watcher.disconnect();
    requestAnimationFrame(() => done(performance.timeOrigin + performance.now()));
  });
  watcher.observe(document.body, {childList: true, subtree: true, characterData: true});
}); }
"""

# The milliseconds between frames while the longest list goes down by 40 pixels a frame.
SCROLLED = """
frames => new Promise(done => {
  const lists = [...document.querySelectorAll(".virtual")];
  const list = lists.reduce((one, other) => other.scrollHeight > one.scrollHeight ? other : one);
  const times = [];
  let last = performance.now();
  const step = now => {
    times.push(now - last);
    last = now;
    list.scrollTop += 40;
    if (times.length < frames) requestAnimationFrame(step);
    else done(times.slice(1));
  };
  requestAnimationFrame(step);
})
"""


def showing(boards: Boards, *, quick: bool) -> Iterator[Figure]:
    """What a person waits for who looks at a board of 10,000 tasks."""
    board = boards.copy(boards.tasks(10_000))
    rounds = 3 if quick else 7
    with (
        serving(board) as (port, token, _),
        sync_playwright() as playwright,
        Orchestrator.open(board, agent="ann") as orc,
        tempfile.TemporaryDirectory() as profile,
    ):
        flags = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch_persistent_context(
            profile, executable_path=_chromium(), args=flags, viewport=SIZE
        )
        page = browser.new_page()
        page.add_init_script(CARDS)
        url = f"http://127.0.0.1:{port}/"
        page.goto(f"{url}?token={token}")
        page.wait_for_selector(".card")
        computed = _computed(page)
        # The first visit of a browser loads the files, too; a person looks many times.
        shown = [_shown(page, url) for _ in range(rounds)]
        yield _figure("first paint of the page", median([paint for paint, _ in shown]), 300.0)
        yield _figure(
            "first cards of 10,000 tasks", median([cards for _, cards in shown]), cpu=computed()
        )
        page.get_by_text("Reading the other tasks").wait_for(state="detached")
        before = computed()
        yield _figure(
            "an event on the screen",
            median([_event(page, orc, n) for n in range(rounds)]),
            100.0,
            cpu=(computed() - before) / rounds,
        )
        page.goto(f"{url}?lanes=no")
        page.wait_for_selector(".card")
        page.get_by_text("Reading the other tasks").wait_for(state="detached")
        before = computed()
        frames = sorted(page.evaluate(SCROLLED, 60 if quick else 240))
        yield _figure(
            "a frame while the cards scroll, the slowest of twenty",
            frames[len(frames) * 19 // 20],
            cpu=(computed() - before) / len(frames),
        )
        browser.close()


def _computed(page: Any) -> Callable[[], float]:
    """What tells the milliseconds that the main thread of the page has computed."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def computed() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        values = {each["name"]: each["value"] for each in metrics}
        return 1000 * float(values["TaskDuration"])

    return computed


def _chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        raise FileNotFoundError("Chromium is not installed")
    return found


def _shown(page: Any, url: str) -> tuple[float, float]:
    """Milliseconds from the address to the first paint and to the first card."""
    page.goto(url, wait_until="commit")
    page.wait_for_function("() => performance.getEntriesByName('first card').length > 0")
    paint, card = page.evaluate(
        "['first-contentful-paint', 'first card'].map(n => performance.getEntriesByName(n)[0].startTime)"
    )
    return paint, card


def _event(page: Any, orc: Orchestrator, number: int) -> float:
    """Milliseconds from the commit of a task to the frame with its card, by the clock of the machine."""
    title = f"Brand new {number}"
    page.evaluate(SEEN, title)
    orc.tasks.add("stream-0", title=title, priority=1)
    added = time()
    return float(page.evaluate("seen")) - 1000 * added


def _figure(what: str, measured: float, bound: float | None = None, *, cpu: float = 0) -> Figure:
    detail = f"{cpu:.0f} ms of its main thread" if cpu else ""
    return Figure(name="page", what=what, measured=measured, bound=bound, unit="ms", detail=detail)
