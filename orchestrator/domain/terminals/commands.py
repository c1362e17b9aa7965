"""The rules of terminals: one for each agent, and no more than the board allows."""

import msgspec

from orchestrator.core.errors import Refused
from orchestrator.core.printable import escape
from orchestrator.core.transaction import Committed, Noun, Transaction, command
from orchestrator.domain.agents.identity import act_now, check_active
from orchestrator.domain.board.commands import upgrade_for
from orchestrator.domain.board.settings import FILE, settings
from orchestrator.domain.state import State
from orchestrator.domain.tasks.lookup import find_live
from orchestrator.domain.tasks.records import ENDED
from orchestrator.domain.terminals.events import TerminalEnded, TerminalEvent, TerminalStarted
from orchestrator.domain.terminals.records import Outcome, Terminal
from orchestrator.domain.validation import check_text


class TerminalStart(msgspec.Struct, frozen=True):
    """What is started where: the words of the command, its folder, the machine and the server of tmux."""

    command: tuple[str, ...]
    folder: str
    machine: str
    server: str


def changed_terminal(state: State, events: Committed) -> Terminal:
    """The terminal that the command changed."""
    changed = next(event.id for _, event in events if isinstance(event, TerminalEvent))
    return state.terminals[changed]


class TerminalRecords(Noun[State], name="terminals"):
    """The terminals as the log has them; the noun of the facade adds what tmux does."""

    def get(self, id: str) -> Terminal:
        """Return the last terminal of an agent.

        Raises:
            NotFound: It never had one.
        """
        state = self._state
        return state.terminals.find(state.agents.aliases.get(id, id))

    def all(self) -> list[Terminal]:
        """Return the last terminal of each agent, by agent."""
        return sorted(self._state.terminals.values(), key=lambda terminal: terminal.agent)

    @command(changed_terminal)
    def _start(
        self,
        tx: Transaction[State],
        id: str,
        start: TerminalStart,
        task: str | None,
        agent: str | None,
    ) -> None:
        """Record the start of a terminal, before tmux starts it: two never begin one of the same name.

        Raises:
            Refused: The agent has a terminal, or is retired; there are as many as the board allows; the task
                has ended, or another agent has it.
        """
        act_now(tx, agent)
        id = tx.state.agents.aliases.get(id, id)
        check_active(tx.state, id)
        tx.knows_agent(id)
        self._check_free(tx, id)
        about = None if task is None else _check_task(tx, id, task)
        for word in start.command:
            check_text("command", word)
        upgrade_for(tx, "terminal")
        tx.record(TerminalStarted(id=id, task=about, **msgspec.structs.asdict(start)))

    def _check_free(self, tx: Transaction[State], id: str) -> None:
        terminals = tx.state.terminals
        known = terminals.get(id)
        if known is not None and known.is_live:
            raise Refused(
                f"{escape(id)} has a terminal, in which {escape(known.program)} runs",
                code="terminal_exists",
                hint=f"`terminal attach {id}` shows it, `terminal stop {id}` ends it.",
            )
        most = settings(self._desk.documents.read(FILE)).terminal.max
        if len(terminals.live()) >= most:
            raise Refused(
                f"{most} terminals run, and this board allows no more",
                code="too_many_terminals",
                hint=f"`terminal list` shows them; `max` in [terminal] of {FILE} allows more.",
            )

    @command(changed_terminal, answers_request=False)
    def _end(
        self,
        tx: Transaction[State],
        terminal: Terminal,
        outcome: Outcome,
        status: int | None,
        agent: str | None,
    ) -> Terminal:
        """Record the end of a terminal; if it is recorded, nothing changes."""
        act_now(tx, agent)
        by_number = {known.number: known for known in tx.state.terminals.values()}
        known = by_number.get(terminal.number)
        if known is not None and known.is_live:
            tx.record(TerminalEnded(id=known.agent, outcome=outcome, status=status))
        return known or terminal


def _check_task(tx: Transaction[State], agent: str, text: str) -> str:
    """The id of a task that an agent may work on in a terminal."""
    task = find_live(tx.state, text)
    if task.status in ENDED:
        raise Refused(f"Task {task.id} is {task.status}", code="illegal_step")
    if task.is_held(tx.now) and task.assigned_to != agent:
        raise Refused(
            f"{task.assigned_to} has task {task.id}",
            code="already_claimed",
            hint="Give the terminal to that agent, or another task to this one.",
        )
    return task.id
