"""Terminals with a real tmux, on a server of their own in a temporary folder."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from boards import SettableClock, add, check_law
from trees.repositories import Repo

from orchestrator import BadInput, NotFound, Orchestrator, Refused, UsageError
from orchestrator.core import system
from orchestrator.core.processes import MARK
from orchestrator.terminals.commands import TerminalView
from orchestrator.terminals.tmux import TmuxServer
from tests import forked

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0  # seconds; only a failure waits that long

ECHO = (sys.executable, "-uc", "import sys\nprint('ready')\nfor x in sys.stdin: print('>', x[:-1])")
"""A program that prints what is typed."""

pytestmark = [
    pytest.mark.skipif(not shutil.which("tmux"), reason="tmux is not installed"),
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no tmux"),
]


class Board:
    """A board of files, with a folder for the sockets of tmux."""

    def __init__(self, path: Path) -> None:
        self.clock = SettableClock(time.time())
        self.orc = Orchestrator.open(path, agent="boss", now=self.clock)
        self.path = path
        self.orc.workstreams.create("build")
        self.terminals = self.orc.terminals

    def spawn(self, id: str, *command: str, **facts: Any) -> str:
        """Start a command, and return the name of its session."""
        return self.terminals.spawn(id, *command, **facts).session

    def view(self, id: str) -> TerminalView:
        return next(view for view in self.terminals.views() if view.agent == id)

    def wait_for(self, condition: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + PATIENCE
        while not (value := condition()):
            assert time.monotonic() < deadline, [self.terminals.views()]
            time.sleep(0.02)
        return value

    def wait_for_line(self, id: str, line: str) -> list[str]:
        def found() -> list[str]:
            lines = self.terminals.peek(id, 200)
            return lines if any(line in shown for shown in lines) else []

        return self.wait_for(found)

    def wait_for_end(self, id: str) -> tuple[str, int | None]:
        """Wait until the end is in the log without a call from here: tmux has recorded it."""

        def is_recorded() -> bool:
            self.terminals.views()  # without a look, tmux misses some ends
            return not self.terminals.get(id).is_live

        self.wait_for(is_recorded)
        terminal = self.terminals.get(id)
        return terminal.outcome, terminal.status

    def cli(self, *words: str, status: int = 0) -> str:
        line = ["--board", str(self.path), *words]
        done = forked.run(line, cwd=Path.cwd(), env=os.environ)
        assert done.returncode == status, done.stderr
        return done.stdout or done.stderr


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    folder = tempfile.mkdtemp(prefix="t-")  # the path of a socket is short
    monkeypatch.setenv("TMUX_TMPDIR", folder)
    monkeypatch.delenv("TMUX", raising=False)
    monkeypatch.setenv("A_SECRET", "hunter2")
    monkeypatch.setenv("A_KEY", "given on purpose")
    monkeypatch.setenv(MARK, "an attempt of a runner")
    monkeypatch.chdir(tmp_path)
    board = Board(tmp_path / "it's #{a} board; rm -rf x")
    yield board
    for socket in Path(folder).rglob("orc-*"):
        subprocess.run(["tmux", "-S", str(socket), "kill-server"], check=False, timeout=PATIENCE)
    shutil.rmtree(folder)
    check_law(board.orc)


def test_a_command_gets_its_words_and_who_it_is_and_no_secret(board: Board, tmp_path: Path):
    task = add(board.orc)
    seen = tmp_path / "seen.json"
    code = "import json, os, sys; json.dump([sys.argv[1:], dict(os.environ), os.getcwd()], open(%r, 'w'))"
    words = ("a;", ";", "--", "-x", "-x", "", "$(id)", "#{pid}", "ü \n b", "it's")
    board.spawn(
        "rig/crew.ann", sys.executable, "-c", code % str(seen), *words, task=task, env=["A_KEY"]
    )
    assert board.wait_for_end("rig/crew.ann") == ("exited", 0)
    arguments, variables, folder = json.loads(seen.read_text())
    assert (tuple(arguments), folder) == (words, str(tmp_path))
    assert variables["ORC_AGENT"] == "rig/crew.ann"
    assert variables["ORC_TASK"] == task
    assert variables["ORCHESTRATOR_DIR"] == str(board.path)
    assert variables["A_KEY"] == "given on purpose"
    assert "A_SECRET" not in variables
    assert variables[MARK].startswith("terminal-")

    # What one agent was given, the next one is not; the log says who ended what.
    board.spawn("ben", sys.executable, "-c", code % str(seen))
    assert board.wait_for_end("ben") == ("exited", 0)
    _, variables, _ = json.loads(seen.read_text())
    assert variables["ORC_AGENT"] == "ben"
    assert variables.keys().isdisjoint({"A_KEY", "ORC_TASK", "A_SECRET"})
    ended = [e for e in board.orc.events.read() if e.type == "terminal.ended"]
    assert [(e.agent, msgspec.json.decode(e.payload)["id"]) for e in ended] == [
        ("system", "rig/crew.ann"),
        ("system", "ben"),
    ]
    assert "ben" not in board.orc.engine.presence.seen()  # its end is no sign of life


def test_the_end_of_a_command_is_seen_however_it_comes(board: Board):
    # At once, with an error that can still be read.
    board.spawn("ann", sys.executable, "-c", "print('no key'); raise SystemExit(3)")
    assert board.wait_for_end("ann") == ("exited", 3)
    assert board.terminals.peek("ann") == ["no key"]
    # Killed by a signal.
    board.spawn("ben", *ECHO)
    board.wait_for_line("ben", "ready")
    [pid] = [pane.pid for pane in _panes(board, "ben").values() if not pane.is_dead]
    os.kill(pid, signal.SIGKILL)
    assert board.wait_for_end("ben") == ("exited", -9)
    # The new terminal of an agent takes the place of the old one.
    board.spawn("ben", *ECHO)
    sessions = [name for name in _panes(board, "ben") if name.startswith("ben-")]
    assert sessions == [board.terminals.get("ben").session]
    # The whole server is killed: found out by the next look, recorded by the next command.
    server = board.terminals.get("ben").server
    subprocess.run(["tmux", "-S", server, "kill-server"], check=True, timeout=PATIENCE)
    board.clock.advance(31)
    assert board.view("ben").condition == "lost"
    assert board.terminals.get("ben").is_live
    assert [(t.agent, t.outcome) for t in board.terminals.reap()] == [("ben", "lost")]
    assert board.terminals.reap() == []
    with pytest.raises(NotFound, match="The terminal of ben is gone"):
        board.terminals.peek("ben")
    assert board.spawn("ben", *ECHO)


def test_stop_ends_all_that_a_command_has_started(board: Board, tmp_path: Path):
    child = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    )
    code = (
        "import signal, subprocess, sys, time, os\n"
        "def end(*_): sys.exit(7)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        f"subprocess.Popen([sys.executable, '-c', {child!r}], start_new_session=True)\n"
        "print('started', flush=True); time.sleep(600)"
    )
    board.spawn("ann", sys.executable, "-c", code)
    board.wait_for_line("ann", "started")
    mark = f"terminal-{board.terminals.get('ann').server}-{board.terminals.get('ann').session}"
    assert len(system.processes_with(MARK, mark)) >= 2
    terminal = board.terminals.stop("ann")
    assert (terminal.outcome, terminal.status) == ("stopped", 7)
    assert system.processes_with(MARK, mark) == []
    assert board.terminals.stop("ann") == terminal  # again: nothing more
    with pytest.raises(NotFound):
        board.terminals.stop("nobody")
    # It was the last one: the server of tmux is gone, too.
    board.wait_for(lambda: not TmuxServer(terminal.server).panes())


def test_two_at_once_start_one_terminal_of_an_agent(board: Board):
    words = [sys.executable, str(ROOT / "cli.py"), "--board", str(board.path), "terminal", "spawn"]
    both = [
        subprocess.Popen(
            [*words, "ann", "--", *ECHO], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    results = [(process.communicate(timeout=PATIENCE), process.returncode) for process in both]
    assert sorted(status for _, status in results) == [0, 1], results
    assert len(_panes(board, "ann")) == 1
    assert board.view("ann").condition == "running"
    with pytest.raises(Refused, match="ann has a terminal"):
        board.spawn("ann", *ECHO)


def test_names_that_tmux_would_read_otherwise_are_apart(board: Board):
    names = ["a.b", "a_b", "a/b", "a@b", "ä-1", "a", "a-1"]
    for name in names:
        board.spawn(name, sys.executable, "-c", f"import time; print({name!r}); time.sleep(600)")
    for name in names:
        assert board.wait_for_line(name, name)[0] == name
    board.terminals.stop("a")
    assert {v.agent for v in board.terminals.views() if v.condition == "running"} == {*names} - {
        "a"
    }


def test_an_agent_works_in_the_worktree_of_its_task(board: Board, tmp_path: Path):
    repository = Repo(tmp_path / "repo")
    inside = Board(repository.folder / ".orchestrator")
    first, second = add(inside.orc, "first"), add(inside.orc, "second")
    folders = [inside.orc.worktrees.add(task, agent="ann").path for task in (first, second)]
    show = (sys.executable, "-c", "import os; print(os.path.basename(os.getcwd()))")
    inside.spawn("ann", *show, task=second[:6])
    assert inside.wait_for_line("ann", second)
    assert inside.wait_for_end("ann") == ("exited", 0)
    inside.orc.tasks.release(second, agent="ann")
    inside.spawn("ann", *show)  # the only task that she has
    assert inside.wait_for_line("ann", first)
    shutil.rmtree(folders[1])
    with pytest.raises(Refused, match="is gone"):
        inside.spawn("ben", *show, task=second)
    inside.spawn("ben", *show)
    assert inside.wait_for_line("ben", tmp_path.name)
    check_law(inside.orc)


def test_huge_and_strange_output_is_shown_safely(board: Board):
    code = (
        "import sys\nfor n in range(30000): print('line', n)\n"
        "sys.stdout.write('\\x1b]0;title\\x07\\x1b[31mred\\x1b[0m \\u202eüñ 漢字\\n'); input()"
    )
    board.spawn("ann", sys.executable, "-c", code)
    assert board.wait_for_line("ann", "red")[-1].startswith("red ")
    assert "üñ 漢字" in board.terminals.peek("ann", 1)[0]
    assert len(board.terminals.peek("ann", 3)) == 3
    assert board.terminals.peek("ann", 100_000)[-2] == "line 29999"
    shown = board.cli("terminal", "peek", "ann", "-n", "1")
    assert "\x1b" not in shown
    assert "\u202e" not in shown


def test_a_nudge_is_typed_as_it_is_and_the_mail_is_the_truth(board: Board):
    board.spawn("ann", *ECHO)
    board.wait_for_line("ann", "ready")
    text = "-l $(id) `id` ; #{pid} \"q\" 'q' Enter;"
    nudge = board.terminals.nudge("ann", text, agent="eve")
    assert nudge.typed, nudge
    board.wait_for_line("ann", f"> Nudge from eve (mail {nudge.message}): {text}")
    assert board.orc.mail.read(nudge.message, agent="ann").body == text
    for bad in ("a\nb", "a\tb", "\x1b[2J", "\u202e", "x" * 1001, "a\x03"):
        with pytest.raises(BadInput):
            board.terminals.nudge("ann", bad)
    with pytest.raises(UsageError):
        board.terminals.nudge("ann", " ")

    # A line that a person has begun, a person who reads back, an ended command: by mail only.
    server, session = board.terminals.get("ann").server, board.terminals.get("ann").session

    def tmux(*words: str) -> None:
        subprocess.run(["tmux", "-S", server, *words], check=True, timeout=PATIENCE)

    tmux("send-keys", "-t", f"={session}:", "-l", "half a li")
    board.wait_for_line("ann", "half a li")
    nudge = board.terminals.nudge("ann", "Later")
    assert (nudge.typed, nudge.reason) == (False, "a line is begun in it")
    assert board.orc.mail.read(nudge.message, agent="ann").body == "Later"
    tmux("copy-mode", "-t", f"={session}:")
    assert "reads back" in board.terminals.nudge("ann", "Later").reason
    board.spawn("ben", "sh")
    assert board.wait_for(lambda: board.terminals.nudge("ben", "rm -rf /").reason)
    assert "the program in it is sh" in board.terminals.nudge("ben", "rm -rf /").reason
    board.spawn("cid", sys.executable, "-c", "")
    board.wait_for_end("cid")
    assert board.terminals.nudge("cid", "Hi").reason == "its command has ended"


def test_a_person_attaches_types_and_is_not_disturbed(board: Board):
    import pty

    board.spawn("ann", *ECHO)
    board.wait_for_line("ann", "ready")
    ours, theirs = pty.openpty()
    person = subprocess.Popen(
        [
            sys.executable,
            str(ROOT / "cli.py"),
            "--board",
            str(board.path),
            "terminal",
            "attach",
            "ann",
        ],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env={**os.environ, "TERM": "xterm", "TMUX": "/another,1,0"},
    )
    os.close(theirs)
    try:
        board.wait_for(lambda: board.view("ann").watchers)
        assert "(shown)" in board.cli("terminal", "list")
        os.write(ours, b"I am here\r")
        board.wait_for_line("ann", "> I am here")
        nudge = board.terminals.nudge("ann", "Hi")
        assert (nudge.typed, nudge.reason) == (False, "a person types in it")
        os.write(ours, b"\x02d")
        while person.poll() is None:
            _drain(ours)
        assert person.returncode == 0
    finally:
        person.kill()
        os.close(ours)
    assert board.view("ann").condition == "running"
    assert "This is no terminal" in board.cli("terminal", "attach", "ann", status=2)


def test_what_is_missing_is_said_with_the_remedy(
    board: Board, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    with pytest.raises(NotFound, match="There is no program no-such-program"):
        board.spawn("ann", "no-such-program")
    with pytest.raises(UsageError, match="NOT_SET is not set here"):
        board.spawn("ann", *ECHO, env=["NOT_SET"])
    with pytest.raises(UsageError, match="not the name of a variable"):
        board.spawn("ann", *ECHO, env=["A=B"])
    assert board.terminals.all() == []
    assert not [*Path(os.environ["TMUX_TMPDIR"]).rglob("orc-*")]
    assert board.cli("terminal", "list") == "No terminals.\n"
    assert board.cli("terminal", "reap") == "No other terminal has ended.\n"
    board.cli("terminal", "spawn", "ann", "--json", "--", *ECHO)
    assert json.loads(board.cli("terminal", "--json"))[0]["condition"] == "running"
    assert "Stopped the terminal of ann, signal 15" in board.cli("terminal", "stop", "ann")
    assert "Closed the terminal of ann, signal 15" in board.cli("terminal", "stop", "ann")
    with monkeypatch.context() as without:
        without.setenv("PATH", str(tmp_path))
        with pytest.raises(NotFound, match="There is no program tmux") as caught:
            board.spawn("ann", sys.executable, "-V")
    assert "apt install tmux" in caught.value.hint
    monkeypatch.setitem(sys.modules, "libtmux", None)
    with pytest.raises(UsageError, match="extra tmux is not installed") as missing:
        board.spawn("ann", sys.executable, "-V")
    assert "agent-orchestrator[tmux]" in missing.value.hint


def _panes(board: Board, id: str) -> dict[str, Any]:
    return TmuxServer(board.terminals.get(id).server).panes()


def _drain(terminal: int) -> None:
    import select

    if select.select([terminal], [], [], 0.05)[0]:
        try:
            os.read(terminal, 65536)
        except OSError:
            time.sleep(0.01)
