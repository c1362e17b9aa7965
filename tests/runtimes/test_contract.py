"""The contract of every runtime, tested with a substitute program on PATH."""

import json
from pathlib import Path

import pytest

from orchestrator import BadInput, NotFound
from orchestrator.runtimes.port import runtime_of
from orchestrator.supervisor.agent_schema import RUNTIMES
from tests.runtimes.stand_ins import EVENT, Project, agent

PROGRAMS = {"shell": "sh"}


@pytest.fixture(params=RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def program_of(runtime: str) -> str:
    return PROGRAMS.get(runtime, runtime)


def test_the_agent_gets_an_allowlist_of_the_environment_and_who_it_is(
    project: Project, runtime: str
):
    project.program(program_of(runtime))
    project.variables |= {
        "TOKEN": "t",
        "ORC_SESSION": "9",
        "ORC_REQUEST_ID": "r",
        "ORC_AGENT": "ann",
    }
    project.run(agent(runtime, env=("TOKEN",)), commands=("/first", "/second"), attempt=2)
    variables = project.record(program_of(runtime))["variables"]
    assert not {"SECRET", "ORC_SESSION", "ORC_REQUEST_ID"} & {*variables}
    assert "s3cret" not in variables.values()
    expected = {
        "PATH": f"/first:/second:{project.variables['PATH']}",
        "HOME": str(project.folder),
        "LC_TIME": "C",
        "TOKEN": "t",
        "ORC_AGENT": "plan",
        "ORC_ATTEMPT": "2",
        "ORC_CAUSE": "7/2026-11-27T20:00:00.000Z",
        "ORCHESTRATOR_DIR": str(project.root / ".board"),
    }
    assert {name: variables.get(name) for name in expected} == expected


def test_a_variable_of_the_file_cannot_change_who_the_agent_is(project: Project, runtime: str):
    project.program(program_of(runtime))
    project.variables |= {"ORC_AGENT": "ann", "ORC_ATTEMPT": "9", "ORC_CAUSE": "1/x"}
    project.run(agent(runtime, env=("ORC_AGENT", "ORC_ATTEMPT", "ORC_CAUSE")))
    variables = project.record(program_of(runtime))["variables"]
    assert (variables["ORC_AGENT"], variables["ORC_ATTEMPT"]) == ("plan", "1")
    assert variables["ORC_CAUSE"].startswith("7/")


def test_the_event_is_on_stdin(project: Project, runtime: str):
    project.program(program_of(runtime))
    project.run(agent(runtime))
    stdin = project.record(program_of(runtime))["stdin"]
    assert json.loads(stdin.strip().splitlines()[-1]) == EVENT


def test_a_payload_of_5_mb_comes_by_stdin(project: Project, runtime: str):
    project.program(program_of(runtime))
    event = {**EVENT, "payload": {"text": "ä日" * 1_000_000}}
    project.run(agent(runtime), event=event)
    record = project.record(program_of(runtime))
    assert json.loads(record["stdin"].strip().splitlines()[-1]) == event
    assert sum(len(text) for text in [*record["words"], *record["variables"].values()]) < 100_000


def test_a_brief_takes_the_place_of_the_event(project: Project, runtime: str):
    project.program(program_of(runtime))
    project.run(agent(runtime), event={}, brief="# Task api-1\n\nBuild it.\n")
    stdin = project.record(program_of(runtime))["stdin"]
    assert stdin.endswith("# Task api-1\n\nBuild it.\n")


def test_it_works_in_the_folder_of_the_project_that_its_file_names(project: Project, runtime: str):
    project.program(program_of(runtime))
    (project.root / "src").mkdir()
    project.run(agent(runtime, workdir="src"))
    assert project.record(program_of(runtime))["folder"] == str(project.root / "src")
    project.run(agent(runtime))
    assert project.record(program_of(runtime))["folder"] == str(project.root)


def test_an_exit_status_is_a_failure_with_the_end_of_the_output(project: Project, runtime: str):
    project.program(program_of(runtime), stderr=b"no key\nset one\n", status=3)
    lines, result = project.run(agent(runtime))
    assert lines[-2:] == ["no key", "set one"]
    assert result.failure.endswith("exit status 3")
    assert result.report.exit_status == 3
    assert result.report.output.endswith("no key\nset one")


def test_any_bytes_are_lines_and_nothing_is_lost(project: Project, runtime: str):
    text = "one\r\n\n日本 \x1b[31m{\n[1\n{}\n7\nnull\n".encode() + b"\xff\x00end"
    project.program(program_of(runtime), stdout=text)
    lines, _ = project.run(agent(runtime))
    assert lines[0] == "one"
    assert lines[-1] == "\ufffd\x00end"
    assert {"日本 \x1b[31m{", "[1", "{}", "7", "null"} <= {*lines}


def test_a_line_without_an_end_comes_in_pieces(project: Project, runtime: str):
    reader = runtime_of(agent(runtime).settings).reader()
    lines = []
    for _ in range(40):
        lines += reader.feed(b"x" * 1_000_000)
    rest, result = reader.end(0, 1.0)
    assert len(lines) + len(rest) > 0
    assert {*"".join([*lines, *rest])} <= {*"x…"}
    assert len(result.report.output) <= 4096


def test_the_report_holds_the_last_20_lines_and_4_kb(project: Project, runtime: str):
    project.program(program_of(runtime), stderr=b"".join(b"line %d\n" % n for n in range(100)))
    assert project.run(agent(runtime))[1].report.output.splitlines() == [
        f"line {n}" for n in range(80, 100)
    ]
    project.program(program_of(runtime), stderr="日".encode() * 5000)
    output = project.run(agent(runtime))[1].report.output
    assert {*output} == {"日"}
    assert 4000 < len(output.encode()) <= 4096


@pytest.mark.parametrize(
    ("status", "failure"),
    [(0, ""), (-9, "SIGKILL ended it"), (-99, "signal 99 ended it"), (None, "it was ended")],
)
def test_how_a_process_ends_is_a_failure_or_none(status: int | None, failure: str):
    reader = runtime_of(agent("shell").settings).reader()
    _, result = reader.end(status, 0.25)
    assert (result.failure, result.report.seconds) == (failure, 0.25)


def test_a_program_that_is_not_there_is_named(project: Project, runtime: str):
    project.variables["PATH"] = str(project.bin)
    with pytest.raises(NotFound, match=f"There is no program {program_of(runtime)}") as caught:
        project.launch(agent(runtime))
    assert caught.value.code == "program_not_found"


def test_a_relative_program_is_one_of_the_folder_of_the_agent(project: Project):
    tool = project.program("command")
    (project.root / "tools").mkdir()
    tool.rename(project.root / "tools" / "run")
    mine = agent("command", command=("./run", "-x"), workdir="tools")
    project.run(mine)
    assert project.record("command")["words"] == ["-x"]


def test_a_command_reads_its_prompt_from_a_file(project: Project):
    project.program("command")
    project.run(agent("command", "You plan.", description="Writes plans"))
    record = project.record("command")
    assert record["words"] == ["--fast"]
    prompt = record["files"]["prompt.md"]
    assert prompt.startswith("You are the agent `plan`. Writes plans.\n")
    assert prompt.endswith("\nYou plan.\n")


def test_files_of_an_attempt_are_for_this_user_only(project: Project):
    project.program("command")
    project.run(agent("command"))
    assert project.scratch.stat().st_mode & 0o777 == 0o700


SCRIPT = """\
printf '%s|' {{event.payload.path}} "$ORC_EVENT_TYPE" {{event.payload.none}}
cat | wc -c
echo problem >&2
exit 4
"""


def test_a_script_runs_with_the_values_of_its_event(project: Project):
    lines, result = project.run(agent("shell", SCRIPT))
    path = EVENT["payload"]["path"]  # type: ignore[index]
    assert lines[0].startswith(f"{path}|plan.request||")
    assert lines[1:] == ["problem"]
    assert result.failure == "it ended with exit status 4"


def test_large_values_and_scripts_are_read_from_files(project: Project):
    event = {**EVENT, "payload": {"text": "ä'\n" * 60_000}}
    body = "printf %s {{event.payload.text}} > out\n"
    project.run(agent("shell", body), event=event)
    assert Path(project.root / "out").read_text() == "ä'\n" * 60_000
    long = agent("shell", "# " + "x" * 200_000 + "\necho {{event.payload.n}}\n")
    assert project.run(long)[0] == ["3"]


@pytest.mark.parametrize("runtime", [name for name in RUNTIMES if name != "shell"])
def test_the_context_explains_who_the_agent_is_how_to_push_and_when_to_stop(
    project: Project, runtime: str
):
    project.program(runtime)
    project.run(agent(runtime, "You plan.", description="Writes plans", emits=("plan.created",)))
    record = project.record(runtime)
    texts = [*record["words"], record["stdin"], *record["files"].values()]
    (context,) = [text for text in texts if "You are the agent `plan`. Writes plans." in text]
    context = context.replace("\\n", "\n")
    for line in (
        "    busytown events push --worker plan --type TYPE --payload 'JSON'",
        "You push these types: plan.created.",
        "    busytown events claim --worker plan --event 7",
        "You plan.",
    ):
        assert line in context.splitlines()
    assert "another agent works on it: stop at once" in context


@pytest.mark.parametrize("runtime", [name for name in RUNTIMES if name != "shell"])
def test_the_context_of_a_task_is_about_its_result(project: Project, runtime: str):
    project.program(runtime)
    project.run(agent(runtime), event={}, brief="# Task api-1\n")
    record = project.record(runtime)
    text = "\n".join([*record["words"], record["stdin"], *record["files"].values()])
    assert "Your last answer is its result." in text
    assert "events claim" not in text


@pytest.mark.parametrize("name", ["claude", "codex", "gemini", "opencode"])
def test_a_success_without_any_output_is_a_failure(project: Project, name: str):
    project.program(name)
    lines, result = project.run(agent(name))
    assert (lines, result.failure) == ([], "its output ended without a result")


@pytest.mark.parametrize("name", ["claude", "codex", "gemini", "opencode"])
def test_the_session_is_resumed_only_if_the_file_asks_for_it(project: Project, name: str):
    def words(session: str = "ses-1", *, attempt: int = 1, resume: bool = True) -> tuple[str, ...]:
        mine = agent(name, resume=resume)
        return project.launch(mine, session=session, attempt=attempt).words

    project.program(name)
    begun = words("")
    assert words(resume=False) == begun
    assert words(attempt=2) == begun  # the session may be what the first attempt failed of
    resumed = words()
    assert [word for word in resumed if word not in begun] == [
        {"codex": "resume", "opencode": "--session"}.get(name, "--resume"),
        "ses-1",
    ]


@pytest.mark.parametrize("name", ["claude", "codex"])
def test_a_prompt_that_no_argument_can_hold_is_refused(project: Project, name: str):
    project.program(name)
    for body in ("ä" * 60_000, "a\0b"):
        with pytest.raises(BadInput, match=r"agents/plan\.md is over 100,000 bytes or has a NUL"):
            project.launch(agent(name, body))


@pytest.mark.parametrize("name", ["claude", "codex", "gemini", "opencode"])
def test_the_program_gets_its_own_key_and_a_shell_does_not(project: Project, name: str):
    key = {"claude": "ANTHROPIC_API_KEY", "codex": "OPENAI_API_KEY"}.get(name, "GEMINI_API_KEY")
    project.variables |= {key: "key", "HTTPS_PROXY": "proxy"}
    for program in (name, "sh"):
        project.program(program)
    project.run(agent(name))
    project.run(agent("shell"))
    assert project.record(name)["variables"][key] == "key"
    assert not {key, "HTTPS_PROXY"} & {*project.record("sh")["variables"]}
