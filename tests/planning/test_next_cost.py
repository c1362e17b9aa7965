"""The cost of a claim does not grow with waiting agents, nor with unread mail of others."""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from orchestrator import Orchestrator


def calls(run: Callable[[], object]) -> int:
    """The number of function calls during a call."""
    count = 0

    def called(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(called)
    try:
        run()
    finally:
        sys.setprofile(None)
    return count


def cost(folder: Path, agents: int, *, asking: bool) -> int:
    """The function calls of a claim on a board with a number of waiting agents with unread mail.

    With ``asking`` they have assignments too, whose notices are checked for being settled.
    """
    with Orchestrator.open(folder, light=True) as orc:
        orc.workstreams.create("build")
        with orc.transaction():
            for number in range(agents):
                orc.mail.send(f"agent-{number}", "hello", agent="boss")
                if asking:
                    task = orc.tasks.add("build", title="theirs").id
                    orc.hooks.sling(task, f"agent-{number}", agent="boss")
            for _ in range(2):
                orc.tasks.add("build", title="mine")
    with Orchestrator.open(folder, light=True) as orc, ExitStack() as waiting:
        for number in range(agents):
            waiting.enter_context(orc.engine.presence.waiting_as(f"agent-{number}"))
        orc.next(agent="ann")
        return calls(lambda: orc.next(agent="ann"))


@pytest.mark.parametrize("asking", [False, True])
def test_a_claim_among_many_costs_what_it_costs_among_few(tmp_path: Path, asking: bool) -> None:
    few = cost(tmp_path / "few", 5, asking=asking)
    many = cost(tmp_path / "many", 60, asking=asking)
    assert many <= few + 20
