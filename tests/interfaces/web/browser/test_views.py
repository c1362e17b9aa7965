"""Every view: on an empty and a small board, in both colours, on a phone; and with harmful texts."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from orchestrator import Orchestrator
from tests.interfaces.web import sample_boards

from .conftest import Opened, Window

VIEWS: dict[str, tuple[str, str]] = {
    "/": ("There are no tasks yet.", "Write the parser"),
    "/graph": ("No open task is here.", "15 of 15 tasks"),
    "/graph?as=list": ("No open task is here.", "critical path 2"),
    "/agents": ("No agent worked in this time.", "Who did what"),
    "/mail": ("No mail.", "The key expires"),
    "/knowledge": ("No topics.", "grammar"),
    "/decisions": ("No decisions.", "1. The parser is written by hand"),
    "/locks": ("No resource is locked.", "main branch"),
    "/permissions": ("No request waits.", "rm -r build"),
    "/events": ("registered", "ben asks for permission"),
    "/events?type=task.added": ("No such event.", "added"),
    "/cycle": ("No cycle has begun", "Who did what"),
    "/numbers": ("There are no numbers yet", "Where it is stuck"),
    "/convoys": ("No convoy is open", "1 of 6 steps ended"),
    "/search": ("Tasks, results, notes", "Tasks, results, notes"),
    "/search?q=parser": ("Nothing has these words.", "Write the parser"),
}
"""Each address, a text that it has on an empty board, and one on the small board."""

OPENED: dict[str, str] = {
    "/tasks/{links}": "212 links, all work",
    "/agents/ann": "What it did last",
    "/mail/{message}": "Renew it today.",
    "/decisions/1": "Recursive descent.",
    "/knowledge/grammar": "two ambiguous",
}
"""The address of one thing in a view, and a text of it."""


MOVING = """[...document.querySelectorAll("*")].filter(
    each => getComputedStyle(each).transitionDuration !== "0s").length"""


def unfold(page: Any) -> None:
    """Open all that is folded."""
    folded = page.locator("main details:not([open]) > summary")
    while folded.count():
        folded.first.click()


def message_of(board: Path) -> int:
    """A message to the person."""
    with Orchestrator.open(board, agent="kim", reads=True) as orc:
        return next(m.id for m in orc.mail.inbox() if m.subject.startswith("The key expires"))


@pytest.mark.parametrize("kind", ["empty", "small"])
def test_each_view_is_accessible_in_both_colours_and_fits_a_phone(
    window: Opened, tmp_path: Path, kind: str
) -> None:
    board = tmp_path / "board"
    expected = {address: texts[kind == "small"] for address, texts in VIEWS.items()}
    if kind == "empty":
        sample_boards.empty(board)
    else:
        ids = sample_boards.small(board)
        named = {**ids, "message": message_of(board)}
        expected |= {address.format(**named): text for address, text in OPENED.items()}
    with window(board) as opened:
        for address, text in expected.items():
            opened.open(address)
            expect(opened.page.get_by_text(text).first).to_be_visible()
            expect(opened.page.locator("main .failure")).to_have_count(0)
            unfold(opened.page)
            opened.accessible_everywhere(f"{kind}{address}")
        opened.page.emulate_media(reduced_motion="reduce")
        assert opened.page.evaluate(MOVING) == 0
        opened.open("/knowledge?new")
        expect(opened.page.get_by_role("heading", name="A new topic")).to_be_visible()
        opened.accessible_everywhere(f"{kind}-new-topic")


def test_no_text_of_an_agent_runs_in_any_view(window: Opened, tmp_path: Path) -> None:
    board, text = tmp_path / "board", sample_boards.hostile
    ids = sample_boards.small(board, text)
    task = harm(board, ids)
    addresses = {**dict.fromkeys(VIEWS, "onerror"), "/search?q=script": "<script>"}
    addresses |= {address.format(**ids, message=message_of(board)): "onerror" for address in OPENED}
    addresses |= dict.fromkeys(["/agents/dan", "/decisions/2", "/knowledge/hostile"], "onerror")
    addresses |= {"/": "<script>", "/graph": "", "/graph?ended=yes&as=list": "<script>"}
    addresses |= {
        "/search": "",
        "/search?q=parser": "",
        "/agents": "kim",
        f"/tasks/{task}": "onerror",
    }
    with window(board) as opened:
        page = opened.page
        for address, wanted in addresses.items():
            opened.open(address)
            expect(page.locator("main h1").first).to_be_visible()
            expect(page.locator("main")).to_contain_text(wanted)
            if address in ("/decisions/2", "/knowledge/hostile"):
                page.get_by_role("button", name="History").click()
                expect(page.locator("del").first).to_contain_text("onerror")
                page.get_by_role("button", name="Edit").click()
                page.get_by_label("show what it will be").check()
                expect(page.locator(".markdown")).to_contain_text("onerror")
            if address == "/events":
                open_events(opened)
            if address.startswith("/tasks/"):
                open_dialogs(opened)
            unfold(page)
            assert page.locator("main :is(img, script, iframe, object, [onerror])").count() == 0
            assert page.locator('a[href^="javascript:"]').count() == 0
            assert "run" not in page.title().split(" · ")[0]
            opened.look(f"hostile{address}")
        assert page.evaluate("({}).polluted") is None
        assert page.evaluate("typeof ({}).toString") == "function"


def harm(board: Path, ids: dict[str, str]) -> str:
    """Write harmful texts wherever an agent can write; returns a task that has many of them."""
    text, task = sample_boards.hostile, ids["links"]
    bad = text("x").replace("\u202e", "")
    with Orchestrator.open(board, agent="ann") as orc:
        orc.tasks.note(task, text("A note"))
        orc.tasks.edit(
            task,
            acceptance=text("Accepted"),
            external_ref="javascript:alert(1)",
            meta={"__proto__": bad, "constructor": bad, "toString": bad, "key": "1"},
            touches=["<img>"],
            commits=["abcdef1"],
        )
        orc.reviews.reject(task, reason=text("Rejected"), agent="kim")
        orc.tasks.claim(task, agent="dan")
        orc.tasks.edit(task, verify=[f"python -c \"print('''{bad}'''); raise SystemExit(1)\""])
        orc.mail.send(["kim"], subject=text(f"About {task}"), body=text(f"{task} and"))
        orc.events.push("probe", {"__proto__": {"polluted": bad}, "constructor": {"prototype": 1}})
        orc.events.push("probe", [bad, {"toString": bad, "": {"__proto__": bad}}])
        orc.locks.acquire("<img src=x onerror=x>", agent="ann", ttl="9h")
        arguments = {text("key"): [text("value")], "__proto__": {"polluted": bad}}
        orc.permissions._request(text("Tool"), arguments, "ann", 600)
        denied = orc.permissions._request("Bash", {}, "ben", 600)
        orc.permissions.deny(denied.id, text("No"), agent="ann")
        orc.decisions.add(text("Title"), context=text("Context"), agent="ann")
        orc.decisions.edit(2, title=text("Other title"), agent="ann")
        orc.knowledge.write("hostile", text("One"), tags=["a"])
        orc.knowledge.write("hostile", text("Two"))
        orc.knowledge.write("constructor", "A topic with the name of a method.")
        orc.agents.register("constructor", type="__proto__", capabilities=["toString"])
        orc.mail.send(["constructor"], "hasOwnProperty", "valueOf")
        orc.workstreams.create("toString", description=text("A workstream"))
        huge = orc.tasks.add("toString", title="W" * 500, labels=["constructor", "x" * 60]).id
        orc.tasks.edit(huge, description="\u202e" + "\u0000W\u200b".replace("\u0000", "") * 50_000)
        orc.agents.retire("dan", reason=text("Gone"))
    return task


def open_events(opened: Window) -> None:
    """Open the events with payloads that are not what they seem."""
    page = opened.page
    page.get_by_label("Type").fill("probe")
    page.keyboard.press("Enter")
    rows = page.get_by_role("button").filter(has_text="logged probe")
    expect(rows).to_have_count(2)
    for number in range(2):
        rows.nth(number).click()
        details = page.get_by_role("region", name="Event")
        expect(details).to_contain_text("payload")
        unfold(page)
        expect(details).to_contain_text("<img src=x")
        page.keyboard.press("Escape")


def open_dialogs(opened: Window) -> None:
    """Open the dialogs that name the task."""
    page = opened.page
    for button in page.locator(".task-actions button[aria-haspopup]").all()[:2]:
        button.click()
        expect(page.get_by_role("dialog")).to_contain_text("<script>")
        page.keyboard.press("Escape")
