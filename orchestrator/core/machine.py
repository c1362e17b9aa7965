"""The name of this machine, by which agents on several machines are told apart."""

import os
from typing import Final

from orchestrator.core import names

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


def check(text: str) -> str:
    """Return the name of a machine if it is allowed.

    Raises:
        BadName: It is not.
    """
    return names.name("machine", text)
