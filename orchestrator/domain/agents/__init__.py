"""Agents: who works on the board, their sessions, hooks and assignments."""

from orchestrator.core.events import declare_noun

declare_noun("agent", f"{__name__}.events")
declare_noun("session", f"{__name__}.session_events")
