"""Worktrees: the branch and the folder in which a task is worked on."""

from orchestrator.core.events import declare_noun

declare_noun("worktree", f"{__name__}.events", since=5)
