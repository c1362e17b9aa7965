"""Real processes run the queue: two at once, and one that is killed at many steps."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator import Orchestrator
from orchestrator.domain.merges.records import STRATEGIES
from tests import forked
from trees.repositories import Repo

PROGRAM = Path(__file__).parent / "queue_process.py"
TEST = f"{sys.executable} -S -c \"import os, sys; sys.exit(os.path.exists('red'))\""


class Place:
    """A repository with a board of files, on which branches of all strategies are submitted."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        self.repo = Repo(folder / "repo", {"a.txt": "a\n"})
        self.board = folder / "board"
        self.heads = {}
        files: list[dict[str, str | None]] = [{f"f{n}": "x\n"} for n in range(count)]
        files[1] = {"red": "x\n"}
        files[2]["a.txt"], files[3]["a.txt"] = "two\n", "three\n"
        with Orchestrator.open(self.board) as orc:
            for n in range(count):
                head = self.repo.branch(f"b{n}", files[n])
                made = orc.merges.submit_commit(
                    f"b{n}", head, target="main", strategy=STRATEGIES[n % 3], agent="ann"
                )
                self.heads[made.number] = head

    def start(self, name: str = "queue", step: int = 0) -> subprocess.Popen[str]:
        words = [self.board, self.repo.folder, self.folder / "trees", name, step, TEST]
        return forked.popen(
            [*map(str, words)],
            script=PROGRAM,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"PYTHONPATH": str(PROGRAM.parent.parent.parent)},
        )

    def check(self) -> None:
        """Each branch ended once, as it had to; all that landed is there, and nothing is left behind."""
        with Orchestrator.open(self.board) as orc:
            ended = {s.branch: s for s in orc.merges.all(ended=True)}
            events = [e for e in orc.events.read() if e.type == "merge.merged"]
        back = {branch: s.kind for branch, s in ended.items() if s.status != "merged"}
        assert back == {"b1": "red", "b3": "conflict"}
        assert {s.status for s in ended.values()} == {"merged", "returned"}
        assert len(events) == len(ended) - len(back)
        assert {f"f{n}" for n in range(len(ended)) if n not in (1, 3)} <= set(self.repo.files())
        line = self.repo.git("log", "--first-parent", "--format=%s").splitlines()
        assert len(line) == len(events) + 1, "nothing is merged twice"
        assert {n: self.repo.tip(f"b{n - 1}") for n in self.heads} == self.heads
        assert self.repo.git("status", "--porcelain") == ""
        assert self.repo.git("for-each-ref", "refs/orchestrator") == ""
        assert len(self.repo.git("worktree", "list").splitlines()) == 1
        assert not any((self.folder / "trees").iterdir())


def test_two_queues_at_once_merge_every_branch_once(tmp_path: Path):
    place = Place(tmp_path, 8)
    runners = [place.start(name) for name in ("one", "two")]
    said = [runner.communicate()[0] for runner in runners]
    assert [runner.returncode for runner in runners] == [0, 0], said
    last = place.start()
    assert last.wait() == 0
    place.check()


@pytest.mark.needs("fork")
def test_a_queue_that_is_killed_again_and_again_ends_its_work(tmp_path: Path):
    """Each process gets a bit further; the next one takes over what the killed one had claimed, at once."""
    place = Place(tmp_path, 5)
    steps = [3, 9, 14, 18, 22, 26, 31, 37]
    for step in steps:
        runner = place.start(step=step)
        said = runner.communicate()[0]
        assert runner.returncode in (-signal.SIGKILL, 0), said
        assert "red" not in place.repo.files()
    last = place.start()
    said = last.communicate()[0]
    assert last.returncode == 0, said
    place.check()
