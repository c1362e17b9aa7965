"""The real clients list the server that `orc setup` wrote as connected, and run its hooks; none needs a key.

The inspector of the protocol calls the server too. ``make runtimes`` installs them; the tests of a program
that is not there are skipped.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from orchestrator import Orchestrator
from orchestrator.integrations.clients.clients import CLIENTS
from orchestrator.stores.files.layout import make
from tests.runtimes.stand_in_model import stand_in_model

INSTALLED = Path(__file__).parents[3] / ".venv" / "runtimes" / "node_modules" / ".bin"
NOWHERE = "http://127.0.0.1:9"
"""An address at which no model answers."""


class Workshop:
    """A project with a board and a client, in a home of its own, set up for one of them."""

    def __init__(self, folder: Path, client: str, *, is_user: bool) -> None:
        self.project, self.home = folder / "my project", folder / "home"
        self.project.mkdir()
        self.home.mkdir()
        subprocess.run(["git", "init", "-q"], cwd=self.project, check=True)
        self.board = make(str(self.project / ".orchestrator"))
        path = os.pathsep.join(
            [str(INSTALLED), os.path.dirname(sys.executable), os.environ["PATH"]]
        )
        if shutil.which(client, path=path) is None:
            pytest.skip(f"{client} is not installed: `make runtimes` installs it where npm has it")
        self.variables = {
            "HOME": str(self.home),
            "PATH": path,
            "XDG_DATA_HOME": str(folder / "data"),
            "GEMINI_CLI_TRUST_WORKSPACE": "true",
        }
        self.client = client
        with self.open() as orc:
            orc.workstreams.create("w")
            orc.locks.acquire("a.py", agent="bob", ttl="1h")
            orc.mail.send(client, "The key", "It is new.", agent="bob")
        if client in CLIENTS:
            assert "Created" in self.output("orc", "setup", client, *["--user"] * is_user)

    def open(self) -> Orchestrator:
        return Orchestrator.open(self.board)

    @contextmanager
    def started(self, *words: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
        """A program in the project; it and what it has started are killed at the end."""
        with subprocess.Popen(
            words,
            cwd=self.project,
            env={**self.variables, **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as program:
            try:
                yield program
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(program.pid, signal.SIGKILL)

    def output(self, *words: str, **variables: str) -> str:
        """What a program prints until it ends; it may fail, because no model answers."""
        with self.started(*words, **variables) as program:
            return program.communicate(timeout=300)[0]

    def begin(self, *words: str, **variables: str) -> None:
        """Run a client until its hooks have begun a session and shown the mail."""
        with self.started(*words, **variables) as program:
            assert program.stdin is not None
            program.stdin.close()
            program.stdin = None
            while not self.has_shown_mail():
                with suppress(subprocess.TimeoutExpired):
                    program.wait(0.2)
                    assert self.has_shown_mail(), program.communicate()[0]

    def has_shown_mail(self) -> bool:
        with self.open() as orc:
            return not orc.mail.check(new=True, agent=self.client).new


@pytest.fixture
def workshop(request: pytest.FixtureRequest, tmp_path: Path) -> Workshop:
    client, form = request.param
    return Workshop(tmp_path, client, is_user=form == "user")


def of(client: str) -> pytest.MarkDecorator:
    """A test with a workshop for a client, in each form of a setup."""
    forms = [(client, "project"), (client, "user")]
    return pytest.mark.parametrize("workshop", forms, ids=" ".join, indirect=True)


@of("claude")
def test_claude_code_gets_its_work_and_mail_and_is_refused_a_locked_file(
    workshop: Workshop,
) -> None:
    """The model is a stand-in that wants to write a file."""
    call = {"file_path": str(workshop.project / "a.py"), "content": "x"}
    with stand_in_model("Write", call) as model:
        workshop.output(
            *("claude", "-p", "hi", "--allowedTools", "Write"),
            ANTHROPIC_BASE_URL=model.url,
            ANTHROPIC_API_KEY="sk-none",
        )
        heard = json.dumps(model.requests)
    assert "# You are claude" in heard
    assert "It is new." in heard
    assert "a.py: bob has locked it" in model.results()
    assert not (workshop.project / "a.py").exists()
    with workshop.open() as orc:
        assert orc.sessions.get("claude").outcome == "left"
        assert orc.agents.get("claude").presence == "gone"


@of("claude")
def test_claude_code_lists_the_server_as_connected(workshop: Workshop) -> None:
    """The server of a project waits until a person allows it."""
    pytest.importorskip("mcp")
    shown = workshop.output("claude", "mcp", "list")
    if "Pending approval" in shown:
        settings = workshop.home / ".claude" / "settings.json"
        settings.parent.mkdir(exist_ok=True)
        settings.write_text('{"enabledMcpjsonServers": ["orc"]}')
        shown = workshop.output("claude", "mcp", "list")
    assert "orc: orc mcp --client claude - ✔ Connected" in shown


@of("codex")
def test_codex_connects_to_the_server_and_lists_its_tools(workshop: Workshop) -> None:
    pytest.importorskip("mcp")
    _trust_with_codex(workshop)
    with workshop.started("codex", "app-server") as program:
        assert program.stdin is not None
        assert program.stdout is not None

        def ask(method: str, **params: Any) -> Any:
            """The result of a request, or what comes as a notification of that name."""
            assert program.stdin is not None
            assert program.stdout is not None
            if params:
                request = {"id": method, "method": method, "params": params}
                program.stdin.write(json.dumps(request) + "\n")
                program.stdin.flush()
            for line in program.stdout:
                with suppress(ValueError):
                    answer = json.loads(line)
                    if method in (answer.get("id"), answer.get("method")):
                        assert "error" not in answer, line
                        return answer.get("result", answer.get("params"))
            pytest.fail("codex has ended")

        ask("initialize", clientInfo={"name": "test", "version": "1"})
        thread = ask("thread/start", cwd=str(workshop.project))["thread"]["id"]
        while (status := ask("mcpServer/startupStatus/updated"))["status"] == "starting":
            pass
        assert (status["name"], status["status"]) == ("orc", "ready"), status
        [server] = ask("mcpServerStatus/list", threadId=thread)["data"]
        assert server["runtimeStatus"] == "connected"
        assert {"next", "done"} <= {*server["tools"]}


@of("codex")
def test_codex_runs_the_hooks(workshop: Workshop) -> None:
    _trust_with_codex(workshop)
    with (workshop.home / ".codex" / "config.toml").open("a") as config:
        config.write(
            f"[model_providers.x]\nname = 'x'\nbase_url = '{NOWHERE}/v1'\nwire_api = 'responses'\n"
        )
    workshop.begin(
        *("codex", "exec", "--dangerously-bypass-hook-trust", "-c", "model_provider='x'", "hi"),
        OPENAI_API_KEY="none",
    )


def _trust_with_codex(workshop: Workshop) -> None:
    config = workshop.home / ".codex" / "config.toml"
    config.parent.mkdir(exist_ok=True)
    with config.open("a") as file:
        file.write(f"\n[projects.{json.dumps(str(workshop.project))}]\ntrust_level = 'trusted'\n")


@of("gemini")
def test_gemini_cli_lists_the_server_as_connected_and_runs_the_hooks(workshop: Workshop) -> None:
    pytest.importorskip("mcp")
    line = "orc: orc mcp --client gemini (stdio)"
    listed = workshop.output("gemini", "mcp", "list", GEMINI_CLI_TRUST_WORKSPACE="")
    assert f"{line} - Disabled" in listed, "the folder is not trusted"
    assert f"{line} - Connected" in workshop.output("gemini", "mcp", "list")
    settings = workshop.home / ".gemini" / "settings.json"
    settings.parent.mkdir(exist_ok=True)
    value = json.loads(settings.read_text()) if settings.exists() else {}
    value["security"] = {"auth": {"selectedType": "gemini-api-key"}}
    settings.write_text(json.dumps(value))
    workshop.begin("gemini", "-p", "hi", GEMINI_API_KEY="none", GOOGLE_GEMINI_BASE_URL=NOWHERE)


@of("opencode")
def test_opencode_lists_the_server_as_connected_and_runs_the_hooks(workshop: Workshop) -> None:
    pytest.importorskip("mcp")
    listed = workshop.output("opencode", "mcp", "list")
    assert "orc mcp --client opencode" in listed
    assert "connected" in listed
    workshop.begin("opencode", "run", "hi")


def test_the_inspector_lists_and_calls_tools_and_reads_resources_and_prompts(
    tmp_path: Path,
) -> None:
    pytest.importorskip("mcp")
    workshop = Workshop(tmp_path, "mcp-inspector", is_user=False)
    with workshop.open() as orc:
        task = orc.tasks.add("w", title="Write the parser").id

    def ask(method: str, *words: str) -> Any:
        call = ("mcp-inspector", "--cli", "orc", "mcp", "--method", method, *words)
        return json.loads(workshop.output(*call))

    assert {"next", "done"} <= {tool["name"] for tool in ask("tools/list")["tools"]}
    answer = ask("tools/call", "--tool-name", "next")
    assert not answer["isError"]
    assert task in answer["content"][0]["text"]
    assert ask("tools/call", "--tool-name", "show", "--tool-arg", "task=nothing")["isError"]
    assert "orc://status" in {item["uri"] for item in ask("resources/list")["resources"]}
    read = ask("resources/read", "--uri", f"orc://tasks/{task}")
    assert "Write the parser" in read["contents"][0]["text"]
    assert "work" in {prompt["name"] for prompt in ask("prompts/list")["prompts"]}
    assert ask("prompts/get", "--prompt-name", "work")["messages"]
