"""The record of a topic."""

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
