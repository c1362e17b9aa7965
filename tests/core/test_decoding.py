"""Bytes from outside are decoded to text by the same rule at every interface."""

import pytest

from orchestrator.core.decoding import decode_any, decode_text
from orchestrator.core.errors import BadInput


def test_a_byte_order_mark_is_not_part_of_the_text():
    assert decode_text(b"\xef\xbb\xbfcaf\xc3\xa9", "it") == decode_any(
        b"\xef\xbb\xbfcaf\xc3\xa9", "it"
    )
    assert decode_text(b"\xef\xbb\xbfx\xef\xbb\xbf", "it") == "x\ufeff"


def test_what_is_not_utf8_is_a_named_error_where_it_is_kept():
    with pytest.raises(BadInput, match=r"notes\.md is not UTF-8 text \(byte 1\)"):
        decode_text(b"x\xe9", "notes.md")


@pytest.mark.parametrize(
    ("data", "text"), [(b"caf\xe9", "café"), (b"\x93x\x94", "“x”"), (b"\x81", "\x81"), (b"", "")]
)
def test_what_an_older_editor_wrote_can_be_read(data: bytes, text: str):
    assert decode_any(data, "it") == text


@pytest.mark.parametrize("data", [b"a\0b", b"\xff\xfea\0", "a".encode("utf-16")])
def test_what_is_not_text_is_not_made_one(data: bytes):
    with pytest.raises(BadInput):
        decode_any(data, "it")
