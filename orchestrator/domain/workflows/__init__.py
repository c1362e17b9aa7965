"""Workflows: formulas instantiated as tasks, and what moves them on."""
