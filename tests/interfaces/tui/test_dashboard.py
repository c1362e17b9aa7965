"""The dashboard, driven by its keys on a real board: each key, each action, other processes, sizes, texts."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from textual.pilot import Pilot

from orchestrator import Orchestrator
from orchestrator.domain.event_log import as_dict
from orchestrator.interfaces.tui.app import Dashboard, Page

from .conftest import HOSTILE, Board, asked

LIMIT = 60.0
"""Seconds within which a busy machine shows what has happened."""


class Driver:
    """A person at the keyboard of a dashboard."""

    def __init__(self, app: Dashboard, pilot: Pilot[None]) -> None:
        self.app, self._pilot = app, pilot

    async def press(self, *keys: str) -> None:
        await self._pilot.press(*keys)
        await self._pilot.pause()

    async def type(self, text: str, *, enter: bool = True) -> None:
        for character in text:
            await self._pilot.press("space" if character == " " else character)
        await self.press(*["enter"] * enter)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until the screen is so."""
        async with asyncio.timeout(LIMIT):
            while not condition():
                await self._pilot.pause(0.02)

    async def sees(self, text: str) -> None:
        await self.until(lambda: text in self.screen)

    async def resize(self, width: int, height: int) -> None:
        await self._pilot.resize_terminal(width, height)
        await self._pilot.pause()

    @property
    def lines(self) -> list[str]:
        """The lines of the screen, as they are drawn."""
        strips = self.app.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip).rstrip() for strip in strips]

    @property
    def screen(self) -> str:
        return "\n".join(self.lines)

    @property
    def selected(self) -> str | None:
        return self.app.rows.selected

    async def select(self, key: str) -> None:
        """Choose a row with j, as a person does."""
        await self.press("home")
        for _ in range(50):
            if self.selected == key:
                return
            await self.press("j")
        raise AssertionError(f"{key} cannot be selected:\n{self.screen}")


@asynccontextmanager
async def _driving(live: Board, size: tuple[int, int]):
    app = Dashboard(live.feed)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        yield Driver(app, pilot)


def drive(
    live: Board, scene: Callable[[Driver], Awaitable[None]], size: tuple[int, int] = (80, 24)
) -> None:
    """Run a scene."""

    async def run() -> None:
        async with _driving(live, size) as driver:
            await scene(driver)

    asyncio.run(run())


def last(orc: Orchestrator, type: str) -> dict:
    """The last event of a type."""
    return as_dict(orc.events.read(type=type, last=1)[-1])


# Looking


def test_the_first_screen_fits_80_by_24_with_every_panel_and_the_keys(live: Board):
    async def scene(person: Driver) -> None:
        lines = person.lines
        assert len(lines) == 24
        assert lines[0].startswith("kim: 2 unread, 2 ready, 1 in progress, 1 in review, 1 waiting")
        assert (
            lines[1]
            == "[1 Board] 2 Permit 3 Agents 4 Mail 5 Locks 6 Files 7 Claims 8 Events 9 Cycle"
        )
        assert lines[2] == "Ready (2)"
        assert lines[3] == f"> P2 {live.ids.config} Read the config (build)"
        assert lines[4] == f"  P3 {live.ids.page} Serve [bold]the[/bold] page (build)"
        assert "c claim" in lines[-1]
        assert lines[-1].endswith("q")

    drive(live, scene)


def test_j_and_k_select_rows_and_skip_headings(live: Board):
    async def scene(person: Driver) -> None:
        for keys, expected in (
            (["j"], live.ids.page),
            (["j"], live.ids.parser),
            (["k"], live.ids.page),
            (["G"], live.ids.failed),
            (["g"], live.ids.config),
            (["k"], live.ids.config),
            (["down"], live.ids.page),
            (["up"], live.ids.config),
            (["pagedown"], live.ids.failed),
            (["pageup"], live.ids.config),
        ):
            await person.press(*keys)
            assert person.selected == expected, keys

    drive(live, scene)


def test_tab_shift_tab_and_numbers_show_the_panels(live: Board):
    async def scene(person: Driver) -> None:
        shown = []
        for _ in range(9):
            shown.append(re.search(r"\[\d (\w+)\]", person.lines[1])[1])
            await person.press("tab")
        assert shown == [
            "Board",
            "Permit",
            "Agents",
            "Mail",
            "Locks",
            "Files",
            "Claims",
            "Events",
            "Cycle",
        ]
        assert "[1 Board]" in person.screen
        await person.press("shift+tab")
        assert "[9 Cycle]" in person.screen
        await person.press("5")
        assert "git: ben until" in person.screen
        await person.press("6")
        assert "modify src/a.py" in person.screen
        await person.press("7")
        assert "ann has" in person.screen
        await person.press("9")
        assert person.lines[0].startswith("Cycle 1 since ")

    drive(live, scene)


def test_enter_opens_a_row_of_each_panel_and_escape_goes_back(live: Board):
    request = asked(live.agents, command="make clean")

    async def scene(person: Driver) -> None:
        await person.select(live.ids.review)
        await person.press("enter")
        await person.sees("All links work")
        await person.press("escape")
        await person.press("2", "enter")
        await person.sees(f"{request}: ann asks to use Bash (pending)")
        assert '"command": "make clean"' in person.screen
        await person.press("q", "4")
        await person.select(str(live.ids.message))
        await person.press("enter")
        await person.sees("Renew it today.")
        await person.press("escape", "3", "enter")
        await person.sees("Last events:")
        assert re.search(r"claimed \w+ Write the parser", person.screen)
        await person.press("escape", "5", "enter")
        await person.until(lambda: person.lines[:1] == ["git"])
        await person.press("escape", "6", "enter")
        await person.sees('"path": "src/a.py"')
        await person.press("escape", "8", "enter")
        await person.sees("Event ")
        assert isinstance(person.app.screen, Page)
        await person.press("escape")
        assert not isinstance(person.app.screen, Page)

    drive(live, scene)
    assert last(live.agents, "message.read")["agent"] == "kim"


def test_mail_of_others_is_shown_and_not_marked_as_read(live: Board):
    other = live.agents.mail.send("ann", "For ann", "Only ann reads this.", agent="ben").id

    async def scene(person: Driver) -> None:
        await person.press("4")
        await person.select(str(other))
        await person.press("enter")
        await person.sees("Only ann reads this.")

    drive(live, scene)
    assert live.agents.events.read(type="message.read") == []


def test_a_search_follows_what_is_typed_and_escape_ends_it(live: Board):
    async def scene(person: Driver) -> None:
        await person.press("slash")
        await person.type("THE CONF", enter=False)
        assert "Read the config" in person.screen
        assert "Write the parser" not in person.screen
        assert person.selected == live.ids.config
        await person.press("enter")
        assert person.lines[0].startswith("/THE CONF: 1 found. kim: 2 unread, 2 ready")
        live.agents.tasks.add("build", title="Write the CONFIG of the page")
        await person.sees("CONFIG of the page")
        await person.press("escape")
        await person.sees("Write the parser")

    drive(live, scene)


def test_s_hides_and_shows_the_records_of_the_machinery(live: Board):
    async def scene(person: Driver) -> None:
        await person.press("8")
        assert "system planned cycle 1" in person.screen
        await person.press("s")
        assert "system planned cycle 1" not in person.screen
        assert "ann claimed" in person.screen
        await person.press("s")
        assert "system planned cycle 1" in person.screen

    drive(live, scene)


def test_question_mark_shows_every_key_and_q_quits(live: Board):
    async def scene(person: Driver) -> None:
        await person.press("question_mark")
        for word in (
            "claim the task",
            "reject it, with a reason",
            "allow the tool, once",
            "send mail",
        ):
            assert word in person.screen
        await person.press("question_mark")
        await person.press("q")
        await person.until(lambda: not person.app.is_running)

    drive(live, scene)


# Acting


def test_claim_and_release_are_commands_of_the_person(live: Board):
    async def scene(person: Driver) -> None:
        await person.press("c")
        await person.sees("Claimed: Read the config")
        assert last(live.agents, "task.claimed")["agent"] == "kim"
        await person.sees("@kim")
        assert person.selected == live.ids.config, "the selection follows the task to its column"
        await person.press("r")
        await person.sees("Released: Read the config")
        assert last(live.agents, "task.released")["agent"] == "kim"

    drive(live, scene)


def test_approve_is_a_command_of_the_person(live: Board):
    async def scene(person: Driver) -> None:
        await person.select(live.ids.review)
        await person.press("a")
        await person.type("well done")
        await person.sees("Approved: Check the links")

    drive(live, scene)
    approved = last(live.agents, "task.approved")
    assert approved["agent"] == "kim"
    assert approved["payload"]["comment"] == "well done"


def test_reject_asks_for_a_reason_and_gives_the_work_back(live: Board):
    async def scene(person: Driver) -> None:
        await person.select(live.ids.review)
        await person.press("x")
        assert person.lines[-1] == "Enter goes on  Esc gives up"
        await person.press("enter")
        assert "reason" in person.screen, "without a reason it goes on asking"
        await person.type("one is dead")
        await person.sees("Rejected: Check the links")

    drive(live, scene)
    rejected = last(live.agents, "task.rejected")
    assert (rejected["agent"], rejected["payload"]["reason"]) == ("kim", "one is dead")


def test_escape_gives_up_an_action(live: Board):
    async def scene(person: Driver) -> None:
        await person.select(live.ids.review)
        await person.press("x")
        await person.type("no", enter=False)
        await person.press("escape")
        await person.sees("Nothing was done")
        await person.press("j")
        assert not person.app.query_one("#prompt").display

    drive(live, scene)
    assert live.agents.tasks.get(live.ids.review).status == "in_review"


def test_the_review_of_a_task_is_claimed_and_released(live: Board):
    async def scene(person: Driver) -> None:
        await person.select(live.ids.review)
        await person.press("c")
        await person.sees("Review claimed: Check the links")
        await person.sees("reviewed by kim")
        await person.press("r")
        await person.sees("Review released: Check the links")

    drive(live, scene)


def test_mail_is_sent_to_whom_the_person_names(live: Board):
    async def scene(person: Driver) -> None:
        await person.press("m")
        await person.type("ann,ben")
        await person.type("Stop")
        await person.type("The release is out [today]")
        await person.sees("Sent: message")

    drive(live, scene)
    sent = last(live.agents, "message.sent")
    assert sent["agent"] == "kim"
    assert sent["payload"]["to"] == ["ann", "ben"]
    assert sent["payload"]["body"] == "The release is out [today]"


def test_a_warning_of_the_board_is_shown_with_the_answer(live: Board):
    async def scene(person: Driver) -> None:
        await person.press("m")
        await person.type("anne")
        await person.type("Stop")
        await person.press("enter")
        await person.sees("Sent: message")
        assert "anne" in person.screen

    drive(live, scene)


@pytest.mark.parametrize(
    ("key", "type", "payload"),
    [
        ("y", "permission.response", {"behavior": "allow"}),
        ("n", "permission.response", {"behavior": "deny", "message": "ask ann"}),
    ],
)
def test_a_request_is_allowed_or_denied(live: Board, key: str, type: str, payload: dict):
    request = asked(live.agents, command="rm -rf build && make")

    async def scene(person: Driver) -> None:
        assert person.lines[0].startswith("kim: 1 request for permission")
        await person.press("2")
        assert '"command": "rm -rf build && make"' in person.screen, "the whole input is shown"
        await person.press(key)
        if key == "n":
            await person.type("ask ann")
        await person.sees("Allowed: ann Bash" if key == "y" else "Denied: ann Bash")
        await person.sees("No requests wait.")

    drive(live, scene)
    answer = last(live.agents, type)
    assert answer["agent"] == "kim"
    assert answer["payload"] == {"request_id": request, **payload}


def test_a_request_is_never_answered_before_it_was_looked_at(live: Board):
    """y in another panel shows the requests; after an answer, and for a new request, none is selected."""
    first = asked(live.agents, command="one")
    second = asked(live.agents, command="two")

    async def scene(person: Driver) -> None:
        await person.press("y")
        assert "[2 Permit]" in person.screen
        assert live.agents.permissions.get(first).status == "pending"
        await person.press("y")
        await person.sees("Allowed: ann Bash")
        await person.until(lambda: person.selected is None)
        await person.press("y")
        assert "Nothing is selected" in person.screen
        await person.press("j")
        assert person.selected == second
        await person.press("y")
        await person.sees("No requests wait.")
        third = asked(live.agents, command="three")
        await person.sees(third)
        assert person.selected is None

    drive(live, scene)
    assert live.agents.permissions.get(second).status == "allowed"


def test_a_long_input_is_never_cut_without_a_remark(live: Board):
    request = asked(live.agents, command="echo " + "x " * 900 + "; rm -rf /")

    async def scene(person: Driver) -> None:
        await person.press("2")
        assert re.search(r"\(\d+ more lines: Enter shows all\)", person.screen)
        assert "rm -rf" not in person.screen
        await person.press("enter")
        await person.sees(request)
        await person.press("end")
        await person.sees("rm -rf /")

    drive(live, scene)


@pytest.mark.parametrize("width", [80, 120, 200])
def test_an_input_is_wrapped_to_the_room_beside_the_events(live: Board, width: int):
    """At no width is the end of a line cut off: a person decides by this text."""
    command = "; ".join(f"step{number}" for number in range(40))
    asked(live.agents, command=command)

    async def scene(person: Driver) -> None:
        await person.press("2")
        await person.until(lambda: "step39" in detail(person))
        assert command in " ".join(detail(person).split())
        await person.resize(300 - width, 50)
        await person.until(lambda: command in " ".join(detail(person).split()))

    def detail(person: Driver) -> str:
        room = person.app.rows.outer_size.width
        lines = [line[:room] for line in person.lines]
        start = next((n for n, line in enumerate(lines) if line.startswith("───")), 0)
        return "\n".join(lines[start + 1 : -2])

    drive(live, scene, (width, 50))


def test_a_long_title_leaves_room_for_who_has_the_task(live: Board):
    task = live.agents.tasks.add("build", title="界x " * 60, priority=1).id
    live.agents.tasks.claim(task, agent="ann")

    async def scene(person: Driver) -> None:
        for width in (80, 60, 41):
            await person.resize(width, 24)
            row = next(line for line in person.lines if task in line)
            assert row.endswith("… (build) @ann"), row

    drive(live, scene)


def test_a_refusal_is_the_sentence_of_the_rule(live: Board):
    async def scene(person: Driver) -> None:
        await person.select(live.ids.guide)
        await person.press("c")
        await person.sees("is not ready")
        await person.press("4", "c")
        assert "[1 Board]" in person.screen
        await person.select(live.ids.parser)
        await person.press("a")
        await person.press("enter")
        await person.sees("in_progress")

    drive(live, scene)


def test_what_an_agent_started_by_an_event_may_not_do_is_refused_here_too(
    live: Board, monkeypatch: pytest.MonkeyPatch
):
    asked(live.agents, command="make")
    live.shown.engine.is_started = True

    async def scene(person: Driver) -> None:
        await person.press("2", "y")
        await person.sees("cannot answer requests for permission")

    drive(live, scene)


# The board goes on


def test_events_of_another_process_appear(live: Board):
    async def scene(person: Driver) -> None:
        code = (
            "import sys; from orchestrator import Orchestrator\n"
            "with Orchestrator.open(sys.argv[1], agent='ben') as orc:\n"
            "    orc.tasks.claim(sys.argv[2]); orc.tasks.add('docs', title='From outside')"
        )
        words = [sys.executable, "-c", code, str(live.folder), live.ids.config]
        await asyncio.to_thread(subprocess.run, words, check=True)
        await person.sees("From outside")
        await person.sees(f"P2 {live.ids.config} Read the config (build) @ben")
        assert person.selected == live.ids.config

    drive(live, scene)


def test_the_selection_stays_with_its_row_and_goes_to_the_next_when_it_leaves(live: Board):
    async def scene(person: Driver) -> None:
        await person.select(live.ids.page)
        live.agents.tasks.add("build", title="Comes first", priority=1)
        await person.sees("Comes first")
        assert person.selected == live.ids.page
        live.agents.tasks.cancel(live.ids.page)
        live.agents.tasks.delete([live.ids.page], reason="not needed")
        await person.until(lambda: live.ids.page not in person.screen)
        assert person.selected is not None

    drive(live, scene)


def test_a_board_that_cannot_be_read_is_reported_and_read_again(live: Board, monkeypatch):
    next_update, failures = live.feed.next, [OSError("the disk is away")]

    def failing():
        if failures:
            raise failures.pop()
        return next_update()

    monkeypatch.setattr(live.feed, "next", failing)

    async def scene(person: Driver) -> None:
        await person.sees("The board cannot be read: the disk is away")
        live.agents.tasks.add("build", title="Later")
        await person.sees("Later")
        await person.until(lambda: "cannot be read" not in person.screen)

    drive(live, scene)


def test_ten_thousand_tasks_are_drawn_as_far_as_they_are_seen(live: Board, monkeypatch):
    with live.agents.transaction():
        for number in range(10_000):
            live.agents.tasks.add("build", title=f"Task {number}", priority=9)
    drawn = []

    async def scene(person: Driver) -> None:
        rows = person.app.rows
        plain = rows._drawn
        monkeypatch.setattr(
            rows, "_drawn", lambda line, width: drawn.append(1) or plain(line, width)
        )
        await person.press("G")
        assert person.selected == live.ids.failed
        await person.press("g")
        for _ in range(4):
            await person.press("pagedown")
        assert 0 < len(drawn) < 3_000, "not all lines are drawn, however often the screen is"
        changed = []
        monkeypatch.setattr(
            person.app._view.panels["Board"], "apply", lambda patch: changed.append(len(patch.rows))
        )
        live.agents.tasks.add("build", title="One more")
        await person.until(lambda: changed)
        assert changed == [1]

    drive(live, scene)


# Sizes and texts


@pytest.mark.parametrize("size", [(1, 1), (8, 3), (20, 6), (40, 10), (80, 24), (200, 60)])
def test_every_size_works_with_every_panel_and_page(live: Board, size: tuple[int, int]):
    asked(live.agents, command="make")

    async def scene(person: Driver) -> None:
        await person.resize(*size)
        for _ in range(9):
            await person.press("j", "j", "k", "tab")
        await person.press("2", "enter")
        await person.press("escape", "question_mark", "j", "escape", "m", "escape")
        assert len(person.lines) == size[1]
        assert all(len(line) <= size[0] for line in person.lines)
        await person.resize(80, 24)
        await person.press("1")
        await person.sees("Read the config")

    drive(live, scene, (120, 40))


def test_a_wide_terminal_shows_the_events_beside(live: Board):
    async def scene(person: Driver) -> None:
        assert "ann claimed" not in person.screen
        await person.resize(140, 30)
        await person.sees("ann claimed")
        await person.resize(80, 24)
        await person.until(lambda: "ann claimed" not in person.screen)

    drive(live, scene)


def test_hostile_text_is_shown_as_text_everywhere(live: Board):
    orc = live.agents
    task = orc.tasks.add("build", title=HOSTILE, description=f"{HOSTILE}\n{HOSTILE}", priority=1).id
    orc.tasks.claim(task, agent="ann")
    message = orc.mail.send("kim", HOSTILE, HOSTILE, agent="ben").id
    orc.events.log("ann", "file.modify", path=HOSTILE)
    asked(orc, command=HOSTILE)
    drawn: list[str] = []

    async def scene(person: Driver) -> None:
        for _ in range(9):
            drawn.append(person.screen)
            await person.press("tab")
        await person.select(task)
        await person.press("enter")
        await person.sees("Description:")
        drawn.append(person.screen)
        await person.press("escape", "4")
        await person.select(str(message))
        await person.press("enter")
        await person.sees("Subject")
        drawn.append(person.screen)
        await person.press("escape", "m")
        await person.type("a[red]b", enter=True)
        await person.type("x", enter=True)
        await person.press("enter")
        await person.sees("[red]b")
        drawn.append(person.screen)
        assert person.app.is_running

    drive(live, scene)
    text = "\n".join(drawn)
    assert text.replace("\n", "").isprintable()
    assert text.count("[bold red]x[/]") >= 5


def colours(app: Dashboard) -> set[str]:
    """The colours on the screen, as they are sent to the terminal."""
    strips = app.screen._compositor.render_strips()
    for line_filter in filter(lambda known: known.enabled, app._filters):
        strips = [
            strip.apply_filter(line_filter, app.screen.background_colors[1]) for strip in strips
        ]
    styles = [segment.style for strip in strips for segment in strip if segment.style]
    return {c.name for style in styles for c in (style.color, style.bgcolor) if c is not None}


def test_colours_are_those_of_the_terminal_so_they_suit_a_light_and_a_dark_one(live: Board):
    asked(live.agents, command="make")

    async def scene(person: Driver) -> None:
        for _ in range(9):
            assert all(not name.startswith("#") for name in colours(person.app)), colours(
                person.app
            )
            await person.press("tab")
        assert {"blue", "yellow", "red"} <= colours(person.app)

    drive(live, scene)


def test_no_color_takes_all_colours_away(live: Board):
    """In a process of its own: Textual reads the variable when it is imported."""
    code = (
        "import sys, asyncio; from orchestrator import Orchestrator\n"
        "from orchestrator.interfaces.tui.app import Dashboard\n"
        "from orchestrator.interfaces.tui.feed import Feed\n"
        "async def run():\n"
        "    app = Dashboard(Feed(Orchestrator.open(sys.argv[1]), 'kim'))\n"
        "    async with app.run_test(size=(80, 24)) as pilot:\n"
        "        await pilot.pause()\n"
        "        print([type(known).__name__ for known in app._filters if known.enabled])\n"
        "asyncio.run(run())"
    )
    words = [sys.executable, "-c", code, str(live.folder)]
    environment = {**os.environ, "NO_COLOR": "1"}
    shown = subprocess.run(words, check=True, env=environment, capture_output=True, text=True)
    assert shown.stdout == "['NoColor']\n"
