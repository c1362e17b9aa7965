"""Subscriptions: which agents process which events; attempts, cursors, claims and dead letters."""

from orchestrator.core.events import declare_noun

declare_noun("subscription", f"{__name__}.events")
