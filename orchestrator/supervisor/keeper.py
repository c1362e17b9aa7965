"""A process that ends the agents of a runner that was killed; ``processes.Keeper`` starts it.

It waits until its stdin ends, and imports nothing before: so it needs 10 MB, and no time. A word on stdin
says that the runner has ended normally. On Linux `runner run` has another one:
``core/system/linux_keeper.py``.
"""

import os
import sys


def main(folder: str, runner: str) -> None:
    """Wait for the end of a runner, and end what its notes name.

    Args:
        folder: The folder of the notes.
        runner: The process of the runner, as JSON.
    """
    if sys.stdin.buffer.read():
        return
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    from orchestrator.supervisor.processes import end_leftovers

    end_leftovers(folder, runner)


if __name__ == "__main__":
    main(*sys.argv[1:])
