"""The table of bad input against the runner: agent files, environment, folders, logs, trust, events.

Each attack is aimed twice, as those of ``security.py``: at the naive version, where it must work, and at a
board with a runner, where it must do no harm. ``tests/test_security.py`` runs them one by one.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from orchestrator import Orchestrator
from orchestrator.core.errors import OrchestratorError
from orchestrator.core.events import Recorded
from orchestrator.core.trust import Trust
from orchestrator.supervisor.agent_files import load_agent, load_agents
from orchestrator.supervisor.dispatcher import Dispatcher
from orchestrator.supervisor.processes import AgentLog

from .part import Part, run
from .security import (
    BAD_JSON,
    BAD_NAMES,
    BAD_YAML,
    HARMFUL,
    NASTY,
    SECRET,
    Attack,
    Ground,
    Real,
    aim_all,
    naive_child,
    naive_json,
    naive_names,
    naive_print,
    naive_write,
    naive_yaml,
    refused,
)

ATTACKS: list[Attack] = []
ROOT = str(Path(__file__).parents[2])
PATIENCE = 60.0
"""Seconds after which an attack fails that waits for an event; nothing depends on how long one takes."""


def attack(row: str, name: str, naive: Callable[[Ground], bool]) -> Callable[[Real], Real]:
    """Register what is decorated as the attack on a board with a runner."""

    def register(real: Real) -> Real:
        ATTACKS.append(Attack(row, f"runner: {name}", naive, real))
        return real

    return register


class Town:
    """A project inside of the ground, with trust of its own; its runner is a thread of this process."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.project = ground.folder / "inner"
        self.agents = self.project / "agents"
        self.agents.mkdir(parents=True)
        self.trust = Trust(str(ground.folder / "user"))
        self.orc = ground.open(timeout=30)
        self.notes: list[str] = []
        self.lines: list[str] = []
        self._heard = threading.Condition()
        self._dispatcher: Dispatcher | None = None

    def add(self, name: str, script: str, *, trusted: bool = True, **fields: str) -> Path:
        """An agent file, of a shell agent that hears ``job`` unless more is said."""
        fields = {"runtime": "shell", "listen": "[job]", **fields}
        path = self.agents / f"{name}.md"
        lines = "".join(f"{key}: {value}\n" for key, value in fields.items())
        path.write_text(f"---\n{lines}---\n{script}\n")
        if trusted:
            self.trust.add({str(path): load_agent(str(path)).digest})
        return path

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """A runner; it is ready."""
        with Orchestrator.open(self.ground.board) as orc:
            dispatcher = Dispatcher(
                orc,
                agents=str(self.agents),
                project=str(self.project),
                trust=self.trust,
                follower=self,
                grace=0.2,
                back_off=0.01,
            )
            thread = threading.Thread(target=dispatcher.run, daemon=True)
            thread.start()
            try:
                self.until(lambda: any(note.startswith("runner.ready") for note in self.notes))
                yield
            finally:
                dispatcher.stop()
                dispatcher.stop()
                thread.join(PATIENCE)

    def work(self, payload: Any = None, count: int = 1, type: str = "job") -> list[dict[str, Any]]:
        """Push an event; the finishes and deaths that follow, once there are so many."""
        self.orc.events.push(type, payload, agent="ann")
        self.until(lambda: len(self.ends()) >= count)
        return self.ends()

    def ends(self) -> list[dict[str, Any]]:
        """How attempts have ended for good."""
        ends = ("subscription.finished", "subscription.died")
        return [
            {"type": record.type, **json.loads(bytes(record.payload))}
            for record in self.orc.events.read()
            if record.type in ends
        ]

    def until(self, condition: Callable[[], bool]) -> None:
        with self._heard:
            if not self._heard.wait_for(condition, PATIENCE):
                raise RuntimeError(f"it did not come: {self.notes} {self.lines[-20:]}")

    def event(self, record: Recorded) -> None:
        self._hear(self.notes, [])

    def output(self, agent: str, event: int, lines: list[str]) -> None:
        self._hear(self.lines, lines)

    def note(self, type: str, agent: str, text: str) -> None:
        self._hear(self.notes, [f"{type} {agent} {text}"])

    def _hear(self, kept: list[str], texts: list[str]) -> None:
        with self._heard:
            kept += texts
            self._heard.notify_all()


# Names


def _files_of(town: Town) -> list[str]:
    """What is in the folder around the board and outside, without the board's own files."""
    return sorted(set(town.ground.everything()) - {str(town.agents)})


@attack("names", "names of agent files", naive_names)
def _(ground: Ground) -> str:
    town = Town(ground)
    logs = ground.board / "state" / "logs"
    logs.mkdir(parents=True)
    for kind, bad in BAD_NAMES.items():
        if "/" in bad or "\0" in bad or kind == "lone surrogate" or len(bad.encode()) > 250:
            continue  # no file can have such a name
        path = town.agents / f"{bad}.md"
        path.write_text("---\nruntime: shell\nlisten: [job]\n---\necho $ORC_AGENT\n")
        for agent in load_agents(str(town.agents)).agents.values():
            if not re.fullmatch(r"[a-z0-9_][a-z0-9_-]*", agent.id):
                return f"{kind}: the id is {agent.id!a}"
            log = AgentLog(str(logs), agent.id, lambda text: None)
            log.write(["x"])
            log.close()
            if os.path.dirname(os.path.realpath(log.path)) != os.path.realpath(logs):
                return f"{kind}: the log is {log.path}"
        path.unlink()
    outside = [path for path in ground.everything() if Path(path).parent == ground.outside]
    return "" if outside == [str(ground.precious)] else f"files outside: {outside}"


def naive_cursor(ground: Ground) -> bool:
    """A queue that keeps the cursor of each worker in a file of its name."""
    return naive_names(ground)


WORKERS: dict[str, Callable[[Orchestrator, str], object]] = {
    "push": lambda orc, bad: orc.events.push("job", agent=bad),
    "type": lambda orc, bad: orc.events.push(bad, agent="ann"),
    "claim": lambda orc, bad: orc.subscriptions.claim(1, agent=bad),
    "cursor": lambda orc, bad: orc.subscriptions.cursor(bad),
    "set-cursor": lambda orc, bad: orc.subscriptions.set_cursor(bad, 1),
    "watch": lambda orc, bad: next(orc.subscriptions.watch(bad)),
    "open": lambda orc, bad: orc.subscriptions.open(bad),
}
ALLOWED = {
    *((entry, "a folder") for entry in WORKERS),
    *(("type", kind) for kind in ("device", "device with extension", "trailing dot", "hidden")),
    *(("type", kind) for kind in ("dots", "one dot", "too long in bytes", "leading dash")),
}


@attack("names", "workers of events, claims and cursors", naive_cursor)
def _(ground: Ground) -> str:
    orc = ground.open()
    orc.events.push("job", agent="ann")
    for entry, call in WORKERS.items():
        for kind, bad in BAD_NAMES.items():
            if (entry, kind) in ALLOWED:
                continue
            outside, log = ground.everything(), ground.log()
            what = refused(lambda: call(orc, bad))  # noqa: B023
            if what or ground.everything() != outside or ground.log() != log:
                return f"{entry}, {kind}: {what or 'something was written'}"
    return ""


# Symbolic links


def naive_agents(ground: Ground) -> bool:
    """A runner that runs each file in its folder which is trusted, links included."""
    trusted = ground.outside / "deploy.sh"
    trusted.write_text("echo deploy > deployed\n")
    clone = ground.folder / "clone"
    clone.mkdir()
    (clone / "deploy.sh").symlink_to(trusted)
    subprocess.run(["sh", "deploy.sh"], cwd=clone, check=True)
    return (clone / "deployed").exists()


@attack("symlinks", "an agent file that is a link to one that is trusted", naive_agents)
def _(ground: Ground) -> str:
    town = Town(ground)
    elsewhere = ground.outside / "deploy.md"
    elsewhere.write_text("---\nruntime: shell\nlisten: [job]\n---\necho > deployed\n")
    town.trust.add({str(elsewhere): load_agent(str(elsewhere)).digest})
    (town.agents / "deploy.md").symlink_to(elsewhere)
    town.add("other", "true")
    with town.running():
        town.work()
    return "it ran" if (town.project / "deployed").exists() else ""


@attack("symlinks", "a folder of agents that is a link to one that is trusted", naive_agents)
def _(ground: Ground) -> str:
    town = Town(ground)
    town.add("deploy", "echo > deployed")
    town.agents.rename(ground.outside / "agents")
    elsewhere = ground.outside / "agents" / "deploy.md"
    town.trust.add({str(elsewhere): load_agent(str(elsewhere)).digest})
    town.agents.symlink_to(ground.outside / "agents")
    return refused(lambda: load_agents(str(town.agents)), "symlink")


def naive_workdir(ground: Ground) -> bool:
    """A runner that checks that the folder of an agent has no ``..``, and works in it."""
    project = ground.folder / "project"
    project.mkdir()
    (project / "build").symlink_to(ground.outside)
    subprocess.run(["sh", "-c", "echo evil > precious.txt"], cwd=project / "build", check=True)
    return ground.precious.read_text() != "precious"


@attack("symlinks", "a folder of work that leads out of the project", naive_workdir)
def _(ground: Ground) -> str:
    town = Town(ground)
    (town.project / "build").symlink_to(ground.outside)
    town.add("evil", "echo evil > precious.txt", workdir="build")
    with town.running():
        (end,) = town.work()
    if ground.precious.read_text() != "precious":
        return "it worked outside of the project"
    return "" if end["type"] == "subscription.died" else f"it ended as {end}"


@attack("symlinks", "the log of an agent", naive_write)
def _(ground: Ground) -> str:
    town = Town(ground)
    logs = ground.board / "state" / "logs"
    logs.mkdir(parents=True)
    (logs / "loud.log").symlink_to(ground.precious)
    town.add("loud", "echo evil")
    with town.running():
        (end,) = town.work()
        if not any("runner.trouble loud" in note for note in town.notes):
            return f"the link is not reported: {town.notes}"
    if ground.precious.read_text() != "precious":
        return "the target was written"
    return "" if end["type"] == "subscription.finished" else f"it ended as {end}"


@attack("symlinks", "the folders of logs and notes", naive_write)
def _(ground: Ground) -> str:
    for name in ("logs", "runner"):
        with contextlib.suppress(FileNotFoundError):
            (ground.board / "state" / name).rmdir()
        orc = ground.open()
        orc.events.push("job", agent="ann")
        (ground.board / "state" / name).symlink_to(ground.outside)

        def start(orc: Orchestrator = orc) -> object:
            return Dispatcher(
                orc,
                agents=str(ground.folder),
                project=str(ground.folder),
                trust=Trust(str(ground.folder / "user")),
                follower=None,  # type: ignore[arg-type]
            )

        if wrong := refused(start, "symlink"):
            return f"{name}: {wrong}"
        (ground.board / "state" / name).unlink()
        if [*ground.outside.iterdir()] != [ground.precious]:
            return f"{name}: there are files at its target"
    return ""


# Escape sequences


@attack("escape sequences", "what agents print, push and are called", naive_print)
def _(ground: Ground) -> str:
    town = Town(ground)
    nasty = "".join(text for name, text in NASTY.items() if name != "newline")
    path = town.add("loud", "cat; env", description=json.dumps("said " + nasty))
    (town.agents / f"x{nasty}.md").write_text("---\nruntime: shell\n---\n")
    town.orc.events.push("job", {f"k{nasty}": nasty}, agent="ann")
    program = subprocess.Popen(
        [sys.executable, f"{ROOT}/cli.py", "--board", str(ground.board), "runner", "run"],
        cwd=town.project,
        env={**os.environ, "XDG_DATA_HOME": str(ground.folder / "data"), "PYTHONPATH": ROOT},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    Trust(str(ground.folder / "data" / "orc")).add({str(path): load_agent(str(path)).digest})
    shown = b""
    assert program.stdout is not None
    while b"agent.loaded" not in shown and b"loud" not in shown:
        shown += program.stdout.readline()
    town.orc.events.push("job", {f"k{nasty}": nasty}, agent="ann")
    while len(town.ends()) < 1:
        shown += program.stdout.readline()
    program.terminate()
    shown += program.communicate()[0]
    for words in (["trust"], ["events", "map"], ["runner", "status"], ["runner", "check"]):
        _, out, err = ground.cli(*words, "--agents-dir", str(town.agents))
        shown += (out + err).encode("utf-8", "replace")
    for text in HARMFUL:
        if text in shown.decode("utf-8", "replace"):
            return f"{text!a} is shown raw: {shown!a:.600}"
    return ""


def naive_lines(ground: Ground) -> bool:
    """A runner whose log has the lines of agents beside its own."""
    line = json.dumps({"type": "subscription.finished", "worker_id": "other"})
    stream = "\n".join([json.dumps({"type": "runner.ready"}), line])
    return any(json.loads(text)["type"] == "subscription.finished" for text in stream.split("\n"))


@attack("escape sequences", "an agent that prints a finish of another agent", naive_lines)
def _(ground: Ground) -> str:
    forged = '{"type":"subscription.finished","worker_id":"other","payload":{}}'
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from orchestrator.interfaces.cli.runner_lines import JsonPrinter;"
            f" JsonPrinter().output('evil', 1, [{forged!r}, 'a\\x85b\\u2028c'])",
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    records = [json.loads(line) for line in done.stdout.splitlines()]
    if not records:
        return f"nothing was printed: {done.stderr}"
    types = {record["type"] for record in records}
    return "" if types == {"agent.output"} else f"it passes for {types}"


# JSON and YAML


@attack("json", "payloads of pushed events", naive_json)
def _(ground: Ground) -> str:
    orc = ground.open()
    orc.events.push("job", agent="ann")
    file = ground.folder / "payload.json"
    for kind, bad in BAD_JSON.items():
        log = ground.log()
        file.write_text(bad, errors="surrogateescape")
        for words in (["--payload", "-"], ["--file", str(file)]):
            status, out, err = ground.cli("events", "push", "--type", "job", *words, stdin=bad)
            if status not in (1, 2) or ground.log() != log or "Traceback" in err:
                return f"{kind}, {words[0]}: exit {status}, {out!a:.100} {err!a:.300}"
    return ""


@attack("yaml", "the frontmatter of agents", naive_yaml)
def _(ground: Ground) -> str:
    town = Town(ground)
    for kind, bad in BAD_YAML.items():
        path = town.agents / "bad.md"
        path.write_text(f"---\n{bad}\n---\ntext")
        loaded = load_agents(str(town.agents))
        if kind == "a tag directive" and not loaded.agents:
            continue
        if loaded.agents or str(path) not in loaded.bad:
            return f"{kind}: it was taken"
    path.write_text("---\nmodel: no\nlisten: [012, on]\n---\ntext")
    settings = load_agent(str(path)).settings
    words = (settings.model, *settings.listen)
    return "" if words == ("no", "012", "on") else f"words became {words}"


# The environment


@attack("environment", "an agent is given a few variables and those that it names", naive_child)
def _(ground: Ground) -> str:
    town = Town(ground)
    town.add("plain", "env")
    town.add("named", "echo got=$DEPLOY_KEY", env="[DEPLOY_KEY]")
    given = {"DEPLOY_KEY": SECRET, "OPENAI_API_KEY": f"{SECRET}2", "GIT_DIR": SECRET}
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        with town.running():
            town.work(count=2)
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
    shown = [line for line in town.lines if SECRET in line]
    return "" if shown == [f"got={SECRET}"] else f"agents see {shown}"


def naive_payload(ground: Ground) -> bool:
    """A runner that gives each value of the payload to the agent as a variable of its name."""
    payload = {"LD_PRELOAD": "", "PATH": str(ground.folder)}
    program = ground.folder / "sh"
    program.write_text("#!/bin/sh\necho owned > owned\n")
    program.chmod(0o755)
    subprocess.run(
        ["/usr/bin/env", "sh", "-c", "true"],
        env={**os.environ, **payload},
        cwd=ground.folder,
        check=False,
    )
    return (ground.folder / "owned").exists()


@attack("environment", "a payload sets no variable but its own", naive_payload)
def _(ground: Ground) -> str:
    town = Town(ground)
    evil = {"PATH": "/evil", "LD_PRELOAD": "/evil", "ORC_CAUSE": "/evil", "ORC_AGENT": "/evil"}
    payload = {**evil, "x": evil, "a=b": "/evil", "a\nLD_PRELOAD": "/evil", "": "/evil"}
    town.add("show", "env -0 | tr '\\n\\0' ' \\n'")
    with town.running():
        town.work(payload)
    for line in town.lines:
        if "/evil" in line and not line.startswith("ORC_EVENT_"):
            return f"the payload has set {line}"
    return "" if any("/evil" in line for line in town.lines) else f"it sees none: {town.lines}"


@attack("environment", "a marker in a payload never ends processes", naive_payload)
def _(ground: Ground) -> str:
    """Processes of an attempt are known by a variable; a payload cannot give it to others."""
    town = Town(ground)
    town.add("show", "env -0 | tr '\\n\\0' ' \\n' | grep -c '^ORC_PROCESS='")
    with town.running():
        town.work({"ORC_PROCESS": "x", "PROCESS": "y"})
    return "" if town.lines == ["1"] else f"{town.lines}"


# Trust


def naive_trust(ground: Ground) -> bool:
    """A runner that remembers the names of trusted files."""
    trusted = {"deploy.sh"}
    script = ground.folder / "deploy.sh"
    script.write_text("true\n")
    script.write_text("echo > owned\n")  # the next pull
    if script.name in trusted:
        subprocess.run(["sh", str(script)], cwd=ground.folder, check=True)
    return (ground.folder / "owned").exists()


@attack("trust", "a file that was changed after it was trusted", naive_trust)
def _(ground: Ground) -> str:
    town = Town(ground)
    path = town.add("deploy", "true")
    with town.running():
        town.work()
        path.write_text(path.read_text().replace("\ntrue\n", "\necho > owned\n"))
        town.until(lambda: any("has changed" in note for note in town.notes))
        town.add("other", "true")
        town.until(lambda: any("agent.loaded other" in note for note in town.notes))
        town.work(count=2)
    return "it ran" if (town.project / "owned").exists() else ""


@attack(
    "trust", "a file that only looks the same, and one of the same content elsewhere", naive_trust
)
def _(ground: Ground) -> str:
    town = Town(ground)
    path = town.add("deploy", "true")
    text = path.read_text()
    for kind, changed in {
        "a byte order mark": "\ufeff" + text,
        "other line ends": text.replace("\n", "\r\n"),
        "an invisible character": text.replace("true", "tr\u200bue"),
        "a blank at the end": text + " ",
        "another normal form": text + "e\u0301",
    }.items():
        path.write_text(changed, newline="")
        try:
            digest = load_agent(str(path)).digest
        except OrchestratorError:
            continue
        if kind != "a byte order mark" and town.trust.is_trusted(str(path), digest):
            return f"{kind}: it is trusted"
    copy = town.agents / "copy.md"
    copy.write_text(text)
    if town.trust.is_trusted(str(copy), load_agent(str(copy)).digest):
        return "a copy is trusted"
    return ""


@attack("trust", "a board that brings its own trust", naive_trust)
def _(ground: Ground) -> str:
    """A clone cannot say where trust is kept, and a started agent cannot extend it."""
    town = Town(ground)
    path = town.add("deploy", "echo > owned", trusted=False)
    digest = load_agent(str(path)).digest
    for folder in (ground.board, ground.board / "state", town.agents, town.project):
        (folder / "orc").mkdir(exist_ok=True)
        for place in (folder, folder / "orc"):
            (place / "trusted.json").write_text(json.dumps({"files": {str(path): digest}}))
    town.add("helper", "orc trust --all --agents-dir agents; orc trust deploy --agents-dir agents")
    with town.running():
        town.work()
        town.work(count=2)
    return "it ran" if (town.project / "owned").exists() else ""


ROWS = ("names", "symlinks", "escape sequences", "json", "yaml", "environment", "trust")


def body(part: Part) -> None:
    aim_all(part, ATTACKS, ROWS)


if __name__ == "__main__":
    for name in ("ORCHESTRATOR_DIR", "ORC_AGENT", "ORC_REQUEST_ID", "ORC_CAUSE"):
        os.environ.pop(name, None)
    run("runner_attacks", body)
