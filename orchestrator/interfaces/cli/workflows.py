"""``orc formula pour``, ``wisp``, ``current``, ``squash``, ...: workflows from formulas."""

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.core.errors import NotFound
from orchestrator.core.printable import amount, escape, few
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import FORMULA
from orchestrator.interfaces.cli.formulas import (
    FORMULA_OPTIONS,
    NAME,
    VALUES,
    WS,
    Values,
    compiled_for,
    compiled_in_place,
)
from orchestrator.interfaces.cli.layout import (
    bar,
    counted,
    facts,
    lines,
    parts,
    progress_of,
    section,
    shown_time,
    table_of,
)
from orchestrator.interfaces.cli.parameters import DRY_RUN, argument, option, together
from orchestrator.interfaces.cli.rendering import Answer, present, say, warn
from orchestrator.interfaces.cli.run import Run
from orchestrator.interfaces.cli.task_lines import line, why

if TYPE_CHECKING:
    from orchestrator.domain.tasks.dependencies import Blocked
    from orchestrator.domain.workflows.commands import Bonded, EndedWisp, Poured
    from orchestrator.domain.workflows.progress import WorkflowProgress, WorkflowStanding
    from orchestrator.formulas.loading import Loaded

MANY = 50
"""Steps that a page of a workflow lists; ``--json`` has all."""

REASONS = 3
"""How many reasons a page gives for a step."""

ROOT = argument(
    "workflow", "The workflow: its root, or a step of it.", types.WORKFLOW_ID, metavar="ROOT"
)
ANY_ROOT = argument(
    "[workflow]", "The workflow; all that are open if not given.", types.WORKFLOW_ID, metavar="ROOT"
)
_POURING = together(
    NAME,
    FORMULA_OPTIONS,
    option("--assignee", "Whom the steps are given to.", types.AGENT_NAME),
    DRY_RUN,
)


# Begin


@FORMULA.command("pour", example="pour feature --var feature=Login --ws build")
@_POURING
def pour(run: Run, **options: Any) -> "Answer[Poured]":
    """Make the steps of a formula tasks, in one commit: a workflow that any agent can go on with."""
    return _pour(run, ephemeral=False, **options)


@FORMULA.command("wisp", example="wisp research --var question=Why --assignee ann")
@_POURING
def wisp(run: Run, **options: Any) -> "Answer[Poured]":
    """Pour an ephemeral workflow: no export has it, and it is collected when it is old."""
    return _pour(run, ephemeral=True, **options)


def _pour(
    run: Run, name: str, assignee: str | None, dry_run: bool, *, ephemeral: bool, **formula: Any
) -> "Answer[Poured]":
    with run.rehearsed(dry_run):
        compiled, place = compiled_in_place(run, name, **formula)
        if compiled.ephemeral and not ephemeral:
            warn(f"{name} is made to run as a wisp: `{run.prog} formula wisp {name}`")
        poured = run.orc.workflows.pour(compiled, ephemeral=ephemeral, assignee=assignee, **place)
    return poured_answer(poured, "Would pour" if dry_run else "Poured")


def poured_answer(poured: "Poured", what: str) -> "Answer[Poured]":
    """The answer of a command that poured a workflow."""
    return Answer(poured, lambda: _poured_page(poured, what))


def _poured_page(poured: "Poured", what: str) -> str:
    kind = "wisp" if poured.workflow.ephemeral else "workflow"
    steps = few(poured.steps, MANY, lambda step: f"{step.id}: {escape(step.title)}")
    title, number = escape(poured.root.title), amount(len(poured.steps), "step")
    first = f"{what} {kind} {poured.root.id}: {title} ({number})"
    return parts(first, *(f"  {step}" for step in steps))


@FORMULA.command("bond", example="bond 299833bc release --var version=1.2.0")
@argument("first", "A workflow, or a formula that is poured.", types.WORKFLOW_ID)
@argument("then", "The one that begins when the first is done.", types.WORKFLOW_ID)
@VALUES
@WS
@DRY_RUN
def bond(
    run: Run, first: str, then: str, values: Values | None, dry_run: bool, **how: Any
) -> "Answer[Bonded]":
    """Chain two workflows: the second begins when the first is done."""
    with run.rehearsed(dry_run):
        sides = [_side(run, word) for word in (first, then)]
        formulas = [side for side in sides if not isinstance(side, str)]
        before, after = (
            side
            if isinstance(side, str)
            else compiled_for(run, side.formula.formula, _shared(values or {}, side, formulas))
            for side in sides
        )
        try:
            bonded = run.orc.workflows.bond(before, after, **how)
        except NotFound as missing:
            message = f"{missing.message}, and there is no formula of this name"
            raise NotFound(message, code=missing.code, hint=missing.hint) from None
    done, poured = ("Would bond", "Would pour") if dry_run else ("Bonded", "Poured")
    return say(
        bonded,
        parts(
            *(f"{poured} workflow {root}" for root in bonded.poured),
            f"{done}: {bonded.then} begins when {bonded.first} is done",
        ),
    )


def _side(run: Run, word: str) -> "str | Loaded":
    """The formula of this name, if there is no such workflow; else the word as it is.

    The command itself looks up the workflow, so that a repeated request finds its answer even if the workflow
    is gone.
    """
    try:
        run.orc.workflows.get(word)
    except NotFound:
        with suppress(NotFound):
            return run.orc.formulas.load(word)
    return word


def _shared(values: Values, formula: "Loaded", formulas: "list[Loaded]") -> Values:
    """The values for one of two formulas, without values that only the other formula knows."""
    own = _declared(formula)
    others = {name for other in formulas if other is not formula for name in _declared(other)}
    return {name: value for name, value in values.items() if name in own or name not in others}


def _declared(loaded: "Loaded") -> set[str]:
    formulas = (loaded.formula, *loaded.others.values())
    return {name for formula in formulas for name in formula.variables}


# Follow


@FORMULA.command("current", example="current 299833bc", reads=True)
@ANY_ROOT
def current(run: Run, workflow: str | None) -> "Answer[WorkflowStanding | list[WorkflowStanding]]":
    """Show the steps of a workflow: in work, ready, stuck and waiting, with the reasons.

    Without a workflow, show those of the acting agent, or all open ones if it has none.
    """
    if workflow is not None:
        progress = run.orc.workflows.standing(workflow)
        return Answer(_without_steps(progress), lambda: _current_page(progress))
    mine = run.orc.workflows.all(agent=run.agent) or run.orc.workflows.all()
    several = [run.orc.workflows.standing(each.root) for each in mine]
    return Answer(
        list(map(_without_steps, several)),
        lambda: lines(map(_current_page, several), empty="No workflow is open."),
    )


def _without_steps(progress: "WorkflowProgress") -> "WorkflowStanding":
    from orchestrator.domain.workflows.progress import WorkflowStanding

    return msgspec.convert(progress, WorkflowStanding, from_attributes=True)


def _current_page(progress: "WorkflowProgress") -> str:
    return parts(
        _headline(progress),
        _group("at work", [line(task) for task in progress.current]),
        _group("in review", [f"{line(task)}\n  `t approve {task.id}`" for task in progress.review]),
        _group("ready", [line(task) for task in progress.ready]),
        _group("stuck", list(map(_kept_back, progress.stuck))),
        _group("waiting", list(map(_kept_back, progress.waiting))),
    )


def _kept_back(blocked: "Blocked") -> str:
    reasons = few(blocked.by, REASONS, why, "and {} more reasons")
    return f"{line(blocked.task)}\n  {'; '.join(reasons)}"


def _group(title: str, entries: list[str]) -> str:
    """Entries under a title; empty without entries."""
    shown = few(entries, MANY, more="and {} more (--json has all)")
    text = "\n".join(shown).replace("\n", "\n    ")
    return f"  {title}:\n    {text}" if entries else ""


def _headline(progress: "WorkflowProgress") -> str:
    kind = ", wisp" if progress.workflow.ephemeral else ""
    ended = f"{progress.ended} of {progress.total} steps ended{kind}"
    return f"[{progress.status}] {progress.workflow.root}: {escape(progress.title)} ({ended})"


@FORMULA.command("progress", example="progress 299833bc", reads=True)
@ANY_ROOT
def progress(run: Run, workflow: str | None) -> "Answer[WorkflowProgress | list[WorkflowStanding]]":
    """Show how far workflows are; of one of them every step."""
    if workflow is not None:
        return present(run.orc.workflows.standing(workflow), _progress_page)
    several = [run.orc.workflows.standing(each.root) for each in run.orc.workflows.all()]
    table = table_of(
        several,
        ("workflow", lambda each: each.workflow.root),
        "status",
        ("progress", lambda each: bar(each.percent)),
        ("ended", lambda each: f"{each.ended}/{each.total}"),
        "title",
    )
    return say(list(map(_without_steps, several)), table or "No workflow is open.")


def _progress_page(progress: "WorkflowProgress") -> str:
    workflow = progress.workflow
    steps = [step for step in progress.steps if not step.milestone]
    known = facts(
        progress,
        ("formula", lambda _: f"{workflow.formula} version {workflow.version}"),
        ("progress", progress_of),
        ("steps", lambda _: counted(progress.counts)),
        ("variables", lambda _: [f"{name}={value}" for name, value in workflow.variables.items()]),
        ("poured", lambda _: f"{shown_time(workflow.poured_at)} by {workflow.poured_by}"),
        ("ended", lambda _: shown_time(workflow.ended_at)),
    )
    return parts(
        _headline(progress),
        known,
        table_of(steps[:MANY], ("step", "id"), "status", ("agent", "assigned_to"), "title"),
        f"and {len(steps) - MANY} more (--json has all)" if len(steps) > MANY else "",
    )


# End


@FORMULA.command("squash", example='squash 299833bc --summary "Nothing found"')
@ROOT
@option("--summary", "The text of the digest.", default="")
@DRY_RUN
def squash(run: Run, workflow: str, summary: str, dry_run: bool) -> "Answer[EndedWisp]":
    """End a wisp with a digest: the root stays with it as its result, the steps leave the board."""
    with run.rehearsed(dry_run):
        ended = run.orc.workflows.squash(workflow, summary=summary)
    done = f"{'Would squash' if dry_run else 'Squashed'} {ended.workflow} ({amount(ended.steps, 'step')})"
    return Answer(ended, lambda: parts(done, section("Digest", ended.digest)))


@FORMULA.command("burn", example="burn 299833bc", destructive=True)
@ROOT
@DRY_RUN
def burn(run: Run, workflow: str, dry_run: bool) -> "Answer[EndedWisp]":
    """End a wisp without a trace on the board; the log keeps that it was."""
    with run.rehearsed(dry_run):
        ended = run.orc.workflows.burn(workflow)
    done = "Would burn" if dry_run else "Burned"
    return say(ended, f"{done} {ended.workflow} ({amount(ended.steps, 'step')})")
