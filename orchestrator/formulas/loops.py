"""Loops: a step with a loop gives place to the rounds of its body, one after the other.

The steps of round N of the loop ``L`` are ``L.iterN.<id>``. ``count`` and ``range`` take the place of the
step. ``until`` keeps it, as a milestone whose parts are the rounds: when somebody gives its signal, the
rounds that nobody has begun are cancelled, and what waits for the loop goes on.
"""

import ast
import operator
import re
from collections.abc import Callable, Iterator

from orchestrator.core.errors import BadInput
from orchestrator.core.problems import (
    Problems,
)
from orchestrator.domain.workflows.compiled import MILESTONE
from orchestrator.formulas.drafts import (
    ITERATION,
    NEVER,
    Draft,
    drafts_of,
    ends_of,
    inherit,
    show_what_it_shows,
)
from orchestrator.formulas.graph import MOST_STEPS, StepGraph
from orchestrator.formulas.schema import Loop
from orchestrator.formulas.variables import NAME, Values, names_in

_LONGEST_EXPRESSION = 200
_LARGEST = 10**9
_BRACES = re.compile(r"(?<!\{)\{([A-Za-z_][A-Za-z0-9_-]*)\}(?!\})")


def unroll(graph: StepGraph, values: Values, problems: Problems) -> None:
    """Let every loop of a graph give place to its rounds, loops in loops too."""
    while looping := [draft for draft in graph if draft.loop is not None]:
        if graph.is_full:
            return
        for draft in looping:
            loop = draft.loop
            assert loop is not None
            draft.loop = None
            problems.attempt(f"{draft.at}: loop", _unroll, graph, draft, loop, values)


def _unroll(graph: StepGraph, target: Draft, loop: Loop, values: Values) -> None:
    numbers = rounds(loop, values)
    size = sum(1 for _ in drafts_of(loop.body))
    if len(graph) + len(numbers) * size > MOST_STEPS:
        raise BadInput(f"the loop makes more than {MOST_STEPS} steps")
    if not numbers:
        target.conditions = [NEVER]
    elif loop.until:
        _keep(graph, target, loop, numbers)
    else:
        graph.replace(target, [*_rounds(graph, target, loop, numbers)])


def _rounds(graph: StepGraph, target: Draft, loop: Loop, numbers: range) -> Iterator[Draft]:
    """The steps of all rounds, each round behind the one before."""
    before: list[str] = []
    for at, number in enumerate(numbers, start=1):
        body = _round(graph, target, loop, at, number)
        ids = {draft.id for draft in body}
        ends = ends_of(body)
        top = [draft for draft in body if draft.parent is None]
        for draft in top:
            draft.conditions = [*target.conditions, *draft.conditions]
            draft.description = draft.description or target.description
            if ids.isdisjoint(draft.needs):
                graph.count_needs(len(before))
                draft.needs = [*before, *draft.needs]
        if at == len(numbers):
            for draft in ends:
                show_what_it_shows(draft, target)
        before = [draft.id for draft in ends]
        yield from body


def _keep(graph: StepGraph, target: Draft, loop: Loop, numbers: range) -> None:
    """The step of a loop with ``until`` stays; each round is a part of it, with parts of its own."""
    target.type, target.until = MILESTONE, loop.until
    before: list[str] = []
    for at, number in enumerate(numbers, start=1):
        holder = Draft(
            id=f"{target.id}.iter{at}",
            title=f"Round {at} of at most {len(numbers)}, until: {loop.until}",
            type=MILESTONE,
            needs=before,
            parent=target.id,
            at=target.at,
        )
        body = _round(graph, target, loop, at, number)
        for draft in body:
            draft.parent = draft.parent or holder.id
        graph.add([holder, *body])
        before = [holder.id]
    target.assignee = ""  # the rounds have it


def _round(graph: StepGraph, target: Draft, loop: Loop, at: int, number: int) -> list[Draft]:
    """The body once: ids and what the steps say of one another with the round in front, names filled."""
    values = {ITERATION: str(at), **({loop.var: str(number)} if loop.var else {})}

    def filled(text: str) -> str:
        for name, value in values.items():
            text = text.replace(f"{{{{{name}}}}}", value).replace(f"{{{name}}}", value)
        return text

    body = [graph.rewritten(draft, filled) for draft in drafts_of(loop.body)]
    new_ids = {draft.id: f"{target.id}.iter{at}.{draft.id}" for draft in body}
    for draft in body:
        graph.renamed(draft, new_ids)
        inherit(draft, target)
    return body


# How often


def rounds(loop: Loop, values: Values) -> range:
    """The numbers of a loop's rounds.

    Raises:
        BadInput: They are no numbers, less than nothing, or too many.
    """
    if loop.range:
        first, dots, last = loop.range.partition("..")
        if not dots:
            raise BadInput(f"{loop.range!a} is no range: write 1..10")
        low, high = _number(first, values), _number(last, values)
        numbers = range(low, high + 1) if low is not None and high is not None else range(1, 2)
    else:
        said = loop.max if loop.until else loop.count
        number = _number(str(said), values)
        if number is not None and number < 0:
            raise BadInput(f"a loop cannot run {number} times")
        numbers = range(1, 2 if number is None else number + 1)
    if len(numbers) > MOST_STEPS:
        raise BadInput(f"the loop has {len(numbers)} rounds; {MOST_STEPS} are allowed")
    return numbers


def _number(text: str, values: Values) -> int | None:
    """The number that an expression means; None if a variable of it has no value yet."""
    text = _BRACES.sub(r"{{\1}}", text)
    for name in names_in(text):
        if name not in values.declared and name not in values.given:
            raise BadInput(f"it asks for {name!a}, which no variable is")
    if None in [values.get(name) for name in names_in(text)]:
        return None
    return evaluate(values.text(text))


_SIGNS: dict[type[ast.AST], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.floordiv,
    ast.FloorDiv: operator.floordiv,
}


def evaluate(text: str) -> int:
    """The whole number that ``2^10 - 1`` means: ``+ - * / ^`` and parentheses.

    Raises:
        BadInput: It means none, or one beyond a thousand million.
    """
    bad = f"{text[:60]!a} is no whole number"
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
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        base, power = _value(node.left), _value(node.right)
        if not 0 <= power <= 64:
            raise BadInput(f"a power of {power} is too large")
        value = base**power
    elif isinstance(node, ast.BinOp) and type(node.op) in _SIGNS:
        value = _SIGNS[type(node.op)](_value(node.left), _value(node.right))
    else:
        raise ValueError
    if abs(value) > _LARGEST:
        raise BadInput(f"a number beyond {_LARGEST} is too large")
    return value


def wrong_with(loop: Loop) -> Iterator[str]:
    """What is wrong with the shape of a loop."""
    ways = [name for name in ("count", "range", "until") if getattr(loop, name) not in (None, "")]
    if len(ways) != 1:
        said = " and ".join(ways) or "none"
        yield f"a loop has one of count, range and until; this one has {said}"
    if (loop.max is not None) != bool(loop.until):
        yield "a loop has max exactly if it has until"
    if not loop.body:
        yield "a loop needs a body"
    if loop.var and not NAME.fullmatch(loop.var):
        yield f"{loop.var[:60]!a} cannot name a variable"
    for times in (loop.count, loop.max):
        if isinstance(times, int) and times < 0:
            yield f"a loop cannot run {times} times"


def asked_by(loop: Loop) -> list[str]:
    """The names that the numbers of a loop ask for."""
    said = " ".join(str(part) for part in (loop.count, loop.range, loop.max) if part is not None)
    return names_in(_BRACES.sub(r"{{\1}}", said))
