"""The work graph: the cost of completing a task by its dependants, and of listing ready tasks."""

from collections.abc import Iterator
from statistics import median

from msgspec.structs import replace

from benchmarks.boards import STREAMS, Boards, Fact, streams, task_id
from benchmarks.measure import Figure, interleave, lap, ms, ratio
from orchestrator import Orchestrator
from orchestrator.domain.tasks.events import TaskAdded
from orchestrator.reports.similar import RECENT, open_twin

READY = 1000
"""Tasks that are ready, on the small board and on the big one."""

MANY = 1000
"""Dependants of a task that has many."""


def completing(boards: Boards, *, quick: bool) -> Iterator[Figure]:
    """Complete tasks with many dependants or a single one, on a large and on an empty board."""
    rounds = 5 if quick else 15
    lone = Completer(boards, 0, rounds)
    crowded = Completer(boards, boards.big, rounds)
    few, many, elsewhere = interleave(
        rounds,
        lambda: crowded.complete(1),
        lambda: crowded.complete(MANY),
        lambda: lone.complete(MANY),
    )
    each = 1e6 * (median(many) - median(few)) / (MANY - 1)
    yield Figure(
        name="dependants",
        what=f"durable complete with {MANY:,} dependants at {boards.big:,} tasks: against a board"
        " without others",
        measured=ratio(many, elsewhere),
        bound=1.5,
        detail=f"{ms(many)} against {ms(elsewhere)}",
    )
    yield Figure(
        name="dependants",
        what=f"the same against one with 1 dependant: what each of the {MANY:,} adds",
        measured=each,
        bound=50.0,
        unit=" µs",
        detail=f"{ms(many)} against {ms(few)}",
    )
    for side in (lone, crowded):
        side.close()


class Completer:
    """A board with tasks that wait to be completed, each with one dependant or with many."""

    def __init__(self, boards: Boards, others: int, rounds: int) -> None:
        self._boards = boards
        self._board = boards.copy(boards.graph(f"dependants-{others}", _dependants(others, rounds)))
        self.orc = Orchestrator.open(self._board, agent="agent-1")
        self._next = {1: iter(range(rounds)), MANY: iter(range(rounds))}

    def complete(self, dependants: int) -> float:
        """Return the seconds for the next task with this number of dependants."""
        task = _needed(dependants, next(self._next[dependants]))
        self.orc.tasks.claim(task)
        return lap(lambda: self.orc.tasks.complete(task, result="It is as planned."))

    def close(self) -> None:
        self.orc.close()
        self._boards.drop(self._board)


def _dependants(others: int, rounds: int) -> Iterator[Fact]:
    yield from streams()
    for number in range(others):
        yield _added(task_id(number))
    for number in range(rounds):
        for dependants in (1, MANY):
            need = _needed(dependants, number)
            yield _added(need)
            yield from (_added(f"{need}-{n}", need) for n in range(dependants))


def _needed(dependants: int, number: int) -> str:
    return f"needed-{dependants}-{number}"


def finding_ready(boards: Boards, *, quick: bool) -> Iterator[Figure]:
    """``orc.links.ready`` on a board where 1 % of the tasks is ready, and on one with only these tasks."""
    small, big = (_ready_board(boards, tasks) for tasks in (READY, boards.big))
    ours, theirs = interleave(
        10 if quick else 40, lambda: lap(big.links.ready), lambda: lap(small.links.ready)
    )
    yield Figure(
        name="ready",
        what=f"ready: {READY:,} of {boards.big:,} live tasks, against {READY:,} of {READY:,}",
        measured=ratio(ours, theirs),
        bound=3.0,
        detail=f"{ms(ours)} against {ms(theirs)}",
    )
    big.close()
    small.close()


def naming_a_twin(boards: Boards, *, quick: bool) -> Iterator[Figure]:
    """The search of `t add` for a similar open task, on a large and on a small board."""
    small, big = (Orchestrator.open(boards.tasks(tasks)) for tasks in (RECENT, boards.big))

    def look(orc: Orchestrator) -> float:
        task = replace(
            orc.tasks.get(task_id(1)), id="new", title="Task 7: look into part 8 and report"
        )
        return lap(lambda: open_twin(orc.engine, task))

    ours, theirs = interleave(10 if quick else 40, lambda: look(big), lambda: look(small))
    yield Figure(
        name="twin",
        what=f"what `t add` looks at for a twin: {boards.big:,} tasks against {RECENT:,}",
        measured=ratio(ours, theirs),
        bound=2.0,
        detail=f"{ms(ours)} against {ms(theirs)}",
    )
    big.close()
    small.close()


def _ready_board(boards: Boards, tasks: int) -> Orchestrator:
    orc = Orchestrator.open(boards.graph(f"ready-{tasks}", _mostly_waiting(tasks)))
    assert len(orc.links.ready()) == READY
    return orc


def _mostly_waiting(tasks: int) -> Iterator[Fact]:
    yield from streams()
    for number in range(READY):
        yield _added(task_id(number), stream=number)
    for number in range(READY, tasks):
        yield _added(task_id(number), task_id(number % READY), stream=number)


def _added(task: str, *needs: str, stream: int = 0) -> Fact:
    return "agent-1", TaskAdded(
        id=task,
        workstream=STREAMS[stream % len(STREAMS)],
        title="Look into one more part and report",
        needs=needs,
    )
