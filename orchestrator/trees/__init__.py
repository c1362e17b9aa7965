"""Worktrees of git for tasks, and the queue that merges their branches."""
