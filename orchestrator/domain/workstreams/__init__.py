"""Workstreams: streams of work with a priority."""

from orchestrator.core.events import declare_noun

declare_noun("workstream", f"{__name__}.events")
