"""Printing of texts: visible characters are kept, hidden ones are escaped."""

from unicodedata import category

import pytest

from orchestrator.core.printable import amount, escape, escape_json, shortened

HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}

WITH_A_SHAPE = {
    *range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD,
}  # fmt: skip
"""Format characters that are printed (Prepended_Concatenation_Mark)."""


def test_a_character_is_escaped_by_its_category_alone() -> None:
    for number in range(0x110000):
        character = chr(number)
        is_hidden = category(character) in HIDDEN and number not in WITH_A_SHAPE
        if is_hidden or category(character) != "Cn":  # what is not assigned yet may be either
            assert (escape(f"a{character}b") != f"a{character}b") == is_hidden, hex(number)


JOINED = {
    "family": "👨‍👩‍👧‍👦",
    "rainbow flag": "🏳️‍🌈",
    "profession with a tone": "👩🏽‍⚕️",
    "head that shakes": "🙂‍↔️",
    "Persian": "می‌خواهم کتاب‌ها را",  # noqa: RUF001
    "Persian behind Latin": "PDF‌ها",  # noqa: RUF001
    "Persian behind a digit": "۲۰‌ساله",
    "Marathi": "र्‍य",
    "Malayalam at the end of a word": "അവന്‍ വന്നു",
}


@pytest.mark.parametrize("text", JOINED.values(), ids=JOINED)
def test_joiners_that_join_stay(text: str) -> None:
    assert escape(text) == escape_json(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "pay\u200dpal",
        "\u200d👦",
        "👦\u200d",
        "👦\u200d\u200d👦",
        "a \u200dب",
        "کتاب\u200c",
        "1\u200c2",
    ],
)
def test_joiners_that_only_hide_are_escaped(text: str) -> None:
    assert "\\u200" in escape(text)
    assert "\\u200" in escape_json(text)


def test_a_text_is_not_cut_behind_a_joiner() -> None:
    assert shortened("👨‍👩‍👧 all", 5) == "👨‍👩…"
    assert escape(shortened("👨‍👩‍👧 all", 5)) == "👨‍👩…"


def test_a_number_of_things_is_singular_only_for_one() -> None:
    assert [amount(number, "task") for number in (0, 1, 2)] == ["0 tasks", "1 task", "2 tasks"]


def test_a_text_that_consists_of_unsafe_characters_is_escaped_in_runs() -> None:
    """A text of millions of them held the board for many seconds, one call of Python for each."""
    text = "\u202e" * 5 + "\n" + "a\u200db" + "\x9b\ufeff" + "\n"
    assert escape_json(text) == "\\u202e" * 5 + "\n" + "a\\u200db" + "\\u009b\\ufeff" + "\n"
