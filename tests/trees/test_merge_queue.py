"""The queue merges, tests the merged files, and reports each submission once, whatever happens meanwhile."""

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from boards import SettableClock, check_law

from orchestrator import Orchestrator
from orchestrator.core.errors import Refused
from orchestrator.stores.memory import MemoryStore
from orchestrator.trees.merge_policy import QueuePolicy
from orchestrator.trees.merge_queue import MergeBatch, MergeQueue, QueueRound
from orchestrator.trees.private_tree import PrivateTree
from trees.repositories import Repo

RED = f"{sys.executable} -c \"import os, sys; sys.exit(os.path.exists('red'))\""
"""A test that fails if there is a file ``red``."""


class Town:
    """A repository with a board and its merge queue."""

    def __init__(
        self, folder: Path, store: MemoryStore | None = None, machine: str | None = None
    ) -> None:
        self.repo = Repo(folder / "repo", {"a.txt": "a\n", "b.txt": "b\n", ".gitignore": "cache\n"})
        self.clock = SettableClock()
        self.orc = Orchestrator(store or MemoryStore(), now=self.clock, machine=machine)
        if "build" not in self.orc.engine.read().workstreams:
            self.orc.workstreams.create("build")
        self.said: list[str] = []
        self.folder = folder / "trees"
        self.queue = self.runner()

    def runner(self, *tests: str, name: str = "queue", **policy: float) -> MergeQueue:
        given = {"batch": 16, "retries": 0, "timeout": 60.0, **policy}
        return MergeQueue(
            self.orc,
            self.repo.common,
            str(self.folder),
            QueuePolicy(tests=tests, **given),  # type: ignore[arg-type]
            runner=name,
            tell=self.said.append,
        )

    def submit(self, branch: str, *commits: dict[str, str | None], **facts: str) -> int:
        """Make a branch, and submit it; return its number."""
        head = self.repo.branch(branch, *(commits or ({branch: "x\n"},)))
        given = {"target": "main", "agent": "ann", **facts}
        return self.orc.merges.submit_commit(branch, head, **given).number  # type: ignore[arg-type]

    def run(self, *tests: str, **policy: float) -> QueueRound:
        self.queue = self.runner(*tests, **policy)
        return self.queue.round()

    def ends(self) -> dict[int, str]:
        return {s.number: s.kind or s.status for s in self.orc.merges.all(ended=True)}

    def is_tidy(self) -> bool:
        """Nothing of the queue is left in the repository."""
        left = self.repo.git("for-each-ref", "refs/orchestrator")
        trees = self.repo.git("worktree", "list").splitlines()
        return not left and len(trees) == 1 and not any(self.folder.glob("*"))


@pytest.fixture
def town(tmp_path: Path) -> Town:
    return Town(tmp_path)


def test_green_branches_are_merged_and_tested_together_and_their_tasks_end(town: Town):
    task = town.orc.tasks.add("build", title="Write it")
    town.orc.tasks.claim(task.id, agent="ann")
    town.orc.tasks.complete(task.id, agent="ann")
    numbers = [town.submit("one", task=task.id), town.submit("two"), town.submit("three")]
    ended = town.run(RED)
    assert [s.number for s in ended.ended] == numbers
    assert set(town.ends().values()) == {"merged"}
    assert town.queue.runs == 1
    assert {"one", "two", "three"} <= set(town.repo.files())
    assert town.repo.main_line()[:3] == [
        f"Merge {name} into main" for name in ("three", "two", "one")
    ]
    for submission in ended.ended:
        assert submission.commit in town.repo.git(
            "show", "-s", "--format=%P", submission.merge_commit
        )
    first = ended.ended[0].merge_commit
    assert town.repo.git("show", "-s", "--format=%b", first) == f"Write it\n\nTask: {task.id}"
    assert town.is_tidy()
    assert town.run(RED) == QueueRound([], {}), "there is nothing to do"
    check_law(town.orc)


def test_one_red_branch_of_sixteen_goes_back_with_its_output_in_six_runs(town: Town):
    numbers = [town.submit(f"b{n}", {f"f{n}": "x"} if n != 11 else {"red": "x"}) for n in range(16)]
    test = f"{sys.executable} -c \"import os; assert not os.path.exists('red'), 'it is ' + 'red'\""
    town.run(test)
    assert town.queue.runs <= 6
    assert [n for n, end in town.ends().items() if end != "merged"] == [numbers[11]]
    back = town.orc.merges.show(numbers[11])
    assert (back.status, back.kind) == ("returned", "red")
    assert "it is red" in back.tail
    assert "exit status 1" in back.reason
    assert len([name for name in town.repo.files() if name.startswith("f")]) == 15


def test_a_conflict_goes_back_with_its_files_and_the_earlier_branch_lands(town: Town):
    first = town.submit("one", {"a.txt": "one\n", "c": "x"})
    second = town.submit("two", {"a.txt": "two\n"})
    third = town.submit("three", {"b.txt": "three\n"})
    town.run(RED)
    assert town.ends() == {first: "merged", second: "conflict", third: "merged"}
    back = town.orc.merges.show(second)
    assert back.files == ("a.txt",)
    assert "CONFLICT (content)" in back.tail
    assert town.queue.runs == 1


def test_a_branch_that_only_conflicts_with_a_red_one_lands(town: Town):
    bad = town.submit("bad", {"a.txt": "bad\n", "red": "x"})
    good = town.submit("good", {"a.txt": "good\n"})
    town.run(RED)
    assert town.ends() == {bad: "red", good: "merged"}


@pytest.mark.parametrize("strategy", ["merge", "squash", "rebase"])
def test_what_landed_before_a_kill_is_reported_and_not_merged_again(town: Town, strategy: str):
    """The runner is ended after it has moved the target, before it has said so on the board."""
    number = town.submit("one", {"a.txt": "1\n"}, {"a.txt": "2\n"}, strategy=strategy)

    class Killed(BaseException):
        pass

    def kill(*_words: object, **_facts: object) -> None:
        raise Killed

    town.queue = town.runner(RED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(town.orc.merges), "merged", kill)
        patch.setattr(type(town.orc.merges), "release", kill)
        with pytest.raises(Killed):
            town.queue.round()
    tip = town.repo.tip()
    assert town.repo.files()["a.txt"] == "2"
    assert town.orc.merges.get(number).status == "merging"
    town.clock.advance(3600)
    town.run(RED, name="other")
    assert town.ends() == {number: "merged"}
    assert (town.repo.tip(), town.orc.merges.get(number).merge_commit) == (tip, tip)


@pytest.mark.parametrize("ending", ["withdrawn", "rejected", "reopened", "stopped", "interrupted"])
def test_what_landed_is_merged_though_it_was_withdrawn_before_a_runner_could_say_so(
    town: Town, ending: str
):
    """The lease of a killed or stopped runner ends; nobody knows on the board that the target has it."""
    task = town.orc.tasks.add("build", title="x").id
    town.orc.tasks.claim(task, agent="ann")
    town.orc.tasks.complete(task, agent="ann")
    number = town.submit("one", strategy="squash", task=task)
    report = MergeBatch._report_merged

    class Killed(BaseException):
        pass

    def killed(batch: MergeBatch, commits: dict[int, str]) -> None:
        if not commits:
            return
        patch.undo()
        if ending == "interrupted":
            raise Killed
        town.clock.advance(3600)
        if ending == "rejected":
            town.orc.merges.reject(number, "not wanted", agent="kim")
        elif ending == "reopened":
            town.orc.tasks.reopen(task, reason="again", agent="kim")
        else:
            town.orc.merges.withdraw(number, agent="ann")
        if ending == "stopped":
            report(batch, commits)
            return
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MergeBatch, "_report_merged", killed)
        with suppress(Killed):
            town.runner(RED).round()
    if ending == "interrupted":
        town.orc.merges.withdraw(number, agent="ann")
    tip = town.repo.tip()
    if ending != "stopped":
        assert town.ends() == {number: "rejected" if ending == "rejected" else "withdrawn"}
    late = town.run(RED, name="other").ended
    assert [s.number for s in late] == ([] if ending == "stopped" else [number])
    assert town.ends() == {number: "merged"}
    assert (town.repo.tip(), town.orc.merges.get(number).merge_commit) == (tip, tip)
    assert not town.orc.merges.all()
    assert town.is_tidy()
    check_law(town.orc)


def script(town: Town, text: str) -> str:
    """A test that is this program; a shell never reads it."""
    path = town.repo.folder.parent / f"test {len(text)}.py"
    path.write_text(text)
    return f"{sys.executable} -S '{path}'"


def test_a_push_in_the_middle_is_kept_and_all_is_tested_again_upon_it(town: Town):
    """The first run of the tests pushes to the target; what was tested then does not count."""
    numbers = [town.submit("one"), town.submit("two", strategy="squash")]
    pushed = town.repo.git("commit-tree", "main^{tree}", "-p", "main", "-m", "pushed")
    town.repo.git("checkout", "-q", "--detach")
    words = ["git", "update-ref", "refs/heads/main", pushed, town.repo.tip()]
    town.run(script(town, f"import subprocess; subprocess.run({words!r})"))
    assert town.queue.runs == 2
    assert town.ends() == dict.fromkeys(numbers, "merged")
    assert town.repo.main_line() == ["two", "Merge one into main", "pushed", "the first"]
    assert any("has moved: all branches are merged with it again" in line for line in town.said)


def test_the_submitted_commit_is_merged_though_its_branch_moved_or_is_gone(town: Town):
    moved, gone = town.submit("moved", {"m": "submitted\n"}), town.submit("gone", {"g": "x\n"})
    town.repo.git("branch", "-D", "-q", "gone")
    town.repo.git("checkout", "-q", "moved")
    town.repo.write({"m": "later\n"})
    later = town.repo.commit("later")
    town.repo.git("checkout", "-q", "main")
    town.run(RED)
    assert town.ends() == {moved: "merged", gone: "merged"}
    assert town.repo.files()["m"] == "submitted"
    assert town.repo.tip("moved") == later, "no branch is changed"


def test_a_commit_that_is_gone_goes_back_and_a_target_that_is_gone_waits(town: Town):
    gone = town.orc.merges.submit_commit("gone", "1" * 40, target="main", agent="ann").number
    waits = town.orc.merges.submit_commit(
        "waits", town.repo.tip(), target="nowhere", agent="ann"
    ).number
    ended = town.run(RED)
    assert town.ends() == {gone: "invalid", waits: "waiting"}
    assert ended.waiting == {"nowhere": "there is no branch nowhere"}
    assert town.orc.merges.get(waits).reason == "there is no branch nowhere"


def test_a_red_target_takes_nothing_but_what_mends_it_and_no_author_is_blamed(town: Town):
    town.repo.write({"red": "x"})
    town.repo.commit("pushed without a test")
    good = town.submit("good")
    ended = town.run(RED)
    assert (town.ends(), len(ended.ended)) == ({good: "waiting"}, 0)
    assert "fail on main itself" in ended.waiting["main"]
    mends = town.submit("mends", {"red": None})
    bad = town.submit("bad", {"red": "y"})
    town.run(RED)
    assert town.ends() == {good: "merged", mends: "merged", bad: "conflict"}


def test_a_test_that_hangs_is_killed_with_all_that_it_has_started(town: Town):
    mark = town.repo.folder.parent / "pid"
    number = town.submit("one")
    child = "import time; time.sleep(600)"
    started = f"subprocess.Popen([sys.executable, '-c', {child!r}], start_new_session=True)"
    hangs = "import os, subprocess, sys, time\nif not os.path.exists('one'): sys.exit()\n"
    hangs += f"open({str(mark)!r}, 'w').write(str({started}.pid))\n"
    test = script(town, f"{hangs}print('it hangs', flush=True)\ntime.sleep(600)")
    town.queue = town.runner(test, timeout=20.0 if os.environ.get("CI") else 3.0)
    town.queue.round()
    back = town.orc.merges.show(number)
    assert (back.kind, back.tail) == ("red", "it hangs\n")
    assert "killed after" in back.reason
    with pytest.raises(ProcessLookupError):
        until_gone(int(mark.read_text()))
    assert town.is_tidy()


def until_gone(pid: int) -> None:
    """Ask for a process that was killed until the system has collected it."""
    while True:
        os.kill(pid, 0)
        time.sleep(0.01)


def test_a_test_may_leave_what_it_wants_in_its_work_tree(town: Town):
    """The next run sees the files of the commit and nothing else, and in the end nothing is left."""
    town.submit("bad", {"red": "x"}), town.submit("good", {"cache/kept": "x"})
    mess = (
        "import os, sys\n"
        "if os.path.exists('junk') or os.path.exists('cache/junk'): sys.exit('not clean')\n"
        "os.makedirs('cache', exist_ok=True)\n"
        "for name in ('junk', 'cache/junk', 'a.txt'): open(name, 'w').write('junk')\n"
        "os.mkdir('closed'); open('closed/file', 'w'); os.chmod('closed', 0)\n"
        "sys.exit(os.path.exists('red'))\n"
    )
    town.repo.git("config", "core.excludesFile", os.devnull)
    town.run(script(town, mess))
    assert sorted(town.ends().values()) == ["merged", "red"]
    assert town.repo.files()["a.txt"] == "a"
    assert town.is_tidy()


def test_a_test_that_deletes_the_git_file_leads_git_to_no_other_worktree(town: Town):
    """Git looks for a repository above; where worktrees are inside the main one, somebody's work is there."""
    town.folder = town.repo.folder / "cache"
    numbers = [town.submit("bad", {"red": "x"}), town.submit("good")]
    town.repo.write({"b.txt": "work that is not committed\n"})
    gone = "import os, sys\nos.path.exists('.git') and os.unlink('.git')\n"
    town.run(script(town, f"{gone}sys.exit(os.path.exists('red'))"))
    assert town.ends() == dict(zip(numbers, ["red", "merged"], strict=True))
    assert (town.repo.folder / "b.txt").read_text() == "work that is not committed\n"
    assert town.repo.git("symbolic-ref", "HEAD") == "refs/heads/main"
    assert town.is_tidy()


def test_no_hook_of_the_repository_runs(town: Town):
    ran = town.repo.folder.parent / "ran"
    (
        town.submit("one"),
        town.submit("two", strategy="rebase"),
        town.submit("three", strategy="squash"),
    )
    names = (
        "pre-commit",
        "commit-msg",
        "post-checkout",
        "post-merge",
        "pre-rebase",
        "post-rewrite",
    )
    for hook in (*names, "reference-transaction", "post-commit", "pre-merge-commit"):
        path = town.repo.folder / ".git" / "hooks" / hook
        path.write_text(f"#!/bin/sh\necho {hook} >> '{ran}'\nexit 1\n")
        path.chmod(0o755)
    town.run(RED)
    assert set(town.ends().values()) == {"merged"}
    assert not ran.exists()


def test_a_runner_that_is_interrupted_gives_its_claims_back(town: Town):
    number = town.submit("one")
    town.queue = town.runner(RED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PrivateTree, "run", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            town.queue.round()
    waiting = town.orc.merges.get(number)
    assert (waiting.status, waiting.reason) == (
        "waiting",
        "the runner of the merge queue was ended",
    )
    assert town.is_tidy()


def _interrupt(*_words: object, **_facts: object) -> None:
    raise KeyboardInterrupt


def test_a_runner_that_was_taken_over_reports_nothing_more(town: Town):
    """Its lease ends while the tests run, and another runner merges the branch."""
    number = town.submit("one", strategy="squash")
    slow, fast = town.runner(RED, name="slow"), town.runner(RED, name="fast")
    run = PrivateTree.run

    def overtaken(tree: PrivateTree, *words: Any, **facts: Any) -> Any:
        patch.setattr(PrivateTree, "run", run)
        town.clock.advance(3600)
        assert [s.number for s in fast.round().ended] == [number]
        return run(tree, *words, **facts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PrivateTree, "run", overtaken)
        assert slow.round() == QueueRound([], {})
    assert town.ends() == {number: "merged"}
    assert town.repo.main_line() == ["one", "the first"]
    assert town.is_tidy()


def test_the_queues_of_two_repositories_may_have_their_worktrees_in_one_folder(
    town: Town, tmp_path: Path
):
    """While the tests of one run, the other removes nothing of it and kills none of its processes."""
    other = Town(tmp_path / "other")
    other.folder = town.folder
    number, others = town.submit("one"), other.submit("two")
    run = PrivateTree.run

    def beside(tree: PrivateTree, *words: Any, **facts: Any) -> Any:
        patch.setattr(PrivateTree, "run", run)
        assert [s.number for s in other.run(RED).ended] == [others]
        return run(tree, *words, **facts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PrivateTree, "run", beside)
        town.run(RED)
    assert (town.ends(), other.ends()) == ({number: "merged"}, {others: "merged"})
    assert town.is_tidy()


def test_a_work_tree_in_the_way_lets_the_branch_wait_and_says_so(town: Town):
    number = town.submit("one", {"a.txt": "one\n"})
    town.repo.write({"a.txt": "mine\n"})
    ended = town.run(RED)
    assert town.ends() == {number: "waiting"}
    assert str(town.repo.folder) in ended.waiting["main"]
    assert (town.repo.folder / "a.txt").read_text() == "mine\n"
    town.repo.git("stash", "-q")
    town.run(RED)
    assert town.ends() == {number: "merged"}
    assert town.repo.git("status", "--porcelain") == ""


def test_two_targets_have_their_own_queues(town: Town):
    town.repo.git("branch", "next")
    one = town.submit("one", target="next")
    two = town.submit("two")
    town.run(RED)
    assert town.ends() == {one: "merged", two: "merged"}
    assert ("one" in town.repo.files("next"), "one" in town.repo.files()) == (True, False)


def test_without_tests_only_conflicts_are_found(town: Town):
    number = town.submit("bad", {"red": "x"})
    town.run()
    assert (town.ends(), town.queue.runs) == ({number: "merged"}, 0)


def test_a_submodule_a_renamed_case_and_odd_names_of_files_are_merged_as_git_merges_them(
    town: Town,
):
    repo = town.repo
    (repo.folder / "sub").mkdir()  # a submodule that is not fetched
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},sub")
    repo.git("commit", "-q", "-m", "a submodule")
    repo.git("branch", "moves-it")
    tree = repo.git("ls-tree", "main").replace("1" * 40, "2" * 40)
    made = repo.git("mktree", stdin=f"{tree}\n")
    head = repo.git("commit-tree", made, "-p", "main", "-m", "moves it")
    repo.git("update-ref", "refs/heads/moves-it", head)
    town.orc.merges.submit_commit("moves-it", head, target="main", agent="ann")
    town.submit("case", {"a.txt": None, "A.txt": "a\n"})
    town.submit("odd", {"-rf": "x\n", "quo\"te's\n☃": "x\n", ":(glob)*": "x\n"}, strategy="rebase")
    town.run(RED)
    assert set(town.ends().values()) == {"merged"}
    names = repo.git("ls-tree", "-r", "-z", "--name-only", "main").split("\0")
    assert {"-rf", "quo\"te's\n☃", ":(glob)*", "A.txt", "sub"} <= set(names)
    assert "a.txt" not in names
    assert "2" * 40 in repo.git("ls-tree", "main", "sub")


def test_in_a_shallow_clone_what_has_a_common_commit_is_merged(tmp_path: Path):
    """A branch whose common commit is cut off goes back, and says so."""
    origin = Repo(tmp_path / "origin", {"a.txt": "a\n"})
    old = origin.branch("old", {"old.txt": "x\n"})
    origin.commit("more")
    town = Town(tmp_path)
    town.repo.git("clone", "-q", "--depth", "1", f"file://{origin.folder}", "shallow")
    town.repo.folder /= "shallow"
    town.repo.git("fetch", "-q", "--depth", "1", "origin", "old:old")
    new = town.repo.branch("new", {"new.txt": "x\n"})
    for branch, head in (("old", old), ("new", new)):
        town.orc.merges.submit_commit(branch, head, target="main", agent="ann")
    town.run(RED)
    assert town.ends() == {1: "invalid", 2: "merged"}
    assert "no history in common" in town.orc.merges.get(1).reason


def test_on_several_machines_the_queue_runs_on_one_at_a_time_and_fetches_what_others_have(
    tmp_path: Path,
):
    store = MemoryStore()
    mill = Town(tmp_path / "mill", store, "mill")
    forge = Town(tmp_path / "forge", store, "forge")
    forge.repo.git("fetch", "-q", str(mill.repo.folder), "main")
    forge.repo.git("reset", "-q", "--hard", "FETCH_HEAD")
    two = forge.submit("two")
    one = mill.submit("one")

    seen = mill.run(RED)
    assert mill.ends() == {one: "merged", two: "waiting"}
    assert "push it to a remote" in seen.waiting["main"]
    mill.repo.git("remote", "add", "forge", str(forge.repo.folder))
    mill.run(RED)
    assert mill.ends()[two] == "merged"
    assert {"one", "two"} <= set(mill.repo.files())

    three = forge.submit("three")
    (held,) = forge.orc.merges.claim("queue", lease=300)
    four = mill.submit("four")
    assert mill.run(RED).waiting == {"main": "the queue runs on forge now"}
    assert mill.ends()[four] == "waiting"
    mill.clock.advance(301)
    mill.run(RED)
    assert (mill.ends()[three], mill.ends()[four]) == ("merged", "merged")
    with pytest.raises(Refused):
        forge.orc.merges.merged(three, held.token or 0, commit=held.commit)


def test_a_driver_of_an_attribute_merges_the_files_and_a_failing_one_is_a_conflict(town: Town):
    """The attributes of the target count, and a driver runs where the files of the target are."""
    driver = "sh ./join.sh %A %B %P"
    town.repo.git("config", "merge.join.driver", driver)
    join = '[ "$3" = log ] && cat "$2" >> "$1" && echo "$PWD" >> "$1"\n'
    town.repo.write(
        {".gitattributes": "log merge=join\nlist merge=join\nnotes merge=union\n", "join.sh": join}
    )
    town.repo.write({"log": "0\n", "list": "0\n", "notes": "0\n"})
    town.repo.commit("a driver")
    first = town.submit("one", {"log": "1\n", "notes": "0\n1\n"})
    second = town.submit("two", {"log": "2\n", "notes": "0\n2\n"})
    town.submit("three", {"list": "3\n"})
    refused = town.submit("four", {"list": "4\n"})
    town.run()
    assert town.ends() == {first: "merged", second: "merged", 3: "merged", refused: "conflict"}
    files = town.repo.files()
    assert files["notes"] == "0\n1\n2"
    one, two, folder = files["log"].split("\n")
    assert (one, two, Path(folder).parent) == ("1", "2", town.folder)
    assert town.orc.merges.get(refused).files == ("list",)
    assert town.is_tidy()


def test_pointers_of_lfs_are_merged_and_a_filter_that_fails_lets_the_queue_wait(town: Town):
    """The queue merges pointers; the tests see what the filter makes of them, or nothing lands."""
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 1\n"
    town.repo.write({".gitattributes": "*.bin filter=lfs\n", "big.bin": pointer.format(0)})
    town.repo.commit("a pointer")
    first = town.submit("one", {"big.bin": pointer.format(1)})
    second = town.submit("two", {"big.bin": pointer.format(2)})
    before = town.repo.tip()
    for name, words in (("clean", "cat"), ("smudge", "false"), ("required", "true")):
        town.repo.git("config", f"filter.lfs.{name}", words)
    assert "external filter" in town.run(RED).waiting["main"]
    assert (town.repo.tip(), town.ends()) == (before, {first: "waiting", second: "waiting"})
    town.repo.git("config", "filter.lfs.smudge", "tr s S")
    town.run("grep -q Sha256 big.bin")
    assert town.ends() == {first: "merged", second: "conflict"}
    assert town.repo.files()["big.bin"] + "\n" == pointer.format(1)
    assert town.is_tidy()
