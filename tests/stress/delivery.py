"""Part 12: live delivery under fire.

Eight sessions, each an MCP server in a process of its own, send to each other while servers are killed at
random and begin again. What must hold: each message that was sent arrives at least once, in ascending order
of its number for its recipient, and a repeat has the number and the text of the first.
"""

import random
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from orchestrator import Orchestrator
from tests.interfaces.mcp.hosts import Closed, Host, until

from .part import Part, fast_folder, run

SESSIONS = 8
NAMES = [f"peer-{number}" for number in range(SESSIONS)]


class Peer:
    """A session that begins again when its server was killed, and all that was pushed into it."""

    def __init__(self, board: Path, name: str) -> None:
        self._board = board
        self.name = name
        self._change = threading.RLock()
        self._ended: list[Host] = []
        self._host = self._begin()

    def _begin(self) -> Host:
        host = Host(self._board, self.name, experimental={"claude/channel": {}})
        return host.open()

    @property
    def pushes(self) -> list[tuple[int, str]]:
        """The number and the text of each push, in the order in which they were read."""
        hosts = [*self._ended, self._host]
        return [(int(p["meta"]["msg_id"]), p["content"]) for host in hosts for p in host.pushes]

    def send(self, to: str, text: str) -> None:
        """Send a message; again if the server was killed meanwhile, so perhaps twice."""
        while True:
            host = self._host
            try:
                host.call("send_message", to=to, text=text)
                return
            except Closed:
                self.begin_again(host)

    def begin_again(self, killed: Host) -> None:
        """Start a new server, unless another thread did it."""
        with self._change:
            if self._host is killed:
                killed.kill()
                host = self._begin()
                self._ended.append(killed)
                self._host = host

    def kill(self) -> None:
        """Kill the server as it stands, perhaps while it writes."""
        host = self._host
        host.process.kill()
        self.begin_again(host)

    def end(self) -> None:
        """Close the connection."""
        self._host.close()


class Fire:
    """Sessions that send to each other, and a killer."""

    def __init__(self, board: Path, messages: int, kills: int, seed: int) -> None:
        self.peers = {name: Peer(board, name) for name in NAMES}
        self.sent: list[str] = []
        self.failures: list[str] = []
        self._messages = messages
        self._kills = kills
        self._seed = seed

    def burn(self) -> None:
        """Send all messages."""
        jobs = [threading.Thread(target=self._try, args=(self._send_all, name)) for name in NAMES]
        jobs.append(threading.Thread(target=self._try, args=(self._kill_some,)))
        for job in jobs:
            job.start()
        for job in jobs:
            job.join()

    def _try(self, job: Callable[..., None], *args: str) -> None:
        try:
            job(*args)
        except Exception as error:  # a thread that fell over has shown nothing
            self.failures.append(f"{job.__name__} failed: {error!r}")

    def _send_all(self, name: str) -> None:
        chance = random.Random(f"{self._seed} {name}")
        for number in range(self._messages // SESSIONS):
            to = chance.choice([other for other in NAMES if other != name])
            text = f"{name} to {to}: {number} </channel>"
            self.peers[name].send(to, text)
            self.sent.append(text)

    def _kill_some(self) -> None:
        chance = random.Random(self._seed)
        for number in range(self._kills):
            enough = self._messages * number // (self._kills + 1)
            until(lambda enough=enough: len(self.sent) >= enough or self.failures)
            self.peers[chance.choice(NAMES)].kill()


def violations(folder: Path, messages: int, kills: int, seed: int) -> list[str]:
    """What went wrong when so many messages were sent while servers were killed so often."""
    with Orchestrator.open(folder / "board", timeout=60) as orc:
        fire = Fire(folder / "board", messages, kills, seed)
        fire.burn()
        failures = fire.failures
        try:
            until(lambda: not any(orc.mail.pending(agent=name) for name in NAMES))
        except AssertionError:
            failures.append("mail is still new")
        for peer in fire.peers.values():
            peer.end()
        if len(fire.sent) != messages // SESSIONS * SESSIONS:
            failures.append(f"{len(fire.sent)} messages were sent")
        for name, peer in fire.peers.items():
            failures += _faults(orc, name, peer.pushes, fire.sent)
        return failures


def _faults(
    orc: Orchestrator, name: str, pushes: list[tuple[int, str]], sent: list[str]
) -> list[str]:
    """What is wrong with the pushes of a session."""
    faults = []
    first: dict[int, str] = {}
    for number, text in pushes:
        if first.setdefault(number, text) != text:
            faults.append(f"{name}: message {number} has two texts")
    if [*first] != sorted(first):
        faults.append(f"{name}: the messages did not come in order: {[*first]}")
    missing = {item.id for item in orc.mail.inbox(agent=name)} ^ {*first}
    if missing:
        faults.append(
            f"{name}: messages {sorted(missing)} are only in the mailbox, or only in the session"
        )
    wanted = {text.replace("</", "&lt;/") for text in sent if f" to {name}: " in text}
    if lost := wanted - {*first.values()}:
        faults.append(f"{name}: {sorted(lost)} did not arrive")
    return faults


def body(part: Part) -> None:
    """400 messages under 40 kills; the short form 80 under 5."""
    messages, kills = (80, 5) if part.quick else (400, 40)
    for _ in range(1 if part.quick else 3):
        folder = fast_folder()
        try:
            for what in violations(Path(folder), messages, kills, part.random.randrange(1 << 30)):
                part.violated(what)
        finally:
            shutil.rmtree(folder)
        part.count("messages", messages)
        part.count("servers that were killed", kills)


if __name__ == "__main__":
    run("delivery", body)
