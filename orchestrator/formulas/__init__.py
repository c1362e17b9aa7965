"""Formulas: files that say how a kind of work is done, cooked into the steps of a workflow.

Cooking is a pure function from files and variables to a graph of steps (:mod:`.cooking`); what becomes of
the steps on a board is :mod:`orchestrator.domain.workflows`.
"""

from orchestrator.formulas.cooking import cook
from orchestrator.formulas.distilling import distill
from orchestrator.formulas.library import Listed, Loaded, find, listed, load, save

__all__ = ["Listed", "Loaded", "cook", "distill", "find", "listed", "load", "save"]
