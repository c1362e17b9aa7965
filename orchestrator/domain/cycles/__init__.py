"""Cycles: rounds of plan, brief, work and collect."""
