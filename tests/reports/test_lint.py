"""Flaws of open tasks, each with a command that fixes it."""

import shlex
from collections.abc import Callable

import pytest
from boards import SettableClock
from msgspec.structs import replace

from orchestrator import Orchestrator
from orchestrator.core.transaction import Transaction
from orchestrator.domain.state import State
from orchestrator.domain.tasks.events import TaskImported
from orchestrator.reports.lint import RULES

DAY = 86400


@pytest.fixture
def board(orc: Orchestrator) -> Orchestrator:
    orc.workstreams.create("w")
    return orc


def add(orc: Orchestrator, title: str, **facts: object) -> str:
    """Add a task that breaks no rule unless these facts do."""
    facts = {"acceptance": "It works", "estimate": 30.0, **facts}
    return orc.tasks.add("w", title=title, **facts).id  # type: ignore[arg-type]


def fails(orc: Orchestrator, task: str) -> None:
    orc.tasks.claim(task, agent="ann")
    orc.tasks.fail(task, reason="no", agent="ann")


def no_acceptance(orc: Orchestrator, _clock: SettableClock) -> str:
    add(orc, "Shown by a file", acceptance="", artifacts=["a.txt"])
    return add(orc, "A", acceptance="")


def no_estimate(orc: Orchestrator, _clock: SettableClock) -> str:
    parent = add(orc, "Parent", estimate=None)
    add(orc, "Part", parent=parent)
    return add(orc, "A", estimate=None)


def ended_need(orc: Orchestrator, _clock: SettableClock) -> str:
    need = add(orc, "Need")
    fails(orc, need)
    return add(orc, "A", needs=[need])


def spared_need(orc: Orchestrator, _clock: SettableClock) -> str:
    undo = add(orc, "Undo", needs_failure_of=[add(orc, "Deploy")])
    return add(orc, "A", needs=[undo])


def ended_parent(orc: Orchestrator, _clock: SettableClock) -> str:
    parent = add(orc, "Parent")
    part = add(orc, "Part", parent=parent)
    orc.tasks.cancel(parent)
    return part


def ended_parts(orc: Orchestrator, _clock: SettableClock) -> str:
    parent = add(orc, "Parent")
    orc.tasks.cancel(add(orc, "Part", parent=parent))
    return parent


def no_parts(orc: Orchestrator, _clock: SettableClock) -> str:
    return add(orc, "A", waits_for="all")


def closed_workstream(orc: Orchestrator, _clock: SettableClock) -> str:
    task = add(orc, "A")
    orc.workstreams.close("w")
    return task


def blocked_for_long(orc: Orchestrator, clock: SettableClock) -> str:
    task = add(orc, "A")
    orc.tasks.block(task, reason="The bank")
    clock.advance(15 * DAY)
    return task


def deferred_for_ever(orc: Orchestrator, _clock: SettableClock) -> str:
    add(orc, "B", defer="300d")
    return add(orc, "A", defer="400d")


def later_need(orc: Orchestrator, _clock: SettableClock) -> str:
    need = add(orc, "Need", due="9d")
    return add(orc, "A", needs=[need], due="3d")


def less_urgent_need(orc: Orchestrator, _clock: SettableClock) -> str:
    need = add(orc, "Need", priority=9)
    return add(orc, "A", needs=[need], priority=1)


def untrusted(orc: Orchestrator, _clock: SettableClock) -> str:
    record = orc.tasks.get(add(orc, "A", verify=["touch ran"]))
    came = TaskImported(record=replace(record, id="abc12345", title="B"))

    def bring(tx: Transaction[State]) -> None:
        tx.record(came)

    orc.engine.run("tests.bring", bring, lambda _state, _events: None, None)
    return "abc12345"


def same_title(orc: Orchestrator, _clock: SettableClock) -> str:
    add(orc, "Write the parser")
    return add(orc, "write the PARSER")


CASES: list[Callable[[Orchestrator, SettableClock], str]] = [
    no_acceptance,
    no_estimate,
    ended_need,
    spared_need,
    ended_parent,
    ended_parts,
    no_parts,
    closed_workstream,
    blocked_for_long,
    deferred_for_ever,
    later_need,
    less_urgent_need,
    untrusted,
    same_title,
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_a_fault_is_reported_once_with_a_command_about_it(
    board: Orchestrator,
    clock: SettableClock,
    case: Callable[[Orchestrator, SettableClock], str],
) -> None:
    add(board, "Well")
    task = case(board, clock)
    name = case.__name__
    flaws = [f for f in board.lint() if f.rule == name]
    if name == "closed_workstream":
        flaws = [f for f in flaws if f.title == "A"]
    assert [(f.task, f.title) for f in flaws] == [(task, board.tasks.get(task).title)]
    assert shlex.split(flaws[0].command)
    assert flaws[0].says
    assert [f for f in board.lint("w", where=f"id = {task}") if f.rule == name] == flaws
    assert not [f for f in board.lint(where=f"id != {task}") if f.task == task]


def test_a_board_without_faults_has_no_flaws(board: Orchestrator) -> None:
    add(board, "Write the parser")
    board.tasks.cancel(add(board, "Ended", acceptance=""))
    assert board.lint() == []


def test_every_rule_has_a_case() -> None:
    rules = {rule.__name__.removeprefix("_") for rule in RULES} | {"same_title"}
    assert rules == {case.__name__ for case in CASES}
