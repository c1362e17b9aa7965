"""Decisions: what was decided, why, by whom, and for which task."""

from orchestrator.core.events import declare_noun

declare_noun("decision", f"{__name__}.events", since=2)
