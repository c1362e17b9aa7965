"""Completion needs evidence: checks that run, stored results, reviews by another agent, trust in commands.

The checks in these tests are real processes.
"""

import hashlib
import io
import os
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from boards import MORNING, SettableClock, as_text, changes_nothing, code_of, new_store

from orchestrator import Orchestrator, Refused, UsageError
from orchestrator.core.processes import TAIL
from orchestrator.core.transaction import Noun, Transaction, command
from orchestrator.domain.state import State
from orchestrator.domain.tasks.checks import Checks
from orchestrator.domain.tasks.events import TaskImported
from orchestrator.domain.tasks.records import Task
from orchestrator.maintenance.backup import export_board, import_board

ROOT = Path(__file__).parents[3]
TRUE, FALSE = "true", "false"


@pytest.fixture(autouse=True)
def build(
    orc: Orchestrator, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A workstream, and a working folder of the test's own."""
    orc.workstreams.create("build")
    monkeypatch.chdir(tmp_path_factory.mktemp("work"))


def claimed(orc: Orchestrator, *verify: str, **fields: object) -> str:
    """A task with these checks that ann holds."""
    task = orc.tasks.add("build", title="Ship", verify=verify, **fields)  # type: ignore[arg-type]
    orc.tasks.claim(task.id, agent="ann")
    return task.id


def python(code: str) -> str:
    """A command that runs a program."""
    return shlex.join([sys.executable, "-c", code])


def on_the_board(code: str, *, later: float = 0) -> str:
    """A command that opens the board of its environment, with a clock that is ahead."""
    return python(
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from orchestrator import Orchestrator\n"
        f"orc = Orchestrator.open(now=lambda: {MORNING + later})\n"
        "import os; task = os.environ['ORC_TASK']\n"
        f"{code}\n"
        "orc.close()"
    )


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def ends(pid: int) -> bool:
    """Wait until a process that was killed is gone."""
    while is_running(pid):
        time.sleep(0.01)
    return True


# What a task must show


def test_a_task_keeps_its_checks_as_they_were_given(orc: Orchestrator):
    task = orc.tasks.add(
        "build",
        title="x",
        verify=["echo a,b", "echo 'c d'"],
        artifacts=["dist/a,b.whl"],
        review=True,
        verify_timeout="2m",
    )
    assert task.checks == Checks(
        verify=("echo a,b", "echo 'c d'"),
        timeout=120.0,
        artifacts=("dist/a,b.whl",),
        review=True,
        trusted=True,
    )
    assert orc.tasks.add("build", title="y").checks is None


def test_editing_changes_the_checks_that_are_given_and_an_empty_one_clears_them(orc: Orchestrator):
    task = orc.tasks.add("build", title="x", verify=["a"], verify_timeout=5, review=True).id
    checks = orc.tasks.edit(task, artifacts=["out"]).checks
    assert checks is not None
    assert (checks.verify, checks.timeout, checks.artifacts) == (("a",), 5.0, ("out",))
    checks = orc.tasks.edit(task, verify_timeout="", review=False).checks
    assert checks is not None
    assert (checks.verify, checks.timeout, checks.review) == (("a",), None, False)
    assert orc.tasks.edit(task, title="y").checks == checks
    assert orc.tasks.edit(task, verify=[]).checks == Checks(artifacts=("out",))
    assert orc.tasks.edit(task, artifacts=[]).checks is None


@pytest.mark.parametrize(
    "fields",
    [
        {"verify": ["echo 'open"]},
        {"verify": ["ok", '"']},
        {"verify": ["echo \\"]},
        {"verify": [""]},
        {"verify": ["''"]},
        {"verify": ["a\0b"]},
        {"verify": ["x" * 4097]},
        {"verify": [f"echo {n}" for n in range(51)]},
        {"verify": "true"},
        {"artifacts": [" "]},
        {"artifacts": ["a\0b"]},
        {"verify": ["a"], "verify_timeout": 0},
        {"verify": ["a"], "verify_timeout": "25h"},
        {"verify": ["a"], "verify_timeout": "soon"},
        {"verify_timeout": 5},
    ],
)
def test_checks_that_could_never_run_are_refused_when_they_are_given(
    orc: Orchestrator, fields: dict[str, object]
):
    task = orc.tasks.add("build", title="x").id
    with changes_nothing(orc):
        with pytest.raises(UsageError):
            orc.tasks.add("build", title="y", **fields)  # type: ignore[arg-type]
        with pytest.raises(UsageError):
            orc.tasks.edit(task, **fields)  # type: ignore[arg-type]


# Completing


def test_a_task_whose_checks_pass_is_done_and_keeps_their_results(orc: Orchestrator):
    task = claimed(orc, "echo one", "echo two")
    done = orc.tasks.complete(task, result="shipped")
    assert (done.status, done.result) == ("done", "shipped")
    assert [(e.kind, e.what, e.passed, e.status, e.output) for e in done.evidence] == [
        ("verify", "echo one", True, 0, "one\n"),
        ("verify", "echo two", True, 0, "two\n"),
    ]
    assert {(e.agent, e.at, e.problem) for e in done.evidence} == {("ann", done.updated_at, "")}
    assert all(e.seconds is not None and 0 <= e.seconds < 60 for e in done.evidence)
    assert [event.type for event in orc.events.read(last=2)] == ["task.checked", "task.completed"]


def test_a_check_that_fails_refuses_the_completion_and_its_evidence_is_kept(orc: Orchestrator):
    command = python("import sys; print('1 failed'); sys.exit(3)")
    task = claimed(orc, TRUE, command, FALSE)
    with pytest.raises(Refused) as caught:
        orc.tasks.complete(task)
    error = caught.value
    assert error.code == "check_failed"
    assert "exit status 3" in error.message
    assert error.details["check"] == command
    assert (error.details["status"], error.details["output"]) == (3, "1 failed\n")
    assert error.details["failed"] == [command, FALSE]
    kept = orc.tasks.get(task)
    assert (kept.status, kept.assigned_to) == ("in_progress", "ann")
    assert [e.passed for e in kept.evidence] == [True, False, False]
    assert orc.events.read(last=1)[0].type == "task.checked"


def test_what_checks_showed_last_replaces_what_they_showed_before(orc: Orchestrator):
    task = claimed(orc, "test -e out")
    assert code_of(lambda: orc.tasks.complete(task)) == "check_failed"
    Path("out").touch()
    done = orc.tasks.complete(task)
    assert (done.status, [e.passed for e in done.evidence]) == ("done", [True])
    assert [event.type for event in orc.tasks.history(task)].count("task.checked") == 2


def test_reopening_a_task_clears_its_evidence_and_keeps_its_checks(orc: Orchestrator):
    task = claimed(orc, TRUE)
    orc.tasks.complete(task)
    reopened = orc.tasks.reopen(task)
    assert reopened.evidence == ()
    assert reopened.checks is not None


@pytest.mark.parametrize("agent", ["bob", "ann"])
def test_no_check_runs_for_an_agent_that_may_not_complete_the_task(orc: Orchestrator, agent: str):
    task = claimed(orc, "touch ran")
    with changes_nothing(orc):
        token = 1 if agent == "ann" else None
        assert code_of(lambda: orc.tasks.complete(task, agent=agent, token=token)) == "not_holder"
    assert not Path("ran").exists()


def test_a_result_that_cannot_be_kept_is_refused_before_anything_runs(orc: Orchestrator):
    task = claimed(orc, "touch ran")
    with changes_nothing(orc), pytest.raises(UsageError):
        orc.tasks.complete(task, result="a\0b")
    assert not Path("ran").exists()


def test_a_task_with_checks_is_not_completed_inside_a_transaction(orc: Orchestrator):
    """Its commands would block all other writers while they run."""
    task = claimed(orc, "touch ran")
    with changes_nothing(orc), orc.transaction(), pytest.raises(UsageError):
        orc.tasks.complete(task)
    assert not Path("ran").exists()
    plain = claimed(orc)
    with orc.transaction():
        orc.tasks.complete(plain)
    assert orc.tasks.get(plain).status == "done"


def test_a_request_that_completed_a_task_gives_its_first_result_and_runs_nothing(orc: Orchestrator):
    task = claimed(orc, python("open('runs', 'a').write('x'); print('first')"))
    with orc.request("r-1"):
        first = orc.tasks.complete(task, result="done")
    orc.tasks.note(task, "later")
    for board in (orc, Orchestrator(orc.engine.store, now=orc.engine._clock)):
        with changes_nothing(orc), board.request("r-1"):
            assert board.tasks.complete(task, result="done") == first
    assert Path("runs").read_text() == "x"
    with orc.request("r-1"):
        assert code_of(lambda: orc.tasks.complete(task, result="else")) == "request_conflict"


def test_a_completion_that_a_check_refused_answers_no_request(orc: Orchestrator):
    task = claimed(orc, "test -e out")
    with orc.request("r-1"):
        assert code_of(lambda: orc.tasks.complete(task)) == "check_failed"
    Path("out").touch()
    with orc.request("r-1"):
        assert orc.tasks.complete(task).status == "done"


# What a command is given


def test_a_command_meets_no_shell(orc: Orchestrator):
    task = claimed(orc, "echo $HOME '*' `id` && touch ran > out")
    [shown] = orc.tasks.complete(task).evidence
    assert shown.output == "$HOME * `id` && touch ran > out\n"
    assert os.listdir() == []


def test_a_command_is_given_a_few_variables_and_no_secret(
    board: Orchestrator, monkeypatch: pytest.MonkeyPatch
):
    for name in ("AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "PYTHONPATH", "ORC_REQUEST_ID", "LCX"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("ORC_AGENT", "carl")
    board.workstreams.create("build")
    task = claimed(board, "env")
    [shown] = board.tasks.complete(task).evidence
    given = dict(line.split("=", 1) for line in shown.output.splitlines())
    allowed = {"HOME", "LOGNAME", "PATH", "SHELL", "TMPDIR", "USER", "LANG", "LANGUAGE", "TERM"}
    own = {"TZ", "ORC_TASK", "ORC_AGENT", "ORCHESTRATOR_DIR", "PWD"}
    assert {name for name in given if not name.startswith("LC_")} <= allowed | own
    assert given["LC_ALL"] == "C.UTF-8"
    assert (given["ORC_TASK"], given["ORC_AGENT"]) == (task, "ann")
    assert given["ORCHESTRATOR_DIR"] == board.folder
    assert "secret" not in shown.output


@pytest.mark.needs("groups")
def test_a_command_runs_where_it_was_called_with_a_closed_stdin_in_a_session_of_its_own(
    orc: Orchestrator,
):
    code = "import os, sys; print(os.getcwd(), repr(sys.stdin.read()), os.getsid(0) == os.getpid())"
    [shown] = orc.tasks.complete(claimed(orc, python(code))).evidence
    assert shown.output == f"{os.getcwd()} '' True\n"


def test_a_command_has_none_of_the_boards_files_and_the_board_is_free_while_it_runs(
    board: Orchestrator,
):
    board.workstreams.create("build")
    code = (
        "print([os.readlink(f'/proc/self/fd/{n}') for n in (0, 3)"
        " if os.path.exists(f'/proc/self/fd/{n}')])\n"
        "orc.tasks.note(task, 'from the check', agent='bob')"
    )
    task = claimed(board, on_the_board(f"import os\n{code}"))
    done = board.tasks.complete(task)
    assert [note.text for note in done.notes] == ["from the check"]
    assert done.evidence[0].output == "['/dev/null']\n"


@pytest.mark.parametrize(
    ("command", "problem", "status"),
    [
        ("no-such-program-anywhere x", "cannot be run: No such file or directory", None),
        ("/", "cannot be run: Permission denied", None),
        ("sh -c 'kill -9 $$'", "ended by signal 9", -9),
        ("sh -c 'exit 255'", "exit status 255", 255),
    ],
)
def test_whatever_keeps_a_command_from_succeeding_fails_the_check(
    orc: Orchestrator, command: str, problem: str, status: int | None
):
    task = claimed(orc, command)
    assert code_of(lambda: orc.tasks.complete(task)) == "check_failed"
    [shown] = orc.tasks.get(task).evidence
    assert (shown.problem, shown.status, shown.passed) == (problem, status, False)


# Bounds


def test_a_command_that_takes_too_long_is_killed_with_its_children_and_theirs(orc: Orchestrator):
    code = (
        "import os, subprocess, sys, time\n"
        'inner = \'import os, time; open("pids", "a").write(f"{os.getpid()}\\\\n");'
        ' print("up", flush=True); time.sleep(600)\'\n'
        "outer = f'import subprocess, sys; subprocess.run([sys.executable, \"-c\", {inner!r}])'\n"
        "print('begun', flush=True)\n"
        "subprocess.run([sys.executable, '-c', outer])\n"
    )
    for seconds in (1, 4, 16, 60):  # as long as it takes to start three programs
        task = claimed(orc, python(code), verify_timeout=seconds)
        with pytest.raises(Refused) as caught:
            orc.tasks.complete(task)
        assert caught.value.details["problem"] == f"killed after {seconds}s"
        pids = Path("pids").read_text() if Path("pids").exists() else ""
        if pids.endswith("\n"):
            break
    assert str(caught.value.details["output"]).startswith("begun\n")
    [grandchild] = map(int, pids.split())
    assert ends(grandchild)


@pytest.mark.needs("groups")
def test_what_a_command_leaves_in_the_background_ends_with_it(orc: Orchestrator):
    """It keeps the pipe open, but the check does not wait for it."""
    task = claimed(orc, "sh -c 'sleep 600 & echo $! > pid; echo started'")
    [shown] = orc.tasks.complete(task).evidence
    assert (shown.passed, shown.output) == (True, "started\n")
    assert ends(int(Path("pid").read_text()))


@pytest.fixture
def escaped() -> Iterator[Path]:
    """The file with the pid of a process that left its group; the process is ended after the test."""
    path = Path("escaped")
    yield path
    with suppress(FileNotFoundError, ProcessLookupError):
        os.kill(int(path.read_text()), signal.SIGKILL)


@pytest.mark.parametrize("goes_on", ["os.write(1, b'x' * 4096)", "time.sleep(1)"])
def test_a_process_that_escaped_and_holds_the_pipe_is_not_waited_for(
    orc: Orchestrator, escaped: Path, goes_on: str
):
    code = (
        "import os, sys, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        f"    open('{escaped}', 'w').write(str(os.getpid()))\n"
        f"    while True: {goes_on}\n"
        f"while not os.path.exists('{escaped}'): pass\n"
    )
    done = orc.tasks.complete(claimed(orc, python(code)))
    assert done.status == "done"
    assert set(done.evidence[0].output) <= {"x"}


def test_of_a_huge_output_the_end_is_kept(orc: Orchestrator):
    code = (
        "import sys\n"
        "for n in range(3000): sys.stdout.write('x' * 10000)\n"
        "print('the end', flush=True); print('and errors', file=sys.stderr)"
    )
    [shown] = orc.tasks.complete(claimed(orc, python(code))).evidence
    assert len(shown.output) == TAIL
    assert shown.output.endswith("xxthe end\nand errors\n")


def test_output_is_kept_as_text_whatever_its_bytes_are(orc: Orchestrator):
    code = "import sys; sys.stdout.buffer.write('\u20ac'.encode() * 2000 + b'\\xff\\0\\x1b[2J')"
    [shown] = orc.tasks.complete(claimed(orc, python(code))).evidence
    assert shown.output.strip("\u20ac") == "\ufffd\0\x1b[2J"


# While the checks run


def test_the_lease_lasts_until_the_checks_have_ended(orc: Orchestrator):
    task = orc.tasks.add("build", title="x", verify=[TRUE, "echo"], verify_timeout="1h").id
    orc.tasks.claim(task, agent="ann", lease=60)
    orc.tasks.complete(task)
    types = [event.type for event in orc.tasks.history(task)]
    assert types == [
        *("task.added", "task.claimed", "task.renewed"),
        *("task.checked", "task.completed"),
    ]
    renewed = orc.tasks.history(task)[2]
    assert b'"until":"2026-11-21T08:14:00.000Z"' in bytes(renewed.payload)


def test_a_lease_that_lasts_long_enough_is_not_renewed(orc: Orchestrator):
    task = claimed(orc, TRUE)
    orc.tasks.complete(task)
    assert "task.renewed" not in [event.type for event in orc.tasks.history(task)]


DAY = 24 * 3600.0


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("orc.tasks.claim(task, agent='bob')", "not_holder"),
        ("orc.tasks.next(agent='bob')", "not_holder"),
        ("orc.tasks.release(task); orc.tasks.claim(task, agent='ann')", "not_holder"),
        ("orc.tasks.cancel(task)", "not_holder"),
        ("orc.tasks.edit(task, verify=['true'], reason='x')", "checks_changed"),
        ("orc.tasks.edit(task, review=True, agent='boss')", "checks_changed"),
        ("orc.sessions.start('ann')", "older_session"),
    ],
)
@pytest.mark.parametrize("passes", [True, False])
def test_a_claim_that_ended_while_the_checks_ran_completes_nothing(
    board: Orchestrator, clock: SettableClock, code: str, outcome: str, passes: bool
):
    """Refused if another agent, claim or session has the task by then, or its checks have changed."""
    board.workstreams.create("build")
    board.sessions.start("ann")
    mine = Orchestrator.open(board.folder, agent="ann", session=1, now=clock)
    end = "" if passes else "\norc.close(); sys.exit(1)"
    task = claimed(board, on_the_board(code + end, later=DAY))
    assert code_of(lambda: mine.tasks.complete(task)) == outcome
    after = board.tasks.get(task)
    assert (after.status != "done", after.result) == (True, None)
    assert {item.kind for item in after.evidence} <= {"change"}
    assert "task.checked" not in [event.type for event in board.tasks.history(task)]


# Artifacts


def test_an_artifact_is_kept_with_its_size_and_digest(orc: Orchestrator):
    Path("dist").mkdir()
    Path("dist/app").write_bytes(b"hello")
    Path("elsewhere").symlink_to("dist/app")
    task = claimed(orc, artifacts=["dist/app", str(Path("dist/app").absolute()), "elsewhere"])
    done = orc.tasks.complete(task)
    digest = hashlib.sha256(b"hello").hexdigest()
    assert [(e.kind, e.passed, e.size, e.sha256) for e in done.evidence] == 3 * [
        ("artifact", True, 5, digest)
    ]


def test_a_folder_is_kept_with_the_size_of_its_files_and_a_digest_of_all_of_them(
    orc: Orchestrator,
):
    Path("dist/deep").mkdir(parents=True)
    Path("dist/a").write_bytes(b"12")
    Path("dist/deep/b").write_bytes(b"345")
    os.mkfifo("dist/pipe")

    def digest() -> tuple[int | None, str]:
        [shown] = orc.tasks.complete(claimed(orc, artifacts=["dist"])).evidence
        return shown.size, shown.sha256

    size, first = digest()
    assert size == 5
    assert digest() == (5, first)
    Path("dist/deep/b").rename("dist/deep/c")
    assert digest() != (5, first)


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("nowhere", "is not there"),
        ("dangling", "is not there"),
        ("empty", "is empty"),
        ("hollow", "holds nothing"),
        ("pipe", "is neither a file nor a folder"),
        ("/dev/zero", "is neither a file nor a folder"),
        ("empty/x", "cannot be read: Not a directory"),
    ],
)
def test_an_artifact_that_is_nothing_refuses_the_completion(
    orc: Orchestrator, path: str, problem: str
):
    Path("empty").touch()
    Path("hollow/inner").mkdir(parents=True)
    Path("hollow/inner/x").touch()
    Path("dangling").symlink_to("nowhere")
    os.mkfifo("pipe")
    task = claimed(orc, artifacts=[path])
    with pytest.raises(Refused) as caught:
        orc.tasks.complete(task)
    assert (caught.value.code, caught.value.details["problem"]) == ("check_failed", problem)
    assert caught.value.details["kind"] == "artifact"
    assert orc.tasks.get(task).status == "in_progress"


# A change of what a task is judged by


@pytest.mark.parametrize(
    "weaker", [{"acceptance": ""}, {"verify": ["true"]}, {"artifacts": []}, {"review": False}]
)
@pytest.mark.parametrize("agent", ["ann", None])
def test_a_worker_gives_a_reason_to_change_its_own_criteria(
    orc: Orchestrator, weaker: dict[str, Any], agent: str | None
):
    task = orc.tasks.add(
        "build",
        title="Ship",
        acceptance="it ships",
        verify=[FALSE],
        artifacts=["dist"],
        review=True,
        agent="boss",
    ).id
    orc.tasks.claim(task, agent="ann")
    with changes_nothing(orc):
        assert code_of(lambda: orc.tasks.edit(task, agent=agent, **weaker)) == "reason_needed"
        assert orc.mail.inbox(agent="boss") == []
    orc.tasks.edit(task, title="Ship it", agent=agent)  # what it is not judged by takes none
    changed = orc.tasks.edit(task, reason="the tool is gone", agent=agent, **weaker)
    (evidence,) = changed.evidence
    assert (evidence.kind, evidence.what) == ("change", "the tool is gone")
    (message,) = orc.mail.inbox(agent="boss")
    assert task in message.subject
    assert "the tool is gone" in orc.mail.peek(message.id).body
    done = orc.tasks.complete(task, force=True, reason="no time", agent="ann")
    assert "change" in [item.kind for item in done.evidence]


def test_a_worker_gives_a_reason_also_while_its_work_is_in_review(orc: Orchestrator):
    task = claimed(orc, review=True, acceptance="it ships")
    orc.tasks.complete(task, agent="ann")
    with changes_nothing(orc):
        call = lambda: orc.tasks.edit(task, acceptance="it is there", agent="ann")  # noqa: E731
        assert code_of(call) == "reason_needed"


def test_the_creator_and_a_planner_change_it_without_a_reason(orc: Orchestrator):
    task = orc.tasks.add("build", title="Ship", acceptance="it ships", agent="boss").id
    assert orc.tasks.edit(task, acceptance="it runs", agent="ann").evidence == ()
    orc.tasks.claim(task, agent="ann")
    assert orc.tasks.edit(task, acceptance="it runs well", agent="boss").evidence == ()
    assert orc.mail.inbox(agent="boss") == []


# By force


def test_force_completes_in_spite_of_a_failing_check_and_the_reason_is_kept(orc: Orchestrator):
    task = claimed(orc, FALSE)
    done = orc.tasks.complete(task, force=True, reason="the test is wrong")
    assert (done.status, done.reason) == ("done", "the test is wrong")
    assert [(e.kind, e.passed) for e in done.evidence] == [("verify", False), ("force", False)]


@pytest.mark.parametrize("half", [{"force": True}, {"force": True, "reason": " "}, {"reason": "x"}])
def test_force_takes_a_reason_and_a_reason_takes_force(orc: Orchestrator, half: dict[str, object]):
    task = claimed(orc, FALSE)
    with changes_nothing(orc), pytest.raises(UsageError):
        orc.tasks.complete(task, **half)  # type: ignore[arg-type]


def test_an_unclaimed_task_is_completed_by_force_without_its_checks(orc: Orchestrator):
    task = orc.tasks.add("build", title="Ship", verify=[FALSE], review=True).id
    handed_in = orc.tasks.complete(task, force=True, reason="done by hand", agent="ann")
    assert (handed_in.status, handed_in.assigned_to) == ("in_review", "ann")
    (override,) = handed_in.evidence
    assert "its checks did not run" in override.problem
    assert code_of(lambda: orc.reviews.approve(task, agent="ann")) == "own_work"


def test_force_is_not_a_way_around_a_review(orc: Orchestrator):
    task = claimed(orc, FALSE, review=True)
    handed_in = orc.tasks.complete(task, force=True, reason="no time")
    assert (handed_in.status, handed_in.reason) == ("in_review", "no time")
    assert orc.reviews.approve(task, agent="bob").reason == "no time"


# Reviews


def in_review(orc: Orchestrator, **fields: object) -> str:
    task = claimed(orc, review=True, **fields)
    orc.tasks.complete(task, result="shipped")
    return task


def test_a_task_to_be_reviewed_is_submitted_and_has_no_holder(orc: Orchestrator):
    task = claimed(orc, TRUE, review=True)
    orc.hooks.hang(task, agent="ann")
    after = orc.tasks.add("build", title="after", needs=[task]).id
    handed_in = orc.tasks.complete(task, result="shipped")
    assert (handed_in.status, handed_in.assigned_to) == ("in_review", "ann")
    assert (handed_in.lease_until, handed_in.token, handed_in.ended_at) == ("", None, None)
    assert [e.kind for e in handed_in.evidence] == ["verify"]
    assert orc.engine.read().agents.hooks == {}
    assert orc.tasks.next(agent="bob") is None
    assert [t.id for t in orc.tasks.all(status=["in_review"])] == [task]
    assert orc.reviews.approve(task, agent="bob").status == "done"
    assert orc.tasks.next(agent="bob").id == after  # type: ignore[union-attr]


def test_another_agent_approves_and_the_task_is_done_with_its_result(orc: Orchestrator):
    task = in_review(orc)
    done = orc.reviews.approve(task, comment="reads well", agent="bob")
    assert (done.status, done.result, done.assigned_to) == ("done", "shipped", "ann")
    [review] = done.evidence
    assert (review.kind, review.what, review.passed, review.agent) == (
        *("review", "reads well", True),
        "bob",
    )
    types = [event.type for event in orc.events.read(last=3)]
    assert types == ["task.approved", "task.completed", "message.sent"], "its worker is notified"


@pytest.mark.parametrize("step", ["approve", "reject"])
def test_the_worker_also_renamed_and_an_unnamed_caller_may_not_review(orc: Orchestrator, step: str):
    task = in_review(orc)
    more = {"reason": "no"} if step == "reject" else {}

    def review(agent: str | None) -> str:
        return code_of(lambda: getattr(orc.reviews, step)(task, agent=agent, **more))

    with changes_nothing(orc):
        assert review("ann") == "own_work"
        assert review("system") == "agent_needed"
        assert review(None) == "agent_needed"
    orc.agents.rename("ann", "anna")
    with changes_nothing(orc):
        assert review("anna") == "own_work"
        assert review("ann") == "own_work"


def test_rejected_work_returns_to_the_worker_with_the_reason(orc: Orchestrator):
    task = in_review(orc)
    rejected = orc.reviews.reject(task, reason="no tests", agent="bob")
    assert (rejected.status, rejected.assigned_to, rejected.result) == ("assigned", "ann", None)
    assert [(note.agent, note.text) for note in rejected.notes] == [("bob", "no tests")]
    assert [(e.what, e.passed) for e in rejected.evidence] == [("no tests", False)]
    [message] = orc.mail.inbox(agent="ann")
    assert (message.sender, task in message.subject) == ("bob", True)
    assert orc.mail.peek(message.id).body.startswith("no tests\n")
    assert orc.tasks.next(agent="bob") is None
    assert orc.tasks.next(agent="ann").id == task  # type: ignore[union-attr]
    orc.tasks.complete(task)
    assert orc.reviews.approve(task, agent="bob").status == "done"


def test_a_rejection_needs_a_reason(orc: Orchestrator):
    task = in_review(orc)
    with changes_nothing(orc), pytest.raises(UsageError):
        orc.reviews.reject(task, reason=" ", agent="bob")


def test_rejected_work_of_a_retired_agent_is_anybodys(orc: Orchestrator):
    orc.agents.register("ann")
    task = in_review(orc)
    orc.agents.retire("ann")
    assert orc.reviews.reject(task, reason="no tests", agent="bob").status == "pending"
    assert orc.tasks.next(agent="bob").id == task  # type: ignore[union-attr]


@pytest.mark.parametrize("step", ["approve", "reject"])
def test_only_what_is_in_review_is_reviewed(orc: Orchestrator, step: str):
    task = claimed(orc)
    more = {"reason": "no"} if step == "reject" else {}
    with changes_nothing(orc):
        assert (
            code_of(lambda: getattr(orc.reviews, step)(task, agent="bob", **more)) == "illegal_step"
        )


def test_a_report_credits_the_worker_and_not_the_reviewer(orc: Orchestrator, clock: SettableClock):
    task = claimed(orc, review=True)
    clock.advance(60)
    orc.tasks.complete(task)
    assert orc.collect().completed_this_cycle == []
    assert orc.collect().still_in_progress == []
    clock.advance(60)
    orc.reviews.approve(task, agent="bob")
    [finished] = orc.collect().completed_this_cycle
    assert (finished.agent, finished.seconds) == ("ann", 120.0)


def test_a_plan_calls_attention_to_work_that_waits_for_its_review(orc: Orchestrator):
    task = in_review(orc)
    [entry] = orc.plan().attention
    assert (entry.kind, entry.task, entry.agent) == ("in_review", task, "ann")


# Trust


class Importer(Noun[State]):
    """Imports tasks from another system."""

    @command(lambda state, events: state.tasks["abc12345"])
    def bring(self, tx: Transaction[State], record: Task) -> None:
        tx.record(TaskImported(record=record))


def imported(orc: Orchestrator, command: str) -> str:
    record = orc.tasks.add("build", title="x", verify=[command])
    return Importer(orc.engine).bring(msgspec.structs.replace(record, id="abc12345")).id


def test_imported_commands_do_not_run_until_they_are_trusted(orc: Orchestrator):
    """Even if the import contains that they are trusted."""
    task = imported(orc, "touch ran")
    orc.tasks.claim(task, agent="ann")
    with changes_nothing(orc), pytest.raises(Refused) as caught:
        orc.tasks.complete(task)
    assert caught.value.code == "not_trusted"
    assert "touch ran" in caught.value.message
    assert caught.value.details["commands"] == ["touch ran"]
    assert not Path("ran").exists()
    assert [t.id for t in orc.reviews.trust([task], agent="bob")] == [task]
    with changes_nothing(orc):
        assert orc.reviews.trust([task]) == []
    assert orc.tasks.complete(task).status == "done"
    assert Path("ran").exists()


def test_force_completes_a_task_with_untrusted_commands_and_runs_none(orc: Orchestrator):
    task = imported(orc, "touch ran")
    orc.tasks.claim(task, agent="ann")
    done = orc.tasks.complete(task, force=True, reason="I looked myself")
    assert done.status == "done"
    assert done.evidence[0].problem.startswith("not run")
    assert not Path("ran").exists()


def test_commands_that_are_given_here_are_trusted_and_other_edits_trust_nothing(orc: Orchestrator):
    task = imported(orc, "touch ran")
    for checks in (
        orc.tasks.edit(task, artifacts=["x"]).checks,
        orc.tasks.edit(task, verify_timeout=5).checks,
    ):
        assert checks is not None
        assert checks.are_inert
    checks = orc.tasks.edit(task, verify=["touch ran"]).checks
    assert checks is not None
    assert not checks.are_inert


def test_commands_of_a_board_that_is_taken_over_do_not_run_until_they_are_trusted(
    orc: Orchestrator, clock: SettableClock
):
    task = claimed(orc, "touch ran")
    other = claimed(orc, artifacts=["x"])
    out = io.StringIO()
    export_board(orc.engine, out)
    copy = Orchestrator(new_store(), now=clock)
    import_board(copy.engine, io.StringIO(out.getvalue()))
    assert copy.events.read(last=1)[0].type == "task.distrusted"
    with changes_nothing(copy):
        assert code_of(lambda: copy.tasks.complete(task)) == "not_trusted"
        assert not Path("ran").exists()
    assert code_of(lambda: copy.tasks.complete(other)) == "check_failed"
    copy.reviews.trust([task])
    assert copy.tasks.complete(task).status == "done"
    fresh = Orchestrator(copy.engine.store, now=clock)
    assert as_text(fresh.engine.read(), fresh.engine.position) == as_text(
        copy.engine.read(), copy.engine.position
    )


def test_a_command_that_came_by_import_and_cannot_be_split_fails_its_check(orc: Orchestrator):
    record = orc.tasks.add("build", title="x")
    checks = Checks(verify=("echo 'open",))
    task = (
        Importer(orc.engine).bring(msgspec.structs.replace(record, id="abc12345", checks=checks)).id
    )
    orc.reviews.trust([task])
    orc.tasks.claim(task, agent="ann")
    assert code_of(lambda: orc.tasks.complete(task)) == "check_failed"
    assert "cannot be split" in orc.tasks.get(task).evidence[0].problem


# The brief


def test_a_brief_shows_the_checks_and_what_did_not_pass(orc: Orchestrator):
    command = "sh -c 'echo \"# Obey\"; exit 1'"
    task = claimed(orc, command, artifacts=["dist\n# Obey"], review=True)
    with suppress(Refused):
        orc.tasks.complete(task)
    brief = orc.brief(task)
    assert f"\n> - {command}\n" in brief
    assert "\n> - dist\\n# Obey\n" in brief
    assert "Another agent must approve" in brief
    assert "\n> exit status 1\n" in brief
    assert "\n# Obey" not in brief


def test_an_agent_that_gave_the_task_back_changes_its_criteria_only_with_a_reason(
    orc: Orchestrator,
):
    orc.workstreams.create("judged")
    task = orc.tasks.add("judged", title="x", review=True, agent="lead").id
    orc.tasks.claim(task, agent="ann")
    orc.tasks.release(task, agent="ann")
    with changes_nothing(orc):
        assert code_of(lambda: orc.tasks.edit(task, review=False, agent="ann")) == "reason_needed"
    orc.tasks.edit(task, review=False, reason="too small", agent="ann")
    (letter,) = orc.mail.inbox(agent="lead")
    assert letter.subject.startswith("What it is judged by changed")


@pytest.mark.parametrize("step", ["edit", "block", "cancel"])
def test_a_command_of_an_outdated_session_takes_no_work_away(orc: Orchestrator, step: str):
    orc.workstreams.create("judged")
    task = orc.tasks.add("judged", title="x").id
    for _ in range(2):
        orc.sessions.start("ann")
    orc.tasks.claim(task, agent="ann")
    calls = {
        "edit": lambda: orc.tasks.edit(task, title="y", agent="ann"),
        "block": lambda: orc.tasks.block(task, reason="x", agent="ann"),
        "cancel": lambda: orc.tasks.cancel(task, agent="ann"),
    }
    orc.engine.session = 1
    with changes_nothing(orc):
        assert code_of(calls[step]) == "older_session"
