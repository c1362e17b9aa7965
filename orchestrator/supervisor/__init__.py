"""The supervisor: starts agents on events. Agents are markdown files that a person has trusted.

``docs/decisions/0024-events-start-agents.md`` is the design. No module of the hot path imports this package.
"""
