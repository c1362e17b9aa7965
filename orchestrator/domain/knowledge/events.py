"""The events of knowledge: each carries the whole text of its topic."""

from typing import Any, Self

import msgspec

from orchestrator.core.events import Event, Recorded, event
from orchestrator.core.transaction import SYSTEM
from orchestrator.domain.knowledge.records import Topic
from orchestrator.domain.state import State

FOLDER, ENDING = "knowledge", ".md"


class VersionEvent(Event):
    """An event that is a version of a topic: it has the whole text."""

    topic: str
    text: str
    author: str = SYSTEM
    tags: tuple[str, ...] = ()
    replaces: str = ""  # the digest of the file before

    @property
    def content(self) -> str:
        """The content of the file."""
        return self.text

    def apply(self, state: State, record: Recorded) -> None:
        old = state.knowledge.get(self.topic)
        state.knowledge[self.topic] = Topic(
            name=self.topic,
            author=self.author,
            tags=self.tags,
            digest=digest_of(self.content.encode()),
            previous=self.replaces,
            versions=(*old.versions, record.id) if old else (record.id,),
            updated_at=record.ts,
        )


@event("knowledge.written")
class KnowledgeWritten(VersionEvent):
    """A topic got a new text; ``newline``: the file has a final newline that the text has not."""

    newline: bool = False

    @property
    def content(self) -> str:
        return f"{self.text}\n" if self.newline else self.text

    def documents(self, state: State) -> dict[str, str | None]:
        return {document_path(self.topic): self.content}

    @classmethod
    def of(cls, topic: str, text: str, **facts: Any) -> Self:
        """The event for a text, whose file ends with a newline as text files do."""
        newline = text != "" and not text.endswith("\n")
        return cls(topic=topic, text=text, newline=newline, **facts)


@event("knowledge.edited")
class KnowledgeEdited(VersionEvent):
    """The file was edited by hand; its text was adopted.

    ``machine``: the copy of a machine was edited, so the document is written too.
    """

    machine: str = ""

    def documents(self, state: State) -> dict[str, str | None]:
        return {document_path(self.topic): self.content} if self.machine else {}


@event("knowledge.deleted")
class KnowledgeDeleted(Event):
    """A topic was deleted; its versions stay in the log."""

    topic: str

    def apply(self, state: State, record: Recorded) -> None:
        old = state.knowledge[self.topic]
        state.knowledge[self.topic] = msgspec.structs.replace(
            old, deleted=True, updated_at=record.ts
        )

    def documents(self, state: State) -> dict[str, str | None]:
        return {document_path(self.topic): None}


def document_path(topic: str) -> str:
    """The document of a topic."""
    return f"{FOLDER}/{topic}{ENDING}"


def digest_of(data: bytes | None) -> str:
    """The digest of a text; empty for a file that does not exist."""
    if data is None:
        return ""
    # A command that touches no knowledge does not load it.
    import hashlib

    return hashlib.sha256(data).hexdigest()[:32]
