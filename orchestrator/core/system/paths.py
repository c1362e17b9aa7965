"""Paths on file systems that ignore case."""

import unicodedata


def folded(path: str) -> str:
    """The same text for every spelling of a path."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
