"""The real programs know our command lines: ``make runtimes`` installs them, else tests are skipped."""

import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from orchestrator import Orchestrator
from orchestrator.runtimes.port import runtime_of
from tests.runtimes.stand_in_model import stand_in_model
from tests.runtimes.stand_ins import Project, agent

INSTALLED = Path(__file__).parents[2] / ".venv" / "runtimes" / "node_modules" / ".bin"
HIDDEN = {"--permission-prompt-tool"}
"""Options that their program takes and does not name in its help: another test runs it with them."""

HELP = {"codex": ("exec", "--help"), "opencode": ("run", "--help")}
NO_SESSION = "11111111-1111-4111-8111-111111111111"


def needed(name: str, project: Project) -> None:
    """Put the real program on the PATH of a test's agents."""
    folders = f"{INSTALLED}:{project.variables['PATH']}"
    if shutil.which(name, path=folders) is None:
        pytest.skip(f"{name} is not installed: `make runtimes` installs it where npm has it")
    project.variables["PATH"] = folders


@pytest.mark.parametrize("name", ["claude", "codex", "gemini", "opencode"])
def test_every_option_is_in_the_help_of_the_program(project: Project, name: str):
    needed(name, project)
    settings: dict[str, Any] = {"model": "m", "effort": "low", "resume": True}
    used: set[str] = set()
    for tools in (("Read",), ("*",)):
        launch = project.launch(agent(name, allowed_tools=tools, **settings), session="s1")
        used |= {word.partition("=")[0] for word in launch.words if word[:1] == "-" and word != "-"}
    program = subprocess.run(
        [launch.words[0], *HELP.get(name, ("--help",))],
        env=launch.variables,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    known = {*(program.stdout + program.stderr).replace(",", " ").split()}
    assert used - known - HIDDEN == set()


def test_claude_takes_the_command_line_and_its_output_is_read(project: Project):
    needed("claude", project)
    mine = agent("claude", allowed_tools=("Read", "Bash(git:*)"), effort="low", model="sonnet")
    lines, result = project.run(mine)
    assert (result.failure, result.report.exit_status) == ("Not logged in · Please run /login", 1)
    assert lines == [result.failure]
    assert len(result.report.session) == 36


@pytest.mark.parametrize("behavior", ["allow", "deny"])
def test_claude_asks_people_before_it_uses_a_tool(project: Project, behavior: str, tmp_path: Path):
    """The real program and the real server; the model is a stand-in that wants to run a command."""
    needed("claude", project)
    call = {"command": "touch made.txt && echo hi", "description": "Make it"}
    board = project.root / ".board"
    Orchestrator.open(board).workstreams.create("w")

    def answer() -> None:
        with Orchestrator.open(board, agent="ann") as orc:
            for _ in orc.events.follow(type="permission.request", since=0):
                (request,) = orc.permissions.pending()
                assert (request.tool, request.tool_input) == ("Bash", call)
                if behavior == "allow":
                    orc.permissions.allow(request.id)
                else:
                    orc.permissions.deny(request.id, "Not on Friday.")
                return

    with stand_in_model("Bash", call) as model:
        project.variables |= {
            "ANTHROPIC_BASE_URL": model.url,
            "ANTHROPIC_API_KEY": "sk-none",
            "XDG_DATA_HOME": str(tmp_path / "user"),
        }
        person = threading.Thread(target=answer, daemon=True)
        person.start()
        _, result = project.run(agent("claude", allowed_tools=("Read",)), cause="")
        person.join()
    assert (result.failure, result.report.tools) == ("", {"Bash": 1})
    assert (project.root / "made.txt").exists() == (behavior == "allow")
    assert ("Not on Friday" in model.results()) == (behavior == "deny")
    assert "permission_prompt" not in model.tools(), "the model cannot call it itself"


def test_claude_reports_that_a_session_is_gone(project: Project):
    needed("claude", project)
    _, result = project.run(agent("claude", resume=True), session=NO_SESSION)
    assert result.failure == f"No conversation found with session ID: {NO_SESSION}"


def test_codex_takes_the_command_line_and_knows_its_settings(project: Project):
    needed("codex", project)
    mine = agent("codex", 'Say "hi"\n\\ 日本\x7f', effort="low", model="m", resume=True)
    launch = project.launch(mine, session=NO_SESSION)
    words = [*launch.words[:2], "--strict-config", *launch.words[2:]]
    program = subprocess.run(
        words,
        cwd=launch.folder,
        env=launch.variables,
        input=launch.stdin,
        capture_output=True,
    )
    assert f"no rollout found for thread id {NO_SESSION}" in program.stderr.decode()
    wrong = ["-c", "no_such_setting=1"]
    program = subprocess.run(
        [*words[:2], *wrong, *words[2:]], env=launch.variables, input=b"", capture_output=True
    )
    assert "no_such_setting" in program.stderr.decode()


def test_gemini_takes_the_command_line(project: Project):
    needed("gemini", project)
    mine = agent("gemini", allowed_tools=("read_file",), model="m", resume=True)
    _, result = project.run(mine, session=NO_SESSION)
    assert result.failure
    assert "Unknown argument" not in result.report.output
    assert any(word in result.report.output for word in ("Auth method", "session"))


def test_opencode_takes_the_command_line(project: Project):
    needed("opencode", project)
    mine = agent("opencode", effort="low", model="openai/m", resume=True)
    _, result = project.run(mine, session="ses_gone")
    assert (result.failure, result.report.exit_status) == ("it ended with exit status 1", 1)
    assert "Session not found" in result.report.output


def test_each_runtime_names_the_source_of_its_program():
    for name in ("claude", "codex", "gemini", "opencode"):
        assert runtime_of(agent(name).settings).source.startswith("npm install -g ")
