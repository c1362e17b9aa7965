"""Worktrees of git for tasks: make, list and remove them."""
