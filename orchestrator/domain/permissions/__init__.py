"""Permissions: what agents ask people for, the answers, and the rules that answer in their place."""

from orchestrator.core.events import declare_noun

declare_noun("permission", f"{__name__}.events", since=4)
