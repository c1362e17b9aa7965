"""The program of the processes of ``test_hanoi``: works a workflow to its end: ``BOARD ROOT AGENT``.

After each commit, a line on stdout names the completed step.
"""

import os
import sys

from orchestrator import Orchestrator
from orchestrator.core.errors import Refused

LEASE = 2.0
"""Seconds after which the step of a worker that died is free."""


def work(board: str, root: str, agent: str) -> None:
    orc = Orchestrator.open(board, agent=agent, timeout=60)
    while orc.tasks.get(root).status != "done":
        held = orc.hooks.show()
        mine = [
            task for task in (held.task, *held.working) if task and task.status == "in_progress"
        ]
        task = mine[0] if mine else orc.tasks.next("moves", lease=LEASE, wait=1)
        while task is not None:
            try:
                advanced = orc.workflows.advance(task.id, token=task.token)
            except Refused:  # its lease ended meanwhile, and another worker has it
                break
            os.write(1, f"{task.id}\n".encode())
            task = advanced.next
    orc.close()


if __name__ == "__main__":
    work(*sys.argv[1:4])
