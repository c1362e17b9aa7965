"""The commands of decisions. The event is the record; the document is rendered from it.

A hand edit of the document is shown to readers, and recorded by the next change of the decision. Only its
title and its sections count: the status changes through commands alone.
"""

import msgspec
from msgspec.structs import replace

from orchestrator.core.decoding import BOM
from orchestrator.core.errors import Refused
from orchestrator.core.events import Recorded, decode
from orchestrator.core.transaction import Committed, Noun, Transaction, command
from orchestrator.domain.board.commands import upgrade_for
from orchestrator.domain.decisions.events import (
    DecisionAdded,
    DecisionEdited,
    DecisionEvent,
    DecisionSuperseded,
)
from orchestrator.domain.decisions.records import Decision, path_of, sections, split
from orchestrator.domain.knowledge.events import digest_of
from orchestrator.domain.state import State
from orchestrator.domain.tasks.lookup import resolve
from orchestrator.domain.validation import check_text, check_title


def changed_decision(state: State, events: Committed) -> Decision:
    """The decision that the command changed."""
    changed = [event.number for _, event in events if isinstance(event, DecisionEvent)]
    return state.decisions[changed[-1]]


def digest(decision: Decision) -> str:
    """What stands for the document of a decision, so that a change can name what it replaces."""
    return digest_of(decision.document.encode())


class DecisionVersion(msgspec.Struct, frozen=True, kw_only=True):
    """The title and the text of a decision as they were, with who changed them when; counted from 1."""

    version: int
    title: str
    text: str
    author: str
    changed_at: str


class Decisions(Noun[State]):
    """``orc.decisions``: add, edit, supersede; get, all, history."""

    @command(changed_decision)
    def add(
        self,
        tx: Transaction[State],
        title: str,
        *,
        context: str = "",
        decision: str = "",
        consequences: str = "",
        task: str | None = None,
        agent: str | None = None,
    ) -> None:
        """Record a decision under the next number, as ``knowledge/decisions/NNNN-title.md``.

        Args:
            title: The decision in one line.
            context: Why a decision was needed.
            decision: What was decided, and why; the title if not given.
            consequences: What follows from it.
            task: The task of the decision, by id or prefix.
            agent: Who decides.

        Raises:
            NotFound: There is no such task.
            Refused: Another file has its path.
        """
        tx.act_as(agent)
        title = check_title(title)
        text = sections(
            check_text("context", context),
            check_text("decision", decision) or title,
            check_text("consequences", consequences),
        )
        number = max(tx.state.decisions, default=0) + 1
        about = resolve(tx.state, task) if task is not None else None
        if tx.read_document(path := path_of(number, title)) is not None:
            raise Refused(
                f"{path} exists, and is not a decision of this board",
                code="document_exists",
                hint="Rename the file, then add the decision again.",
            )
        upgrade_for(tx, "decision")
        tx.record(DecisionAdded(number=number, title=title, text=text, task=about))

    @command(changed_decision)
    def supersede(
        self, tx: Transaction[State], number: int, by: int, *, agent: str | None = None
    ) -> Decision | None:
        """Mark a decision as replaced by a newer one. If it is already, nothing changes.

        Raises:
            NotFound: There is no such decision.
            Refused: Another decision superseded it already, or ``by`` is not newer.
        """
        tx.act_as(agent)
        decisions = tx.state.decisions
        old, new = decisions.find(number), decisions.find(by)
        if old.superseded_by == new.number:
            return old
        if old.superseded_by is not None:
            message = f"Decision {number} is superseded already, by {old.superseded_by}"
            raise Refused(message, code="illegal_step")
        if new.number <= old.number:
            message = f"Decision {by} is not newer than decision {number}"
            raise Refused(message, code="illegal_step", hint="Give the old one first.")
        data, _ = adopt(tx, old)
        tx.record(DecisionSuperseded(number=number, by=by, replaces=digest_of(data)))
        return None

    @command(changed_decision)
    def edit(
        self,
        tx: Transaction[State],
        number: int,
        *,
        title: str | None = None,
        text: str | None = None,
        replaces: str | None = None,
        agent: str | None = None,
    ) -> Decision:
        """Change the title or the text of a decision. If both are so already, nothing changes.

        Args:
            number: The decision.
            title: The decision in one line.
            text: Its sections in markdown.
            replaces: The digest of the document that was read.
            agent: Who changes it.

        Raises:
            NotFound: There is no such decision.
            Refused: The decision changed after ``replaces`` was read.
        """
        tx.act_as(agent)
        data, old = adopt(tx, tx.state.decisions.find(number))
        if replaces is not None and replaces != digest(old):
            raise Refused(
                f"Decision {number} changed meanwhile",
                code="changed_meanwhile",
                hint=f"`decision show {number}` prints it.",
            )
        new_title = old.title if title is None else check_title(title)
        new_text = old.text if text is None else check_text("text", text).strip() + "\n"
        if (new_title, new_text.strip()) != (old.title, old.text.strip()):
            replaced = digest_of(data)
            tx.record(
                DecisionEdited(number=number, title=new_title, text=new_text, replaces=replaced)
            )
        return old

    def history(self, number: int) -> list[DecisionVersion]:
        """Return every version of a decision, oldest first.

        Raises:
            NotFound: There is no such decision.
        """
        versions: list[DecisionVersion] = []
        for event in map(self._desk.event, self._state.decisions.find(number).versions):
            known = _version(event, self._state)
            versions.append(
                DecisionVersion(
                    version=len(versions) + 1,
                    title=known.title,
                    text=known.text,
                    author=event.agent,
                    changed_at=event.ts,
                )
            )
        return versions

    def get(self, number: int) -> Decision:
        """Return a decision with the last edit of its document.

        Raises:
            NotFound: There is no such decision.
        """
        decision = self._state.decisions.find(number)
        return _as_edited(decision, self._desk.documents.read(decision.path))

    def all(self) -> list[Decision]:
        """Return every decision by number."""
        return [self.get(number) for number in sorted(self._state.decisions)]


def _version(record: Recorded, state: State) -> DecisionAdded | DecisionEdited:
    """An event that is a version of a decision."""
    known = decode(record, state.board.format)
    assert isinstance(known, (DecisionAdded, DecisionEdited))
    return known


def adopt(tx: Transaction[State], decision: Decision) -> tuple[bytes | None, Decision]:
    """Record a hand edit before the document is overwritten; return the document and the decision."""
    data = tx.read_document(decision.path)
    edited = _as_edited(decision, data)
    if edited is not decision:
        text = check_text("file", edited.text)
        title = check_title(edited.title)
        tx.record(DecisionEdited(number=decision.number, title=title, text=text))
    return data, edited


def adopt_copy(tx: Transaction[State], decision: Decision, data: bytes, before: str) -> str | None:
    """Adopt a hand edit of the copy that a machine has, as ``knowledge.commands.adopt_copy`` does."""
    document, now = adopt(tx, decision)
    title, text = split(data.removeprefix(BOM).decode("utf-8", "replace"))
    title, text = check_title(title or now.title), check_text("file", text)
    if (title, text.strip()) == (now.title, now.text.strip()):
        return None
    is_changed = digest(now) != before
    for version, event in enumerate(decision.versions if is_changed else (), 1):
        known = _version(tx.event(event), tx.state)
        if (known.title, known.text.strip()) == (title, text.strip()):
            return _place(decision.number, version)
    number, replaces = decision.number, digest_of(document)
    tx.record(DecisionEdited(number=number, title=title, text=text, replaces=replaces))
    if is_changed:
        tx.record(DecisionEdited(number=number, title=now.title, text=now.text, replaces=replaces))
    return None


def _place(number: int, version: int) -> str:
    return f"version {version}: `decision history {number}`"


def adopted_copy(state: State, events: Committed) -> str | None:
    """The same as ``knowledge.commands.adopted_copy``."""
    edits = [(r.id, e.number) for r, e in events if isinstance(e, DecisionEdited) and e.replaces]
    if len(edits) < 2:
        return "" if edits else None
    event, number = edits[0]
    return _place(number, state.decisions[number].versions.index(event) + 1)


def current_document(decision: Decision, data: bytes | None) -> bytes:
    """The document of a decision, given its file: with the last hand edit, or as the last change left it."""
    if digest_of(data) in ("", digest(decision), decision.replaced):
        return decision.document.encode()
    assert data is not None
    return data


def _as_edited(decision: Decision, data: bytes | None) -> Decision:
    """Return the decision with a hand edit of its document.

    If the document is missing, or is still the replaced one, the last change was not written yet.
    """
    if digest_of(data) in ("", digest(decision), decision.replaced):
        return decision
    assert data is not None
    title, text = split(data.removeprefix(BOM).decode("utf-8", "replace"))
    edited = replace(decision, title=title or decision.title, text=text)
    return decision if edited == decision else edited
