"""A worker: takes ready tasks, does them and shares what it learned, until there is none.

It uses only the command line, as an agent would: ``t next``, ``kb read``, ``kb append``, ``t complete``.
The work is simulated; replace :func:`do` by yours.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

CLI = Path(__file__).resolve().parent.parent / "cli.py"


def main(board: str, name: str) -> None:
    while task := orc(board, name, "t", "next"):
        print(f"  {name} took {task['id']}: {task['title']}", flush=True)
        known = orc(board, name, "kb", "read", "lessons")
        result = do(task, known["text"] if known else "")
        orc(board, name, "kb", "append", "lessons", f"- {task['title']}: {result}")
        orc(board, name, "t", "complete", task["id"], result)


def do(task: dict[str, Any], known: str) -> str:
    """Simulate work, with the knowledge of the others."""
    lessons = sum(line.startswith("- ") for line in known.splitlines())
    return f"done in attempt {task['attempt']}, knowing {lessons} lessons of others"


def orc(board: str, name: str, *words: str) -> Any:
    """The JSON answer of a command; None if there is none."""
    command = [sys.executable, CLI, *words, "--json", "--board", board, "--agent", name]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in (0, 1):
        sys.exit(done.returncode)
    return json.loads(done.stdout) if done.stdout else None


if __name__ == "__main__":
    main(*sys.argv[1:])
