"""The board as a whole: repairs and upgrades on record."""

from orchestrator.core.events import declare_noun

declare_noun("board", f"{__name__}.events")
