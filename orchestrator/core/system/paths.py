"""Paths on file systems that do not tell upper case from lower case."""

import unicodedata


def folded(path: str) -> str:
    """The same text for every spelling of a path."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
