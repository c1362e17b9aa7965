"""The event log: record any event, read events with filters, follow them."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from boards import SettableClock, changes_nothing, new_store
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import BadInput, BadName, Orchestrator
from orchestrator.core.store import Cursor
from orchestrator.domain.event_log import as_dict

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(payload=st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), json_values))
def test_any_json_value_is_read_back_as_it_was_logged(payload: dict[str, Any]):
    orc = Orchestrator(new_store())
    logged = orc.events.log("ann", "ci.failed", **payload)
    assert as_dict(logged)["payload"] == payload
    assert [as_dict(record)["payload"] for record in orc.events.read()] == [payload]
    again = Orchestrator(orc.engine.store)
    assert [as_dict(record)["payload"] for record in again.events.read()] == [payload]


def test_an_event_has_id_time_agent_type_and_payload(orc: Orchestrator):
    record = orc.events.log("ann", "deployed", service="api", version="2.0")
    assert as_dict(record) == {
        "id": 1,
        "ts": "2026-11-21T06:13:00.000Z",
        "agent": "ann",
        "type": "deployed",
        "payload": {"service": "api", "version": "2.0"},
    }


@pytest.mark.parametrize(
    "noun",
    [
        "board", "workstream", "task", "agent", "lock", "knowledge", "cycle", "message", "convoy",
        "formula", "workflow", "session", "subscription",
    ],
)  # fmt: skip
def test_the_toolkits_own_nouns_are_reserved(orc: Orchestrator, noun: str):
    with changes_nothing(orc):
        for type_name in (f"{noun}.made", f"{noun}.", f"{noun}.a.b"):
            with pytest.raises(BadName):
                orc.events.log("ann", type_name)
    assert orc.events.log("ann", noun).type == noun


@pytest.mark.parametrize("type_name", ["", "a b", "a/b", "a\n", "x" * 201, "a\0", "é\u202e", "a:b"])
def test_a_type_is_a_word(orc: Orchestrator, type_name: str):
    with changes_nothing(orc), pytest.raises(BadName):
        orc.events.log("ann", type_name)


def deep(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        float("-inf"),
        [{"a": float("nan")}],
        2**63,
        -(2**63) - 1,
        10**400,
        "\ud800",
        {"\udfff": 1},
        {1: 2},
        {None: 2},
        deep(70),
        deep(5000),
        object(),
        {1, float("nan")},
        b"bytes",
        object,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_cannot_carry_is_a_named_error_and_nothing_is_appended(
    orc: Orchestrator, value: object
):
    with changes_nothing(orc), pytest.raises(BadInput):
        orc.events.log("ann", "note", value=value)


def test_a_value_that_holds_itself_is_refused(orc: Orchestrator):
    value: list[object] = []
    value.append(value)
    with changes_nothing(orc), pytest.raises(BadInput):
        orc.events.log("ann", "note", value=value)


def test_a_line_over_16_mib_is_refused_and_nothing_is_appended(orc: Orchestrator):
    orc.workstreams.create("build")
    with changes_nothing(orc), pytest.raises(BadInput):
        orc.events.log("ann", "note", text="x" * (16 * 1024 * 1024))
    orc.events.log("ann", "note", text="x")


def test_reading_gives_the_newest_oldest_first(orc: Orchestrator):
    for number in range(5):
        orc.events.log("ann", "note", number=number)
    assert [record.id for record in orc.events.read()] == [1, 2, 3, 4, 5]
    assert [record.id for record in orc.events.read(last=2)] == [4, 5]
    assert orc.events.read(last=0) == []
    assert [record.id for record in orc.events.read(last=99)] == [1, 2, 3, 4, 5]


def test_reading_by_agent_and_type(orc: Orchestrator):
    orc.workstreams.create("build", agent="ann")
    orc.tasks.add("build", title="x", agent="bob")
    orc.events.log("ann", "ci.failed")
    orc.events.log("bob", "ci.passed")
    ids = lambda **filters: [record.id for record in orc.events.read(**filters)]  # noqa: E731
    assert ids(agent="ann") == [1, 3]
    assert ids(type="task.added") == [2]
    assert ids(type="task_added") == [2]
    assert ids(type="ci.*") == [3, 4]
    assert ids(type="*") == [1, 2, 3, 4]
    assert ids(type="ci.*", agent="bob", last=5) == [4]
    assert ids(type="c") == []


def test_reading_since_an_event_a_time_or_a_while_ago(orc: Orchestrator, clock: SettableClock):
    for _ in range(4):
        orc.events.log("ann", "note")
        clock.advance(60)
    ids = lambda since: [record.id for record in orc.events.read(since=since)]  # noqa: E731
    assert ids(2) == [3, 4]
    assert ids("2") == [3, 4]
    assert ids(0) == [1, 2, 3, 4]
    assert ids("2m") == [3, 4]
    assert ids("2026-11-21T06:14:00Z") == [2, 3, 4]
    assert ids("2026-11-21T07:15:00+01:00") == [3, 4]


def test_follow_gives_what_is_committed_in_order_as_it_comes(orc: Orchestrator):
    orc.events.log("ann", "before")
    stream = Orchestrator(orc.engine.store).events.follow(type="ci.*", since=1)
    with ThreadPoolExecutor(1) as pool:
        for number in range(5):
            waiting = pool.submit(next, stream)
            orc.events.log("ann", "other")
            orc.events.log("ann", f"ci.{number}")
            assert waiting.result(60).type == f"ci.{number}"


def test_follow_since_an_event_gives_what_came_after_it(orc: Orchestrator):
    for number in range(4):
        orc.events.log("ann" if number % 2 else "bob", "note")
    stream = orc.events.follow(since=1, agent="ann")
    assert [next(stream).id, next(stream).id] == [2, 4]


def test_a_printed_event_shows_its_payload(orc: Orchestrator):
    shown = repr(orc.events.log("ann", "deployed", service="api", tries=[1, 2]))
    assert "agent='ann', type='deployed', payload={'service': 'api', 'tries': [1, 2]}" in shown


def test_what_a_follower_does_between_two_events_is_followed_too(
    orc: Orchestrator, monkeypatch: pytest.MonkeyPatch
):
    """Its own commands move its position in the log, and no event may be skipped by that."""
    orc.events.log("ann", "first")
    following = orc.events.follow(since=0)
    assert next(following).type == "first"
    orc.events.log("ann", "second")
    orc.events.read()
    wait = orc.engine.store.wait

    def wait_at_most(after: Cursor, timeout: float) -> bool:
        assert wait(after, 0), "it waits although there is an event"
        return True

    monkeypatch.setattr(orc.engine.store, "wait", wait_at_most)
    assert next(following).type == "second"
