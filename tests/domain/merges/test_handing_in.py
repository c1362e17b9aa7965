"""Completing a task whose branch must be merged: what git must show, and how the task stands until then."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from boards import SettableClock, add, check_law, code_of

from orchestrator import Orchestrator, UsageError
from orchestrator.core.errors import OrchestratorError
from orchestrator.core.git import Git
from orchestrator.domain.merges.records import Submission
from orchestrator.domain.tasks.records import Task

REQUIRED = "[merge]\nrequired = true\n"


class Project:
    """A repository with a board in it, and the worktrees of tasks beside it."""

    def __init__(self, folder: Path, clock: SettableClock) -> None:
        self.root = folder / "repo"
        self.root.mkdir()
        self.git = Git(str(self.root))
        self.git.run("init", "-q", "-b", "main")
        for name, value in (("user.name", "ann"), ("user.email", "ann@example.org")):
            self.git.run("config", name, value)
        self.git.run("commit", "-q", "--allow-empty", "-m", "begin")
        self.orc = Orchestrator.open(self.root / ".orchestrator", now=clock)
        self.orc.workstreams.create("build")

    def policy(self, text: str = REQUIRED) -> None:
        (self.root / ".orchestrator" / "config.toml").write_text(text)

    def task(self, agent: str = "ann", **facts: object) -> str:
        task = add(self.orc, **facts)  # type: ignore[arg-type]
        self.orc.tasks.claim(task, agent=agent)
        return task

    def worktree(self, branch: str, base: str = "main") -> "Worktree":
        folder = self.root.parent / branch.replace("/", "-")
        self.git.run("worktree", "add", "-q", "-b", branch, str(folder), base)
        return Worktree(folder)


class Worktree:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git = Git(str(folder))

    def write(self, name: str, text: str = "x\n") -> None:
        (self.folder / name).write_text(text)

    def commit(self, name: str = "a.txt", text: str = "x\n") -> str:
        self.write(name, text)
        self.git.run("add", "--", name)
        self.git.run("commit", "-q", "-m", "work")
        return self.git.text("rev-parse", "HEAD")


@pytest.fixture
def project(
    tmp_path: Path, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Project]:
    project = Project(tmp_path, clock)
    monkeypatch.chdir(project.root)
    yield project
    check_law(project.orc)


def merge(orc: Orchestrator, submission: Submission) -> Submission:
    """Report a merge as the runner of the queue does."""
    (claimed,) = orc.merges.claim("queue")
    assert claimed.number == submission.number
    assert claimed.token is not None
    return orc.merges.merged(claimed.number, claimed.token, commit="c" * 40)


def give_back(orc: Orchestrator) -> Submission:
    (claimed,) = orc.merges.claim("queue")
    assert claimed.token is not None
    return orc.merges.returned(
        claimed.number, claimed.token, kind="conflict", reason="conflicts", files=["a.txt"]
    )


def standing(task: Task) -> tuple[str, str, str | None]:
    return task.status, task.waits_for, task.assigned_to


def test_a_task_waits_in_review_for_its_merge_and_ends_with_it(project: Project):
    project.policy()
    orc, task = project.orc, project.task()
    tree = project.worktree(f"task/{task}-x")
    assert code_of(lambda: orc.tasks.complete(task, agent="ann")) == "nothing_to_merge"
    head = tree.commit()
    tree.write("left.txt")
    project.git.run("config", "status.showUntrackedFiles", "no")  # what people want to see
    assert code_of(lambda: orc.tasks.complete(task, agent="ann")) == "uncommitted"
    (tree.folder / "left.txt").unlink()

    done = orc.tasks.complete(task, result="It works", agent="ann")
    assert standing(done) == ("in_review", "merge", "ann")
    (submission,) = orc.merges.all()
    facts = (submission.branch, submission.target, submission.commit, submission.task)
    assert facts == (f"task/{task}-x", "main", head, task)
    assert submission.author == "ann"
    assert orc.tasks.complete(task, agent="ann") == done, "again: no effect"

    assert orc.tasks.next(agent="kim", review=True) is None
    assert orc.next(agent="kim").kind == "none"
    for refused in (
        lambda: orc.reviews.claim(task, agent="kim"),
        lambda: orc.reviews.approve(task, agent="kim"),
        lambda: orc.reviews.reject(task, reason="no", agent="kim"),
    ):
        assert code_of(refused) == "waits_for_merge"

    merge(orc, submission)
    ended = orc.tasks.get(task)
    assert (*standing(ended), ended.result) == ("done", "", "ann", "It works")
    assert orc.tasks.complete(task, agent="ann") == ended


def test_a_returned_branch_gives_the_task_back_and_its_next_submission_is_a_retry(
    project: Project,
):
    project.policy()
    orc, task = project.orc, project.task()
    tree = project.worktree(f"task/{task}")
    tree.commit()
    orc.tasks.complete(task, result="It works", agent="ann")
    back = give_back(orc)
    assert (back.status, back.task, back.files) == ("returned", task, ("a.txt",))
    assert standing(orc.tasks.get(task)) == ("assigned", "", "ann")
    orc.tasks.claim(task, agent="ann")
    head = tree.commit("b.txt")
    orc.tasks.complete(task, agent="ann")
    (again,) = orc.merges.all()
    assert (again.number, again.commit, again.retries) == (2, head, 1)
    orc.merges.withdraw(task, agent="ann")
    assert standing(orc.tasks.get(task)) == ("assigned", "", "ann")
    assert orc.merges.retry(task, agent="ann").number == 2
    assert standing(orc.tasks.get(task)) == ("in_review", "merge", "ann")


def test_a_review_comes_before_the_submission(project: Project):
    project.policy()
    orc, task = project.orc, project.task(review=True)
    head = project.worktree(f"task/{task}").commit()
    handed_in = orc.tasks.complete(task, result="It works", agent="ann")
    assert standing(handed_in) == ("in_review", "", "ann")
    assert orc.merges.all() == []
    assert orc.next(agent="kim").kind == "review"
    approved = orc.reviews.approve(task, comment="Good", agent="kim")
    assert standing(approved) == ("in_review", "merge", "ann")
    (submission,) = orc.merges.all()
    assert (submission.commit, submission.author) == (head, "ann")
    merge(orc, submission)
    assert orc.tasks.get(task).status == "done"


def test_a_rejected_review_submits_nothing(project: Project):
    project.policy()
    orc, task = project.orc, project.task(review=True)
    project.worktree(f"task/{task}").commit()
    orc.tasks.complete(task, agent="ann")
    rejected = orc.reviews.reject(task, reason="no tests", agent="kim")
    assert (rejected.status, rejected.proposal) == ("assigned", None)
    assert orc.merges.all() == []


def test_without_the_policy_or_without_a_branch_a_task_is_done_at_once(project: Project):
    orc, task = project.orc, project.task()
    project.worktree(f"task/{task}").commit()
    assert orc.tasks.complete(task, agent="ann").status == "done"
    project.policy()
    other = project.task()
    assert orc.tasks.complete(other, agent="ann").status == "done"


def test_force_passes_over_what_is_wrong_with_the_branch_and_not_over_the_merge(project: Project):
    project.policy()
    orc, empty, dirty = project.orc, project.task(), project.task()
    project.worktree(f"task/{empty}")
    tree = project.worktree(f"task/{dirty}")
    tree.commit()
    tree.write("left.txt")
    done = orc.tasks.complete(empty, force=True, reason="merged by hand", agent="ann")
    assert done.status == "done"
    assert "has no commit" in done.evidence[-1].problem
    handed_in = orc.tasks.complete(dirty, force=True, reason="not mine", agent="ann")
    assert standing(handed_in) == ("in_review", "merge", "ann")
    assert "left.txt" in handed_in.evidence[-1].problem


def test_checks_run_before_a_branch_is_handed_in(project: Project):
    project.policy()
    orc, task = project.orc, project.task(verify=["false"])
    project.worktree(f"task/{task}").commit()
    assert code_of(lambda: orc.tasks.complete(task, agent="ann")) == "check_failed"
    assert orc.merges.all() == []
    orc.tasks.edit(task, verify=["true"], reason="it was wrong", agent="ann")
    assert orc.tasks.complete(task, agent="ann").waits_for == "merge"


def test_a_branch_is_not_looked_at_inside_a_transaction(project: Project):
    project.policy()
    orc, task = project.orc, project.task()
    with pytest.raises(UsageError), orc.transaction():
        orc.tasks.complete(task, agent="ann")
    assert code_of(lambda: orc.tasks.each("complete", [task], agent="ann")) == "checks_due"


def test_cancelling_a_task_withdraws_its_branch_unless_it_is_being_merged(project: Project):
    project.policy()
    orc, task = project.orc, project.task()
    project.worktree(f"task/{task}").commit()
    orc.tasks.complete(task, agent="ann")
    (claimed,) = orc.merges.claim("queue")
    for refused in (
        lambda: orc.tasks.cancel(task),
        lambda: orc.tasks.delete([task]),
        lambda: orc.merges.withdraw(task),
        lambda: orc.merges.reject(task, "no"),
    ):
        assert code_of(refused) == "being_merged"
    assert claimed.token is not None
    orc.merges.release(claimed.number, claimed.token)
    assert orc.tasks.cancel(task, reason="not wanted").waits_for == ""
    assert orc.merges.get(task).status == "withdrawn"
    assert code_of(lambda: orc.merges.retry(task)) == "task_open"


def test_submit_completes_a_task_in_work_and_takes_any_other_branch(
    project: Project, monkeypatch: pytest.MonkeyPatch
):
    """Without the policy: by the task, by the branch, and by the working folder."""
    orc = project.orc
    first, second, third = project.task(), project.task(), project.task(review=True)
    for task in (first, second, third):
        project.worktree(f"task/{task}-x").commit(f"{task}.txt")
    by_task = orc.merges.submit(first[:6], agent="ann")
    assert isinstance(by_task, Submission)
    assert by_task.task == first
    assert orc.tasks.get(first).waits_for == "merge"
    by_branch = orc.merges.submit(f"task/{second}-x", strategy="squash", agent="ann")
    assert isinstance(by_branch, Submission)
    assert (by_branch.task, by_branch.strategy) == (second, "squash")
    monkeypatch.chdir(project.root.parent / f"task-{third}-x")
    assert orc.merges.submit(agent="ann") == orc.tasks.get(third), "a review comes first"
    assert orc.tasks.get(third).awaits_review

    tree = project.worktree("hotfix")
    head = tree.commit("fix.txt")
    plain = orc.merges.submit("hotfix", agent="kim")
    assert isinstance(plain, Submission)
    assert (plain.task, plain.commit, plain.author) == (None, head, "kim")
    head = tree.commit("fix2.txt")
    newer = orc.merges.submit("hotfix", agent="kim")
    assert isinstance(newer, Submission)
    assert (newer.number, newer.commit) == (plain.number, head)


def test_a_done_task_may_have_its_branch_submitted_later(project: Project):
    orc, task = project.orc, project.task()
    project.worktree(f"task/{task}").commit()
    orc.tasks.complete(task, agent="ann")
    submission = orc.merges.submit(task, agent="ann")
    assert isinstance(submission, Submission)
    assert orc.tasks.get(task).status == "done"
    assert merge(orc, submission).status == "merged"
    assert orc.tasks.get(task).status == "done"


@pytest.mark.parametrize(
    ("what", "facts", "code"),
    [
        ("no-such", {}, "branch_not_found"),
        ("main", {}, "usage"),
        ("feature", {"target": "no-such"}, "target_not_found"),
        ("feature", {"target": "-x"}, "bad_name"),
        ("feature", {"target": "a b"}, "bad_name"),
        ("--upload-pack=x", {}, "bad_name"),
        ("fea\nture", {}, "bad_name"),
        ("feature", {}, "nothing_to_merge"),
    ],
)
def test_what_cannot_be_submitted_is_refused(
    project: Project, what: str, facts: dict[str, str], code: str
):
    project.git.run("branch", "feature")
    with pytest.raises(OrchestratorError) as error:
        project.orc.merges.submit(what, agent="ann", **facts)
    assert error.value.code == code
    assert project.orc.merges.all() == []


def test_a_branch_is_of_the_task_whose_whole_id_it_carries(project: Project):
    """`task/X.a-b` belongs to the task `X.a-b` if there is one, else to `X.a`."""
    project.policy()
    orc = project.orc
    parent = project.task()
    child = orc.tasks.add("build", title="x", parent=parent, name="a").id
    other = orc.tasks.add("build", title="x", parent=parent, name="a-b").id
    project.worktree(f"task/{other}-title").commit()
    orc.tasks.claim(child, agent="ann")
    assert orc.tasks.complete(child, agent="ann").status == "done"
    orc.tasks.claim(other, agent="ann")
    assert orc.tasks.complete(other, agent="ann").waits_for == "merge"


def test_two_branches_of_a_task_must_be_told_apart(project: Project):
    project.policy()
    orc, task = project.orc, project.task()
    project.worktree(f"task/{task}-x").commit()
    project.worktree(f"task/{task}-y").commit()
    assert code_of(lambda: orc.tasks.complete(task, agent="ann")) == "several_branches"
    submission = orc.merges.submit(f"task/{task}-y", agent="ann")
    assert isinstance(submission, Submission)
    assert (submission.branch, submission.task) == (f"task/{task}-y", task)


def test_the_branches_of_a_convoy_are_collected_and_land_as_one(project: Project):
    project.policy()
    orc, task = project.orc, project.task()
    project.git.run("branch", "release-1")
    orc.convoys.create("release", [task], target="release-1", agent="ann")
    project.worktree(f"task/{task}").commit()
    assert code_of(lambda: orc.merges.land("release")) == "open_tasks"
    orc.tasks.complete(task, agent="ann")
    (submission,) = orc.merges.all()
    assert submission.target == "release-1"
    merge(orc, submission)
    assert orc.convoys.get("release").status == "landed"
    assert code_of(lambda: orc.merges.land("release")) == "nothing_to_merge"
    project.git.run("branch", "-f", "release-1", f"task/{task}")  # what the runner does
    landing = orc.merges.land("release", agent="ann")
    assert (landing.branch, landing.target, landing.convoy) == ("release-1", "main", "release")
    assert orc.merges.land("release", agent="ann") == landing
    merge(orc, landing)
    project.git.run("branch", "-f", "main2", "release-1")
    project.git.run("update-ref", "refs/heads/main", "release-1")
    assert orc.merges.land("release").status == "merged"
    orc.convoys.create("plain", [task])
    assert code_of(lambda: orc.merges.land("plain")) == "no_target"


def test_the_branch_of_a_worktree_is_handed_in_when_the_worktree_is_on_it(project: Project):
    """The base is the convoy's own target. A detached head is refused, a folder that is gone is not."""
    project.policy()
    orc, task, gone = project.orc, project.task(), project.task()
    project.git.run("branch", "release-1")
    orc.convoys.create("release", [task], target="release-1")
    made = orc.worktrees.add(task, agent="ann")
    assert made.base == "release-1"
    tree = Worktree(Path(made.path))
    head = tree.commit()
    tree.git.run("switch", "-q", "--detach")
    assert code_of(lambda: orc.tasks.complete(task, agent="ann")) == "not_on_branch"
    tree.git.run("switch", "-q", made.branch)
    orc.tasks.complete(task, agent="ann")
    (submission,) = orc.merges.all()
    facts = (submission.branch, submission.target, submission.commit)
    assert facts == (made.branch, "release-1", head)

    made = orc.worktrees.add(gone, agent="ann")
    Worktree(Path(made.path)).commit()
    shutil.rmtree(made.path)
    submitted = orc.merges.submit(made.branch, agent="ann")
    assert isinstance(submitted, Submission)
    assert submitted.task == gone
