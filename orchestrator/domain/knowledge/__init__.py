"""Knowledge: topics in markdown that agents share."""

from orchestrator.core.events import declare_noun

declare_noun("knowledge", f"{__name__}.events")
