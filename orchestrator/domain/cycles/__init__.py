"""Cycles: rounds of plan, brief, work and collect."""

from orchestrator.core.events import declare_noun

declare_noun("cycle", f"{__name__}.events")
