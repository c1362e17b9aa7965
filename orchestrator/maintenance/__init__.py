"""Maintenance: check, repair, save and move a board."""
