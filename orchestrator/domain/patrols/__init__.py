"""Patrols: what on the board stands still, who was told about it, and what went back by its lease."""

from orchestrator.core.events import declare_noun

declare_noun("patrol", f"{__name__}.events", since=5)
