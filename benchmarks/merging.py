"""The merge queue: its time for each branch against that of git alone, and how often it runs the tests."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.boards import Boards
from benchmarks.measure import COMMITTER, Figure, environment, interleave, lap, ms, ratio
from orchestrator import Orchestrator
from orchestrator.trees.merge_policy import QueuePolicy
from orchestrator.trees.merge_queue import MergeQueue

BRANCHES = 16
_FILES = 300
_TEST = f"{sys.executable} -S -E -c \"import os, sys; sys.exit(os.path.exists('red'))\""


def queueing(boards: Boards, *, quick: bool) -> Iterator[Figure]:
    """What the queue needs for 16 branches, and for one, against git alone; the runs with a red one."""
    folder = Path(boards.copy(boards.tasks(10))).parent / "merging"
    folder.mkdir()
    rounds = 3 if quick else 9
    for count in (BRANCHES, 1):
        bare, queue = interleave(
            rounds,
            lambda count=count: lap(_Merges(folder, count).by_git),  # type: ignore[misc]
            lambda count=count: lap(_Merges(folder, count).by_queue),  # type: ignore[misc]
        )
        yield Figure(
            name="merge",
            what=f"merging a batch of {count}, against the same with git alone",
            measured=ratio(queue, bare),
            bound=1.5,
            detail=f"{ms([s / count for s in queue])} a branch, git {ms([s / count for s in bare])}",
        )
    worst = 0
    for bad in (0, 5, 11, 15) if quick else range(BRANCHES):
        made = _Merges(folder, BRANCHES, bad=bad, tests=(_TEST,))
        made.by_queue()
        worst = max(worst, made.runs)
    yield Figure(
        name="merge",
        what=f"runs of the tests for {BRANCHES} branches with one that fails, wherever it is",
        measured=worst,
        bound=6,
        detail="15 landed each time",
    )


class _Merges:
    """A new repository with branches that are submitted on a new board.

    Args:
        folder: Where it is made.
        count: How many branches.
        bad: The one with which the tests fail.
        tests: The tests.
    """

    def __init__(
        self, folder: Path, count: int, *, bad: int | None = None, tests: tuple[str, ...] = ()
    ) -> None:
        self.folder = folder / str(len(list(folder.iterdir())))
        self.folder.mkdir()
        self.repo = str(self.folder / "repo")
        self.count, self.bad, self.runs = count, bad, 0
        subprocess.run(["git", "init", "-q", "--bare", self.repo], check=True)
        self._git("fast-import", "--quiet", stdin="".join(self._history()))
        self.orc = Orchestrator.open(self.folder / "board")
        for number in range(count):
            head = self._git("rev-parse", f"b{number}")
            self.orc.merges.submit_commit(f"b{number}", head, target="main", agent="ann")
        self.queue = MergeQueue(
            self.orc,
            self.repo,
            str(self.folder / "trees"),
            QueuePolicy(tests=tests, batch=BRANCHES, retries=0, timeout=600.0),
            runner="queue",
            tell=lambda _: None,
        )

    def by_queue(self) -> None:
        """Merge them as the queue does."""
        done = self.queue.round()
        self.runs = self.queue.runs
        self.orc.close()
        merged = sum(submission.status == "merged" for submission in done.ended)
        if merged != self.count - (self.bad is not None):
            raise RuntimeError(f"{merged} of {self.count} branches were merged")

    def by_git(self) -> None:
        """Merge them with the commands that a careful script would use."""
        tree = str(self.folder / "tree")
        old = self._git("rev-parse", "refs/heads/main")
        self._git("worktree", "add", "-q", "--detach", tree, "main")
        for number in range(self.count):
            self._git("merge", "-q", "--no-ff", "-m", f"Merge b{number}", f"b{number}", folder=tree)
        new = self._git("rev-parse", "HEAD", folder=tree)
        self._git("update-ref", "refs/heads/main", new, old)
        self._git("merge-base", "--is-ancestor", new, "refs/heads/main")
        self._git("worktree", "remove", "--force", tree)

    def _history(self) -> Iterator[str]:
        files = {f"src/{n % 20}/f{n}.txt": f"file {n}\n" * 20 for n in range(_FILES)}
        yield _commit("main", files, base="")
        for number in range(self.count):
            name = "red" if number == self.bad else f"new{number}.txt"
            yield _commit(
                f"b{number}", {name: "x\n", f"src/0/f{number * 20}.txt": "changed\n"}, "main"
            )

    def _git(self, *words: str, stdin: str = "", folder: str = "") -> str:
        done = subprocess.run(
            ["git", *words],
            cwd=folder or self.repo,
            input=stdin,
            env=environment() | COMMITTER,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()


def _commit(branch: str, files: dict[str, str], base: str) -> str:
    """A commit for the stream of ``git fast-import``."""
    told = f"commit refs/heads/{branch}\ncommitter ann <ann@x> 1700000000 +0000\ndata 1\nx\n"
    told += f"from refs/heads/{base}\n" if base else ""
    for path, text in files.items():
        told += f"M 100644 inline {path}\ndata {len(text)}\n{text}\n"
    return told
