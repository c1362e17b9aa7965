"""The contract of triggers: a change after ``watch`` ends the wait, whenever it comes."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator import Orchestrator
from orchestrator.delivery.ports import Trigger
from orchestrator.delivery.triggers import Poll, Watch

PATIENCE = 60.0


class TriggerContract:
    """Every trigger passes this."""

    def trigger(self, orc: Orchestrator) -> Trigger:
        raise NotImplementedError

    @pytest.fixture
    def board(self, tmp_path: Path) -> Path:
        return tmp_path / "board"

    @pytest.fixture
    def send(self, board: Path) -> Callable[[], object]:
        """Another process could do this: it has the board open for itself."""
        sender = Orchestrator.open(board, agent="bob")
        return lambda: sender.mail.send("ann", "Hi")

    def test_a_commit_between_the_look_and_the_wait_is_not_missed(
        self, board: Path, send: Callable[[], object]
    ) -> None:
        with Orchestrator.open(board) as orc:
            orc.engine.read()
            wait = self.trigger(orc).watch()
            send()
            assert wait(PATIENCE)
            assert len(orc.mail.pending(agent="ann")) == 1

    def test_a_commit_during_the_wait_ends_it(
        self, board: Path, send: Callable[[], object]
    ) -> None:
        send()
        with Orchestrator.open(board) as orc:
            waited = threading.Event()

            def wait_for_mail() -> None:
                trigger = self.trigger(orc)
                while len(orc.mail.pending(agent="ann")) < 2:
                    trigger.watch()(PATIENCE)
                waited.set()

            thread = threading.Thread(target=wait_for_mail)
            thread.start()
            send()
            thread.join(PATIENCE)
            assert waited.is_set()

    def test_a_wait_without_a_change_ends_at_its_time(
        self, board: Path, send: Callable[[], object]
    ) -> None:
        send()
        with Orchestrator.open(board) as orc:
            orc.engine.read()
            assert not self.trigger(orc).watch()(0.001)


class TestWatch(TriggerContract):
    def trigger(self, orc: Orchestrator) -> Trigger:
        return Watch(orc.engine)


class TestPoll(TriggerContract):
    def trigger(self, orc: Orchestrator) -> Trigger:
        return Poll(orc.engine, 0.05)
