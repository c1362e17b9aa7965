"""The program that is the parent of a runner on Linux, and ends what the runner leaves if it is killed.

The process that a user has started becomes this program, and what it was goes on as its child; see
``linux.go_on_as_child``. It imports next to nothing, so it is small.
"""

import os
import signal
import sys

assert sys.platform != "win32"


def keep(child: int) -> int:
    """Pass signals on to a child until it ends, and end what it has left; return its exit status."""
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        number = signal.sigwait((signal.SIGINT, signal.SIGTERM, signal.SIGCHLD))
        if number != signal.SIGCHLD:
            os.kill(child, number)
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        pass  # it has left nothing
    else:
        here = os.path.abspath(__file__)
        sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(here)))))
        from orchestrator.core.system.linux import end_descendants

        end_descendants()
    status = os.waitstatus_to_exitcode(ended[1])
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(keep(int(sys.argv[1])))
