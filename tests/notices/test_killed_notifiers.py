"""Real notifiers, two on a board, that are killed while they send: at most what they sent is repeated."""

import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator import Orchestrator
from orchestrator.notices.rules import NoticeRules, Rule, subscriber_of
from tests import forked

from .servers import Webhooks

SECRET = "s3cr3t-t0ken"


@pytest.fixture
def webhooks() -> Iterator[Webhooks]:
    server = Webhooks()
    yield server
    server.close()


class Place:
    """A board in a folder, with rules, and notifiers that run as processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.user = folder / "user"
        self.orc = Orchestrator.open(folder / "board")
        folders = dict.fromkeys(("XDG_DATA_HOME", "LOCALAPPDATA"), str(self.user))
        self.environment = {**os.environ, **folders}

    def add(self, name: str, rule: Rule) -> None:
        NoticeRules(str(self.folder / "board"), str(self.user / "orc")).add(name, rule)
        self.orc.subscriptions.open(subscriber_of(name))

    def push(self, count: int = 1) -> list[int]:
        return [self.orc.events.push("a.x", agent="ann").id for _ in range(count)]

    def notifier(self, *words: str) -> "subprocess.Popen[str]":
        return forked.popen(
            ["--board", str(self.folder / "board"), "--json", "notify", "run", *words],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.orc.close()


def end(process: "subprocess.Popen[str]") -> str:
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    return output


@pytest.mark.needs("signals")
def test_two_notifiers_send_each_event_once(place: Place, webhooks: Webhooks):
    place.add("hook", Rule(on=("a.*",), to="webhook", address=f"{webhooks.url}/{SECRET}", every=0))
    notifiers = [place.notifier(), place.notifier()]
    events = place.push(6)
    for _ in events:
        assert webhooks.arrived.acquire(timeout=200)
    outputs = [end(notifier) for notifier in notifiers]
    heard = [body["events"][0]["id"] for _, _, body in webhooks.received]
    assert heard == events
    reports = [json.loads(line) for output in outputs for line in output.splitlines()]
    assert sum(report["events"] for report in reports) == len(events)
    check_no_secret(place, *outputs)


def test_a_killed_notifier_repeats_at_most_the_one_that_it_sent(place: Place, webhooks: Webhooks):
    place.add(
        "hook", Rule(on=("a.*",), to="webhook", address=f"{webhooks.url}/hang/{SECRET}", every=0)
    )
    events = place.push(3)
    killed = place.notifier()
    assert webhooks.arrived.acquire(timeout=200)
    killed.kill()
    killed.communicate()
    webhooks.go_on.set()
    (attempt,) = place.orc.subscriptions.get("notify/hook").attempts
    assert (attempt.event, attempt.status) == (events[0], "running")
    waiting = place.notifier("--once")
    output, _ = waiting.communicate(timeout=200)
    assert json.loads(output) == []  # the lease of the killed one has not ended
    # The lease ends: the test uses the real clock, so it waits until the log shows the end.
    place.orc.subscriptions.interrupt("notify/hook", events[0], attempt.token, "killed")
    outputs = [output]
    for _ in events:
        process = place.notifier("--once")
        outputs.append(process.communicate(timeout=200)[0])
    heard = Counter(body["events"][0]["id"] for _, _, body in webhooks.received)
    assert heard == {events[0]: 2, events[1]: 1, events[2]: 1}
    check_no_secret(place, *outputs)


@pytest.mark.needs("signals")
def test_an_interrupt_lets_what_is_being_sent_end(place: Place, webhooks: Webhooks):
    place.add("hook", Rule(on=("a.*",), to="webhook", address=f"{webhooks.url}/hang/x"))
    place.push()
    notifier = place.notifier()
    assert webhooks.arrived.acquire(timeout=200)
    notifier.send_signal(signal.SIGINT)
    webhooks.go_on.set()
    output, _ = notifier.communicate(timeout=200)
    assert notifier.returncode == 0
    assert json.loads(output)["reason"] == ""
    assert place.orc.subscriptions.get("notify/hook").attempts == ()


def test_no_secret_is_on_the_board_or_printed_after_failures(place: Place, webhooks: Webhooks):
    user = f"ann:{SECRET}@"
    addresses = {
        "status": f"http://{user}{webhooks.address}/500/{SECRET}?key={SECRET}",
        "refused": f"http://{user}127.0.0.1:1/{SECRET}?key={SECRET}",
        "unknown": f"nothing://{user}h/{SECRET}",
        "name": f"json://{user}no-such-host.invalid/{SECRET}",
        "mail": f"mailto://{user}127.0.0.1:1?from=orc@example.com&to=ann@example.com",
    }
    for name, address in addresses.items():
        to = "email" if name == "mail" else "webhook"
        place.add(name, Rule(on=("a.*",), to=to, address=address))
    place.push(2)
    process = place.notifier("--once")
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 1
    reasons = {report["rule"]: report["reason"] for report in json.loads(output)}
    assert set(reasons) == set(addresses)
    assert all(reasons.values())
    shown = [output]
    for words in (
        ["list"],
        ["show", "status"],
        ["--json", "list"],
        ["test", "name"],
        ["test", "mail"],
    ):
        line = ["--board", str(place.folder / "board"), "notify", *words]
        done = forked.run(line, cwd=place.folder, env=place.environment)
        shown.append(done.stdout + done.stderr)
    check_no_secret(place, *shown)


def check_no_secret(place: Place, *outputs: str) -> None:
    """No file of the board and no output has the secret."""
    for output in outputs:
        assert SECRET not in output
    for path in (place.folder / "board").rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path
