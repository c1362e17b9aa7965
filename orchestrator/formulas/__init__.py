"""Formulas: files that describe how a kind of work is done; they compile to the steps of a workflow.

The compiler is a pure function from files and variables to steps (:mod:`.compile`). The life of the steps
on a board is in :mod:`orchestrator.domain.workflows`.
"""

from orchestrator.formulas.commands import Formulas
from orchestrator.formulas.compile import compile_formula
from orchestrator.formulas.loading import load

__all__ = ["Formulas", "compile_formula", "load"]
