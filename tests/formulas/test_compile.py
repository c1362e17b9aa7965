"""Cooking formulas: each pass, and real formulas as a whole."""

import shutil

import pytest

from orchestrator.core.errors import UsageError
from orchestrator.domain.workflows.compiled import CompiledGate

from .kitchen import REAL, VALUES, Kitchen, before, graph, step_of

SHINY = ["design", "implement", "review", "test", "submit"]


@pytest.fixture
def real(kitchen: Kitchen) -> Kitchen:
    shutil.copytree(REAL, kitchen.board / "formulas", dirs_exist_ok=True)
    return kitchen


# Real formulas


@pytest.mark.parametrize("name", sorted(path.name.split(".")[0] for path in REAL.iterdir()))
def test_every_real_formula_compiles_in_an_order_that_respects_the_needs(real: Kitchen, name: str):
    cooked = real.cook(name, VALUES.get(name))
    seen: set[str] = set()
    for step in cooked.steps:
        assert seen.issuperset(step.needs)
        seen.add(step.id)
    assert cooked.steps


def test_shiny_enterprise_expands_implement_and_review_needs_its_last_step(real: Kitchen):
    compiled = real.graph("shiny-enterprise", feature="Login")
    draft = ["draft", "refine-1", "refine-2", "refine-3", "refine-4"]
    chain = ["design", *(f"implement.{part}" for part in draft), "review", "test", "submit"]
    assert compiled == {step: {chain[n - 1]} if n else set[str]() for n, step in enumerate(chain)}


def test_shiny_secure_puts_steps_around_implement_and_submit(real: Kitchen):
    compiled = real.graph("shiny-secure", feature="Login")
    assert compiled["implement-security-prescan"] == {"design"}
    assert compiled["implement"] == {"implement-security-prescan"}
    assert compiled["implement-security-postscan"] == {"implement"}
    assert compiled["review"] == {"implement-security-postscan"}
    assert compiled["submit-security-postscan"] == {"submit"}


def test_the_review_convoy_has_parallel_legs_and_then_the_synthesis(real: Kitchen):
    cooked = real.cook("code-review", {"pr": "123"}, preset="gate")
    compiled = graph(cooked)
    legs = {"wiring", "security", "smells", "test-quality"}
    assert compiled == {**{leg: set() for leg in legs}, "synthesis": legs}
    text = step_of(cooked, "security").description
    assert "- **Formula**: code-review" in text
    assert "- **Your focus**: Security vulnerabilities and attack surface" in text
    assert "- **Review target**: pr 123" in text
    assert "{{range .changed_files -}}" in text, "other actions stay"
    assert "{{.review_id}}" in cooked.runtime
    assert "security-findings.md" in text


def test_a_missing_required_variable_is_reported_with_how_to_give_it(real: Kitchen):
    assert real.problems("shiny") == [
        "variable feature: it is required: The feature being implemented. Give it: --var feature=VALUE"
    ]
    assert "it is required (or files or branch)" in real.problems("code-review")[0]


def test_a_declared_variable_that_no_text_uses_need_not_be_given(real: Kitchen):
    assert real.cook("shiny", {"feature": "x"}).variables == {"feature": "x"}


# extends


def test_a_child_adds_steps_replaces_those_of_the_same_id_and_wins_with_its_variables(
    kitchen: Kitchen,
):
    kitchen.write(
        "base",
        """
        [vars]
        who = "base"
        [[steps]]
        id = "a"
        title = "A of {{who}}"
        [[steps]]
        id = "b"
        needs = ["a"]
        """,
    )
    cooked = kitchen.cook(
        """
        extends = ["base"]
        [vars]
        who = "child"
        [[steps]]
        id = "b"
        title = "New B"
        needs = ["a"]
        [[steps]]
        id = "c"
        needs = ["b"]
        """
    )
    assert [(step.id, step.title) for step in cooked.steps] == [
        ("a", "A of child"),
        ("b", "New B"),
        ("c", "c"),
    ]


def test_circular_extends_prints_the_circle(kitchen: Kitchen):
    kitchen.write("b", 'extends = ["c"]\n[[steps]]\nid = "x"')
    kitchen.write("c", 'extends = ["b"]\n[[steps]]\nid = "x"')
    assert any("circular: b -> c -> b" in problem for problem in kitchen.problems("b"))


# Loops


def test_count_chains_the_rounds_and_passes_on_the_needs(kitchen: Kitchen):
    compiled = kitchen.graph(
        """
        [[steps]]
        id = "before"
        [[steps]]
        id = "process"
        needs = ["before"]
        [steps.loop]
        count = 2
        [[steps.loop.body]]
        id = "fetch"
        [[steps.loop.body]]
        id = "transform"
        needs = ["fetch"]
        [[steps]]
        id = "after"
        needs = ["process"]
        """
    )
    assert compiled == {
        "before": set(),
        "process.iter1.fetch": {"before"},
        "process.iter1.transform": {"process.iter1.fetch"},
        "process.iter2.fetch": {"process.iter1.transform"},
        "process.iter2.transform": {"process.iter2.fetch"},
        "after": {"process.iter2.transform"},
    }


def test_a_range_computes_with_variables_and_names_its_number(kitchen: Kitchen):
    cooked = kitchen.cook(
        """
        [vars]
        disks = "3"
        [[steps]]
        id = "hanoi"
        [steps.loop]
        range = "1..2^{disks}-1"
        var = "move"
        [[steps.loop.body]]
        id = "m"
        title = "Move {move} of {{disks}} ({iteration})"
        """
    )
    assert [step.title for step in cooked.steps] == [f"Move {n} of 3 ({n})" for n in range(1, 8)]


def test_until_keeps_the_loop_as_a_milestone_whose_children_are_the_rounds(kitchen: Kitchen):
    cooked = kitchen.cook(
        """
        [[steps]]
        id = "retry"
        [steps.loop]
        until = "it works"
        max = 2
        [[steps.loop.body]]
        id = "try"
        [[steps]]
        id = "after"
        needs = ["retry"]
        """
    )
    loop = step_of(cooked, "retry")
    assert (loop.type, loop.until, loop.waits_for) == ("milestone", "it works", "all")
    assert step_of(cooked, "retry.iter2").needs == ("retry.iter1",)
    assert step_of(cooked, "retry.iter2.try").parent == "retry.iter2"
    assert step_of(cooked, "after").needs == ("retry",)


def test_a_loop_without_rounds_is_left_out_and_passes_on_its_needs(kitchen: Kitchen):
    text = """
        [vars]
        n = "0"
        [[steps]]
        id = "a"
        [[steps]]
        id = "l"
        needs = ["a"]
        [steps.loop]
        count = "{{n}}"
        [[steps.loop.body]]
        id = "x"
        [[steps]]
        id = "b"
        needs = ["l"]
        """
    assert kitchen.graph(text) == {"a": set(), "b": {"a"}}
    assert kitchen.graph(text, n="1")["b"] == {"l.iter1.x"}


@pytest.mark.parametrize(
    "loop",
    ["count = 100000", 'range = "1..10^9"', 'range = "1..9^9^9"', 'until = "x"\nmax = 1000000'],
)
def test_loops_are_bounded(kitchen: Kitchen, loop: str):
    body = '[[steps.loop.body]]\nid = "x"'
    assert kitchen.problems(f'[[steps]]\nid = "l"\n[steps.loop]\n{loop}\n{body}')


def test_loops_in_loops_are_bounded_together(kitchen: Kitchen):
    problems = kitchen.problems(
        """
        [[steps]]
        id = "l"
        [steps.loop]
        count = 1000
        [[steps.loop.body]]
        id = "m"
        [steps.loop.body.loop]
        count = 1000
        [[steps.loop.body.loop.body]]
        id = "x"
        """
    )
    assert any("more than 10000 steps" in problem for problem in problems)


# Expansions


EXPANSION = """
    type = "expansion"
    [vars]
    lang = "go"
    [[template]]
    id = "{target}.draft"
    title = "Draft {target.title} in {lang}"
    description = "{target.description}"
    [[template]]
    id = "{target}.polish"
    needs = ["{target}.draft"]
    """


def test_the_facts_of_a_replaced_step_are_inherited(kitchen: Kitchen):
    kitchen.write("two", EXPANSION)
    cooked = kitchen.cook(
        """
        [[steps]]
        id = "a"
        [[steps]]
        id = "b"
        title = "B"
        description = "all of it"
        needs = ["a"]
        priority = 2
        labels = ["x"]
        assignee = "ann"
        acceptance = "it works"
        verify = ["make test"]
        expand = "two"
        expand_vars = {lang = "rust"}
        [steps.gate]
        type = "human"
        id = "go"
        [[steps]]
        id = "c"
        needs = ["b"]
        """
    )
    draft, polish = step_of(cooked, "b.draft"), step_of(cooked, "b.polish")
    assert (draft.title, draft.description) == ("Draft B in rust", "all of it")
    assert draft.needs == ("a",)
    assert [gate.name for gate in draft.gates] == ["go"]
    assert draft.acceptance == ""
    assert (polish.acceptance, polish.verify) == ("it works", ("make test",))
    assert [(s.priority, s.labels, s.assignee) for s in (draft, polish)] == [(2, ("x",), "ann")] * 2
    assert step_of(cooked, "c").needs == ("b.polish",)


def test_map_expands_every_step_that_matches(kitchen: Kitchen):
    kitchen.write("two", EXPANSION)
    compiled = kitchen.graph(
        """
        [[steps]]
        id = "one.impl"
        [[steps]]
        id = "two.impl"
        needs = ["one.impl"]
        [[compose.map]]
        select = "*.impl"
        with = "two"
        """
    )
    assert compiled["two.impl.draft"] == {"one.impl.polish"}


def test_expansions_are_nested_at_most_five_deep(kitchen: Kitchen):
    kitchen.write("self", 'type = "expansion"\n[[template]]\nid = "{target}.x"\nexpand = "self"')
    problems = kitchen.problems('[[steps]]\nid = "a"\nexpand = "self"')
    assert any("more than 5 deep" in problem for problem in problems)


def test_an_expansion_that_doubles_is_stopped_by_its_size(kitchen: Kitchen):
    rows = "\n".join(f'[[template]]\nid = "{{target}}.{n}"\nexpand = "self"' for n in range(40))
    kitchen.write("self", f'type = "expansion"\n{rows}')
    assert kitchen.problems('[[steps]]\nid = "a"\nexpand = "self"')


def test_a_text_that_doubles_is_stopped_by_its_size(kitchen: Kitchen):
    many = "{target.description}" * 50
    kitchen.write(
        "self",
        f'type = "expansion"\n[[template]]\nid = "{{target}}.x"\nexpand = "self"\n'
        f'description = "{many}"',
    )
    text = "x" * 5000
    assert kitchen.problems(f'[[steps]]\nid = "a"\nexpand = "self"\ndescription = "{text}"')


# Advice


def test_own_advice_comes_before_expansions_and_aspects_after(kitchen: Kitchen):
    kitchen.write("two", EXPANSION)
    kitchen.write(
        "log",
        """
        type = "aspect"
        [[advice]]
        target = "*"
        [advice.after]
        id = "{step.id}-log"
        [[pointcuts]]
        glob = "b*"
        """,
    )
    compiled = kitchen.graph(
        """
        [[steps]]
        id = "a"
        [[steps]]
        id = "b"
        needs = ["a"]
        expand = "two"
        [[advice]]
        target = "b"
        [advice.before]
        id = "{step.id}-check"
        [compose]
        aspects = ["log"]
        """
    )
    assert compiled == {
        "a": set(),
        "b-check": {"a"},
        "b.draft": {"b-check"},
        "b.draft-log": {"b.draft"},
        "b.polish": {"b.draft-log"},
        "b.polish-log": {"b.polish"},
    }, "an aspect goes around no step that advice has put in"


def test_several_steps_before_and_after_keep_their_order(kitchen: Kitchen):
    compiled = kitchen.graph(
        """
        [[steps]]
        id = "a"
        [[steps]]
        id = "z"
        needs = ["a"]
        [[advice]]
        target = "a"
        [[advice.around.before]]
        id = "b1"
        [[advice.around.before]]
        id = "b2"
        [[advice.around.after]]
        id = "c1"
        [[advice.around.after]]
        id = "c2"
        """
    )
    assert compiled == {
        "b1": set(), "b2": {"b1"}, "a": {"b2"}, "c1": {"a"}, "c2": {"c1"}, "z": {"c2"}
    }  # fmt: skip


# Branches, gates, children


def test_a_branch_forks_and_joins(kitchen: Kitchen):
    compiled = kitchen.graph(
        """
        [[steps]]
        id = "setup"
        [[steps]]
        id = "lint"
        [[steps]]
        id = "test"
        [[steps]]
        id = "deploy"
        [[compose.branch]]
        from = "setup"
        steps = ["lint", "test"]
        join = "deploy"
        """
    )
    assert compiled == {
        "setup": set(), "lint": {"setup"}, "test": {"setup"}, "deploy": {"lint", "test"}
    }  # fmt: skip


def test_gates_of_all_kinds_and_an_unknown_one_is_a_warning(kitchen: Kitchen):
    cooked = kitchen.cook(
        """
        [[steps]]
        id = "a"
        type = "ritual"
        [[steps.gate]]
        type = "timer"
        timeout = "90m"
        [[steps.gate]]
        type = "event"
        id = "ci.passed"
        timeout = "1h"
        [[steps.gate]]
        type = "task"
        id = "299833bc"
        [[steps.gate]]
        type = "gh:run"
        id = "build"
        [[compose.gate]]
        before = "a"
        condition = "the moon is full"
        """
    )
    step = cooked.steps[0]
    assert step.gates == (
        CompiledGate(type="timer", name="1h30m", seconds=5400.0),
        CompiledGate(type="event", name="ci.passed", seconds=3600.0),
        CompiledGate(type="gh:run", name="build"),
        CompiledGate(type="condition", name="the moon is full"),
    )
    assert step.outside == ("299833bc",)
    assert [warning.partition(": ")[2] for warning in cooked.warnings] == [
        "steps[0] (a): 'ritual' is not a known type",
        "steps[0].gate[3]: 'gh:run' is not a known type of gate",
    ]


def test_a_step_with_children_waits_for_them_and_they_get_its_timer(kitchen: Kitchen):
    cooked = kitchen.cook(
        """
        [[steps]]
        id = "all"
        [steps.gate]
        type = "timer"
        timeout = "5m"
        [[steps.children]]
        id = "one"
        [[steps.children]]
        id = "two"
        needs = ["one"]
        """
    )
    assert step_of(cooked, "all").waits_for == "all"
    assert step_of(cooked, "all").gates == ()
    assert step_of(cooked, "one").parent == "all"
    assert [gate.type for gate in step_of(cooked, "one").gates] == ["timer"]


# Conditions


CONDITIONAL = """
    [vars]
    v = "yes"
    [[steps]]
    id = "a"
    [[steps]]
    id = "b"
    needs = ["a"]
    condition = "{condition}"
    [[steps]]
    id = "c"
    needs = ["b"]
    """


@pytest.mark.parametrize(
    ("condition", "value", "holds"),
    [
        *(("{{v}}", value, False) for value in ("", "false", "0", "no", "off", "No", "OFF")),
        *(("!{{v}}", value, True) for value in ("", "false", "0")),
        ("{{v}}", "yes", True),
        ("{{ v }}", "anything", True),
        ("!{{v}}", "yes", False),
        ("{{v}} == x", "x", True),
        ("{{v}} == 'x y'", "x y", True),
        ("{{v}} == x", "y", False),
        ("{{v}} != x", "x", False),
        ("{{v}}!=x", "y", True),
    ],
)
def test_a_condition_in_each_of_its_forms(
    kitchen: Kitchen, condition: str, value: str, holds: bool
):
    compiled = kitchen.graph(CONDITIONAL.replace("{condition}", condition), v=value)
    assert ("b" in compiled) == holds
    assert compiled["c"] == ({"b"} if holds else {"a"}), "who needed it inherits its needs"


def test_a_parent_still_waits_for_the_needs_of_a_removed_child(
    kitchen: Kitchen,
):
    cooked = kitchen.cook(
        """
        [vars]
        v = "no"
        [[steps]]
        id = "p"
        [[steps.children]]
        id = "kept"
        [[steps.children]]
        id = "dropped"
        needs = ["a"]
        condition = "{{v}}"
        [[steps]]
        id = "a"
        needs = ["kept"]
        """
    )
    steps = {step.id: step for step in cooked.steps}
    assert before(steps)["p"] >= {"a", "kept"}
    assert steps["dropped"].type == "milestone", "as a need of the parent it would close a circle"


# Variables


def test_values_are_enforced_and_all_problems_come_in_one_report(kitchen: Kitchen):
    problems = kitchen.problems(
        """
        [vars.level]
        enum = ["low", "high"]
        [vars.version]
        pattern = '^[0-9]+$'
        [vars.n]
        type = "integer"
        [vars.name]
        description = "Who"
        required = true
        [[steps]]
        id = "a"
        title = "{{level}} {{version}} {{n}}"
        """,
        level="middle",
        version="x",
        n="1.5",
        nane="Bob",
    )
    assert problems == [
        "variable level: 'middle' is not one of low, high",
        "variable version: 'x' does not match the pattern '^[0-9]+$'",
        "variable n: '1.5' is not of the type integer",
        "variable name: it is required: Who. Give it: --var name=VALUE",
        "variable nane: the formula has no variable of this name; did you mean 'name'?",
    ]


def test_a_value_is_never_read_as_a_template(kitchen: Kitchen):
    kitchen.write("two", EXPANSION)
    cooked = kitchen.cook(
        """
        [vars]
        a = ""
        b = "secret"
        [[steps]]
        id = "x"
        title = "{{a}} {{b}}"
        expand = "two"
        """,
        {"a": "{{b}} {target.id} {lang}"},
    )
    assert cooked.steps[0].title == "Draft {{b}} {target.id} {lang} secret in go"


def test_a_value_in_a_command_stays_one_word_and_an_empty_command_is_none(kitchen: Kitchen):
    text = """
        [vars]
        path = "."
        test = ""
        [[steps]]
        id = "x"
        verify = ["pytest '{{path}}' -q", "{{test}}"]
        """
    step = kitchen.cook(text, {"path": "a; rm -rf b"}).steps[0]
    assert step.verify == ("pytest 'a; rm -rf b' -q",)
    assert kitchen.cook(text, {"test": "make test"}).steps[0].verify[1] == "make test"


def test_undeclared_names_stay_in_texts_and_are_reported(kitchen: Kitchen):
    cooked = kitchen.cook(
        '[[steps]]\nid = "x"\ntitle = "{{#if y}}{{name}}{{else}}-{{/if}}"\ndescription = "{{name}}"'
    )
    assert cooked.steps[0].title == "{{#if y}}{{name}}{{else}}-{{/if}}"
    assert set(cooked.runtime) == {"{{#if y}}", "{{name}}", "{{else}}", "{{/if}}"}
    assert kitchen.cook("test", {"name": "Ann"}).steps[0].description == "Ann"


def test_only_convoy_formulas_have_presets(kitchen: Kitchen):
    kitchen.write("plain", '[[steps]]\nid = "x"')
    with pytest.raises(UsageError, match="has no preset 'quick'"):
        kitchen.cook("plain", preset="quick")


def test_compiling_again_gives_the_same_result(kitchen: Kitchen):
    text = '[vars]\nv = "1"\n[[steps]]\nid = "x"\ntitle = "{{v}}"'
    assert kitchen.cook(text) == kitchen.cook(text)


# What reviewers found


def test_an_expansion_uses_the_values_of_the_rule_and_then_its_own_defaults(kitchen: Kitchen):
    for name, default in (("e", "EE"), ("f", "FF")):
        kitchen.write(
            name,
            f"""
            type = "expansion"
            [vars]
            v = "{default}"
            [[template]]
            id = "{{target}}.x"
            title = "{{{{v}}}} {{v}}"
            verify = ["run {{v}} {{{{ v }}}}"]
            condition = "{{{{v}}}} != none"
            """,
        )
    text = """
        [[steps]]
        id = "a"
        expand = "e"
        [[steps]]
        id = "b"
        expand = "f"
        [[steps]]
        id = "c"
        expand = "e"
        expand_vars = {v = "two words"}
        [[steps]]
        id = "d"
        expand = "e"
        expand_vars = {v = "none"}
        """
    cooked = kitchen.cook(text)
    assert [step.title for step in cooked.steps] == ["EE EE", "FF FF", "two words two words"]
    assert cooked.steps[2].verify == ("run 'two words' 'two words'",)
    assert [step.title for step in kitchen.cook("test", {"v": "G"}).steps][:2] == ["G G", "G G"]


def test_a_variable_that_the_expansion_does_not_have_or_allow_is_reported(kitchen: Kitchen):
    kitchen.write(
        "e", 'type = "expansion"\n[vars.v]\nenum = ["a"]\n[[template]]\nid = "{target}.x"'
    )
    problems = kitchen.problems(
        '[[steps]]\nid = "s"\nexpand = "e"\nexpand_vars = {w = "1", v = "b"}'
    )
    assert [problem.partition("(s): ")[2] for problem in problems] == [
        "expand: e has no variable 'w'",
        "expand: variable v: 'b' is not one of a",
    ]


def test_needs_given_by_variables_are_kept_by_every_pass(kitchen: Kitchen):
    text = """
        [vars]
        w = "a"
        no = "false"
        [[steps]]
        id = "a"
        [[steps]]
        id = "b"
        needs = ["{{w}}"]
        condition = "{{no}}"
        [[steps]]
        id = "c"
        needs = ["b"]
        [[advice]]
        target = "a"
        [advice.after]
        id = "a-post"
        """
    assert kitchen.graph(text)["c"] == {"a-post"}


def test_the_prerequisites_of_a_replaced_step_are_passed_on(kitchen: Kitchen):
    kitchen.write("two", EXPANSION)
    cooked = kitchen.cook(
        """
        [[steps]]
        id = "p"
        [[steps.children]]
        id = "c"
        [[steps]]
        id = "a"
        waits_for = "all:p"
        expand = "two"
        [[steps]]
        id = "b"
        waits_for = "all:p"
        [[advice]]
        target = "b"
        [advice.before]
        id = "b-pre"
        """
    )
    assert step_of(cooked, "a.draft").waits_for == "all:p"
    assert step_of(cooked, "b-pre").waits_for == "all:p"


def test_the_rounds_of_a_loop_inherit_the_facts_of_its_step(kitchen: Kitchen):
    cooked = kitchen.cook(
        """
        [[steps]]
        id = "l"
        description = "DESC"
        acceptance = "ACC"
        verify = ["true"]
        touches = ["git"]
        review = true
        [steps.loop]
        count = 2
        [[steps.loop.body]]
        id = "x"
        """
    )
    assert [s.description for s in cooked.steps] == ["DESC", "DESC"]
    assert [s.touches for s in cooked.steps] == [("git",), ("git",)]
    assert [(s.acceptance, s.verify, s.review) for s in cooked.steps] == [
        ("", (), False),
        ("ACC", ("true",), True),
    ]


def test_a_loop_in_a_template_is_filled(kitchen: Kitchen):
    kitchen.write(
        "e",
        """
        type = "expansion"
        [vars]
        n = "1"
        [[template]]
        id = "{target}.l"
        [template.loop]
        count = "{n}"
        var = "i"
        [[template.loop.body]]
        id = "x"
        title = "{target.title} {i}"
        condition = "{{i}} != 2"
        """,
    )
    cooked = kitchen.cook('[[steps]]\nid = "a"\ntitle = "A"\nexpand = "e"\nexpand_vars = {n = "3"}')
    assert [step.title for step in cooked.steps] == ["A 1", "A 3"]


def test_a_removed_step_passes_on_the_tasks_of_the_board_that_it_waited_for(kitchen: Kitchen):
    cooked = kitchen.cook(
        """
        [vars]
        v = "no"
        [[steps]]
        id = "b"
        condition = "{{v}}"
        [steps.gate]
        type = "task"
        id = "299833bc"
        [[steps]]
        id = "c"
        needs = ["b"]
        """
    )
    assert cooked.steps[0].outside == ("299833bc",)


def test_a_base_prompt_without_a_place_for_it_keeps_the_legs_description(kitchen: Kitchen):
    cooked = kitchen.cook(
        """
        type = "convoy"
        [inputs]
        pr = "7"
        [prompts]
        base = "Be careful {{- .pr -}} !"
        [[legs]]
        id = "a"
        focus = "the {{.pr}}"
        description = "Look."
        """
    )
    assert cooked.steps[0].description == "Be careful7!\n\nFocus: the 7\n\nLook."


def test_advice_that_matches_no_step_is_a_warning(kitchen: Kitchen):
    cooked = kitchen.cook(
        '[[steps]]\nid = "a"\n[[advice]]\ntarget = "imlement"\n[advice.before]\nid = "x"'
    )
    assert cooked.warnings == ("test.formula.toml: advice[0]: it matches no step",)


def test_a_value_keeps_its_blank_lines_and_an_empty_one_leaves_no_gap(kitchen: Kitchen):
    text = '[vars]\nt = ""\n[[steps]]\nid = "a"\ndescription = "x\\n\\n{{t}}\\n\\ny"'
    assert kitchen.cook(text).steps[0].description == "x\n\ny"
    assert kitchen.cook("test", {"t": "a\n\n\n\nb"}).steps[0].description == "x\n\na\n\n\n\nb\n\ny"


# What stands in one another


def test_a_loop_without_rounds_passes_on_needs_that_are_added_later(kitchen: Kitchen):
    kitchen.write("two", EXPANSION)
    compiled = kitchen.graph(
        """
        steps = [
            {id = "late", expand = "two"},
            {id = "none", needs = ["late.draft", "l.iter2.x"], loop = {count = 0, body = [{id = "x"}]}},
            {id = "l", loop = {count = 2, body = [{id = "x"}]}},
            {id = "after", needs = ["none"]},
        ]
        """
    )
    assert compiled["after"] == {"late.draft", "l.iter2.x"}


def test_loops_and_expansions_are_nested_in_any_order(kitchen: Kitchen):
    kitchen.write(
        "inner",
        'type = "expansion"\ntemplate = [{id = "{target}.g", loop = {count = 2, body = [{id = "y"}]}}]',
    )
    kitchen.write(
        "outer",
        """
        type = "expansion"
        template = [{id = "{target}.l", loop = {count = 2, body = [{id = "x", expand = "inner"}]}}]
        """,
    )
    compiled = kitchen.graph('steps = [{id = "a", expand = "outer"}]')
    assert list(compiled) == [f"a.l.iter{n}.x.g.iter{m}.y" for n in (1, 2) for m in (1, 2)]


def test_a_loop_in_a_loop_needs_the_steps_of_its_own_round_and_counts_its_own_rounds(
    kitchen: Kitchen,
):
    cooked = kitchen.cook(
        """
        [[steps]]
        id = "a"
        [[steps]]
        id = "l"
        [steps.loop]
        range = "1..2"
        var = "i"
        [[steps.loop.body]]
        id = "a"
        title = "{i}"
        [[steps.loop.body]]
        id = "in"
        [steps.loop.body.loop]
        range = "{i}..{i}+1"
        var = "i"
        body = [{id = "x", needs = ["a"], title = "{i}, round {iteration}"}]
        """
    )
    steps = {step.id: (step.title, set(step.needs)) for step in cooked.steps}
    assert steps["l.iter1.in.iter1.x"] == ("1, round 1", {"l.iter1.a"})
    assert steps["l.iter2.in.iter2.x"] == ("3, round 2", {"l.iter2.in.iter1.x", "l.iter2.a"})


@pytest.mark.parametrize(
    "steps",
    [
        '{id = "a", expand = "mark", verify = ["true"]}',
        '{id = "a", review = true, loop = {count = 2, body = [{id = "x", type = "milestone"}]}}',
    ],
)
def test_checks_are_never_put_on_a_milestone(kitchen: Kitchen, steps: str):
    kitchen.write(
        "mark", 'type = "expansion"\ntemplate = [{id = "{target}.m", type = "milestone"}]'
    )
    assert "is a milestone" in kitchen.problems(f"steps = [{steps}]")[0]


def test_a_milestone_made_of_an_assigned_step_has_no_assignee(kitchen: Kitchen):
    kitchen.write(
        "rounds",
        """
        type = "expansion"
        template = [{id = "{target}.r", loop = {until = "good", max = 1, body = [{id = "x"}]}}]
        """,
    )
    cooked = kitchen.cook('steps = [{id = "a", expand = "rounds", assignee = "ann"}]')
    assert {step.id: step.assignee for step in cooked.steps} == {
        "a.r": "",
        "a.r.iter1": "",
        "a.r.iter1.x": "ann",
    }


# Parents that are done with any of their parts


@pytest.mark.parametrize("part", ['expand = "two"', 'loop = {count = 2, body = [{id = "x"}]}'])
def test_a_child_does_not_become_several_where_any_child_is_enough(kitchen: Kitchen, part: str):
    kitchen.write("two", EXPANSION)
    problems = kitchen.problems(
        f'steps = [{{id = "p", waits_for = "any", children = [{{id = "c", {part}}}, {{id = "d"}}]}}]'
    )
    assert "any" in problems[0]


def test_a_need_of_one_child_stays_a_need_where_any_child_is_enough(kitchen: Kitchen):
    kitchen.write(
        "choice",
        """
        type = "expansion"
        [[template]]
        id = "{target}.p"
        waits_for = "any"
        children = [{id = "{target}.c", needs = ["{target}.q"]}, {id = "{target}.d"}]
        [[template]]
        id = "{target}.q"
        """,
    )
    compiled = kitchen.graph('steps = [{id = "a", expand = "choice"}, {id = "z", needs = ["a"]}]')
    assert compiled["z"] == {"a.p", "a.q"}


def test_a_step_that_waits_for_all_children_keeps_the_needs_of_a_removed_one(kitchen: Kitchen):
    compiled = kitchen.graph(
        """
        vars = {v = "no"}
        steps = [
            {id = "a"},
            {id = "p", waits_for = "any", children = [
                {id = "c", needs = ["a"], condition = "{{v}}"},
                {id = "d"},
            ]},
            {id = "z", waits_for = "all:p"},
        ]
        """
    )
    assert compiled == {"a": set(), "p": set(), "d": set(), "z": {"a"}}


# Tasks of the board, timers


def test_a_removed_child_passes_on_the_tasks_that_its_parent_waits_for(kitchen: Kitchen):
    cooked = kitchen.cook(
        """
        vars = {v = "no"}
        [[steps]]
        id = "p"
        gate = {type = "task", id = "abc"}
        children = [{id = "c", condition = "{{v}}"}, {id = "d"}]
        [[steps]]
        id = "z"
        needs = ["c"]
        """
    )
    assert step_of(cooked, "z").outside == ("abc",)
    assert step_of(cooked, "d").outside == (), "its parent waits for it already"


def test_advice_before_a_step_takes_over_the_tasks_of_the_board(kitchen: Kitchen):
    cooked = kitchen.cook(
        """
        [[steps]]
        id = "a"
        gate = [{type = "task", id = "abc"}, {type = "human", id = "yes"}]
        [[advice]]
        target = "a"
        before = [{id = "b"}, {id = "c"}]
        """
    )
    assert [(step.id, step.needs, step.outside) for step in cooked.steps] == [
        ("b", (), ("abc",)),
        ("c", ("b",), ("abc",)),
        ("a", ("c",), ("abc",)),
    ]
    assert [len(step.gates) for step in cooked.steps] == [0, 0, 1]


def test_a_timer_of_a_parent_skips_milestones(kitchen: Kitchen):
    cooked = kitchen.cook(
        """
        vars = {v = "no"}
        [[steps]]
        id = "a"
        [[steps]]
        id = "p"
        gate = {type = "timer", timeout = "5m"}
        children = [{id = "c", needs = ["a"], condition = "{{v}}"}, {id = "d"}]
        """
    )
    assert {step.id: len(step.gates) for step in cooked.steps} == {"a": 0, "p": 0, "c": 0, "d": 1}


# Convoys, advice


def test_a_preset_passes_on_the_needs_of_the_legs_that_it_leaves_out(kitchen: Kitchen):
    cooked = kitchen.cook(
        """
        type = "convoy"
        legs = [{id = "a"}, {id = "b", needs = ["a"]}, {id = "c", needs = ["b"]}]
        presets = {two = {legs = ["a", "c"]}, one = {legs = ["c"]}}
        """,
        preset="two",
    )
    assert graph(cooked) == {"a": set(), "c": {"a"}}
    assert graph(kitchen.cook("test", preset="one")) == {"c": set()}


def test_an_input_without_a_value_is_empty_if_another_one_is_given(kitchen: Kitchen):
    text = """
        type = "convoy"
        legs = [{id = "a", title = "Look at {{.pr}}{{.files}}{{if .files}}{{.files}}{{end}}"}]
        [inputs.pr]
        required_unless = ["files"]
        [inputs.files]
        required_unless = ["pr"]
        """
    step = kitchen.cook(text, {"pr": "7"}).steps[0]
    assert step.title == "Look at 7{{if .files}}{{.files}}{{end}}"
    assert len(kitchen.problems(text)) == 2


def test_an_unknown_word_in_braces_is_a_warning(kitchen: Kitchen):
    cooked = kitchen.cook(
        """
        steps = [{id = "a"}]
        advice = [{target = "a", before = {id = "b", title = "Before {step.titel}"}}]
        """
    )
    assert len(cooked.warnings) == 1
    assert "{step.titel} means nothing; did you mean 'step.title'?" in cooked.warnings[0]


@pytest.mark.parametrize(
    "about", ['glob = "*.deploy"', 'glob = "dep*"', 'type = "code"', 'label = "risky"']
)
def test_an_aspect_compiled_alone_is_put_around_a_milestone_for_each_selection(
    kitchen: Kitchen, about: str
):
    cooked = kitchen.cook(
        f'type = "aspect"\npointcuts = [{{{about}}}]\nadvice = [{{after = {{id = "{{step.id}}-look"}}}}]'
    )
    stand_in, look = cooked.steps
    assert (stand_in.type, look.needs) == ("milestone", (stand_in.id,))
    assert cooked.warnings == ()
