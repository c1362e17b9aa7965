"""The process that ends the agents of a runner that was killed; it imports next to nothing, so it is small.

On Linux it is the parent of the runner: what the user has started as the runner becomes the keeper, and the
runner goes on as its child. So the orphans of a killed runner become children of the keeper, whatever they
did with their environment and their group, and it kills all of them.

Elsewhere, and for a runner inside a Python program, it is a child of the runner: ``processes.Keeper``. It
waits until its stdin ends, and kills what the notes of the runner name. A word on stdin says that the runner
has ended by itself.
"""

import os
import sys


def keep(child: int) -> int:
    """Pass signals on to a runner until it ends, and end what it has left; return its exit status."""
    import signal

    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        number = signal.sigwait((signal.SIGINT, signal.SIGTERM, signal.SIGCHLD))
        if number != signal.SIGCHLD:
            os.kill(child, number)
    status = os.waitstatus_to_exitcode(ended[1])
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:  # it has left nothing
        return status if status >= 0 else 128 - status
    _find_package()
    from orchestrator.core.system import end_descendants

    end_descendants()
    return status if status >= 0 else 128 - status


def wait_for_end(folder: str, runner: str) -> None:
    """Wait for the end of a runner, and end what its notes name.

    Args:
        folder: The folder of the notes.
        runner: The process of the runner, as JSON.
    """
    if sys.stdin.buffer.read():
        return
    _find_package()
    from orchestrator.supervisor.processes import end_leftovers

    end_leftovers(folder, runner)


def _find_package() -> None:
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


if __name__ == "__main__":
    if len(sys.argv) == 2:
        sys.exit(keep(int(sys.argv[1])))
    wait_for_end(*sys.argv[1:])
