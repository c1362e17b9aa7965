"""Maintenance of a board: check, repair, export and import."""
