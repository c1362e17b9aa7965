"""Patrols: which work makes no progress, who was told about it, and what was given back."""

from orchestrator.core.events import declare_noun

declare_noun("patrol", f"{__name__}.events", since=5)
