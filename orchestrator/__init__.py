"""A toolkit for agents that coordinate themselves with a shared board of plain files.

::

    from orchestrator import Orchestrator

    with Orchestrator.open("board") as orc:
        orc.workstreams.create("build", description="Build things", priority=1)
        task = orc.tasks.add("build", title="Ship v1")
        orc.tasks.claim(task.id, agent="agent-1")
        orc.tasks.complete(task.id, result="Shipped!")
"""

from typing import TYPE_CHECKING

from orchestrator.core.errors import (
    BadInput,
    BadName,
    Damage,
    InputOutputError,
    NoBoard,
    NotFound,
    OrchestratorError,
    OutcomeUnknown,
    Refused,
    TimedOut,
    UsageError,
)
from orchestrator.version import __version__

if TYPE_CHECKING:
    from orchestrator.api import Orchestrator as Orchestrator
    from orchestrator.async_api import AsyncOrchestrator as AsyncOrchestrator

__all__ = [
    "BadInput",
    "BadName",
    "Damage",
    "InputOutputError",
    "NoBoard",
    "NotFound",
    "Orchestrator",
    "OrchestratorError",
    "OutcomeUnknown",
    "Refused",
    "TimedOut",
    "UsageError",
    "__version__",
]


_LATE = {"Orchestrator": "api", "AsyncOrchestrator": "async_api"}
"""Classes that are imported when they are first asked for: a question to the index needs none of them."""


def __getattr__(name: str) -> object:
    """``Orchestrator``, and ``AsyncOrchestrator``: not in ``__all__``, for it needs the extra ``async``."""
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
    return value
