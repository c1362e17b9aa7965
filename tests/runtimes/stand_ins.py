"""Substitute programs on PATH: they record arguments, environment and stdin, and print a given text."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from orchestrator.core.problems import Problems
from orchestrator.runtimes.output import AttemptResult
from orchestrator.runtimes.port import AgentRun, Launch, runtime_of, write_files
from orchestrator.supervisor.agent_files import AgentFile
from orchestrator.supervisor.agent_schema import AgentSettings
from orchestrator.supervisor.templates import check_script

PROGRAM = """\
#!{python}
import json, os, sys
record = {{"words": sys.argv[1:], "variables": dict(os.environ), "folder": os.getcwd()}}
record["stdin"] = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
record["files"] = {{}}
for value in [*sys.argv[1:], *os.environ.values()]:
    if value.startswith({scratch!r}) and os.path.isfile(value):
        record["files"][os.path.basename(value)] = open(value, newline="").read()
open({record!r}, "w").write(json.dumps(record))
sys.stdout.buffer.write(open({stdout!r}, "rb").read())
sys.stderr.buffer.write({stderr!r})
sys.exit({status})
"""

EVENT = {
    "id": 7,
    "timestamp": 1795241580,
    "type": "plan.request",
    "worker_id": "ann",
    "payload": {"path": "docs/ä 日本 '$(x)'.md", "n": 3},
}


class Project:
    """A project with substitute programs, and their records."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "project"
        self.root.mkdir()
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.scratch = folder / "scratch"
        self.variables = {
            "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
            "LC_TIME": "C",
            "SECRET": "s3cret",
        }

    def program(
        self, name: str, stdout: bytes = b"", *, stderr: bytes = b"", status: int = 0
    ) -> Path:
        path = self.bin / name
        (self.folder / f"{name}.stdout").write_bytes(stdout)
        path.write_text(
            PROGRAM.format(
                python=sys.executable,
                record=str(self.folder / f"{name}.json"),
                scratch=str(self.scratch),
                stdout=str(self.folder / f"{name}.stdout"),
                stderr=stderr,
                status=status,
            )
        )
        path.chmod(0o755)
        return path

    def record(self, name: str) -> dict[str, Any]:
        record: dict[str, Any] = json.loads((self.folder / f"{name}.json").read_text())
        return record

    def agent_run(self, agent: AgentFile, **more: Any) -> AgentRun:
        given = {
            "event": EVENT,
            "project": str(self.root),
            "board": str(self.root / ".board"),
            "scratch": str(self.scratch),
            "variables": self.variables,
            "cause": "7/2026-11-27T20:00:00.000Z",
        }
        return AgentRun(agent=agent, **{**given, **more})

    def launch(self, agent: AgentFile, **more: Any) -> Launch:
        return runtime_of(agent.settings).launch(self.agent_run(agent, **more))

    def run(self, agent: AgentFile, **more: Any) -> tuple[list[str], AttemptResult]:
        """Run an agent as the supervisor does: the lines of its log, and the result."""
        run = self.agent_run(agent, **more)
        runtime = runtime_of(agent.settings)
        launch = runtime.launch(run)
        write_files(run, launch)
        begun = time.monotonic()
        program = subprocess.run(
            launch.words,
            cwd=launch.folder,
            env=launch.variables,
            input=launch.stdin,
            capture_output=True,
        )
        reader = runtime.reader()
        lines = []
        for start in range(0, len(program.stdout), 11):
            lines += reader.feed(program.stdout[start : start + 11])
        lines += reader.feed(program.stderr, stderr=True)
        rest, result = reader.end(program.returncode, time.monotonic() - begun)
        return [*lines, *rest], result


def agent(runtime: str, body: str = "You plan.", **settings: Any) -> AgentFile:
    """An agent with the name ``plan``."""
    if runtime == "command":
        settings.setdefault("command", ("command", "--fast"))
    values = AgentSettings(runtime=runtime, **settings)
    script = None
    if runtime == "shell":
        problems = Problems("The script cannot be used")
        script = check_script(body, problems, unsafe=values.unsafe)
        problems.check()
    return AgentFile(
        id="plan", path="agents/plan.md", digest="0", settings=values, body=body, script=script
    )


def json_lines(*records: Any) -> bytes:
    return b"".join(msgspec.json.encode(record) + b"\n" for record in records)
