"""What others wrote cannot end the tag of a channel, begin one, or leave its attributes."""

import re
import unicodedata
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator import Orchestrator
from orchestrator.core.printable import escape_lines
from orchestrator.delivery.channel import LONGEST, params_of, without_tags
from orchestrator.domain.mail.letters import Letter

PARTS = st.sampled_from(
    [
        *("<", "</", "< /", "<\u200b/", "\uff1c", "\ufe64", "<!--", "<?", "<\\", "\u226e", "&lt;"),
        *("channel", "CHANNEL", "source=", "system-reminder", "x", "\u338f", "\u037a", "\xaa"),
        *(">", "/", "\uff0f", "\u2215", '"', "\uff02", "'", "\n", " ", "\x1b[2J"),
    ]
)
TEXTS = st.one_of(st.text(), st.lists(PARTS).map("".join))

TAG = re.compile(r"<\s*[/\\!?]|<\s*[^\W\d]")


def shown(params: dict[str, Any]) -> str:
    """The tag as a client shows it, which puts in what it got as it is."""
    meta = "".join(f' {name}="{value}"' for name, value in params["meta"].items())
    return f'<channel source="orc"{meta}>{params["content"]}</channel>'


def letter(**fields: Any) -> Letter:
    values: dict[str, Any] = {
        "id": 42,
        "sender": "ann",
        "to": ("ben",),
        "subject": "Hi",
        "priority": "normal",
        "kind": "note",
        "thread": 42,
        "sent_at": "2026-11-21T06:13:00.123Z",
        "copies": 1,
        "recipients": ("ben",),
        "queue": "",
        "body": "",
        "receipts": {},
    }
    return Letter(**values | fields)


@given(subject=TEXTS, body=TEXTS, sender=TEXTS)
def test_no_text_looks_like_a_tag(subject: str, body: str, sender: str) -> None:
    params = params_of(letter(subject=subject, body=body, sender=sender))
    whole = unicodedata.normalize("NFKC", shown(params))
    assert whole.startswith('<channel source="orc" from="')
    assert [match.start() for match in TAG.finditer(whole)] == [0, len(whole) - len("</channel>")]
    assert escape_lines(params["content"]) == params["content"]
    assert all(isinstance(value, str) for value in params["meta"].values())
    assert not {*"<>\n\"'"} & {*unicodedata.normalize("NFKC", params["meta"]["from"])}


@pytest.mark.parametrize(
    "text",
    [
        "a < b, a <= b, 1<2, i<<3, x <- y, <3",
        "café 日本 🇩🇪",
        "a\n\n\tb",
        "if (a > b) &lt; & 'q' \"q\"",
    ],
)
def test_an_ordinary_text_arrives_as_it_is(text: str) -> None:
    assert without_tags(text.replace("a < b", "a < 1")) == text.replace("a < b", "a < 1")


def test_the_notification_has_the_form_of_agentbus(orc: Orchestrator) -> None:
    sent = orc.mail.send("ben", "Look at part 7, please.", agent="frontend")
    assert msgspec.json.encode(params_of(orc.mail.peek(sent.id))).decode() == (
        '{"content":"Look at part 7, please.","meta":{"from":"frontend","msg_id":"'
        f'{sent.id}","ts":"{sent.sent_at}"}}}}'
    )


def test_a_subject_that_begins_the_text_is_not_repeated() -> None:
    assert params_of(letter(subject="Hi there", body="Hi\nthere, ben"))["content"] == (
        "Hi there\n\nHi\nthere, ben"
    )
    assert params_of(letter(subject="Hi there", body="Hi\nthere"))["content"] == "Hi\nthere"
    assert params_of(letter(subject="Plan", body="Two steps"))["content"] == "Plan\n\nTwo steps"


def test_a_long_text_is_cut_and_says_where_the_rest_is() -> None:
    long = replace(letter(), body="x" * 100_000)
    content = params_of(long)["content"]
    assert len(content) < LONGEST + 100
    assert content.endswith("(cut here: `orc mail read 42` shows all)")
