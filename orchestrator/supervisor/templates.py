"""Scripts of shell agents: placeholders for values of the event, which never reach the shell as code.

``{{event.payload.path}}`` becomes a quoted variable of the environment, ``"$ORC_EVENT_PAYLOAD_PATH"``: the
shell expands the value and does not parse it. ``{{{event.payload.path}}}`` puts the value itself into the
script, which needs ``unsafe: true``.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from orchestrator.core.errors import BadInput
from orchestrator.core.problems import Problems
from orchestrator.supervisor.shell_words import Place, placeholders

LARGE = 100_000
"""Bytes of a value above which it is read from a file: the systems limit a variable to 128 KiB."""

TOTAL = 64_000
"""Bytes of all variables that are only there because the event has such a value."""

NAMED = 500_000
"""Bytes of all variables that a script names; the other values are read from files."""

_VARIABLE = re.compile(r"ORC_EVENT\w*", re.ASCII)
_PATH = re.compile(r"event(\.[^\s.{}]+)*")


class Script(msgspec.Struct, frozen=True):
    """A script that was checked: texts, and between them the places of values."""

    texts: tuple[str, ...]
    places: tuple[Place, ...]


class RenderedScript(msgspec.Struct, frozen=True):
    """A script for one event.

    Attributes:
        text: What the shell runs.
        variables: Its values in the environment.
        large: Values that the script reads from files of these names, in the folder ``$ORC_VALUES``.
    """

    text: str
    variables: dict[str, str]
    large: dict[str, str]


def check_script(text: str, problems: Problems, *, unsafe: bool = False, above: int = 0) -> Script:
    """Check the placeholders of a script.

    Args:
        text: The script.
        problems: Gets each placeholder that is refused, with its line and how to write it.
        unsafe: Values may be put into the script as they are.
        above: How many lines of the file are above the script.
    """
    try:
        places = placeholders(text)
    except RecursionError:
        problems.note(f"line {above + 1}", "the script is nested too deep")
        places = []
    named: dict[str, str] = {}
    for place in places:
        if message := _refusal(place, unsafe=unsafe):
            problems.note(f"line {above + place.line}", message)
        elif not place.raw and named.setdefault(variable_of(place.path), place.path) != place.path:
            other = named[variable_of(place.path)]
            problems.note(
                f"line {above + place.line}",
                f"{{{{{place.path}}}}} and {{{{{other}}}}} have the same variable",
            )
    ends = [0, *(place.end for place in places)]
    begins = [*(place.start for place in places), len(text)]
    texts = tuple(text[end:begin] for end, begin in zip(ends, begins, strict=True))
    return Script(texts, tuple(places))


def _refusal(place: Place, *, unsafe: bool) -> str:
    shown = f"{{{{{place.path}}}}}"
    if not _PATH.fullmatch(place.path):
        return (
            f"{shown} is not a value of the event: write {{{{event.payload.NAME}}}},"
            " or '{''{' if two braces are meant"
        )
    variable = variable_of(place.path)
    if place.raw:
        if unsafe:
            return ""
        return (
            f"{{{shown}}} puts the value into the script as code: write {shown} without quotes,"
            " or add `unsafe: true`"
        )
    if not place.danger:
        return ""
    rewrite = {
        "double": f"write ${variable} in its place",
        "single": f"""write '"${variable}"' in its place""",
        "heredoc": f"write ${variable} in its place, and the end word without quotes",
    }.get(place.quoted, "")
    if not rewrite and "substitution" in place.danger:
        rewrite = f'write "${variable}" in its place'
    elif not rewrite and "follows" in place.danger:
        rewrite = "leave that character out"
    elif not rewrite:
        rewrite = f'choose by the value: case "${variable}" in NAME) ... ;; esac'
    return f"{shown} is refused, because {place.danger}: {rewrite}"


def variable_of(path: str) -> str:
    """The variable of a value: ``event.payload.path`` is ``ORC_EVENT_PAYLOAD_PATH``."""
    return "ORC_" + re.sub(r"[^A-Za-z0-9]+", "_", path).upper()


def render(script: Script, event: Mapping[str, Any]) -> RenderedScript:
    """The script for an event, with its environment.

    Raises:
        BadInput: A value holds a NUL character, which neither a variable nor a script can hold.
    """
    variables: dict[str, str] = {}
    large: dict[str, str] = {}
    parts: list[str] = [script.texts[0]]
    room = NAMED

    def put(name: str, value: str) -> None:
        nonlocal room
        size = len(value.encode())
        is_large = size > min(LARGE, room)
        (large if is_large else variables)[name] = value
        room -= 0 if is_large else size

    for place, text in zip(script.places, script.texts[1:], strict=True):
        value = _checked(place.path, value_of(event, place.path))
        name = variable_of(place.path)
        if place.raw:
            parts.append(value)
        else:
            if name not in variables and name not in large:
                put(name, value)
            parts.append(f'"${name}"')
        parts.append(text)
    text = "".join(parts)
    named = set(_VARIABLE.findall(text))
    left = TOTAL
    for path, value in _leaves("event", event):
        name = variable_of(path)
        if name in variables or name in large or "\0" in value:
            continue
        size = len(value.encode())
        if name in named:
            put(name, value)
        elif size + len(name) <= left:
            variables[name] = value
            left -= size + len(name)
    # `$(...)` drops newlines at the end, so one more character is read, and cut.
    reading = "".join(
        f'{name}=$(cat "$ORC_VALUES/{name}" && printf x) && {name}=${{{name}%x}}\n'
        for name in large
    )
    return RenderedScript(reading + text, variables, large)


def value_of(event: Mapping[str, Any], path: str) -> str:
    """The text of a value; empty if the event has none."""
    value: Any = {"event": event}
    for part in path.split("."):
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isascii() and part.isdecimal() and len(part) < 10:
            value = value[int(part)] if int(part) < len(value) else None
        else:
            return ""
    return _text(value)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _leaves(path: str, value: Any) -> Iterator[tuple[str, str]]:
    """The values in a value that are not objects, each with its path."""
    if not isinstance(value, dict):
        yield path, _text(value)
        return
    for key, item in value.items():
        yield from _leaves(f"{path}.{key}", item)


def _checked(path: str, value: str) -> str:
    if "\0" in value:
        raise BadInput(f"{{{{{path}}}}} holds a NUL character, which a shell cannot take")
    return value
