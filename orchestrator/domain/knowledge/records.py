"""The record of a topic, and of what a synchronisation did with a document."""

from typing import Literal

import msgspec

from orchestrator.domain.slices import MapSlice, Record


class Topic(Record, frozen=True, kw_only=True):
    """A topic: its versions, the digest of its text, and that of the file that its last write replaced."""

    name: str
    author: str
    tags: tuple[str, ...] = ()
    digest: str
    previous: str = ""
    versions: tuple[int, ...]
    updated_at: str
    deleted: bool = False


class KnowledgeSlice(MapSlice[str, Topic]):
    """The topics by name, deleted ones included."""

    MAIN = "topics"
    topics: dict[str, Topic] = {}


DocumentAction = Literal["written", "deleted", "adopted", "conflict", "kept"]


class DocumentChange(msgspec.Struct, frozen=True, kw_only=True):
    """What a synchronisation did with a document.

    Attributes:
        path: The document, such as ``knowledge/plan.md``.
        action: ``written`` and ``deleted``: the file is now as the board is. ``adopted``: the board is now as
            the file. ``conflict``: both had changed. ``kept``: the file stays as it is, and the board too.
        detail: Where the other text of a conflict is, or why a file is kept.
    """

    path: str
    action: DocumentAction
    detail: str = ""
