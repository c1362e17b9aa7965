"""Goals: dates with tasks that should have ended by then."""

from orchestrator.core.events import declare_noun

declare_noun("goal", f"{__name__}.events", since=3)
