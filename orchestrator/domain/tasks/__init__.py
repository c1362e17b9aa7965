"""Tasks: records, events, commands, and what decides which task can be worked on."""

from orchestrator.core.events import declare_noun

declare_noun(
    "task", f"{__name__}.events", f"{__name__}.verification_events", f"{__name__}.edit_events"
)
