"""The structure of the package: one name stands for one thing."""

import ast
from collections import defaultdict
from collections.abc import Container, Iterator
from graphlib import TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "orchestrator"

DUPLICATES = {"Call", "Found", "Request", "Segment", "Segments"}
"""Class names that still stand for two things. Rename the class, then remove its name here."""


def test_no_class_name_is_declared_twice_in_the_package():
    places = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{path.relative_to(PACKAGE)}:{node.lineno}")
    twice = {name: found for name, found in places.items() if len(found) > 1}
    assert {name: found for name, found in twice.items() if name not in DUPLICATES} == {}


CIRCLES = [{"orchestrator.interfaces.cli.groups", "orchestrator.interfaces.cli.run"}]
"""Modules that still import each other. Mend the circle, then remove it here."""


def test_no_module_imports_itself_through_others_not_even_for_types_or_late():
    """Imports inside functions and under TYPE_CHECKING count."""
    modules = {_name(path): path for path in PACKAGE.rglob("*.py")}
    graph = {name: set(_imported(path, modules)) - {name} for name, path in modules.items()}
    for circle in CIRCLES:
        for name in circle & graph.keys():
            graph[name] -= circle
    TopologicalSorter(graph).prepare()  # raises CycleError, which shows a circle


def _name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def _imported(path: Path, modules: Container[str]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        names = node.names if isinstance(node, (ast.Import, ast.ImportFrom)) else []
        package = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
        for name in (package + alias.name for alias in names):
            if name in modules:
                yield name
            elif package[:-1] in modules:
                yield package[:-1]
