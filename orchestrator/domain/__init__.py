"""The rules: one file a noun, with its record, its events and their apply, its commands, its queries."""

from orchestrator.core.events import reserve

reserve(
    {
        "board",
        "workstream",
        "task",
        "agent",
        "lock",
        "knowledge",
        "cycle",
        "message",
        "convoy",
        "formula",
        "workflow",
        "session",
        "subscription",
    }
)
