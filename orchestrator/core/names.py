"""Validation of names.

Names become file names (topics, presence) and words in commands, so every name from outside is checked here
by an allowlist. The rules are the first row of the contract's table of bad input.
"""

import os
from collections.abc import Collection

from orchestrator.core import system
from orchestrator.core.errors import BadName

LONGEST = 200
"""The largest length of a name, in bytes of UTF-8."""

_PLAIN = {*"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.@+-"}
_PORTS = (f"{port}{number}" for port in ("com", "lpt") for number in "0123456789\u00b9\u00b2\u00b3")
_WINDOWS_DEVICES = {"con", "prn", "aux", "nul", *_PORTS}
_BRANCH_HINT = "`git branch --list` prints the branches there are; at most 200 bytes."
_NOT_PRINTED = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def name(kind: str, text: str, *, among: Collection[str] = ()) -> str:
    """Return the name of a workstream, topic, formula and so on if it is allowed.

    Args:
        kind: The noun for the error message.
        text: The name.
        among: Names that exist. A new name that differs only in case or normal form is refused, because the
            two would be one file on some file systems.

    Raises:
        BadName: The name is not allowed.
    """
    is_plain = _PLAIN.issuperset(text) and text[:1] not in {"", *".@+-"}
    _check_length(kind, text)
    if not is_plain:
        _check_part(kind, text)
    elif ".." in text or text[-1] == "." or _is_device(text):
        raise _refused(kind, text, "that is not a valid file name on every system")
    if among and text not in among:
        _check_collision(kind, text, among)
    return text


def agent(text: str) -> str:
    """Return the name of an agent if it is allowed: like a path (``rig/crew/ann``), each part a name.

    Raises:
        BadName: The name is not allowed.
    """
    _check_length("agent", text)
    for part in text.split("/"):
        name("agent", part)
    return text


def resource(text: str) -> str:
    """Return the normalized name or glob of a resource. No file has it, so few characters are refused.

    All spellings of a path give the same text: ``./src//a.py`` and ``src/a.py``, ``src/`` and ``src``, and
    spellings that the file system treats as equal. What is after ``local:`` is a path too.

    Raises:
        BadName: It is empty, over 200 bytes, or contains a part ``..``, control or invisible characters.
    """
    scope, text = scope_of(text)
    text = tidy_path(system.path_key(text))
    if not text or len(text.encode("utf-8", "replace")) > LONGEST:
        raise _refused("resource", text, f"it must have 1 to {LONGEST} bytes")
    if ".." in text.split("/") or _hidden(scope + text) or text != text.strip():
        raise _refused(
            "resource", text, "`..`, control characters and blanks at the ends are not allowed"
        )
    return scope + text


def scope_of(resource: str) -> tuple[str, str]:
    """Split a resource: ``local:gpu`` or ``local@MACHINE:gpu`` has a scope, others have an empty one."""
    if not resource.startswith("local"):
        return "", resource
    scope, colon, rest = resource.partition(":")
    is_local = scope == "local" or (scope.startswith("local@") and "/" not in scope)
    return (scope + colon, rest) if is_local and rest.strip() else ("", resource)


def branch(text: str) -> str:
    """Return the name of a branch of git if it is allowed: what git allows, without invisible characters.

    The name is without ``refs/heads/``.

    Raises:
        BadName: The name is not allowed.
    """
    _check_length("branch", text)
    parts = text.split("/")
    if text in {"", "@", "HEAD"} or text.startswith(("-", "refs/")) or text.endswith("."):
        raise _refused("branch", text, "git takes it for something else", hint=_BRANCH_HINT)
    if any(not part or part.startswith(".") or part.endswith(".lock") for part in parts):
        why = "none of its parts may be empty, begin with `.` or end with `.lock`"
        raise _refused("branch", text, why, hint=_BRANCH_HINT)
    if ".." in text or "@{" in text or _hidden(text) or any(c in " ~^:?*[\\" for c in text):
        why = "blanks, `..`, `@{` and `~ ^ : ? * [ \\` are not allowed"
        raise _refused("branch", text, why, hint=_BRANCH_HINT)
    return text


def folder(text: str) -> str:
    """Return the absolute path of a folder outside the board if it is allowed.

    Raises:
        BadName: It is empty, or contains control or invisible characters.
    """
    if not text or _hidden(text) or text != text.strip():
        why = "control characters and blanks at the ends are not allowed"
        raise _refused("folder", text, why, hint="Give the path of a folder.")
    return os.path.abspath(text)


def tidy_path(text: str) -> str:
    """A path without empty and ``.`` parts and without a slash at its end; a URL stays as it is."""
    is_tidy = "//" not in text and "./" not in text and not text.endswith(("/", "/."))
    if is_tidy or "://" in text:
        return text
    parts = [part for part in text.split("/") if part not in ("", ".")]
    return "/" * text.startswith("/") + "/".join(parts) or "."


def file_name(text: str) -> str:
    """The file name for a checked name: ``/`` becomes ``!``, which no name contains."""
    return text.replace("/", "!")


def from_file_name(text: str) -> str:
    """The name that :func:`file_name` escaped."""
    return text.replace("!", "/")


def _is_device(text: str) -> bool:
    """Whether Windows takes the name for one of a device, whatever follows its first dot."""
    return text.partition(".")[0].lower() in _WINDOWS_DEVICES


def _check_length(kind: str, text: str) -> None:
    if len(text.encode("utf-8", "replace")) > LONGEST:
        raise _refused(kind, text, f"it is over {LONGEST} bytes")


def _check_part(kind: str, text: str) -> None:
    if not text:
        raise _refused(kind, text, "it is empty")
    if text[0] in "-." or text[-1] in ". " or ".." in text:
        raise _refused(
            kind, text, "it may not begin with `-` or `.`, end with `.`, or contain `..`"
        )
    if _hidden(text) or any(c.isspace() or c in "/\\:*?\"<>|%`$&;(){}[]!#'~^=," for c in text):
        raise _refused(kind, text, "only letters, digits and `. _ - @ +` are allowed")
    if normal_form(text) != text or _is_device(text):
        raise _refused(
            kind, text, "it is not the same name on every system (normal form, device name)"
        )


def normal_form(text: str) -> str:
    """The text in Unicode's normal form NFC: two ways to write one character are equal in it."""
    if text.isascii():
        return text
    from unicodedata import normalize  # most names are ASCII

    return normalize("NFC", text)


def _hidden(text: str) -> bool:
    if text.isascii():
        return any(c < " " or c == "\x7f" for c in text)
    from unicodedata import category

    return any(category(c) in _NOT_PRINTED for c in text)


def _check_collision(kind: str, text: str, among: Collection[str]) -> None:
    def folded(value: str) -> str:
        return normal_form(value).casefold()

    own = folded(text)
    for other in among:
        if folded(other) == own:
            raise _refused(kind, text, f"it would collide with {other!r}")


def article(kind: str) -> str:
    """A noun with its article: a label, an agent."""
    return f"an {kind}" if kind[:1] in "aeio" else f"a {kind}"


def _refused(kind: str, text: str, why: str, *, hint: str = "") -> BadName:
    return BadName(
        f"{text!a} cannot name {article(kind)}: {why}",
        hint=hint or "Use letters, digits and `. _ - @ +`; at most 200 bytes.",
    )
