"""``orc formula``: formulas looked at, cooked and poured, and the workflows that came of them."""

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from orchestrator.core.errors import NotFound, OrchestratorError, UsageError
from orchestrator.core.printable import escape, escape_lines, one_line, shortened
from orchestrator.interfaces.cli import drawing
from orchestrator.interfaces.cli.commands import FORMULA
from orchestrator.interfaces.cli.parameters import (
    AGENT_NAME,
    DRY_RUN,
    FILE,
    FORMULA_NAME,
    TASK_ID,
    WORKFLOW_ID,
    WORKSTREAM_NAME,
    Type,
    argument,
    choice,
    option,
    together,
)
from orchestrator.interfaces.cli.rendering import (
    Answer,
    bar,
    fields,
    lines,
    paint,
    parts,
    plain,
    say,
    section,
    table,
    titled,
    warn,
)
from orchestrator.interfaces.cli.run import Run, text_from

if TYPE_CHECKING:
    from orchestrator.domain.tasks.dependencies import Blocked
    from orchestrator.domain.workflows.commands import Poured
    from orchestrator.domain.workflows.compiled import CompiledFormula
    from orchestrator.domain.workflows.progress import WorkflowProgress
    from orchestrator.formulas.commands import FormulaSummary
    from orchestrator.formulas.loading import Loaded

MANY = 50
"""Steps that a page of a workflow lists; ``--json`` has all."""

REASONS = 3
"""Reasons that a page gives for one step."""

LONGEST_SUMMARY, LONGEST_PROBLEM = 70, 160


def _pair(text: str) -> tuple[str, str]:
    from orchestrator.formulas.variables import pair_of

    return pair_of(text)


NAME = argument("name", type=FORMULA_NAME, help="The formula.")
ROOT = argument(
    "workflow", type=WORKFLOW_ID, metavar="ROOT", help="The workflow: its root, or a step of it."
)
ANY_ROOT = argument(
    "workflow",
    type=WORKFLOW_ID,
    metavar="ROOT",
    required=False,
    help="The workflow; all that are open if not given.",
)
VARIABLE = option(
    "--var",
    type=Type("NAME=VALUE", _pair),
    many=True,
    commas=False,
    help="The value of a variable. Repeatable.",
)
VARIABLES = together(
    VARIABLE,
    option(
        "--vars-file",
        type=FILE,
        help="Values from a file: JSON, TOML, or NAME=VALUE lines; - is stdin.",
    ),
)
PRESET = option("--preset", metavar="NAME", help="Of a convoy formula: the choice of legs.")
ON = option("--on", type=TASK_ID, metavar="TASK", help="The task that gets done this way.")
WS = option("--ws", type=WORKSTREAM_NAME, help="Where the tasks belong; else `workflows`.")
_POURING = together(
    VARIABLES,
    PRESET,
    ON,
    WS,
    option("--assignee", type=AGENT_NAME, help="Whom the steps are given to."),
    DRY_RUN,
)


def variables(var: tuple[tuple[str, str], ...] | None, vars_file: str | None) -> dict[str, str]:
    """The values that a line gives; those of ``--var`` win over those of the file."""
    if vars_file is None:
        return dict(var or ())
    from orchestrator.formulas.variables import values_of

    return {**values_of(text_from(vars_file), vars_file), **dict(var or ())}


def cooked_for(run: Run, name: str, values: dict[str, str], **how: Any) -> "CompiledFormula":
    """A formula cooked for a command; what is odd about it is said."""
    cooked = run.orc.formulas.cook(name, values, **how)
    for warning in cooked.warnings:
        warn(warning)
    return cooked


# Looking at formulas


@FORMULA.command("list", example="list", reads=True)
def list_(run: Run) -> Answer:
    """List the formulas that can be used: the board's, the user's, those of the toolkit."""
    found = run.orc.formulas.all()
    return Answer(found, lambda: _listing(found))


def _listing(found: "list[FormulaSummary]") -> str:
    rows = [
        (
            one.name,
            one.type or "?",
            one.steps,
            one.where,
            one_line(one.problem, LONGEST_PROBLEM) or _summary(one.description),
        )
        for one in found
    ]
    return table(("formula", "type", "steps", "from", "what for"), rows)


def _summary(text: str) -> str:
    first = text.strip().partition("\n")[0]
    return shortened(first, LONGEST_SUMMARY)


@FORMULA.command("show", example="show feature --format mermaid", reads=True)
@NAME
@VARIABLES
@PRESET
@option("--format", type=choice("text", "mermaid"), default="text", help="How its steps are drawn.")
def show(
    run: Run,
    name: str,
    var: tuple[tuple[str, str], ...] | None,
    vars_file: str | None,
    preset: str | None,
    format: str,
) -> Answer:
    """Show what a formula is for, its variables, and its steps; ``--format mermaid`` draws them."""
    values = variables(var, vars_file)
    loaded = run.orc.formulas.load(name)
    cooked = run.orc.formulas.cook(name, values, preset=preset, strict=False)
    formula = loaded.formula
    document = {
        **plain(cooked),
        "variables": plain(formula.variables),
        "presets": plain(formula.presets),
        "extends": list(formula.extends),
    }
    draw = (
        (lambda: drawing.flow(cooked))
        if format == "mermaid"
        else (lambda: _formula_page(loaded, cooked))
    )
    return Answer(document, draw)


def _formula_page(loaded: "Loaded", cooked: "CompiledFormula") -> str:
    from orchestrator.formulas.parse import as_text

    formula = loaded.formula
    facts = (
        ("type", formula.type),
        ("version", formula.version),
        ("phase", "vapor: a wisp" if formula.is_ephemeral else ""),
        ("extends", ", ".join(formula.extends)),
        ("uses", ", ".join(loaded.others)),
    )
    given = [
        (
            name,
            _need(variable),
            "" if variable.default is None else as_text(variable.default),
            variable.description,
        )
        for name, variable in formula.variables.items()
    ]
    presets = [
        (name, ", ".join(one.legs), one.description) for name, one in formula.presets.items()
    ]
    return parts(
        paint(escape(formula.formula), "bold"),
        fields(facts),
        section("What for", formula.description.strip()),
        titled("Variables", table(("name", "", "default", "what for"), given) if given else ""),
        titled("Presets", table(("name", "legs", "what for"), presets) if presets else ""),
        titled("Steps", drawing.steps(cooked)),
    )


def _need(variable: Any) -> str:
    if variable.required:
        return "required"
    if variable.required_unless:
        return f"required unless {' or '.join(variable.required_unless)}"
    return ", ".join(map(str, variable.enum))


@FORMULA.command("validate", example="validate feature", reads=True)
@argument(
    "names",
    type=FORMULA_NAME,
    metavar="NAME...",
    required=False,
    many=True,
    help="Formulas; all if none is given.",
)
def validate(run: Run, names: tuple[str, ...]) -> Answer:
    """Check formulas: all that is wrong with each, with file and place; the status is 2 if anything is."""
    chosen = names or tuple(run.orc.formulas.names())
    reports = [_report(run, name) for name in chosen]
    status = 0 if all(report["valid"] for report in reports) else UsageError.exit_status
    return Answer({"formulas": reports}, lambda: lines(map(_verdict, reports), empty=""), status)


def _report(run: Run, name: str) -> dict[str, Any]:
    problems: list[str] = []
    warnings: list[str] = []
    try:
        cooked = run.orc.formulas.cook(name, strict=False)
        warnings += cooked.warnings
        warnings += [
            f"{place}: {what} is left for whoever does the step"
            for what, place in cooked.runtime.items()
        ]
    except NotFound as error:
        if error.code == "formula_not_found":
            raise
        problems = [error.message]
    except OrchestratorError as error:
        found = error.details.get("problems")
        problems = [str(one) for one in found] if isinstance(found, list) else [error.message]
    return {"formula": name, "valid": not problems, "problems": problems, "warnings": warnings}


def _verdict(report: dict[str, Any]) -> str:
    what = paint("ok", "green") if report["valid"] else paint("wrong", "red")
    return parts(
        f"{escape(report['formula'])}: {what}",
        *(f"  {escape(problem)}" for problem in report["problems"]),
        *(f"  warning: {escape(warning)}" for warning in report["warnings"]),
    )


# Cooking and pouring


@FORMULA.command("cook", example="cook feature --var feature=Login --json", reads=True)
@NAME
@VARIABLES
@PRESET
def cook(
    run: Run,
    name: str,
    var: tuple[tuple[str, str], ...] | None,
    vars_file: str | None,
    preset: str | None,
) -> Answer:
    """Show the steps that a formula comes to, in order; nothing is stored."""
    cooked = cooked_for(run, name, variables(var, vars_file), preset=preset)
    return Answer(cooked, lambda: drawing.steps(cooked))


@FORMULA.command("pour", example="pour feature --var feature=Login --ws build")
@NAME
@_POURING
def pour(run: Run, name: str, **how: Any) -> Answer:
    """Make the steps of a formula tasks, in one commit: a workflow that any agent can go on with."""
    return _pour(run, name, ephemeral=False, **how)


@FORMULA.command("wisp", example="wisp research --var question=Why --assignee ann")
@NAME
@_POURING
def wisp(run: Run, name: str, **how: Any) -> Answer:
    """Pour an ephemeral workflow: no export has it, and it is collected when it is old."""
    return _pour(run, name, ephemeral=True, **how)


def _pour(
    run: Run,
    name: str,
    *,
    ephemeral: bool,
    var: tuple[tuple[str, str], ...] | None,
    vars_file: str | None,
    preset: str | None,
    on: str | None,
    ws: str | None,
    assignee: str | None,
    dry_run: bool,
) -> Answer:
    values = variables(var, vars_file)
    with run.rehearsed(dry_run):
        cooked = cooked_for(run, name, values, preset=preset, on=on)
        if cooked.ephemeral and not ephemeral:
            warn(f"{name} is made to run as a wisp: `formula wisp {name}`")
        poured = run.orc.workflows.pour(
            cooked, workstream=ws, on=on, assignee=assignee, ephemeral=ephemeral
        )
    return poured_answer(poured, "Would pour" if dry_run else "Poured")


def poured_answer(poured: "Poured", what: str) -> Answer:
    """The answer of a command that poured a workflow."""
    return Answer(poured, lambda: _poured_page(poured, what))


def _poured_page(poured: "Poured", what: str) -> str:
    shown = poured.steps[:MANY]
    more = len(poured.steps) - len(shown)
    kind = "wisp" if poured.workflow.ephemeral else "workflow"
    return parts(
        f"{what} {kind} {poured.root.id}: {escape(poured.root.title)} ({_steps(len(poured.steps))})",
        *(f"  {step.id}: {escape(step.title)}" for step in shown),
        f"  and {more} more" if more else "",
    )


def _steps(number: int) -> str:
    return "1 step" if number == 1 else f"{number} steps"


# Workflows


@FORMULA.command("current", example="current 299833bc", reads=True)
@ANY_ROOT
def current(run: Run, workflow: str | None) -> Answer:
    """Show where a workflow stands: who is at which step, what can be taken, what is stuck or waits, and why.

    Without a workflow, those of the agent that is named; if it has none or nobody is, all that are open.
    """
    if workflow is not None:
        found = run.orc.workflows.standing(workflow)
        return Answer(_without_steps(found), lambda: _standing(found))
    mine = run.orc.workflows.all(agent=run.agent)
    standings = [run.orc.workflows.standing(one.root) for one in mine or run.orc.workflows.all()]
    return Answer(
        [_without_steps(one) for one in standings],
        lambda: lines(map(_standing, standings), empty="No workflow is open."),
    )


def _without_steps(standing: "WorkflowProgress") -> dict[str, Any]:
    document: dict[str, Any] = plain(standing)
    del document["steps"]
    return document


def _standing(found: "WorkflowProgress") -> str:
    from orchestrator.interfaces.cli.task_lines import line

    return parts(
        _headline(found),
        _group("at work", [line(task) for task in found.current]),
        _group("in review", [f"{line(task)}\n  `t approve {task.id}`" for task in found.review]),
        _group("ready", [line(task) for task in found.ready]),
        _group("stuck", [_kept_back(one) for one in found.stuck]),
        _group("waiting", [_kept_back(one) for one in found.waiting]),
    )


def _kept_back(found: "Blocked") -> str:
    from orchestrator.interfaces.cli.task_lines import line, why

    reasons = [why(blocker) for blocker in found.by]
    more = len(reasons) - REASONS
    said = "; ".join([*reasons[:REASONS], *([f"and {more} more reasons"] if more > 0 else [])])
    return f"{line(found.task)}\n  {said}"


def _group(title: str, entries: "list[str]") -> str:
    """Entries of a line or several, under a title; nothing if there are none."""
    more = len(entries) - MANY
    rows = [*entries[:MANY], *([f"and {more} more (--json has all)"] if more > 0 else [])]
    text = "\n".join(rows).replace("\n", "\n    ")
    return f"  {title}:\n    {text}" if rows else ""


def _headline(found: "WorkflowProgress") -> str:
    kind = ", wisp" if found.workflow.ephemeral else ""
    return (
        f"[{found.status}] {found.workflow.root}: {escape(found.title)}"
        f" ({found.ended} of {found.total} steps ended{kind})"
    )


@FORMULA.command("progress", example="progress 299833bc", reads=True)
@ANY_ROOT
def progress(run: Run, workflow: str | None) -> Answer:
    """Show how far workflows are; of one of them every step."""
    if workflow is not None:
        found = run.orc.workflows.standing(workflow)
        return Answer(found, lambda: _progress_page(found))
    standings = [run.orc.workflows.standing(one.root) for one in run.orc.workflows.all()]
    rows = [
        (one.workflow.root, one.status, bar(one.percent), f"{one.ended}/{one.total}", one.title)
        for one in standings
    ]
    headers = ("workflow", "status", "progress", "ended", "title")
    return Answer(
        [_without_steps(one) for one in standings],
        lambda: table(headers, rows) if rows else "No workflow is open.",
    )


def _progress_page(found: "WorkflowProgress") -> str:
    workflow = found.workflow
    counts = ", ".join(f"{n} {status}" for status, n in found.counts.items())
    facts = (
        ("formula", f"{workflow.formula} version {workflow.version}"),
        (
            "progress",
            f"{bar(found.percent)} {found.percent}%, {found.ended} of {found.total} ended",
        ),
        ("steps", counts),
        ("variables", ", ".join(f"{name}={value}" for name, value in workflow.variables.items())),
        ("poured", f"{workflow.poured_at} by {workflow.poured_by}"),
        ("ended", workflow.ended_at),
    )
    shown = [step for step in found.steps if not step.milestone]
    rows = [(s.id, s.status, s.assigned_to, s.title) for s in shown[:MANY]]
    more = f"and {len(shown) - MANY} more (--json has all)" if len(shown) > MANY else ""
    return parts(
        _headline(found),
        fields(facts),
        table(("step", "status", "agent", "title"), rows) if rows else "",
        more,
    )


@FORMULA.command("squash", example='squash 299833bc --summary "Nothing found"')
@ROOT
@option("--summary", default="", help="What there is to say, for the digest.")
@DRY_RUN
def squash(run: Run, workflow: str, summary: str, dry_run: bool) -> Answer:
    """End a wisp with a digest: the root stays with it as its result, the steps leave the board."""
    with run.rehearsed(dry_run):
        ended = run.orc.workflows.squash(workflow, summary=summary)
    what = "Would squash" if dry_run else "Squashed"
    return Answer(
        ended,
        lambda: parts(
            f"{what} {ended.workflow} ({_steps(ended.steps)})", section("Digest", ended.digest)
        ),
    )


@FORMULA.command("burn", example="burn 299833bc")
@ROOT
@DRY_RUN
def burn(run: Run, workflow: str, dry_run: bool) -> Answer:
    """End a wisp without a trace on the board; the log keeps that it was."""
    with run.rehearsed(dry_run):
        ended = run.orc.workflows.burn(workflow)
    what = "Would burn" if dry_run else "Burned"
    return say(ended, f"{what} {ended.workflow} ({_steps(ended.steps)})")


@FORMULA.command("bond", example="bond 299833bc release --var version=1.2.0")
@argument("first", type=WORKFLOW_ID, help="A workflow, or a formula that is poured.")
@argument("then", type=WORKFLOW_ID, help="The one that begins when the first is done.")
@VARIABLES
@WS
@DRY_RUN
def bond(
    run: Run,
    first: str,
    then: str,
    var: tuple[tuple[str, str], ...] | None,
    vars_file: str | None,
    ws: str | None,
    dry_run: bool,
) -> Answer:
    """Chain two workflows: the second begins when the first is done."""
    values = variables(var, vars_file)
    with run.rehearsed(dry_run):
        sides = [_side(run, word) for word in (first, then)]
        formulas = [one for one in sides if not isinstance(one, str)]
        before, after = (
            one
            if isinstance(one, str)
            else cooked_for(run, one.formula.formula, _shared(values, one, formulas))
            for one in sides
        )
        try:
            bonded = run.orc.workflows.bond(before, after, workstream=ws)
        except NotFound as missing:
            said = f"{missing.message}, and there is no formula of this name"
            raise NotFound(said, code=missing.code, hint=missing.hint) from None
    said, poured = ("Would bond", "Would pour") if dry_run else ("Bonded", "Poured")
    return say(
        bonded,
        parts(
            *(f"{poured} workflow {root}" for root in bonded.poured),
            f"{said}: {bonded.then} begins when {bonded.first} is done",
        ),
    )


def _side(run: Run, word: str) -> "str | Loaded":
    """The formula of this name, if no workflow is meant; else the word as it is.

    The command itself looks for the workflow, so that a repeated request finds its answer although the
    workflow is gone by now.
    """
    try:
        run.orc.workflows.get(word)
    except NotFound:
        with suppress(NotFound):
            return run.orc.formulas.load(word)
    return word


def _shared(values: dict[str, str], formula: "Loaded", formulas: "list[Loaded]") -> dict[str, str]:
    """The values for one of two formulas: those that only the other one knows are left out."""
    own = _declared(formula)
    others = {name for one in formulas if one is not formula for name in _declared(one)}
    return {name: value for name, value in values.items() if name in own or name not in others}


def _declared(loaded: "Loaded") -> set[str]:
    return {name for one in (loaded.formula, *loaded.others.values()) for name in one.variables}


@FORMULA.command("distill", example="distill 299833bc onboarding --var customer=Acme")
@argument(
    "task", type=TASK_ID, metavar="ROOT", help="The root of a workflow, or any task with parts."
)
@argument("name", help="What the formula is to be called.")
@VARIABLE
@DRY_RUN
def distill(
    run: Run, task: str, name: str, var: tuple[tuple[str, str], ...] | None, dry_run: bool
) -> Answer:
    """Make a formula of a workflow, in the board's folder formulas/.

    Each ``--var NAME=WORD`` puts the variable NAME where WORD stood as a whole word; WORD stays its default.
    """
    with run.rehearsed(dry_run):
        text = run.orc.formulas.distill(task, name, dict(var or ()))
    if dry_run:
        return say({"formula": name, "path": None, "text": text}, escape_lines(text).rstrip("\n"))
    known = run.orc.formulas.names()
    path = run.orc.formulas.save(name, text)
    if name in known:
        warn(f"this board's {name} comes before the formula of that name that was used until now")
    return say(
        {"formula": name, "path": path, "text": text}, f"Wrote formula {name}: {escape(path)}"
    )
