"""Distill: make a formula of a workflow, or of any task with children.

The formula compiles to the same graph: the same steps, needs, parents, gates, texts and checks.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import tomlkit
from msgspec.structs import replace

from orchestrator.core import names
from orchestrator.core.errors import NotFound, UsageError
from orchestrator.core.transaction import Desk
from orchestrator.domain.state import State
from orchestrator.domain.tasks.commands import Tasks
from orchestrator.domain.tasks.facts import KEPT, NO_FACTS
from orchestrator.domain.tasks.given_facts import STEP_FACTS
from orchestrator.domain.tasks.lookup import resolve
from orchestrator.domain.tasks.records import Task
from orchestrator.domain.tasks.relations import Signal
from orchestrator.domain.workflows.items import wanted_result
from orchestrator.domain.workflows.lookup import descendants
from orchestrator.domain.workflows.step_tasks import REVIEW_ONLY
from orchestrator.formulas.values import PLACEHOLDER
from orchestrator.formulas.variables import NAME

_TEXTS = ("title", "description", "acceptance", "until")
"""The facts of a task whose words may become variables."""


def distill(
    desk: Desk[State], task: str, name: str, variables: Mapping[str, str] | None = None
) -> str:
    """Return the text of a formula whose steps are the descendants of a task.

    Args:
        desk: The board.
        task: The root of a workflow, a step of it, or any task with children.
        name: The name of the formula.
        variables: Words that become variables: each value is replaced by its name where it is a whole word,
            and becomes the default.

    Raises:
        NotFound: There is no such task, or it has no children.
        UsageError: A variable has no value, no text contains it, or its name or placeholder cannot be used.
    """
    names.name("formula", name)
    state = desk.read()
    root = _root(state, task)
    steps = [Tasks(desk).get(step) for step in descendants(state, root)]
    if not steps:
        raise NotFound(f"Task {root} has no children, so it has no steps", code="no_steps")
    distiller = _Distiller(Tasks(desk).get(root), steps, dict(variables or {}))
    workflow = state.workflows.get(root)
    is_ephemeral = workflow is not None and workflow.ephemeral
    return distiller.toml(name, {"phase": "vapor"} if is_ephemeral else {})


def _root(state: State, text: str) -> str:
    task_id = resolve(state, text)
    task = state.tasks.get(task_id)
    is_step = task is not None and task.workflow is not None and task_id not in state.tasks.children
    return task.workflow if is_step and task is not None and task.workflow else task_id


class _Distiller:
    """Makes one formula."""

    def __init__(self, root: Task, steps: list[Task], variables: dict[str, str]) -> None:
        self._root = root
        self._steps = steps
        self._variables = variables
        self._inside = {step.id for step in steps}
        self._adding = {step.for_each.step: step for step in steps if step.for_each is not None}
        self._added = {step.id: source for source, step in self._adding.items()}
        self._used: set[str] = set()
        self._texts = [text for step in steps for text in _texts(step)]
        for name, value in variables.items():
            self._check(name, value)

    def _check(self, name: str, value: str) -> None:
        if not NAME.fullmatch(name):
            raise UsageError(f"{name!a} cannot name a variable")
        if not value.strip():
            raise UsageError(
                f"The variable {name} needs the word that it replaces: --var {name}=WORD"
            )
        if any(name in PLACEHOLDER.findall(text) for text in self._texts):
            raise UsageError(
                f"A step contains {{{{{name}}}}} already: give the variable another name"
            )

    def toml(self, name: str, head: dict[str, Any]) -> str:
        """The formula as TOML."""
        root = self._root
        formula: dict[str, Any] = {
            "formula": name,
            "description": self._with_names(root.description or root.title),
            "version": 1,
            "type": "workflow",
            **head,
        }
        if REVIEW_ONLY in root.labels:
            formula["review_only"] = True
        if self._variables:
            formula["vars"] = {
                name: {"description": f"In place of {value}", "default": value}
                for name, value in self._variables.items()
            }
        formula["steps"] = self._children(root.id)
        for unused in self._variables.keys() - self._used:
            raise UsageError(
                f"No text of {root.id} contains {self._variables[unused]!a}, so {unused} has no use",
                hint="A variable replaces whole words, in the same case of letters.",
            )
        # TOML would lose a carriage return in a text of several lines.
        is_plain = not any("\r" in text for text in self._texts)
        return tomlkit.dumps(_in_lines(formula) if is_plain else formula)

    def _children(self, parent: str) -> list[dict[str, Any]]:
        steps = (step for step in self._steps if step.parent == parent)
        return [_filled(self._step(step)) for step in steps if step.id not in self._added]

    def _step(self, step: Task) -> dict[str, Any]:
        children = self._children(step.id)
        each = self._adding[step.id].for_each if step.id in self._adding else None
        if each is not None:
            own = step.description.removesuffix(wanted_result(each)).rstrip()
            step = replace(step, description=own)
        table: dict[str, Any] = {"id": self._inner(step.id)}
        table |= {name: self._with_names(getattr(step, name)) for name in _TEXTS}
        if each is not None:
            table["on_complete"] = {
                "for_each": each.list,
                "bond": each.formula,
                "vars": {n: self._with_names(text) for n, text in each.variables.items()},
                "sequential": each.sequential,
            }
        for name in (*STEP_FACTS, "assignee"):
            if name not in _TEXTS and name in KEPT:
                value = getattr(step, name)
                table[name] = None if value == getattr(NO_FACTS, name) else value
        if REVIEW_ONLY in self._root.labels:
            table["labels"] = [label for label in step.labels if label != REVIEW_ONLY]
        table["needs"] = [self._inner(need) for need in step.needs if need in self._inside]
        table["waits_for"] = self._waits_for(step, bool(children))
        tasks = [{"type": "task", "id": need} for need in step.needs if need not in self._inside]
        table["gate"] = [*tasks, *(_filled(_gate(signal)) for signal in step.signals)]
        if step.checks is not None:
            table["verify"] = [self._command(command) for command in step.checks.verify]
            table["verify_timeout"] = _duration(step.checks.timeout) if step.checks.timeout else ""
            table["artifacts"] = [self._with_names(path) for path in step.checks.artifacts]
            table["review"] = step.checks.review or None
        return table | {"children": children}

    def _waits_for(self, step: Task, has_children: bool) -> str:
        gate = step.gate
        if gate is None or (gate.of != step.id and gate.of not in self._inside):
            return ""
        if gate.of == step.id:
            return "" if has_children and gate.how == "all" else gate.how
        return f"{gate.how}:{self._inner(gate.of)}"

    def _inner(self, task_id: str) -> str:
        return self._added.get(task_id, task_id).removeprefix(self._root.id + ".")

    def _with_names(self, text: str) -> str:
        """A text with the words of the variables replaced by their names, the longest words first."""
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
        """The same for a command, word by word: there a value stays within one word."""
        try:
            words = shlex.split(command)
        except ValueError:
            return command
        renamed = [self._with_names(word) for word in words]
        return command if renamed == words else shlex.join(renamed)


def _in_lines(value: Any) -> Any:
    """The same, where a text of several lines is written in several lines."""
    if isinstance(value, dict):
        return {key: _in_lines(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_in_lines(item) for item in value]
    return tomlkit.string(value, multiline=True) if "\n" in str(value) else value


def _filled(table: dict[str, Any]) -> dict[str, Any]:
    """A table without its empty keys."""
    return {key: value for key, value in table.items() if value not in ("", None, [], ())}


def _whole(words: str) -> str:
    """A pattern for whole words, not for parts of longer ones."""
    before = r"(?<!\w)" if words[0].isalnum() else ""
    after = r"(?!\w)" if words[-1].isalnum() else ""
    return f"{before}{re.escape(words)}{after}"


def _duration(seconds: float) -> str:
    """Seconds with all digits, in the form that formulas use."""
    return f"{seconds:.9f}".rstrip("0").rstrip(".") + "s"


def _gate(signal: Signal) -> dict[str, Any]:
    timeout = "" if signal.seconds is None else _duration(signal.seconds)
    if signal.kind == "timer":
        return {"type": "timer", "timeout": timeout or "0s"}
    if signal.kind == "condition":
        return {"type": "conditional", "condition": signal.name, "timeout": timeout}
    return {"type": signal.kind, "id": signal.name, "timeout": timeout}


def _texts(step: Task) -> Iterator[str]:
    yield from (getattr(step, name) for name in _TEXTS)
    yield from (signal.name for signal in step.signals)
    if step.checks is not None:
        yield from (*step.checks.verify, *step.checks.artifacts)
