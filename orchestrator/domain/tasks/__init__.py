"""Tasks: records, events, commands, and what decides which task can be worked on."""
