"""Agents: who works on the board, their sessions, hooks and assignments."""
