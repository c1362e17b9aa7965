"""The merge queue: who is in it, in which order, who has what, and what its ends mean for tasks."""

import pytest
from boards import SettableClock, add, code_of, hand_in

from orchestrator import Orchestrator, OrchestratorError
from orchestrator.domain.merges.records import Submission

A, B = "a" * 40, "b" * 40


@pytest.fixture
def board(orc: Orchestrator) -> Orchestrator:
    orc.workstreams.create("build")
    return orc


def submit(orc: Orchestrator, branch: str = "fix", commit: str = A, **facts: object) -> Submission:
    return orc.merges.submit_commit(branch, commit, **{"target": "main", "agent": "ann", **facts})


def numbers(submissions: list[Submission]) -> list[int]:
    return [s.number for s in submissions]


def token_of(submissions: list[Submission]) -> int:
    (token,) = {s.token for s in submissions}
    assert token is not None
    return token


def test_a_branch_has_one_open_submission_for_a_target_and_a_new_head_replaces_one_that_waits(
    board: Orchestrator,
):
    first = submit(board)
    count = len(board.events.read())
    assert submit(board) == first
    assert len(board.events.read()) == count
    newer = submit(board, commit=B)
    assert (newer.number, newer.commit, newer.status) == (1, B, "waiting")
    assert submit(board, target="next").number == 2
    assert numbers(board.merges.all()) == [1, 2]


def test_a_new_head_is_refused_while_the_branch_is_merged(board: Orchestrator):
    submit(board)
    board.merges.claim("q1")
    assert submit(board).status == "merging"  # the same head changes nothing
    assert code_of(lambda: submit(board, commit=B)) == "being_merged"


def test_a_runner_gets_the_highest_scores_of_one_target_and_two_runners_never_the_same(
    board: Orchestrator,
):
    for branch in ("a", "b", "c"):
        submit(board, branch)
    submit(board, "d", target="next")
    mine = board.merges.claim("q1", limit=2)
    assert numbers(mine) == [1, 2]
    assert [s.runner for s in mine] == ["q1", "q1"]
    assert numbers(board.merges.claim("q2", limit=9)) == [3]
    assert numbers(board.merges.claim("q2", limit=9)) == [4]
    assert board.merges.claim("q3") == []


def test_a_lapsed_claim_is_taken_over_and_its_token_is_refused(
    board: Orchestrator, clock: SettableClock
):
    submit(board)
    old = token_of(board.merges.claim("q1", lease="1m"))
    before = board.engine.read().event
    board.merges.renew([1], old)
    assert board.engine.read().event == before, "most of the lease is left"
    clock.advance(59)
    assert board.merges.claim("q2") == []
    board.merges.renew([1], old)
    clock.advance(59)
    assert board.merges.claim("q2") == []
    clock.advance(2)
    new = token_of(board.merges.claim("q2"))
    assert new > old
    for report in (
        lambda: board.merges.merged(1, old, commit=B),
        lambda: board.merges.returned(1, old, kind="red", reason="no"),
        lambda: board.merges.release(1, old),
        lambda: board.merges.renew([1], old),
    ):
        assert code_of(report) == "not_holder"
    assert board.merges.merged(1, new, commit=B).status == "merged"


def test_each_report_of_a_runner_may_be_repeated(board: Orchestrator):
    for branch in ("a", "b", "c"):
        submit(board, branch)
    token = token_of(board.merges.claim("q1", limit=3))
    merged = board.merges.merged(1, token, commit=B)
    returned = board.merges.returned(2, token, kind="red", reason="a test failed")
    released = board.merges.release(3, token, reason="stopped")
    count = len(board.events.read())
    assert board.merges.merged(1, token, commit=B) == merged
    assert board.merges.returned(2, token, kind="red", reason="a test failed") == returned
    assert board.merges.release(3, token, reason="stopped") == released
    assert len(board.events.read()) == count
    assert code_of(lambda: board.merges.merged(1, token, commit=A)) == "not_holder"


def test_what_was_returned_shows_files_and_output_and_becomes_a_follow_up_task(
    board: Orchestrator,
):
    submit(board, "fix")
    token = token_of(board.merges.claim("q1"))
    back = board.merges.returned(
        1, token, kind="conflict", reason="conflicts", files=["src/\udcff.py"], tail="x" * 9000
    )
    assert (back.status, back.kind, back.files) == ("returned", "conflict", ("src/\\udcff.py",))
    assert len(board.merges.show(1).tail) == 8000
    assert back.task is not None
    task = board.tasks.get(back.task)
    assert (task.status, task.assigned_to) == ("assigned", "ann")
    (letter,) = board.mail.inbox(agent="ann")
    assert "conflict" in letter.subject
    body = board.mail.read(letter.id, agent="ann").body
    assert "src/" in body
    assert f"Task {task.id} was added for that" in body
    way = "Merge main into the branch, solve the problem, and commit. `merge submit` submits the new head."
    assert way in body


def test_a_done_task_is_reopened_for_its_author_when_its_branch_is_returned(board: Orchestrator):
    task = add(board)
    board.tasks.claim(task, agent="ann")
    board.tasks.complete(task, result="x", agent="ann")
    submit(board, task=task)
    token = token_of(board.merges.claim("q1"))
    board.merges.returned(1, token, kind="red", reason="a test failed")
    now = board.tasks.get(task)
    assert (now.status, now.assigned_to) == ("assigned", "ann")


def test_an_archived_task_gets_a_follow_up_and_a_deleted_one_leaves_the_queue(board: Orchestrator):
    first, second = add(board), add(board)
    for number, task in enumerate((first, second)):
        board.tasks.claim(task, agent="ann")
        board.tasks.complete(task, agent="ann")
        submit(board, f"b{number}", task=task)
    board.tasks.archive([first])
    board.tasks.delete([second])
    assert board.merges.get(2).status == "withdrawn"
    token = token_of(board.merges.claim("q1"))
    back = board.merges.returned(1, token, kind="red", reason="a test failed")
    assert back.task not in (None, first)


def test_an_open_task_hands_its_branch_in_with_its_result(board: Orchestrator):
    task = add(board)
    assert code_of(lambda: submit(board, task=task)) == "task_open"


def test_a_submission_is_found_by_number_task_or_branch(board: Orchestrator):
    task = add(board)
    board.tasks.claim(task, agent="ann")
    board.tasks.complete(task, agent="ann")
    submit(board, "feature/x", task=task)
    found = [board.merges.get(what).number for what in (1, "1", task, task[:4], "feature/x")]
    assert found == [1, 1, 1, 1, 1]
    assert code_of(lambda: board.merges.get("nothing")) == "submission_not_found"


def test_reject_withdraw_and_retry_end_and_begin_again_once(board: Orchestrator):
    submit(board)
    assert board.merges.reject(1, "not wanted", agent="kim").status == "rejected"
    assert board.merges.reject(1, "not wanted", agent="kim").status == "rejected"
    assert code_of(lambda: board.merges.withdraw(1)) == "illegal_step"
    again = board.merges.retry(1, agent="ann")
    assert (again.status, again.retries, again.reason) == ("waiting", 1, "")
    assert board.merges.retry(1, agent="ann") == again
    assert board.merges.withdraw(1, agent="ann").status == "withdrawn"
    assert board.merges.retry(1).status == "waiting"
    token = token_of(board.merges.claim("q1"))
    assert code_of(lambda: board.merges.withdraw(1)) == "being_merged"
    assert code_of(lambda: board.merges.reject(1, "no")) == "being_merged"
    board.merges.merged(1, token, commit=B)
    assert code_of(lambda: board.merges.retry(1)) == "illegal_step"


@pytest.mark.parametrize(
    "facts", [{"commit": "abc"}, {"branch": "main"}, {"branch": "-x"}, {"strategy": "octopus"}]
)
def test_what_is_no_commit_branch_or_strategy_is_refused(
    board: Orchestrator, facts: dict[str, str]
):
    with pytest.raises(OrchestratorError):
        submit(board, **facts)


def test_the_score_rises_with_convoy_priority_and_age_and_falls_with_retries(
    board: Orchestrator, clock: SettableClock
):
    tasks = [add(board, priority=priority) for priority in (5, 1, 5)]
    board.convoys.create("old", [tasks[0]])
    for number, task in enumerate(tasks):
        board.tasks.claim(task, agent="ann")
        board.tasks.complete(task, agent="ann")
        submit(board, f"b{number}", task=task)
    board.tasks.reopen(tasks[0])  # the convoy is open again, and its branch left the queue
    assert board.merges.get(1).status == "withdrawn"
    board.tasks.claim(tasks[0], agent="ann")
    board.tasks.complete(tasks[0], agent="ann")
    board.merges.retry(1)
    clock.advance(2 * 3600)
    assert numbers(board.merges.all()) == [2, 3, 1]
    view = board.merges.show(1)
    assert view.score is not None
    points = {part.part: part.points for part in view.score.parts}
    assert points == {"base": 1000, "convoy": 0, "priority": 0, "retries": -50, "waiting": 2}
    assert (view.score.points, view.position) == (952, 3)


def test_a_renamed_author_and_runner_keep_what_they_have(board: Orchestrator):
    board.agents.register("ann")
    board.agents.register("q1")
    submit(board)
    token = token_of(board.merges.claim("q1"))
    board.agents.rename("ann", "anna")
    board.agents.rename("q1", "queue")
    assert (board.merges.get(1).author, board.merges.get(1).runner) == ("anna", "queue")
    board.merges.returned(1, token, kind="red", reason="no")
    assert len(board.mail.inbox(agent="anna")) == 1


def test_the_task_of_a_retired_author_becomes_free(board: Orchestrator):
    board.agents.register("ann")
    task = add(board)
    board.tasks.claim(task, agent="ann")
    hand_in(board, task)
    board.agents.retire("ann")
    token = token_of(board.merges.claim("q1"))
    board.merges.returned(1, token, kind="red", reason="no")
    now = board.tasks.get(task)
    assert (now.status, now.waits_for, now.assigned_to) == ("pending", "", None)
    assert now.notes[-1].text.endswith("was not merged into main: no")


def test_a_late_report_leaves_a_task_that_waits_for_its_next_submission(
    board: Orchestrator, clock: SettableClock
):
    task = add(board, "build")
    board.tasks.claim(task, agent="ann")
    hand_in(board, task)
    token = token_of(board.merges.claim("bot", lease=60))
    clock.advance(61)
    board.merges.reject(1, "not like that", agent="kim")
    board.tasks.claim(task, agent="ann")
    hand_in(board, task, commit=B)
    assert board.merges.merged(1, token, commit=A).status == "merged"
    waiting = board.tasks.get(task)
    assert (waiting.status, waiting.waits_for) == ("in_review", "merge")
    assert numbers(board.merges.all()) == [2]
