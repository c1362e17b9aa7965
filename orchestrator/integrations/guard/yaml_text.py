"""Additions to YAML files of hook programs: marked lines, behind what is there; every other byte stays."""

import re
from typing import Any

import yaml

from orchestrator.core.errors import BadInput, Refused

BEGIN = "# orc:begin (written by `orc guard install`)"
END = "# orc:end"


def with_addition(text: str, path: tuple[str, ...], lines: str) -> str:
    """The text with lines at the end of the list or table at a path, marked as ours.

    Args:
        text: YAML.
        path: The keys that lead to the table or list. Missing ones are added.
        lines: The lines, for an indentation of 0.

    Raises:
        BadInput: The text is not YAML.
        Refused: It is written in a form in which lines cannot be added.
    """
    before = _read(text)
    node, missing = yaml.compose(text, Loader=yaml.SafeLoader), list(path)
    while missing and isinstance(node, yaml.MappingNode):
        inner = next((v for k, v in node.value if k.value == missing[0]), None)
        if inner is None:
            break
        node, missing = inner, missing[1:]
    if node is not None and getattr(node, "flow_style", False):
        raise _foreign(path)
    indent = "" if node is None else " " * node.start_mark.column
    added = lines
    for name in reversed(missing):
        added = f"{name}:\n" + re.sub(r"^(?=.)", "  ", added, flags=re.MULTILINE)
    marked = re.sub(r"^(?=.)", indent, f"{BEGIN}\n{added}{END}\n", flags=re.MULTILINE)
    place = len(text) if node is None or len(missing) == len(path) else _end(text, node)
    head = text[:place]
    head += "" if not head or head.endswith("\n") else "\n"
    new = head + marked + text[place:]
    after = _read(new)
    if before == after or not _holds(after, before):
        raise _foreign(path)
    return new


def without_addition(text: str) -> str:
    """The text without our lines."""
    pattern = rf"^[ ]*{re.escape(BEGIN)}\r?\n.*?^[ ]*{re.escape(END)}(\r?\n|\Z)"
    return re.sub(pattern, "", text, flags=re.MULTILINE | re.DOTALL)


def _read(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadInput(f"this is not YAML: {error}") from None


def _end(text: str, node: yaml.Node) -> int:
    """The beginning of the line after the last value of a node."""
    while isinstance(node, yaml.CollectionNode) and node.value and not node.flow_style:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    place = text.find("\n", max(node.end_mark.index - 1, 0))
    return len(text) if place < 0 else place + 1


def _holds(new: Any, old: Any) -> bool:
    """Whether the new value contains everything that the old value had."""
    if old is None:
        return True
    if isinstance(old, dict):
        return isinstance(new, dict) and all(k in new and _holds(new[k], v) for k, v in old.items())
    if isinstance(old, list):
        return isinstance(new, list) and new[: len(old)] == old
    return bool(new == old)


def _foreign(path: tuple[str, ...]) -> Refused:
    return Refused(
        f"{'.'.join(path)} is written in a form to which nothing can be added",
        code="foreign_form",
        hint="Add by hand: `guard check --staged` before a commit, `guard link` after it.",
    )
