"""The structure of the package: unique class names, no circular imports, strict records."""

import ast
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, get_args

import grimp
import msgspec

from orchestrator import snapshot

PACKAGE = Path(__file__).resolve().parent.parent / "orchestrator"


def test_no_class_name_is_declared_twice_in_the_package():
    places = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{path.relative_to(PACKAGE)}:{node.lineno}")
    twice = {name: where for name, where in places.items() if len(where) > 1}
    assert twice == {}


def test_no_imports_are_circular():
    """Late imports and imports for types count too, so a module can be read without those above it."""
    graph = grimp.build_graph("orchestrator", cache_dir=None)
    imported = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    assert "orchestrator.domain.tasks.where" in imported["orchestrator.domain.tasks.selection"]
    TopologicalSorter(imported).prepare()  # its error names the modules of a circle


def test_a_snapshot_refuses_fields_that_are_not_known_in_every_record():
    """A record without this would lose what a newer version wrote into the snapshot."""
    seen: set[type[msgspec.Struct]] = set()

    def walk(hint: Any) -> None:
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct) and hint not in seen:
            seen.add(hint)
            for field in msgspec.structs.fields(hint):
                walk(field.type)
        for part in get_args(hint):
            walk(part)

    for field in msgspec.structs.fields(snapshot._FlatState):
        walk(field.type)
    assert len(seen) > 20
    lax = {cls.__name__ for cls in seen if not cls.__struct_config__.forbid_unknown_fields}
    assert lax == set()
