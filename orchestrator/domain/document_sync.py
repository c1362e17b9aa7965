"""The documents of a board in a database, and the folder in which each machine has them as files.

A file is compared with the board, and with the text that both had when they were synchronised last. A change
on one side goes to the other; a file that a person changed is adopted as a hand edit. If both changed, the
text of the board stays, and the other text becomes a version before it, or a file beside it. A missing file
of a topic or decision is written again, because only `kb delete` deletes those.
"""

import re
from collections.abc import Iterator

import msgspec

from orchestrator.core import names
from orchestrator.core.errors import OrchestratorError, Refused
from orchestrator.core.store import LocalFiles
from orchestrator.core.transaction import Committed, Noun, Transaction, command, no_result
from orchestrator.domain.board.settings import FILE, settings
from orchestrator.domain.decisions import commands as decisions
from orchestrator.domain.decisions.records import Decision
from orchestrator.domain.knowledge.commands import (
    DECISIONS,
    adopt_copy,
    adopted_copy,
    current_text,
    files_below,
)
from orchestrator.domain.knowledge.events import ENDING, FOLDER, digest_of, document_path
from orchestrator.domain.knowledge.records import DocumentAction, DocumentChange
from orchestrator.domain.state import State

_READER = "documents"
_PLAIN = {"formulas": (".formula.toml", ".formula.json"), "queries": (".sql",)}
_BESIDE = "beside"
_REMOVABLE = tuple(f"{folder}/" for folder in _PLAIN)
_STORE_LINE = rb"(?m)^[ \t]*store[ \t]*=.*(?:\n|\Z)"
"""The line of ``config.toml`` that says where the board is. It is not shared; all other lines are."""


def _no_place(_state: State, _events: Committed) -> str | None:
    return None


class DocumentSync(Noun[State], name="documents"):
    """Synchronises the documents of a board with the files of this machine."""

    def run(self) -> list[DocumentChange]:
        """Synchronise all documents, and return what changed.

        Raises:
            Refused: The board has no folder on this machine (``no_folder``).
        """
        files = self._desk.local
        if files is None:
            raise Refused(
                "This board has no folder on this machine, so there are no files to synchronise",
                code="no_folder",
                hint="`orc init DIR --store URL` makes one; then name it with --board DIR.",
            )
        kept = files.cursors.read(_READER)
        known: dict[str, str] = msgspec.json.decode(kept or "{}")
        changes = []
        try:
            for path in sorted({*self._paths(files), *known}):
                change = self._one(files, path, known)
                if change is not None:
                    changes.append(change)
        finally:
            if (text := msgspec.json.encode(known).decode()) != kept:
                files.cursors.write(_READER, text)
        return changes

    # The documents

    def _paths(self, files: LocalFiles) -> Iterator[str]:
        """The paths of the board's documents, and of the files here that could be documents."""
        state = self._state
        yield from (document_path(topic) for topic in state.knowledge)
        yield from (decision.path for decision in state.decisions.values())
        yield from files_below(files.documents, FOLDER)
        for folder, endings in _PLAIN.items():
            for documents in (self._desk.documents, files.documents):
                found = documents.names(folder)
                yield from (f"{folder}/{name}" for name in found if name.endswith(endings))
        yield FILE

    def _one(self, files: LocalFiles, path: str, known: dict[str, str]) -> DocumentChange | None:
        """Synchronise a document; ``known`` has the digest of what both sides had last."""
        try:
            _check_path(path)
            mine = _as_document(path, files.documents.read(path))
            before, ours = known.get(path, ""), self._of_board(path)
            theirs, my_digest = digest_of(ours), digest_of(mine)
            change = None
            if not my_digest and before == theirs != "" and path.startswith(_REMOVABLE):
                self._remove_plain(path, before)
                ours = self._of_board(path)
                change = DocumentChange(path=path, action="deleted", detail="also on the board")
            elif my_digest not in (theirs, before, ""):
                change = self._take(files, path, mine or b"", before)
                ours = self._of_board(path)
            if digest_of(ours) != my_digest:
                self._give(files, path, ours, mine)
                change = change or DocumentChange(
                    path=path, action="deleted" if ours is None else "written"
                )
        except OrchestratorError as error:
            return DocumentChange(path=path, action="kept", detail=error.message)
        if ours is None:
            known.pop(path, None)
        else:
            known[path] = digest_of(ours)
        return change

    def _of_board(self, path: str) -> bytes | None:
        """A document as the board has it."""
        state, data = self._state, self._desk.documents.read(path)
        if decision := _decision(state, path):
            return decisions.current_document(decision, data)
        if (topic := _topic(path)) is None:
            return data
        return current_text(self._desk, state.knowledge.get(topic), data)

    def _give(self, files: LocalFiles, path: str, ours: bytes | None, mine: bytes | None) -> None:
        """Write a document of the board into its file, unless the file has changed since it was read.

        Raises:
            Refused: The file has changed.
        """
        whole = files.documents.read(path)
        if _as_document(path, whole) != mine:
            raise Refused(
                "it was edited during the synchronisation; the next one compares it again"
            )
        if path == FILE:
            line = re.search(_STORE_LINE, whole or b"")
            ours = (line[0] if line else b"") + (ours or b"")
        if ours is None:
            files.documents.delete(path)
        else:
            files.documents.write(path, ours)

    # Hand edits

    def _take(
        self, files: LocalFiles, path: str, mine: bytes, before: str
    ) -> DocumentChange | None:
        """Let the board adopt an edited file; ``before`` is the digest of the document that was edited."""
        if _decision(self._state, path):
            place = self._adopt_decision(path, mine, before)
        elif (topic := _topic(path)) is not None:
            place = self._adopt_topic(topic, mine, before)
        elif path.startswith(f"{DECISIONS}/"):
            raise Refused("no decision has this document; `decision add` makes one")
        else:
            if path == FILE:
                settings(mine)
            place = self._adopt_plain(path, mine, before)
        if place is None:
            return None
        if place == _BESIDE:
            place = f"{path}.{digest_of(mine)[:8]}.mine"
            files.documents.write(place, mine)
        action: DocumentAction = "conflict" if place else "adopted"
        return DocumentChange(path=path, action=action, detail=place and f"your text is {place}")

    @command(adopted_copy, answers_request=False)
    def _adopt_topic(
        self, tx: Transaction[State], topic: str, text: bytes, before: str
    ) -> str | None:
        tx.act_as(None)
        return adopt_copy(tx, topic, text, before)

    @command(decisions.adopted_copy, answers_request=False)
    def _adopt_decision(
        self, tx: Transaction[State], path: str, text: bytes, before: str
    ) -> str | None:
        tx.act_as(None)
        known = _decision(tx.state, path)
        assert known is not None
        return decisions.adopt_copy(tx, known, text, before)

    @command(_no_place, answers_request=False)
    def _adopt_plain(
        self, tx: Transaction[State], path: str, text: bytes, before: str
    ) -> str | None:
        now = digest_of(tx.read_document(path))
        if now == digest_of(text):
            return None
        if now not in (before, ""):
            return _BESIDE
        self._desk.documents.write(path, text)
        return ""

    @command(no_result, answers_request=False)
    def _remove_plain(self, tx: Transaction[State], path: str, before: str) -> None:
        if digest_of(tx.read_document(path)) == before:
            self._desk.documents.delete(path)


def _topic(path: str) -> str | None:
    """The topic of a document; None if it is another document."""
    if path.startswith(f"{DECISIONS}/") or not path.startswith(f"{FOLDER}/"):
        return None
    return path.removeprefix(f"{FOLDER}/").removesuffix(ENDING)


def _decision(state: State, path: str) -> Decision | None:
    if not path.startswith(f"{DECISIONS}/"):
        return None
    return next((d for d in state.decisions.values() if d.path == path), None)


def _check_path(path: str) -> None:
    """Refuse a path with a part that cannot name a document: a person or another machine may have made it.

    Raises:
        BadName: A part of the path cannot be a name.
    """
    if (topic := _topic(path)) is not None:
        names.name("topic", topic)
        return
    for part in path.split("/"):
        names.name("document", part)


def _as_document(path: str, data: bytes | None) -> bytes | None:
    """The content of a file as a document of the board."""
    if path != FILE or data is None:
        return data
    return re.sub(_STORE_LINE, b"", data, count=1).lstrip(b"\n") or None
