"""Invalid formulas: each error names file and place, and no other exception occurs."""

import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.core.errors import BadInput, BadName, NotFound, OrchestratorError
from orchestrator.core.problems import (
    Problems,
)
from orchestrator.formulas import compile_formula, load
from orchestrator.formulas.library import find, save
from orchestrator.formulas.parse import read
from orchestrator.stores.files.folders import FileDocuments

from .kitchen import Kitchen


def test_all_errors_of_a_file_come_in_one_report_with_their_places(kitchen: Kitchen):
    kitchen.write(
        "bad",
        """
        verson = 1
        [vars.level]
        enum = ["a"]
        default = "b"
        typ = "string"
        [[steps]]
        id = "a"
        titel = "A"
        priority = "high"
        [[steps]]
        id = "a"
        needs = ["b", "a"]
        [[steps.children]]
        title = "no id"
        [[steps]]
        id = "c"
        condition = "maybe"
        waits_for = "everybody"
        [steps.gate]
        type = "timer"
        [[steps]]
        id = "l"
        [steps.loop]
        count = 1
        until = "x"
        """,
    )
    assert kitchen.problems("bad") == [
        "bad.formula.toml: unknown key 'verson'; did you mean 'version'?",
        "bad.formula.toml: vars.level: unknown key 'typ'; did you mean 'type'?",
        "bad.formula.toml: steps[0] (a): unknown key 'titel'; did you mean 'title'?",
        "bad.formula.toml: steps[0] (a): priority is not a whole number, but a text",
        "bad.formula.toml: steps[1] (a): id: steps[0] (a) has this id already",
        "bad.formula.toml: steps[1].children[0]: id: it is missing",
        "bad.formula.toml: vars.level: the default: 'b' is not one of a",
        "bad.formula.toml: steps[1] (a): it needs itself",
        "bad.formula.toml: steps[2] (c): condition: 'maybe' is not a condition: write {{v}}, !{{v}},"
        " {{v}} == x or {{v}} != x",
        "bad.formula.toml: steps[2] (c): waits_for: a step cannot wait for 'everybody': write all, any,"
        " all:STEP or any:STEP",
        "bad.formula.toml: steps[2].gate: a timer needs a timeout, such as 30m",
        "bad.formula.toml: steps[3] (l): loop: a loop has one of count, range and until; this one has count"
        " and until",
        "bad.formula.toml: steps[3] (l): loop: a loop has max if, and only if, it has until",
        "bad.formula.toml: steps[3] (l): loop: a loop needs a body",
    ]


FAULTS = {
    "a key that nobody knows": ('titel = "x"', "unknown key 'titel'"),
    "a value of the wrong kind": ("acceptance = 1", "acceptance is not a text"),
    "a condition that is not valid": ('condition = "maybe"', "'maybe' is not a condition"),
    "a need that is not there": ('needs = ["zz"]', "there is no step 'zz'"),
    "a label that is not a name": ('labels = ["a b"]', "'a b' cannot name a label"),
    "an agent that is not valid": ('assignee = "..x"', "cannot name an agent"),
    "a command without an end": ('verify = ["\'x"]', "cannot be split into words"),
    "a title with a NUL": ('title = "x\\u0000"', "The title holds a NUL"),
    "a resource that is not valid": ('touches = ["x\\u0001"]', "touches: "),
    "a duration that is not valid": ('estimate = "soon"', "'soon' is not a duration"),
    "a gate of no duration": (
        'gate = { type = "human", timeout = "soon" }',
        "'soon' is not a duration",
    ),
    "an expansion that is not there": ('expand = "zz"', "There is no formula 'zz'"),
}


@given(st.lists(st.lists(st.sampled_from(sorted(FAULTS)), unique=True), min_size=1, max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_problem_is_reported_once_whatever_others_there_are(
    kitchen: Kitchen, faults: list[list[str]]
):
    """In one or several steps, detected by reading or by cooking; a circle behind them too."""
    text, expected = ['[[steps]]\nid = "p"\nneeds = ["q"]\n[[steps]]\nid = "q"\nneeds = ["p"]'], []
    for number, chosen in enumerate(faults):
        lines = [f'[[steps]]\nid = "s{number}"', *(FAULTS[fault][0] for fault in chosen)]
        text.append("\n".join(lines))
        expected += [(f"steps[{number + 2}]", FAULTS[fault][1]) for fault in chosen]
    messages = kitchen.problems("\n".join(text))
    assert len(messages) == len(expected) + 1, messages
    assert any("these wait for one another: p -> q -> p" in first for first in messages)
    for place, message in expected:
        assert any(place in first and message in first for first in messages), (
            place,
            message,
            messages,
        )


def test_every_circle_is_reported_with_the_places_of_its_steps(kitchen: Kitchen):
    text = "".join(
        f'[[steps]]\nid = "{step}"\nneeds = ["{need}"]\n'
        for step, need in ("ab", "ba", "cd", "de", "ec", "ff", "ga")
    )
    assert kitchen.problems(text) == [
        "test.formula.toml: steps[5] (f): it needs itself",
        "test.formula.toml: steps[1] (b), steps[0] (a): these wait for one another: a -> b -> a",
        "test.formula.toml: steps[4] (e), steps[3] (d), steps[2] (c): these wait for one another:"
        " c -> e -> d -> c",
    ]


def test_a_file_that_cannot_be_read_has_no_other_problem(kitchen: Kitchen):
    kitchen.write("odd", "steps = [")
    assert kitchen.problems("odd") == [
        "odd.formula.toml: it is not TOML: Invalid value (at end of document)"
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("steps = [", "bad.formula.toml: it is not TOML: "),
        ('[[steps]]\nid = "a"\nneeds = ["zz"]', "steps[0] (a): needs: there is no step 'zz'"),
        ('[[steps]]\nid = "a"\nneeds = "b"', "steps[0] (a): needs is not a list of texts, but a text"),
        ('type = "workflw"', "type: 'workflw' is not a type; did you mean 'workflow'?"),
        ('type = "aspect"\n[[steps]]\nid = "a"', "steps: a formula of the type aspect has none"),
        ("version = 1", "a formula of the type workflow needs steps"),
        ('[[steps]]\nid = "a/b"', "steps[0] (a/b): id: 'a/b' cannot name a step"),
        ('[[steps]]\nid = "../a"', "cannot name a step"),
        ('[[steps]]\nid = "a"\nexpand = "nothing"', "steps[0] (a): expand: There is no formula 'nothing'"),
        ('[[steps]]\nid = "a"\nexpand = "../x"', "steps[0] (a): expand: '../x' cannot name a formula"),
        ('extends = ["../x"]\n[[steps]]\nid = "a"', "extends: '../x' cannot name a formula"),
        ('[[steps]]\nid = "a"\nverify = ["\'x"]', "cannot be split into words"),
        ('[[steps]]\nid = "a"\ntitle = "x\\u0000y"', "steps[0] (a): title: The title holds a NUL character"),
        ('[vars.v]\npattern = "("\n[[steps]]\nid = "a"', "vars.v: the pattern is not a regular"),
        ('[compose]\naspects = ["shiny"]\n[[steps]]\nid = "a"', "There is no formula 'shiny'"),
        ('[[compose.gate]]\nbefore = "b"\ncondition = "x"\n[[steps]]\nid = "a"', "no step 'b'"),
        ('[[steps]]\nid = "a"\ntype = "milestone"\nverify = ["x"]', "a milestone completes automatically"),
        ('[[steps]]\nid = "a"\npriority = 0xFFFFFFFFFFFFFFFFFFFF', "beyond 64 bits"),
        ('[[steps]]\nid = "a"\n[steps.loop]\ncount = "{{n}}"\n[[steps.loop.body]]\nid = "b"', "'n'"),
        ('[[steps]]\nid = "a"\ncondition = "{{v}} == a && x"\n[vars]\nv = ""', "not a condition"),
    ],
)  # fmt: skip
def test_an_error_names_file_and_place(kitchen: Kitchen, text: str, problem: str):
    kitchen.write("bad", text)
    messages = kitchen.problems("bad")
    assert any(problem in message for message in messages), messages
    assert all(message.startswith("bad.formula.toml") for message in messages)


def test_steps_that_wait_for_one_another_are_named_in_their_order(kitchen: Kitchen):
    problems = kitchen.problems(
        '[[steps]]\nid = "a"\nneeds = ["c"]\n[[steps]]\nid = "b"\nneeds = ["a"]\n'
        '[[steps]]\nid = "c"\nneeds = ["b"]'
    )
    assert any("these wait for one another: a -> b -> c -> a" in problem for problem in problems)


def test_a_child_that_waits_for_a_step_that_needs_its_parent_is_a_circle(kitchen: Kitchen):
    problems = kitchen.problems(
        '[[steps]]\nid = "p"\n[[steps.children]]\nid = "c"\nneeds = ["x"]\n'
        '[[steps]]\nid = "x"\nneeds = ["p"]'
    )
    assert any("these wait for one another" in problem for problem in problems)


def test_every_problem_of_one_step_is_reported(kitchen: Kitchen):
    problems = kitchen.problems(
        '[[steps]]\nid = "a"\nlabels = ["a b"]\nassignee = "..x"\nverify = ["\'x"]'
    )
    assert len(problems) == 3


# Names and files


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".", "-x", "con", "a\0b", "x" * 201, "a\nb"])
def test_bad_names_of_formulas_are_refused(kitchen: Kitchen, name: str):
    with pytest.raises(BadName):
        load(name, FileDocuments(str(kitchen.board)))
    with pytest.raises(BadName):
        save(name, "", FileDocuments(str(kitchen.board)))


def test_the_board_comes_before_the_user_and_the_user_before_the_toolkit(
    kitchen: Kitchen, memory_path: Path
):
    assert find("feature", FileDocuments(str(kitchen.board))).where == "shipped"
    mine = memory_path / "config" / "orchestrator" / "formulas"
    mine.mkdir(parents=True)
    (mine / "feature.formula.toml").write_text('[[steps]]\nid = "mine"')
    assert find("feature", FileDocuments(str(kitchen.board))).where == "user"
    kitchen.write("feature", '[[steps]]\nid = "ours"')
    assert find("feature", FileDocuments(str(kitchen.board))).where == "board"
    with pytest.raises(NotFound, match="did you mean 'feature'"):
        find("featur", FileDocuments(str(kitchen.board)))


def test_a_link_or_fifo_in_the_boards_folder_is_refused(kitchen: Kitchen, memory_path: Path):
    secret = memory_path / "secret"
    secret.write_text('[[steps]]\nid = "a"')
    (kitchen.board / "formulas" / "link.formula.toml").symlink_to(secret)
    os.mkfifo(kitchen.board / "formulas" / "pipe.formula.toml")
    for name in ("link", "pipe"):
        with pytest.raises(OrchestratorError) as caught:
            load(name, FileDocuments(str(kitchen.board)))
        assert caught.value.code in ("symlink", "not_a_file")


def test_a_saved_formula_overwrites_nothing(kitchen: Kitchen):
    path = save("new", '[[steps]]\nid = "a"', FileDocuments(str(kitchen.board)))
    assert Path(path).read_text() == '[[steps]]\nid = "a"'
    with pytest.raises(OrchestratorError) as caught:
        save("new", "", FileDocuments(str(kitchen.board)))
    assert caught.value.code == "formula_exists"
    with pytest.raises(BadName):
        save("NEW", "", FileDocuments(str(kitchen.board)))


def test_formulas_that_extend_each_other_too_deep_are_reported(kitchen: Kitchen):
    for number in range(60):
        kitchen.write(f"f{number}", f'extends = ["f{number + 1}"]\n[[steps]]\nid = "s{number}"')
    kitchen.write("f60", '[[steps]]\nid = "end"')
    assert any("more than 20 deep" in problem for problem in kitchen.problems("f0"))


def test_a_formula_that_two_parents_extend_is_merged_once(kitchen: Kitchen):
    kitchen.write(
        "base", '[[steps]]\nid = "a"\n[[advice]]\ntarget = "a"\n[advice.before]\nid = "pre"'
    )
    kitchen.write("p", 'extends = ["base"]')
    kitchen.write("q", 'extends = ["base"]')
    assert kitchen.graph('extends = ["p", "q", "p"]') == {"pre": set(), "a": {"pre"}}


@pytest.mark.parametrize(
    "text", ["[" * 5000, "a = " + "[" * 5000, "\ufeff", "a = 1e400", "=", "\0"]
)
def test_odd_files_are_refused_with_an_error_of_ours(kitchen: Kitchen, text: str):
    (kitchen.board / "formulas" / "odd.formula.toml").write_text(text, encoding="utf-8")
    assert kitchen.problems("odd")


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_content_of_a_file_causes_only_problems(data: bytes):
    with suppress(BadInput):
        read(data, "x.formula.toml", Problems())


def test_a_pattern_that_takes_too_long_is_given_up(kitchen: Kitchen):
    text = """
        [vars.x]
        pattern = '^(a|a?)+$'
        [[steps]]
        id = "a"
        title = "{{x}}"
        """
    assert kitchen.problems(text, x="a" * 60 + "!")


def test_a_value_repeated_a_thousand_times_is_refused_before_the_text_is_made(kitchen: Kitchen):
    text = f'[vars]\nv = ""\n[[steps]]\nid = "a"\ndescription = "{"{{v}}" * 1000}"'
    assert any(
        "texts grow beyond" in message for message in kitchen.problems(text, v="x" * 1_000_000)
    )


LONG = 200_000
"""Where a pattern goes over a text again from each of its characters, this many take hours."""


@pytest.mark.parametrize(
    "text", ["{{" * LONG, "{{\\n" * LONG, "{{ " + " " * LONG, "{" * LONG + "}"]
)
@pytest.mark.parametrize("key", ["description", "condition", "title"])
def test_braces_without_an_end_are_read_in_the_time_that_their_length_takes(
    kitchen: Kitchen, text: str, key: str
):
    kitchen.write(
        "long",
        f"""
        [vars.v]
        default = "x"
        [[steps]]
        id = "a"
        {key} = "{text}"
        """,
    )
    kitchen.write(
        "legs",
        f"""
        type = "convoy"
        [[legs]]
        id = "a"
        description = "{text}"
        """,
    )
    for name in ("long", "legs"):
        with suppress(OrchestratorError):
            kitchen.cook(name)


def test_a_long_number_is_no_number_and_no_mark_of_a_value(kitchen: Kitchen):
    kitchen.write(
        "numbers",
        f"""
        [vars.v]
        type = "number"
        [[steps]]
        id = "a"
        description = "\ue000{"1" * 5000}\ue001"
        """,
    )
    with pytest.raises(BadInput, match="is not of the type number"):
        kitchen.cook("numbers", {"v": "1" * LONG + "x"})
    assert kitchen.cook("numbers", {"v": "1"}).steps[0].description.startswith("\ue000111")


def test_compiling_needs_no_board(kitchen: Kitchen):
    assert (
        compile_formula(load("bugfix", None), {"bug": "It hangs"}).steps[0].title
        == "Reproduce: It hangs"
    )


def test_a_need_that_advice_might_have_brought_is_reported(kitchen: Kitchen):
    """An aspect might add the step, so reading the file cannot detect it."""
    text = """
        [[steps]]
        id = "a"
        needs = ["zz"]
        [[advice]]
        target = "a"
        [advice.before]
        id = "pre"
        """
    assert any("there is no step 'zz'" in problem for problem in kitchen.problems(text))
