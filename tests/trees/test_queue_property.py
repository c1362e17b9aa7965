"""Random branches, conflicts, red and flaky tests, pushes and kills: the rules of the queue hold."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from boards import SettableClock
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator import Orchestrator
from orchestrator.core.git import Git
from orchestrator.domain.merges.records import STRATEGIES, Strategy
from orchestrator.stores.memory import MemoryStore
from orchestrator.trees.merge_policy import QueuePolicy
from orchestrator.trees.merge_queue import MergeQueue
from orchestrator.trees.private_tree import PrivateTree

FILES = ("a", "b", "ü c")
LINES = 6
WORDS = ("plain", "RED", "HALF", "OTHER", "FLAKY")

TEST = """
import glob, os, sys
words = {word for f in glob.glob('*') if os.path.isfile(f) for word in open(f).read().split()}
if 'FLAKY' in words:
    mark = sys.argv[1] + '/' + '-'.join(sorted(words))
    try:
        os.mkdir(mark)
        sys.exit('fails once')
    except FileExistsError:
        pass
sys.exit('red' if 'RED' in words or {'HALF', 'OTHER'} <= words else 0)
"""


def is_green(words: set[str]) -> bool:
    return "RED" not in words and not {"HALF", "OTHER"} <= words


class Branch(msgspec.Struct, frozen=True):
    """A branch with a commit for each edit: the file, the line, and the word that the line gets."""

    edits: tuple[tuple[int, int, int], ...]
    strategy: Strategy


class Interruption(msgspec.Struct, frozen=True):
    """What happens at a step of the queue: a command of git or of the board.

    Attributes:
        step: Counted from the last interruption.
        push: The line that a person changes in the target, else the runner is killed.
        after: Whether the runner is killed after the command, not before it.
    """

    step: int
    push: tuple[int, int] | None
    after: bool


branches = st.builds(
    Branch,
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, LINES - 1), st.integers(0, len(WORDS) - 1)),
        min_size=1,
        max_size=2,
    ).map(tuple),
    st.sampled_from(STRATEGIES),
)
interruptions = st.builds(
    Interruption,
    st.integers(1, 60),
    st.none() | st.tuples(st.integers(0, 2), st.integers(0, LINES - 1)),
    st.booleans(),
)


class Killed(BaseException):
    """The process of the runner is gone."""


def lines_of(edits: tuple[tuple[int, int, int], ...], name: str) -> dict[str, list[str]]:
    """The files after some edits; each line says who changed it."""
    files = {file: [f"{n} base" for n in range(LINES)] for file in FILES}
    for file, line, word in edits:
        files[FILES[file]][line] = f"{line} {WORDS[word]} {name}"
    return files


class World:
    """A repository with branches, a board on which they are submitted, and what happens meanwhile."""

    def __init__(self, folder: Path, branches: list[Branch]) -> None:
        self.folder = folder
        self.repo = folder / "repo"
        self.branches = branches
        self.clock = SettableClock()
        self.orc = Orchestrator(MemoryStore(), now=self.clock)
        self.git("init", "-q", "-b", "main", str(self.repo), folder=folder)
        self.git("fast-import", "--quiet", stdin="".join(self.history()))
        self.git("reset", "-q", "--hard")
        (self.repo / "mine").write_text("not committed\n")
        (folder / "flaky").mkdir()
        self.heads = {}
        for number, branch in enumerate(branches, 1):
            head = self.heads[number] = self.git("rev-parse", f"b{number}")
            made = self.orc.merges.submit_commit(
                f"b{number}", head, target="main", strategy=branch.strategy, agent="ann"
            )
            assert made.number == number
        self.pushed = 0
        self.tip = self.git("rev-parse", "main")

    def history(self) -> list[str]:
        """The stream of all commits, for git."""

        def commit(ref: str, files: dict[str, str], base: str = "") -> str:
            who = "ann <ann@example.org> 1700000000 +0000"
            told = f"commit refs/heads/{ref}\ncommitter {who}\ndata {len(ref)}\n{ref}\n"
            told += f"from {base}\n" if base else ""
            for path, text in files.items():
                told += f"M 100644 inline {path}\ndata {len(text.encode())}\n{text}\n"
            return told

        def texts(files: dict[str, list[str]]) -> dict[str, str]:
            return {path: "\n".join(lines) + "\n" for path, lines in files.items()}

        stream = [commit("main", texts(lines_of((), "")))]
        for number, branch in enumerate(self.branches, 1):
            name = f"b{number}"
            for height in range(1, len(branch.edits) + 1):
                files = texts(lines_of(branch.edits[:height], name)) | {f"of-{name}": f"{name}\n"}
                stream.append(commit(name, files, "refs/heads/main" if height == 1 else ""))
        return stream

    def git(self, *words: str, stdin: str = "", folder: Path | None = None) -> str:
        who = {f"GIT_{r}_{p}": "ann" for r in ("AUTHOR", "COMMITTER") for p in ("NAME", "EMAIL")}
        return subprocess.run(
            ["git", *words],
            cwd=folder or self.repo,
            input=stdin,
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | who,
        ).stdout.strip("\n")

    def words(self, commit: str) -> set[str]:
        return set(self.git("show", *(f"{commit}:{path}" for path in FILES)).split())

    def push(self, file: int, line: int) -> None:
        """A person changes a line of the target, unless the worktree is just being brought along."""
        self.pushed += 1
        path = FILES[file]
        before = self.git("rev-parse", "main")
        lines = self.git("show", f"main:{path}").split("\n")
        lines[line] = f"{line} pushed {self.pushed}"
        text = "\n".join(lines)
        stream = (
            "commit refs/pushed\ncommitter p <p@x> 1700000000 +0000\ndata 4\npush\n"
            f"from {before}\nM 100644 inline {path}\ndata <<END\n{text}\nEND\n\n"
        )
        self.git("fast-import", "--quiet", "--force", stdin=stream)
        try:
            self.git("read-tree", "-m", "-u", before, "refs/pushed")
        except subprocess.CalledProcessError:
            return
        self.git("update-ref", "refs/heads/main", "refs/pushed", before)
        self.tip = self.git("rev-parse", "main")

    def check(self) -> None:
        """The target is green whenever somebody looks."""
        tip = self.git("rev-parse", "main")
        if tip != self.tip:
            assert is_green(self.words(tip)), "the target is red"
            self.tip = tip

    def queue(self, tell: Callable[[str], object] = lambda _: None) -> MergeQueue:
        script = self.folder / "test.py"
        script.write_text(TEST)
        command = f"{sys.executable} -I -S '{script}' '{self.folder / 'flaky'}'"
        policy = QueuePolicy(tests=(command,), batch=4, retries=1, timeout=60)
        trees = str(self.folder / "trees")
        return MergeQueue(
            self.orc, str(self.repo / ".git"), trees, policy, runner="queue", tell=tell
        )

    def check_ends(self) -> None:
        """Each submission ended once, as it had to, and nothing of any branch is lost."""
        line = self.git("log", "--first-parent", "--format=%s", "main").splitlines()
        there = set(
            self.git("-c", "core.quotePath=false", "ls-tree", "--name-only", "main").splitlines()
        )
        for number, branch in enumerate(self.branches, 1):
            ended = self.orc.merges.get(number)
            assert ended.status in ("merged", "returned"), ended
            assert self.git("rev-parse", f"b{number}") == self.heads[number]
            times = line.count(f"Merge b{number} into main") + line.count(f"b{number}")
            is_merged = ended.status == "merged"
            assert (f"of-b{number}" in there) == is_merged
            if branch.strategy == "rebase":
                assert times <= len(branch.edits)
            else:
                assert times == is_merged
            if is_merged:
                self.git("merge-base", "--is-ancestor", ended.merge_commit, "main")
                if branch.strategy == "merge":
                    self.git("merge-base", "--is-ancestor", self.heads[number], ended.merge_commit)
            elif ended.kind == "conflict":
                assert ended.files
        assert self.git("status", "--porcelain") == "?? mine"
        assert self.git("for-each-ref", "refs/orchestrator") == ""
        assert list((self.folder / "trees").iterdir()) == []


def interrupted(world: World, interruption: Interruption, patch: pytest.MonkeyPatch) -> None:
    """Let the queue run until the interruption, and go on after it if it was a push."""
    left, is_dead = interruption.step, False
    run_git, run_board, forget = Git.run, world.orc.engine.run, PrivateTree.forget

    def step(act: Callable[[], Any]) -> Any:
        nonlocal left, is_dead
        if is_dead:
            raise Killed
        left -= 1
        if left == 0 and interruption.push is not None:
            world.push(*interruption.push)
        elif left == 0 and not interruption.after:
            is_dead = True
            raise Killed
        result = act()
        world.check()
        if left == 0 and interruption.push is None:
            is_dead = True
            raise Killed
        return result

    def forget_if_alive(tree: PrivateTree) -> None:
        if is_dead:
            raise Killed
        forget(tree)

    patch.setattr(Git, "run", lambda git, *w, **f: step(lambda: run_git(git, *w, **f)))
    patch.setattr(world.orc.engine, "run", lambda *w: step(lambda: run_board(*w)))
    patch.setattr(PrivateTree, "forget", forget_if_alive)
    try:
        world.queue().round()
    except Killed:
        assert is_dead


@settings(max_examples=int(os.environ.get("ORC_EXAMPLES", "50")) // 4)
@given(st.lists(branches, min_size=1, max_size=5), st.lists(interruptions, max_size=3))
def test_the_target_stays_green_and_each_submission_ends_once(
    tmp_path_factory: pytest.TempPathFactory,
    branches: list[Branch],
    interruptions: list[Interruption],
):
    world = World(tmp_path_factory.mktemp("world"), branches)
    for interruption in interruptions:
        with pytest.MonkeyPatch.context() as patch:
            interrupted(world, interruption, patch)
        world.clock.advance(3600)
    world.queue().round()
    world.check()
    world.check_ends()
