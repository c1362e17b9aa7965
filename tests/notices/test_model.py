"""Random histories of events, failures, kills and pauses with two notifiers, against a simple model.

The model: the events that fit a rule, in order. Each notice that has ended, because it arrived or was given
up, is about the next ones of them; a notice comes again only if its sender was killed or if it failed.
"""

import os
import shutil
import tempfile
from pathlib import Path

from boards import SettableClock, check_law
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from orchestrator import Orchestrator
from orchestrator.notices.notifier import ATTEMPTS, NoticeReport, Notifier
from orchestrator.notices.rules import NoticeRules, Rule, subscriber_of
from orchestrator.notices.sending import LEASE
from orchestrator.notices.texts import LISTED, NoticeText

RULES = {
    "each": Rule(on=("a.*",), to="desktop", every=0.0),
    "calm": Rule(on=("a.*", "b.x"), to="desktop", every=30.0),
    "mine": Rule(on=("*",), to="desktop", agents=("ann",), every=60.0),
}
NAMES = st.sampled_from([*RULES])


class Notices(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        memory = os.environ.get("PYTEST_DEBUG_TEMPROOT")
        self.folder = tempfile.mkdtemp(dir=memory, prefix="orchestrator-test-")
        self.clock = SettableClock()
        self.rules = NoticeRules(f"{self.folder}/board", f"{self.folder}/user")
        self.orc = self.opened()
        self.fitting: dict[str, list[int]] = {name: [] for name in RULES}
        self.settled = dict.fromkeys(RULES, 0)
        self.killed: dict[str, float] = {}
        self.last: dict[str, float] = {}
        self.failing: set[str] = set()
        self.reports: list[NoticeReport] = []
        self.tried: list[NoticeText] = []
        self.push("b.x", "bob", 3)
        for known in self.fitting.values():
            known.clear()
        for name, known in RULES.items():
            self.rules.add(name, known)
            self.orc.subscriptions.open(subscriber_of(name))
        self.notifiers = [self.notifier(), self.notifier()]

    def opened(self) -> Orchestrator:
        return Orchestrator.open(Path(self.folder) / "board", now=self.clock)

    def notifier(self) -> Notifier:
        return Notifier(
            self.opened(), self.rules, report=self.reports.append, warn=self.fail, send=self.send
        )

    @staticmethod
    def fail(text: str) -> None:
        raise AssertionError(text)

    def send(self, rule: Rule, notice: NoticeText, until: float) -> str:
        self.tried.append(notice)
        return "the connection was refused" if notice.rule in self.failing else ""

    @rule(
        type=st.sampled_from(["a.x", "a.y", "b.x", "c"]),
        agent=st.sampled_from(["ann", "bob"]),
        count=st.sampled_from([1, 1, 2, LISTED + 3]),
    )
    def push(self, type: str, agent: str, count: int) -> None:
        for _ in range(count):
            event = self.orc.events.push(type, agent=agent).id
            for name, fits in (
                ("each", type[0] == "a"),
                ("calm", type[0] in "ab"),
                ("mine", agent == "ann"),
            ):
                if fits:
                    self.fitting[name].append(event)

    @rule(seconds=st.sampled_from([1, 29, 30, LEASE, 600, 4000]))
    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(name=NAMES)
    def break_(self, name: str) -> None:
        self.failing.add(name)

    @rule(name=NAMES)
    def mend(self, name: str) -> None:
        self.failing.discard(name)

    @rule(which=st.integers(0, 1))
    def run_once(self, which: int) -> None:
        self.reports.clear()
        self.tried.clear()
        notifier = self.notifiers[which]
        notifier._is_stopped = False
        notifier.run_once()
        assert len(self.tried) == len(self.reports) <= len(RULES)
        for notice in self.tried:
            (report,) = [r for r in self.reports if r.rule == notice.rule]
            self.check(notice, report)

    @rule(which=st.integers(0, 1), name=NAMES)
    def kill(self, which: int, name: str) -> None:
        """A notifier is killed while it sends: nothing of its notices is recorded."""
        notifier = self.notifiers[which]
        notifier._is_stopped = False
        begun: list[str] = []
        notifier._start = lambda ear, attempt: begun.append(ear.name)
        notifier._work()
        for each in begun:
            self.killed[each] = self.clock.seconds
        self.notifiers[which] = self.notifier()

    @rule(which=st.integers(0, 1))
    def restart(self, which: int) -> None:
        self.notifiers[which] = self.notifier()

    def check(self, notice: NoticeText, report: NoticeReport) -> None:
        name, at = notice.rule, self.settled[notice.rule]
        count = len(notice.events) + notice.more
        expected = self.fitting[name][at : at + count]
        assert [event["id"] for event in notice.events] == expected[:LISTED]
        assert len(expected) == count == report.events
        assert RULES[name].every or count == 1
        if name in self.killed:
            assert self.clock.seconds >= self.killed.pop(name) + LEASE
        if report.attempt == 1:
            last = self.last.get(name)
            assert last is None or self.clock.seconds >= last + RULES[name].every
            self.last[name] = self.clock.seconds
        assert report.attempt <= ATTEMPTS
        assert report.is_last == (not report.reason or report.attempt == ATTEMPTS)
        if report.is_last:
            self.settled[name] += count

    @invariant()
    def given_up_are_settled(self) -> None:
        """The next run gives up a notice whose last attempt was killed; the model takes this from the log."""
        if not hasattr(self, "orc"):
            return
        state = self.orc.engine.read()
        for name in RULES:
            subscriber = state.subscriptions[subscriber_of(name)]
            waiting = [a.event for a in subscriber.attempts]
            ended = [e for e in self.fitting[name] if e <= subscriber.position and e not in waiting]
            if not waiting:
                self.settled[name] = max(self.settled[name], len(ended))
                assert self.settled[name] == len(ended)
            # A look of another notifier may have begun it for a killed one.
            if name in self.killed and not subscriber.running:
                del self.killed[name]

    def teardown(self) -> None:
        if not hasattr(self, "orc"):
            return
        self.failing.clear()
        for _ in range(sum(map(len, self.fitting.values())) + 40):
            self.clock.advance(4000)
            self.run_once(0)
            self.given_up_are_settled()
        assert self.settled == {name: len(known) for name, known in self.fitting.items()}
        for notifier in self.notifiers:
            notifier._orc.close()
        check_law(self.orc)
        shutil.rmtree(self.folder)


TestNotices = Notices.TestCase
