"""A board on disk that a dashboard shows, and the texts that hostile agents write."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestrator import Orchestrator
from orchestrator.interfaces.tui.feed import Feed

HOSTILE = "[bold red]x[/] [@click=app.quit]q[/] \x1b[2J\x1b]0;t\x07 \x9b31m \u202egnp.exe \u200bz [link=a]l"
"""Markup of Rich and Textual, escape sequences, control characters, reversed and invisible text."""


def fill(orc: Orchestrator) -> SimpleNamespace:
    """Make something for each panel; ann and ben work, kim is the person who looks on."""
    orc.workstreams.create("build", priority=1)
    orc.workstreams.create("docs")
    for name, type in (("ann", "builder"), ("ben", "builder"), ("kim", "human")):
        orc.agents.register(name, type=type)
    parser = orc.tasks.add("build", title="Write the parser", priority=1).id
    config = orc.tasks.add("build", title="Read the config", priority=2).id
    page = orc.tasks.add("build", title="Serve [bold]the[/bold] page", priority=3).id
    guide = orc.tasks.add("docs", title="Write the guide", needs=[parser]).id
    review = orc.tasks.add("docs", title="Check the links", review=True).id
    failed = orc.tasks.add("docs", title="Print the book").id
    orc.tasks.claim(parser, agent="ann")
    orc.tasks.claim(review, agent="ben")
    orc.tasks.complete(review, result="All links work", agent="ben")
    orc.tasks.claim(failed, agent="ben")
    orc.tasks.fail(failed, reason="No paper", agent="ben")
    orc.locks.acquire("git", agent="ben")
    message = orc.mail.send("kim", "The key expires", "Renew it today.", agent="ben").id
    orc.plan()
    orc.events.log("ann", "file.modify", path="src/a.py")
    return SimpleNamespace(
        parser=parser,
        config=config,
        page=page,
        guide=guide,
        review=review,
        failed=failed,
        message=message,
    )


def asked(orc: Orchestrator, **tool_input: str) -> str:
    """Let ann ask for permission to use the shell; return the id of the request."""
    return orc.permissions._request("Bash", tool_input, "ann", 300.0).id


class Board:
    """A board of files with two programs: the dashboard's, and one of the agents."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.agents = Orchestrator.open(folder)
        self.ids = fill(self.agents)
        self.shown = Orchestrator.open(folder)
        self.feed = Feed(self.shown, "kim")


@pytest.fixture
def live(memory_path: Path) -> Iterator[Board]:
    """The board of a dashboard."""
    board = Board(memory_path / "live")
    yield board
    board.feed.close()
    board.shown.close()
    board.agents.close()
