"""The views of plans and figures: cycle, numbers and forecast, convoys and workflows."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from orchestrator import Orchestrator
from tests.interfaces.web import sample_boards

from .conftest import Opened

LOADED = {
    "cycle": "Who did what",
    "numbers": "Where it is stuck",
    "convoys": "1 of 6 steps ended",
}
"""For each view a heading that is shown only when the view is complete."""

VIEWS = {"cycle": "Cycle 3", "numbers": "Numbers and forecast", "convoys": "Convoys and workflows"}


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """A board of a week."""
    sample_boards.small(tmp_path / "small")
    return tmp_path / "small"


def heading(page: Any, name: str) -> Any:
    """The heading of a view."""
    return page.get_by_role("heading", name=name, level=1)


def last(board: Path, type: str) -> tuple[str, str]:
    """Who recorded the last event of a type, and its payload."""
    with Orchestrator.open(board, reads=True) as orc:
        event = next(event for event in orc.engine.read_backwards() if event.type == type)
        return event.agent, bytes(event.payload).decode()


def unfold(page: Any) -> None:
    """Open all that is folded."""
    folded = page.locator("main details:not([open]) > summary")
    while folded.count():
        folded.first.click()


def test_a_cycle_is_planned_and_collected_under_the_persons_name(
    window: Opened, board: Path
) -> None:
    with window(board) as opened:
        page = opened.page
        opened.open("/cycle")
        expect(heading(page, "Cycle 3")).to_be_visible()
        plan = page.get_by_role("region", name="The plan now")
        expect(plan.get_by_role("row", name=re.compile("Implement Login"))).to_contain_text("cleo")
        expect(plan.get_by_text("ben holds src/server.py for task")).to_be_visible()
        expect(plan.get_by_role("row", name=re.compile("Write the guide"))).to_contain_text("needs")
        page.get_by_label("Topic").fill("third")
        page.get_by_role("button", name="Collect into the knowledge base").click()
        expect(page.get_by_role("link", name="third")).to_be_visible()
        assert last(board, "knowledge.written")[0] == "kim"
        page.get_by_label("Tasks side by side, at most").fill("2")
        page.get_by_role("button", name="Begin cycle 4").press("Enter")
        expect(heading(page, "Cycle 4")).to_be_visible()
        assert last(board, "cycle.planned")[0] == "kim"
        expect(page.get_by_role("button", name="Begin cycle 5")).to_be_focused()
        page.get_by_role("button", name="Cycle before").click()
        came_back = page.get_by_role("region", name="What came back")
        expect(came_back.get_by_text("The fuzzer does not build")).to_be_visible()


def test_what_needs_attention_is_settled_where_it_is_shown(window: Opened, board: Path) -> None:
    with window(board) as opened:
        page = opened.page
        opened.open("/cycle")
        for name, type in (("Unblock", "task.unblocked"), ("Approve", "task.approved")):
            button = page.get_by_role("button", name=re.compile(f"^{name}: "))
            button.click()
            expect(button).to_have_count(0)
            assert last(board, type)[0] == "kim"


def test_the_bars_of_a_cycle_are_walked_with_arrows_and_are_a_table_too(
    window: Opened, board: Path
) -> None:
    with window(board) as opened:
        page = opened.page
        opened.open("/cycle")
        chart = page.get_by_role("group", name=re.compile("^Who did what"))
        first, second = chart.locator("a[data-bar='0 0']"), chart.locator("a[data-bar='1 0']")
        first.focus()
        page.keyboard.press("ArrowDown")
        expect(second).to_be_focused()
        expect(second).to_have_attribute(
            "aria-label", re.compile("ben: Check 2 of the grammar: by ben, done, .* 3 h$")
        )
        with opened.agent() as orc:
            orc.tasks.add("build", title="While the keyboard is in the chart")
        expect(page.get_by_text("Added (7)")).to_be_attached()
        expect(second).to_be_focused()
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile("/tasks/"))
        page.go_back()
        page.get_by_text("As a table").first.click()
        row = page.get_by_role("row", name=re.compile("ben: Check 2 of the grammar"))
        expect(row).to_contain_text("3 h")


def test_a_brief_opens_and_gives_the_focus_back(window: Opened, board: Path) -> None:
    with window(board) as opened:
        page = opened.page
        opened.open("/cycle")
        button = page.get_by_role("button", name="Brief of Implement Login")
        button.press("Enter")
        dialog = page.get_by_role("dialog", name=re.compile("^Brief of "))
        expect(dialog.get_by_text("What to do").first).to_be_visible()
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        expect(button).to_be_focused()


def test_numbers_have_a_forecast_with_its_uncertainty_and_follow_the_board(
    window: Opened, board: Path
) -> None:
    with window(board) as opened:
        page = opened.page
        opened.open("/numbers")
        forecast = page.get_by_role("region", name="When will it be done?")
        expect(forecast.get_by_text("with 85 % by")).to_be_visible()
        expect(forecast.get_by_role("img", name=re.compile("95 of 100 by"))).to_be_visible()
        expect(forecast.get_by_role("row", name=re.compile("^beta"))).to_contain_text("0 of 2")
        stuck = page.get_by_role("region", name="Where it is stuck")
        expect(stuck.get_by_role("row", name=re.compile("Write the parser")).first).to_contain_text(
            "ann"
        )
        charts = page.get_by_role("region", name="How the work flows")
        charts.get_by_text("As a table").first.click()
        expect(charts.get_by_role("columnheader", name="failed")).to_be_visible()
        done = page.locator(".figures div", has_text="done").first
        expect(done).to_contain_text("13")
        page.get_by_label("Workstream").select_option("docs")
        expect(done).to_contain_text("0")
        with opened.agent() as orc:
            orc.tasks.add("docs", title="Late")
        expect(page.locator(".figures div", has_text="open").first).to_contain_text("3")


def test_convoys_are_made_filled_and_cancelled(window: Opened, board: Path) -> None:
    with window(board) as opened:
        page = opened.page
        opened.open("/convoys")
        page.get_by_text("New convoy").click()
        page.get_by_label("Name").fill("later")
        page.get_by_role("button", name="Create the convoy").click()
        convoy = page.locator("details", has_text="later").first
        convoy.locator("summary").click()
        with Orchestrator.open(board, reads=True) as orc:
            guide = next(task for task in orc.tasks.list() if task.title == "Write the guide")
        convoy.get_by_label("Ids of tasks").fill(guide.id)
        convoy.get_by_role("button", name="Add to the convoy").click()
        expect(convoy.get_by_role("listitem").first).to_contain_text("needs")
        expect(convoy.locator("summary")).to_contain_text("0 of 1 tasks ended")
        convoy.get_by_role("button", name="Remove: Write the guide").click()
        expect(convoy.locator("summary")).to_contain_text("0 of 0 tasks ended")
        convoy.get_by_role("button", name="Start").click()
        expect(convoy.get_by_text("started")).to_be_visible()
        convoy.get_by_role("button", name="Cancel the convoy").click()
        dialog = page.get_by_role("dialog", name=re.compile("^Cancel the convoy later"))
        dialog.get_by_role("button", name="Cancel the convoy").click()
        expect(page.locator("summary", has_text="later")).to_have_count(0)
        for type in ("created", "changed", "started", "cancelled"):
            assert last(board, f"convoy.{type}")[0] == "kim"


def test_a_workflow_is_poured_and_followed_to_a_persons_word(window: Opened, board: Path) -> None:
    with window(board) as opened:
        page = opened.page
        opened.open("/convoys")
        page.get_by_text("New workflow").click()
        page.get_by_label("Formula").select_option("release")
        page.get_by_label(re.compile("^version")).fill("1.2.0")
        page.get_by_role("button", name="Pour the workflow").click()
        flow = page.locator("details", has_text="release: version=1.2.0").first
        expect(flow).to_contain_text("0 of 8 steps ended")
        expect(flow).to_contain_text("1 ready")
        assert '"version":"1.2.0"' in last(board, "workflow.poured")[1]
        flow.locator("summary").click()
        expect(flow.get_by_role("listitem").first).to_contain_text("ready")
        with Orchestrator.open(board) as orc:
            root = orc.workflows.all()[-1].root
            while not (stuck := orc.workflows.standing(root).stuck):
                for task in orc.workflows.standing(root).ready:
                    orc.tasks.claim(task.id, agent="ann")
                    orc.tasks.complete(task.id, agent="ann", force=True, reason="A test")
        step = flow.get_by_role("listitem").filter(has_text=stuck[0].task.title)
        step.get_by_role("button", name=re.compile("^Give the signal")).click()
        expect(step.get_by_role("button")).to_have_count(0)
        assert last(board, "task.signalled")[0] == "kim"


def test_views_that_only_show_need_no_right_to_change(window: Opened, board: Path) -> None:
    with window(board, "--read-only") as opened:
        page = opened.page
        for name, title in VIEWS.items():
            opened.open(f"/{name}")
            expect(heading(page, title)).to_be_visible()
            expect(page.get_by_role("heading", level=2).first).to_be_visible()
        expect(page.locator("main .failure")).to_have_count(0)
