"""``orc formula list``, ``show``, ``validate``, ``cook``, ``distill``: formulas themselves."""

from typing import TYPE_CHECKING, Any, TypedDict

import click
import msgspec

from orchestrator.core.calls import check_list
from orchestrator.core.errors import NotFound, OrchestratorError, UsageError
from orchestrator.core.printable import escape, escape_lines, one_line, shortened
from orchestrator.interfaces.cli import drawing, types
from orchestrator.interfaces.cli.commands import FORMULA
from orchestrator.interfaces.cli.layout import (
    facts,
    lines,
    paint,
    parts,
    prose,
    section,
    table_of,
    titled,
)
from orchestrator.interfaces.cli.parameters import DRY_RUN, argument, flattened, option, together
from orchestrator.interfaces.cli.rendering import Answer, Joined, present, say, warn
from orchestrator.interfaces.cli.run import Run

if TYPE_CHECKING:
    from orchestrator.domain.workflows.compiled import CompiledFormula
    from orchestrator.formulas.commands import FormulaSummary
    from orchestrator.formulas.loading import Loaded
    from orchestrator.formulas.schema import Plain, Preset, Variable

LONGEST_SUMMARY, LONGEST_PROBLEM = 70, 160

Values = dict[str, str]
"""The values of variables, by name."""

_FROM_FILE = f"{__name__}.values"


def _pair(text: str) -> tuple[str, str]:
    from orchestrator.formulas.variables import pair_of

    return pair_of(text)


def _read_values(context: click.Context, _: click.Parameter, path: str | None) -> None:
    if path is not None and not context.resilient_parsing:
        from orchestrator.formulas.variables import values_of

        context.meta[_FROM_FILE] = values_of(context.obj.text_from(path), path)


def _merge_values(context: click.Context, parameter: click.Parameter, lists: Any) -> Values | None:
    """The values of a line, or None; ``--var`` overrides the file."""
    pairs, from_file = flattened(context, parameter, lists), context.meta.get(_FROM_FILE)
    check_list(parameter.name or "", [name for name, _ in pairs or ()])
    return None if pairs is from_file is None else {**(from_file or {}), **dict(pairs or ())}


NAME = argument("name", "The formula.", types.FORMULA_NAME)
VALUE = option(
    "--var",
    "The value of a variable. Repeatable.",
    types.Type("NAME=VALUE", _pair),
    name="values",
    many=True,
    commas=False,
    callback=_merge_values,
)
VALUES = together(
    VALUE,
    option(
        "--vars-file",
        "Values from a file: JSON, TOML, or NAME=VALUE lines; - is stdin.",
        types.FILE,
        rare=True,
        is_eager=True,
        expose_value=False,
        callback=_read_values,
    ),
)
PRESET = option("--preset", "Of a convoy formula: the choice of legs.", metavar="NAME", rare=True)
_ON = option("--on", "The task that gets done this way.", types.TASK_ID, metavar="TASK")
WS = option(
    "--ws", "Where the tasks belong; else `workflows`.", types.WORKSTREAM_NAME, name="workstream"
)
FORMULA_OPTIONS = together(VALUES, PRESET, _ON, WS)


def compiled_for(
    run: Run, name: str, values: Values | None = None, **how: Any
) -> "CompiledFormula":
    """Compile a formula for a command, and print its warnings."""
    compiled = run.orc.formulas.cook(name, values or {}, **how)
    for warning in compiled.warnings:
        warn(warning)
    return compiled


def compiled_in_place(
    run: Run, name: str, workstream: str | None, on: str | None, **how: Any
) -> "tuple[CompiledFormula, dict[str, Any]]":
    """A formula compiled by ``FORMULA_OPTIONS``, and where its tasks belong."""
    return compiled_for(run, name, on=on, **how), {"workstream": workstream, "on": on}


@FORMULA.command("list", example="list", reads=True)
def list_(run: Run) -> "Answer[list[FormulaSummary]]":
    """List the formulas of the board, of the user and of the toolkit."""
    known = run.orc.formulas.all()

    def text() -> str:
        return table_of(
            known,
            ("formula", "name"),
            ("type", lambda formula: formula.type or "?"),
            "steps",
            ("from", "where"),
            ("what for", _purpose),
            wraps=True,
        )

    return Answer(known, lambda: text() or "No formulas.")


def _purpose(formula: "FormulaSummary") -> str:
    first = formula.description.strip().partition("\n")[0]
    return one_line(formula.problem, LONGEST_PROBLEM) or shortened(first, LONGEST_SUMMARY)


@FORMULA.command("show", example="show feature --format mermaid", reads=True)
@NAME
@VALUES
@PRESET
@option("--format", "How its steps are drawn.", types.choice("text", "mermaid"), default="text")
def show(
    run: Run, name: str, values: Values | None, preset: str | None, format: str
) -> "Answer[Joined[CompiledFormula, _Declarations]]":
    """Show the purpose of a formula, its variables and its steps; ``--format mermaid`` draws them."""
    loaded = run.orc.formulas.load(name)
    compiled = run.orc.formulas.cook(name, values or {}, preset=preset, strict=False)
    formula = loaded.formula
    declarations = _Declarations(
        variables={name: _declaration(each) for name, each in formula.variables.items()},
        presets=formula.presets,
        extends=list(formula.extends),
    )
    document = Joined(compiled, declarations)
    if format == "mermaid":
        return Answer(document, lambda: drawing.flow(compiled))
    return Answer(document, lambda: _page(loaded, compiled))


class _DeclaredVariable(msgspec.Struct):
    """A variable of a formula.

    Attributes:
        at: Where it is declared.
        default: Its value if none is given; null: it has no default.
    """

    at: str
    description: str
    default: "Plain | None"
    required: bool
    enum: "tuple[Plain, ...]"
    pattern: str
    type: str
    required_unless: tuple[str, ...]


class _Declarations(msgspec.Struct):
    """What a formula declares, as its file has it."""

    variables: dict[str, _DeclaredVariable]
    presets: "dict[str, Preset]"
    extends: list[str]


def _declaration(variable: "Variable") -> _DeclaredVariable:
    fields = msgspec.structs.asdict(variable)
    return _DeclaredVariable(at=fields.pop("place"), **fields)


def _page(loaded: "Loaded", compiled: "CompiledFormula") -> str:
    from orchestrator.formulas.parse import as_text

    formula = loaded.formula
    known = facts(
        formula,
        "type",
        "version",
        ("phase", lambda _: "vapor: a wisp" if formula.is_ephemeral else ""),
        "extends",
        ("uses", lambda _: list(loaded.others)),
    )
    variables = table_of(
        formula.variables.items(),
        ("name", lambda row: row[0]),
        ("must be", lambda row: _need(row[1])),
        ("default", lambda row: "" if row[1].default is None else as_text(row[1].default)),
        ("what for", lambda row: row[1].description),
        indent=2,
        wraps=True,
    )
    presets = table_of(
        formula.presets.items(),
        ("name", lambda row: row[0]),
        ("legs", lambda row: row[1].legs),
        ("what for", lambda row: row[1].description),
        indent=2,
        wraps=True,
    )
    return parts(
        paint(escape(formula.formula), "bold"),
        known,
        section("What for", prose(formula.description.strip(), indent=2)),
        titled("Variables", variables),
        titled("Presets", presets),
        titled("Steps", drawing.steps(compiled)),
    )


def _need(variable: Any) -> str:
    if variable.required:
        return "required"
    if variable.required_unless:
        return f"required unless {' or '.join(variable.required_unless)}"
    return ", ".join(map(str, variable.enum))


class _CheckedFormula(TypedDict):
    """The mistakes of a formula."""

    formula: str
    valid: bool
    problems: list[str]
    warnings: list[str]


class _CheckedFormulas(TypedDict):
    """The mistakes of formulas."""

    formulas: list[_CheckedFormula]


@FORMULA.command("validate", example="validate feature", reads=True)
@argument("[names...]", "Formulas; all if none is given.", types.FORMULA_NAME, metavar="NAME...")
def validate(run: Run, names: tuple[str, ...]) -> "Answer[_CheckedFormulas]":
    """Check formulas: print each mistake with its file and position; exit 2 if there is one."""
    chosen = names or tuple(run.orc.formulas.names())
    reports = [_report(run, name) for name in chosen]
    status = 0 if all(report["valid"] for report in reports) else UsageError.exit_status
    return Answer(
        _CheckedFormulas(formulas=reports), lambda: lines(map(_verdict, reports), empty=""), status
    )


def _report(run: Run, name: str) -> "_CheckedFormula":
    problems: list[str] = []
    warnings: list[str] = []
    try:
        cooked = run.orc.formulas.cook(name, strict=False)
        warnings += cooked.warnings
        warnings += [
            f"{place}: {what} stays for the agent that does the step"
            for what, place in cooked.runtime.items()
        ]
    except NotFound as error:
        if error.code == "formula_not_found":
            raise
        problems = [error.message]
    except OrchestratorError as error:
        details = error.details.get("problems")
        problems = list(map(str, details)) if isinstance(details, list) else [error.message]
    return _CheckedFormula(formula=name, valid=not problems, problems=problems, warnings=warnings)


def _verdict(report: _CheckedFormula) -> str:
    what = paint("ok", "green") if report["valid"] else paint("wrong", "red")
    return parts(
        f"{escape(report['formula'])}: {what}",
        *(f"  {escape(problem)}" for problem in report["problems"]),
        *(f"  warning: {escape(warning)}" for warning in report["warnings"]),
    )


@FORMULA.command("cook", example="cook feature --var feature=Login --json", reads=True)
@NAME
@VALUES
@PRESET
def cook(
    run: Run, name: str, values: Values | None, preset: str | None
) -> "Answer[CompiledFormula]":
    """Show the compiled steps of a formula in order; nothing is stored."""
    return present(compiled_for(run, name, values, preset=preset), drawing.steps)


@FORMULA.command("distill", example="distill 299833bc onboarding --var customer=Acme")
@argument("task", "The root of a workflow, or any task with parts.", types.TASK_ID, metavar="ROOT")
@argument("name", "What the formula is to be called.", types.NAME)
@VALUE
@DRY_RUN
def distill(
    run: Run, task: str, name: str, values: Values | None, dry_run: bool
) -> "Answer[dict[str, str | None] | dict[str, str]]":
    """Make a formula from a workflow, in the board's folder formulas/.

    Each ``--var NAME=WORD`` replaces the whole word WORD by the variable NAME; WORD is its default.
    """
    with run.rehearsed(dry_run):
        text = run.orc.formulas.distill(task, name, values or {})
    if dry_run:
        return say({"formula": name, "path": None, "text": text}, escape_lines(text).rstrip("\n"))
    known = run.orc.formulas.names()
    path = run.orc.formulas.save(name, text)
    if name in known:
        warn(f"this board's {name} comes before the formula of that name that was used until now")
    return say(
        {"formula": name, "path": path, "text": text}, f"Wrote formula {name}: {escape(path)}"
    )
