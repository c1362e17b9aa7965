"""Workflows: formulas instantiated as tasks, and their automation."""

from orchestrator.core.events import declare_noun

declare_noun("workflow", f"{__name__}.events")
