"""The events of terminals."""

from msgspec.structs import replace

from orchestrator.core.events import Event, Recorded, event
from orchestrator.domain.state import State
from orchestrator.domain.terminals.records import Outcome, Terminal, session_name


class TerminalEvent(Event):
    """An event of the terminal of an agent."""

    id: str


@event("terminal.started")
class TerminalStarted(TerminalEvent):
    """The command of an agent is started in a terminal."""

    command: tuple[str, ...]
    folder: str
    machine: str
    server: str
    task: str | None = None

    def apply(self, state: State, record: Recorded) -> None:
        state.terminals[self.id] = Terminal(
            number=record.id,
            agent=self.id,
            program=self.command[0],
            task=self.task,
            folder=self.folder,
            machine=self.machine,
            server=self.server,
            session=session_name(self.id, record.id),
            started_at=record.ts,
            started_by=record.agent,
        )


@event("terminal.ended")
class TerminalEnded(TerminalEvent):
    """The command of a terminal has ended."""

    outcome: Outcome
    status: int | None = None

    def apply(self, state: State, record: Recorded) -> None:
        state.terminals.change(
            self.id, outcome=self.outcome, status=self.status, ended_at=record.ts
        )


def rename(state: State, old: str, new: str) -> None:
    """Give the terminal of an agent to its new name. Part of a fold."""
    if (terminal := state.terminals.pop(old, None)) is not None:
        state.terminals[new] = replace(terminal, agent=new)
