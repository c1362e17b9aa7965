"""Locks: resources that an agent keeps for a while, alone or shared."""

from orchestrator.core.events import declare_noun

declare_noun("lock", f"{__name__}.events")
