"""``orc.knowledge`` with its search: topics that match, ranked as ``search`` ranks texts."""

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec

from orchestrator.core.transaction import Desk
from orchestrator.domain.knowledge.commands import Document, Knowledge
from orchestrator.domain.knowledge.records import DocumentChange
from orchestrator.domain.state import State

if TYPE_CHECKING:
    from orchestrator.index.texts import SearchText


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """A topic that matches a search: how often it contains the words, and its first line with one."""

    topic: str
    hits: int
    line: str


class RankedKnowledge(Knowledge, name="knowledge"):
    """``orc.knowledge``: write, append, delete, sync; read, all, search, history."""

    def sync(self) -> list[DocumentChange]:
        """Synchronise the documents of a board in a database with the files in its folder on this machine.

        Returns:
            What changed, by path; nothing on a board of files, whose documents are these files.

        Raises:
            Refused: The board has no folder on this machine (``no_folder``).
        """
        from orchestrator.domain.document_sync import DocumentSync

        return [] if self._desk.store.is_local else DocumentSync(self._desk).run()

    def search(self, words: str) -> list[Match]:
        """Return the topics that contain all the words, the most relevant first; case does not matter."""
        from orchestrator.index.matching import match_any

        wanted = words.casefold().split()
        documents = {document.topic: document for document in self.documents()}
        matches = {match.topic: match for match in _matches(documents.values(), wanted)}
        if len(matches) < 2:
            return [*matches.values()]
        query = match_any(dict.fromkeys(words.split(), 1.0), begins=True)
        ranked = ranked_topics(self._desk, documents, query)
        # A word inside of others is in no index: what has it only there comes last.
        rest = sorted(matches.values(), key=lambda match: (-match.hits, match.topic))
        order = dict.fromkeys([*ranked, *(match.topic for match in rest)])
        return [matches[topic] for topic in order if topic in matches]


def _matches(documents: Iterable[Document], wanted: list[str]) -> Iterator[Match]:
    for document in documents:
        text = f"{document.topic}\n{' '.join(document.tags)}\n{document.text}"
        hits = [text.casefold().count(word) for word in wanted]
        if wanted and all(hits):
            lines = (line for line in text.splitlines() if wanted[0] in line.casefold())
            yield Match(topic=document.topic, hits=sum(hits), line=next(lines, ""))


def ranked_topics(desk: Desk[State], documents: dict[str, Document], query: str) -> list[str]:
    """Return the topics that match, the most relevant first.

    Args:
        desk: The board.
        documents: Every readable topic by name. Where one was edited by hand, no index has its text.
        query: What is looked for, in the language of FTS5.
    """
    from orchestrator.index.board_ranking import keys_ranked
    from orchestrator.index.texts import topic_text

    def texts() -> "Iterator[SearchText]":
        for document in documents.values():
            if re.search("[\ud800-\udfff]", document.topic):
                continue  # a file name that is not UTF-8 is in no database
            yield topic_text(
                document.topic,
                document.text,
                author=document.author,
                tags=document.tags,
                updated_at=document.updated_at or "",
            )

    is_recorded = not any(document.edited for document in documents.values())
    keys = keys_ranked(desk, query, texts, words="topic_words", in_index=is_recorded)
    return [topic for topic in keys if topic in documents]
