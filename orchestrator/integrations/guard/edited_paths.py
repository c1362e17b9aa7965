"""The files that a tool of a client is about to change, as the client describes its call to a hook."""

import re
from collections.abc import Iterator
from typing import Any

NAMES = ("file_path", "filePath", "path", "notebook_path", "target_file")
"""Arguments of tools that name one file."""

_PATCH = re.compile(
    r"^\*\*\* (?:Add File|Update File|Delete File|Move to): (.+?)\r?$", re.MULTILINE
)


def edited_paths(facts: dict[str, Any]) -> list[str]:
    """The paths, each once; none if the call names no file."""
    call = facts.get("tool_input")
    return list(dict.fromkeys(_paths(call if isinstance(call, dict) else facts)))


def _paths(call: dict[str, Any]) -> Iterator[str]:
    for name in NAMES:
        if isinstance(path := call.get(name), str) and path and "\0" not in path:
            yield path
    for edit in call["edits"] if isinstance(call.get("edits"), list) else ():
        if isinstance(edit, dict):
            yield from _paths(edit)
    for text in call.values():
        if isinstance(text, str) and "*** Begin Patch" in text:
            yield from _PATCH.findall(text)
