"""The merge queue: branches that wait to be merged into a target, in an order, under leases."""

from orchestrator.core.events import declare_noun

declare_noun("merge", f"{__name__}.events", since=5)
