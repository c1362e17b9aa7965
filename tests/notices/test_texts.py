"""What agents write stays text in a notice: one line each, of a limited length, no markup, no mention."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import UsageError
from orchestrator.core.events import Recorded
from orchestrator.core.printable import is_plain
from orchestrator.notices.texts import LISTED, check_template, compose

HOSTILE = [
    "<b>bold</b>",
    '<img src="http://evil/x">',
    "<!channel>",
    "@everyone",
    "[bank](http://evil)",
    "a\r\nBcc: all@example.com",
    "\x1b[2J",
    "\u202egnp.exe",
    "{agent}{secret}",
    "$(rm -rf /)",
    "x" * 100_000,
]


def records(count: int) -> list[Recorded]:
    return [
        Recorded(n, "2026-11-21T06:13:00.123Z", "ann", "a.x", json.dumps({"n": n}).encode())
        for n in range(1, count + 1)
    ]


def composed(texts: list[str], templates: tuple[str, str] = ("", ""), count: int | None = None):
    shown = records(len(texts))
    values = dict(zip([r.id for r in shown], texts, strict=True))
    return compose(
        "phone",
        templates,
        shown,
        lambda record: {"id": record.id, "payload": {"text": values[record.id]}},
        lambda record: {"board": values[record.id], "agent": "ann", "what": values[record.id]},
        count or len(texts),
    )


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:12])
def test_a_hostile_text_is_shown_as_text(text: str):
    notice = composed([text], ("{board}", "{what}"))
    for line in (notice.title, notice.body):
        assert line.isprintable() or "\u200b" in line
        assert not {*"<>\r\n\x1b\u202e"} & {*line}
        assert "@everyone" not in line
        assert "](" not in line
        assert len(line) <= 300


def test_no_field_is_read_out_of_the_value_of_another_one():
    assert composed(["{agent} {rule}"], ("{board}", "")).title == "{agent} {rule}"


@given(st.text(max_size=400))
def test_any_text_gives_one_safe_line(text: str):
    notice = composed([text], ("{board}", "{what}"))
    for line in (notice.title, notice.body):
        assert line
        assert is_plain(line.replace("\u200b", ""))
        assert not {*"<>"} & {*line}
        assert "](" not in line
        assert not re.search(r"@\w", line)


def test_many_events_are_listed_and_the_others_counted():
    texts = [f"event {n}" for n in range(LISTED)]
    notice = composed(texts, count=LISTED + 12)
    lines = notice.body.split("\n")
    assert lines[0] == "ann event 0"
    assert len(lines) == LISTED + 1
    assert lines[-1] == "and 12 more"
    assert notice.more == 12
    assert notice.title.endswith(f"and {LISTED + 11} more")


def test_a_single_event_has_no_count():
    notice = composed(["paid"])
    assert (notice.title, notice.body, notice.more) == ("paid:", "ann paid", 0)


def test_the_facts_of_a_huge_event_are_left_out_for_programs():
    small, huge = composed(["x"]), composed(["x" * 100_000])
    assert small.events[0]["payload"] == {"text": "x"}
    assert huge.events[0]["payload"] is None


def test_a_template_names_known_fields():
    assert check_template("{board}: {what} {} {1} {{") == "{board}: {what} {} {1} {{"
    with pytest.raises(UsageError, match=r"There is no field \{agnt\}.*agent"):
        check_template("{agnt}")
    with pytest.raises(UsageError):
        check_template("x" * 1000)
