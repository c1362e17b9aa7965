"""Write the readable events of a damaged log to a new file for ``import``.

A record is kept and renumbered if its event fits the state. Equal records (both sides of a merge
conflict) are kept once.
"""

import msgspec

from orchestrator.core.errors import OrchestratorError
from orchestrator.core.events import Recorded
from orchestrator.core.store import Upkeep
from orchestrator.domain.state import State
from orchestrator.maintenance.backup import HEADER, export_line


def salvage(upkeep: Upkeep, now: str) -> str:
    """Write the readable events to a new file.

    Returns:
        The path of the file to import into a new board.
    """
    state, seen = State(), set[bytes]()

    def line_of(record: Recorded) -> str | None:
        # Each record becomes a commit, because its original commit may be incomplete.
        record = msgspec.structs.replace(record, id=state.event + 1, more=False, req=None)
        facts = msgspec.json.encode([record.ts, record.agent, record.type, record.payload])
        if facts in seen:
            return None
        try:
            state.fold((record,))
        except (msgspec.MsgspecError, OrchestratorError, KeyError, ValueError):
            return None
        seen.add(facts)
        return export_line(record)

    return upkeep.salvage(export_line(HEADER), line_of, now)
