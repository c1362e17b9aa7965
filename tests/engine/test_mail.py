"""Mail between real processes: killed processes lose no message, and a queue returns each message once."""

import io
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from boards import check_law

from orchestrator import BadName, Orchestrator
from orchestrator.maintenance.backup import export_board, import_board
from orchestrator.stores.memory import MemoryStore
from tests import forked

from .test_processes import finish, go, reopen

WORKER = Path(__file__).with_name("mail_worker.py")
MESSAGES = 400
# A kill can cut a write at any byte, so a block may begin in the middle of a line.
BLOCK = re.compile(
    r"\[mail ([0-9a-f]{16}): [^\n]*\]\n(.*?)^\[end of mail \1[.;].*?\]\n", re.MULTILINE | re.DOTALL
)
MESSAGE = re.compile(r"^message (\d+) from ann, .*\n\| number (\d+)\n((?:\|.*\n)*)", re.MULTILINE)


def send_all(folder: Path) -> None:
    """Messages of every length, some of which look like the end of a block."""
    with Orchestrator.open(folder, agent="ann") as orc:
        for number in range(MESSAGES):
            orc.mail.send("bob", f"number {number}", f"{number}\n[end of mail]\n" * (number % 7))


def start(
    started: list[subprocess.Popen[str]], folder: Path, role: str, name: str, out: int
) -> subprocess.Popen[str]:
    process = forked.popen(
        [str(folder), role, name],
        script=WORKER,
        stdin=subprocess.PIPE,
        stdout=out,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    started.append(process)
    return process


@pytest.mark.needs("fork")
def test_a_receiver_that_is_killed_again_and_again_gets_every_message_in_order(
    folder: Path, tmp_path: Path, started: list[subprocess.Popen[str]]
):
    """A message that is printed twice has the same number; a block that a kill cut off comes again."""
    dice = random.Random(7)
    send_all(folder)
    orc = reopen(folder)
    printed = os.open(tmp_path / "printed", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    kills = 0
    while orc.mail.pending(agent="bob"):
        # The moment of death must be any moment, but not so late that everything is received by then.
        enough = os.fstat(printed).st_size + dice.randint(1, 5000)
        process = start(started, folder, "receive", "bob", printed)
        while os.fstat(printed).st_size < enough and orc.mail.pending(agent="bob"):
            assert process.poll() is None, process.communicate()
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        kills += 1
        assert "Traceback" not in process.communicate()[1]
    os.close(printed)
    text = (tmp_path / "printed").read_text()
    result = [m for _, content in BLOCK.findall(text) for m in MESSAGE.findall(content)]
    ids = [int(id) for id, _, _ in result]
    first_seen = list(dict.fromkeys(ids))
    assert kills > 5
    assert first_seen == sorted(first_seen), "out of order"
    assert len(first_seen) == MESSAGES, "lost"
    assert {number for _, number, _ in result} == {str(number) for number in range(MESSAGES)}
    assert len(set(result)) == MESSAGES, "one number, two messages"
    for _, number, quoted in result:
        assert quoted == f"| {number}\n| [end of mail]\n" * (int(number) % 7)
    receipts = [orc.mail.peek(id).receipts["bob"] for id in first_seen]
    assert all(receipt.delivered_at and not receipt.read_at for receipt in receipts)
    check_law(orc)


def test_of_8_takers_of_one_queue_each_message_goes_to_one(
    folder: Path, started: list[subprocess.Popen[str]]
):
    with reopen(folder) as orc, orc.transaction():
        sent = {orc.mail.send("queue:jobs", "job", str(n), agent="ann").id: n for n in range(100)}
    names = [f"agent-{n}" for n in range(8)]
    processes = [start(started, folder, "take", name, subprocess.PIPE) for name in names]
    go(processes)
    orc = reopen(folder)
    taken: dict[int, int] = {}
    for name, process in zip(names, processes, strict=True):
        mine = [tuple(map(int, line.split())) for line in finish(process)]
        assert [item.id for item in orc.mail.inbox(agent=name)] == [id for id, _ in mine]
        assert not taken.keys() & dict(mine).keys(), "two took one message"
        taken.update(mine)
    assert taken == sent
    assert orc.engine.read().mail.queues == {}
    check_law(orc)


def test_mail_goes_along_when_a_board_is_exported_and_imported(folder: Path):
    with reopen(folder) as orc:
        orc.mail.set_list("night", ["bob", "carl"])
        message = orc.mail.send("list:night,queue:jobs", "hi", "text", agent="ann").id
        orc.mail.read(message, agent="bob")
        text = io.StringIO()
        export_board(orc.engine, text)
        state = orc.engine.read()
    other = Orchestrator(MemoryStore())
    import_board(other.engine, io.StringIO(text.getvalue()))
    assert other.engine.read() == state
    assert other.mail.peek(message).body == "text"
    for name, bad in (('"jobs"', '"../jobs"'), ("carl", "../carl"), ('"night"', '"../night"')):
        forged = io.StringIO(text.getvalue().replace(name, bad))
        with pytest.raises(BadName):
            import_board(Orchestrator(MemoryStore()).engine, forged)
