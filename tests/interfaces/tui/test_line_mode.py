"""The dashboard as plain lines: words in, lines out, nothing redrawn."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.interfaces.tui.line_mode import LineMode

from .conftest import HOSTILE, Board, asked

Ask = Callable[[str], str]


@pytest.fixture
def ask(live: Board, capsysbinary: pytest.CaptureFixture[bytes]) -> Ask:
    """Type a line; what is written then."""
    mode = LineMode(live.feed)
    mode._view.apply(live.feed.first())

    def typed(line: str) -> str:
        capsysbinary.readouterr()
        mode._view.apply(live.feed.changes())
        assert mode.answer(line)
        return capsysbinary.readouterr().out.decode()

    return typed


def test_panels_are_written_by_their_names_and_searched_by_words_behind_them(live: Board, ask: Ask):
    ids = live.ids
    assert ask("board").splitlines()[:3] == [
        "Board:",
        "Ready (2)",
        f"  P2 {ids.config} Read the config (build)",
    ]
    assert ask("Board the parser").splitlines() == [
        "Board:",
        "In progress (1)",
        f"  P1 {ids.parser} Write the parser (build) @ann",
    ]
    assert "The key expires" in ask("mail")
    assert "git: ben until" in ask("locks")
    assert ask("").startswith(
        f"Board at event {live.agents.engine.read().event}, you are kim: 2 unread, 2 ready"
    )


def test_actions_are_those_of_the_keys_by_word_or_key(live: Board, ask: Ask):
    ids, orc = live.ids, live.agents
    assert ask(f"claim {ids.config}") == "Claimed: Read the config\n"
    assert ask(f"r {ids.config}") == "Released: Read the config\n"
    assert ask(f"reject {ids.review}") == "Write: reject ID REASON\n"
    assert ask(f"reject {ids.review} one is dead") == "Rejected: Check the links\n"
    assert orc.events.read(type="task.rejected")[-1].agent == "kim"
    assert ask("send ann \"Don't stop\" It's out, isn't it? # 1 \\o/").startswith("Sent: message")
    sent = orc.mail.inbox(agent="ann")[-1]
    assert (sent.sender, sent.subject) == ("kim", "Don't stop")
    assert orc.mail.peek(sent.id).body == "It's out, isn't it? # 1 \\o/"
    request = asked(orc, command="make")
    assert f"{request} ann asks to use Bash" in ask("permissions")
    assert '"command": "make"' in ask(f"open {request}")
    assert ask(f"y {request}") == "Allowed: ann Bash\n"


def test_a_refusal_an_unknown_word_and_an_open_quote_are_sentences(live: Board, ask: Ask):
    assert "is not ready" in ask(f"claim {live.ids.guide}")
    assert ask("bord") == "There is no word 'bord'; did you mean 'board'?. `help` lists them.\n"
    assert "double quotes" in ask('send ann "x')
    for word in ("claim ID", "reject ID REASON", "send TO SUBJECT [TEXT]", "quit"):
        assert word in ask("help")


def test_open_shows_everything_about_a_row_of_any_panel(live: Board, ask: Ask):
    last = live.agents.engine.read().event
    for key, text in (
        (live.ids.review, "All links work"),
        (str(live.ids.message), "Renew it today."),
        ("ann", "claimed"),
        ("git", "  ben until "),
        (str(last), '"path": "src/a.py"'),
    ):
        assert text in ask(f"open {key}"), key


def test_text_of_agents_is_escaped(live: Board, ask: Ask):
    live.agents.tasks.add("build", title=HOSTILE, priority=1)
    assert ask("board").replace("\n", "").isprintable()


def test_a_whole_session_writes_events_as_they_happen_and_never_moves_the_cursor(live: Board):
    words = [sys.executable, "-m", "orchestrator.interfaces.cli.main", "dashboard", "--lines"]
    if not (Path(sys.executable).parent / "orc").exists():
        pytest.skip("orc is not installed here")
    words[:3] = [
        str(Path(sys.executable).parent / "orc"),
        "--board",
        str(live.folder),
        "--agent",
        "kim",
    ]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Board at event")
        process.stdout.readline()
        live.agents.tasks.add("build", title="From outside")
        assert "From outside to build" in process.stdout.readline()
        process.stdin.write(f"claim {live.ids.config}\n")
        process.stdin.flush()
        lines = {process.stdout.readline() for _ in range(2)}
        assert "Claimed: Read the config\n" in lines
        process.stdin.write("quit\n")
        process.stdin.flush()
        rest = process.stdout.read()
        assert process.wait() == 0
    assert "\x1b" not in "".join(lines) + rest


def test_it_ends_with_its_stdin(live: Board):
    orc = Path(sys.executable).parent / "orc"
    if not orc.exists():
        pytest.skip("orc is not installed here")
    words = [str(orc), "--board", str(live.folder), "dashboard", "--lines"]
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("Board at event")


@pytest.mark.skipif(
    sys.platform == "win32", reason="a wait for a line ends with the next one there"
)
def test_it_ends_when_no_reader_is_left(live: Board):
    """Although stdin stays open, as in ``orc dashboard --lines | head``."""
    orc = Path(sys.executable).parent / "orc"
    if not orc.exists():
        pytest.skip("orc is not installed here")
    words = [str(orc), "--board", str(live.folder), "dashboard", "--lines"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.readline()
        process.stdout.close()
        while process.poll() is None:
            live.agents.events.log("ann", "beat")
            try:
                process.wait(0.5)
            except subprocess.TimeoutExpired:
                continue
        assert process.returncode == 0
