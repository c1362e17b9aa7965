"""The board as a whole: its repairs and upgrades."""

from orchestrator.core.events import declare_noun

declare_noun("board", f"{__name__}.events")

FILE = "config.toml"
"""The document with the settings that people write by hand."""
