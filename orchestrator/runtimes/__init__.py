"""The programs that run agents, each behind one port: Claude Code, Codex, Gemini, OpenCode, a shell, any.

``port.py`` is what the supervisor sees. An adapter says what is started, and reads what the program writes.
"""
