"""The reference and the guide of formulas are correct."""

import re
from pathlib import Path

import msgspec

from orchestrator.domain.tasks.blockers import Blocker
from orchestrator.domain.tasks.dependencies import Blocked
from orchestrator.domain.workflows.commands import Advanced, Bonded, EndedWisp, Poured
from orchestrator.domain.workflows.compiled import CompiledFormula, CompiledGate, CompiledStep
from orchestrator.domain.workflows.progress import WorkflowProgress
from orchestrator.formulas import schema
from orchestrator.formulas.commands import FormulaSummary

from .kitchen import Kitchen

DOCS = Path(__file__).parents[2] / "docs"


def test_the_reference_names_every_key_of_the_schema():
    documented = set(re.findall(r"[a-z_]+", " ".join(re.findall(r"`([^`\n]+)`", _reference()))))
    records = [
        r for r in vars(schema).values() if isinstance(r, type) and issubclass(r, msgspec.Struct)
    ]
    keys = {
        field.encode_name
        for record in records
        if record is not msgspec.Struct
        for field in msgspec.structs.fields(record)
        if field.name != "place"
    }
    assert keys - documented == set()


def test_the_reference_names_every_shipped_formula_and_its_variables():
    text = _reference()
    shipped = Path(schema.__file__).with_name("shipped")
    kitchen = {path.name.split(".")[0]: path.read_text() for path in shipped.iterdir()}
    for name, formula in kitchen.items():
        row = next(line for line in text.splitlines() if line.startswith(f"| `{name}` |"))
        for variable in re.findall(r"^\[(?:vars|inputs)\.(\w+)\]", formula, re.MULTILINE):
            assert f"`{variable}`" in row, (name, variable)


def test_the_reference_names_every_field_that_json_prints():
    _, separator, section = _reference().partition("## What `--json` prints")
    assert separator
    documented = set(re.findall(r"`([a-z_]+)`", section))
    printed = (
        CompiledFormula,
        CompiledStep,
        CompiledGate,
        Poured,
        WorkflowProgress,
        Advanced,
        EndedWisp,
        Bonded,
        FormulaSummary,
    )
    for record in (*printed, Blocked, Blocker):
        missing = {field.encode_name for field in msgspec.structs.fields(record)} - documented
        assert missing == set(), record


def test_the_formula_of_the_guide_does_what_the_guide_describes(kitchen: Kitchen):
    block = re.search(
        r"```toml\n(.*?)```", (DOCS / "guides" / "formulas.md").read_text(), re.DOTALL
    )
    assert block is not None
    kitchen.write("translate", block[1])
    assert kitchen.graph("translate", text="menu") == {
        "terms": set(),
        "translate": {"terms"},
        "read": {"translate"},
    }
    steps = {
        step.id: step for step in kitchen.cook("translate", {"text": "a", "print": "yes"}).steps
    }
    assert steps["print"].gates[0].name == "approved"
    assert steps["read"].assignee == "native/de"
    assert steps["translate"].artifacts == ("a.de.md",)


def _reference() -> str:
    return (DOCS / "formulas.md").read_text()
