"""The default workstream of a new task."""

from orchestrator.core.errors import NotFound, UsageError
from orchestrator.core.printable import escape
from orchestrator.core.transaction import Transaction
from orchestrator.domain.board.settings import FILE, settings
from orchestrator.domain.state import State
from orchestrator.domain.workstreams.events import WorkstreamCreated

FIRST = "main"
"""The workstream that is created for the first task of an empty board."""


def usual_workstream(tx: Transaction[State]) -> str:
    """Return the default of ``config.toml``, else the only active workstream, else a new one.

    Raises:
        NotFound: The default does not exist.
        UsageError: There are several, or all are closed.
    """
    streams = tx.state.workstreams
    if default := settings(tx.read_document(FILE)).workstream:
        if default not in streams:
            raise NotFound(
                f"There is no workstream {default!a}, which {FILE} names as the default",
                code="workstream_not_found",
                hint=streams.HINT,
            )
        return default
    active = [name for name, stream in streams.items() if stream.status == "active"]
    if len(active) == 1:
        return active[0]
    if not streams:
        tx.record(WorkstreamCreated(workstream=FIRST))
        return FIRST
    which = f"it is one of {', '.join(map(escape, sorted(active)))}" if active else "all are closed"
    raise UsageError(
        f"The workstream is missing: {which}",
        code="workstream_needed",
        hint=f'`add WS TITLE` names it; `workstream = "WS"` in {FILE} is the default.'
        if active
        else "`ws reopen` makes one active again.",
    )
