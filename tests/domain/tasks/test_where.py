"""Filter expressions for tasks: their meaning, their errors, and options as expressions."""

import re
from contextlib import suppress

import pytest
from boards import SettableClock, new_store
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import Orchestrator
from orchestrator.core.errors import UsageError
from orchestrator.domain.tasks.filter_fields import FIELDS, NAMES, field_of
from orchestrator.domain.tasks.where import DEEPEST, LONGEST

DAY = 86400


@pytest.fixture
def board(orc: Orchestrator, clock: SettableClock, utc: None) -> Orchestrator:
    """Tasks with all kinds of facts, at 06:13 on a Saturday: `parser` is old, the others are from today."""
    orc.workstreams.create("build")
    orc.workstreams.create("docs")
    orc.tasks.add(
        "build",
        title="Write the parser",
        description="As in the Dragon Book",
        priority=1,
        labels=["api", "core"],
        estimate=90.0,
        meta={"team": "core", "size": "10"},
        due="8d",
        agent="kim",
    )
    clock.advance(5 * DAY)
    parser = orc.tasks.all()[0].id
    orc.tasks.add("build", title="Test the Parser", needs=[parser], labels=["api"], review=True)
    orc.tasks.add("docs", title="Guide [draft] 100%", type="doc", priority=9, defer="3d")
    orc.tasks.add("build", title="Straße", parent=parser, acceptance="It is übersetzt")
    done = orc.tasks.add("docs", title="Ended").id
    orc.tasks.claim(done, agent="ann")
    orc.tasks.complete(done, result="All is well", agent="ann")
    orc.tasks.note(parser, "Ask Bob first", agent="bob")
    return orc


PARSER, TEST, GUIDE, STREET, ENDED = (
    "Write the parser",
    "Test the Parser",
    "Guide [draft] 100%",
    "Straße",
    "Ended",
)
ALL = [PARSER, TEST, GUIDE, STREET, ENDED]

MEANINGS = {
    "priority = 1": [PARSER],
    "priority <= P1": [PARSER],
    "priority < medium": [PARSER],
    "priority > 5": [GUIDE],
    "priority in (1, low)": [PARSER, GUIDE],
    "not priority in (1, low)": [TEST, STREET, ENDED],
    "priority not in (1, low)": [TEST, STREET, ENDED],
    "label = api": [PARSER, TEST],
    "labels = 'api' and label = core": [PARSER],
    "label != api": [GUIDE, STREET, ENDED],
    "label in (core, nothing)": [PARSER],
    "label contains OR": [PARSER],
    "label like a*": [PARSER, TEST],
    "label = none": [GUIDE, STREET, ENDED],
    'label = "none"': [],
    "label is empty": [GUIDE, STREET, ENDED],
    "has(label)": [PARSER, TEST],
    "label is not null": [PARSER, TEST],
    "type = doc": [GUIDE],
    "type = DOC": [],
    "type like D?C": [GUIDE],
    "ws = docs": [GUIDE, ENDED],
    "workstream != docs": [PARSER, TEST, STREET],
    "title = parser": [PARSER, TEST],
    "title contains 'the parser'": [PARSER, TEST],
    "title contains none or title like null": [],
    "title like '*THE parser'": [PARSER, TEST],
    "title like 'the parser'": [],
    "title like '%[draft]%'": [GUIDE],
    "title contains STRASSE": [STREET],
    "title not contains parser": [GUIDE, STREET, ENDED],
    "title not like '*parser*'": [GUIDE, STREET, ENDED],
    "desc contains dragon": [PARSER],
    "acceptance contains ÜBERSETZT": [STREET],
    "notes = 'ask bob'": [PARSER],
    "result contains well": [ENDED],
    "estimate >= 1h": [PARSER],
    "estimate = 90": [PARSER],
    "estimate < 100": [PARSER],
    "not estimate < 100": [TEST, GUIDE, STREET, ENDED],
    "not has(estimate)": [TEST, GUIDE, STREET, ENDED],
    "meta.team = core": [PARSER],
    "metadata.team != core": [TEST, GUIDE, STREET, ENDED],
    "meta.team in (core, web) or meta.size = 9": [PARSER],
    "meta is empty": [TEST, GUIDE, STREET, ENDED],
    "has(meta.team) and not has(meta.other)": [PARSER],
    "status = open": [PARSER, TEST, GUIDE, STREET],
    "status in (open, blocked)": [PARSER, TEST, GUIDE, STREET],
    "status = closed": [ENDED],
    "status != closed": [PARSER, TEST, GUIDE, STREET],
    "status = Done": [ENDED],
    "status = ready": [STREET],
    "stage in (waiting, deferred)": [PARSER, TEST, GUIDE],
    "ready": [STREET],
    "not ready and open": [PARSER, TEST, GUIDE],
    "open = no": [ENDED],
    "review": [TEST],
    "review = false and open": [PARSER, GUIDE, STREET],
    "assignee = ann": [ENDED],
    "agent is empty": [PARSER, TEST, GUIDE, STREET],
    "creator = kim": [PARSER],
    "created < -1d": [PARSER],
    "created < 1d": [PARSER],
    "created >= 24h": [TEST, GUIDE, STREET, ENDED],
    "created = today": [TEST, GUIDE, STREET, ENDED],
    "created < today": [PARSER],
    "created = 2026-11-21": [PARSER],
    "created <= 2026-11-21": [PARSER],
    "created > 2026-11-21": [TEST, GUIDE, STREET, ENDED],
    "created != '5 days ago' and updated = today": [TEST, GUIDE, STREET, ENDED],
    "updated > -7d": ALL,
    "closed >= today": [ENDED],
    "due < 4d": [PARSER],
    "due < +2d": [],
    "due > 2d": [PARSER],
    "defer > now": [GUIDE],
    "has(due) or has(defer)": [PARSER, GUIDE],
    "attempt > 0": [ENDED],
    "attempt = 0 && open || result = well": ALL,
    "priority == 1 or priority <> 1": ALL,
    "not (label = api or not open)": [GUIDE, STREET],
    "label = api and (priority = 1 or review)": [PARSER, TEST],
    "label = api and priority = 1 or review": [PARSER, TEST],
    "NOT label=api AND OPEN AND type IN (task)": [STREET],
}


@pytest.mark.parametrize(("text", "titles"), MEANINGS.items())
def test_an_expression_means(board: Orchestrator, text: str, titles: list[str]) -> None:
    assert [task.title for task in board.tasks.all(where=text)] == titles


def test_tasks_are_named_by_prefix(board: Orchestrator) -> None:
    parser, test, _, street, _ = (task.id for task in board.tasks.all())
    assert [task.id for task in board.tasks.all(where=f"needs = {parser[:6]}")] == [test]
    assert [task.id for task in board.tasks.all(where=f"parent = {parser}")] == [street]
    assert [task.id for task in board.tasks.all(where=f"id = {parser} or id like {test[:5]}*")] == [
        parser,
        test,
    ]


OPTIONS: list[tuple[dict[str, object], str]] = [
    ({"workstream": "docs"}, "ws = docs"),
    ({"status": ["done", "ready"]}, "status in (done, ready)"),
    ({"agent": "ann"}, "agent = ann"),
    ({"labels": ["api", "core"]}, "label = api and label = core"),
    ({"any_labels": ["api", "x"]}, "label in (api, x)"),
    ({"open": True, "ready": True}, "open and ready"),
    ({"text": "PARSER"}, "title contains PARSER or description contains PARSER"),
    ({"since": "2h"}, "updated >= 2h"),
    ({"since": 4}, "event > 4"),
    ({"meta": {"team": "core"}, "priority": 1}, "meta.team = core and priority = 1"),
    ({"type": "doc", "where": "priority > 5"}, "type = doc and priority > 5"),
]


@pytest.mark.parametrize(("options", "text"), OPTIONS)
def test_an_option_is_an_expression(
    board: Orchestrator, options: dict[str, object], text: str
) -> None:
    listed = board.tasks.all(**options)  # type: ignore[arg-type]
    assert listed == board.tasks.all(where=text)


def test_ready_tasks_keep_their_order(board: Orchestrator) -> None:
    more = [board.tasks.add("build", title="More", priority=p).id for p in (3, 2)]
    assert [task.id for task in board.links.ready(where="title = more")] == more[::-1]
    assert [task.id for task in board.links.ready(where="title = more", limit=1)] == more[1:]


REFUSED = [
    ("prioriti = 3", 0, "no fact 'prioriti'; did you mean 'priority'"),
    ("open and lable = x", 9, "did you mean 'label'"),
    ("status = opne", 9, "did you mean 'open'"),
    ("priority = soon", 11, "'soon' is no number"),
    ("priority = 1e5", 11, "'1e5' is no number"),
    ("estimate > tomorrow", 11, "no number and no duration"),
    ("updated > 20261201", 10, "bare number"),
    ("ws = bild", 5, "no workstream 'bild'; did you mean 'build'"),
    ("parent = 12345678", 9, "no task '12345678'"),
    ("status < open", 7, "status has no order"),
    ("label > api", 6, "labels has no order"),
    ("priority contains 1", 9, "priority is not searched"),
    ("title", 0, "title is not compared"),
    ("ready = maybe", 8, "neither true nor false"),
    ("title contains ''", 15, "An empty text"),
    ("title like '**a*b*c*d*e*f*g*h*i'", 11, "8 stars"),
    ("title contains foo bar", 19, "here is 'bar'"),
    ("priority <= 2 label = x", 14, "Expected and, or, the end; here is 'label'"),
    ("priority <=", 11, "Expected a value; here is the end"),
    ("(open", 5, "here is the end"),
    ("open)", 4, "here is ')'"),
    ("label in ()", 10, "Expected a value"),
    ("and open", 4, "here is 'open'"),
    ("label = 'api", 8, "quote is not closed"),
    ("open & ready", 5, "'&' means nothing"),
    ("", 0, "empty"),
]


@pytest.mark.parametrize(("text", "position", "message"), REFUSED)
def test_a_mistake_is_shown_where_it_stands(
    board: Orchestrator, text: str, position: int, message: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(message)) as caught:
        board.links.ready(where=text or " ")
    assert caught.value.hint
    if text:
        expression, sign = str(caught.value.details["output"]).split("\n")
        assert (expression, sign) == (text, " " * position + "^")
        assert caught.value.details["position"] == position


def test_the_sign_stands_below_wide_letters_and_in_a_part_of_a_long_text(
    board: Orchestrator,
) -> None:
    with pytest.raises(UsageError) as caught:
        board.tasks.all(where="title = 日本語 and x\u202e = 1")
    assert caught.value.details["output"] == "title = 日本語 and x\\u202e = 1\n" + " " * 19 + "^"
    with pytest.raises(UsageError) as caught:
        board.tasks.all(where="open or " * 100 + "opn" + " or open" * 100)
    expression, sign = str(caught.value.details["output"]).split("\n")
    assert expression[sign.index("^") :].startswith("opn or open")
    assert expression[0] == expression[-1] == "…"
    assert len(expression) < 130


def test_an_expression_is_bounded(board: Orchestrator) -> None:
    with pytest.raises(UsageError, match="are allowed"):
        board.tasks.all(where="open or " * (LONGEST // 8) + "open")
    parentheses = (LONGEST - 4) // 2
    assert len(board.tasks.all(where="(" * parentheses + "open" + ")" * parentheses)) == 4
    assert len(board.tasks.all(where="not " * (DEEPEST - 1) + "open")) == 1
    for deep in ("not " * (LONGEST // 4 - 1), "(open and " * 200):
        with pytest.raises(UsageError, match="deeper"):
            board.tasks.all(where=deep + "open" + ")" * deep.count("("))


@given(st.text(max_size=60) | st.lists(st.sampled_from(
    [*FIELDS, *"()=<>,'\"&|", "and", "or", "not", "in", "is", "empty", "has", "like", "x", "-7d", " "]
)).map(" ".join))  # fmt: skip
def test_any_text_is_an_expression_or_a_mistake(text: str) -> None:
    orc = Orchestrator(new_store())
    with suppress(UsageError):
        orc.tasks.all(where=text)


def test_every_fact_has_one_name_and_other_names_lead_to_it() -> None:
    assert all(field_of(name) is field for name, field in FIELDS.items())
    assert not FIELDS.keys() & NAMES.keys()
    assert {*NAMES.values()} <= FIELDS.keys()
    missing = {"links", "signals", "for_each", "checks", "verify_timeout"}
    from orchestrator.domain.tasks.facts import TaskFacts
    from orchestrator.domain.tasks.given_facts import FACTS

    named = {*FIELDS, *NAMES}
    assert {*FACTS, *TaskFacts.__struct_fields__} - named == missing
