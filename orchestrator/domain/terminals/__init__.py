"""Terminals: the windows of tmux in which the commands of agents run."""

from orchestrator.core.events import declare_noun

declare_noun("terminal", f"{__name__}.events", since=5)
