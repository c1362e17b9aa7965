"""Each layout of a report shows the same figures, and treats text of agents as plain text."""

import builtins
import io
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from boards import SettableClock
from PIL import Image

from orchestrator import Orchestrator
from orchestrator.core.errors import UsageError
from orchestrator.interfaces.cli.report_page import report_page
from orchestrator.reports.report.markdown import markdown
from orchestrator.reports.report.page import page
from orchestrator.reports.report.records import BoardReport
from orchestrator.reports.report.sections import ReportTable, sections

HOUR = 3600.0

HOSTILE = (
    "<script>document.title='taken'</script>",
    "</svg></section><h1>taken</h1>",
    "javascript:alert(1)",
    '" onload="alert(1)',
    "![x](https://example.org/x.png) [y](javascript:alert(1)) | `z` | **w**",
    "$\\frac{1}{2}$ and $unclosed",
    "]]> --> */ } body { display: none }",
    "turned \u202egnp.exe and \u200b hidden",
    "分からない タスク 🎉",
    "{{ 7 * 7 }} {% raw %}",
)


def filled(orc: Orchestrator, clock: SettableClock, titles: tuple[str, ...]) -> BoardReport:
    """A board with everything that a report shows, with these titles."""
    orc.workstreams.create("build")
    for number in range(24):
        title = titles[number % len(titles)]
        task = orc.tasks.add(
            "build", title=title, type=("bug", "task")[number % 2], review=number % 4 == 0
        )
        clock.advance(60)
        if number == 6:
            orc.plan()
        orc.tasks.claim(task.id, agent="ann", lease="9d")
        clock.advance(HOUR)
        if number % 6 == 5:
            orc.tasks.fail(task.id, agent="ann", reason=title)
            continue
        orc.tasks.complete(task.id, agent="ann", result=title)
        clock.advance(HOUR / 2)
        if number % 4 == 0:
            orc.reviews.approve(task.id, agent="bob")
    first = orc.tasks.add("build", title=titles[0]).id
    orc.tasks.claim(first, agent="bob")
    orc.tasks.block(orc.tasks.add("build", title=titles[1]).id, reason=titles[2])
    orc.tasks.add("build", title=titles[3 % len(titles)], needs=[first])
    orc.knowledge.write("parser", "It reads.", agent="ann")
    orc.decisions.add(titles[-1], agent="ann")
    clock.advance(HOUR)
    return orc.report()


class Elements(HTMLParser):
    """Counts the elements of a page, and keeps their attributes and the text outside of its style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_a_page_has_every_section_and_its_charts(orc: Orchestrator, clock: SettableClock) -> None:
    report = filled(orc, clock, ("Write the guide", "Move", "no key", "Read"))
    elements = Elements(page(report))
    titles = [section.title for section in sections(report)]
    assert elements.tags["section"] == len(titles)
    assert elements.tags["svg"] == 6
    text = "".join(elements.text)
    assert all(title in text for title in titles)
    assert all(word in text for word in ("wanted", "85 %", "in review", "Write the guide"))


def test_a_page_needs_nothing_from_elsewhere_and_runs_nothing(
    orc: Orchestrator, clock: SettableClock
) -> None:
    text = page(filled(orc, clock, HOSTILE))
    elements = Elements(text)
    assert not {"script", "link", "img", "iframe", "object", "form", "a", "base"} & {*elements.tags}
    policy = next(
        value for name, value in elements.attributes if name == "content" and "-src" in str(value)
    )
    assert policy.split("; ") == [
        "default-src 'none'", "style-src 'unsafe-inline'", "base-uri 'none'", "form-action 'none'",
    ]  # fmt: skip
    for name, value in elements.attributes:
        assert not name.startswith("on"), name
        if name in ("href", "src", "xlink:href"):
            assert str(value).startswith("#"), value
    assert "url(http" not in text
    assert "@import" not in text


def test_hostile_titles_make_no_element_of_a_page(orc: Orchestrator, clock: SettableClock) -> None:
    plain = tuple(f"Task {n}" for n in range(len(HOSTILE)))
    other = Orchestrator.open("memory:", now=SettableClock())
    hostile = Elements(page(filled(orc, clock, HOSTILE)))
    harmless = Elements(page(filled(other, other.engine._clock, plain)))
    without_marks = {"tspan", "use"}
    assert {t: n for t, n in hostile.tags.items() if t not in without_marks} == {
        t: n for t, n in harmless.tags.items() if t not in without_marks
    }
    text = "".join(hostile.text)
    assert "<script>document.title='taken'</script>" in text
    assert "$\\frac{1}{2}$ and $unclosed" in text
    assert "turned \\u202egnp.exe and \\u200b hidden" in text
    assert "\u202e" not in text


def test_hostile_titles_are_no_markup_in_markdown(orc: Orchestrator, clock: SettableClock) -> None:
    text = markdown(filled(orc, clock, HOSTILE))
    bare = re.sub(r"\\.", "", text.replace("- **", "").replace(":**", ""))
    assert not {*"<`[]!*~$\u202e"} & {*bare}
    rows = [len(line.split("|")) for line in bare.splitlines() if line.startswith("|")]
    assert {*rows} <= {len(table.heads) + 2 for table in tables(orc.report())}


def tables(report: BoardReport) -> list[ReportTable]:
    return [section.table for section in sections(report) if section.table]


def test_a_terminal_gets_the_same_tables_and_nothing_that_moves_its_cursor(
    orc: Orchestrator, clock: SettableClock
) -> None:
    report = filled(orc, clock, (*HOSTILE, "red \x1b[31m and \x07"))
    shown = report_page(report)
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "\u202e" not in shown
    for section in sections(report):
        assert section.title in shown or section.name == "gantt"
    assert "⠤⠤ wanted" in shown


@pytest.mark.parametrize("tasks", [1, 4, 13])
def test_each_line_of_the_chart_has_a_number_of_its_own(
    orc: Orchestrator, clock: SettableClock, tasks: int
) -> None:
    orc.workstreams.create("w")
    for number in range(tasks):
        orc.tasks.add("w", title=f"Task {number}")
        clock.advance(86400)
    chart = report_page(orc.report()).partition("(tasks)")[2].partition("-|-")[0]
    numbers = [int(line.partition("|")[0]) for line in chart.splitlines() if "|" in line]
    steps = {upper - lower for upper, lower in pairwise(numbers)}
    assert (len(numbers), len(steps), numbers[-1]) == (11, 1, 0)
    assert 0 not in steps
    highest = [sum("\u2801" <= sign <= "\u28ff" for sign in line) for line in chart.splitlines()]
    assert any(highest[1:-2]), "the line of the wanted tasks is inside"


@pytest.mark.parametrize("layout", [page, markdown, report_page])
def test_an_empty_board_has_every_layout(
    orc: Orchestrator, layout: Callable[[BoardReport], str]
) -> None:
    assert "None" not in layout(orc.report()).replace("'none'", "")


@pytest.mark.parametrize("missing", ["jinja2", "matplotlib"])
def test_a_missing_library_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=missing)
        return real(name, *args, **kwargs)

    for name in [n for n in sys.modules if n.startswith("orchestrator.reports.report.")]:
        if name.endswith((".page", ".charts")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError) as caught:
        __import__("orchestrator.reports.report.page")
    assert missing in caught.value.message
    assert caught.value.hint == "pip install 'agent-orchestrator[report]'"


def test_a_terminal_without_the_library_of_charts_explains_how_to_install_it(
    orc: Orchestrator, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = filled(orc, clock, HOSTILE)
    monkeypatch.setitem(sys.modules, "plotille", None)
    shown = report_page(report)
    assert "With `pip install 'agent-orchestrator[report]'` there is a chart here." in shown
    assert "Who did what" in shown


def test_a_terminal_that_has_no_braille_gets_no_chart(
    orc: Orchestrator, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = filled(orc, clock, ("Write", "Move", "no key", "Read"))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "latin-1"))
    assert not any("\u2800" <= character <= "\u28ff" for character in report_page(report))


BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture
def screenshot(tmp_path: Path) -> Callable[..., Image.Image]:
    """A screenshot of a page in a browser, in light or dark."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"none of these browsers is here: {', '.join(BROWSERS)}")

    def shot(text: str, scheme: str) -> Image.Image:
        path, picture = tmp_path / "report.html", tmp_path / f"{scheme}.png"
        path.write_text(text)
        options = [
            "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
            "--disable-background-networking", "--disable-component-update", "--disable-quic",
            "--hide-scrollbars", "--window-size=1280,1600", f"--user-data-dir={tmp_path / 'profile'}",
            f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}",
            f"--screenshot={picture}",
        ]  # fmt: skip
        command = [browser, *options, path.as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=200)
        return Image.open(picture).convert("RGB")

    return shot


def test_a_browser_shows_the_page_in_light_and_dark(
    orc: Orchestrator, clock: SettableClock, screenshot: Callable[..., Image.Image]
) -> None:
    """The page has the background of the scheme, and charts in the colour of done work."""
    text = page(filled(orc, clock, HOSTILE))
    for scheme, paper, done in (
        ("light", (0xFD, 0xFD, 0xFB), (0x0B, 0x6B, 0xAB)),
        ("dark", (0x14, 0x18, 0x1C), (0x5C, 0xB3, 0xEC)),
    ):
        picture = screenshot(text, scheme)
        colours = {colour: n for n, colour in picture.getcolors(1 << 24) or ()}
        assert picture.getpixel((2, 2)) == paper
        assert colours.get(done, 0) > 3000, scheme
