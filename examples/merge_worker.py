"""A worker of ``demo_merge.py``: it takes tasks, edits files in their worktrees, and hands the branches in.

A program plays the part of a model here. It does what an agent does: ``orc next --worktree``, edit, commit,
``orc done``. If the merge queue sends its branch back, it looks why, mends it, and hands it in again.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

NOTHING_LEFT = 6
"""The exit status of ``next`` when every task has ended."""


def main(name: str, first: str, title: str) -> None:
    """Work on a task that this worker has, and then on whatever comes next."""
    task: Task | None = Task(first, title, Path(orc("worktree", "path", first)))
    while task is not None:
        problem = sent_back(task.id)
        if problem:
            mend(task.folder, problem)
        else:
            work(task.folder, task.title)
        git(task.folder, "add", "-A")
        git(task.folder, "commit", "-q", "-m", f"{task.title}, mended" if problem else task.title)
        said = orc("done", task.id, task.title, "--agent", name)
        print(f"{name}: {said.splitlines()[0]}", flush=True)
        task = next_task(name)


class Task(NamedTuple):
    """A task of this worker, and its worktree."""

    id: str
    title: str
    folder: Path


def next_task(name: str) -> Task | None:
    """Take the next task; None if all have ended."""
    words = ["orc", "next", "cafe", name, "--worktree", "--wait", "60s", "--no-mail", "--json"]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode == NOTHING_LEFT:
        return None
    given = json.loads(done.stdout)
    return Task(given["task"]["id"], given["task"]["title"], Path(given["worktree"]["path"]))


def sent_back(task: str) -> str:
    """Why the merge queue sent the branch of a task back: ``conflict``, ``red``; empty if it did not."""
    words = ["orc", "merge", "show", task, "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return json.loads(done.stdout)["kind"] if done.returncode == 0 else ""


def work(folder: Path, title: str) -> None:
    """Do what the title says: sell a thing, write its recipe, or put something on the notice board."""
    verb, *_, thing = title.lower().split()
    if verb == "sell":
        add(folder / "menu.json", thing, len(thing))
    elif verb == "bake":  # and the price is forgotten
        add(folder / "recipes.json", thing, 20)
    else:
        (folder / f"{verb}.txt").write_text(f"{title}\n")


def mend(folder: Path, problem: str) -> None:
    """Merge the target, keep what both sides wanted, and add the price that the test asks for."""
    subprocess.run(
        ["git", "merge", "-q", "--no-commit", "main"], cwd=folder, capture_output=True, check=False
    )
    for path in (folder / "menu.json", folder / "recipes.json"):
        write(path, entries(path))
    if problem == "red":
        for thing in entries(folder / "recipes.json").keys() - entries(folder / "menu.json").keys():
            add(folder / "menu.json", thing, len(thing))


def entries(path: Path) -> dict[str, int]:
    """What a file lists, on both sides of a conflict."""
    return {name: int(number) for name, number in re.findall(r'"(\w+)": (\d+)', path.read_text())}


def add(path: Path, name: str, number: int) -> None:
    write(path, {**entries(path), name: number})


def write(path: Path, listed: dict[str, int]) -> None:
    path.write_text(json.dumps(listed, indent=2) + "\n")


def orc(*words: str) -> str:
    return subprocess.run(
        ["orc", *words], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.rstrip("\n")


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=folder, stdout=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
