"""The program of the processes of ``test_mail``: ``python mail_worker.py BOARD ROLE AGENT``."""

import os
import sys

from orchestrator import Orchestrator
from orchestrator.interfaces.cli.main import main


def receive(board: str, agent: str) -> None:
    """Check for mail repeatedly, as a hook does in every turn, until the process is killed."""
    line = ["--board", board, "mail", "check", "--inject", "--budget", "400", "--agent", agent]
    while True:
        assert main([*line, "--wait", "60s"]) == 0


def take(board: str, agent: str) -> None:
    """Take messages until there are none; print each on a line of stdout."""
    with Orchestrator.open(board, agent=agent, timeout=60) as orc:
        os.write(1, b"ready\n")
        sys.stdin.readline()
        while (message := orc.mail.take("jobs")) is not None:
            os.write(1, f"{message.id} {message.body}\n".encode())


if __name__ == "__main__":
    {"receive": receive, "take": take}[sys.argv[2]](sys.argv[1], sys.argv[3])
