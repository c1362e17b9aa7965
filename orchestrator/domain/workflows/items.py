"""Steps that a workflow adds on its way: a formula for each item of a list in the result of a step.

A milestone behind the step says what is added (:class:`orchestrator.domain.tasks.relations.ForEach`). When
nothing blocks it, it gets a child for each item, and the steps of the formula under each child; it is done
when they are.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from orchestrator.core.errors import BadInput, OrchestratorError, Refused
from orchestrator.core.printable import escape
from orchestrator.core.strict_json import strict_json
from orchestrator.core.transaction import Transaction
from orchestrator.domain.state import State
from orchestrator.domain.tasks.edit_events import TaskEdited
from orchestrator.domain.tasks.events import blocked
from orchestrator.domain.tasks.records import Task
from orchestrator.domain.tasks.relations import ForEach, Gate
from orchestrator.domain.validation import LONGEST_TITLE
from orchestrator.domain.workflows.compiled import MILESTONE, CompiledFormula, CompiledStep
from orchestrator.domain.workflows.step_tasks import REVIEW_ONLY, added_step

MOST = 10_000
"""How many steps one result may add."""

_FIELD = re.compile(r"\{item\.([\w.-]+)\}")
_PLACEHOLDER = re.compile(r"\{(?:item(?:\.([\w.-]+))?|(index))\}")
_JSON_BLOCK = re.compile(r"^```json[ \t]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def add(tx: Transaction[State], milestone: Task, each: ForEach) -> bool:
    """Add the steps for the items of a result, as children of the milestone.

    A result that the agent gives now is refused if it does not fit. If the milestone was kept back longer
    than that, it is blocked with the reason, so that the command that frees it succeeds.

    Returns:
        Whether the milestone is kept back: not if there are no items, or the step was completed by force.

    Raises:
        Refused: The result does not fit, or the formula cannot be compiled with its values.
    """
    step = tx.state.tasks.get(each.step)
    if step is None or step.reason:
        return False
    try:
        steps = [*_steps(tx, milestone, step, each)]
    except OrchestratorError as error:
        if any(getattr(event, "task", "") == step.id for _, event in tx.events):
            raise
        tx.record(blocked(milestone, error.message))
        return True
    if not steps:
        return False
    assert milestone.workflow is not None
    tx.record(TaskEdited(task=milestone.id, gate=Gate("all", milestone.id)))
    for compiled in tx.show_progress(steps, "Adding steps"):
        tx.record(
            added_step(
                tx.state,
                milestone.workflow,
                compiled,
                milestone.workstream,
                tuple(label for label in step.labels if label == REVIEW_ONLY),
                step.priority,
                step.assignee,
            )
        )
    return True


def _steps(
    tx: Transaction[State], milestone: Task, step: Task, each: ForEach
) -> Iterator[CompiledStep]:
    """The steps of all items, with the ids that they have in the workflow of the milestone."""
    inner = milestone.id.removeprefix(f"{milestone.workflow}.")
    total, before = 0, tuple[str, ...]()
    for index, item in enumerate(items_of(step, each)):
        variables = {
            name: _filled(text, item, index, step.id) for name, text in each.variables.items()
        }
        formula = _cooked(tx, each.formula, variables, step, index)
        total += len(formula.steps) + 1
        if total > MOST:
            raise Refused(
                f"The result of {step.id} would add more than {MOST} steps", code="too_many_items"
            )
        root = f"{inner}.{index + 1}"
        yield CompiledStep(
            id=root,
            title=formula.title[:LONGEST_TITLE],
            description=formula.description,
            type=MILESTONE,
            parent=inner,
            needs=before,
            waits_for="all" if formula.steps else "",
        )
        yield from (_under(root, compiled) for compiled in formula.steps)
        before = (root,) if each.sequential else ()


def _cooked(
    tx: Transaction[State], name: str, variables: dict[str, str], step: Task, index: int
) -> CompiledFormula:
    """The formula of an item.

    Raises:
        Refused: A value is not allowed, or the formula cannot be used.
    """
    try:
        formula: CompiledFormula = tx.cook(name, variables, on=step.id)
    except OrchestratorError as error:
        problems = error.details.get("problems")
        why = "; ".join(problems) if isinstance(problems, list) else error.message
        raise Refused(
            f"Item {index + 1} in the result of {step.id} cannot become steps of {name}: {why}",
            code="no_items",
            hint=f"`formula show {name}` lists its variables.",
            task=step.id,
        ) from None
    return formula


def _under(root: str, step: CompiledStep) -> CompiledStep:
    """A step of a formula as a part of an item."""
    how, _, of = step.waits_for.partition(":")
    each = step.for_each
    return replace(
        step,
        id=f"{root}.{step.id}",
        needs=tuple(f"{root}.{need}" for need in step.needs),
        parent=root if step.parent is None else f"{root}.{step.parent}",
        waits_for=f"{how}:{root}.{of}" if of else how,
        for_each=each and replace(each, step=f"{root}.{each.step}"),
    )


def wanted_result(each: ForEach) -> str:
    """The result that a step must have, for its agent."""
    name = each.list.partition(".")[2]
    fields = dict.fromkeys(f for text in each.variables.values() for f in _FIELD.findall(text))
    having = f", each with {', '.join(fields)}" if fields else ""
    return (
        f"The result must be JSON, or contain a ```json block:"
        f" {f'an object with a list {name}' if name else 'a list'}{having}."
        f" For each item the steps of {each.formula} are added."
    )


def items_of(step: Task, each: ForEach) -> list[Any]:
    """The list in the result of a step.

    Raises:
        Refused: The result is not JSON, or has no such list.
    """
    value = _output_of(step)
    for name in each.list.split(".")[1:]:
        value = value.get(name, msgspec.UNSET) if isinstance(value, dict) else msgspec.UNSET
    if not isinstance(value, list):
        raise _unfit(step, f"has no list {each.list.partition('.')[2]}".rstrip(), each)
    return value


def _output_of(step: Task) -> Any:
    """The result of a step as JSON: the whole text, or the last block in it that is marked as JSON."""
    text = step.result or ""
    blocks = _JSON_BLOCK.findall(text)
    try:
        return strict_json(blocks[-1] if blocks else text)
    except BadInput:
        return None


def _unfit(step: Task, problem: str, each: ForEach) -> Refused:
    names = each.list.split(".")[1:]
    fields = {
        field.partition(".")[0]: "..."
        for text in each.variables.values()
        for field in _FIELD.findall(text)
    }
    example: Any = [fields or "..."]
    for name in reversed(names):
        example = {name: example}
    return Refused(
        f"The result of {step.id} {problem}, for which {each.formula} would be added",
        code="no_items",
        hint=f"Complete it with JSON, such as '{msgspec.json.encode(example).decode()}', or with a text"
        " that contains this in a ```json block.",
        task=step.id,
    )


def _filled(text: str, item: Any, index: int, step: str) -> str:
    """The value of a variable for an item.

    Raises:
        Refused: The item has no such field.
    """

    def value(match: re.Match[str]) -> str:
        if match[2]:
            return str(index)
        field = item
        for name in (match[1] or "").split(".") if match[1] else ():
            field = field.get(name, msgspec.UNSET) if isinstance(field, dict) else msgspec.UNSET
        if field is msgspec.UNSET or field is None:
            raise Refused(
                f"Item {index + 1} in the result of {step} has no {escape(match[1] or 'value')}",
                code="no_items",
                hint="Every item needs the fields that the description of the step names.",
                task=step,
            )
        return field if isinstance(field, str) else msgspec.json.encode(field).decode()

    return _PLACEHOLDER.sub(value, text)
