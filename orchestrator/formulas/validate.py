"""Validation of a formula as a whole, after the formulas that it extends are merged in.

Each problem has a file and a place. Unusual things that can be compiled are warnings.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from orchestrator.core import clock
from orchestrator.core.errors import UsageError, did_you_mean
from orchestrator.core.problems import Problems
from orchestrator.formulas import advice, expansions, loops
from orchestrator.formulas.conditions import is_condition
from orchestrator.formulas.fan_out import SYNTHESIS
from orchestrator.formulas.parse import as_text
from orchestrator.formulas.schema import (
    GATES,
    PHASES,
    STEP_TYPES,
    TRIGGERS,
    TYPES,
    VARIABLE_TYPES,
    Formula,
    Loop,
    Step,
    StepGate,
    Table,
    Variable,
)
from orchestrator.formulas.steps import ITERATION, flat, is_milestone, nested, steps_of
from orchestrator.formulas.values import PLACEHOLDER
from orchestrator.formulas.variables import NAME, pattern_problem, value_problems

NEEDS_ITSELF = "it needs itself"

_PARTS = {
    "workflow": ("steps", "compose", "advice", "pointcuts", "vars"),
    "expansion": ("template", "vars"),
    "aspect": ("advice", "pointcuts", "vars"),
    "convoy": ("legs", "inputs", "prompts", "output", "presets", "synthesis", "vars"),
}
"""The tables that a formula of each type may have; the first one is required."""

_ALL_PARTS = dict.fromkeys(part for parts in _PARTS.values() for part in parts)
_UNUSED_BY_GATES = {
    **dict.fromkeys(("timer", "human", "event", "mail"), ("condition",)),
    "task": ("condition", "timeout"),
    "conditional": ("id",),
}
_IDS_OF_GATES = {"event": "the type of the event", "mail": "the subject", "task": "the task"}
_OWN_CHILDREN = ("all", "any", "all-children", "any-children")
_WAITS = re.compile(r"(?:all|any)(?:-children|:.+)?|children-of\(.+\)")
_LIST = re.compile(r"output(?:\.[A-Za-z_][\w-]*)*")
_NOT_IN_LEGS_AND_ADVICE = ("children", "loop", "expand")


def check_ids(formula: Formula, problems: Problems) -> None:
    """Note steps without an id, and ids that are used twice in one file."""
    for part in (formula.steps, formula.template, formula.legs):
        _check_ids(part, problems)


def _check_ids(steps: Iterable[Step], problems: Problems) -> None:
    places: dict[str, str] = {}
    for step in flat(steps):
        if not step.id.strip():
            problems.note(f"{step.place}: id", "it is missing")
        elif step.id in places:
            problems.note(f"{step.place}: id", f"{places[step.id]} has this id already")
        places.setdefault(step.id, step.place.partition(": ")[2] or step.place)
        if step.loop is not None:
            _check_ids(step.loop.body, problems)


def check(
    formula: Formula, parents: Sequence[Formula], problems: Problems, warnings: dict[str, None]
) -> None:
    """Note all problems of a formula.

    Args:
        formula: With its parents merged in.
        parents: The formulas that it extends.
        problems: Receives the problems.
        warnings: Receives the warnings.
    """
    _Validation(formula, problems, warnings).check(parents)


class _Validation:
    """The validation of one formula."""

    def __init__(self, formula: Formula, problems: Problems, warnings: dict[str, None]) -> None:
        self._formula = formula
        self._problems = problems
        self._warnings = warnings
        loops_in = [step.loop for step in steps_of(formula) if step.loop is not None]
        own = {loop.var for loop in loops_in if loop.var} | ({ITERATION} if loops_in else set())
        self._declared = own.union(formula.variables)

    def check(self, parents: Sequence[Formula]) -> None:
        """Note all problems: of the head, variables, steps, rules, advice and legs."""
        self._check_head(parents)
        for name, variable in self._formula.variables.items():
            self._check_variable(name, variable)
        for step in steps_of(self._formula):
            self._check_step(step)
        self._check_words(self._formula.template, expansions.WORDS)
        for item in self._formula.advice:
            before, after = item.sequence
            self._check_words(before + after, advice.WORDS)
        self._check_rules()
        self._check_advice()
        self._check_legs()

    # The ways to report

    def _note(self, place: str, message: str) -> None:
        self._problems.note(place, message)

    def _warn(self, place: str, message: str) -> None:
        self._warnings[f"{place}: {message}"] = None

    def _choose(self, place: str, value: str, choices: Sequence[str], what: str = "type") -> None:
        """Note a value that is not one of the choices."""
        if value not in choices:
            message = f"{value!a} is not a {what}{did_you_mean(value, choices)}"
            self._note(place, f"{message}: one of {', '.join(filter(None, choices))}")

    def _require(self, table: Table, but: Sequence[str] = ()) -> None:
        """Note keys of a table that are empty."""
        for field in msgspec.structs.fields(table):
            if field.name not in ("place", "vars", *but):
                value = getattr(table, field.name)
                if not "".join(value).strip():
                    self._note(table.place, f"it needs {field.encode_name}")

    # The head and variables

    def _check_head(self, parents: Sequence[Formula]) -> None:
        formula, place = self._formula, self._formula.place
        if formula.type not in TYPES:
            self._choose(f"{place}: type", formula.type, TYPES)
            return
        allowed = _PARTS[formula.type]
        for part in _ALL_PARTS:
            if part not in allowed and _is_filled(getattr(formula, part)):
                self._note(f"{place}: {part}", f"a formula of the type {formula.type} has none")
        if not getattr(formula, allowed[0]):
            self._note(place, f"a formula of the type {formula.type} needs {allowed[0]}")
        for parent in parents:
            if parent.type != formula.type:
                message = f"{parent.formula} is of another type: {parent.type}"
                self._note(f"{place}: extends", message)
        self._choose(f"{place}: phase", formula.phase, PHASES, "phase")
        if formula.version < 1:
            self._note(f"{place}: version", f"{formula.version} is not a version")
        if formula.squash is not None:
            self._choose(f"{place}: squash", formula.squash.trigger, TRIGGERS, "trigger")

    def _check_variable(self, name: str, variable: Variable) -> None:
        place = variable.place
        if not NAME.fullmatch(name):
            self._note(place, f"{name!a} cannot name a variable")
        self._choose(place, variable.type, VARIABLE_TYPES)
        if variable.pattern and (why := pattern_problem(variable.pattern)):
            self._note(place, f"the pattern is not a regular expression: {why}")
        elif variable.default is not None:
            if variable.required:
                self._warn(place, "it is required, but has a default, so it need not be given")
            default = as_text(variable.default)
            for problem in value_problems(variable, default) if default else ():
                self._note(place, f"the default: {problem}")

    # Steps

    def _check_step(self, step: Step) -> None:
        if step.id in (*step.needs, *step.depends_on):
            self._note(step.place, NEEDS_ITSELF)
        for key, problem in self._problems_of(step):
            self._note(f"{step.place}: {key}", problem)
        if step.type and "{" not in step.type and step.type not in STEP_TYPES:
            near = did_you_mean(step.type, STEP_TYPES)
            self._warn(step.place, f"{step.type!a} is not a known type{near}")
        for gate in step.gates:
            self._check_gate(gate)

    def _problems_of(self, step: Step) -> Iterator[tuple[str, str]]:
        """The problems of a step, each with its key."""
        if step.condition.strip() and not is_condition(step.condition):
            yield (
                "condition",
                f"{step.condition!a} is not a condition: write {{{{v}}}}, !{{{{v}}}}, {{{{v}}}} == x"
                " or {{v}} != x",
            )
        yield from self._undeclared("condition", PLACEHOLDER.findall(step.condition))
        if step.on_complete is not None:
            yield from (("on_complete", problem) for problem in _problems_at_end(step))
        if step.focus and step not in self._formula.legs:
            yield "focus", "only legs of a convoy formula have it"
        if step.loop is not None:
            yield from self._undeclared("loop", loops.names_in(step.loop))
            yield from (("loop", problem) for problem in _loop_problems(step.loop))
        if step.priority is not None and not 0 <= step.priority <= 1000:
            yield "priority", f"{step.priority} is not a priority: 0 to 1000"
        for field in ("verify_timeout", "estimate"):
            value = getattr(step, field)
            if value not in ("", None) and not _is_duration(value):
                yield field, f"{value!a} is not a duration, such as 30m"
        yield from _structure_problems(step)

    def _undeclared(self, key: str, names: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Problems for names that no variable has; steps of a formula used by others may use theirs."""
        for name in names:
            if name not in self._declared and self._formula.type not in ("expansion", "aspect"):
                near = did_you_mean(name, self._declared)
                yield key, f"it asks for {name!a}, which is not a variable{near}"

    def _check_words(self, steps: Iterable[Step], words: Sequence[str]) -> None:
        """Warn of words in braces that refer to no fact of the surrounded step."""
        pattern = re.compile(rf"(?<!\{{)\{{({words[-1].partition('.')[0]}\.[A-Za-z_]+)\}}")
        for step in nested(steps):
            alone = msgspec.structs.replace(step, children=(), loop=None)
            for word in dict.fromkeys(pattern.findall(msgspec.json.encode(alone).decode())):
                if word not in words:
                    self._warn(step.place, f"{{{word}}} means nothing{did_you_mean(word, words)}")

    def _check_gate(self, gate: StepGate) -> None:
        place, kind = gate.place, gate.type
        if not kind:
            self._note(place, f"it has no type: one of {', '.join(GATES)}")
        elif kind not in GATES:
            self._warn(place, f"{kind!a} is not a known type of gate{did_you_mean(kind, GATES)}")
        if gate.timeout and not _is_duration(gate.timeout):
            self._note(place, f"{gate.timeout!a} is not a duration, such as 30m")
        if kind == "timer" and not gate.timeout and not _is_duration(gate.id):
            self._note(place, "a timer needs a timeout, such as 30m")
        if kind in _IDS_OF_GATES and not gate.id.strip():
            self._note(place, f"a gate of the type {kind} needs an id: {_IDS_OF_GATES[kind]}")
        if kind == "conditional" and not gate.condition:
            self._note(place, "a gate of the type conditional needs a condition: its name")
        for key in _UNUSED_BY_GATES.get(kind, ()):
            if getattr(gate, key):
                self._note(place, f"a gate of the type {kind} has no {key}")
        if kind == "timer" and gate.id and gate.timeout:
            self._note(place, "a timer has a timeout or an id, not both")

    # Rules, advice, legs

    def _check_rules(self) -> None:
        compose = self._formula.compose
        for rule in (*compose.expand, *compose.map, *compose.branch, *compose.gate):
            self._require(rule)

    def _check_advice(self) -> None:
        for item in self._formula.advice:
            before, after = item.sequence
            if not before and not after:
                self._note(item.place, "it needs before, after or around")
            if not item.target and not self._formula.pointcuts:
                self._note(item.place, "it needs a target, or the formula pointcuts")
            for step in before + after:
                if not step.id.strip():
                    self._note(f"{step.place}: id", "it is missing")
            self._check_simple(before + after, "a step of advice")
        for cut in self._formula.pointcuts:
            if not (cut.glob or cut.type or cut.label):
                self._note(cut.place, "it needs glob, type or label")

    def _check_simple(self, steps: Iterable[Step], what: str) -> None:
        for step in steps:
            for part in _NOT_IN_LEGS_AND_ADVICE:
                if getattr(step, part):
                    self._note(f"{step.place}: {part}", f"{what} has none")

    def _check_legs(self) -> None:
        formula, synthesis = self._formula, self._formula.synthesis
        legs = [leg.id for leg in formula.legs]
        self._check_simple(formula.legs, "a leg")
        lists = [(preset.place, preset.legs) for preset in formula.presets.values()]
        for preset in formula.presets.values():
            self._require(preset, but=("description",))
        if synthesis is not None:
            lists.append((synthesis.place, synthesis.depends_on))
            if SYNTHESIS in legs:
                self._note(synthesis.place, f"a leg has the id {SYNTHESIS!a} already")
        for place, names in lists:
            for name in names:
                if name not in legs:
                    self._note(place, f"{name!a} is not a leg{did_you_mean(name, legs)}")


def _is_filled(value: Any) -> bool:
    return bool(value) and value != type(value)()


def _loop_problems(loop: Loop) -> Iterator[str]:
    kinds = [name for name in ("count", "range", "until") if getattr(loop, name) not in (None, "")]
    if len(kinds) != 1:
        has = " and ".join(kinds) or "none"
        yield f"a loop has one of count, range and until; this one has {has}"
    if (loop.max is not None) != bool(loop.until):
        yield "a loop has max if, and only if, it has until"
    if not loop.body:
        yield "a loop needs a body"
    if loop.var and not NAME.fullmatch(loop.var):
        yield f"{loop.var[:60]!a} cannot name a variable"
    for times in (loop.count, loop.max):
        if isinstance(times, int) and times < 0:
            yield f"a loop cannot run {times} times"


def _problems_at_end(step: Step) -> Iterator[str]:
    """The problems of ``on_complete``."""
    rule = step.on_complete
    assert rule is not None
    if not _LIST.fullmatch(rule.for_each):
        yield f"for_each says where the list is: 'output.NAME', not {rule.for_each!a}"
    if not rule.bond.strip():
        yield "it needs bond, the formula for each item"
    if rule.parallel and rule.sequential:
        yield "it has parallel and sequential: only one of them is allowed"
    if step.loop is not None or is_milestone(step):
        yield "a loop or milestone has no result, so nothing follows from it"


def _structure_problems(step: Step) -> Iterator[tuple[str, str]]:
    """Keys of a step that exclude or require one another."""
    ways = [name for name in ("children", "expand", "loop") if getattr(step, name)]
    if len(ways) > 1:
        yield ways[-1], f"it has {' and '.join(ways)}: only one of them is allowed"
    if is_milestone(step):
        for key in ("verify", "artifacts", "review", "assignee"):
            if getattr(step, key):
                yield key, "a milestone completes automatically, so it has none"
    if step.expand_vars and not step.expand:
        yield "expand_vars", "it needs expand"
    if step.until and not step.children:
        yield "until", "it needs children; a loop has its own"
    if step.waits_for and not _WAITS.fullmatch(step.waits_for):
        message = f"a step cannot wait for {step.waits_for!a}"
        yield "waits_for", f"{message}: write all, any, all:STEP or any:STEP"
    elif step.children and step.waits_for and step.waits_for not in _OWN_CHILDREN:
        yield "waits_for", "it has children, so it cannot wait for those of another step"


def _is_duration(text: str | float) -> bool:
    if isinstance(text, str) and "{" in text:
        return True  # it is checked once it is filled
    try:
        clock.duration(text)
    except UsageError:
        return False
    return True
