"""A task in the page: what is shown of it, what a person does with it, and what agents write into it."""

from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from orchestrator import Orchestrator
from tests.interfaces.web.browser.conftest import Opened, Window
from tests.interfaces.web.sample_boards import small


def of_person(opened: Window, type: str) -> list[dict[str, Any]]:
    """The events of a type that the person has recorded."""
    path = f"/api/commands/timeline?agent=kim&last=500&type={type}"
    status, events = opened.server.request("GET", path)
    assert status == 200
    return list(events)


def press(opened: Window, name: str) -> None:
    """Press a button with the keyboard."""
    button = opened.page.get_by_role("button", name=name, exact=True)
    button.focus()
    opened.page.keyboard.press("Enter")


def test_a_task_shows_its_facts_and_what_is_about_it(window: Opened, tmp_path: Path) -> None:
    ids = small(tmp_path / "board")
    with Orchestrator.open(tmp_path / "board", agent="ann") as orc:
        orc.mail.send(["kim"], subject="About the links", body=f"Is {ids['links']} done?")
    with window(tmp_path / "board") as opened:
        page = opened.page
        opened.open(f"/tasks/{ids['errors']}")
        expect(page.get_by_role("heading", level=1)).to_contain_text("Report errors")
        facts = page.get_by_role("complementary", name="Facts")
        expect(facts.get_by_role("link", name="Write the parser")).to_be_visible()
        facts.get_by_role("link", name="Write the parser").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("Write the parser")
        expect(page.get_by_role("heading", level=1)).to_be_focused()
        expect(facts.get_by_role("link", name="Report errors with their line")).to_be_visible()
        expect(page.get_by_text("Begin with expressions.").first).to_be_visible()
        opened.open(f"/tasks/{ids['links']}")
        mail = page.get_by_role("region", name="Mail")
        expect(mail.get_by_role("link", name="About the links")).to_be_visible()
        history = page.get_by_role("region", name="History")
        expect(history.get_by_role("listitem").first).to_contain_text("dan submitted it")
        opened.accessible()
        opened.look("task")


def test_a_person_does_with_the_keyboard_what_the_status_allows_under_the_own_name(
    window: Opened, place: Path
) -> None:
    with Orchestrator.open(place, agent="ann") as orc:
        task = orc.tasks.add("build", title="Write the parser").id
        other = orc.tasks.add("build", title="Review it", review=True).id
        orc.tasks.claim(other, agent="ann")
        orc.tasks.complete(other, result="It is there", agent="ann")
    with window(place) as opened:
        page = opened.page
        opened.open(f"/tasks/{task}")
        said = page.get_by_role("status").filter(has_text=task)
        head = page.locator(".task-head .badge")
        press(opened, "Claim")
        expect(head).to_have_text("in progress")
        press(opened, "Extend the lease")
        expect(page.get_by_text("kim extended the lease of it").or_(said).first).to_be_visible()
        press(opened, "Fail")
        dialog = page.get_by_role("dialog")
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        expect(page.get_by_role("button", name="Fail", exact=True)).to_be_focused()
        for button, text, status in (
            ("Release", "Others are better at it", "pending"),
            ("Block", "The key is missing", "blocked"),
            ("Unblock", None, "pending"),
            ("Claim", None, "in progress"),
            ("Fail", "The key is gone", "failed"),
            ("Reopen", "It is back", "pending"),
            ("Claim", None, "in progress"),
            ("Complete", "The parser is there", "done"),
            ("Reopen", "It was not", "pending"),
            ("Cancel the task", "Not wanted", "cancelled"),
        ):
            press(opened, button)
            if text is not None:
                dialog.get_by_role("textbox").first.focus()
                page.keyboard.type(text)
                page.keyboard.press("Tab")
                dialog.get_by_role("button", name=button, exact=True).focus()
                page.keyboard.press("Enter")
            expect(head).to_have_text(status)
        opened.open(f"/tasks/{other}")
        press(opened, "Take the review")
        expect(page.get_by_text("In review by kim")).to_be_visible()
        press(opened, "Reject")
        dialog.get_by_role("textbox").fill("The tests are missing")
        dialog.get_by_role("button", name="Reject").click()
        expect(page.get_by_role("region", name="Reviews")).to_contain_text("The tests are missing")
        with opened.agent() as orc:
            orc.tasks.claim(other)
            orc.tasks.complete(other, result="With tests")
        expect(head).to_have_text("in review")
        press(opened, "Approve")
        dialog.get_by_role("button", name="Approve").click()
        expect(head).to_have_text("done")
        done = {event["type"] for event in of_person(opened, "task.*")}
        assert done >= {
            "task.claimed", "task.renewed", "task.released", "task.blocked", "task.unblocked",
            "task.failed", "task.reopened", "task.completed", "task.cancelled",
            "task.review_claimed", "task.rejected", "task.approved",
        }  # fmt: skip
        assert of_person(opened, "task.failed")[0]["payload"]["reason"] == "The key is gone"


def test_a_refusal_is_the_sentence_of_the_rule_and_what_was_typed_stays(
    window: Opened, place: Path
) -> None:
    with Orchestrator.open(place, agent="ann") as orc:
        task = orc.tasks.add("build", title="Write the parser").id
        orc.tasks.claim(task, agent="ann")
        try:
            orc.tasks.complete(task, result="Mine", agent="kim")
        except Exception as error:
            sentence = str(error)
    with window(place) as opened:
        page = opened.page
        opened.expect("status of 4")
        opened.open(f"/tasks/{task}")
        press(opened, "Complete")
        dialog = page.get_by_role("dialog")
        dialog.get_by_role("textbox").fill("Mine")
        dialog.get_by_role("button", name="Complete").click()
        expect(dialog.get_by_role("alert")).to_contain_text(sentence)
        expect(dialog.get_by_role("textbox")).to_have_value("Mine")
        opened.accessible()
        page.keyboard.press("Escape")
        with opened.agent() as orc:
            orc.tasks.release(task)
        page.get_by_text("More actions").click()
        press(opened, "Complete by force")
        dialog.get_by_role("textbox").nth(1).fill("ann is away")
        dialog.get_by_role("button", name="Complete").click()
        expect(page.locator(".task-head .badge")).to_have_text("done")
        expect(page.get_by_role("region", name="Evidence")).to_contain_text("ann is away")


def test_facts_are_edited_in_place_while_agents_go_on(window: Opened, place: Path) -> None:
    with Orchestrator.open(place, agent="ann") as orc:
        task = orc.tasks.add("build", title="Write the parser").id
    with window(place) as opened:
        page = opened.page
        opened.open(f"/tasks/{task}")
        for label, text in (
            ("Title", "Write the printer"),
            ("Priority", "1"),
            ("Labels", "ui, urgent"),
        ):
            press(opened, f"Edit: {label}")
            box = page.get_by_role("textbox", name=label)
            expect(box).to_be_focused()
            page.keyboard.press("Control+a")
            page.keyboard.type(text)
            page.keyboard.press("Enter")
            expect(page.get_by_role("button", name=f"Edit: {label}")).to_be_focused()
        expect(page.get_by_role("heading", level=1)).to_contain_text("Write the printer")
        page.get_by_text("More facts").click()
        for label, text in (
            ("Estimate", "2h"),
            ("Commits", "abcdef1, abcdef2"),
            ("External ref", "gh-9"),
            ("Meta", "team=core\nconstructor=<b>\n__proto__=x=y"),
            ("Meta", "team=web\n__proto__=x=y"),
            ("Verify", "make test, all\nmake lint"),
        ):
            press(opened, f"Edit: {label}")
            page.get_by_role("textbox", name=label, exact=True).fill(text)
            page.keyboard.press("Control+Enter")
            expect(page.get_by_role("button", name=f"Edit: {label}", exact=True)).to_be_focused()
        page.get_by_role("checkbox", name="Review").check()
        facts = page.get_by_role("complementary", name="Facts")
        for shown in ("120 min", "abcdef1, abcdef2", "gh-9", "team: web", "make test, all"):
            expect(facts).to_contain_text(shown)
        page.get_by_text("More actions").click()
        press(opened, "Give to an agent")
        page.get_by_role("dialog").get_by_label("Agent").fill("ann")
        page.keyboard.press("Enter")
        expect(page.locator(".task-head .badge")).to_have_text("assigned")
        note = page.get_by_role("textbox", name="New note")
        note.focus()
        page.keyboard.type("Half a ")
        with opened.agent() as orc:
            orc.tasks.note(task, "I have begun")
        expect(page.get_by_role("region", name="Notes")).to_contain_text("I have begun")
        expect(note).to_be_focused()
        page.keyboard.type("sentence")
        page.keyboard.press("Control+Enter")
        expect(page.get_by_role("region", name="Notes")).to_contain_text("Half a sentence")
        expect(note).to_have_value("")
        press(opened, "Edit: Priority")
        page.keyboard.type("7")
        with opened.agent() as orc:
            orc.tasks.edit(task, priority=3)
        expect(page.get_by_text("It was changed meanwhile to: 3")).to_be_visible()
        page.keyboard.press("Escape")
        _, record = opened.server.request("GET", f"/api/commands/task/show?task={task}")
        facts = ("title", "priority", "labels", "estimate", "external_ref", "meta")
        assert [record[name] for name in facts] == [
            "Write the printer",
            3,
            ["ui", "urgent"],
            120,
            "gh-9",
            {"team": "web", "__proto__": "x=y"},
        ]
        assert record["checks"]["verify"] == ["make test, all", "make lint"]
        assert record["checks"]["review"]
        assert {event["agent"] for event in of_person(opened, "task.edited")} == {"kim"}
