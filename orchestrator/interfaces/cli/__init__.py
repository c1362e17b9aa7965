"""The command line: one grammar, two ways to read it.

``grammar`` says what a command is; one module a noun declares the commands. ``reader`` reads a well-formed
line without any library; ``click_app`` builds click's commands from the same grammar for everything else:
help, completion, and errors. ``main`` runs what either of them read, ``rendering`` shows the result.
"""
