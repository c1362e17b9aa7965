"""Drawings of the work graph: a tree for people, and the languages of Mermaid and of Graphviz.

Titles are data: each character with a meaning in one of these languages is escaped, and no name of a node
comes from an agent.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from orchestrator.core.multimap import multimap
from orchestrator.core.printable import escape
from orchestrator.domain.tasks.blockers import Edge
from orchestrator.domain.tasks.dependencies import Branch, Graph
from orchestrator.domain.tasks.records import Task
from orchestrator.domain.tasks.relations import BLOCKING
from orchestrator.domain.workflows.compiled import MILESTONE, CompiledFormula, CompiledStep

Item = TypeVar("Item", Task, CompiledStep)

_STATUS_SHAPES = {"done": ("([", "])"), "blocked": ("{{", "}}")}


def text(graph: Graph, line: Callable[[Task], str]) -> str:
    """Each task under its parent, followed by its other links."""
    links = multimap((edge.task, edge) for edge in _edges(graph) if edge.kind != "parent")
    lines: list[str] = []
    for depth, task in _by_parent(graph.tasks):
        lines.append("  " * depth + line(task))
        lines += (
            "  " * depth + f"    {_link(edge)} {edge.other}" for edge in links.get(task.id, ())
        )
    return "\n".join(lines) or "No tasks."


def _edges(graph: Graph) -> Iterator[Edge]:
    """The links to draw, without a gate on a task's own children, which their links show."""
    return (e for e in graph.edges if e.kind != "waits-for" or e.other != e.task)


def _link(edge: Edge) -> str:
    return "waits for the children of" if edge.kind == "waits-for" else edge.kind


def tree(branches: Iterator[Branch]) -> str:
    """A tree of dependencies, one line for each task."""
    return "\n".join(map(_branch, branches))


def _branch(branch: Branch) -> str:
    kind = f"{branch.kind}: " if branch.kind else ""
    again = " (see above)" if branch.repeated else ""
    indent = "  " * branch.depth
    return f"{indent}{kind}[{branch.status}] {branch.id}: {escape(branch.title)}{again}"


def mermaid(graph: Graph) -> str:
    """The graph for https://mermaid.js.org: an arrow from each task to what it needs or belongs to."""
    names = _names(graph)
    lines = ["flowchart LR"]
    for task in graph.tasks:
        opening, closing = _STATUS_SHAPES.get(task.status, ("[", "]"))
        label = _mermaid_text(f"{task.id}: {task.title} ({task.status})")
        lines.append(f'  {names[task.id]}{opening}"{label}"{closing}')
    for edge in _edges(graph):
        arrow = "-->" if edge.kind in BLOCKING else "-.->"
        lines.append(f'  {names[edge.task]} {arrow}|"{edge.kind}"| {names[edge.other]}')
    return "\n".join(lines)


def _mermaid_text(label: str) -> str:
    """A label in which everything but letters, digits and blanks is an entity such as ``#35;``."""
    return re.sub(r"[^\w .,-]", lambda match: f"#{ord(match[0])};", escape(label))


def steps(compiled: CompiledFormula) -> str:
    """The steps of a compiled formula, each under its parent, with what it waits for."""
    lines = []
    for depth, step in _by_parent(compiled.steps):
        waits = f" (after {', '.join(map(escape, _awaits(step)))})" if _awaits(step) else ""
        indent = "  " * depth
        lines.append(f"{indent}{escape(step.id)}: {escape(step.title)}{waits}")
        lines += (f"{indent}    {escape(proof)}" for proof in _shows(step))
    return "\n".join(lines) or "No steps."


def _by_parent(items: Sequence[Item]) -> Iterator[tuple[int, Item]]:
    """Yield each item after its parent, with its depth; without its parent, an item has the depth 0."""
    ids = {item.id for item in items}
    below = multimap((item.parent if item.parent in ids else None, item) for item in items)
    waiting = [(0, item) for item in reversed(below.get(None, ()))]
    while waiting:  # no recursion: the depth of parents has no limit
        depth, item = waiting.pop()
        yield depth, item
        waiting += [(depth + 1, child) for child in reversed(below.get(item.id, ()))]


def _shows(step: CompiledStep) -> Iterator[str]:
    """The checks of a step: its commands run for the agent that completes it."""
    yield from (f"verify: {command}" for command in step.verify)
    yield from (f"artifact: {path}" for path in step.artifacts)
    if step.review:
        yield "review: another agent must approve"


def _awaits(step: CompiledStep) -> list[str]:
    """The conditions of a step, in words."""
    gates = (f"{gate.type} {gate.name}".strip() for gate in step.gates)
    children = [] if step.waits_for in ("", "all") else [f"{step.waits_for} children"]
    return [*step.needs, *step.outside, *children, *gates]


def flow(compiled: CompiledFormula) -> str:
    """The steps of a compiled formula for Mermaid: an arrow from each step to the steps after it."""
    names = {step.id: f"s{number}" for number, step in enumerate(compiled.steps, 1)}
    lines = ["flowchart TD"]
    for step in compiled.steps:
        opening, closing = ("([", "])") if step.type == MILESTONE else ("[", "]")
        gates = "".join(f" / {gate.type} {gate.name}" for gate in step.gates)
        label = _mermaid_text(f"{step.id}: {step.title}{gates}")
        lines.append(f'  {names[step.id]}{opening}"{label}"{closing}')
    for step in compiled.steps:
        lines += (f"  {names[need]} --> {names[step.id]}" for need in step.needs)
        if step.parent is not None:
            lines.append(f'  {names[step.id]} -.->|"part of"| {names[step.parent]}')
    return "\n".join(lines)


def dot(graph: Graph) -> str:
    """The graph for Graphviz: an arrow from each task to what it needs or belongs to."""
    names = _names(graph)
    lines = ["digraph board {", "  rankdir=LR;", "  node [shape=box];"]
    for task in graph.tasks:
        label = _dot_text(f"{task.id}: {task.title} ({task.status})")
        lines.append(f'  {names[task.id]} [label="{label}"];')
    for edge in _edges(graph):
        style = "" if edge.kind in BLOCKING else ", style=dashed"
        lines.append(f'  {names[edge.task]} -> {names[edge.other]} [label="{edge.kind}"{style}];')
    return "\n".join([*lines, "}"])


def _dot_text(label: str) -> str:
    """A quoted text without escape sequences of Graphviz, entities and quotes."""
    plain = escape(label).replace("&", "&amp;")
    return plain.replace("\\", "\\\\").replace('"', '\\"')


def _names(graph: Graph) -> dict[str, str]:
    return {task.id: f"t{number}" for number, task in enumerate(graph.tasks, 1)}
