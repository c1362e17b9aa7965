"""Rules on a board of files, and a sender that a test decides about."""

from collections.abc import Callable
from pathlib import Path

import pytest
from boards import SettableClock

from orchestrator import Orchestrator
from orchestrator.notices.notifier import NoticeReport, Notifier
from orchestrator.notices.rules import NoticeRules, Rule, subscriber_of
from orchestrator.notices.texts import NoticeText


class Person:
    """A person with rules, and a sender that succeeds unless the test sets a reason for failure."""

    def __init__(self, board: Orchestrator, rules: NoticeRules, clock: SettableClock) -> None:
        self.board, self.rules, self.clock = board, rules, clock
        self.sent: list[NoticeText] = []
        self.tried: list[NoticeText] = []
        self.reports: list[NoticeReport] = []
        self.warnings: list[str] = []
        self.fails = ""

    def add(self, name: str = "phone", **how: object) -> None:
        how = {"on": ("a.*",), "to": "desktop", **how}
        self.rules.add(name, Rule(**how))
        self.board.subscriptions.open(subscriber_of(name))

    def push(self, type: str = "a.x", count: int = 1) -> list[int]:
        return [self.board.events.push(type, agent="ann").id for _ in range(count)]

    def send(self, rule: Rule, notice: NoticeText, until: float) -> str:
        self.tried.append(notice)
        if not self.fails:
            self.sent.append(notice)
        return self.fails

    def notifier(self, board: Orchestrator | None = None) -> Notifier:
        return Notifier(
            board or self.board,
            self.rules,
            report=self.reports.append,
            warn=self.warnings.append,
            send=self.send,
        )

    def run(self) -> list[NoticeText]:
        """Send what waits, with a notifier of its own, and return what arrived."""
        before = len(self.sent)
        self.notifier().run_once()
        return self.sent[before:]

    @property
    def ids(self) -> list[list[int]]:
        return [[event["id"] for event in notice.events] for notice in self.sent]


@pytest.fixture
def person(
    board: Orchestrator, clock: SettableClock, tmp_path: Path, utc: None
) -> Callable[..., Person]:
    return Person(board, NoticeRules(board.folder or "", str(tmp_path / "user")), clock)
