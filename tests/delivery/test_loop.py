"""The loop of delivery: nothing is missed, nothing is lost, and an idle loop does nothing."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator import Orchestrator
from orchestrator.delivery import loop
from orchestrator.delivery.loop import deliver
from orchestrator.delivery.ports import NewMail

PATIENCE = 60.0


class OneWake:
    """A trigger that reports only what comes after ``watch``, and then never again by itself.

    Its wait raises if there is nothing to wake it: a loop that waits has missed nothing.
    """

    def __init__(self, orc: Orchestrator) -> None:
        self._orc = orc

    def watch(self) -> Callable[[float], bool]:
        wait = self._orc.engine.watch()

        def waited(_seconds: float) -> bool:
            if not wait(0):
                raise Idle
            return True

        return waited


class Idle(BaseException):
    """The loop waits, and no change is known to it."""


class Recorder:
    """A delivery that keeps what it gets."""

    def __init__(self) -> None:
        self.got: list[int] = []
        self.during: list[Callable[[], object]] = []
        self.failures: list[Exception] = []

    def push(self, mail: NewMail, handed_over: Callable[[list[int]], object]) -> None:
        letters = list(mail.letters)
        if self.failures:
            raise self.failures.pop(0)
        self.got += [letter.id for letter in letters]
        if self.during:
            self.during.pop(0)()
        handed_over([letter.id for letter in letters])
        if self.during:
            self.during.pop(0)()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def run(orc: Orchestrator, recorder: Recorder) -> list[str]:
    """Run the loop until it waits for a change that is not there; its warnings."""
    warned: list[str] = []
    with pytest.raises(Idle):
        deliver(orc, lambda: "ann", OneWake(orc), recorder, warn=warned.append)
    return warned


def test_mail_that_comes_while_mail_is_handed_over_is_handed_over_at_once(
    orc: Orchestrator, recorder: Recorder
) -> None:
    sent = [orc.mail.send("ann", "1", agent="bob").id]

    def send() -> None:
        sent.append(orc.mail.send("ann", "next", agent="bob").id)

    recorder.during = [send, send, send, send]
    run(orc, recorder)
    assert len(sent) == 5
    assert recorder.got == sent
    assert orc.mail.pending(agent="ann") == []


def test_mail_of_another_process_that_comes_meanwhile_is_handed_over_at_once(
    tmp_path: Path, recorder: Recorder
) -> None:
    with Orchestrator.open(tmp_path / "board") as orc, Orchestrator.open(tmp_path / "board") as bob:
        sent = [bob.mail.send("ann", "1", agent="bob").id]
        recorder.during = [lambda: sent.append(bob.mail.send("ann", "2", agent="bob").id)] * 2
        run(orc, recorder)
        assert len(sent) == 3
        assert recorder.got == sent


def test_a_push_that_fails_loses_nothing_and_is_reported_once(
    orc: Orchestrator, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "NET", 0.01)
    sent = [orc.mail.send("ann", "1", agent="bob").id]
    recorder.failures = [OSError("broken")] * 2
    warned: list[str] = []
    turns = iter((False, False, False, False, True))
    deliver(
        orc,
        lambda: "ann",
        Immediate(),
        recorder,
        warn=warned.append,
        until=lambda: next(turns),
    )
    assert recorder.got == sent
    assert warned == ["mail was not handed over: broken"]


class Immediate:
    """A trigger that always wakes."""

    def watch(self) -> Callable[[float], bool]:
        return lambda _seconds: True


def test_mail_waits_for_an_agent_that_was_never_there_and_comes_first(
    orc: Orchestrator, recorder: Recorder
) -> None:
    sent = [orc.mail.send("ann", str(n), agent="bob").id for n in range(3)]
    recorder.during = [lambda: sent.append(orc.mail.send("ann", "new", agent="bob").id)]
    run(orc, recorder)
    assert recorder.got == sent == sorted(sent)


def test_mail_is_not_pushed_while_the_agent_is_not_to_be_disturbed(
    orc: Orchestrator, recorder: Recorder
) -> None:
    orc.mail.do_not_disturb(agent="ann")
    held = orc.mail.send("ann", "Later", agent="bob").id
    urgent = orc.mail.send("ann", "Now", priority="urgent", agent="bob").id
    run(orc, recorder)
    assert recorder.got == [urgent]
    orc.mail.do_not_disturb(False, agent="ann")
    run(orc, recorder)
    assert recorder.got == [urgent, held]


def test_the_mail_of_a_renamed_agent_follows_it(orc: Orchestrator, recorder: Recorder) -> None:
    sent = orc.mail.send("ann", "Hi", agent="bob").id
    orc.agents.register("ann")
    orc.agents.rename("ann", "anna")
    run(orc, recorder)
    assert recorder.got == [sent]


def test_a_loop_that_waits_leaves_the_board_to_others(tmp_path: Path, recorder: Recorder) -> None:
    """The same board in another thread: it can work while the loop waits for the session."""
    with Orchestrator.open(tmp_path / "board") as orc:
        orc.mail.send("ann", "Hi", agent="bob")
        worked = threading.Event()

        def work() -> None:
            thread = threading.Thread(
                target=lambda: (orc.workstreams.create("x"), worked.set()), daemon=True
            )
            thread.start()
            assert worked.wait(PATIENCE)

        recorder.during = [work]
        run(orc, recorder)
