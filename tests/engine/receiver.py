"""An agent that asks for its mail again and again: ``python receiver.py BOARD AGENT``, until it is killed.

What ``mail check --inject`` prints goes to stdout, as from a hook that runs with every turn.
"""

import sys

from orchestrator.interfaces.cli.main import main

if __name__ == "__main__":
    board, agent = sys.argv[1:]
    line = ["--board", board, "mail", "check", "--inject", "--budget", "400", "--agent", agent]
    while True:
        assert main([*line, "--wait", "60s"]) == 0
