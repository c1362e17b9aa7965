"""Two copies of a board go apart by random commands, and are merged in every direction."""

import os

from boards import MORNING, SettableClock, as_text, check_derived, fold
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator import Orchestrator
from orchestrator.maintenance.board_merge.merge import MergeReport, merge_board
from orchestrator.maintenance.doctor import examine
from orchestrator.stores.memory import MemoryStore

from .random_work import COMMANDS, reported_texts, texts_of, work

EXAMPLES = int(os.environ.get("ORC_EXAMPLES", "25"))

steps = st.tuples(st.sampled_from(sorted(COMMANDS)), st.integers(0, 300))
both_apart = st.lists(st.tuples(st.integers(0, 1), steps), min_size=5, max_size=40)


class Pair:
    """A board, and a copy of it that goes its own way."""

    def __init__(self) -> None:
        self.clock = SettableClock()
        self.boards = [self.open(MemoryStore())]
        self.boards[0].workstreams.create("build")
        self.count = 0
        self.reported: list[str] = []

    def open(self, store: MemoryStore) -> Orchestrator:
        return Orchestrator(store, now=self.clock)

    def part(self) -> None:
        store = MemoryStore()
        original = self.boards[0].engine.store
        store._records = [*original._records]
        store.documents._documents = dict(original.documents._documents)
        self.boards.append(self.open(store))

    def work(self, board: int, step: tuple[str, int]) -> None:
        self.count += 1
        self.clock.advance(step[1] % 90)
        work(self.boards[board], *step, text=f"text {self.count}")

    def merge(self, into: int) -> MergeReport:
        here, there = self.boards[into], self.boards[1 - into]
        kept = {*texts_of(here), *texts_of(there)}
        before_there = as_text(*fold(there.engine.store))
        report = merge_board(here.engine, there.engine, name="other")
        assert as_text(*fold(there.engine.store)) == before_there
        self.check(into)
        self.reported.append(reported_texts(report))
        reported = "\n".join(self.reported)
        lost = {text for _, text in kept - {*texts_of(here)} if text not in reported}
        assert not lost, lost
        head = here.engine.read().event
        again = merge_board(here.engine, there.engine, name="other")
        assert (again.taken, again.conflicts) == (0, ())
        assert here.engine.read().event == head
        return report

    def check(self, board: int) -> None:
        orc = self.boards[board]
        state = orc.engine.read()
        assert as_text(state, orc.engine.position) == as_text(*fold(orc.engine.store))
        check_derived(state)
        assert all(
            finding.level != "damage" and finding.check != "knowledge"
            for finding in examine(orc.engine).findings
            if finding.message
        )


@settings(max_examples=EXAMPLES, deadline=None)
@given(common=st.lists(steps, max_size=20), apart=both_apart, later=both_apart)
def test_a_merge_loses_nothing_and_has_no_second_effect(common, apart, later):
    pair = Pair()
    assert pair.clock.seconds >= MORNING
    for step in common:
        pair.work(0, step)
    pair.part()
    for board, step in apart:
        pair.work(board, step)
    pair.merge(0)
    for board, step in later:
        pair.work(board, step)
    pair.merge(0)
    pair.merge(1)
    pair.merge(0)
    pair.merge(1)
    reports = [pair.merge(0), pair.merge(1)]
    assert [(report.taken, report.conflicts) for report in reports] == [(0, ())] * 2
