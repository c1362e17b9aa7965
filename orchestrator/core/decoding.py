"""Decode bytes and numbers from files, stdin and records of other programs."""

import codecs
from contextlib import suppress

from orchestrator.core.errors import BadInput

BOM = codecs.BOM_UTF8


def decode_text(data: bytes, name: str) -> str:
    """Decode UTF-8 and drop a byte order mark at the beginning.

    Args:
        data: The bytes.
        name: Their name in the error message.

    Raises:
        BadInput: They are not UTF-8.
    """
    try:
        return data.removeprefix(BOM).decode()
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{name} is not UTF-8 text (byte {error.start})", hint="Save it as UTF-8."
        ) from None


def decode_any(data: bytes, name: str) -> str:
    """Decode UTF-8, else what an older editor wrote: Windows-1252, else Latin-1, which accepts any bytes.

    Raises:
        BadInput: They are not text: they contain a NUL, or are UTF-16.
    """
    if b"\0" in data or data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise BadInput(f"{name} is not text", hint="Save it as UTF-8.")
    for encoding in ("utf-8", "cp1252"):
        with suppress(UnicodeDecodeError):
            return data.removeprefix(BOM).decode(encoding)
    return data.decode("latin-1")


def whole_number(text: str, digits: int = 18) -> int | None:
    """The number that a text of a few ASCII digits is; None for any other text."""
    is_number = text.isascii() and text.isdecimal() and len(text) <= digits
    return int(text) if is_number else None
