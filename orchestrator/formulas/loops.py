"""Loops: a step with a loop is replaced by the rounds of its body, one after the other.

The steps of round N of the loop ``L`` are ``L.iterN.<id>``. ``count`` and ``range`` replace the step.
``until`` keeps it as a milestone whose children are the rounds: a signal cancels the rounds that are not
started.
"""

import ast
import operator
import re
from collections.abc import Callable, Iterator

from orchestrator.core.errors import BadInput
from orchestrator.core.problems import Problems
from orchestrator.domain.workflows.compiled import MILESTONE
from orchestrator.formulas.graph import MOST_STEPS, StepGraph
from orchestrator.formulas.schema import Loop
from orchestrator.formulas.steps import (
    ITERATION,
    NEVER,
    Draft,
    drafts_of,
    flat,
    inherit,
    inherit_checks,
    last_of,
)
from orchestrator.formulas.values import PLACEHOLDER, Values

_LONGEST_EXPRESSION = 200
_LARGEST = 10**9
_BRACES = re.compile(r"(?<!\{)\{([A-Za-z_][A-Za-z0-9_-]*)\}(?!\})")


def unroll(graph: StepGraph, values: Values, problems: Problems) -> None:
    """Replace every loop of a graph by its rounds, including loops in loops."""
    while looping := [draft for draft in graph if draft.loop is not None]:
        if graph.is_full:
            return
        for draft in looping:
            loop, draft.loop = draft.loop, None
            assert loop is not None
            problems.attempt(f"{draft.place}: loop", _unroll, graph, draft, loop, values)


def _unroll(graph: StepGraph, target: Draft, loop: Loop, values: Values) -> None:
    numbers = rounds(loop, values)
    size = sum(1 for _ in flat(loop.body))
    if len(graph) + len(numbers) * size > MOST_STEPS:
        raise BadInput(f"the loop makes more than {MOST_STEPS} steps")
    if not numbers:
        target.conditions = (NEVER,)
    elif loop.until:
        _add_rounds(graph, target, loop, numbers)
    else:
        graph.replace(target, [*_chained_rounds(graph, target, loop, numbers)])


def _chained_rounds(graph: StepGraph, target: Draft, loop: Loop, numbers: range) -> Iterator[Draft]:
    """The steps of all rounds; each round needs the one before."""
    before: tuple[str, ...] = ()
    for iteration, number in enumerate(numbers, start=1):
        body = _round(graph, target, loop, iteration, number)
        ids = {draft.id for draft in body}
        last = last_of(body)
        for draft in body:
            if draft.parent is None:
                draft.conditions = target.conditions + draft.conditions
                draft.description = draft.description or target.description
                if ids.isdisjoint(draft.needs):
                    graph.count_needs(len(before))
                    draft.needs = before + draft.needs
        if iteration == len(numbers):
            for draft in last:
                inherit_checks(draft, target)
        before = tuple(draft.id for draft in last)
        yield from body


def _add_rounds(graph: StepGraph, target: Draft, loop: Loop, numbers: range) -> None:
    """Keep the step of a loop with ``until``; each round is a child with children of its own."""
    target.type, target.until = MILESTONE, loop.until
    before: tuple[str, ...] = ()
    for iteration, number in enumerate(numbers, start=1):
        holder = Draft(
            id=f"{target.id}.iter{iteration}",
            title=f"Round {iteration} of at most {len(numbers)}, until: {loop.until}",
            type=MILESTONE,
            needs=before,
            parent=target.id,
            place=target.place,
        )
        body = _round(graph, target, loop, iteration, number)
        for draft in body:
            draft.parent = draft.parent or holder.id
        graph.add([holder, *body])
        before = (holder.id,)
    target.assignee = ""  # the rounds have it


def _round(graph: StepGraph, target: Draft, loop: Loop, iteration: int, number: int) -> list[Draft]:
    """A round of a body: its ids begin with the round, and its numbers are filled."""
    values = {ITERATION: str(iteration)} | ({loop.var: str(number)} if loop.var else {})

    def filled(text: str) -> str:
        for name, value in values.items():
            text = text.replace(f"{{{{{name}}}}}", value).replace(f"{{{name}}}", value)
        return text

    body = [graph.rewrite(draft, filled) for draft in drafts_of(loop.body)]
    new_ids = {draft.id: f"{target.id}.iter{iteration}.{draft.id}" for draft in body}
    body = [graph.rename(draft, new_ids) for draft in body]
    for draft in body:
        inherit(draft, target)
    return body


# The number of rounds


def rounds(loop: Loop, values: Values) -> range:
    """The numbers of a loop's rounds.

    Raises:
        BadInput: They are not whole numbers, negative, or too many.
    """
    if loop.range:
        first, dots, last = loop.range.partition("..")
        if not dots:
            raise BadInput(f"{loop.range!a} is not a range: write 1..10")
        low, high = _number(first, values), _number(last, values)
        numbers = range(low, high + 1) if low is not None and high is not None else range(1, 2)
    else:
        number = _number(str(loop.max if loop.until else loop.count), values)
        if number is not None and number < 0:
            raise BadInput(f"a loop cannot run {number} times")
        numbers = range(1, 2 if number is None else number + 1)
    if len(numbers) > MOST_STEPS:
        raise BadInput(f"the loop has {len(numbers)} rounds; {MOST_STEPS} are allowed")
    return numbers


def _number(text: str, values: Values) -> int | None:
    """The value of an expression; None if a variable of it has no value yet."""
    text = _BRACES.sub(r"{{\1}}", text)
    return evaluate(values.fill(text)) if values.are_known(PLACEHOLDER.findall(text)) else None


_OPERATORS: dict[type[ast.AST], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.floordiv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
}


def evaluate(text: str) -> int:
    """The value of an expression such as ``2^10 - 1``: ``+ - * / ^`` and parentheses.

    Raises:
        BadInput: It is not a whole number, or beyond a thousand million.
    """
    bad = f"{text[:60]!a} is not a whole number"
    if len(text) > _LONGEST_EXPRESSION or not re.fullmatch(r"[0-9+\-*/^() ]+", text.strip()):
        raise BadInput(bad)
    try:
        return _value(ast.parse(text.strip().replace("^", "**"), mode="eval").body)
    except (SyntaxError, ZeroDivisionError, RecursionError, MemoryError, ValueError):
        raise BadInput(bad) from None


def _value(node: ast.AST) -> int:
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        value = node.value
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        value = _value(node.operand) * (-1 if isinstance(node.op, ast.USub) else 1)
    elif isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left, right = _value(node.left), _value(node.right)
        if isinstance(node.op, ast.Pow) and not 0 <= right <= 64:
            raise BadInput(f"a power of {right} is too large")
        value = _OPERATORS[type(node.op)](left, right)
    else:
        raise ValueError
    if abs(value) > _LARGEST:
        raise BadInput(f"a number beyond {_LARGEST} is too large")
    return value


def names_in(loop: Loop) -> list[str]:
    """The variables that the number of rounds depends on."""
    texts = " ".join(str(part) for part in (loop.count, loop.range, loop.max) if part is not None)
    return PLACEHOLDER.findall(_BRACES.sub(r"{{\1}}", texts))
