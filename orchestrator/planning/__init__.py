"""The cycle runner: plan, brief, collect. State and knowledge in; data and text out."""

from orchestrator.planning.cycle_report import Collected
from orchestrator.planning.plan import make_plan
from orchestrator.planning.records import Plan
from orchestrator.planning.runner import Planning

__all__ = ["Collected", "Plan", "Planning", "make_plan"]
