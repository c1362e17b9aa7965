"""What is wrong with a formula as a whole, once those that it extends are merged in.

Each problem names file and place. What is odd but can be cooked is a warning.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from orchestrator.core import clock
from orchestrator.core.errors import (
    UsageError,
    did_you_mean,
)
from orchestrator.core.problems import (
    Problems,
)
from orchestrator.domain.workflows.compiled import MILESTONE
from orchestrator.formulas import advising, expanding, loops
from orchestrator.formulas.advising import around
from orchestrator.formulas.fan_out import SYNTHESIS
from orchestrator.formulas.reading import as_text
from orchestrator.formulas.schema import (
    GATES,
    STEP_TYPES,
    TRIGGERS,
    TYPES,
    VARIABLE_TYPES,
    Advice,
    Compose,
    ExpandRule,
    Formula,
    MapRule,
    Step,
    StepGate,
    Variable,
)
from orchestrator.formulas.variables import NAME, is_condition, names_in, wrong_pattern, wrong_with

_PARTS = {
    "workflow": ("steps", "compose", "advice", "pointcuts", "vars"),
    "expansion": ("template", "vars"),
    "aspect": ("advice", "pointcuts", "vars"),
    "convoy": ("legs", "inputs", "prompts", "output", "presets", "synthesis", "vars"),
}
"""Which tables a formula of each type may have; the first one it must have."""

_TABLES = dict.fromkeys(part for parts in _PARTS.values() for part in parts)
_NOT_OF_GATES = {
    "timer": ("condition",),
    "human": ("condition",),
    "event": ("condition",),
    "mail": ("condition",),
    "task": ("condition", "timeout"),
    "conditional": ("id",),
}
_PHASES = ("", "liquid", "vapor")
_OWN_PARTS = ("all", "any", "all-children", "any-children")
_WAITS = re.compile(r"(?:all|any)(?:-children|:.+)?|children-of\(.+\)")


NEEDS_ITSELF = "it needs itself"

# What is in a formula


def steps_in(steps: Iterable[Step]) -> Iterator[Step]:
    """Steps with their children and the bodies of their loops, at any depth."""
    for step in steps:
        yield step
        yield from steps_in(step.children)
        if step.loop is not None:
            yield from steps_in(step.loop.body)


def all_steps(formula: Formula) -> Iterator[Step]:
    """Every step that stands in a formula, advice included."""
    yield from steps_in((*formula.steps, *formula.template, *formula.legs))
    for advice in formula.advice:
        before, after = around(advice)
        yield from steps_in((*before, *after))


def references(formula: Formula) -> Iterator[tuple[str, str, str]]:
    """The formulas that a formula uses beside its parents: place, type and name of each."""
    for step in all_steps(formula):
        if step.expand:
            yield f"{step.at}: expand", "expansion", step.expand
    rules: list[ExpandRule | MapRule] = [*formula.compose.expand, *formula.compose.map]
    for rule in rules:
        if rule.with_:
            yield rule.at, "expansion", rule.with_
    for name in formula.compose.aspects:
        yield f"{formula.at}: compose.aspects", "aspect", name


# Checks


def check_ids(formula: Formula, problems: Problems) -> None:
    """Note steps without an id, and ids that stand twice in one file."""
    for part in (formula.steps, formula.template, formula.legs):
        _check_ids(part, problems, {})


def _check_ids(steps: Iterable[Step], problems: Problems, seen: dict[str, str]) -> None:
    for step in steps:
        if not step.id.strip():
            problems.note(f"{step.at}: id", "it is missing")
        elif step.id in seen:
            problems.note(f"{step.at}: id", f"it stands in {_short(seen[step.id])} already")
        seen.setdefault(step.id, step.at)
        _check_ids(step.children, problems, seen)
        if step.loop is not None:
            _check_ids(step.loop.body, problems, {})


def check(
    formula: Formula,
    parents: Sequence[Formula],
    problems: Problems,
    warnings: dict[str, None],
) -> None:
    """Note all that is wrong with a formula.

    Args:
        formula: With its parents merged in.
        parents: Those that it extends itself.
        problems: Told what is wrong.
        warnings: What is odd is put here.
    """
    _check_head(formula, parents, problems)
    for name, variable in formula.variables.items():
        _check_variable(name, variable, problems, warnings)
    _Steps(formula, problems, warnings).check()
    _check_rules(formula, problems)


def _check_head(formula: Formula, parents: Sequence[Formula], problems: Problems) -> None:
    if formula.type not in TYPES:
        said = f"{formula.type!a} is no type{did_you_mean(formula.type, TYPES)}"
        problems.note(f"{formula.at}: type", f"{said}: one of {', '.join(TYPES)}")
        return
    allowed = _PARTS[formula.type]
    for part in _TABLES:
        if part not in allowed and _is_filled(getattr(formula, part)):
            problems.note(f"{formula.at}: {part}", f"a formula of the type {formula.type} has none")
    if not getattr(formula, allowed[0]):
        problems.note(formula.at, f"a formula of the type {formula.type} needs {allowed[0]}")
    for parent in parents:
        if parent.type != formula.type:
            problems.note(
                f"{formula.at}: extends", f"{parent.formula} is of another type: {parent.type}"
            )
    if formula.phase not in _PHASES:
        problems.note(f"{formula.at}: phase", f"{formula.phase!a} is neither liquid nor vapor")
    if formula.version < 1:
        problems.note(f"{formula.at}: version", f"{formula.version} is no version")
    if formula.squash is not None and formula.squash.trigger not in TRIGGERS:
        said = f"{formula.squash.trigger!a} is no trigger{did_you_mean(formula.squash.trigger, TRIGGERS)}"
        problems.note(f"{formula.at}: squash", f"{said}: one of {', '.join(TRIGGERS[1:])}")


def _is_filled(value: Any) -> bool:
    return bool(value) and value != type(value)()


def _check_variable(
    name: str, variable: Variable, problems: Problems, warnings: dict[str, None]
) -> None:
    if not NAME.fullmatch(name):
        problems.note(variable.at, f"{name!a} cannot name a variable")
    if variable.type not in VARIABLE_TYPES:
        said = f"{variable.type!a} is no type{did_you_mean(variable.type, VARIABLE_TYPES)}"
        problems.note(variable.at, f"{said}: one of {', '.join(VARIABLE_TYPES)}")
    if variable.pattern and (why := wrong_pattern(variable.pattern)):
        problems.note(variable.at, f"the pattern is no regular expression: {why}")
        return
    if variable.default is None:
        return
    if variable.required:
        warnings[f"{variable.at}: it is required, and has a default, so it need not be given"] = (
            None
        )
    default = as_text(variable.default)
    if default:
        for wrong in wrong_with(variable, default):
            problems.note(variable.at, f"the default: {wrong}")


class _Steps:
    """The checks of all steps of one formula."""

    def __init__(self, formula: Formula, problems: Problems, warnings: dict[str, None]) -> None:
        self._formula = formula
        self._problems = problems
        self._warnings = warnings
        loops_in = [step.loop for step in all_steps(formula) if step.loop is not None]
        numbers = {loop.var for loop in loops_in if loop.var}
        self._declared = {*formula.variables, *numbers, *(("iteration",) if loops_in else ())}

    def check(self) -> None:
        """Note what is wrong with each."""
        for step in all_steps(self._formula):
            if step.id in (*step.needs, *step.depends_on):
                self._problems.note(step.at, NEEDS_ITSELF)
            for key, wrong in self._wrong_with(step):
                self._problems.note(f"{step.at}: {key}", wrong)
            if step.type and "{" not in step.type and step.type not in STEP_TYPES:
                self._warn(
                    step.at, f"{step.type!a} is no known type{did_you_mean(step.type, STEP_TYPES)}"
                )
            for gate in step.gate:
                self._check_gate(gate)
        self._check_words(self._formula.template, expanding.WORDS)
        for advice in self._formula.advice:
            self._check_words([step for side in around(advice) for step in side], advising.WORDS)
        for needing, need in self._unknown_needs():
            self._problems.note(
                f"{needing.at}: needs", f"there is no step {need!a}{self._near(need)}"
            )

    def _wrong_with(self, step: Step) -> Iterator[tuple[str, str]]:
        """What is wrong with a step, each with its key."""
        yield from self._wrong_with_condition(step.condition)
        if step.focus and step not in self._formula.legs:
            yield "focus", "it is for the legs of a convoy formula"
        if step.loop is not None:
            yield from self._unknown_names("loop", loops.asked_by(step.loop))
        if step.priority is not None and not 0 <= step.priority <= 1000:
            yield "priority", f"{step.priority} is no priority: 0 to 1000"
        for field in ("verify_timeout", "estimate"):
            said = getattr(step, field)
            if said not in ("", None) and not _is_duration(said):
                yield field, f"{said!a} is no duration, such as 30m"
        yield from _wrong_with_parts(step)

    def _wrong_with_condition(self, condition: str) -> Iterator[tuple[str, str]]:
        if condition.strip() and not is_condition(condition):
            yield (
                "condition",
                f"{condition!a} is no condition: write {{{{v}}}}, !{{{{v}}}}, {{{{v}}}} == x"
                " or {{v}} != x",
            )
        yield from self._unknown_names("condition", names_in(condition))

    def _unknown_names(self, key: str, asked: Iterable[str]) -> Iterator[tuple[str, str]]:
        for name in asked:
            if name not in self._declared and not self._is_lent():
                near = did_you_mean(name, self._declared)
                yield key, f"it asks for {name!a}, which no variable is{near}"

    def _check_words(self, steps: Iterable[Step], known: Sequence[str]) -> None:
        """Warn of words in braces that stand for nothing of the step that these steps are about."""
        word = re.compile(rf"(?<!\{{)\{{({known[-1].partition('.')[0]}\.[A-Za-z_]+)\}}")
        for step in steps_in(steps):
            alone = msgspec.structs.replace(step, children=(), loop=None)
            for said in dict.fromkeys(word.findall(msgspec.json.encode(alone).decode())):
                if said not in known:
                    self._warn(step.at, f"{{{said}}} stands for nothing{did_you_mean(said, known)}")

    def _is_lent(self) -> bool:
        """Whether its steps stand in other formulas, whose variables they may ask for."""
        return self._formula.type in ("expansion", "aspect")

    def _check_gate(self, gate: StepGate) -> None:
        problems, at = self._problems, gate.at
        if not gate.type:
            problems.note(at, f"it has no type: one of {', '.join(GATES)}")
        elif gate.type not in GATES:
            self._warn(
                at, f"{gate.type!a} is no known type of gate{did_you_mean(gate.type, GATES)}"
            )
        if gate.timeout and not _is_duration(gate.timeout):
            problems.note(at, f"{gate.timeout!a} is no duration, such as 30m")
        if gate.type == "timer" and not gate.timeout and not _is_duration(gate.id):
            problems.note(at, "a timer needs a timeout, such as 30m")
        if gate.type in ("event", "mail", "task") and not gate.id.strip():
            what = {"event": "the type of the event", "mail": "the subject", "task": "the task"}
            problems.note(at, f"a gate of the type {gate.type} needs an id: {what[gate.type]}")
        if gate.type == "conditional" and not gate.condition:
            problems.note(at, "a gate of the type conditional needs a condition: its name")
        for key in _NOT_OF_GATES.get(gate.type, ()):
            if getattr(gate, key):
                problems.note(at, f"a gate of the type {gate.type} has no {key}")
        if gate.type == "timer" and gate.id and gate.timeout:
            problems.note(at, "a timer has a timeout, or its id is one, but not both")

    def _unknown_needs(self) -> Iterator[tuple[Step, str]]:
        """The needs that no pass of cooking can make a step for."""
        for part in (self._formula.steps, self._formula.template):
            for step, known in _with_known(part, set()):
                for need in (*step.needs, *step.depends_on):
                    if need not in known and not self._may_come(need, part):
                        yield step, need

    def _may_come(self, need: str, part: Iterable[Step]) -> bool:
        """Whether a loop, an expansion or an aspect may bring a step of this id."""
        compose = self._formula.compose
        if "{" in need or self._formula.advice or compose.aspects or compose.map or compose.expand:
            return True
        return any(step.expand or step.loop is not None for step in steps_in(part))

    def _near(self, need: str) -> str:
        return did_you_mean(need, [step.id for step in all_steps(self._formula)])

    def _warn(self, place: str, message: str) -> None:
        self._warnings[f"{place}: {message}"] = None


def _wrong_with_parts(step: Step) -> Iterator[tuple[str, str]]:
    """What is wrong with the parts of a step, and with what it waits for."""
    if step.loop is not None:
        for wrong in loops.wrong_with(step.loop):
            yield "loop", wrong
    ways = [name for name in ("children", "expand", "loop") if getattr(step, name)]
    if len(ways) > 1:
        yield ways[-1], f"it has {' and '.join(ways)}: only one of them goes"
    if step.type == MILESTONE or (step.loop is not None and step.loop.until):
        for key in ("verify", "artifacts", "review", "assignee"):
            if getattr(step, key):
                yield key, "a milestone is done by itself, so it has none"
    if step.expand_vars and not step.expand:
        yield "expand_vars", "it goes with expand"
    if step.until and not step.children:
        yield "until", "it goes with children; a loop has one of its own"
    yield from _wrong_with_waits(step)


def _wrong_with_waits(step: Step) -> Iterator[tuple[str, str]]:
    if step.waits_for and not _WAITS.fullmatch(step.waits_for):
        said = f"{step.waits_for!a} is nothing to wait for"
        yield "waits_for", f"{said}: all, any, all:STEP or any:STEP"
    elif step.children and step.waits_for and step.waits_for not in _OWN_PARTS:
        yield "waits_for", "it has children, so it waits for those and for no others"


def _with_known(steps: Iterable[Step], outside: set[str]) -> Iterator[tuple[Step, set[str]]]:
    """Each step with the ids that it may need: those of its own level of loops, and those outside."""
    flat = [*_flat(steps)]
    known = outside | {step.id for step in flat}
    for step in flat:
        yield step, known
        if step.loop is not None:
            yield from _with_known(step.loop.body, known)


def _flat(steps: Iterable[Step]) -> Iterator[Step]:
    for step in steps:
        yield step
        yield from _flat(step.children)


def _is_duration(text: str | float) -> bool:
    if isinstance(text, str) and "{" in text:
        return True  # it is looked at again when it is filled
    try:
        clock.duration(text)
    except UsageError:
        return False
    return True


# Rules, advice, legs


def _check_rules(formula: Formula, problems: Problems) -> None:
    _check_compose(formula.compose, problems)
    _check_named(formula, problems)
    for advice in formula.advice:
        _check_advice(formula, advice, problems)
    for cut in formula.pointcuts:
        if not (cut.glob or cut.type or cut.label):
            problems.note(cut.at, "it needs glob, type or label")
    _check_convoy(formula, problems)


def _check_convoy(formula: Formula, problems: Problems) -> None:
    legs = [leg.id for leg in formula.legs]
    for leg in formula.legs:
        for part in ("children", "loop", "expand"):
            if getattr(leg, part):
                problems.note(f"{leg.at}: {part}", "a leg has none")
        for need in (*leg.needs, *leg.depends_on):
            _check_known(problems, f"{leg.at}: needs", need, legs)
    if SYNTHESIS in legs and formula.synthesis is not None:
        problems.note(formula.synthesis.at, f"a leg is called {SYNTHESIS!a} already")
    for preset in formula.presets.values():
        _check_legs(problems, preset.at, preset.legs, legs)
        _check_needed(problems, preset.at, legs=" ".join(preset.legs))
    if formula.synthesis is not None:
        _check_legs(problems, formula.synthesis.at, formula.synthesis.depends_on, legs)


def _check_compose(compose: Compose, problems: Problems) -> None:
    for rule in compose.expand:
        _check_needed(problems, rule.at, target=rule.target, **{"with": rule.with_})
    for choice in compose.map:
        _check_needed(problems, choice.at, select=choice.select, **{"with": choice.with_})
    for branch in compose.branch:
        said = {"from": branch.from_, "steps": " ".join(branch.steps), "join": branch.join}
        _check_needed(problems, branch.at, **said)
    for gate in compose.gate:
        _check_needed(problems, gate.at, before=gate.before, condition=gate.condition)


def _check_named(formula: Formula, problems: Problems) -> None:
    """Note steps that rules name and that no pass of cooking can bring."""
    compose = formula.compose
    may_come = formula.advice or compose.aspects or compose.map or compose.expand
    if may_come or any(step.expand or step.loop for step in steps_in(formula.steps)):
        return
    known = [step.id for step in steps_in(formula.steps)]
    for branch in compose.branch:
        for name in (branch.from_, *branch.steps, branch.join):
            _check_known(problems, branch.at, name, known)
    for gate in compose.gate:
        _check_known(problems, gate.at, gate.before, known)


def _check_known(problems: Problems, place: str, name: str, known: Sequence[str]) -> None:
    if name and "{" not in name and name not in known:
        problems.note(place, f"there is no step {name!a}{did_you_mean(name, known)}")


def _check_needed(problems: Problems, place: str, **said: str) -> None:
    for key, text in said.items():
        if not text.strip():
            problems.note(place, f"it needs {key}")


def _check_advice(formula: Formula, advice: Advice, problems: Problems) -> None:
    before, after = around(advice)
    if not before and not after:
        problems.note(advice.at, "it needs before, after or around")
    if not advice.target and not formula.pointcuts:
        problems.note(advice.at, "it needs a target, or the formula pointcuts")
    for step in (*before, *after):
        if not step.id.strip():
            problems.note(f"{step.at}: id", "it is missing")
        for part in ("children", "loop", "expand"):
            if getattr(step, part):
                problems.note(f"{step.at}: {part}", "a step of advice has none")


def _check_legs(problems: Problems, place: str, named: Iterable[str], legs: Sequence[str]) -> None:
    for name in named:
        if name not in legs:
            problems.note(place, f"{name!a} is no leg{did_you_mean(name, legs)}")


def _short(place: str) -> str:
    return place.partition(": ")[2] or place
