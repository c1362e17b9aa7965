"""The schema of formula files: a record for each table, whose fields are the keys.

:mod:`orchestrator.formulas.parse` reads files by it: a key that is not here is an error, and a new key is a
field here. The field ``place`` is not a key: it is where the record is in its file, for messages.
"""

import msgspec

from orchestrator.domain.tasks.given_facts import StepFacts
from orchestrator.domain.workflows.compiled import MILESTONE

TYPES = ("workflow", "expansion", "aspect", "convoy")

STEP_TYPES = (
    "task", "bug", "feature", "chore", "epic", MILESTONE, "docs", "code", "test", "review", "research",
    "release", "human", "decision", "spike", "question",
)  # fmt: skip
"""The known types of steps; another type is accepted with a warning."""

GATES = ("timer", "human", "event", "mail", "task", "conditional")
"""The known types of gates; another type waits for a signal of its name, with a warning."""

VARIABLE_TYPES = ("string", "text", "integer", "int", "number", "float", "boolean", "bool")
TRIGGERS = ("", "manual", "on_complete")
PHASES = ("", "liquid", "vapor")

Text = tuple[str, ...]
Plain = str | int | float | bool


class Table(msgspec.Struct):
    """A table whose place in its file is known."""

    place: str = ""


class Variable(Table):
    """A variable of a formula, or an input of a convoy formula.

    Attributes:
        default: Its value if none is given; None: it has no default.
        required: It must be given, even if no text uses it.
        enum: The only allowed values.
        pattern: A regular expression; the value must contain a match.
        type: One of :data:`VARIABLE_TYPES`.
        required_unless: Other inputs, one of which makes this one optional.
    """

    description: str = ""
    default: Plain | None = None
    required: bool = False
    enum: tuple[Plain, ...] = ()
    pattern: str = ""
    type: str = "string"
    required_unless: Text = ()


class StepGate(Table):
    """What a step waits for beside other steps.

    Attributes:
        type: ``timer``: a delay after all else is ready. ``human``: a signal given by a person. ``event``: an
            event of the type ``id``. ``mail``: a message with the subject ``id``. ``task``: the task ``id``
            of the board. ``conditional``: a signal for the named ``condition``.
        timeout: The delay of a timer (or ``id``); of other gates: when the wait is reported as overdue.
    """

    type: str = ""
    id: str = ""
    condition: str = ""
    timeout: str = ""


class Loop(msgspec.Struct, frozen=True):
    """A repeated body: ``count`` times, over a ``range``, or ``until`` a condition at most ``max`` times.

    Attributes:
        range: ``1..10``, ``1..2^{disks}-1``: both ends are included.
        until: The condition that ends it early, in words; a signal reports that it is true.
        var: The name of the round's number in the body: ``{name}``.
    """

    count: int | str | None = None
    range: str = ""
    until: str = ""
    max: int | str | None = None
    var: str = ""
    body: "tuple[Step, ...]" = ()


class OnComplete(Table):
    """Steps that are added when a step is done: a formula for each item of a list in its result.

    Attributes:
        for_each: Where the list is: ``output.legs``; ``output``: the result is a list.
        bond: The formula.
        vars: Its variables; ``{item}``, ``{item.name}`` and ``{index}``, from 0, are filled for each item.
        parallel: The items do not wait for one another, as without it.
        sequential: Each item waits for the one before.
    """

    for_each: str = ""
    bond: str = ""
    vars: dict[str, str] = {}
    parallel: bool | None = None
    sequential: bool | None = None


class Step(StepFacts):
    """A step: it becomes a task.

    Attributes:
        needs: Steps that must be done before; ``depends_on`` means the same.
        waits_for: ``all`` or ``any`` of its children, or ``all:STEP`` for the children of another step.
        condition: The step is left out if it is false: ``{{v}}``, ``!{{v}}``, ``{{v}} == x``, ``{{v}} != x``.
        expand: The expansion formula that replaces it.
        until: With children: the condition that ends them early; then those not started are cancelled.
        focus: What a leg of a convoy formula examines.
        notes: A text that stands below the description.
        metadata: More ``meta``, which wins.
        agent: The kind of agent that the step is meant for, kept in ``meta``: nothing is assigned by it.
        interactive: Whether the agent talks with a person, kept in ``meta``.
        parallel: Whether it is meant to run beside others, kept in ``meta``: the needs alone decide.
        on_complete: What is added when it is done; who needs it waits for that too.
    """

    id: str = ""
    needs: Text = ()
    depends_on: Text = ()
    waits_for: str = ""
    gates: tuple[StepGate, ...] = msgspec.field(name="gate", default=())
    condition: str = ""
    expand: str = ""
    expand_vars: dict[str, str] = {}
    children: "tuple[Step, ...]" = ()
    loop: Loop | None = None
    until: str = ""
    focus: str = ""
    assignee: str = ""
    notes: str = ""
    metadata: dict[str, str] = {}
    agent: str = ""
    interactive: bool | None = None
    parallel: bool | None = None
    on_complete: OnComplete | None = None
    place: str = ""

    def __post_init__(self) -> None:
        """Keep what only informs where a task keeps it."""
        if self.notes:
            self.description = f"{self.description.rstrip()}\n\nNotes:\n{self.notes}".lstrip()
        flags = {"interactive": self.interactive, "parallel": self.parallel}
        kept = {key: str(value).lower() for key, value in flags.items() if value is not None}
        if self.agent:
            kept["agent"] = self.agent
        if kept or self.metadata:
            self.meta = kept | self.metadata | self.meta
        self.notes, self.agent, self.metadata = "", "", {}
        self.interactive = self.parallel = None


class ExpansionRule(Table):
    """A rule by which the expansion formula ``with`` replaces steps."""

    with_: str = msgspec.field(name="with", default="")
    vars: dict[str, str] = {}


class ExpandRule(ExpansionRule):
    """``compose.expand``: an expansion replaces the step ``target``."""

    target: str = ""


class MapRule(ExpansionRule):
    """``compose.map``: an expansion replaces every step whose id matches the glob ``select``."""

    select: str = ""


class BranchRule(Table):
    """``compose.branch``: ``steps`` run in parallel after ``from``, and ``join`` needs all of them."""

    from_: str = msgspec.field(name="from", default="")
    steps: Text = ()
    join: str = ""


class GateRule(Table):
    """``compose.gate``: the step ``before`` waits until a named condition is true."""

    before: str = ""
    condition: str = ""


class Compose(msgspec.Struct, frozen=True):
    """How a workflow is composed of other formulas."""

    expand: tuple[ExpandRule, ...] = ()
    map: tuple[MapRule, ...] = ()
    branch: tuple[BranchRule, ...] = ()
    gate: tuple[GateRule, ...] = ()
    aspects: Text = ()


class Around(msgspec.Struct, frozen=True):
    """``advice.around``: steps before and after a step."""

    before: tuple[Step, ...] = ()
    after: tuple[Step, ...] = ()


class Advice(Table):
    """Steps around every step that matches; their texts may use ``{step.id}`` and ``{step.title}``.

    Attributes:
        target: A glob over ids; without one the pointcuts of the formula select the steps.
        around: Nearer to the step than ``before`` and ``after``.
    """

    target: str = ""
    before: tuple[Step, ...] = ()
    after: tuple[Step, ...] = ()
    around: Around = Around()

    @property
    def sequence(self) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
        """The steps before and the steps after, each in the order of work."""
        return self.before + self.around.before, self.around.after + self.after


class Pointcut(Table):
    """Steps that an aspect selects: they match the glob, and have the type and the label."""

    glob: str = ""
    type: str = ""
    label: str = ""


class Prompts(msgspec.Struct, frozen=True):
    """Of a convoy formula: the text around the description of every leg."""

    base: str = ""


class Output(msgspec.Struct, frozen=True):
    """Of a convoy formula: where its results go."""

    directory: str = ""
    leg_pattern: str = ""
    synthesis: str = ""


class Preset(Table):
    """Of a convoy formula: a named selection of legs."""

    description: str = ""
    legs: Text = ()


class Synthesis(Table):
    """Of a convoy formula: the step that combines the results of the legs."""

    title: str = ""
    description: str = ""
    acceptance: str = ""
    depends_on: Text = ()


class Squash(msgspec.Struct, frozen=True):
    """How an ephemeral workflow is condensed.

    Attributes:
        trigger: ``on_complete``: automatically at its end; ``manual``: by a command.
        template_type: A word in the head of the digest.
        include_metrics: The digest says how long the steps took.
    """

    trigger: str = ""
    template_type: str = ""
    include_metrics: bool = False


class Formula(Table):
    """A formula file, with the formulas that it extends once they are merged in.

    Attributes:
        extends: Its parent formulas.
        phase: ``liquid``: permanent; ``vapor``: a wisp.
        pour: An older form of ``phase = "liquid"``.
        review_only: Its steps change nothing.
        template: The steps of an expansion.
        legs: The steps of a convoy formula, in parallel.
    """

    formula: str = ""
    description: str = ""
    version: int = 1
    type: str = "workflow"
    extends: Text = ()
    phase: str = ""
    pour: bool | None = None
    review_only: bool | None = None
    squash: Squash | None = None
    vars: dict[str, Variable] = {}
    steps: tuple[Step, ...] = ()
    template: tuple[Step, ...] = ()
    compose: Compose = Compose()
    advice: tuple[Advice, ...] = ()
    pointcuts: tuple[Pointcut, ...] = ()
    inputs: dict[str, Variable] = {}
    prompts: Prompts | None = None
    output: Output | None = None
    legs: tuple[Step, ...] = ()
    presets: dict[str, Preset] = {}
    synthesis: Synthesis | None = None

    @property
    def is_ephemeral(self) -> bool:
        """Whether its workflows are wisps."""
        return self.phase == "vapor" and not self.pour

    @property
    def variables(self) -> dict[str, Variable]:
        """Its variables, or the inputs of a convoy formula."""
        return self.vars | self.inputs
