"""Subscriptions: which agent works which event, its attempts, cursors, claims, and dead letters."""

from orchestrator.core.events import declare_noun

declare_noun("subscription", f"{__name__}.events")
