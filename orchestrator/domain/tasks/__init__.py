"""Tasks: their records, events, commands and queues."""

from orchestrator.core.events import declare_noun

declare_noun(
    "task", f"{__name__}.events", f"{__name__}.verification_events", f"{__name__}.edit_events"
)
