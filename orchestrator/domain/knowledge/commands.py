"""Knowledge: shared markdown texts by topic, as files that people may edit.

The event has the whole text; agents and people read the file. The state has two digests of a topic: of its
text, and of the file before the last write. If the file is missing or still the old one, the write was
interrupted, and the text of the log counts. Any other difference is a hand edit: it is shown to readers, and
recorded as an event by the next change of the topic.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import msgspec

from orchestrator.core import names
from orchestrator.core.decoding import decode_any, decode_text
from orchestrator.core.errors import (
    BadInput,
    BadName,
    NotFound,
    OrchestratorError,
    Refused,
    missing,
)
from orchestrator.core.events import Recorded, decode
from orchestrator.core.store import Documents
from orchestrator.core.transaction import SYSTEM, Committed, Desk, Noun, Transaction, command
from orchestrator.domain.knowledge.events import (
    ENDING,
    FOLDER,
    KnowledgeDeleted,
    KnowledgeEdited,
    KnowledgeWritten,
    VersionEvent,
    digest_of,
    document_path,
)
from orchestrator.domain.knowledge.records import Topic
from orchestrator.domain.state import State
from orchestrator.domain.validation import check_text

DECISIONS = f"{FOLDER}/decisions"
"""The folder of the documents of decisions."""


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A topic with its text.

    Attributes:
        version: Counted from 1; 0: a file that is not recorded yet.
        edited: Whether the file was edited by hand after that version.
        digest: Stands for the whole file, so that a change can name the text that it replaces.
    """

    topic: str
    text: str
    author: str
    tags: tuple[str, ...]
    version: int
    updated_at: str | None
    edited: bool = False
    digest: str


def written_topic(state: State, events: Committed) -> Topic:
    """The topic that was written. If its file already had the new text, only the hand edit is recorded."""
    return state.knowledge[next(e.topic for _, e in events if isinstance(e, VersionEvent))]


def was_deleted(state: State, events: Committed) -> bool:
    """Whether a topic was deleted."""
    return any(isinstance(e, KnowledgeDeleted) for _, e in events)


class Knowledge(Noun[State]):
    """The commands and queries of knowledge; :mod:`orchestrator.index.topics` searches it."""

    @command(written_topic)
    def write(
        self,
        tx: Transaction[State],
        topic: str,
        content: str,
        *,
        tags: Iterable[str] | None = None,
        replaces: str | None = None,
        agent: str | None = None,
    ) -> Topic | None:
        """Write the text of a topic; the old text stays in its history. The same text changes nothing.

        Args:
            topic: Its name, which becomes a file name.
            content: Markdown; frontmatter at its top is kept.
            tags: Words to find it by; None keeps the current ones.
            replaces: The digest of the text that was read; empty: the topic must be new.
            agent: The author in the frontmatter.

        Raises:
            Refused: The topic changed after ``replaces`` was read.
        """
        actor = tx.act_as(agent)
        _check_name(tx.state, topic)
        metadata, _ = adopt(tx, topic)
        if replaces is not None:
            _check_unchanged(tx.state, topic, replaces)
        given, body = split(content)
        return record_text(tx, topic, {**metadata, **given}, body, tags, actor)

    @command(written_topic)
    def append(
        self,
        tx: Transaction[State],
        topic: str,
        content: str,
        *,
        tags: Iterable[str] | None = None,
        agent: str | None = None,
    ) -> Topic | None:
        """Add lines at the end of a topic, which is created if it does not exist."""
        actor = tx.act_as(agent)
        _check_name(tx.state, topic)
        metadata, body = adopt(tx, topic)
        joined = f"{body.rstrip()}\n\n{content}" if body.strip() else content
        return record_text(tx, topic, metadata, joined, tags, actor)

    @command(was_deleted)
    def delete(self, tx: Transaction[State], topic: str, *, agent: str | None = None) -> None:
        """Delete a topic, and return whether there was one; its versions stay in the log."""
        tx.act_as(agent)
        names.name("topic", topic)
        adopt(tx, topic)
        known = tx.state.knowledge.get(topic)
        if known is not None and not known.deleted:
            tx.record(KnowledgeDeleted(topic=topic))

    def read(self, topic: str, *, version: int | None = None) -> str | None:
        """Return the text of a topic without its frontmatter, or None if there is no topic."""
        document = self.document(topic, version=version)
        return document.text if document else None

    def document(self, topic: str, *, version: int | None = None) -> Document | None:
        """Return a topic with author, tags and version, or None if there is none.

        Args:
            topic: Its name.
            version: An old version, counted from 1.

        Raises:
            NotFound: The topic has no such version.
        """
        self._check_readable(topic)
        record = self._state.knowledge.get(topic)
        if version is not None:
            return self._old_version(topic, record, version)
        data = self._desk.documents.read(document_path(topic))
        if _is_edited(record, data):
            assert data is not None
            return _edited_document(topic, record, data)
        if record is None or record.deleted:
            return None
        return self._old_version(topic, record, len(record.versions))

    def _old_version(self, topic: str, record: Topic | None, version: int) -> Document:
        if record is None or not 1 <= version <= len(record.versions):
            raise NotFound(
                f"Topic {topic!a} has no version {version}",
                code="version_not_found",
                hint="`kb history` lists the versions.",
            )
        event = self._desk.event(record.versions[version - 1])
        written = _version(event)
        return Document(
            topic=topic,
            text=split_any(written.text)[1],
            author=written.author,
            tags=written.tags,
            version=version,
            updated_at=event.ts,
            digest=digest_of(written.content.encode()),
        )

    def _check_readable(self, topic: str) -> None:
        """Refuse an invalid name, unless a person made a file of that name."""
        try:
            names.name("topic", topic)
        except BadName:
            if topic not in self._files():
                raise

    def all(self) -> list[Topic]:
        """Return the topics by name; a topic whose file is not recorded yet has no versions.

        A file that a person made is a topic with any path as its name: ``Old Notes``, ``team/plan``.
        """
        topics = self._state.knowledge
        live = {name: topic for name, topic in topics.items() if not topic.deleted}
        for name in self._files():
            if name not in live and (topic := self._unrecorded(name)):
                live[name] = topic
        return [live[name] for name in sorted(live)]

    def _files(self) -> list[str]:
        """The topics of all files without decisions, which are a separate noun."""
        paths = files_below(self._desk.documents, FOLDER, without=DECISIONS)
        return [path.removeprefix(f"{FOLDER}/").removesuffix(ENDING) for path in paths]

    def _unrecorded(self, name: str) -> Topic | None:
        try:
            data = self._desk.documents.read(document_path(name))
        except Refused:  # it is too long for a topic: the doctor names it
            return None
        if not _is_edited(self._state.knowledge.get(name), data):
            return None
        return Topic(name=name, author=SYSTEM, digest=digest_of(data), versions=(), updated_at="")

    def documents(self) -> Iterator[Document]:
        """Yield the readable topics with their texts; the doctor reports the others."""
        for topic in self.all():
            with suppress(OrchestratorError):
                if document := self.document(topic.name):
                    yield document

    def problems(self) -> Iterator[tuple[str, str, str]]:
        """Yield the topic, the problem and the remedy for each file with a problem."""
        for topic in self._files():
            try:
                names.name("topic", topic)
            except BadName as error:
                hint = "It can be read; to change it with `kb write`, give its file another name."
                yield topic, error.message, hint
            try:
                _parsed(topic, self._desk.documents.read(document_path(topic)) or b"")
            except OrchestratorError as error:
                yield topic, error.message.removeprefix(f"{document_path(topic)}: "), error.hint

    def history(self, topic: str) -> list[Document]:
        """Return every version of a topic, oldest first.

        Raises:
            NotFound: There was never such a topic.
        """
        record = self._state.knowledge.get(names.name("topic", topic))
        if record is None:
            hint = "`kb list` lists the topics."
            raise missing("topic", topic, self._state.knowledge, hint=hint)
        return [self._old_version(topic, record, i + 1) for i in range(len(record.versions))]


def files_below(documents: Documents, folder: str, *, without: str = "") -> Iterator[str]:
    """The paths of the markdown files in a folder and below it, except those in the folder ``without``."""
    folders = [folder]
    while folders:
        folder = folders.pop()
        yield from (f"{folder}/{name}" for name in documents.names(folder) if name.endswith(ENDING))
        inside = (f"{folder}/{name}" for name in documents.folders(folder))
        folders += [name for name in inside if name != without]


def _version(record: Recorded) -> VersionEvent:
    """An event that is a version of a topic."""
    written = decode(record)
    assert isinstance(written, VersionEvent)
    return written


def _is_edited(record: Topic | None, data: bytes | None) -> bool:
    """Whether a file was edited by hand. If it is missing, the text in the log counts."""
    known = {""}
    if record is not None:
        known |= {record.digest} if record.deleted else {record.digest, record.previous}
    return digest_of(data) not in known


def _edited_document(topic: str, record: Topic | None, data: bytes) -> Document:
    """The topic as it is in its file, frontmatter valid or not."""
    metadata, body = split_any(decode_any(data, document_path(topic)))
    return Document(
        topic=topic,
        text=body,
        author=_author(metadata, record),
        tags=_tags(metadata),
        version=len(record.versions) if record else 0,
        updated_at=record.updated_at if record else None,
        edited=True,
        digest=digest_of(data),
    )


def adopt(tx: Transaction[State], topic: str) -> tuple[dict[str, Any], str]:
    """Record a hand edit before it is overwritten; return the current frontmatter and text."""
    data = tx.read_document(document_path(topic))
    record = tx.state.knowledge.get(topic)
    if not _is_edited(record, data):
        if record is None or record.deleted:
            return {}, ""
        return split(_version(tx.event(record.versions[-1])).text)
    assert data is not None
    text, metadata, body = _parsed(topic, data)
    author, tags = _author(metadata, record), _tags(metadata)
    tx.record(KnowledgeEdited(topic=topic, text=text, author=author, tags=tags))
    return metadata, body


def current_text(desk: Desk[State], record: Topic | None, data: bytes | None) -> bytes | None:
    """The document of a topic, given its file: with the last hand edit, or as the last change left it."""
    if _is_edited(record, data):
        return data
    if record is None or record.deleted:
        return None
    if digest_of(data) == record.digest:
        return data
    return _version(desk.event(record.versions[-1])).content.encode()


def adopt_copy(tx: Transaction[State], topic: str, data: bytes, before: str) -> str | None:
    """Adopt a hand edit of the copy of a document that a machine has, unless the document has this text.

    If the document has changed too, its own text stays, as a version after the adopted one. If an earlier
    synchronisation was interrupted after it adopted the edit, the edit is a version already.

    Args:
        tx: The transaction.
        topic: The topic.
        data: The edited copy.
        before: The digest of the document that was edited.

    Returns:
        The place of the edit if it is a version already; else None, see :func:`adopted_copy`.
    """
    _check_name(tx.state, topic)
    text, metadata, _ = _parsed(topic, data)
    adopt(tx, topic)
    replaced = digest_of(tx.documents[document_path(topic)])
    known = tx.state.knowledge.get(topic)
    last = None if known is None or known.deleted else _version(tx.event(known.versions[-1]))
    if last is not None and text == last.content:
        return None
    is_changed = last is not None and digest_of(last.content.encode()) != before
    if known is not None and is_changed and (version := _version_since(tx, known, before, text)):
        return _place(topic, version)
    tx.record(
        KnowledgeEdited(
            topic=topic,
            text=text,
            author=_author(metadata, known),
            tags=_tags(metadata),
            replaces=replaced,
            machine=tx.state.machine,
        )
    )
    if last is not None and is_changed:
        tx.record(
            KnowledgeWritten(
                topic=topic,
                text=last.content,
                author=last.author,
                tags=last.tags,
                replaces=replaced,
            )
        )
    return None


def _version_since(tx: Transaction[State], record: Topic, before: str, text: str) -> int | None:
    """The number of the version that has this text, if it is newer than the version with this digest."""
    for version in range(len(record.versions), 0, -1):
        content = _version(tx.event(record.versions[version - 1])).content
        if content == text:
            return version
        if digest_of(content.encode()) == before:
            break
    return None


def _place(topic: str, version: int) -> str:
    return f"version {version}: `kb read {topic} --version {version}`"


def adopted_copy(state: State, events: Committed) -> str | None:
    """Where the text of an adopted copy is if the document keeps its own; None if the two were the same."""
    mine = [(r.id, e.topic) for r, e in events if isinstance(e, KnowledgeEdited) and e.machine]
    if not mine:
        return None
    if not any(isinstance(e, KnowledgeWritten) for _, e in events):
        return ""
    number, topic = mine[0]
    return _place(topic, state.knowledge[topic].versions.index(number) + 1)


def _check_unchanged(state: State, topic: str, digest: str) -> None:
    """Refuse to replace a text that has changed; a hand edit was recorded before."""
    known = state.knowledge.get(topic)
    if known is None or known.deleted:
        if digest:
            raise Refused(
                f"Topic {topic!a} was deleted meanwhile",
                code="changed_meanwhile",
                hint=f"`kb history {topic}` lists its versions.",
            )
    elif known.digest != digest:
        how = "changed meanwhile" if digest else "exists"
        raise Refused(
            f"Topic {topic!a} {how}: version {len(known.versions)} is by {known.author}",
            code="changed_meanwhile",
            hint=f"`kb read {topic}` prints it.",
        )


def record_text(
    tx: Transaction[State],
    topic: str,
    metadata: dict[str, Any],
    body: str,
    tags: Iterable[str] | None,
    author: str,
) -> Topic | None:
    """Record the text of a topic; return the topic if its file and the log already have this text."""
    words = _tags(metadata) if tags is None else tuple(names.name("tag", tag) for tag in tags)
    head = {k: v for k, v in metadata.items() if k not in ("author", "tags")}
    if author != SYSTEM:
        head["author"] = author
    if words:
        head["tags"] = list(words)
    text = check_text("content", join(head, body))
    old = digest_of(tx.documents.get(document_path(topic)))
    written = KnowledgeWritten.of(topic, text, author=author, tags=words, replaces=old)
    known = tx.state.knowledge.get(topic)
    is_so = known is not None and not known.deleted and old == known.digest
    if known is not None and is_so and old == digest_of(written.content.encode()):
        return known
    tx.record(written)
    return None


def split(text: str) -> tuple[dict[str, Any], str]:
    """Split a text into frontmatter, which is read strictly, and body."""
    if not text.startswith("---"):
        return {}, text
    # YAML is loaded only for texts that seem to have frontmatter.
    from orchestrator.domain.knowledge import frontmatter

    return frontmatter.split(text)


def split_any(text: str) -> tuple[dict[str, Any], str]:
    """Split a text; invalid frontmatter becomes part of the body."""
    try:
        return split(text)
    except BadInput:
        return {}, text


def join(metadata: dict[str, Any], body: str) -> str:
    """Put frontmatter and body together; the inverse of :func:`split`."""
    if not metadata:
        return body
    from orchestrator.domain.knowledge import frontmatter

    return frontmatter.join(metadata, body)


def _parsed(topic: str, data: bytes) -> tuple[str, dict[str, Any], str]:
    """The text of an edited file, its frontmatter and its body; an error names the file."""
    file = document_path(topic)
    try:
        text = check_text("file", decode_text(data, "it"))
        return text, *split(text)
    except BadInput as error:
        raise BadInput(f"{file}: {error.message}", code=error.code, hint=error.hint) from None


def _author(metadata: dict[str, Any], record: Topic | None) -> str:
    """The author of an edited file: the one in its frontmatter, else the one of the last version."""
    return str(metadata.get("author", record.author if record else SYSTEM))


def _tags(metadata: dict[str, Any]) -> tuple[str, ...]:
    tags = metadata.get("tags", [])
    if isinstance(tags, str):
        tags = tags.replace(",", " ").split()
    return tuple(str(tag) for tag in tags)


def _check_name(state: State, topic: str) -> None:
    live = [name for name, known in state.knowledge.items() if not known.deleted]
    names.name("topic", topic, among=live)
