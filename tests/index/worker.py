"""A separate process that builds or queries an index: ``python -m tests.index.worker BOARD build``."""

import sys

from orchestrator import Orchestrator


def write(value: object) -> None:
    """Print for the test, at once."""
    sys.stdout.write(f"{value}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    folder, doing = sys.argv[1:]
    orc = Orchestrator.open(folder, warn=lambda text: sys.stderr.write(text))
    if doing == "build":
        write(orc.index.build().event)
    else:
        for number in range(int(doing)):
            orc.tasks.add("build", title=f"Task {number}")
            write(orc.index.query("SELECT count(*) FROM tasks").rows)
