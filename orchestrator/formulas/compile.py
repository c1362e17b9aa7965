"""The compiler of formulas: a pure function from a formula and variables to the steps of a workflow.

The order of the passes is the meaning of a formula: loops, branches and gates, the formula's own advice,
expansions, aspects, conditions; the texts are filled last.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from orchestrator.core import clock, names
from orchestrator.core.errors import UsageError
from orchestrator.core.printable import one_line, shortened
from orchestrator.core.problems import Problems
from orchestrator.core.progress import ShowProgress, no_progress
from orchestrator.core.topological import topological_order
from orchestrator.domain.tasks.checks import Checks
from orchestrator.domain.tasks.facts import NO_FACTS
from orchestrator.domain.tasks.given_facts import STEP_FACTS, changed_facts, check_fact
from orchestrator.domain.tasks.relations import ForEach
from orchestrator.domain.validation import LONGEST_TITLE, check_required, check_text
from orchestrator.domain.workflows.compiled import (
    MILESTONE,
    CompiledFormula,
    CompiledGate,
    CompiledStep,
)
from orchestrator.domain.workflows.items import wanted_result
from orchestrator.domain.workflows.records import Condense
from orchestrator.formulas.advice import advise, example_targets
from orchestrator.formulas.conditions import holds
from orchestrator.formulas.expansions import Expander
from orchestrator.formulas.fan_out import fan_out, selected_legs
from orchestrator.formulas.graph import StepGraph
from orchestrator.formulas.loading import Loaded
from orchestrator.formulas.loops import unroll
from orchestrator.formulas.parse import MEND
from orchestrator.formulas.pruning import prune
from orchestrator.formulas.schema import GATES, OnComplete, Squash, StepGate
from orchestrator.formulas.steps import (
    Draft,
    awaited,
    drafts_of,
    is_milestone,
    map_texts,
    task_gates,
    unique,
)
from orchestrator.formulas.validate import NEEDS_ITSELF
from orchestrator.formulas.values import VARIABLE, Values

SHOWN = 20
"""How many steps of a circle are shown."""

LONGEST_VALUE = 60
"""The largest length of a value in the title of a workflow."""

EACH = "each"
"""The id, after that of a step with ``on_complete``, of the milestone whose children it adds."""

PLACEHOLDER_STEP = "Stands for the step that this advice is put around; it completes automatically."

_FILLED_BEFORE = ("place", "id", "needs", "waits_for", "parent", "expand", "expand_vars", "verify")
"""Fields that are filled earlier than the other texts, or as commands."""


def compile_formula(
    loaded: Loaded,
    variables: Mapping[str, str] | None = None,
    *,
    preset: str | None = None,
    strict: bool = True,
    title: str = "",
    description: str = "",
    progress: ShowProgress = no_progress,
) -> CompiledFormula:
    """Compile a formula.

    Args:
        loaded: The formula with the formulas that it is composed of.
        variables: Values by name.
        preset: Of a convoy formula: the selection of legs.
        strict: Every variable that is used must have a value. Otherwise its placeholder stays, and steps with
            an unknown condition stay too: for showing a formula.
        title: Of an expansion that is compiled alone: the title of the step that it replaces.
        description: Of the same step.
        progress: Shows how many steps are compiled.

    Returns:
        The steps, each after its needs and its parent.

    Raises:
        BadInput: Values are missing or not allowed, steps wait for each other in a circle, or a text or
            name is not allowed; ``problems`` lists every place.
        UsageError: There is no such preset.
    """
    formula, problems = loaded.formula, Problems()
    values = Values((formula, *loaded.others.values()), variables or {}, problems, strict=strict)
    compilation = _Compilation(loaded, values, problems)
    compilation.add_steps(preset, title, description)
    compilation.rewire()
    compilation.check_references()
    compilation.prune()
    compilation.add_items()
    steps = compilation.finish(progress)
    root_description = problems.attempt(
        formula.place, values.fill, formula.description, formula.place
    )
    values.check()
    _check(loaded, problems)
    return CompiledFormula(
        formula=formula.formula,
        title=_title(formula.formula, values),
        version=formula.version,
        type=formula.type,
        description=root_description or "",
        variables=values.used,
        ephemeral=formula.is_ephemeral,
        review_only=bool(formula.review_only),
        condense=_condense(formula.squash),
        steps=steps,
        warnings=(*loaded.warnings, *compilation.warnings),
        runtime=values.runtime,
    )


def _check(loaded: Loaded, problems: Problems) -> None:
    """Refuse a formula with problems in its files or its compilation; report each place once."""
    in_files = loaded.misread or loaded.invalid
    in_values = any(place.startswith(VARIABLE) for place, _ in problems)
    every = Problems(
        f"Formula {loaded.formula.formula} cannot be cooked",
        code="bad_formula",
        hint="`formula show` lists its variables; --var NAME=VALUE gives one."
        if in_values and not in_files
        else MEND,
    )
    every.add(loaded.misread)
    every.add(loaded.invalid)
    every.add(problems, unless=loaded.invalid)
    every.check()


def _condense(squash: Squash | None) -> Condense | None:
    if squash is None:
        return None
    return Condense(
        by_itself=squash.trigger == "on_complete",
        kind=squash.template_type,
        metrics=squash.include_metrics,
    )


def _title(formula: str, values: Values) -> str:
    """The title of a workflow: the formula, with the values that distinguish it from other workflows of it.

    These are the required ones first, then others that were given and are not their defaults.
    """
    required = [name for name, variable in values.declared.items() if variable.required]
    given = (name for name in values.declared if name in values.given)
    shown = (
        f"{name}={one_line(value, LONGEST_VALUE)}"
        for name in unique((*required, *given))
        if (value := values.known.get(name))
        and (name in required or value != values.defaults.get(name))
    )
    return shortened(": ".join(filter(None, [formula, ", ".join(shown)])), LONGEST_TITLE)


class _Compilation:
    """One compilation: the graph, and the passes over it in their order."""

    def __init__(self, loaded: Loaded, values: Values, problems: Problems) -> None:
        self._loaded = loaded
        self._values = values
        self._problems = problems
        self._graph = StepGraph(values)
        self._expander = Expander(self._graph, loaded.others, values, problems)
        self.warnings: list[str] = []

    def add_steps(self, preset: str | None, title: str, description: str) -> None:
        """Put the formula's own steps into the graph."""
        formula, graph, problems = self._loaded.formula, self._graph, self._problems
        legs = selected_legs(formula, preset)  # refuses an unknown preset
        if formula.type == "convoy":
            problems.attempt(formula.place, lambda: graph.add(fan_out(formula, self._values, legs)))
        else:
            for draft in drafts_of(formula.steps):
                problems.attempt(f"{draft.place}: id", graph.add, [draft])
        if formula.type == "expansion":
            place = formula.place
            target = Draft(id=formula.formula, title=title, description=description, place=place)
            graph.add([target])
            expand = self._expander.expand
            problems.attempt(place, expand, target, formula, place, {}, is_data=True)
        if formula.type == "aspect":
            graph.add(example_targets(formula))

    def rewire(self) -> None:
        """Apply loops, branches and gates, own advice, expansions, aspects."""
        formula, graph = self._loaded.formula, self._graph
        unroll(graph, self._values, self._problems)
        for branch in formula.compose.branch:
            for step in branch.steps:
                self._add_needs(branch.place, step, [branch.from_])
            self._add_needs(branch.place, branch.join, branch.steps)
        for rule in formula.compose.gate:
            draft = self._graph.find(rule.before, rule.place, self._problems)
            if draft is not None:
                gate = StepGate(type="conditional", condition=rule.condition, place=rule.place)
                draft.gates = (*draft.gates, gate)
        self.warnings += advise(graph, formula, self._values, self._problems)
        if formula.type == "aspect":
            for draft in graph:
                if not draft.inserted:
                    draft.type, draft.description = MILESTONE, PLACEHOLDER_STEP
        self._expander.expand_inline()
        self._expander.expand_composed(formula)
        for aspect in formula.compose.aspects:
            if other := self._loaded.others.get(aspect):
                self.warnings += advise(graph, other, self._values, self._problems)

    def _add_needs(self, place: str, step: str, needs: Iterable[str]) -> None:
        draft = self._graph.find(step, place, self._problems)
        for need in needs:
            if self._graph.find(need, place, self._problems) is not None and draft is not None:
                draft.needs = unique((*draft.needs, need))

    def check_references(self) -> None:
        """Note ids that cannot be part of a task's id, and references to steps that do not exist."""
        for draft in self._graph:
            if self._values.strict or "{" not in draft.id:
                self._problems.attempt(f"{draft.place}: id", names.name, "step", draft.id)
            for need in draft.needs:
                self._graph.find(need, f"{draft.place}: needs", self._problems)
            self._graph.find(awaited(draft)[1] or "", f"{draft.place}: waits_for", self._problems)

    def prune(self) -> None:
        """Remove the steps with a false condition."""
        dropped = set()
        for draft in self._graph:
            place = f"{draft.place}: condition"
            for condition in draft.conditions:  # all, so that every missing variable is reported
                if self._problems.attempt(place, holds, condition, self._values) is False:
                    dropped.add(draft.id)
        prune(self._graph, dropped)

    def add_items(self) -> None:
        """Put a milestone after each step with ``on_complete``; what is added then becomes its children.

        Who needs the step, or waits for children that it gets only then, waits for the milestone.
        """
        sources = {draft.id: draft for draft in self._graph if draft.on_complete is not None}
        parents = {draft.parent for draft in self._graph} if sources else set()
        for draft in [*self._graph] if sources else ():
            how, of = awaited(draft)
            if not draft.waits_for or of in parents:
                continue
            is_own = of == draft.id and not sources.keys().isdisjoint(draft.needs)
            if not is_own and of not in sources:
                continue
            if how == "any":
                message = "what a step adds when it is done can only be waited for as a whole"
                self._problems.note(f"{draft.place}: waits_for", message)
            draft.waits_for = ""
            draft.needs = draft.needs if is_own else unique((*draft.needs, of or ""))
        for draft in sources.values():
            rule = draft.on_complete
            assert rule is not None
            each = Draft(
                id=f"{draft.id}.{EACH}",
                title=f"{rule.bond} for each of {rule.for_each}",
                type=MILESTONE,
                on_complete=rule,
                place=rule.place,
            )
            self._problems.attempt(rule.place, self._graph.put_after, draft, each)

    # The compiled steps

    def finish(self, progress: ShowProgress) -> tuple[CompiledStep, ...]:
        """Fill all texts, put the steps in order, and check them."""
        self._move_timers()
        by_id = {draft.id: self._fill(draft) for draft in self._graph}
        parents = {draft.parent for draft in by_id.values()}
        order = self._in_order(by_id)
        steps = progress(order or [*by_id], "Compiling steps")
        return tuple(self._compiled(by_id[step], parents) for step in steps)

    def _move_timers(self) -> None:
        """Move the timers of a step with children to the children that start first, except milestones."""
        by_parent = self._graph.children()
        for draft in self._graph:
            timers = tuple(gate for gate in draft.gates if gate.type == "timer")
            if not timers or draft.id not in by_parent:
                continue
            draft.gates = tuple(gate for gate in draft.gates if gate.type != "timer")
            children = {child: self._graph[child] for child in by_parent[draft.id]}
            first = {c.id for c in children.values() if children.keys().isdisjoint(c.needs)}
            idle = {c for c in first if children[c].type == MILESTONE and c not in by_parent}
            for child in children.keys() - idle:
                if (children.keys() - idle).isdisjoint(children[child].needs):
                    children[child].gates = timers + children[child].gates

    def _fill(self, draft: Draft) -> Draft:
        """Fill every text of a draft; items of lists that are empty then are left out."""

        def fill(text: str) -> str:
            return self._problems.attempt(draft.place, self._values.fill, text, draft.place) or ""

        commands = [
            self._problems.attempt(
                f"{draft.place}: verify", self._values.fill_command, command, draft.place
            )
            for command in draft.verify
        ]
        draft.conditions = ()
        if draft.on_complete is not None and draft.type != MILESTONE:
            wanted = wanted_result(_for_each(draft.id, draft.on_complete))
            draft.description = f"{draft.description.rstrip()}\n\n{wanted}".lstrip()
        filled: Draft = map_texts(draft, fill, _FILLED_BEFORE)
        filled.verify = tuple(command for command in commands if command)
        for name in ("artifacts", "touches", "labels"):
            setattr(filled, name, tuple(filter(None, getattr(filled, name))))
        return filled

    def _in_order(self, by_id: Mapping[str, Draft]) -> list[str]:
        """The ids in order; note every circle of steps that wait for one another."""
        children = self._graph.children()
        waits = {draft.id: {*self._graph.prerequisites(draft, children)} for draft in self._graph}
        while circle := topological_order(waits)[1]:
            ids = circle[::-1]
            message = f"these wait for one another: {' -> '.join(_shortened(ids))}"
            places = _places([by_id[step].place for step in ids[1:]])
            self._problems.note(places, NEEDS_ITSELF if len(ids) == 2 else message)
            waits = {s: before.difference(ids) for s, before in waits.items() if s not in ids}
        return topological_order(
            {step: by_id.keys() & {*draft.needs, draft.parent} for step, draft in by_id.items()}
        )[0]

    def _compiled(self, draft: Draft, parents: set[str | None]) -> CompiledStep:
        """A step with valid facts of a task; note the invalid ones."""
        place = draft.place
        how, of = awaited(draft)
        is_own = (of is None and draft.id in parents) or of == draft.id
        signals = [gate for gate in draft.gates if gate.type != "task"]
        for gate in signals:
            if gate.type == "timer" and draft.type == MILESTONE:
                message = "a milestone has no timer: the step after it may have one"
                self._problems.note(gate.place, message)
        gates = [self._problems.attempt(gate.place, _compiled_gate, gate) for gate in signals]
        tasks = [self._problems.attempt(g.place, _awaited_name, g) for g in task_gates(draft)]
        return CompiledStep(
            id=draft.id,
            needs=draft.needs,
            parent=draft.parent,
            waits_for=how if is_own else f"{how}:{of}" if of else "",
            gates=tuple(gate for gate in gates if gate is not None),
            outside=tuple(task for task in tasks if task is not None),
            source=place,
            for_each=_for_each(draft.id.removesuffix(f".{EACH}"), draft.on_complete)
            if draft.on_complete is not None and is_milestone(draft)
            else None,
            **self._facts(draft),
        )

    def _facts(self, draft: Draft) -> dict[str, Any]:
        """The facts of a step's task; note the invalid ones."""
        place, attempt = draft.place, self._problems.attempt
        given = {name: getattr(draft, name) for name in STEP_FACTS}
        given["title"] = draft.title if draft.title.strip() else draft.id[:LONGEST_TITLE]
        given["type"] = draft.type or "task"
        if draft.estimate not in (None, ""):
            given["estimate"] = attempt(f"{place}: estimate", _minutes, draft.estimate)
        facts: dict[str, Any] = {"until": draft.until}
        if draft.assignee:
            facts["assignee"] = attempt(f"{place}: assignee", _assignee, draft.assignee)
        checks = {name: given.pop(name) or None for name in _CHECKS}
        checks["verify_timeout"] = checks["verify"] and checks["verify_timeout"]
        changed = attempt(f"{place}: verify", changed_facts, checks, NO_FACTS, None) or {}
        if changed:
            due: Checks = changed["checks"]
            facts |= {"verify": due.verify, "verify_timeout": due.timeout}
            facts |= {"artifacts": due.artifacts, "review": due.review}
        for name, value in given.items():
            if isinstance(value, tuple):  # each item alone, so that every problem is reported
                facts[name] = tuple(
                    chain.from_iterable(
                        attempt(f"{place}: {name}", check_fact, name, (item,)) or ()
                        for item in value
                    )
                )
            elif value not in (None, ""):
                facts[name] = attempt(f"{place}: {name}", check_fact, name, value)
        return {name: fact for name, fact in facts.items() if fact is not None}


def _for_each(step: str, rule: OnComplete) -> ForEach:
    return ForEach(
        step=step,
        list=rule.for_each,
        formula=rule.bond,
        variables=rule.vars,
        sequential=bool(rule.sequential),
    )


_CHECKS = ("verify", "verify_timeout", "artifacts", "review")


def _assignee(agent: str) -> str:
    if agent.startswith("@"):
        raise UsageError(f"{agent!a} is a group, not an agent")
    return names.agent(agent)


def _minutes(estimate: str | float) -> float:
    has_unit = isinstance(estimate, str) and not estimate.strip()[-1:].isdecimal()
    return clock.duration(estimate) / (60 if has_unit else 1)


def _awaited_name(gate: StepGate) -> str:
    """What a gate waits for.

    Raises:
        UsageError: It is empty, once its texts are filled.
    """
    return check_required("gate", gate.condition if gate.type == "conditional" else gate.id)


def _compiled_gate(gate: StepGate) -> CompiledGate:
    """The signal that a gate waits for."""
    if gate.type == "timer":
        seconds = clock.duration(gate.timeout or gate.id)
        return CompiledGate(type="timer", name=clock.spoken(seconds), seconds=seconds)
    if gate.type in GATES and gate.type != "human":
        name = _awaited_name(gate)
    else:
        name = gate.id or gate.condition or gate.type
    return CompiledGate(
        type="condition" if gate.type == "conditional" else gate.type,
        name=check_text("gate", name),
        seconds=clock.duration(gate.timeout) if gate.timeout else None,
    )


def _places(places: Iterable[str]) -> str:
    """Several places in one text, which names each file once."""
    by_file: dict[str, dict[str, None]] = {}
    for each in places:
        file, _, place = each.partition(": ")
        by_file.setdefault(file, {})[place] = None
    return "; ".join(f"{file}: {', '.join(_shortened([*ids]))}" for file, ids in by_file.items())


def _shortened(words: Sequence[str]) -> Sequence[str]:
    return words if len(words) <= SHOWN else [*words[: SHOWN - 1], "...", words[-1]]
