"""The real clients list the server that a setup wrote, and run its hooks; none of them needs a key.

``make runtimes`` installs them, else the tests are skipped.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from orchestrator import Orchestrator
from orchestrator.integrations.clients.clients import SetupPlace
from orchestrator.integrations.clients.setting_up import set_up
from orchestrator.stores.files.layout import make
from tests.runtimes.stand_in_model import stand_in_model

INSTALLED = Path(__file__).parents[3] / ".venv" / "runtimes" / "node_modules" / ".bin"
NOWHERE = "http://127.0.0.1:9"
"""An address at which no model answers."""


class Workshop:
    """A project with a board and a client, in a home of its own."""

    def __init__(self, folder: Path, client: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.project, home = folder / "my project", folder / "home"
        self.project.mkdir()
        home.mkdir()
        subprocess.run(["git", "init", "-q"], cwd=self.project, check=True)
        self.board = make(str(self.project / ".orchestrator"))
        path = os.pathsep.join(
            [str(INSTALLED), os.path.dirname(sys.executable), os.environ["PATH"]]
        )
        if shutil.which(client, path=path) is None:
            pytest.skip(f"{client} is not installed: `make runtimes` installs it where npm has it")
        self.variables = {
            "HOME": str(home),
            "PATH": path,
            "XDG_DATA_HOME": str(folder / "data"),
            "GEMINI_CLI_TRUST_WORKSPACE": "true",
        }
        monkeypatch.setenv("XDG_DATA_HOME", str(folder / "data"))
        self.home = home
        self.client = client
        with self.open() as orc:
            orc.workstreams.create("w")
            orc.locks.acquire("a.py", agent="bob", ttl="1h")
            orc.mail.send(client, "The key", "It is new.", agent="bob")
        set_up([client], SetupPlace(top=str(self.project), is_user=False, words=("orc",)))

    def open(self) -> Orchestrator:
        return Orchestrator.open(self.board)

    def run(self, *words: str, seconds: float = 120, **variables: str) -> str:
        """What the client prints; it may fail, because no model answers, or be stopped."""
        with subprocess.Popen(
            [self.client, *words],
            cwd=self.project,
            env={**self.variables, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as program:
            try:
                return program.communicate(timeout=seconds)[0]
            except subprocess.TimeoutExpired:
                program.kill()
                return program.communicate()[0]

    def until_begun(self, *words: str, **variables: str) -> None:
        """Run the client until its hooks have begun a session and shown the mail, then stop it."""
        with subprocess.Popen(
            [self.client, *words],
            cwd=self.project,
            env={**self.variables, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as program:
            try:
                while not self.has_shown_mail():
                    with suppress(subprocess.TimeoutExpired):
                        program.wait(0.2)
                        assert self.has_shown_mail(), program.communicate()[0].decode()
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(program.pid, signal.SIGKILL)

    def has_shown_mail(self) -> bool:
        with self.open() as orc:
            return not orc.mail.check(new=True, agent=self.client).new


@pytest.fixture
def workshop(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Workshop:
    return Workshop(tmp_path, request.param, monkeypatch)


def of(client: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("workshop", [client], indirect=True)


@of("claude")
def test_claude_code_gets_its_work_and_mail_and_is_refused_a_locked_file(
    workshop: Workshop,
) -> None:
    """The model is a stand-in that wants to write a file."""
    call = {"file_path": str(workshop.project / "a.py"), "content": "x"}
    with stand_in_model("Write", call) as model:
        workshop.run(
            *("-p", "hi", "--allowedTools", "Write"),
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
    """A server of the user needs no approval; that of a project waits for one."""
    pytest.importorskip("mcp")
    assert "orc: orc mcp --client claude" in workshop.run("mcp", "list")
    set_up(["claude"], SetupPlace(top=str(workshop.home), is_user=True, words=("orc",)))
    (workshop.project / ".mcp.json").unlink()
    assert "orc: orc mcp --client claude - ✔ Connected" in workshop.run("mcp", "list")


@of("codex")
def test_codex_lists_the_server(workshop: Workshop) -> None:
    place = SetupPlace(top=str(workshop.home), is_user=True, words=("orc",))
    set_up(["codex"], place)
    said = workshop.run("mcp", "list", "--json")
    [server] = json.loads(said[said.index("[\n") : said.rindex("]") + 1])
    assert (server["name"], server["transport"]["args"]) == ("orc", ["mcp", "--client", "codex"])
    assert server["transport"]["env_vars"][0] == "ORC_AGENT"


@of("codex")
def test_codex_runs_the_hooks(workshop: Workshop) -> None:
    config = workshop.home / ".codex" / "config.toml"
    config.parent.mkdir()
    config.write_text(
        f"[projects.{json.dumps(str(workshop.project))}]\ntrust_level = 'trusted'\n"
        f"[model_providers.x]\nname = 'x'\nbase_url = '{NOWHERE}/v1'\nwire_api = 'responses'\n"
    )
    workshop.until_begun(
        *("exec", "--dangerously-bypass-hook-trust", "-c", "model_provider='x'", "hi"),
        OPENAI_API_KEY="none",
    )


@of("gemini")
def test_gemini_cli_lists_the_server_and_runs_the_hooks(workshop: Workshop) -> None:
    assert "orc: orc mcp --client gemini" in workshop.run("mcp", "list")
    settings = workshop.home / ".gemini" / "settings.json"
    settings.parent.mkdir(exist_ok=True)
    settings.write_text('{"security": {"auth": {"selectedType": "gemini-api-key"}}}')
    workshop.until_begun("-p", "hi", GEMINI_API_KEY="none", GOOGLE_GEMINI_BASE_URL=NOWHERE)


@of("opencode")
def test_opencode_lists_the_server_and_runs_the_hooks(workshop: Workshop) -> None:
    assert "orc mcp --client opencode" in workshop.run("mcp", "list")
    workshop.until_begun("run", "hi")
