"""Texts and numbers of other programs."""

import pytest

from orchestrator.core.decoding import whole_number


@pytest.mark.parametrize("text", ["", "-1", "+1", " 1", "1_0", "1.0", "٣", "²", "1" * 19])
def test_only_a_few_ascii_digits_are_a_number(text: str):
    assert whole_number(text) is None


def test_a_number_may_have_as_many_digits_as_its_field():
    assert (whole_number("007"), whole_number("9" * 18)) == (7, 10**18 - 1)
    assert (whole_number("123", 3), whole_number("123", 2)) == (123, None)
