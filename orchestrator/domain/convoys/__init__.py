"""Convoys: tasks that are followed together."""

from orchestrator.core.events import declare_noun

declare_noun("convoy", f"{__name__}.events")
