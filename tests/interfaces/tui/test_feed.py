"""What a dashboard reads of a board: after any events its rows are those of a fresh look."""

import random

import pytest
from boards import SettableClock

from orchestrator import Orchestrator
from orchestrator.core.errors import OrchestratorError
from orchestrator.interfaces.tui import feed as feeds
from orchestrator.interfaces.tui.feed import Feed
from orchestrator.interfaces.tui.view import DashboardView, Row, ViewLine

from .conftest import HOSTILE, Board, asked, fill


def whole(line: ViewLine) -> str:
    """A line with its end."""
    return line.line if isinstance(line, Row) else line.text


def shown(view: DashboardView) -> dict[str, list[str]]:
    """The lines of each panel; of events only which, as their sentences keep the titles of then."""
    lines = {name: [whole(line) for line in panel.lines()] for name, panel in view.panels.items()}
    return {**lines, "Events": [line.key for line in view.panels["Events"].lines()]}


def fresh(orc: Orchestrator, workstream: str | None = None) -> dict[str, list[str]]:
    view = DashboardView()
    view.apply(Feed(orc, "kim", workstream).first())
    return shown(view)


def test_each_panel_shows_its_part_of_the_board(live: Board):
    ids = live.ids
    request = asked(live.agents, command="make")
    panels = fresh(live.shown)
    assert panels["Board"] == [
        "Ready (2)",
        f"P2 {ids.config} Read the config (build)",
        f"P3 {ids.page} Serve [bold]the[/bold] page (build)",
        "In progress (1)",
        f"P1 {ids.parser} Write the parser (build) @ann",
        "In review (1)",
        f"P5 {ids.review} Check the links (docs) @ben",
        "Waiting (1)",
        f"P5 {ids.guide} Write the guide (docs)",
        "Ended (1)",
        f"P5 {ids.failed} Print the book (docs) @ben [failed]",
    ]
    assert panels["Permissions"][0].startswith(f"{request} ann asks to use Bash until ")
    assert panels["Permissions"][0].endswith('{"command":"make"}')
    agents = "\n".join(panels["Agents"])
    assert f"working  ann (builder): {ids.parser} Write the parser" in agents
    assert "The key expires" in "\n".join(panels["Mail"])
    assert panels["Locks"][0].startswith("git: ben until ")
    assert panels["Files"][0].endswith("modify src/a.py")
    assert panels["Claims"][0] == "Tasks (1)"
    assert f"ann has {ids.parser} Write the parser until" in panels["Claims"][1]
    assert f"P5 {ids.guide} Write the guide (docs)" in panels["Cycle"]


def test_an_agent_of_a_server_is_online_though_it_was_not_seen_lately(
    orc: Orchestrator, clock: SettableClock
):
    orc.agents.register("ann", type="builder")
    clock.advance(86_400)
    assert not fresh(orc)["Agents"][0].startswith("online")
    with orc.engine.presence.serving_as("ann"):
        assert fresh(orc)["Agents"] == ["online   ann (builder)"]


def test_the_cycle_is_shown_with_its_progress(live: Board):
    view = DashboardView()
    view.apply(live.feed.first())
    before = view.cycle
    assert before.startswith("Cycle 1 since ")
    assert before.endswith(": 0 of 3 tasks ended")
    live.agents.tasks.claim(live.ids.config, agent="ben")
    live.agents.tasks.complete(live.ids.config, agent="ben")
    view.apply(live.feed.changes())
    assert view.cycle.endswith(": 1 of 3 tasks ended")


def test_an_event_changes_only_the_rows_that_it_concerns(live: Board):
    live.feed.first()
    live.agents.tasks.claim(live.ids.config, agent="ben")
    update = live.feed.changes()
    rows = {patch.panel: [row.key for row in patch.rows] for patch in update.patches}
    assert rows["Board"] == [live.ids.config]
    assert len(rows["Events"]) == len(update.news) == 1
    assert "Files" not in rows
    assert "Mail" not in rows


def test_a_task_that_ends_frees_those_that_wait_for_it(live: Board):
    view = DashboardView()
    view.apply(live.feed.first())
    live.agents.tasks.complete(live.ids.parser, agent="ann")
    view.apply(live.feed.changes())
    assert view.panels["Board"].row(live.ids.guide).section == "Ready"


def test_a_lease_that_ends_is_shown_without_an_event(orc: Orchestrator, clock: SettableClock):
    ids = fill(orc)
    feed, view = Feed(orc, "kim"), DashboardView()
    view.apply(feed.first())
    asked(orc, command="make")
    view.apply(feed.changes())
    clock.advance(301)
    view.apply(feed.changes())
    assert view.panels["Permissions"].total == 0
    clock.advance(1800)
    view.apply(feed.changes())
    assert view.panels["Board"].row(ids.parser).end == " (build) @ann [lapsed]"
    assert shown(view) == fresh(orc)


def test_a_task_that_is_put_off_becomes_ready_in_time(orc: Orchestrator, clock: SettableClock):
    ids = fill(orc)
    feed, view = Feed(orc, "kim"), DashboardView()
    orc.tasks.edit(ids.config, defer="1h")
    view.apply(feed.first())
    assert view.panels["Board"].row(ids.config).end == " (build) [deferred]"
    clock.advance(3601)
    view.apply(feed.changes())
    assert view.panels["Board"].row(ids.config).section == "Ready"


def test_a_wait_ends_with_the_next_event_of_another_process_and_with_the_feed(live: Board):
    live.feed.first()
    live.agents.events.log("ann", "deployed", service="api")
    update = live.feed.next()
    assert update is not None
    assert len(update.news) == 1
    live.feed.close()
    assert live.feed.next() is None


def test_an_update_that_fails_in_the_middle_loses_nothing(live: Board, monkeypatch):
    view = DashboardView()
    view.apply(live.feed.first())
    task = live.agents.tasks.add("build", title="Late").id

    def failing(*_: object) -> None:
        raise OSError("the disk is away")

    with monkeypatch.context() as broken:
        broken.setattr(feeds.panels, "event_row", failing)
        with pytest.raises(OSError, match="away"):
            live.feed.next()
    update = live.feed.next()
    assert update is not None
    view.apply(update)
    assert view.panels["Board"].row(task) is not None
    assert shown(view) == fresh(live.shown)


def test_an_action_of_the_person_is_shown_at_once(live: Board):
    """It reads on itself, so a wait for the next commit would pass over it."""
    view = DashboardView()
    view.apply(live.feed.first())
    live.feed.ask(lambda orc: orc.tasks.claim(live.ids.config, agent="kim"))
    update = live.feed.next()
    assert update is not None
    assert len(update.news) == 1


def test_text_of_agents_is_escaped_in_every_panel(live: Board):
    orc = live.agents
    stream = orc.tasks.add("build", title=HOSTILE, touches=["src/[red]"]).id
    orc.tasks.claim(stream, agent="ann")
    orc.mail.send("kim", HOSTILE, HOSTILE, agent="ben")
    orc.events.log("ann", "file.modify", path=HOSTILE)
    orc.events.log("ann", "deployed", text=HOSTILE)
    asked(orc, command=HOSTILE)
    view = DashboardView()
    view.apply(live.feed.first())
    rows = [line for panel in view.panels.values() for line in panel.lines()]
    assert sum("gnp.exe" in line.text for line in rows) >= 6
    for line in rows:
        texts = whole(line) + (line.detail if isinstance(line, Row) else "")
        assert texts.replace("\n", "").isprintable(), texts


def test_events_beyond_the_kept_ones_leave(live: Board, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(feeds, "KEPT", 5)
    view = DashboardView()
    view.apply(live.feed.first())
    assert len(view.panels["Events"]) == 5
    for number in range(12):
        live.agents.events.log("ann", "beat", number=number)
        if number % 7 == 0:
            view.apply(live.feed.changes())
    view.apply(live.feed.changes())
    texts = [line.text.partition("number=")[2] for line in view.panels["Events"].lines()]
    assert texts == ["11", "10", "9", "8", "7"]


def test_only_tasks_of_a_workstream_are_shown_also_when_they_move(live: Board):
    feed, view = Feed(live.shown, "kim", "docs"), DashboardView()
    view.apply(feed.first())
    assert view.panels["Board"].row(live.ids.config) is None
    live.agents.tasks.move([live.ids.config], "docs")
    live.agents.tasks.move([live.ids.guide], "build")
    view.apply(feed.changes())
    assert view.panels["Board"].row(live.ids.config) is not None
    assert view.panels["Board"].row(live.ids.guide) is None
    assert shown(view) == fresh(live.shown, "docs")


_STEPS = {
    "add": lambda orc, pick, n: orc.tasks.add(pick("build", "docs"), title=f"Task {n}"),
    "child": lambda orc, pick, n: orc.tasks.add(_in(orc, pick), title=f"Part {n}", parent=pick()),
    "after": lambda orc, pick, n: orc.tasks.add("build", title=f"After {n}", needs=[pick()]),
    "claim": lambda orc, pick, n: orc.tasks.claim(pick(), agent=pick("ann", "ben")),
    "done": lambda orc, pick, n: orc.tasks.complete(
        pick(), agent=pick("ann", "ben"), force=True, reason="x"
    ),
    "fail": lambda orc, pick, n: orc.tasks.fail(pick(), agent=pick("ann", "ben")),
    "release": lambda orc, pick, n: orc.tasks.release(pick(), agent=pick("ann", "ben")),
    "block": lambda orc, pick, n: orc.tasks.block(pick(), reason="x", agent="ann"),
    "unblock": lambda orc, pick, n: orc.tasks.unblock(pick()),
    "cancel": lambda orc, pick, n: orc.tasks.cancel(pick()),
    "reopen": lambda orc, pick, n: orc.tasks.reopen(pick()),
    "edit": lambda orc, pick, n: orc.tasks.edit(pick(), title=f"Edited {n}", priority=n % 9 + 1),
    "need": lambda orc, pick, n: orc.links.add(pick(), pick()),
    "free": lambda orc, pick, n: orc.links.remove(pick(), pick()),
    "defer": lambda orc, pick, n: orc.tasks.edit(pick(), defer="2m"),
    "delete": lambda orc, pick, n: orc.tasks.delete([pick()], reason="x"),
    "close": lambda orc, pick, n: orc.workstreams.close(pick("build", "docs")),
    "open": lambda orc, pick, n: orc.workstreams.reopen(pick("build", "docs")),
    "move": lambda orc, pick, n: orc.tasks.move([pick()], pick("build", "docs")),
    "lock": lambda orc, pick, n: orc.locks.acquire(pick("git", "db"), agent=pick("ann", "ben")),
    "mail": lambda orc, pick, n: orc.mail.send(pick("kim", "ann"), f"Mail {n}", agent="ben"),
    "approve": lambda orc, pick, n: orc.reviews.approve(pick(), agent="kim"),
    "retire": lambda orc, pick, n: orc.agents.retire("ben"),
    "register": lambda orc, pick, n: orc.agents.register("ben"),
    "plan": lambda orc, pick, n: orc.plan(),
    "archive": lambda orc, pick, n: orc.tasks.archive(older_than="1m"),
}


def _in(orc: Orchestrator, pick) -> str:
    return pick("build", "docs")


@pytest.mark.parametrize("seed", range(12))
def test_after_any_commands_the_rows_are_those_of_a_fresh_look(
    orc: Orchestrator, clock: SettableClock, seed: int
):
    fill(orc)
    chance = random.Random(seed)
    feed, view = Feed(orc, "kim"), DashboardView()
    view.apply(feed.first())
    done = set()

    def pick(*names: str) -> str:
        return chance.choice(names or [*orc.engine.read().tasks.tasks, "none"])

    for number in range(120):
        step = chance.choice([*_STEPS])
        try:
            _STEPS[step](orc, pick, number)
            done.add(step)
        except OrchestratorError:
            pass
        if chance.random() < 0.1:
            clock.advance(chance.choice([1, 70, 1000]))
        if chance.random() < 0.5:
            view.apply(feed.changes())
            assert shown(view) == fresh(orc), f"after {step}"
    assert len(done) > 12
