"""Distilling: a workflow, or any task with parts, made a formula again.

What comes out cooks to the graph that went in: the same steps, needs, parts, gates, texts and checks.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import tomli_w

from orchestrator.core import names
from orchestrator.core.errors import NotFound, UsageError
from orchestrator.core.transaction import Desk
from orchestrator.domain.state import State
from orchestrator.domain.tasks.commands import Tasks
from orchestrator.domain.tasks.lookup import (
    resolve,
)
from orchestrator.domain.tasks.records import Signal, Task
from orchestrator.domain.workflows import automation
from orchestrator.domain.workflows.instantiate import REVIEW_ONLY
from orchestrator.formulas.variables import NAME, names_in

USUAL_PRIORITY = 5


def distill(
    desk: Desk[State], task: str, name: str, variables: Mapping[str, str] | None = None
) -> str:
    """The text of a formula whose steps are the parts of a task.

    Args:
        desk: The board.
        task: The root of a workflow, a step of it, or any task with children.
        name: What the formula is to be called.
        variables: Words to be made variables: each value, where it stands as a whole word, is replaced by its
            name, and stays as the default.

    Raises:
        NotFound: There is no such task, or it has no parts.
        UsageError: A variable has no value, stands in no text, or its name or placeholder cannot be used.
    """
    names.name("formula", name)
    state = desk.read()
    root = _root(state, task)
    steps = [Tasks(desk).get(step) for step in automation.parts_of(state, root)]
    if not steps:
        raise NotFound(f"Task {root} has no parts, so no formula comes of it", code="no_steps")
    return _Distillery(Tasks(desk).get(root), steps, dict(variables or {})).text(name, state)


def _root(state: State, text: str) -> str:
    task_id = resolve(state, text)
    task = state.tasks.get(task_id)
    is_step = task is not None and task.workflow is not None and task_id not in state.tasks.children
    return task.workflow if is_step and task is not None and task.workflow else task_id


class _Distillery:
    """One formula in the making."""

    def __init__(self, root: Task, steps: list[Task], variables: dict[str, str]) -> None:
        self._root = root
        self._steps = steps
        self._variables = variables
        self._inside = {step.id for step in steps}
        self._used: set[str] = set()
        for name, value in variables.items():
            self._check(name, value)

    def _check(self, name: str, value: str) -> None:
        if not NAME.fullmatch(name):
            raise UsageError(f"{name!a} cannot name a variable")
        if not value.strip():
            raise UsageError(f"Say which word {name} stands for: --var {name}=WORD")
        if any(name in names_in(text) for step in self._steps for text in _texts(step)):
            raise UsageError(f"A step says {{{{{name}}}}} already: give the variable another name")

    def text(self, name: str, state: State) -> str:
        """The formula as TOML."""
        root = self._root
        workflow = state.workflows.get(root.id)
        formula: dict[str, Any] = {
            "formula": name,
            "description": self._worded(root.description or root.title),
            "version": 1,
            "type": "workflow",
        }
        if workflow is not None and workflow.ephemeral:
            formula["phase"] = "vapor"
        if REVIEW_ONLY in root.labels:
            formula["review_only"] = True
        if self._variables:
            formula["vars"] = {
                name: {"description": f"In place of {value}", "default": value}
                for name, value in self._variables.items()
            }
        formula["steps"] = [*self._parts(root.id)]
        for unused in self._variables.keys() - self._used:
            word = self._variables[unused]
            raise UsageError(
                f"No text of {root.id} says {word!a}, so {unused} would stand for nothing",
                hint="A variable takes the place of whole words, in the case in which they stand.",
            )
        # A carriage return would be lost in a text of several lines.
        is_plain = not any("\r" in text for step in self._steps for text in _texts(step))
        return tomli_w.dumps(formula, multiline_strings=is_plain)

    def _parts(self, parent: str) -> Iterator[dict[str, Any]]:
        for step in self._steps:
            if step.parent == parent:
                yield {key: value for key, value in self._step(step) if value not in ("", [], None)}

    def _step(self, step: Task) -> Iterator[tuple[str, Any]]:
        children = [*self._parts(step.id)]
        usual = REVIEW_ONLY in self._root.labels
        yield "id", self._inner(step.id)
        yield "title", self._worded(step.title)
        yield "description", self._worded(step.description)
        yield "type", step.type if step.type != "task" else ""
        yield "priority", step.priority if step.priority != USUAL_PRIORITY else None
        yield "labels", [label for label in step.labels if not (usual and label == REVIEW_ONLY)]
        yield "needs", [self._inner(need) for need in step.needs if need in self._inside]
        yield "waits_for", self._waits_for(step, bool(children))
        yield "acceptance", self._worded(step.acceptance)
        yield "until", self._worded(step.until)
        yield "gate", [*self._gates(step)]
        if step.checks is not None:
            yield "verify", [self._command(command) for command in step.checks.verify]
            yield "verify_timeout", _duration(step.checks.timeout) if step.checks.timeout else ""
            yield "artifacts", [self._worded(path) for path in step.checks.artifacts]
            yield "review", step.checks.review or None
        yield "assignee", step.assignee
        yield "touches", [*step.touches]
        yield "estimate", step.estimate
        yield "children", children

    def _waits_for(self, step: Task, has_children: bool) -> str:
        if step.gate is None or (
            has_children and step.gate.how == "all" and step.gate.of == step.id
        ):
            return ""
        how = step.gate.how
        if step.gate.of == step.id:
            return how
        return f"{how}:{self._inner(step.gate.of)}" if step.gate.of in self._inside else ""

    def _gates(self, step: Task) -> Iterator[dict[str, Any]]:
        for need in step.needs:
            if need not in self._inside:
                yield {"type": "task", "id": need}
        for signal in step.signals:
            yield {key: value for key, value in _gate(signal) if value}

    def _inner(self, task_id: str) -> str:
        return task_id.removeprefix(self._root.id + ".")

    def _worded(self, text: str) -> str:
        """A text with the words of the variables replaced by their names, the longest first."""
        if not self._variables:
            return text
        names = {value: name for name, value in self._variables.items()}
        longest = sorted(names, key=len, reverse=True)

        def placeholder(match: re.Match[str]) -> str:
            name = names[match[0]]
            self._used.add(name)
            return f"{{{{{name}}}}}"

        return re.sub("|".join(map(_whole, longest)), placeholder, text)

    def _command(self, command: str) -> str:
        """The same of a command, word by word: a value stays within one word there."""
        try:
            words = shlex.split(command)
        except ValueError:
            return command
        worded = [self._worded(word) for word in words]
        return command if worded == words else shlex.join(worded)


def _whole(words: str) -> str:
    """A pattern for words that stand alone, not as a part of longer ones."""
    before = r"(?<!\w)" if words[0].isalnum() else ""
    after = r"(?!\w)" if words[-1].isalnum() else ""
    return f"{before}{re.escape(words)}{after}"


def _duration(seconds: float) -> str:
    """Seconds to the last digit, as a formula writes them."""
    return f"{seconds:.9f}".rstrip("0").rstrip(".") + "s"


def _gate(signal: Signal) -> Iterator[tuple[str, str]]:
    if signal.kind == "timer":
        yield "type", "timer"
        yield "timeout", _duration(signal.seconds or 0)
        return
    yield "type", "conditional" if signal.kind == "condition" else signal.kind
    yield "condition" if signal.kind == "condition" else "id", signal.name
    yield "timeout", _duration(signal.seconds) if signal.seconds is not None else ""


def _texts(step: Task) -> Iterator[str]:
    yield from (step.title, step.description, step.acceptance, step.until)
    yield from (signal.name for signal in step.signals)
    if step.checks is not None:
        yield from (*step.checks.verify, *step.checks.artifacts)
