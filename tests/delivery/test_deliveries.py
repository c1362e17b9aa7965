"""The contract of deliveries: messages are marked only after they were handed over, in ascending order."""

import io
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from orchestrator import Orchestrator
from orchestrator.core.errors import NotFound
from orchestrator.delivery.channel import Channel
from orchestrator.delivery.loop import hand_over
from orchestrator.delivery.ports import Delivery
from orchestrator.delivery.terminal import Pane
from orchestrator.interfaces.cli.injection import BUDGET, Block, Injection
from orchestrator.interfaces.cli.rendering import Answer, show

PATIENCE = 60.0


class Session:
    """A session that mail is handed to.

    Attributes:
        delivery: What is tested.
        look: Called when the session gets something, before it is handed over.
    """

    delivery: Delivery

    def __init__(self) -> None:
        self.look: Callable[[], object] = lambda: None
        self.is_broken = False

    def got(self) -> list[int]:
        """The ids of the messages that the session got, in order, with repeats."""
        raise NotImplementedError

    def text(self) -> str:
        """All that the session got."""
        raise NotImplementedError


class ChannelSession(Session):
    def __init__(self) -> None:
        super().__init__()
        self.params: list[Mapping[str, Any]] = []
        self.delivery = Channel(self._notify)

    def _notify(self, _method: str, params: Mapping[str, Any]) -> None:
        self.look()
        if self.is_broken:
            raise BrokenPipeError
        self.params.append(params)

    def got(self) -> list[int]:
        return [int(params["meta"]["msg_id"]) for params in self.params]

    def text(self) -> str:
        return "\n".join(params["content"] for params in self.params)


class HookSession(Session):
    def __init__(self) -> None:
        super().__init__()
        self.written = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        self.delivery = Injection(self._print, budget=BUDGET, boundary="b0", prog="orc")

    def _print(self, printed: Block, after: Callable[[], object]) -> None:
        self.look()
        answer = Answer(printed, lambda: printed.text, after=after)
        if self.is_broken:
            self.written.close()
        stdout, sys.stdout = sys.stdout, self.written
        try:
            show(answer, as_json=False, lossy=True)
        except ValueError as error:  # a closed file
            raise BrokenPipeError from error
        finally:
            sys.stdout = stdout

    def got(self) -> list[int]:
        if self.written.closed:
            return []
        return [int(id) for id in re.findall(r"^message (\d+) from", self.text(), re.MULTILINE)]

    def text(self) -> str:
        buffer = self.written.buffer
        assert isinstance(buffer, io.BytesIO)
        return buffer.getvalue().decode()


AGENT = """
import sys
print("> ", end="", flush=True)
for line in sys.stdin:
    with open(sys.argv[1], "a") as file:
        file.write(line)
    print("> ", end="", flush=True)
"""
"""A program with a prompt that keeps what is typed."""


class Terminal:
    """A server of tmux with an agent in its pane."""

    def __init__(self, folder: Path) -> None:
        self.typed = folder / "typed"
        self.typed.touch()
        self.server = ("-S", str(folder / "tmux"), "-f", "/dev/null")
        program = folder / "agent"
        program.symlink_to(sys.executable)
        code = folder / "code.py"
        code.write_text(AGENT)
        line = ("exec", str(program), str(code), str(self.typed))
        self.tmux("new-session", "-d", "-x", "200", "-y", "20", " ".join(line))
        self.wait(lambda: ">" in self.tmux("capture-pane", "-p"))
        self.program = self.tmux("display-message", "-p", "#{pane_current_command}").strip()

    def tmux(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", *self.server, *words], capture_output=True, text=True, check=True, timeout=30
        )
        return done.stdout

    def wait(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def pane(self, program: str = "", **options: Any) -> Pane:
        return Pane("0:0.0", program or self.program, server=self.server, **options)

    def end(self) -> None:
        subprocess.run(["tmux", *self.server, "kill-server"], check=False, timeout=30)


class TerminalSession(Session):
    def __init__(self, terminal: Terminal) -> None:
        super().__init__()
        self.terminal = terminal
        self._expected = 0
        self.delivery = self

    def push(self, mail: Any, handed_over: Callable[[list[int]], object]) -> None:
        """The pane, and a look before each message is reported."""

        def seen(messages: list[int]) -> None:
            self._expected += len(messages)
            self.terminal.wait(lambda: len(self.got()) >= self._expected)
            handed_over(messages)

        self.look()
        self.terminal.pane("another" if self.is_broken else "").push(mail, seen)

    def got(self) -> list[int]:
        return [int(id) for id in re.findall(r"^Mail (\d+) from", self.text(), re.MULTILINE)]

    def text(self) -> str:
        return self.terminal.typed.read_text()


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    if not shutil.which("tmux"):
        pytest.skip("tmux is not installed")
    terminal = Terminal(tmp_path)
    yield terminal
    terminal.end()


@pytest.fixture(params=["channel", "hook", "terminal"])
def session(request: pytest.FixtureRequest) -> Session:
    if request.param == "channel":
        return ChannelSession()
    if request.param == "hook":
        return HookSession()
    return TerminalSession(request.getfixturevalue("terminal"))


def test_all_messages_arrive_in_ascending_order_each_once(
    orc: Orchestrator, session: Session
) -> None:
    sent = [orc.mail.send("ann", f"Message {n}", agent="bob").id for n in range(5)]
    while hand_over(orc, "ann", session.delivery):
        pass
    assert session.got() == sent
    assert orc.mail.pending(agent="ann") == []


def test_a_message_is_new_until_it_was_handed_over(orc: Orchestrator, session: Session) -> None:
    sent = orc.mail.send("ann", "Hi", agent="bob").id
    seen: list[list[int]] = []
    session.look = lambda: seen.append(orc.mail.pending(agent="ann"))
    hand_over(orc, "ann", session.delivery)
    assert seen == [[sent]]
    assert orc.mail.pending(agent="ann") == []


def test_what_cannot_be_handed_over_stays_new(orc: Orchestrator, session: Session) -> None:
    sent = [orc.mail.send("ann", f"Message {n}", agent="bob").id for n in range(3)]
    session.is_broken = True
    with suppress(OSError):
        assert not hand_over(orc, "ann", session.delivery)
    assert orc.mail.pending(agent="ann") == sent
    assert session.got() == []


def test_a_message_that_comes_meanwhile_is_handed_over_too(
    orc: Orchestrator, session: Session
) -> None:
    first = orc.mail.send("ann", "First", agent="bob").id
    later: list[int] = []

    def send_another() -> None:
        if not later:
            later.append(orc.mail.send("ann", "Second", agent="bob").id)

    session.look = send_another
    while hand_over(orc, "ann", session.delivery):
        pass
    assert session.got() == [first, *later]


@pytest.mark.parametrize("text", ["\x1b[2J\x1b]0;t\x07", "\u202e\u200b", "a\x00b", "\r\nEnter\r"])
def test_no_control_character_arrives(orc: Orchestrator, session: Session, text: str) -> None:
    with orc.transaction():
        orc.mail.send("ann", "Hi", f"text {text}".replace("\x00", ""), agent="bob")
    hand_over(orc, "ann", session.delivery)
    assert not {"\x1b", "\x07", "\u202e", "\u200b", "\r", "\x00"} & {*session.text()}


# The terminal


def test_the_text_of_a_message_is_never_typed(orc: Orchestrator, terminal: Terminal) -> None:
    orc.mail.send("ann", "$(touch x)", "@/etc/passwd; rm -rf /", agent="bob")
    hand_over(orc, "ann", terminal.pane())
    terminal.wait(terminal.typed.read_text)
    (id,) = (item.id for item in orc.mail.inbox(agent="ann"))
    assert terminal.typed.read_text() == f"Mail {id} from bob: run orc mail read {id}\n"


def test_nothing_is_typed_while_a_person_has_begun_a_line(
    orc: Orchestrator, terminal: Terminal
) -> None:
    orc.mail.send("ann", "Hi", agent="bob")
    terminal.tmux("send-keys", "-l", "half a li")
    terminal.wait(lambda: "half a li" in terminal.tmux("capture-pane", "-p"))
    assert not hand_over(orc, "ann", terminal.pane())
    terminal.tmux("send-keys", "-l", "ne")
    terminal.tmux("send-keys", "Enter")
    terminal.wait(lambda: terminal.typed.read_text() == "half a line\n")
    terminal.wait(lambda: hand_over(orc, "ann", terminal.pane()))


def test_nothing_is_typed_soon_after_a_key_of_a_person(
    orc: Orchestrator, terminal: Terminal
) -> None:
    orc.mail.send("ann", "Hi", agent="bob")
    person = subprocess.Popen(
        ["tmux", *terminal.server, "-C", "attach"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    try:
        terminal.wait(lambda: terminal.tmux("list-clients"))
        moment = float(terminal.tmux("list-clients", "-F", "#{client_activity}"))
        assert not hand_over(orc, "ann", terminal.pane(now=lambda: moment + 4.9))
        assert hand_over(orc, "ann", terminal.pane(now=lambda: moment + 5))
    finally:
        person.communicate(timeout=PATIENCE)


def test_nothing_is_typed_into_a_shell_or_while_a_person_reads_back(
    orc: Orchestrator, terminal: Terminal
) -> None:
    orc.mail.send("ann", "Hi", agent="bob")
    assert not hand_over(orc, "ann", terminal.pane("bash"))
    terminal.tmux("copy-mode")
    assert not hand_over(orc, "ann", terminal.pane())
    assert terminal.typed.read_text() == ""


def test_a_pane_that_is_gone_is_an_error(orc: Orchestrator, terminal: Terminal) -> None:
    orc.mail.send("ann", "Hi", agent="bob")
    terminal.end()
    with pytest.raises(NotFound, match="tmux"):
        hand_over(orc, "ann", terminal.pane())
    assert len(orc.mail.pending(agent="ann")) == 1


def test_the_command_delivers_until_the_pane_is_gone(terminal: Terminal, tmp_path: Path) -> None:
    words = ["--pane", "0:0.0", "--program", terminal.program, "--agent", "ann"]
    with Orchestrator.open(tmp_path / "board") as orc:
        first = orc.mail.send("ann", "First", agent="bob").id
        command = subprocess.Popen(
            [sys.executable, "cli.py", "mail", "deliver", *words],
            cwd=Path(__file__).parents[2],
            env={
                **os.environ,
                "ORCHESTRATOR_DIR": str(tmp_path / "board"),
                "TMUX": f"{terminal.server[1]},1,0",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        terminal.wait(lambda: f"Mail {first} " in terminal.typed.read_text())
        terminal.wait(lambda: not orc.mail.pending(agent="ann"))
        terminal.end()
        orc.mail.send("ann", "Second", agent="bob")
        assert command.communicate(timeout=PATIENCE)[0] == "The pane 0:0.0 is gone\n"
        assert (command.returncode, len(orc.mail.pending(agent="ann"))) == (0, 1)
