"""The system that the tests run on, and what it lacks."""

import os
import sys

SYSTEM = os.environ.get("ORC_TEST_SYSTEM") or {"darwin": "darwin", "win32": "windows"}.get(
    sys.platform, "linux"
)
"""The system that the tests run on, or that ``tests/systems`` emulates."""

LACKING: dict[str, str] = {
    "linux": {},
    "darwin": {
        "proc": "there is no /proc",
        "fdatasync": "syncing is F_FULLFSYNC",
        "case": "paths that differ only in case are one file",
        "bytes": "the names of files are text",
    },
    "windows": {
        "proc": "there is no /proc",
        "fdatasync": "syncing is os.fsync",
        "case": "paths that differ only in case are one file",
        "bytes": "the names of files are text",
        "flock": "there is no flock: only filelock's guard, and no order of waiting processes",
        "sealing": "the log stays one file",
        "fifo": "there are no fifos in folders",
        "modes": "files have no modes",
        "groups": "there are no process groups",
        "signals": "a signal of another program ends a program at once",
        "names": "names of files have no quotes, newlines and the like",
        "links": "making links needs a right of its own",
        "pty": "there are no pseudo-terminals",
        "after_fork": "no process is forked, so nothing is called after a fork",
    },
}[SYSTEM]
"""What a test may need (``@pytest.mark.needs("flock")``) and this system has not, with the reason."""

if not os.path.exists("/proc/locks"):
    LACKING["locks"] = "there is no /proc/locks"
if not hasattr(os, "fork"):
    LACKING["fork"] = "there is no fork, and no SIGKILL"
