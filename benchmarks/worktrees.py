"""Worktrees of tasks, against the commands that one would call without them."""

import os
import subprocess
from collections.abc import Iterator

from benchmarks.boards import Boards
from benchmarks.measure import COMMITTER, Figure, interleave, lap, ms, process, ratio
from orchestrator import Orchestrator

SMALL = 100
FILES = 1000
"""How many files the repository has."""

_BYTES = 4096
_AGENT = ("--agent", "ann")


class _Project:
    """A repository with a board."""

    def __init__(self, boards: Boards) -> None:
        self.folder = f"{boards.folder}/project"
        for number in range(FILES):
            path = f"{self.folder}/src/{number // 50}/{number}.py"
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="ascii") as file:
                file.write(f"# {number}\n" * (_BYTES // 8))
        for words in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-qm", "all")):
            self.git(*words)
        self.board = f"{self.folder}/.orchestrator"
        with Orchestrator.open(self.board) as orc, orc.transaction():
            orc.workstreams.create("build")
            tasks = [orc.tasks.add("build", title=f"Write part {n}").id for n in range(SMALL)]
        self._names = iter(tasks)

    def git(self, *words: str) -> None:
        subprocess.run(
            ["git", *words], cwd=self.folder, env={**os.environ, **COMMITTER}, check=True
        )

    def add(self) -> float:
        """``orc worktree add``."""
        words = ["cli.py", "worktree", "add", next(self._names), *_AGENT]
        return process(words, self.board).wall

    def claim(self) -> float:
        """``orc claim``."""
        words = ["cli.py", "claim", next(self._names), "--quiet", *_AGENT]
        return process(words, self.board).wall

    def bare(self) -> float:
        """``git worktree add``."""
        name = f"bare-{next(self._names)}"
        words = ("worktree", "add", "-q", "-b", name, f"../bare/{name}", "main")
        return lap(lambda: self.git(*words))


def adding(boards: Boards, *, quick: bool) -> Iterator[Figure]:
    """What ``orc worktree add`` takes beyond ``orc claim``, against ``git worktree add``."""
    project = _Project(boards)
    added, claimed, bare = interleave(5 if quick else 15, project.add, project.claim, project.bare)
    both = [a - c for a, c in zip(added, claimed, strict=True)]
    yield Figure(
        name="worktree-add",
        what="orc worktree add, less orc claim / git worktree add",
        measured=ratio(both, bare),
        bound=1.5,
        detail=f"{ms(added)}, {ms(claimed)}, {ms(bare)}",
    )
