"""Workflows: formulas instantiated as tasks, and what moves them on."""

from orchestrator.core.events import declare_noun

declare_noun("workflow", f"{__name__}.events")
