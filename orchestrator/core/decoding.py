"""Bytes from outside as text: the one way in for files, stdin and records of other programs."""

import codecs

from orchestrator.core.errors import BadInput

BOM = codecs.BOM_UTF8


def decode(data: bytes, name: str) -> str:
    """Read UTF-8; a byte order mark at the beginning is no part of the text.

    Args:
        data: The bytes.
        name: What they are, for the sentence of the error.

    Raises:
        BadInput: They are not UTF-8.
    """
    try:
        return data.removeprefix(BOM).decode()
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{name} is not UTF-8 text (byte {error.start})", hint="Save it as UTF-8."
        ) from None


def decode_any(data: bytes) -> str:
    """Read UTF-8, or what an older editor wrote: Windows-1252, or Latin-1, which any bytes are."""
    for encoding in ("utf-8", "cp1252"):
        try:
            return data.removeprefix(BOM).decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")
