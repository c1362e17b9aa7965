"""Part 9: every row of the contract's table of bad input, attacked.

Each attack is run twice: against a naive version of a few careless lines, where it must succeed, and against
a board, where it must fail. An attack that fails on the naive version proves nothing, so that is a violation
too. ``tests/test_security.py`` runs the same attacks one by one.
"""

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from orchestrator import Orchestrator
from orchestrator.core.errors import OrchestratorError
from orchestrator.integrations.opspawn import import_opspawn
from orchestrator.interfaces.cli.main import main
from orchestrator.maintenance.backup import import_board
from orchestrator.maintenance.doctor import examine

from .part import Part, fast_folder, run

ROWS = (
    "names",
    "symlinks",
    "escape sequences",
    "json",
    "yaml",
    "damage of the log",
    "environment",
)
"""The rows of the table, in short."""

SECRET = "s3cr3t-91f4-not-for-agents"


class Ground:
    """A folder to attack in: a place for a board, and a precious file outside of it."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.board = self.folder / "inner" / "board"
        self.outside = self.folder / "outside"
        self.outside.mkdir(parents=True)
        self.precious = self.outside / "precious.txt"
        self.precious.write_text("precious")

    def open(self, **settings: Any) -> Orchestrator:
        self.board.parent.mkdir(exist_ok=True)
        return Orchestrator.open(self.board, **{"timeout": 0.2, **settings})

    def everything(self, *, board: bool = False) -> dict[str, bytes | None]:
        """Every path with its content, by default without the board."""
        collected: dict[str, bytes | None] = {}
        for top, folders, files in os.walk(self.folder):
            if not board and Path(top) == self.board.parent and self.board.name in folders:
                folders.remove(self.board.name)
            for name in folders:
                collected[os.path.join(top, name)] = None
            for name in files:
                path = os.path.join(top, name)
                link = os.path.islink(path)
                collected[path] = os.readlink(path).encode() if link else Path(path).read_bytes()
        return collected

    def log(self) -> bytes:
        path = self.board / "state" / "events.jsonl"
        return path.read_bytes() if path.exists() else b""

    def cli(self, *words: str, stdin: str = "") -> tuple[int, str, str]:
        """Run a command line in this process: its status, stdout and stderr."""
        out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
        before = sys.stdin
        sys.stdin = io.TextIOWrapper(io.BytesIO(stdin.encode("utf-8", "surrogateescape")))
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                status = main(["--board", str(self.board), *words])
                out.flush()
        finally:
            sys.stdin = before
        return status, out.buffer.getvalue().decode("utf-8", "replace"), err.getvalue()


class Attack:
    """One attack: what it does to the naive version, and what to a board.

    ``naive`` returns whether it did harm there, ``real`` what harm it did to a board; empty if none.
    """

    def __init__(
        self,
        row: str,
        name: str,
        naive: Callable[[Ground], bool],
        real: Callable[[Ground], str],
    ) -> None:
        self.row, self.name, self.naive, self.real = row, name, naive, real

    def __repr__(self) -> str:
        return f"{self.row}: {self.name}"


ATTACKS: list[Attack] = []
Real = Callable[[Ground], str]


def attack(row: str, name: str, naive: Callable[[Ground], bool]) -> Callable[[Real], Real]:
    """Register the decorated function as the attack on a board."""

    def register(real: Real) -> Real:
        ATTACKS.append(Attack(row, name, naive, real))
        return real

    return register


def refused(call: Callable[[], object], *codes: str) -> str:
    """An empty text if the call is refused with one of our errors; else what happened."""
    try:
        answer = call()
    except OrchestratorError as error:
        if codes and error.code not in codes:
            return f"refused as {error.code!r}, not as one of {codes}: {error.message!a}"
        return (
            "" if error.message and error.exit_status else f"an error without a sentence: {error!r}"
        )
    except Exception as error:
        return f"{type(error).__name__} got out: {error}"
    return f"it was taken: {answer!r:.200}"


# Names

BAD_NAMES = {
    "dots": "..",
    "climbing": "../../outside/evil",
    "absolute": "/outside/evil",
    "a folder": "a/b",
    "backslash": "..\\evil",
    "NUL": "a\0b",
    "newline": "a\nb",
    "escape": "a\x1b[2Jb",
    "C1 control": "a\x9bb",
    "leading dash": "--help",
    "empty": "",
    "one dot": ".",
    "hidden": ".git",
    "blank": " ",
    "outer blank": "a ",
    "too long": "x" * 201,
    "too long in bytes": "é" * 101,
    "device": "CON",
    "device with extension": "nul.txt",
    "trailing dot": "evil.",
    "bidi": "a\u202eb",
    "zero width": "a\u200bb",
    "lone surrogate": "a\ud800b",
    "not NFC": unicodedata.normalize("NFD", "é"),
    "shell": "$(touch evil)",
    "glob": "*",
}
FREE_FOR_AGENTS = {"a folder"}
"""Agent names may hold ``/``."""

FREE_FOR_RESOURCES = {
    "absolute", "a folder", "backslash", "leading dash", "one dot", "hidden", "device",
    "device with extension", "trailing dot", "not NFC", "shell", "glob",
}  # fmt: skip
"""Resources are not files."""

Entry = Callable[[Orchestrator, str], object]

ENTRIES: dict[str, Entry] = {
    "workstream": lambda orc, bad: orc.workstreams.create(bad),
    "topic written": lambda orc, bad: orc.knowledge.write(bad, "text"),
    "topic appended": lambda orc, bad: orc.knowledge.append(bad, "text"),
    "topic deleted": lambda orc, bad: orc.knowledge.delete(bad),
    "topic read": lambda orc, bad: orc.knowledge.read(bad),
    "topic history": lambda orc, bad: orc.knowledge.history(bad),
    "tag": lambda orc, bad: orc.knowledge.write("t", "text", tags=[bad]),
    "agent registered": lambda orc, bad: orc.agents.register(bad),
    "agent type": lambda orc, bad: orc.agents.register("ann", type=bad),
    "capability": lambda orc, bad: orc.agents.register("ann", capabilities=[bad]),
    "agent heartbeat": lambda orc, bad: orc.agents.heartbeat(bad),
    "agent claiming": lambda orc, bad: orc.tasks.next("ws", agent=bad),
    "agent logging": lambda orc, bad: orc.events.log(bad, "deployed"),
    "agent locking": lambda orc, bad: orc.locks.acquire("git", agent=bad),
    "event type": lambda orc, bad: orc.events.log("ann", bad),
    "task type": lambda orc, bad: orc.tasks.add("ws", title="T", type=bad),
    "label": lambda orc, bad: orc.tasks.add("ws", title="T", labels=[bad]),
    "child": lambda orc, bad: orc.tasks.add("ws", title="T", parent=_task(orc), name=bad),
    "touches": lambda orc, bad: orc.tasks.add("ws", title="T", touches=[bad]),
    "resource": lambda orc, bad: orc.locks.acquire(bad, agent="ann"),
    "topic of collect": lambda orc, bad: orc.knowledge.write(bad, orc.collect(since=0).markdown()),
}
ENTRIES_OF_AGENTS = {
    "agent registered", "agent heartbeat", "agent claiming", "agent logging", "agent locking",
}  # fmt: skip
ENTRIES_OF_RESOURCES = {"touches", "resource"}
ALLOWED_ELSEWHERE = {("event type", "device"), ("event type", "device with extension"),
                     ("event type", "trailing dot"), ("event type", "hidden"),
                     ("event type", "dots"), ("event type", "one dot"),
                     ("event type", "too long in bytes"), ("event type", "leading dash"),
                     ("task type", "empty")}  # fmt: skip
"""Types of events are not file names, so they have a check of their own. An empty type is not allowed."""


def _task(orc: Orchestrator) -> str:
    return next(iter(orc.engine.read().tasks))


def _harmless(entry: str, kind: str) -> bool:
    return (
        (entry in ENTRIES_OF_AGENTS and kind in FREE_FOR_AGENTS)
        or (entry in ENTRIES_OF_RESOURCES and kind in FREE_FOR_RESOURCES)
        or (entry, kind) in ALLOWED_ELSEWHERE
    )


def naive_names(ground: Ground) -> bool:
    """A naive knowledge base, whose topics are file names."""
    knowledge = ground.folder / "inner" / "knowledge"
    knowledge.mkdir(parents=True)
    before = ground.everything()
    with open(f"{knowledge}/{BAD_NAMES['climbing']}", "w") as file:
        file.write("evil")
    return any(Path(p).parent == ground.outside for p in ground.everything().keys() - before.keys())


def _furnished(ground: Ground) -> Orchestrator:
    orc = ground.open()
    orc.workstreams.create("ws")
    orc.tasks.add("ws", title="T")
    return orc


def _name_attack(entry: str) -> None:
    @attack("names", entry, naive_names)
    def real(ground: Ground) -> str:
        orc = _furnished(ground)
        for kind, bad in BAD_NAMES.items():
            outside, log = ground.everything(), ground.log()
            files = set(ground.everything(board=True))
            what = refused(lambda bad=bad: ENTRIES[entry](orc, bad))  # type: ignore[misc]
            if ground.everything() != outside:
                return f"{kind}: files outside the board changed"
            if _harmless(entry, kind):
                if " got out" in what:
                    return f"{kind}: {what}"
                continue
            if what:
                return f"{kind}: {what}"
            if ground.log() != log:
                return f"{kind}: refused, and yet something was appended"
            # A sign of life of the agent that acts is not an effect of the command, nor is waiting in line.
            new = {
                path
                for path in set(ground.everything(board=True)) - files
                if Path(path).name not in ("presence", "ann", ".queue")
            }
            if new:
                return f"{kind}: refused, and yet there is {new}"
        return ""


for _entry in ENTRIES:
    _name_attack(_entry)

CLI_NAMES: tuple[tuple[str, ...], ...] = (
    ("ws", "create", "@"),
    ("kb", "write", "@", "text"),
    ("kb", "read", "@"),
    ("kb", "delete", "@"),
    ("kb", "history", "@"),
    ("a", "register", "@"),
    ("t", "next", "ws", "@"),
    ("--agent", "@", "events", "log", "deployed"),
    ("runner", "collect", "--save", "@"),
)


@attack("names", "on the command line", naive_names)
def _(ground: Ground) -> str:
    _furnished(ground)
    for words in CLI_NAMES:
        for kind, bad in BAD_NAMES.items():
            if "\0" in bad or "\ud800" in bad or (kind == "a folder" and words[0] in "ta--agent"):
                continue  # no process can be given the first two
            outside, log = ground.everything(), ground.log()
            line = [bad if word == "@" else word for word in words]
            status, out, err = ground.cli(*line)
            if ground.everything() != outside:
                return f"{line}: files outside the board changed"
            if "Traceback" in err or "\x1b" in out + err:
                return f"{line}: {err!a}"
            if kind == "leading dash":  # --help is answered
                continue
            if status not in (1, 2):
                return f"{line}: exit {status}, {out!a} {err!a}"
            if ground.log() != log:
                return f"{line}: something was appended"
    return ""


@attack("names", "by the environment", naive_names)
def _(ground: Ground) -> str:
    _furnished(ground)
    for kind, bad in BAD_NAMES.items():
        if "\0" in bad or kind in ("empty", "a folder", "lone surrogate"):
            continue
        log, outside = ground.log(), ground.everything()
        os.environ["ORC_AGENT"] = bad
        try:
            status, _, err = ground.cli("t", "next", "ws")
        finally:
            del os.environ["ORC_AGENT"]
        if status not in (1, 2) or ground.log() != log or ground.everything() != outside:
            return f"ORC_AGENT {kind}: exit {status}, {err!a}"
    return ""


def _line(number: int, type: str, payload: object, agent: str = "ann") -> str:
    record = {"id": number, "ts": "2026-11-21T06:13:00.000Z", "agent": agent, "type": type}
    return json.dumps({**record, "payload": payload}) + "\n"


_HEADER = '{"format":"orchestrator-board","version":1}\n'

Payloads = Callable[[str], tuple[str, object, str]]

IMPORTED: dict[str, Payloads] = {
    "topic": lambda bad: ("knowledge.written", {"topic": bad, "text": "evil"}, "ann"),
    "edited topic": lambda bad: ("knowledge.edited", {"topic": bad, "text": "evil"}, "ann"),
    "workstream": lambda bad: ("workstream.created", {"name": bad}, "ann"),
    "agent": lambda bad: ("agent.registered", {"id": bad}, "ann"),
    "actor": lambda bad: ("deployed", {}, bad),
    "lock": lambda bad: (
        "lock.acquired",
        {"resource": bad, "until": "2027-01-01T00:00:00.000Z", "ttl": 60.0},
        "ann",
    ),
    "holder": lambda bad: (
        "lock.acquired",
        {"resource": "git", "until": "2027-01-01T00:00:00.000Z", "ttl": 60.0},
        bad,
    ),
}


def _import_attack(what: str) -> None:
    @attack("names", f"{what} in an import", naive_names)
    def real(ground: Ground) -> str:
        for kind, bad in BAD_NAMES.items():
            if kind == "lone surrogate":
                continue  # a row of its own
            if what in ("agent", "actor", "holder") and kind in FREE_FOR_AGENTS:
                continue
            if what == "lock" and kind in FREE_FOR_RESOURCES:
                continue
            shutil.rmtree(ground.board, ignore_errors=True)
            orc = ground.open()
            outside = ground.everything()
            text = _HEADER + _line(1, *IMPORTED[what](bad))
            wrong = refused(lambda text=text, orc=orc: import_board(orc.engine, io.StringIO(text)))  # type: ignore[misc]
            if ground.everything() != outside:
                return f"{kind}: files outside the board changed"
            if wrong or ground.log():
                return f"{kind}: {wrong or 'something was appended'}"
        return ""


for _what in IMPORTED:
    _import_attack(_what)


def naive_import(ground: Ground) -> bool:
    """An import that takes topics from the events without a check."""
    return naive_names(ground)


@attack("names", "a board of the original", naive_import)
def _(ground: Ground) -> str:
    for kind, bad in BAD_NAMES.items():
        if kind in ("lone surrogate", "empty"):
            continue
        for where in ("workstream", "agent", "task", "event agent"):
            if "agent" in where and kind in FREE_FOR_AGENTS:
                continue
            shutil.rmtree(ground.board, ignore_errors=True)
            source = ground.folder / "source"
            shutil.rmtree(source, ignore_errors=True)
            source.mkdir()
            task = {"id": bad if where == "task" else "t1", "title": "T", "status": "pending"}
            streams = {bad if where == "workstream" else "ws": {"tasks": [task]}}
            state = {"workstreams": streams, "agents": {bad: {}} if where == "agent" else {}}
            (source / "state.json").write_text(json.dumps(state))
            if where == "event agent":
                (source / "events.jsonl").write_text(
                    json.dumps({"agent": bad, "action": "x"}) + "\n"
                )
            orc, outside = ground.open(), ground.everything()
            wrong = refused(lambda orc=orc, s=str(source): import_opspawn(orc.engine, s))  # type: ignore[misc]
            if wrong or ground.log() or ground.everything() != outside:
                return f"{where} {kind}: {wrong or 'something changed'}"
    return ""


def naive_collision(ground: Ground) -> bool:
    """Two topics that are the same file if case is ignored; a table with folded names simulates it."""
    files = {topic.casefold(): topic for topic in ("Notes", "notes")}
    return len(files) < 2


@attack("names", "collisions of case and normal form", naive_collision)
def _(ground: Ground) -> str:
    orc = ground.open()
    orc.workstreams.create("Build")
    orc.knowledge.write("Notes", "text")
    orc.knowledge.write("straße", "text")
    orc.agents.register("Ann")
    log = ground.log()
    for call in (
        lambda: orc.workstreams.create("build"),
        lambda: orc.knowledge.write("notes", "text"),
        lambda: orc.knowledge.append("NOTES", "text"),
        lambda: orc.knowledge.write("STRASSE", "text"),
        lambda: orc.agents.register("ann"),
        lambda: orc.knowledge.write("Note\u0073\u0301", "text"),
    ):
        if what := refused(call):
            return what
    return "" if ground.log() == log else "something was appended"


# Symbolic links


def naive_write(ground: Ground) -> bool:
    """A store that opens its file and writes."""
    link = ground.folder / "notes.md"
    link.symlink_to(ground.precious)
    with open(link, "w") as file:
        file.write("evil")
    return ground.precious.read_text() != "precious"


def naive_append(ground: Ground) -> bool:
    """A log that is just opened for appending."""
    link = ground.folder / "events.jsonl"
    link.symlink_to(ground.precious)
    with open(link, "a") as file:
        file.write("evil")
    return ground.precious.read_text() != "precious"


def naive_folder(ground: Ground) -> bool:
    """A store that creates a missing folder, and writes into it."""
    link = ground.folder / "knowledge"
    link.symlink_to(ground.outside)
    os.makedirs(link, exist_ok=True)
    (link / "notes.md").write_text("evil")
    return (ground.outside / "notes.md").exists()


def _use(ground: Ground) -> list[str]:
    """Every kind of write; returns exceptions that are not our errors."""
    wrong = []

    def fix() -> None:
        orc = ground.open(agent="ann")
        examine(orc.engine, fix=True, accept_log=True, salvage_log=True)

    def long_lived() -> None:
        with ground.open(agent="ann") as orc:
            orc.events.log("ann", "deployed")
            orc.engine.save()

    for step in (
        *((fix,) if (ground.board / "state/backups").is_symlink() else ()),
        lambda: ground.open(agent="ann", light=True).events.log("ann", "deployed"),
        lambda: ground.open(agent="ann", light=True).knowledge.write("notes", "new"),
        lambda: ground.open(agent="ann", light=True).knowledge.delete("notes"),
        lambda: ground.open(agent="ann").agents.heartbeat("ann"),
        lambda: ground.open(agent="bob").agents.heartbeat("bob"),
        long_lived,
        fix,
        lambda: ground.open(agent="ann", light=True).knowledge.write("notes", "newer"),
    ):
        try:
            step()
        except OrchestratorError:
            continue
        except Exception as error:
            wrong.append(f"{type(error).__name__} got out: {error}")
    return wrong


def _link_attack(place: str, naive: Callable[[Ground], bool]) -> None:
    @attack("symlinks", place, naive)
    def real(ground: Ground) -> str:
        with ground.open(agent="ann") as orc:
            orc.knowledge.write("notes", "old")
        (_link_folder if place.endswith("/") else _link_file)(ground, place)
        before = ground.everything()
        wrong = _use(ground)
        after = ground.everything()
        if after != before:
            changed = {p for p in before.keys() | after.keys() if before.get(p) != after.get(p)}
            names = sorted(os.path.relpath(path, ground.folder) for path in changed)
            return f"written outside the board: {names}"
        return "; ".join(wrong)


def _link_folder(ground: Ground, place: str) -> None:
    """Replace a folder by a link to a copy outside."""
    path, target = ground.board / place[:-1], ground.outside / "folder"
    if path.exists():
        shutil.move(path, target)
    else:
        target.mkdir()
    path.symlink_to(target)
    if place in ("state/quarantine/", "state/backups/"):
        with open(ground.board / "state/events.jsonl", "ab") as log:
            log.write(b'{"id":2,"torn')
    if place == "state/backups/":
        (ground.board / "knowledge" / ".x.new").write_text("left over")


def _link_file(ground: Ground, place: str) -> None:
    """Replace a file by a link to a copy outside."""
    path = ground.board / place.removesuffix("+torn")
    content = path.read_bytes() if path.is_file() else b"precious"
    if place.endswith("+torn"):
        content += b'{"id":2'
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    ground.precious.write_bytes(content)
    path.symlink_to(ground.precious)
    if path.name.startswith(".git"):
        (ground.board / ".git").mkdir()


for _place, _naive in {
    "knowledge/notes.md": naive_write,
    "state/state.json": naive_write,
    "state/events.jsonl": naive_append,
    "state/events.jsonl+torn": naive_append,
    "state/events.jsonl.new": naive_write,
    "state/.lock": naive_write,
    "state/.holder": naive_write,
    "state/presence/ann": naive_write,
    "state/.gitignore": naive_append,
    ".gitattributes": naive_append,
    "knowledge/": naive_folder,
    "state/": naive_folder,
    "state/presence/": naive_folder,
    "state/quarantine/": naive_folder,
    "state/backups/": naive_folder,
}.items():
    _link_attack(_place, _naive)


@attack("symlinks", "the file of an export", naive_write)
def _(ground: Ground) -> str:
    _furnished(ground)
    link = ground.folder / "export.jsonl"
    link.symlink_to(ground.precious)
    status, _, err = ground.cli("export", str(link))
    if ground.precious.read_text() != "precious":
        return "the target was written"
    return "" if status == 2 else f"exit {status}: {err!a}"


@attack("symlinks", "a salvage through a link", naive_folder)
def _(ground: Ground) -> str:
    _furnished(ground)
    (ground.board / "state/salvage").symlink_to(ground.outside)
    log = ground.board / "state/events.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"id":1', b'"id":9', 1))
    before = ground.everything()
    status, _, err = ground.cli("doctor", "--salvage-log")
    if ground.everything() != before:
        return "written outside the board"
    return "" if "Traceback" not in err and status else f"exit {status}: {err!a}"


# Text on a terminal

NASTY = {
    "clear screen": "\x1b[2J",
    "title of the window": "\x1b]0;owned\x07",
    "8-bit escape": "\x9b2J",
    "bidi override": "\u202e",
    "bidi isolate": "\u2066",
    "right-to-left mark": "\u200f",
    "newline": "\n[done] 00000000: forged",
    "carriage return": "\rforged",
    "line separator": "\u2028",
    "backspace": "\b\b\b",
    "delete": "\x7f",
    "zero width": "\u200b",
    "byte order mark": "\ufeff",
}
HARMFUL = [text[0] for name, text in NASTY.items() if name != "newline"]


def naive_print(ground: Ground) -> bool:
    """A listing that prints what it holds."""
    title = NASTY["clear screen"]
    return "\x1b" in f"[pending] 299833bc: {title}"


@attack("escape sequences", "in every text that is shown", naive_print)
def _(ground: Ground) -> str:
    orc = ground.open(agent="ann")
    orc.workstreams.create("ws", description="d" + "".join(NASTY.values()))
    for text in NASTY.values():
        title = f"before{text}after"
        try:
            task = orc.tasks.add("ws", title=title, description=title, acceptance=title)
        except OrchestratorError:
            continue
        orc.tasks.note(task.id, title)
        orc.tasks.claim(task.id, agent="ann")
        orc.tasks.complete(task.id, result=title, agent="ann")
        other = orc.tasks.add("ws", title=title, description=title)
        orc.tasks.block(other.id, reason=title)
        orc.tasks.add("ws", title=title, description=title, acceptance=title)
        orc.events.log("ann", "deployed", text=title, **{f"key{text}": title})
    orc.knowledge.write("topic", "".join(NASTY.values()))
    orc.locks.acquire("git", agent="ann")
    orc.locks.break_("git", reason="x" + NASTY["clear screen"])
    task = next(iter(orc.engine.read().tasks))
    orc.close()
    for words in (
        ["status"], ["t", "ls", "ws"], ["t", "show", task], ["t", "ls", "--json"][:2], ["ws", "ls"],
        ["events", "--last", "500"], ["kb", "read", "topic"], ["kb", "ls"], ["kb", "search", "after"],
        ["kb", "history", "topic"], ["a", "ls"], ["l", "ls"], ["runner", "brief", "ws"],
        ["runner", "plan"], ["runner", "collect", "--since", "0"],
        ["runner", "collect", "--since", "0", "--format", "markdown"],
        ["t", "next", "ws", "bob"], ["t", "add", "ws", "x" + "".join(NASTY.values())],
        ["doctor"], ["t", "claim", task, "bob"], ["t", "show", "x" + NASTY["clear screen"]],
        ["kb", "read", "x" + NASTY["bidi override"]], ["bogus" + NASTY["clear screen"]],
        ["t", "ls", "--bogus" + NASTY["clear screen"]],
        ["t", "ls", "--status", NASTY["title of the window"]],
        ["--board", str(ground.folder / ("no" + NASTY["clear screen"])), "status", "extra"],
        ["import", str(ground.folder / ("no" + NASTY["clear screen"]))],
        ["events", "--since", "x" + NASTY["8-bit escape"]],
    ):  # fmt: skip
        _, out, err = ground.cli(*words)
        for text in HARMFUL:
            if text in out + err:
                return f"{words!a} shows {text!a} raw: {(out + err)!a:.300}"
        if words[:1] != ["kb"] and "\n[done] 00000000: forged" in out:
            return f"{words!a} lets a title pass for a line of its own"
    status, out, _ = ground.cli("t", "show", task, "--json")
    title = json.loads(out)["title"]
    return "" if status == 0 and NASTY["clear screen"] in title else "--json does not give it raw"


# JSON


UNDECODABLE = "a\udcffb"
"""What Python makes of an argument that is not UTF-8."""


def naive_json(ground: Ground) -> bool:
    """A log of ``json.dumps`` lines: NaN goes in, a key given twice is lost, 2**53+1 is rounded by others."""
    log = ground.folder / "log.jsonl"
    log.write_text(json.dumps({"n": float("nan")}) + "\n" + '{"a":1,"a":2}\n')
    first, second = log.read_text().splitlines()
    return "NaN" in first and json.loads(second) == {"a": 2}


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


BAD_VALUES: dict[str, Any] = {
    "NaN": float("nan"),
    "infinity": float("-inf"),
    "NaN inside": {"a": [1, {"b": float("nan")}]},
    "a huge integer": 2**63,
    "a huge negative": -(2**63) - 1,
    "a very huge integer": 10**5000,
    "deep nesting": nested(65),
    "very deep nesting": nested(100_000),
    "a lone surrogate": "a\ud800b",
    "a lone surrogate as a key": {"\udfff": 1},
    "a key that is not a string": {1: 2},
    "a set": {1, 2},
    "bytes": b"x",
    "an object": object(),
    "a circle": None,
    "over 16 MiB": "x" * (16 << 20),
    "over 16 MiB when escaped": "\u202e" * (3 << 20),
}
_circle: list[Any] = []
_circle.append(_circle)
BAD_VALUES["a circle"] = _circle


@attack("json", "in what agents log", naive_json)
def _(ground: Ground) -> str:
    orc = _furnished(ground)
    orc.events.log("ann", "fine", text="x" * 1000, deep=nested(60))
    for kind, bad in BAD_VALUES.items():
        log = ground.log()
        wrong = refused(lambda bad=bad: orc.events.log("ann", "deployed", value=bad))  # type: ignore[misc]
        if wrong or ground.log() != log:
            return f"{kind}: {wrong or 'something was appended'}"
    orc.events.log("ann", "after")
    return ""


@attack("json", "in titles and texts", naive_json)
def _(ground: Ground) -> str:
    orc = _furnished(ground)
    task = _task(orc)
    texts = {
        "a lone surrogate": "a\ud800b",
        "an undecodable byte": UNDECODABLE,
        "NUL": "a\0b",
        "over 16 MiB": "x" * ((16 << 20) + 1),
        "over 16 MiB when escaped": "\u202e" * (3 << 20),
    }
    entries: dict[str, Callable[[str], object]] = {
        "title": lambda bad: orc.tasks.add("ws", title=bad),
        "description": lambda bad: orc.tasks.add("ws", title="T", description=bad),
        "edit": lambda bad: orc.tasks.edit(task, acceptance=bad),
        "note": lambda bad: orc.tasks.note(task, bad),
        "reason": lambda bad: orc.tasks.block(task, reason=bad),
        "stream": lambda bad: orc.workstreams.create("other", description=bad),
        "knowledge": lambda bad: orc.knowledge.write("t", bad),
        "frontmatter": lambda bad: orc.knowledge.write("t", f"---\nk: {bad}\n---\n"),
        "lock reason": lambda bad: (
            orc.locks.acquire("git", agent="ann"), orc.locks.break_("git", reason=bad)
        )[1],
    }  # fmt: skip
    for entry, call in entries.items():
        for kind, bad in texts.items():
            if "16 MiB" in kind and entry not in ("note", "knowledge"):
                continue  # one check for all; these are large
            log = ground.log()
            wrong = refused(lambda bad=bad, call=call: call(bad))  # type: ignore[misc]
            if wrong:
                return f"{entry}, {kind}: {wrong:.300}"
            if entry != "lock reason" and ground.log() != log:
                return f"{entry}, {kind}: something was appended"
    return ""


BAD_JSON = {
    "NaN": '{"v":NaN}',
    "infinity": '{"v":-Infinity}',
    "a key twice": '{"v":1,"v":2}',
    "a key twice, written differently": '{"v":1,"\\u0076":2}',
    "a huge integer": '{"v":18446744073709551616}',
    "a very huge integer": '{"v":' + "9" * 10_000 + "}",
    "a float that overflows": '{"v":1e999}',
    "deep nesting": '{"v":' + "[" * 70 + "]" * 70 + "}",
    "very deep nesting": '{"v":' + "[" * 200_000 + "]" * 200_000 + "}",
    "a lone surrogate": '{"v":"\\ud800"}',
    "a lone surrogate as a key": '{"\\udfff":1}',
    "over 16 MiB": '{"v":"' + "x" * (16 << 20) + '"}',
}


@attack("json", "in an import", naive_json)
def _(ground: Ground) -> str:
    for kind, bad in BAD_JSON.items():
        for place in ("payload", "record", "header"):
            if place == "record" and kind == "over 16 MiB":
                continue
            shutil.rmtree(ground.board, ignore_errors=True)
            orc = ground.open()
            line = _line(1, "deployed", "@").replace('"@"', bad if place == "payload" else "{}")
            if place == "record":
                line = bad[:-1] + "," + line[1:]
            text = (bad + "\n" if place == "header" else _HEADER) + line
            wrong = refused(lambda text=text, orc=orc: import_board(orc.engine, io.StringIO(text)))  # type: ignore[misc]
            if wrong or ground.log():
                return f"{kind} in the {place}: {wrong or 'something was appended'}"
    return ""


@attack("json", "in a board of the original", naive_json)
def _(ground: Ground) -> str:
    source = ground.folder / "source"
    source.mkdir()
    good = '{"workstreams":{},"agents":{}}'
    for kind, bad in BAD_JSON.items():
        for file in ("state.json", "events.jsonl"):
            shutil.rmtree(ground.board, ignore_errors=True)
            orc = ground.open()
            (source / "state.json").write_text(
                good[:-1] + ',"x":' + bad + "}" if file == "state.json" else good
            )
            (source / "events.jsonl").write_text(bad + "\n" if file == "events.jsonl" else "")
            if file == "state.json" and ("16 MiB" in kind or "surrogate" in kind):
                continue  # a field that nothing is taken from
            wrong = refused(lambda orc=orc: import_opspawn(orc.engine, str(source)))  # type: ignore[misc]
            if wrong or ground.log():
                return f"{kind} in {file}: {wrong or 'something was appended'}"
    return ""


@attack("json", "on the command line", naive_json)
def _(ground: Ground) -> str:
    orc = _furnished(ground)
    task = _task(orc)
    for words in (
        ["t", "add", "ws", UNDECODABLE],
        ["t", "note", task, UNDECODABLE],
        ["events", "log", "deployed", f"k={UNDECODABLE}"],
        ["kb", "write", "t", UNDECODABLE],
        ["t", "ls", UNDECODABLE],
        ["--json", "t", "add", "ws", UNDECODABLE],
        ["t", "add", "ws", "T", "--priority", "9" * 5000],
        ["t", "add", "ws", "T", "--estimate", "nan"],
        ["t", "add", "ws", "T", "--estimate", "inf"],
        ["t", "claim", task, "ann", "--lease", "9" * 400 + "d"],
        ["t", "claim", task, "ann", "--lease", "nan"],
    ):
        log = ground.log()
        status, out, err = ground.cli(*words)
        if status not in (1, 2) or ground.log() != log or "Traceback" in err:
            return f"{words!a:.100}: exit {status}, {out!a:.100} {err!a:.300}"
    for kind, bad in BAD_JSON.items():
        if len(bad) > 100_000:
            continue  # no process can be given so much
        ground.cli("events", "log", "deployed", f"v={bad[5:-1]}")
        status, out, _ = ground.cli("events", "--last", "1", "--json")
        if "NaN" in json.dumps(json.loads(out)[0]["payload"].get("v")) and not isinstance(
            json.loads(out)[0]["payload"].get("v"), str
        ):
            return f"{kind}: {out!a}"
    return ""


# YAML


def naive_yaml(ground: Ground) -> bool:
    """Frontmatter read with the unsafe YAML loader."""
    text = f"!!python/object/apply:os.mkdir ['{ground.outside}/owned']"
    yaml.load(text, Loader=yaml.UnsafeLoader)
    words = yaml.safe_load("country: no\ncode: 012\na: &x [1]\nb: *x\n")
    return (ground.outside / "owned").is_dir() and words["country"] is False and words["code"] == 10


LAUGHS = "a0: &a0 [lol]\n" + "".join(
    f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)
)

BAD_YAML = {
    "a tag": "k: !!python/object/apply:os.system ['touch /tmp/orc-owned']",
    "a tag of an object": "k: !!python/name:os.system",
    "a standard tag": "k: !!binary aGVsbG8=",
    "a tag of its own": "k: !secret x",
    "a tag directive": "%TAG ! tag:yaml.org,2002:python/\n---\nk: !name:os.system",
    "an anchor": "k: &a x",
    "an alias": "k: &a x\nl: *a",
    "a billion laughs": LAUGHS,
    "a merge key with an alias": "k: &a {x: 1}\nl:\n  <<: *a",
    "a key twice": "k: 1\nk: 2",
    "a key twice, quoted": "k: 1\n'k': 2",
    "a key twice inside": "m: {k: 1, k: 2}",
    "deep nesting": "k: " + "[" * 200 + "]" * 200,
    "very deep nesting": "k: " + "[" * 20_000,
    "a list": "- a\n- b",
    "a word": "just words",
    "a key that is a list": "? [a, b]\n: c",
    "no YAML": "k: [unclosed",
    "a tab": "k:\n\t- x",
    "NUL": "k: a\0b",
    "two documents": "k: 1\n...\nl: 2",
}


@attack("yaml", "in what agents write", naive_yaml)
def _(ground: Ground) -> str:
    orc = ground.open(agent="ann")
    for kind, bad in BAD_YAML.items():
        if kind == "two documents":
            continue  # one way or the other; see the reading of files
        log = ground.log()
        wrong = refused(lambda bad=bad: orc.knowledge.write("t", f"---\n{bad}\n---\ntext"))  # type: ignore[misc]
        if kind == "a tag directive":  # its own `---` closes the frontmatter
            wrong = "" if "it was taken" not in wrong else wrong
        if wrong or ground.log() != log:
            return f"{kind}: {wrong or 'something was appended'}"
    return "" if not os.path.exists("/tmp/orc-owned") else "it ran a command"


def _believed(orc: Orchestrator, data: bytes) -> str:
    """The violations: the file must be read as text, a bad head ignored, and the doctor must name the
    file."""
    if b"\0" not in data:
        document = orc.knowledge.document("t")
        if document is None or document.text != data.decode():
            return "the file is not read as text"
        if (document.author, document.tags) != ("system", ()):
            return "a head that is refused was believed"
    named = [f.message for f in examine(orc.engine).findings if f.check == "knowledge"]
    return (
        "" if any("t.md" in message for message in named) else "the doctor does not name the file"
    )


@attack("yaml", "in files edited by hand", naive_yaml)
def _(ground: Ground) -> str:
    orc = ground.open(agent="ann")
    orc.knowledge.write("other", "fine")
    for kind, bad in BAD_YAML.items():
        if kind in ("two documents", "a tag directive"):
            continue
        path = ground.board / "knowledge" / "t.md"
        data = f"---\n{bad}\n---\ntext".encode()
        path.write_bytes(data)
        log = ground.log()
        if wrong := _believed(orc, data):
            return f"{kind}: {wrong}"
        for call in (
            lambda: orc.knowledge.append("t", "more"),
            lambda: orc.knowledge.write("t", "new"),
            lambda: orc.knowledge.delete("t"),
        ):
            if wrong := refused(call):
                return f"{kind}: {wrong}"
        for call in (orc.knowledge.all, orc.status, lambda: orc.knowledge.search("text")):
            try:
                call()
            except OrchestratorError as error:
                if "t.md" not in error.message + str(error.details):
                    return f"{kind}: a listing fails and does not name the file: {error.message}"
        if ground.log() != log or path.read_bytes() != data:
            return f"{kind}: something changed"
    return "" if not os.path.exists("/tmp/orc-owned") else "it ran a command"


@attack("yaml", "words stay words", naive_yaml)
def _(ground: Ground) -> str:
    from orchestrator.domain.knowledge import frontmatter

    words = ["no", "012", "1e3", "0x1f", "null", "~", "true", "2026-11-21", "12:30:45", ".inf"]
    words += ["1_000", "=", "<<"]
    text = "".join(f"k{i}: {word}\n" for i, word in enumerate(words))
    metadata, _ = frontmatter.split(f"---\n{text}---\nbody")
    if list(metadata.values()) != words:
        return f"{metadata}"
    again, _ = frontmatter.split(frontmatter.join(metadata, "body"))
    return "" if again == metadata else f"{again} after writing and reading"


# Damage of the log


def naive_log(ground: Ground) -> bool:
    """A naive log reader, which skips lines that it cannot read."""
    log = ground.folder / "log.jsonl"
    log.write_text('{"id":1}\n<<<<<<< HEAD\n{"id":2}\n{"id":999}\n')
    collected = []
    for line in log.read_text().splitlines():
        with contextlib.suppress(ValueError):
            collected.append(json.loads(line)["id"])
    with open(log, "a") as file:
        file.write('{"id":3}\n')
    return collected == [1, 2, 999]


def _conflicted(log: bytes) -> bytes:
    lines = log.splitlines(keepends=True)
    middle = [b"<<<<<<< HEAD\n", lines[2], b"=======\n", lines[3], b">>>>>>> other\n"]
    return b"".join(lines[:2] + middle + lines[4:])


DAMAGES: dict[str, tuple[Callable[[bytes], bytes], int, str]] = {
    "a merge conflict": (_conflicted, 3, "merge conflict"),
    "a merge conflict at the end": (
        lambda log: log + b"<<<<<<< HEAD\nx\n=======\ny\n>>>>>>> o\n", 7, "merge conflict"
    ),
    "CRLF": (lambda log: log.replace(b"\n", b"\r\n"), 1, "CRLF"),
    "a byte order mark": (lambda log: b"\xef\xbb\xbf" + log, 1, "byte order mark"),
    "an edit": (lambda log: log.replace(b'"n":3', b'"n":8'), 4, "checksum"),
    "an edit of the last line": (lambda log: log.replace(b'"n":5', b'"n":8'), 6, "checksum"),
    "a line deleted": (lambda log: b"".join(log.splitlines(True)[:2] + log.splitlines(True)[3:]),
                       3, "checksum"),
    "two lines swapped": (lambda log: b"".join([*log.splitlines(True)[:2], *log.splitlines(True)[3:1:-1],
                                                *log.splitlines(True)[4:]]), 3, "checksum"),
    "a blank line": (lambda log: log.replace(b"\n", b"\n\n", 1), 2, "checksum"),
    "zeros in the middle": (lambda log: log[:300] + b"\0" * 20 + log[320:], 0, "zero bytes"),
    "another encoding": (lambda log: log.decode().encode("utf-16"), 1, ""),
}  # fmt: skip


def _damage_attack(kind: str, keep_snapshot: bool) -> None:
    name = f"{kind}, with a snapshot" if keep_snapshot else kind

    @attack("damage of the log", name, naive_log)
    def real(ground: Ground) -> str:
        with ground.open(light=True) as orc:
            for number in range(6):
                orc.events.log("ann", "deployed", n=number, text="x" * 60)
        path = ground.board / "state" / "events.jsonl"
        change, line, word = DAMAGES[kind]
        damaged = change(path.read_bytes())
        path.write_bytes(damaged)
        if not keep_snapshot:
            (ground.board / "state" / "state.json").unlink()
        try:
            ground.open().events.log("ann", "again")
        except OrchestratorError as error:
            wrong = _badly_named(
                error, path, 0 if keep_snapshot else line, "" if keep_snapshot else word
            )
        else:
            return f"it was written on: {path.read_bytes()[:80]!r}"
        return wrong or _stopped(ground, path, damaged)


def _badly_named(error: OrchestratorError, path: Path, line: int, word: str) -> str:
    """The violations: the error must name file, line, cause and remedy."""
    if error.exit_status != 4 or str(path) not in error.message or not error.hint:
        return f"exit {error.exit_status}, {error.message!r}, {error.hint!r}"
    if line and (error.details.get("line") != line or f":{line}:" not in error.message):
        return f"the line is {line}, but: {error.message}"
    return "" if word in error.message else f"{word!r} is not named: {error.message}"


def _stopped(ground: Ground, path: Path, damaged: bytes) -> str:
    """The violations: readers must get a warning, the doctor must report damage, the log must not change."""
    status, _, err = ground.cli("events", "--last", "1")
    if status not in (0, 4) or "Traceback" in err:
        return f"reading: exit {status}, {err!a}"
    status, _, err = ground.cli("doctor")
    if status != 4:
        return f"doctor: exit {status}, {err!a}"
    return "" if path.read_bytes() == damaged else "the log was changed"


for _kind in DAMAGES:
    _damage_attack(_kind, keep_snapshot=False)
for _kind in ("CRLF", "a byte order mark", "an edit of the last line", "another encoding"):
    _damage_attack(_kind, keep_snapshot=True)


# The environment


def naive_child(ground: Ground) -> bool:
    """A naive runner that starts an agent with its own environment."""
    words = [sys.executable, "-c", "import os; print(os.environ.get('DEPLOY_KEY'))"]
    os.environ["DEPLOY_KEY"] = SECRET
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=True)
    finally:
        del os.environ["DEPLOY_KEY"]
    return SECRET in done.stdout


STARTERS = (
    r"\b(?:import subprocess|subprocess\.|os\.exec|os\.spawn|os\.system"
    r"|os\.posix_spawn|os\.popen|pty\.)"
)
"""What starts a process in Python."""


@attack("environment", "what is started is given a few variables only", naive_child)
def _(ground: Ground) -> str:
    """Three places start programs: checks, git, agents; a check does not see a secret of the parent."""
    package = Path(__file__).parents[2] / "orchestrator"
    places = ("core/processes.py", "core/git.py", "supervisor/processes.py")
    starters = [package / place for place in places]
    for source in package.rglob("*.py"):
        text = source.read_text()
        words = re.findall(STARTERS, text)
        if words and source.parent != package / "core" / "system":
            return f"{source} uses {words}: core/system starts programs, nothing else"
        if "system.Program(" in text and source not in starters:
            return f"{source} starts programs: only {starters} do, with a few variables"
    orc = ground.open()
    orc.workstreams.create("env")
    show = f"{sys.executable} -c 'import os; print(sorted(os.environ)); exit(1)'"
    task = orc.tasks.add("env", title="x", verify=[show]).id
    orc.tasks.claim(task, agent="ann")
    os.environ["DEPLOY_KEY"] = SECRET
    try:
        orc.tasks.complete(task, agent="ann")
    except OrchestratorError:
        pass
    finally:
        del os.environ["DEPLOY_KEY"]
    shown = "".join(item.output for item in orc.tasks.get(task).evidence)
    if "PATH" not in shown:
        return f"the check did not run: {shown}"
    return "a check saw DEPLOY_KEY" if "DEPLOY_KEY" in shown or SECRET in shown else ""


# Running them


@contextlib.contextmanager
def ground() -> Iterator[Ground]:
    """A fresh folder to attack in."""
    folder = fast_folder()
    try:
        yield Ground(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def aim(attack: Attack) -> tuple[bool, str]:
    """Run the attack: whether it works on the naive version, and what harm it did to a board."""
    with ground() as place:
        fell = attack.naive(place)
    with ground() as place:
        return fell, attack.real(place)


def aim_all(part: Part, attacks: list[Attack], rows: tuple[str, ...]) -> None:
    """Aim attacks, and count them; each row must have some."""
    for attack in attacks:
        begun = time.monotonic()
        fell, harm = aim(attack)
        part.figures["slowest attack"] = max(
            part.figures.get("slowest attack", ""),
            f"{time.monotonic() - begun:06.2f} s {attack}",
        )
        part.count(attack.row)
        if not fell:
            part.violated(f"{attack} does nothing to the naive version, so it shows nothing")
        if harm:
            part.violated(f"{attack}: {harm}", repr(attack))
    for row in rows:
        if not part.counts[row]:
            part.violated(f"the row {row!r} has no attack")


def body(part: Part) -> None:
    aim_all(part, ATTACKS, ROWS)


if __name__ == "__main__":
    for name in ("ORCHESTRATOR_DIR", "ORC_AGENT", "ORC_REQUEST_ID"):
        os.environ.pop(name, None)
    run("security", body)
