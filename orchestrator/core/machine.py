"""The name of this machine, by which agents on several machines are told apart."""

import os
import time
from contextlib import suppress
from typing import Final

import msgspec

from orchestrator.core import names, system
from orchestrator.core.store import Cursors

VARIABLE: Final = "ORC_MACHINE"
"""Names this machine in place of its host name."""


def this_machine() -> str:
    """The name of this machine: ``$ORC_MACHINE``, else its host name.

    Raises:
        BadName: The variable has a name that is not allowed.
    """
    if given := os.environ.get(VARIABLE):
        return check(given)
    import re
    import socket  # a board of files needs neither

    host = re.sub(r"[^\w.-]+", "_", socket.gethostname(), flags=re.ASCII).strip(".-")
    return re.sub(r"\.{2,}", ".", host)[: names.LONGEST] or "machine"


def are_apart(machine: str, other: str) -> bool:
    """Whether two machines differ; an empty name, of an unknown or the only machine, differs from none."""
    return bool(machine and other) and machine != other


def note_presence(cursors: Cursors, machine: str, now: float) -> float | None:
    """Note that this machine uses the board; return when another machine of the same name was noted, or None.

    A machine is identified by its boot id, which all its users and folders share. After a restart it has a
    new id. So a different id means another machine only if it was noted while this machine was running:
    after this machine was noted last or, the first time, after it booted. Only Linux has boot ids; on other
    systems nothing is noted.

    Args:
        cursors: Where the database of the board keeps texts.
        machine: The name of this machine.
        now: The time of the board in seconds since 1970.
    """
    if not (boot := system.identity()[1]):
        return None
    reader = f"machine/{machine}"
    noted: dict[str, float] = {}
    with suppress(msgspec.MsgspecError):  # who can write to the database can damage a note
        noted = msgspec.json.decode(cursors.read(reader) or "{}", type=dict[str, float])
    since = noted.pop(boot, now - time.monotonic())  # it counts from the boot, or from later
    other = max(noted, key=noted.__getitem__, default=None)
    latest = {other: noted[other]} if other is not None else {}
    cursors.write(reader, msgspec.json.encode({**latest, boot: now}).decode())
    return noted[other] if other is not None and noted[other] > since else None


def check(text: str) -> str:
    """Return the name of a machine if it is allowed.

    Raises:
        BadName: It is not.
    """
    return names.name("machine", text)
