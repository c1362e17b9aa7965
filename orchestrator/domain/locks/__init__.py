"""Locks: resources that agents hold for a time, exclusive or shared."""

from orchestrator.core.events import declare_noun

declare_noun("lock", f"{__name__}.events")
