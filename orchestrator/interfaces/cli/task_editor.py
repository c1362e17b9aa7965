"""``orc task edit ID`` at a terminal: edit a task as text in the user's editor.

The text is the description under a frontmatter of the other facts. Only differences from the original text
are applied, so changes by others meanwhile are kept; a fact that both changed is refused.
"""

import os
import re
import shlex
import sys
import tempfile
from typing import TYPE_CHECKING, Any

import click

from orchestrator.core import system
from orchestrator.core.calls import split_list
from orchestrator.core.decoding import decode_text
from orchestrator.core.errors import BadInput, OrchestratorError, Refused, UsageError
from orchestrator.domain.knowledge import frontmatter
from orchestrator.domain.tasks.checks import NO_CHECKS
from orchestrator.domain.tasks.fact_values import LISTS
from orchestrator.domain.tasks.given_facts import FACTS, Fact
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.layout import is_terminal
from orchestrator.interfaces.cli.run import Run

if TYPE_CHECKING:
    from orchestrator.domain.tasks.records import Task

_BODY = "description"

_LEFT_OUT = ("verify_timeout", "commits", _BODY)
"""Facts that are not in the frontmatter: a part of others, only added to, or below it."""

_NUMBERS = {"integer": types.PRIORITY, "minutes": types.MINUTES}
_FLAGS = {"true": True, "yes": True, "": False, "false": False, "no": False}


def can_edit() -> bool:
    """Whether there is a terminal, and an editor to use there."""
    return is_terminal() and sys.stdin is not None and sys.stdin.isatty() and bool(_editor())


def edit_in_editor(run: Run, task_id: str | None, reason: str) -> "Task":
    """Let the user edit the facts of a task, and apply the changes.

    Raises:
        UsageError: The editor failed, or the text is invalid; it is kept in a file that the hint names.
    """
    task = run.orc.tasks.get(task_id)
    before = _text_of(task)
    file, path = tempfile.mkstemp(prefix=f"orc-{task.id}-", suffix=".md")
    with open(file, "w", encoding="utf-8", newline="") as writing:
        writing.write(before)
    _run_editor(path)
    with open(path, "rb") as reading:
        data = reading.read()
    try:
        after = decode_text(data, path)
        changes = _changes(task, before, after)
        if changes:
            task = _applied(run, task, changes, reason, after)
    except OrchestratorError as error:
        error.hint = f"{error.hint or ''} The text is kept in {path}.".lstrip()
        raise
    os.unlink(path)
    return task


def _editor() -> str:
    return os.environ.get("VISUAL") or os.environ.get("EDITOR") or ""


def _run_editor(path: str) -> None:
    """Run the editor on a file and wait for its end; no shell reads its command.

    Raises:
        UsageError: It cannot be started, or it failed.
    """
    try:
        status = system.run_at_terminal([*shlex.split(_editor()), path])
        problem = f"ended with status {status}" if status else ""
    except (OSError, ValueError) as error:
        problem = f"cannot be started: {getattr(error, 'strerror', None) or error}"
    if problem:
        raise UsageError(
            f"The editor {_editor()!a} {problem}; nothing changed",
            hint=f"VISUAL or EDITOR names another one. The text is kept in {path}.",
        )


# Text and facts


def _text_of(task: "Task") -> str:
    """The text of a task, with empty facts to fill in unless they are rare."""
    values = {name: _value(task, name, fact) for name, fact in FACTS.items()}
    shown = {
        name: value
        for name, value in values.items()
        if name not in _LEFT_OUT and (value or not FACTS[name].is_rare)
    }
    return frontmatter.join(shown, f"{task.description}\n" if task.description else "")


def _value(task: "Task", name: str, fact: Fact) -> Any:
    field = fact.field or name
    if field == "checks":
        return _plain(getattr(task.checks or NO_CHECKS, name, None))
    if field == "gate":
        return f"{task.gate.how}:{task.gate.of}" if task.gate else ""
    return _plain(getattr(task, field))


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [*value]
    return "" if value is None else value


def _changes(task: "Task", before: str, after: str) -> dict[str, Any]:
    """The facts that differ between two texts, as ``tasks.edit`` takes them.

    Raises:
        BadInput: The frontmatter is missing or cannot be read, or has a name that is not a fact.
    """
    old, old_body = frontmatter.split(before)
    try:
        new, body = frontmatter.split(after)
    except BadInput as error:
        # The first line of the text is the rule above the frontmatter.
        error.message = re.sub(r"\bline (\d+)", lambda m: f"line {int(m[1]) + 1}", error.message)
        raise
    if not new:
        raise BadInput("Line 1: the frontmatter is missing; it begins and ends with ---")
    changes: dict[str, Any] = {}
    for name, value in new.items():
        if name not in FACTS or name in _LEFT_OUT:
            raise BadInput(f"{_place(after, name)}{name!a} is not a fact to edit here")
        if value != old.get(name, ""):
            try:
                changes[name] = _given(task, name, value)
            except (ValueError, click.UsageError, UsageError) as error:
                raise BadInput(f"{_place(after, name)}{getattr(error, 'message', error)}") from None
    if body.rstrip("\n") != old_body.rstrip("\n"):
        changes[_BODY] = body.rstrip("\n")
    return changes


def _given(task: "Task", name: str, value: Any) -> Any:
    """A value of the frontmatter as ``tasks.edit`` takes it."""
    kind = FACTS[name].kind
    if kind == "pairs":
        if not isinstance(value, dict | str) or (isinstance(value, str) and value):
            raise ValueError(f"{name} takes names with values")
        kept = value or {}
        return {**dict.fromkeys(task.meta, ""), **kept} if kept else []
    if kind in LISTS:
        # A line, such as a command, may contain commas.
        texts = [*split_list(value, commas=kind != "lines")] if isinstance(value, str) else value
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ValueError(f"{name} takes a list of texts")
        return texts
    if not isinstance(value, str):
        raise ValueError(f"{name} takes one value")
    if kind == "flag":
        if value.lower() not in _FLAGS:
            raise ValueError(f"{name} is true or false")
        return _FLAGS[value.lower()]
    return _NUMBERS[kind].convert(value, None, None) if value and kind in _NUMBERS else value


def _applied(run: Run, task: "Task", changes: dict[str, Any], reason: str, text: str) -> "Task":
    """Apply changes; an error names the line of the fact that is refused.

    Raises:
        Refused: Another agent has changed one of these facts meanwhile.
    """
    try:
        with run.orc.transaction():
            now = run.orc.tasks.get(task.id)
            for name in changes:
                if _value(now, name, FACTS[name]) != _value(task, name, FACTS[name]):
                    raise Refused(
                        f"{_place(text, name)}{name} was changed meanwhile; nothing changed",
                        code="changed_meanwhile",
                        hint=f"`t edit {task.id}` shows it as it is now.",
                    )
            return run.orc.tasks.edit(task.id, reason=reason, **changes)
    except OrchestratorError as error:
        for name, value in changes.items():
            try:
                with run.orc.rehearsal():
                    run.orc.tasks.edit(task.id, reason=reason, **{name: value})
            except OrchestratorError as alone:
                if alone.message == error.message:
                    error.message = f"{_place(text, name)}{error.message}"
                    break
        raise


def _place(text: str, name: str) -> str:
    """``Line N:`` of a fact in a text."""
    rows = text.split("\n")
    if name == _BODY:
        ends = [number for number, row in enumerate(rows, 1) if row.rstrip() == "---"]
        return f"Line {ends[1] + 1}: " if len(ends) > 1 else ""
    places = (number for number, row in enumerate(rows, 1) if row.startswith(f"{name}:"))
    number = next(places, None)
    return f"Line {number}: " if number else ""
