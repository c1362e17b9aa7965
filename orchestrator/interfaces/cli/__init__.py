"""The command line: click, with groups that import a command's module when it is used.

``commands`` is the table of groups; one module a noun declares the commands. ``groups`` and ``parameters``
are click's classes with what every command here has in common. ``run`` is what a command's function is
given, ``rendering`` shows its answer, ``main`` is the entry.
"""
