"""Formulas: files that say how a kind of work is done, cooked into the steps of a workflow.

Cooking is a pure function from files and variables to a graph of steps (:mod:`.cooking`); what becomes of
the steps on a board is :mod:`orchestrator.domain.workflows.commands`.
"""

from orchestrator.formulas.compile import cook
from orchestrator.formulas.library import load
from orchestrator.formulas.noun import Formulas

__all__ = ["Formulas", "cook", "load"]
