"""From six tasks to one green branch: worktrees, a merge queue, a conflict and a failing test; no model.

Run it with ``make demo-merge``. Four workers (``examples/merge_worker.py``, separate processes) take the
tasks of a convoy, each in a worktree of its own, and hand their branches in. Two tasks change the same lines,
and one branch fails a test: the queue sends both back, their authors mend them, and all land. The project is
in a temporary folder; lines that begin with ``$`` are commands that you could type, ``#`` explains.
"""

import json
import os
import shlex
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
WORKERS = ("ann", "ben", "cleo", "dan")
LONGEST = 300
"""Seconds after which the demo gives up."""

FILES = {
    "menu.json": '{\n  "tea": 2\n}\n',
    "recipes.json": '{\n  "tea": 3\n}\n',
    "check.py": """import json
import sys

menu, recipes = json.load(open("menu.json")), json.load(open("recipes.json"))
missing = recipes.keys() - menu.keys()
sys.exit(f"without a price: {', '.join(missing)}" if missing else 0)
""",
}
POLICY = f"""[merge]
required = true
target = "main"
test = ["{Path(sys.executable).as_posix()} check.py"]
"""
TASKS = ("Sell cake", "Sell juice", "Bake a scone", "Greet guests", "Open at eight", "Thank guests")
"""What the workers do for each is in ``merge_worker.py``: cake and juice change the same lines, and the price
of the scone is forgotten."""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="orc-demo-") as folder:
        project = Project(Path(folder).resolve() / "cafe")
        project.begin()
        explain("Six tasks; a convoy follows them to their end.")
        tasks = project.add_tasks()
        project.show("orc", "convoy", "create", "opening", *tasks, "--agent", "overseer")
        explain("Each worker takes a task, with a branch and a worktree of its own.")
        for worker in WORKERS:
            project.show("orc", "next", "cafe", worker, "--worktree", "--quiet")
        project.show("orc", "worktree", "list")
        explain(
            "The queue merges what they hand in, tests it, and moves main. A patrol reminds agents of what"
            " stands still."
        )
        with (
            project.in_background("orc", "merge", "run", "--watch"),
            project.in_background("orc", "patrol", "run", "--every", "5s"),
        ):
            project.work(tasks)
        explain("What was handed in, and what became of it:")
        project.show("orc", "merge", "list", "--all")
        project.show("orc", "convoy", "show", "opening")
        project.show("orc", "worktree", "prune")
        project.show("git", "log", "--graph", "--oneline", "--decorate", "main")
        project.show(sys.executable, "check.py")
        project.check()
    print(
        "\nThe target is green, and the folder of this demo is deleted. The guide: docs/guides/merging.md"
    )


def explain(text: str) -> None:
    """Print what comes next."""
    print(
        "",
        *textwrap.wrap(text, 100, initial_indent="# ", subsequent_indent="# "),
        sep="\n",
        flush=True,
    )


class Project:
    """A repository with a board, and commands that see a user folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        own = {k: v for k, v in os.environ.items() if not k.startswith(("ORC", "GIT_"))}
        path = [str(Path(sys.executable).parent), own.get("PATH", os.defpath)]
        user = str(folder.parent / "user")
        self.variables = own | {
            "PATH": os.pathsep.join(path),
            "PYTHONDONTWRITEBYTECODE": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            **dict.fromkeys(("HOME", "XDG_DATA_HOME", "LOCALAPPDATA"), user),
            **{f"GIT_{r}_NAME": "overseer" for r in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{r}_EMAIL": "overseer@example.org" for r in ("AUTHOR", "COMMITTER")},
        }

    def begin(self) -> None:
        """Make the repository with its first commit, and the board with its policy."""
        self.run("git", "init", "-q", "-b", "main")
        for name, text in FILES.items():
            (self.folder / name).write_text(text)
        self.run("git", "add", ".")
        self.run("git", "commit", "-q", "-m", "A cafe that sells tea")
        self.show("orc", "init")
        (self.folder / ".orchestrator" / "config.toml").write_text(POLICY)
        self.show("cat", ".orchestrator/config.toml")
        self.show("orc", "merge", "trust", "--yes")
        self.show("orc", "ws", "create", "cafe")

    def add_tasks(self) -> list[str]:
        """Add the tasks; return their ids in their order."""
        plan = [{"title": title} for title in TASKS]
        (self.folder.parent / "plan.json").write_text(json.dumps(plan))
        self.show("orc", "t", "batch", "../plan.json", "--ws", "cafe")
        listed = json.loads(self.run("orc", "t", "ls", "--json", "--fields", "id,title"))
        ids = {task["title"]: task["id"] for task in listed}
        return [ids[title] for title in TASKS]

    def work(self, tasks: list[str]) -> None:
        """Start the workers, each with the task that it has, and wait until every task has ended.

        Raises:
            SystemExit: One failed, or they take too long.
        """
        explain(
            f"{', '.join(WORKERS)} edit, commit and run `orc done`. Cake and juice change the same line, and"
            " the price of the scone is forgotten: these branches are returned, mended and handed in again."
        )
        script = str(HERE / "merge_worker.py")
        workers = [
            subprocess.Popen(
                [sys.executable, script, name, task, title],
                cwd=self.folder,
                env=self.variables | {"ORC_AGENT": name},
            )
            for name, task, title in zip(WORKERS, tasks, TASKS, strict=False)
        ]
        try:
            failed = [worker.args for worker in workers if worker.wait(LONGEST)]
        finally:
            for worker in workers:
                worker.kill()
        if failed:
            sys.exit(f"These workers failed: {failed}")

    @contextmanager
    def in_background(self, *words: str) -> Iterator[None]:
        """Run a command meanwhile; its lines appear as they come."""
        print(f"\n$ {shlex.join(words)} &", flush=True)
        process = subprocess.Popen(words, cwd=self.folder, env=self.variables)
        try:
            yield
        finally:
            process.terminate()
            process.wait()

    def check(self) -> None:
        """The demo has shown what it tells: a conflict and a failing test went back, and all has landed.

        Raises:
            SystemExit: It has not.
        """
        said = self.run("orc", "events", "--type", "merge.returned", "--last", "50")
        merged = self.run("orc", "merge", "list", "--all")
        if "conflict" not in said or "red" not in said or merged.count("merged") < len(TASKS):
            sys.exit("The demo did not show what it tells")

    def show(self, *words: str) -> None:
        """Print a command, and run it with its output."""
        shown = ["python" if word == sys.executable else word for word in words]
        print(f"\n$ {shlex.join(shown)}", flush=True)
        subprocess.run(words, cwd=self.folder, env=self.variables, check=True)

    def run(self, *words: str) -> str:
        """Run a command, and return its output."""
        return subprocess.run(
            words, cwd=self.folder, env=self.variables, check=True, capture_output=True, text=True
        ).stdout


if __name__ == "__main__":
    main()
