"""Convoys: tasks that are tracked together."""

from orchestrator.core.events import declare_noun

declare_noun("convoy", f"{__name__}.events")
