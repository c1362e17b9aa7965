"""A runner of the merge queue in a process of its own, which may kill itself at a step.

    python queue_process.py BOARD REPOSITORY TREES NAME STEP TEST

STEP counts the commands of git, and 0 means that it lives.
"""

import os
import signal
import sys
from typing import Any

from orchestrator import Orchestrator
from orchestrator.core.git import Git
from orchestrator.trees.merge_policy import QueuePolicy
from orchestrator.trees.merge_queue import MergeQueue


def main() -> None:
    board, repo, trees, name, step, test = sys.argv[1:]
    left, run = int(step), Git.run

    def counted(git: Git, *words: str, **facts: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return run(git, *words, **facts)

    Git.run = counted  # type: ignore[method-assign]
    policy = QueuePolicy(tests=(test,), batch=2, retries=0, timeout=60)
    with Orchestrator.open(board) as orc:
        MergeQueue(orc, f"{repo}/.git", trees, policy, runner=name, tell=print).round()


if __name__ == "__main__":
    main()
