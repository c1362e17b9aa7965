"""The rules: a package for each noun, with its records, its events and their apply, its commands.

The package of a noun declares the first word of the types of its events. The words below are reserved.
"""

from orchestrator.core.events import declare_noun

declare_noun("formula")
