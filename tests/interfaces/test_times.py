"""Times in texts are local; with --utc and in JSON they are exact and in UTC."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.core import clock

from .conftest import CommandLine
from .terminal import at_terminal

pytestmark = pytest.mark.skipif(not hasattr(time, "tzset"), reason="the zone cannot be set")

EXACT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
LOCAL = re.compile(r"(?<![T:\d])\d\d:\d\d(?!:)")


@pytest.fixture(autouse=True)
def far_away(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A zone half a day from UTC."""
    monkeypatch.setenv("TZ", "XXX-11:17")
    time.tzset()
    yield
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


@pytest.fixture
def ids(cli: CommandLine) -> dict[str, str]:
    """A board with times of every kind, and the names of its records."""
    cli("ws", "create", "w")
    held = cli("t", "add", "w", "Held", "--touches", "src/**", "--due", "1h", "--json").json["id"]
    cli("t", "claim", held, "ann", "--lease", "2h")
    cli("t", "note", held, "a note", "--agent", "ann")
    for facts in (("--touches", "src/a"), ("--defer", "3h"), ("--review", "--due", "5h")):
        last = cli("t", "add", "w", "Free", *facts, "--json").json["id"]
    cli("t", "claim", last, "ann")
    cli("t", "complete", last, "--agent", "ann")
    cli("t", "review", last, "--agent", "bob")
    cli("lock", "git", "ann", "--ttl", "1h")
    cli("kb", "write", "findings", "text")
    cli("say", "ann", "Subject", "Body", "--agent", "bob")
    cli("convoy", "create", "c", held)
    cli("goal", "create", "g", held, "--due", "1h")
    cli("goal", "edit", "g", "--due", "2h")
    cli("session", "start", "--agent", "ann")
    cli("plan")
    return {"HELD": held, "LAST": last}


PAGES = (
    "status",
    "log",
    "ls",
    "t ls",
    "t show HELD",
    "t show LAST",
    "t blocked",
    "t stale --days 0",
    "lock list",
    "a list",
    "whoami --agent ann",
    "mail inbox --agent ann",
    "mail read 1 --peek --agent ann",
    "ws show w",
    "kb history findings",
    "convoy status c",
    "goal list",
    "goal show g",
    "session show --agent ann",
    "plan --look --format markdown",
    "collect --format markdown",
    "brief HELD",
    "prime ann",
    "prime bob",
    "next --agent eve",
    "lock git bob",
    "lock src/b bob",
    "lock renew git ann",
    "t renew HELD --agent ann",
    "t claim HELD bob",
    "metrics",
    "stats --days 2",
)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_local_times_or_with_utc_exact_ones(
    cli: CommandLine, ids: dict[str, str], page: str
):
    words = [ids.get(word, word) for word in page.split()]
    shown = cli(*words, status=None)
    assert not EXACT.findall(shown.out + shown.err)
    exact = cli(*words, "--utc", status=None)
    assert not LOCAL.findall(exact.out + exact.err)


def test_the_local_time_is_that_of_the_zone(cli: CommandLine, ids: dict[str, str]):
    until = cli("t", "show", ids["HELD"], "--json").json["lease_until"]
    shown = clock.local_time(until, clock.timestamp(time.time()))
    assert f"lease until {shown}\n" in re.sub(" +", " ", cli("t", "show", ids["HELD"]).out)
    assert until[11:16] not in shown


def test_json_and_reports_that_are_kept_have_exact_times(cli: CommandLine, ids: dict[str, str]):
    cli("collect", "--save", "report")
    document = cli("kb", "read", "report").out
    assert len(EXACT.findall(document)) == 2
    blocked = cli("t", "blocked", "--json").json
    assert [EXACT.search(row["by"][0]["says"]) is not None for row in blocked] == [True]


@pytest.mark.needs("pty")
@pytest.mark.usefixtures("ids")
@pytest.mark.parametrize("page", ["log --last 1", "status", "mail inbox --agent ann", "a list"])
def test_a_terminal_shows_how_long_ago(tmp_path: Path, page: str):
    shown = at_terminal(tmp_path / "board", *page.split())
    assert re.search(r"\b(now|\d+ s ago|\d+ min ago)\b", shown)
    assert "0 min ago" not in shown


def test_a_moment_is_near_in_words(monkeypatch: pytest.MonkeyPatch):
    from orchestrator.interfaces.cli import layout

    monkeypatch.setattr(layout, "is_terminal", lambda: True)
    now = "2026-11-21T06:13:00.000Z"
    ago = {0: "now", 4: "now", 5: "5 s ago", 59: "59 s ago", 60: "1 min ago", 3599: "59 min ago"}
    assert {s: layout.shown_time(clock.after(now, -s), now) for s in ago} == ago
    for moment in (clock.after(now, 60), clock.after(now, -3600)):
        assert layout.shown_time(moment, now) == clock.local_time(moment, now)
    with clock.exact_times(True):
        assert layout.shown_time(now, now) == now
