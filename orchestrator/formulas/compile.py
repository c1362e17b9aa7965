"""Cooking: from a formula and variables to the steps of a workflow, as a pure function.

The order of the passes is the meaning of a formula: loops, branches and gates, the formula's own advice,
expansions, aspects, conditions, and last of all the texts are filled.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from orchestrator.core import clock, names
from orchestrator.core.errors import (
    did_you_mean,
)
from orchestrator.core.problems import (
    Problems,
)
from orchestrator.core.topological import topological_order
from orchestrator.domain.tasks import resources, verification
from orchestrator.domain.validation import (
    LONGEST_TITLE,
    check_priority,
    check_required,
    check_text,
    check_title,
)
from orchestrator.domain.workflows.compiled import MILESTONE, Cooked, CookedGate, CookedStep
from orchestrator.domain.workflows.records import Condense
from orchestrator.formulas import expanding, fan_out
from orchestrator.formulas.advising import advise, stand_ins
from orchestrator.formulas.checking import NEEDS_ITSELF
from orchestrator.formulas.conditions import leave_out
from orchestrator.formulas.drafts import Draft, drafts_of, filled, waits_of
from orchestrator.formulas.graph import StepGraph
from orchestrator.formulas.library import Loaded
from orchestrator.formulas.loops import unroll
from orchestrator.formulas.reading import MEND
from orchestrator.formulas.schema import GATES, StepGate
from orchestrator.formulas.variables import VARIABLE, Budget, Values

SHOWN = 20
"""Steps of a circle that are shown."""

STANDS_FOR = "Stands for the step that this goes around; it is done by itself."


def cook(
    loaded: Loaded,
    variables: Mapping[str, str] | None = None,
    *,
    preset: str | None = None,
    strict: bool = True,
    title: str = "",
    description: str = "",
) -> Cooked:
    """Cook a formula.

    Args:
        loaded: The formula with all that it is put together from.
        variables: Values by name.
        preset: Of a convoy formula: the choice of legs.
        strict: Every variable that is asked for must have a value. Otherwise its placeholder stays, and steps
            whose condition is not known stay too: for looking at a formula.
        title: Of an expansion that is cooked alone: what its target is called.
        description: The same: what its target is.

    Returns:
        The steps, each behind what it needs and what it is a part of.

    Raises:
        BadInput: Values are missing or not allowed, steps wait for each other in a circle, or a text or
            name is not allowed; ``problems`` names every place.
        UsageError: There is no such preset.
    """
    formula, problems = loaded.formula, Problems()
    formulas = (formula, *loaded.others.values())
    budget = Budget()
    values = Values(formulas, variables or {}, problems, budget, strict=strict)
    graph = StepGraph(values.text, budget)
    cooking = _Cooking(loaded, graph, values, problems)
    cooking.begin(preset, title, description)
    cooking.rewire()
    leave_out(graph, {draft.id for draft in graph if not cooking.stays(draft)})
    steps = cooking.finished()
    about = problems.attempt(formula.at, values.text, formula.description, formula.at) or ""
    values.check()
    _check(loaded, problems)
    squash = formula.squash
    return Cooked(
        formula=formula.formula,
        title=values.titled(formula.formula),
        version=formula.version,
        type=formula.type,
        description=about,
        variables=values.used,
        ephemeral=formula.is_ephemeral,
        review_only=bool(formula.review_only),
        condense=None
        if squash is None
        else Condense(
            by_itself=squash.trigger == "on_complete",
            kind=squash.template_type,
            metrics=squash.include_metrics,
        ),
        steps=steps,
        warnings=(*loaded.warnings, *cooking.warnings),
        runtime=values.runtime,
    )


def _check(loaded: Loaded, problems: Problems) -> None:
    """Refuse a formula if anything is wrong with its files, or was when it was cooked.

    What the files' own checks told of a place is not told again in the words of cooking.
    """
    in_files = loaded.misread or loaded.wrong
    in_values = any(place.startswith(VARIABLE) for place, _ in problems)
    found = Problems(
        f"Formula {loaded.formula.formula} cannot be cooked",
        code="bad_formula",
        hint="`formula show` lists its variables; --var NAME=VALUE gives one."
        if in_values and not in_files
        else MEND,
    )
    found.add(loaded.misread)
    found.add(loaded.wrong)
    found.add(problems, unless=loaded.wrong)
    found.check()


class _Cooking:
    """One cooking: the graph on its way through the passes."""

    def __init__(
        self, loaded: Loaded, graph: StepGraph, values: Values, problems: Problems
    ) -> None:
        self._formula = loaded.formula
        self._others = loaded.others
        self._graph = graph
        self._values = values
        self._problems = problems
        self._parents: set[str | None] = set()
        self.warnings: list[str] = []

    def begin(self, preset: str | None, title: str, description: str) -> None:
        """Put the formula's own steps into the graph."""
        formula = self._formula
        fan_out.legs_of(formula, preset)  # refuses a preset that is not there
        if formula.type == "convoy":
            self._problems.attempt(
                formula.at, fan_out.run_legs, self._graph, formula, self._values, preset
            )
        else:
            for draft in drafts_of(formula.steps):
                self._problems.attempt(f"{draft.at}: id", self._graph.add, [draft])
        if formula.type == "expansion":
            target = Draft(id=formula.formula, title=title, description=description, at=formula.at)
            self._graph.add([target])
            rule: tuple[str, Mapping[str, str]] = (formula.at, {})
            how = (self._graph, target, formula, rule, self._values, self._problems)
            self._problems.attempt(formula.at, expanding.expand, *how, is_data=True)
        if formula.type == "aspect":
            self._graph.add(stand_ins(formula))

    def rewire(self) -> None:
        """Loops, branches and gates, own advice, expansions, aspects."""
        formula, graph, problems = self._formula, self._graph, self._problems
        unroll(graph, self._values, problems)
        self._branch()
        self._gate()
        values, others = self._values, self._others
        self.warnings += advise(graph, formula, values, problems)
        if formula.type == "aspect":
            for draft in graph:
                if not draft.inserted:
                    draft.type, draft.description = MILESTONE, STANDS_FOR
        expanding.expand_inline(graph, others, values, problems)
        expanding.expand_composed(graph, formula, others, values, problems)
        for aspect in formula.compose.aspects:
            if aspect in others:
                self.warnings += advise(graph, others[aspect], values, problems)

    def _branch(self) -> None:
        for branch in self._formula.compose.branch:
            for step in branch.steps:
                self._wait(branch.at, step, [branch.from_])
            self._wait(branch.at, branch.join, branch.steps)

    def _wait(self, place: str, step: str, needs: Iterable[str]) -> None:
        draft = self._found(place, step)
        for need in needs:
            if self._found(place, need) is not None and draft is not None:
                draft.needs = list(dict.fromkeys([*draft.needs, need]))

    def _gate(self) -> None:
        for rule in self._formula.compose.gate:
            draft = self._found(rule.at, rule.before)
            if draft is not None:
                gate = StepGate(type="conditional", condition=rule.condition, at=rule.at)
                draft.gates = [*draft.gates, gate]

    def _found(self, place: str, step: str) -> Draft | None:
        draft = self._graph.get(step)
        if draft is None and step:
            near = did_you_mean(step, [one.id for one in self._graph])
            self._problems.note(place, f"there is no step {step!a}{near}")
        return draft

    def stays(self, draft: Draft) -> bool:
        """Whether no condition leaves the step out."""
        held = [self._holds(condition, f"{draft.at}: condition") for condition in draft.conditions]
        return all(held)  # of each, so that every variable that is missing is named

    def _holds(self, condition: str, place: str) -> bool:
        said = self._problems.attempt(place, self._values.holds, condition)
        return said is not False

    # The end

    def finished(self) -> tuple[CookedStep, ...]:
        """The steps with their texts filled, in order; what is wrong with them is noted."""
        self._move_timers()
        drafts = [self._filled(draft) for draft in self._graph]
        by_id = {draft.id: draft for draft in drafts}  # the graph has each id once
        for draft in drafts:
            self._check_names(draft, by_id)
        self._parents = {draft.parent for draft in drafts}
        order = self._ordered(by_id)
        return tuple(self._step(by_id[step]) for step in order or by_id)

    def _move_timers(self) -> None:
        """A timer of a step with parts holds for those of them that begin, milestones aside."""
        parts = self._graph.parts()
        for draft in self._graph:
            timers = [gate for gate in draft.gates if gate.type == "timer"]
            if timers and draft.id in parts:
                draft.gates = [gate for gate in draft.gates if gate.type != "timer"]
                own = {part: self._graph[part] for part in parts[draft.id]}
                idle = {
                    step.id
                    for step in own.values()
                    if step.type == MILESTONE
                    and step.id not in parts
                    and own.keys().isdisjoint(step.needs)
                }
                for part in own.keys() - idle:
                    if (own.keys() - idle).isdisjoint(own[part].needs):
                        own[part].gates = [*timers, *own[part].gates]

    def _filled(self, draft: Draft) -> Draft:
        """The draft with every text filled; what is empty then is left out of its lists."""
        values = self._values

        def fill(text: str) -> str:
            said = self._problems.attempt(draft.at, values.text, text, draft.at)
            return "" if said is None else said

        commands = [
            self._problems.attempt(f"{draft.at}: verify", values.command, command, draft.at)
            for command in draft.verify
        ]
        draft.verify, draft.conditions = [], []
        made = filled(draft, fill)
        made.verify = [command for command in commands if command]
        made.artifacts = [path for path in made.artifacts if path]
        made.touches = [name for name in made.touches if name]
        return made

    def _check_names(self, draft: Draft, by_id: Mapping[str, Draft]) -> None:
        """Note ids that cannot be part of a task's id, and steps that are named and are not there."""
        if self._values.strict or "{" not in draft.id:
            self._problems.attempt(f"{draft.at}: id", names.name, "step", draft.id)
        _, of = waits_of(draft)
        for key, named in (*(("needs", need) for need in draft.needs), ("waits_for", of)):
            if named is not None and named not in by_id:
                near = did_you_mean(named, by_id)
                self._problems.note(f"{draft.at}: {key}", f"there is no step {named!a}{near}")

    def _ordered(self, by_id: Mapping[str, Draft]) -> list[str]:
        """The ids in order; steps that wait for one another are noted."""
        parts = self._graph.parts()
        waits = {draft.id: {*self._graph.waits(draft, parts)} for draft in self._graph}
        while circle := topological_order(waits)[1]:
            ids = circle[::-1]
            said = f"these wait for one another: {' -> '.join(_shown(ids))}"
            self._problems.note(
                _places([by_id[step].at for step in ids[1:]]),
                NEEDS_ITSELF if len(ids) == 2 else said,
            )
            waits = {
                step: before.difference(ids) for step, before in waits.items() if step not in ids
            }
        behind = {
            step: by_id.keys() & {*draft.needs, draft.parent} for step, draft in by_id.items()
        }
        return topological_order(behind)[0]

    def _step(self, draft: Draft) -> CookedStep:
        """A step whose every field a task can take; what it cannot take is noted."""

        def tried(key: str, call: Callable[..., T], *args: object, **named: object) -> T | None:
            return self._problems.attempt(f"{draft.at}: {key}", call, *args, **named)

        for gate in draft.gates:
            if gate.type == "timer" and draft.type == MILESTONE:
                self._problems.note(
                    gate.at, "a milestone has no timer: the step after it may have one"
                )
        if draft.assignee.startswith("@"):
            self._problems.note(
                f"{draft.at}: assignee", f"{draft.assignee!a} is a group, not an agent"
            )
        title = draft.title if draft.title.strip() else draft.id[:LONGEST_TITLE]
        how, of = waits_of(draft)
        own = (of is None and draft.id in self._parents) or of == draft.id
        given: dict[str, Any] = {
            "verify": draft.verify,
            "artifacts": draft.artifacts,
            "review": draft.review or None,
            "timeout": draft.verify_timeout if draft.verify and draft.verify_timeout else None,
        }
        checks = tried("verify", verification.checks_of, None, **given)
        gates = [
            self._problems.attempt(gate.at, _gate, gate)
            for gate in draft.gates
            if gate.type != "task"
        ]
        outside = [
            self._problems.attempt(gate.at, _named, gate)
            for gate in draft.gates
            if gate.type == "task"
        ]
        return CookedStep(
            id=draft.id,
            title=tried("title", check_title, title) or "",
            description=tried("description", check_text, "description", draft.description) or "",
            type=tried("type", names.name, "type", draft.type or "task") or "",
            priority=None
            if draft.priority is None
            else tried("priority", check_priority, draft.priority),
            labels=tuple(
                tried("labels", names.name, "label", label) or "" for label in draft.labels if label
            ),
            needs=tuple(draft.needs),
            parent=draft.parent,
            waits_for=how if own else f"{how}:{of}" if of else "",
            gates=tuple(gate for gate in gates if gate is not None),
            outside=tuple(task or "" for task in outside),
            until=draft.until,
            assignee=(tried("assignee", names.agent, draft.assignee) or "")
            if draft.assignee
            else "",
            acceptance=tried("acceptance", check_text, "acceptance", draft.acceptance) or "",
            verify=() if checks is None else checks.verify,
            verify_timeout=None if checks is None else checks.timeout,
            artifacts=() if checks is None else checks.artifacts,
            review=draft.review,
            touches=tuple(tried("touches", _touched, name) or "" for name in draft.touches),
            estimate=tried("estimate", _minutes, draft.estimate),
            source=draft.at,
        )


T = TypeVar("T")


def _places(places: Iterable[str]) -> str:
    """Several places, each file said once."""
    by_file: dict[str, dict[str, None]] = {}
    for at in places:
        file, _, place = at.partition(": ")
        by_file.setdefault(file, {})[place] = None
    return "; ".join(f"{file}: {', '.join(_shown([*ids]))}" for file, ids in by_file.items())


def _shown(words: Sequence[str]) -> Sequence[str]:
    """As many of many words as people read."""
    return words if len(words) <= SHOWN else [*words[: SHOWN - 1], "...", words[-1]]


def _named(gate: StepGate) -> str:
    """What a gate waits for.

    Raises:
        UsageError: Nothing, once its texts were filled.
    """
    return check_required("gate", gate.condition if gate.type == "conditional" else gate.id)


def _gate(gate: StepGate) -> CookedGate:
    """The signal that a gate waits for."""
    if gate.type == "timer":
        seconds = clock.duration(gate.timeout or gate.id)
        return CookedGate(type="timer", name=clock.spoken(seconds), seconds=seconds)
    if gate.type in GATES and gate.type != "human":
        name = _named(gate)
    else:
        name = gate.id or gate.condition or gate.type
    return CookedGate(
        type="condition" if gate.type == "conditional" else gate.type,
        name=check_text("gate", name),
        seconds=clock.duration(gate.timeout) if gate.timeout else None,
    )


def _touched(name: str) -> str:
    resources.parse(name)  # refuses what is no resource
    return name


def _minutes(said: str | float | None) -> float | None:
    if said is None or said == "":
        return None
    if isinstance(said, str) and not said.strip()[-1:].isdecimal():
        return clock.duration(said) / 60
    return clock.duration(said)
