"""The events of decisions."""

from orchestrator.core.events import Event, Recorded, event
from orchestrator.domain.decisions.records import Decision, path_of
from orchestrator.domain.state import State


class DecisionEvent(Event):
    """An event after which the document of a decision is written."""

    number: int

    def documents(self, state: State) -> dict[str, str | None]:
        decision = state.decisions[self.number]
        return {decision.path: decision.document}


@event("decision.added")
class DecisionAdded(DecisionEvent):
    """A decision was made."""

    title: str
    text: str
    task: str | None = None

    def apply(self, state: State, record: Recorded) -> None:
        state.decisions[self.number] = Decision(
            number=self.number,
            title=self.title,
            status="accepted",
            text=self.text,
            task=self.task,
            path=path_of(self.number, self.title),
            decided_at=record.ts,
            decided_by=record.agent,
            versions=(record.id,),
        )


@event("decision.edited")
class DecisionEdited(DecisionEvent):
    """The title or the text was changed, by a command or in the document.

    ``replaces`` is the digest of the document as it was, if a command changed it.
    """

    title: str
    text: str
    replaces: str = ""

    def apply(self, state: State, record: Recorded) -> None:
        old = state.decisions[self.number]
        state.decisions.change(
            self.number,
            title=self.title,
            text=self.text,
            replaced=self.replaces or old.replaced,
            versions=(*old.versions, record.id),
        )


@event("decision.superseded")
class DecisionSuperseded(DecisionEvent):
    """A newer decision replaced this one; ``replaces`` is the digest of the document as it was."""

    by: int
    replaces: str = ""

    def apply(self, state: State, record: Recorded) -> None:
        state.decisions.change(
            self.number, status="superseded", superseded_by=self.by, replaced=self.replaces
        )
