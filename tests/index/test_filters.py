"""An expression has the same meaning for a record and, in SQL, for a row of the index."""

from collections.abc import Sequence
from contextlib import closing, suppress

import pytest
from boards import SettableClock
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule

from orchestrator import Orchestrator
from orchestrator.core.errors import OrchestratorError, UsageError
from orchestrator.domain.tasks.filter_fields import FIELDS, NAMES, NUMBERS, field_of
from orchestrator.domain.tasks.filters import STANDINGS
from orchestrator.domain.tasks.where import parse
from orchestrator.index.database import prepare
from orchestrator.index.filters import COLUMNS, condition
from orchestrator.index.query import ask
from orchestrator.stores.memory import MemoryStore
from tests.engine.test_model import Board

from .comparing import built

WORDS = ("api", "core", "Straße", "解析", "a[b", "10%", "bug", "ann", "bob", "w", "v")
TEXTS = ("", "Write the parser", "STRASSE", "100% [draft]", "解析器を書く", 'it\'s "quoted"', "a_b")
MOMENTS = (
    "-7d",
    "+3d",
    "2h",
    "today",
    "yesterday",
    "2026-11-21",
    "2026-11-23T09:00",
    "now",
    "friday",
)

quoted = st.sampled_from([*WORDS, *TEXTS, "*", "?", "*a*", "%[%"]).map(
    lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
)
VALUES = {
    "priority": st.sampled_from(["1", "P2", "high", "low", "3.5", "-1"]),
    "number": st.sampled_from(["0", "1", "2", "7"]),
    "minutes": st.sampled_from(["0", "30", "2h", "90.5"]),
    "moment": st.sampled_from(MOMENTS).map(lambda text: f"'{text}'"),
    "status": st.sampled_from([*STANDINGS, "open", "closed"]),
    "stage": st.sampled_from([*STANDINGS]),
    "workstream": st.sampled_from(["w", "v"]),
    "flag": st.sampled_from(["true", "no"]),
}
EMPTY = '""'
names = st.sampled_from([*FIELDS, *NAMES, "meta.team", "meta.a[b", "meta.none"])


@st.composite
def comparisons(draw: st.DrawFn, ids: Sequence[str] = ()) -> str:
    name = draw(names)
    field = field_of(name)
    assert field is not None
    if field.form == "flag" and draw(st.booleans()):
        return name
    values = VALUES.get(field.form, quoted)
    if field.form == "task" or name == "id":
        values = st.sampled_from([*ids, "none"])
    if field.form == "pairs" or draw(st.integers(0, 4)) == 0:
        return draw(st.sampled_from([f"{name} is empty", f"has({name})"]))
    signs = ["=", "!=", "in", "not in"]
    if field.form in (*NUMBERS, "moment"):
        signs += ["<", "<=", ">", ">="]
    elif field.form in ("text", "word"):
        signs += ["contains", "not contains", "like", "not like"]
    sign = draw(st.sampled_from(signs))
    if sign.endswith(("contains", "like")):
        return f"{name} {sign} {draw(values.filter(lambda text: text != EMPTY))}"
    if sign.endswith("in"):
        return f"{name} {sign} ({', '.join(draw(st.lists(values, min_size=1, max_size=3)))})"
    return f"{name} {sign} {draw(values)}"


def expressions(ids: Sequence[str] = ()) -> st.SearchStrategy[str]:
    return st.recursive(
        comparisons(ids),
        lambda inner: st.one_of(
            inner.map("not ({})".format),
            st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(
                "({0[0]} {0[1]} {0[2]})".format
            ),
        ),
        max_leaves=5,
    )


def check_agree(orc: Orchestrator, text: str) -> None:
    """Check that records and rows select the same tasks."""
    state, now = orc.engine.read(), orc.engine.now()
    filter = parse(text, state, now)
    wanted = [task.id for task in orc.tasks.all(where=text)]
    with closing(built(orc.engine.store)) as database:
        prepare(database)
        sql, parameters = condition(filter, now)
        rows = ask(
            database,
            f"SELECT t.id, {sql} FROM tasks t WHERE t.archived_at IS NULL ORDER BY t.added",
            parameters,
        ).rows
    assert {value for _, value in rows} <= {0, 1}, sql
    assert [id for id, value in rows if value] == wanted, (text, sql)


@st.composite
def boards(draw: st.DrawFn) -> Orchestrator:
    """A board with tasks of all kinds."""
    clock = SettableClock()
    orc = Orchestrator(MemoryStore(), now=clock, agent="kim")
    for stream in ("w", "v"):
        orc.workstreams.create(stream)
    some = lambda values: st.none() | st.sampled_from(values)  # noqa: E731
    ids: list[str] = []
    for _ in range(draw(st.integers(1, 6))):
        facts = {
            "title": draw(st.sampled_from(TEXTS[1:])),
            "description": draw(some(TEXTS[1:])),
            "acceptance": draw(some(TEXTS[1:])),
            "type": draw(some(["bug", "task"])),
            "priority": draw(some([0, 1, 2, 9])),
            "labels": draw(some([["api"], ["api", "core"], ["解析"]])),
            "estimate": draw(some([0.0, 30.0, 90.5])),
            "needs": draw(some(ids)) if ids else None,
            "parent": draw(some(ids)) if ids else None,
            "waits_for": draw(some(["all", "any"])),
            "due": draw(some(["2h", "3d", "2026-11-21"])),
            "defer": draw(some(["1h", "9d"])),
            "commits": draw(some([["abcd"]])),
            "external_ref": draw(some(["gh-9", "10%"])),
            "meta": draw(some([{"team": "core"}, {"team": "api"}])),
            "artifacts": draw(some([["a_b"]])),
            "review": draw(st.booleans()),
            "touches": draw(some([["git"]])),
        }
        if facts["needs"]:
            facts["needs"] = [facts["needs"]]
        with suppress(OrchestratorError):
            ids.append(orc.tasks.add(draw(st.sampled_from(["w", "v"])), **facts).id)
    for _ in range(draw(st.integers(0, 8))):
        task = draw(st.sampled_from(ids)) if ids else ""
        act = draw(
            st.sampled_from(
                ["claim", "complete", "fail", "block", "note", "cancel", "wait", "close"]
            )
        )
        clock.advance(draw(st.sampled_from([0, 60, 90_000])))
        with suppress(OrchestratorError):
            if act in ("block", "fail", "cancel"):
                getattr(orc.tasks, act)(task, reason=draw(st.sampled_from(TEXTS[1:])))
            elif act == "note":
                orc.tasks.note(task, draw(st.sampled_from(TEXTS[1:])))
            elif act == "claim":
                orc.tasks.claim(task, agent=draw(st.sampled_from(["ann", "bob"])), lease="1h")
            elif act == "complete":
                orc.tasks.complete(task, result=draw(st.sampled_from(TEXTS)))
            elif act == "close":
                orc.workstreams.close("v")
    return orc


@settings(max_examples=200)
@given(boards(), st.data())
def test_rows_and_records_agree_on_boards_with_all_facts(
    orc: Orchestrator, data: st.DataObject
) -> None:
    check_agree(orc, data.draw(expressions([task.id for task in orc.tasks.all()])))


class AskedBoard(Board):
    """A real board on which expressions are evaluated between commands."""

    @rule(text=expressions())
    def rows_and_records_agree(self, text: str) -> None:
        try:
            check_agree(self.orc, text)
        except UsageError:  # it names what this board does not have
            with pytest.raises(UsageError):
                self.orc.tasks.all(where=text)


TestAskedBoard = AskedBoard.TestCase
TestAskedBoard.settings = settings(max_examples=10, stateful_step_count=30)


def test_the_index_has_every_fact() -> None:
    assert COLUMNS.keys() == FIELDS.keys()


def test_the_longest_expressions_are_answered(orc: Orchestrator) -> None:
    orc.workstreams.create("w")
    orc.tasks.add("w", title="x", labels=["b"])
    for text in (
        f"label in ({','.join('ab' * 900)})",
        "open or " * 490 + "open",
        "not " * 49 + "open",
    ):
        check_agree(orc, text)


def test_the_view_of_ready_tasks_leaves_out_those_with_open_parts() -> None:
    orc = Orchestrator(MemoryStore())
    orc.workstreams.create("w")
    parent = orc.tasks.add("w", title="Parent").id
    part = orc.tasks.add("w", title="Part", parent=parent).id
    with closing(built(orc.engine.store)) as database:
        assert ask(database, "SELECT id FROM ready").rows == [[part]]
    orc.tasks.cancel(part)
    with closing(built(orc.engine.store)) as database:
        assert ask(database, "SELECT id FROM ready").rows == [[parent]]
