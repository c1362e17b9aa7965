"""A cycle on a real board: import, plan, brief, four workers, collect, status.

Run it with ``make demo``. The lines that start with ``$`` are commands that you could type. The workers are
separate processes (``examples/worker.py``) and communicate only through the board.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BOARD = ROOT / ".demo-board"
WORKERS = ("ann", "ben", "cleo", "dan")


def main() -> None:
    shutil.rmtree(BOARD, ignore_errors=True)
    os.chdir(ROOT)
    os.environ["ORCHESTRATOR_DIR"] = BOARD.name
    print(f"$ export ORCHESTRATOR_DIR={BOARD.name}")
    orc("init", BOARD.name)
    orc("import", "opspawn", "tests/data/opspawn-board")
    orc("ws", "list")
    runner("plan", lines=40)
    runner("brief", "product")
    print(f"Four workers: {', '.join(WORKERS)}", flush=True)
    work()
    runner("collect", "--format", "markdown")
    orc("kb", "list")
    orc("status")
    print(f"The board is in {BOARD.name}/: open its files and look.")


def orc(*words: str) -> None:
    show("cli.py", *words)


def runner(*words: str, lines: int | None = None) -> None:
    show("runner.py", *words, lines=lines)


def show(script: str, *words: str, lines: int | None = None) -> None:
    """Run a command and print it with its output, cut after some lines."""
    print(f"$ {os.path.relpath(sys.executable)} {script} {' '.join(words)}", flush=True)
    done = subprocess.run(
        [sys.executable, script, *words], stdout=subprocess.PIPE, text=True, check=True
    )
    answer = done.stdout.splitlines()
    print("\n".join(answer[:lines]))
    if lines is not None and len(answer) > lines:
        print(f"... ({len(answer) - lines} more lines)")
    print(flush=True)


def work() -> None:
    """Start the workers and wait until all have ended."""
    script = ROOT / "examples" / "worker.py"
    workers = [subprocess.Popen([sys.executable, script, BOARD, name]) for name in WORKERS]
    failed = [worker.args for worker in workers if worker.wait()]
    if failed:
        sys.exit(f"These workers failed: {failed}")
    print(flush=True)


if __name__ == "__main__":
    main()
