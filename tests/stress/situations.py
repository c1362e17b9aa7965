"""The boards of the sweep, and the command lines that it interrupts.

A situation is a board on disk, made once and copied for every run, with its commands. ``{word}`` in a command
line is replaced by an id of the board.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator import Orchestrator
from orchestrator.maintenance.backup import export_board
from orchestrator.stores.files import FileStore

from .harness import ROOT, log

LONG_AGO = 13 * 3600.0
"""Seconds that the board is old: half of a lease of a day has passed, and it runs for hours yet."""

SMALL_SEGMENT = 4000
"""Bytes of a segment where sealing is tried."""


@dataclass
class Command:
    """A command line.

    Attributes:
        repeats: It answers a request id: repeating it has a single effect.
        partly: It may do a part, and show by its status that a part is left (the doctor).
    """

    name: str
    words: tuple[str, ...]
    repeats: bool = True
    partly: bool = False


@dataclass
class Situation:
    """A board, and the commands for it.

    Attributes:
        lost: Events without their final newline, which a repair restores.
        segment_size: Bytes of a segment, where that is not the usual.
        made: When the board was made, in seconds since 1970.
    """

    name: str
    board: str
    commands: list[Command]
    lost: int = 0
    segment_size: int | None = None
    words: dict[str, str] = field(default_factory=dict)
    made: float = field(default_factory=time.time)

    def line(self, command: Command) -> list[str]:
        """The words of a command on this board."""
        return [word.format(**self.words) if "{" in word else word for word in command.words]


def _commands() -> Iterator[Command]:
    """Every command that changes a board, of every noun."""
    ann, ben = ("--agent", "ann"), ("--agent", "ben")
    yield Command("ws-create", ("ws", "create", "docs", "Write them", "2"))
    yield Command("ws-create-prefix", ("ws", "create", "web", "--prefix", "web"))
    yield Command("ws-edit", ("ws", "edit", "build", "--priority", "3"))
    yield Command("ws-close", ("ws", "close", "spare", "--reason", "shipped"))
    yield Command("ws-reopen", ("ws", "reopen", "old"))
    yield Command(
        "task-add",
        ("task", "add", "build", "One more", "--needs", "{open}", "--touches", "git,src/**"),
    )
    yield Command(
        "task-add-fallback", ("task", "add", "build", "Undo", "--needs-failure-of", "{held}")
    )
    yield Command(
        "task-fallback-link", ("t", "dep", "add", "{open}", "{late}", "--type", "needs-failure-of")
    )
    yield Command(
        "task-add-child", ("task", "add", "build", "A part", "--parent", "{open}", "--name", "a")
    )
    yield Command("task-edit", ("task", "edit", "{open}", "--title", "Ü", "--labels", "a,b"))
    yield Command("task-note", ("task", "note", "{held}", "So far", "so good", *ann))
    yield Command("task-claim", ("task", "claim", "{open}", "ben", "--lease", "1h"))
    yield Command("task-next", ("task", "next", "build", "ben"))
    yield Command("task-next-renewing", ("task", "next", "build", "ann"))
    yield Command("task-renew", ("task", "renew", "{held}", "--token", "{token}", *ann))
    yield Command("task-complete", ("task", "done", "{held}", "Shipped", "--token", "{token}"))
    yield Command("task-fail", ("task", "fail", "{held}", "Gone", *ann))
    yield Command("task-release", ("task", "release", "{held}", "--token", "{token}"))
    yield Command("task-block", ("task", "block", "{open}", "A key is missing"))
    yield Command("task-unblock", ("task", "unblock", "{blocked}"))
    yield Command("task-cancel", ("task", "cancel", "{open}", "Not wanted"))
    yield Command("task-reopen", ("task", "reopen", "{failed}"))
    yield Command("task-cancel-several", ("task", "cancel", "--ids", "{open},{late}"))
    yield Command("task-archive", ("task", "archive", "--older-than", "1h"))
    yield Command("task-add-checked", ("task", "add", "build", "x", "--verify", "true", "--review"))
    yield Command("task-defer", ("task", "defer", "{open}", "3d"))
    yield Command("task-label", ("task", "label", "add", "{open}", "{late}", "ui"))
    yield Command("task-move", ("task", "move", "{open}", "{late}", "build"))
    yield Command("task-delete", ("task", "delete", "{failed}", "--reason", "Added twice"))
    yield Command("task-dep-add", ("task", "dep", "add", "{open}", "{late}"))
    yield Command("task-dep-remove", ("task", "dep", "remove", "{waits}", "{open}"))
    yield Command("task-duplicate", ("task", "duplicate", "{open}", "{late}"))
    yield Command("task-supersede", ("task", "supersede", "{open}", "{late}"))
    yield Command("hook", ("hook", "{late}", *ben))
    yield Command("sling", ("sling", "{late}", "ben", *ann))
    yield Command("unsling", ("unsling", "{held}", *ben))
    yield Command("dispatch", ("dispatch", "--ws", "build", *ann))
    yield Command("convoy-create", ("convoy", "create", "new", "{open}", "--notify", "ben"))
    yield Command("convoy-add", ("convoy", "add", "release", "{open}"))
    yield Command("convoy-remove", ("convoy", "remove", "release", "{late}"))
    yield Command("convoy-start", ("convoy", "start", "release", "--dispatch"))
    yield Command("convoy-cancel", ("convoy", "cancel", "release"))
    yield Command("merge-withdraw", ("merge", "withdraw", "fix", "--reason", "Not ready", *ann))
    yield Command("merge-reject", ("merge", "reject", "{done}", "Not wanted", *ann))
    yield Command("merge-retry", ("merge", "retry", "spare", *ben))
    yield Command("goal-create", ("goal", "create", "beta", "{open}", "--due", "3d"))
    yield Command("goal-add", ("goal", "add", "alpha", "{open}"))
    yield Command("goal-remove", ("goal", "remove", "alpha", "{late}"))
    yield Command("goal-edit", ("goal", "edit", "alpha", "--due", "5d", "--reason", "Late"))
    yield Command("goal-drop", ("goal", "drop", "alpha", "--reason", "Not wanted"))
    yield Command("goal-reach", ("goal", "reach", "over"))
    yield Command("permission-allow", ("permission", "allow", "{asked}"))
    yield Command("permission-deny", ("permission", "deny", "{asked}", "Not now"))
    yield Command("patrol", ("patrol",), repeats=False)
    yield Command("goal-reopen", ("goal", "reopen", "over"))
    yield Command("convoy-lands", ("task", "cancel", "{late}"))
    yield Command("pour", ("formula", "pour", "feature", "--var", "feature=x", "--ws", "build"))
    yield Command("pour-on", ("formula", "pour", "bugfix", "--var", "bug=x", "--on", "{open}"))
    yield Command("sling-formula", ("sling", "bugfix", "ben", "--var", "bug=x", *ann))
    yield Command("complete-continue", ("t", "complete", "{flow}.reproduce", "x", "--continue"))
    yield Command("workflow-cancelled", ("t", "cancel", "{flow}"))
    yield Command("signal", ("t", "signal", "{wisp}.rounds", *ann))
    yield Command("squash", ("formula", "squash", "{wisp}"))
    yield Command("burn", ("formula", "burn", "{wisp}"))
    yield Command("bond", ("formula", "bond", "{flow}", "{wisp}"))
    yield Command("session-start", ("session", "start", "ann"))
    yield Command("handoff", ("handoff", "-m", "Go on", "--collect", *ann))
    yield Command("session-note", ("handoff", "-m", "Go on", "--keep", *ann))
    yield Command("session-end", ("session", "end", "ben"))
    yield Command("done-completed", ("done", "-m", "Shipped", *ann))
    yield Command("done-escalated", ("done", "ESCALATED", "-m", "No key", *ann))
    yield Command("done-deferred", ("done", "DEFERRED", "-m", "later", *ann))
    yield Command("escalate", ("escalate", "No key", "--severity", "high", *ann))
    yield Command("mail-send", ("mail", "send", "ann,queue:jobs", "-s", "Hi", "-m", "Text", *ben))
    yield Command("mail-broadcast", ("mail", "broadcast", "-s", "Hi", *ben))
    yield Command("mail-reply", ("mail", "reply", "{letter}", "-m", "Yes", *ann))
    yield Command("mail-ack", ("mail", "ack", "{letter}", *ann))
    yield Command("mail-archive", ("mail", "archive", "{letter}", *ann))
    yield Command("mail-unread", ("mail", "unread", "{job}", *ann))
    yield Command("mail-delete", ("mail", "delete", "{letter}", *ann))
    yield Command("mail-release", ("mail", "queue", "release", "{job}", *ann), repeats=False)
    yield Command("mail-dnd", ("mail", "dnd", "--until", "2d", *ann))
    yield Command("mail-list", ("mail", "list", "night", "ann,ben"))
    yield Command("agent-rename", ("agent", "rename", "ann", "team/ann"))
    yield Command("agent-register", ("agent", "register", "cleo", "builder", "--capability", "py"))
    yield Command("agent-heartbeat", ("agent", "heartbeat", "ann"))
    yield Command("agent-retire", ("agent", "retire", "ann", "--reason", "done"))
    yield Command("lock-acquire", ("lock", "acquire", "db:main", "ben", "--ttl", "5m"))
    yield Command("lock-share", ("lock", "acquire", "src/**", "ann", "--shared"))
    yield Command("lock-renew", ("lock", "renew", "git", "ann", "--ttl", "2h"))
    yield Command("lock-release", ("lock", "release", "git", "ann"))
    yield Command("lock-break", ("lock", "break", "git", "--reason", "gone", *ben))
    yield Command("kb-write", ("kb", "write", "new", "# New\n\nA text", "--tags", "api", *ben))
    yield Command("kb-overwrite", ("kb", "write", "findings", "Another text"))
    yield Command("kb-append", ("kb", "append", "findings", "- one more", *ann))
    yield Command("kb-delete", ("kb", "delete", "findings"))
    yield Command("events-log", ("events", "log", "deployed", "service=api", "replicas=3", *ben))
    yield Command("events-push", ("events", "push", "--type", "x", "--payload", '{{"a":1}}', *ben))
    yield Command("events-claim", ("events", "claim", "--event", "2", "--worker", "ben"))
    yield Command(
        "events-set-cursor",
        ("events", "set-cursor", "--worker", "ben", "--set", "1"),
        repeats=False,
    )
    yield Command("runner-plan", ("runner", "plan", "--max", "4"))
    yield Command("runner-collect", ("runner", "collect", "--save", "cycle-1"), repeats=False)
    yield Command("board-merge", ("board", "merge", "{other}", *ben))
    yield Command("init", ("init", "{board}"), repeats=False)
    yield Command("doctor-fix", ("doctor", "--fix"), repeats=False, partly=True)


COMMANDS = list(_commands())
_FEW = [
    command
    for command in COMMANDS
    if command.name in ("task-add", "task-next-renewing", "kb-append", "events-log", "doctor-fix")
]
_LONG = [
    *_FEW,
    Command("task-archive", ("task", "archive", "--older-than", "1h")),
    Command("events-archive", ("events", "archive", "--compress"), repeats=False, partly=True),
    Command("kb-write-long", ("kb", "write", "long", "A sentence of a long text. " * 400)),
]


def _prepare(board: str, segment_size: int | None = None) -> dict[str, str]:
    """Fill a board with a record of every kind; return the words for its commands."""
    then = time.time() - LONG_AGO
    orc = Orchestrator.open(board, now=lambda: then)
    if segment_size is not None:
        store = FileStore(board, segment_size=segment_size, warn=lambda _: None)
        orc = Orchestrator(store, now=lambda: then)
    for name in ("build", "spare", "old"):
        orc.workstreams.create(name)
    orc.workstreams.close("old")
    orc.agents.register("ann", capabilities=["py"])
    orc.agents.register("ben")
    orc.sessions.start(agent="ben")
    ids = {
        name: orc.tasks.add("build", title=f"The task {name}").id
        for name in ("held", "done", "failed", "blocked", "open", "late")
    }
    held = orc.tasks.claim(ids["held"], agent="ann", lease="24h")
    ids["waits"] = orc.tasks.add("build", title="Waits", needs=[ids["open"]]).id
    bugfix = orc.workflows.pour(orc.formulas.cook("bugfix", {"bug": "x"}), workstream="spare")
    research = orc.formulas.cook("research", {"question": "x"})
    ids["flow"] = bugfix.root.id
    ids["wisp"] = orc.workflows.pour(research, workstream="spare", ephemeral=True).root.id
    orc.tasks.claim(f"{ids['flow']}.reproduce", agent="eve", lease="24h")
    orc.convoys.create("release", [ids["late"]], notify=["ben"])
    orc.goals.create("alpha", [ids["late"], ids["held"]], due="3d")
    orc.goals.create("over", due="1d")
    ids["asked"] = orc.permissions._request("Bash", {"command": "make"}, "eve", 86400.0).id
    ids["letter"] = str(orc.mail.send("ann", "Hi", "A text", agent="ben").id)
    ids["job"] = str(orc.mail.send("queue:jobs", "A job", agent="ben").id)
    orc.mail.take("jobs", agent="ann")
    orc.mail.read(int(ids["job"]), agent="ann")
    for name in ("done", "failed"):
        orc.tasks.claim(ids[name], agent="ben", lease="24h")
    orc.tasks.complete(ids["done"], result="Done")
    orc.tasks.fail(ids["failed"], reason="Why not")
    for branch, task in (("fix", None), ("spare", None), ("done", ids["done"])):
        orc.merges.submit_commit(branch, "a" * 40, target="main", task=task, agent="ben")
    orc.merges.withdraw("spare", agent="ben")
    orc.tasks.block(ids["blocked"], reason="No key")
    orc.locks.acquire("git", agent="ann", ttl="24h")
    orc.locks.acquire("src/**", agent="ben", ttl="24h", shared=True)
    orc.knowledge.write("findings", "The API needs a key", tags=["api"], agent="ann")
    orc.knowledge.append("findings", "- it expires", agent="ben")
    orc.knowledge.write("gone", "Text")
    orc.knowledge.delete("gone")
    orc.events.log("ben", "deployed", service="api")
    orc.engine.save()
    orc.close()
    other = f"{board}-other"
    with Orchestrator.open(other, now=lambda: then) as apart:
        apart.workstreams.create("build")
        apart.tasks.add("build", title="Of the other board")
        apart.knowledge.write("findings", "Another text", agent="ben")
    return {**ids, "board": board, "other": other, "token": str(held.token)}


def _opened_late(board: str) -> Orchestrator:
    return Orchestrator.open(board, light=True)


def _torn(board: str, tail: bytes) -> None:
    with open(f"{board}/state/events.jsonl", "ab") as file:
        file.write(tail)


def _cut_newline(board: str) -> None:
    _more_events(board)
    path = Path(board, "state", "events.jsonl")
    path.write_bytes(path.read_bytes()[:-1])


def _older_snapshot(board: str) -> None:
    """Restore the snapshot of the plain board, which is older than the added events."""
    shutil.copy(f"{board}/../plain/state/state.json", f"{board}/state/state.json")


def _unclosed(board: str) -> None:
    """The first half of a commit of two events, as whole lines."""
    before = len(log(board))
    orc = _opened_late(board)
    with orc.transaction():
        orc.events.log("ben", "half", n=1)
        orc.events.log("ben", "half", n=2)
    added = log(board)[before:].splitlines(keepends=True)
    path = Path(board, "state", "events.jsonl")
    path.write_bytes(path.read_bytes()[: -len(added[1])])
    _older_snapshot(board)


def _more_events(board: str) -> None:
    orc = _opened_late(board)
    for number in range(5):
        orc.events.log("ben", "later", n=number)
    _older_snapshot(board)


def _left_unsynced(board: str) -> None:
    _more_events(board)
    path = Path(board, "state", ".holder")
    path.write_bytes(path.read_bytes().replace(b'"held":0', b'"held":1'))


def _everything_at_once(board: str) -> None:
    """Everything that the doctor repairs automatically, on a single board."""
    _torn(board, b'{"id":99,"ts":"20')
    os.unlink(f"{board}/state/state.json")
    Path(board, "state", "events.jsonl.new").write_text("left")
    Path(board, "state", ".state.json.77-0.new").write_text("left")
    Path(board, "knowledge", ".findings.md.77-0.new").write_text("left")
    os.unlink(f"{board}/knowledge/findings.md")
    os.chmod(f"{board}/state/events.jsonl", 0o666)


def _half_sealed(board: str) -> None:
    """A crash after the file got its sealed name, and before the next file exists."""
    first = int(Path(board, "state", "events.jsonl").read_bytes()[6:].split(b",")[0])
    os.link(f"{board}/state/events.jsonl", f"{board}/state/events-{first}.jsonl")


_BROKEN: dict[str, Callable[[str], None]] = {
    "torn": lambda board: _torn(board, b'{"id":99,"ts":"2026-11-21T06:13:00.123Z","agent":"b'),
    "zeros": lambda board: _torn(board, bytes(700)),
    "unclosed": _unclosed,
    "newline": _cut_newline,
    "no-snapshot": lambda board: os.unlink(f"{board}/state/state.json"),
    "old-snapshot": _more_events,
    "bad-snapshot": lambda board: Path(board, "state", "state.json").write_text("{}"),
    "unsynced": _left_unsynced,
    "all-broken": _everything_at_once,
}


def make_all(folder: str) -> list[Situation]:
    """Make every board below a folder."""
    os.makedirs(folder, exist_ok=True)
    plain = Situation("plain", f"{folder}/plain", COMMANDS)
    plain.words = _prepare(plain.board)
    situations = [plain]
    for name, breaking in _BROKEN.items():
        board = f"{folder}/{name}"
        shutil.copytree(plain.board, board)
        breaking(board)
        lost = 1 if name == "newline" else 0
        situations.append(Situation(name, board, _FEW, lost, words=plain.words))
    return [*situations, *_sealing(folder), *_filling(folder, plain.board)]


def _sealing(folder: str) -> Iterator[Situation]:
    """Boards where the next commit seals a segment."""
    for name in ("sealing", "half-sealed"):
        board = f"{folder}/{name}"
        words = _prepare(board, SMALL_SEGMENT)
        size = os.path.getsize(f"{board}/state/events.jsonl")
        if name == "half-sealed":
            _half_sealed(board)
        yield Situation(name, board, _LONG, segment_size=min(size, SMALL_SEGMENT), words=words)


def _filling(folder: str, full: str) -> Iterator[Situation]:
    """Empty boards that are filled, and a board that does not exist yet."""
    export = f"{folder}/export.jsonl"
    with open(export, "x", encoding="utf-8", newline="\n") as file:
        export_board(_opened_late(full).engine, file)
    Orchestrator.open(f"{folder}/empty", light=True)
    opspawn = str(ROOT / "tests" / "data" / "opspawn-board")
    filling = [
        Command("import", ("import", "file", export), repeats=False),
        Command("import-opspawn", ("import", "opspawn", opspawn)),
        Command("first-event", ("ws", "create", "first")),
        Command("first-topic", ("kb", "write", "first", "Text", "--agent", "ann")),
    ]
    yield Situation("empty", f"{folder}/empty", filling)
    yield Situation(
        "absent", f"{folder}/absent", [filling[2], Command("init", ("init", "{board}"), False)]
    )
