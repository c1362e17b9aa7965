"""What a formula file may say: a record for each of its tables, whose fields are the keys.

This is the whole schema. :mod:`orchestrator.formulas.reading` reads files by it, so a key that is not here is
an error, and a new key is a field here. A field that begins with ``at`` is no key: it is the place where the
record stood, for messages.
"""

import msgspec

from orchestrator.domain.workflows.compiled import MILESTONE

TYPES = ("workflow", "expansion", "aspect", "convoy")

STEP_TYPES = (
    "task", "bug", "feature", "chore", "epic", MILESTONE, "docs", "code", "test", "review", "research",
    "release", "human", "decision", "spike", "question",
)  # fmt: skip
"""The types of steps that are known; another one is taken as it is, with a warning."""

GATES = ("timer", "human", "event", "mail", "task", "conditional")
"""The types of gates that are known; another one waits for a signal of its name, with a warning."""

VARIABLE_TYPES = ("string", "text", "integer", "int", "number", "float", "boolean", "bool")

Text = tuple[str, ...]


class Variable(msgspec.Struct, frozen=True, kw_only=True):
    """A variable of a formula, or an input of a convoy formula.

    Attributes:
        default: Its value if none is given; None: there is none.
        required: It must be given, used or not.
        enum: The only values that it may have.
        pattern: A regular expression that its value must hold.
        type: string, integer, number or boolean.
        required_unless: Other inputs, one of which makes this one optional.
    """

    description: str = ""
    default: str | int | float | bool | None = None
    required: bool = False
    enum: tuple[str | int | float | bool, ...] = ()
    pattern: str = ""
    type: str = "string"
    required_unless: Text = ()
    at: str = ""


class StepGate(msgspec.Struct, frozen=True, kw_only=True):
    """What a step waits for beside other steps.

    ``timer``: so long after everything else is ready (``timeout``, or ``id``). ``human``: somebody's word.
    ``event``: an event of the type ``id``. ``mail``: a message with the subject ``id``. ``task``: the task
    ``id`` of the board. ``conditional``: a named condition that comes true. ``timeout`` of the others: after
    so long the wait is called overdue.
    """

    type: str = ""
    id: str = ""
    condition: str = ""
    timeout: str = ""
    at: str = ""


class Loop(msgspec.Struct, frozen=True, kw_only=True):
    """A body of steps, again and again: ``count`` times, over a ``range``, or ``until`` at most ``max``.

    Attributes:
        range: ``1..10``, ``1..2^{disks}-1``: both ends belong to it.
        until: What ends it early, in words: whoever sees that it is so gives the signal.
        var: The name under which the body knows the number of the round: ``{name}``.
    """

    count: int | str | None = None
    range: str = ""
    until: str = ""
    max: int | str | None = None
    var: str = ""
    body: "tuple[Step, ...]" = ()


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A step: what becomes a task.

    Attributes:
        needs: Steps that must be done before; ``depends_on`` means the same.
        waits_for: ``all`` or ``any`` of its children, or ``all:STEP`` of another step's.
        condition: It is left out if this is false: ``{{v}}``, ``!{{v}}``, ``{{v}} == x``, ``{{v}} != x``.
        expand: The expansion formula that takes its place.
        until: With children: what ends them early; those that nobody has begun are cancelled then.
        verify: Commands that must succeed before it is done.
        focus: What a leg of a convoy formula looks at.
    """

    id: str = ""
    title: str = ""
    description: str = ""
    type: str = ""
    priority: int | None = None
    labels: Text = ()
    needs: Text = ()
    depends_on: Text = ()
    waits_for: str = ""
    assignee: str = ""
    acceptance: str = ""
    condition: str = ""
    expand: str = ""
    expand_vars: dict[str, str] = {}
    gate: tuple[StepGate, ...] = ()
    children: "tuple[Step, ...]" = ()
    loop: Loop | None = None
    until: str = ""
    verify: Text = ()
    verify_timeout: str = ""
    artifacts: Text = ()
    review: bool = False
    touches: Text = ()
    estimate: str | float | None = None
    focus: str = ""
    at: str = ""


class ExpandRule(msgspec.Struct, frozen=True, kw_only=True):
    """``compose.expand``: the expansion formula ``with`` takes the place of the step ``target``."""

    target: str = ""
    with_: str = msgspec.field(name="with", default="")
    vars: dict[str, str] = {}
    at: str = ""


class MapRule(msgspec.Struct, frozen=True, kw_only=True):
    """``compose.map``: an expansion takes the place of every step whose id fits the glob ``select``."""

    select: str = ""
    with_: str = msgspec.field(name="with", default="")
    vars: dict[str, str] = {}
    at: str = ""


class BranchRule(msgspec.Struct, frozen=True, kw_only=True):
    """``compose.branch``: ``steps`` run side by side after ``from``, and ``join`` needs all of them."""

    from_: str = msgspec.field(name="from", default="")
    steps: Text = ()
    join: str = ""
    at: str = ""


class GateRule(msgspec.Struct, frozen=True, kw_only=True):
    """``compose.gate``: the step ``before`` waits until a named condition comes true."""

    before: str = ""
    condition: str = ""
    at: str = ""


class Compose(msgspec.Struct, frozen=True, kw_only=True):
    """How a workflow is put together from other formulas."""

    expand: tuple[ExpandRule, ...] = ()
    map: tuple[MapRule, ...] = ()
    branch: tuple[BranchRule, ...] = ()
    gate: tuple[GateRule, ...] = ()
    aspects: Text = ()


class Around(msgspec.Struct, frozen=True, kw_only=True):
    """``advice.around``: steps before and after a step."""

    before: tuple[Step, ...] = ()
    after: tuple[Step, ...] = ()


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """Steps that are put around every step that fits; their texts may say ``{step.id}`` and ``{step.title}``.

    Those of ``before`` and ``after`` stand farther out than those of ``around``.

    ``target`` is a glob over ids; without one the pointcuts of the formula say where.
    """

    target: str = ""
    before: tuple[Step, ...] = ()
    after: tuple[Step, ...] = ()
    around: Around | None = None
    at: str = ""


class Pointcut(msgspec.Struct, frozen=True, kw_only=True):
    """Steps that an aspect is about: those that fit the glob, are of the type and have the label."""

    glob: str = ""
    type: str = ""
    label: str = ""
    at: str = ""


class Prompts(msgspec.Struct, frozen=True, kw_only=True):
    """Of a convoy formula: the text that is put around the description of every leg."""

    base: str = ""


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """Of a convoy formula: where its results go."""

    directory: str = ""
    leg_pattern: str = ""
    synthesis: str = ""


class Preset(msgspec.Struct, frozen=True, kw_only=True):
    """Of a convoy formula: a named choice of legs."""

    description: str = ""
    legs: Text = ()
    at: str = ""


class Synthesis(msgspec.Struct, frozen=True, kw_only=True):
    """Of a convoy formula: the step that puts the results of the legs together."""

    title: str = ""
    description: str = ""
    acceptance: str = ""
    depends_on: Text = ()
    at: str = ""


class Squash(msgspec.Struct, frozen=True, kw_only=True):
    """How an ephemeral workflow is condensed: by itself at its end (``on_complete``), or when told to.

    ``template_type`` is a word that the digest bears; ``include_metrics`` adds how long its steps took.
    """

    trigger: str = ""
    template_type: str = ""
    include_metrics: bool = False


TRIGGERS = ("", "manual", "on_complete")


class Formula(msgspec.Struct, frozen=True, kw_only=True):
    """A formula file; or several, once those that it extends are merged in.

    Attributes:
        extends: Formulas that it begins with.
        phase: ``liquid``: poured, to stay; ``vapor``: a wisp.
        pour: An older word for ``phase = "liquid"``.
        review_only: Its steps change nothing.
        template: The steps of an expansion.
        legs: The steps of a convoy formula, side by side.
        at: The file, for messages.
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
    at: str = ""

    @property
    def is_ephemeral(self) -> bool:
        """Whether it is made to run as a wisp."""
        return self.phase == "vapor" and not self.pour

    @property
    def variables(self) -> dict[str, Variable]:
        """Its variables, or the inputs of a convoy formula."""
        return {**self.vars, **self.inputs}
