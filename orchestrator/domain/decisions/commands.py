"""The commands of decisions. The event is the record; the document is rendered from it.

A hand edit of the document is shown to readers, and recorded by the next change of the decision. Only its
title and its sections count: the status changes through commands alone.
"""

from msgspec.structs import replace

from orchestrator.core.decoding import BOM
from orchestrator.core.errors import Refused
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


class Decisions(Noun[State]):
    """``orc.decisions``: add, supersede; get, all."""

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
        data = tx.read_document(old.path)
        edited = _as_edited(old, data)
        if edited is not old:
            text = check_text("file", edited.text)
            tx.record(DecisionEdited(number=number, title=check_title(edited.title), text=text))
        tx.record(DecisionSuperseded(number=number, by=by, replaces=digest_of(data)))
        return None

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


def _as_edited(decision: Decision, data: bytes | None) -> Decision:
    """Return the decision with a hand edit of its document.

    If the document is missing, or is still the replaced one, the last change was not written yet.
    """
    recorded = digest_of(decision.document.encode())
    if digest_of(data) in ("", recorded, decision.replaced):
        return decision
    assert data is not None
    title, text = split(data.removeprefix(BOM).decode("utf-8", "replace"))
    edited = replace(decision, title=title or decision.title, text=text)
    return decision if edited == decision else edited
