"""Random histories of pushes, claims, attempts, lapses, finishes and cursors, compared with a simple
model."""

from collections import Counter
from typing import Any

import msgspec
from boards import SettableClock, check_law, new_store
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from orchestrator import Orchestrator, Refused
from orchestrator.domain.subscriptions.patterns import hears

LEASE = 60.0
MOST = 2
AGENTS = st.sampled_from(["plan", "code"])
WORKERS = st.sampled_from(["w1", "w2"])
NEWEST = st.integers(0, 3)
"""Which of the events or attempts, counted from the newest: so rules meet at the same ones."""
RUNNERS = st.integers(0, 1)


class ModelAttempt:
    """The attempts of an agent at an event in the model."""

    def __init__(self) -> None:
        self.count = 0
        self.until = 0.0
        self.state = "waiting"


class QueueMachine(RuleBasedStateMachine):
    """Two runners on the same board; each agent gets every pushed event, one at a time, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = SettableClock()
        store = new_store()
        self.runners = [Orchestrator(store, now=self.clock) for _ in range(2)]
        self.pushed: list[int] = []
        self.passed = {"plan": 0, "code": 0}
        self.open: dict[str, dict[int, ModelAttempt]] = {"plan": {}, "code": {}}
        self.done = Counter[tuple[str, int]]()
        self.replays = Counter[tuple[str, int]]()
        self.dead = Counter[tuple[str, int]]()
        self.tokens: list[tuple[str, int, int]] = []  # every attempt that ever began
        self.claims: dict[int, tuple[str, float]] = {}
        self.cursors: dict[str, int] = {}

    @initialize()
    def begin(self) -> None:
        for agent in self.passed:
            self.runners[0].subscriptions.open(agent, position=0)
        self.push(0)

    def heard(self, agent: str) -> list[int]:
        return [event for event in self.pushed if event > self.passed[agent]]

    @rule(runner=RUNNERS)
    def push(self, runner: int) -> None:
        self.pushed.append(self.runners[runner].events.push("job", agent="ann").id)

    @rule(seconds=st.sampled_from([1.0, 29.0, 31.0, LEASE]))
    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(runner=RUNNERS, agent=AGENTS)
    def start(self, runner: int, agent: str) -> None:
        """Start an attempt as a runner does: at an event that waits, else at the next event."""
        orc, model = self.runners[runner], self.open[agent]
        subscriber = orc.subscriptions.get(agent)
        new = [
            record.id
            for record in orc.events.read(since=subscriber.position)
            if hears(["job"], record.type)
        ]
        event = next(iter(model), None) or (new[0] if new else None)
        if event is None:
            assert self.heard(agent) == []
            return
        known = model.get(event)
        is_running = known is not None and known.state == "running"
        if known is not None and is_running and known.until > self.clock.seconds:
            self.refused(orc, agent, event)
            return
        attempt = orc.subscriptions.start(
            agent, event, after=subscriber.position, lease=LEASE, most=MOST
        )
        if known is not None and is_running and known.count == MOST:
            assert attempt is None
            self.dead[agent, event] += 1
            del model[event]
            return
        assert attempt is not None
        mine = model.setdefault(event, ModelAttempt())
        mine.count += 1
        mine.state, mine.until = "running", self.clock.seconds + LEASE
        assert attempt.number == mine.count
        self.passed[agent] = max(self.passed[agent], event)
        self.tokens.append((agent, event, attempt.token))

    def refused(self, orc: Orchestrator, agent: str, event: int) -> None:
        before = orc.engine.read().event
        position = orc.subscriptions.get(agent).position
        try:
            orc.subscriptions.start(agent, event, after=position, lease=LEASE)
        except Refused:
            assert orc.engine.read().event == before
        else:
            raise AssertionError("it was started twice")

    @rule(runner=RUNNERS, which=NEWEST, how=st.sampled_from(["finish", "fail", "end"]))
    def end(self, runner: int, which: int, how: str) -> None:
        """End any attempt that ever began, even if another runner has replaced it."""
        if not self.tokens:
            return
        agent, event, token = self.tokens[-1 - which % len(self.tokens)]
        orc, model = self.runners[runner].subscriptions, self.open[agent]
        newest = [t for a, e, t in self.tokens if (a, e) == (agent, event)][-1]
        known = model.get(event)
        is_valid = known is not None and known.state == "running" and token == newest
        try:
            if how == "finish":
                orc.finish(agent, event, token)
            elif how == "fail":
                orc.fail(agent, event, token, "no")
            else:
                orc.interrupt(agent, event, token, "killed")
        except Refused:
            assert not is_valid
            return
        assert is_valid
        assert known is not None
        if how == "finish":
            self.done[agent, event] += 1
            claim = self.claims.get(event)
            if claim is not None and claim[0] == agent:
                self.claims[event] = (agent, float("inf"))
            del model[event]
        elif known.count == MOST:
            self.dead[agent, event] += 1
            del model[event]
        else:
            known.state = "waiting"

    @rule(runner=RUNNERS, worker=st.one_of(WORKERS, AGENTS), which=NEWEST)
    def claim(self, runner: int, worker: str, which: int) -> None:
        event = self.pushed[-1 - which % len(self.pushed)]
        held = self.runners[runner].subscriptions.claim(event, agent=worker, lease=LEASE)
        owner, until = self.claims.get(event, ("", 0.0))
        now = self.clock.seconds
        if until > now and owner != worker:
            assert held.agent == owner
            return
        assert held.agent == worker
        if until <= now + LEASE / 2:
            self.claims[event] = (worker, now + LEASE)

    @rule(runner=RUNNERS, worker=WORKERS, which=NEWEST)
    def set_cursor(self, runner: int, worker: str, which: int) -> None:
        position = self.pushed[-1 - which % len(self.pushed)]
        self.runners[runner].subscriptions.set_cursor(worker, position)
        self.cursors[worker] = position
        for event, (owner, until) in self.claims.items():
            if owner == worker and event <= position and until > self.clock.seconds:
                self.claims[event] = (owner, float("inf"))

    @rule(runner=RUNNERS, agent=AGENTS, which=NEWEST)
    def replay(self, runner: int, agent: str, which: int) -> None:
        """Set the cursor of a subscriber: later events come again, earlier ones do not."""
        position = self.pushed[-1 - which % len(self.pushed)]
        model = self.open[agent]
        lively = [a for a in model.values() if a.state == "running"]
        try:
            self.runners[runner].subscriptions.set_cursor(agent, position)
        except Refused:
            assert any(a.until > self.clock.seconds for a in lively)
            return
        assert not any(a.until > self.clock.seconds for a in lively)
        self.open[agent] = {e: a for e, a in model.items() if a.state == "running"}
        for event in self.pushed:
            self.replays[agent, event] += event > position
        for event, (owner, until) in self.claims.items():
            if owner == agent and event <= position and until > self.clock.seconds:
                self.claims[event] = (owner, float("inf"))
        self.passed[agent] = position

    @invariant()
    def each_event_has_one_finish(self) -> None:
        for key, count in self.done.items():
            assert count <= 1 + self.replays[key]

    @invariant()
    def the_board_is_what_the_model_is(self) -> None:
        for orc in self.runners:
            for agent, model in self.open.items():
                if agent not in orc.engine.read().subscriptions:
                    return
                subscriber = orc.subscriptions.get(agent)
                assert subscriber.position == self.passed[agent]
                assert {a.event: (a.number, a.status) for a in subscriber.attempts} == {
                    event: (known.count, known.state) for event, known in model.items()
                }
            dead = Counter((letter.subscriber, letter.event) for letter in orc.subscriptions.dead())
            assert dead == self.dead
            for event in self.pushed:
                owner, until = self.claims.get(event, ("", 0.0))
                held = orc.subscriptions.claim_of(event)
                assert (held.agent if held else "") == (owner if until > self.clock.seconds else "")
            for worker, position in self.cursors.items():
                assert orc.subscriptions.cursor(worker) == position

    def teardown(self) -> None:
        finished = Counter[Any](
            (payload["subscriber"], payload["event"])
            for record in self.runners[0].events.read(type="subscription.finished")
            for payload in [msgspec.json.decode(record.payload)]
        )
        assert finished == +self.done
        check_law(self.runners[0])


TestQueue = QueueMachine.TestCase
TestQueue.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
