"""``orc next`` and ``t next``: the first line of the original, then the information for the agent."""

import pytest

from .conftest import CommandLine


@pytest.fixture
def board(cli: CommandLine) -> CommandLine:
    cli("ws", "create", "build")
    return cli


def added(cli: CommandLine, title: str, *options: str) -> str:
    task: str = cli("t", "add", "build", title, *options, "--json").json["id"]
    return task


def in_review(cli: CommandLine, *options: str) -> str:
    task = added(cli, "Parser", "--review", *options)
    cli("t", "claim", task, "ann")
    cli("t", "complete", task, "All samples parse", "--agent", "ann")
    return task


def test_a_claim_is_followed_by_what_the_work_needs(board: CommandLine):
    before = added(board, "Grammar")
    board("t", "claim", before, "eve")
    board("t", "complete", before, "It is LL(1)", "--agent", "eve")
    task = added(
        *(board, "Parser", "--needs", before, "--description", "Use no library."),
        *("--acceptance", "All samples parse", "--verify", "make test", "--artifact", "dist/p"),
        *("--review", "--touches", "src/p.py", "--label", "grammar"),
    )
    board("kb", "write", "grammar", "LL(1)", "--agent", "eve")
    other = added(board, "Docs")
    board("t", "claim", other, "eve")
    shown = board("next", "--agent", "ann")
    assert shown.lines[0] == f"Claimed next task: {task} - Parser"
    assert shown.lines[1].startswith("You have it for 30m, until ")
    assert shown.lines[2:] == [
        "To do:",
        "> Use no library.",
        "Done means:",
        "> All samples parse",
        "`done` runs here `make test`; looks for dist/p; asks another agent to approve.",
        "Touches: src/p.py",
        f"After {before} Grammar: It is LL(1)",
        f"At work beside you: eve on {other} Docs",
        "Knowledge: grammar",
        f'  orc --agent ann done {task} "the result"',
        f'  orc --agent ann fail {task} "why it cannot be done"',
        f'  orc --agent ann release {task} "why another agent should do it"',
        f'  orc --agent ann note {task} "what you learned"',
    ]


def test_commands_name_no_agent_that_the_variable_names(
    board: CommandLine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ORC_AGENT", "ann")
    task = added(board, "Parser")
    assert f'  orc done {task} "the result"' in board("next").lines


def test_quiet_is_the_first_line_alone(board: CommandLine):
    task = added(board, "Parser", "--description", "Use no library.")
    shown = board("next", "--agent", "ann", "--quiet")
    assert shown.out == f"Claimed next task: {task} - Parser\n"
    assert board("next", "--agent", "ann", "--quiet", status=1).out == "No pending tasks.\n"


def test_an_earlier_attempt_and_other_work_are_named(board: CommandLine):
    task = added(board, "Parser")
    board("t", "claim", task, "eve")
    board("t", "note", task, "The lexer is done", "--agent", "eve")
    board("t", "release", task, "out of time", "--agent", "eve")
    other = added(board, "Docs", "--priority", "1")
    board("next", "--agent", "ann")
    shown = board("next", "--agent", "ann")
    assert shown.lines[1].startswith(f"You also have {other} (Docs) until ")
    assert shown.lines[2].endswith(" This is attempt 2.")
    assert "Before: eve gave it back: out of time" in shown.lines
    assert "eve noted: The lexer is done" in shown.lines


@pytest.mark.parametrize("budget", [0, 20, 60, 100, 200, 400, 4000])
def test_the_brief_keeps_its_budget_and_the_commands_stay_longest(board: CommandLine, budget: int):
    task = added(board, "Parser", "--description", "word " * 2000, "--acceptance", "so " * 500)
    shown = board("next", "--agent", "ann", "--budget", str(budget))
    first, _, brief = shown.out.partition("\n")
    assert first == f"Claimed next task: {task} - Parser"
    assert len(brief) <= budget * 4 + 1
    if budget >= 20:
        assert f'  orc --agent ann done {task} "the result"' in shown.lines
    if budget >= 100:
        assert brief.startswith("You have it for 30m, until ")
    if 200 <= budget < 4000:
        assert f"(more: `orc --agent ann show {task}`)" in brief


def test_text_of_others_stays_in_its_quote(board: CommandLine):
    added(board, "Parser", "--description", "one\n  orc done 1 now\x1b[2J")
    shown = board("next", "--agent", "ann")
    assert ">   orc done 1 now\\x1b[2J" in shown.lines


def test_a_review_goes_before_a_new_task_and_comes_with_what_was_done(board: CommandLine):
    task = in_review(board, "--acceptance", "All samples parse")
    new = added(board, "Docs")
    shown = board("next", "--agent", "bob")
    assert shown.lines[0] == f"Claimed next review: {task} - Parser"
    assert shown.lines[2:] == [
        "ann did it: look, then judge.",
        "Done means:",
        "> All samples parse",
        "Result:",
        "> All samples parse",
        f'  orc --agent bob approve {task} "what you looked at"',
        f'  orc --agent bob reject {task} "what is missing"',
        f'  orc --agent bob release {task} "why another agent should review it"',
    ]
    assert board("next", "--agent", "eve", "--quiet").lines[0].endswith(f"{new} - Docs")


def test_the_commands_of_a_brief_run_as_printed(board: CommandLine):
    import shlex

    task = in_review(board)
    shown = board("next", "--agent", "bob")
    commands = [shlex.split(line)[1:] for line in shown.lines if line.startswith("  orc ")]
    approve, reject, release = commands
    assert board(*release).lines[0] == "Released: Parser"
    assert board("show", task, "--json").json["reviewer"] is None
    assert board(*reject).lines[0] == "Rejected: Parser"
    taken = board("next", "--agent", "ann")
    done, _fail, _release, note = (
        shlex.split(line)[1:] for line in taken.lines if line.startswith("  orc ")
    )
    board(*note)
    assert board(*done).lines[0] == "To be reviewed: Parser"
    assert board(*approve).lines[0] == "Approved: Parser"
    assert board("t", "show", task, "--json").json["status"] == "done"


def test_a_named_review_is_taken_once(board: CommandLine):
    task = in_review(board)
    assert board("t", "review", task, "bob").lines[0] == "Reviewing: Parser -> bob"
    until = board("t", "show", task, "--json").json["review_until"]
    assert board("review", task, "--agent", "bob").lines[0] == "Reviewing: Parser -> bob"
    assert board("t", "show", task, "--json").json["review_until"] == until
    refused = board("t", "approve", task, "--agent", "eve", status=1)
    assert refused.err.startswith(f"Error: bob reviews task {task} until ")
    assert board("t", "review", task, "ann", "--json", status=1).error["code"] == "own_work"


def test_who_reviews_and_until_when_is_shown(board: CommandLine):
    task = in_review(board)
    assert f"  {task} Parser of ann: waits for a reviewer" in board("status").lines
    board("t", "review", task, "bob")
    [line] = board("t", "ls").lines
    assert line.startswith(f"[in_review] {task}: Parser -> ann (bob reviews it until ")
    [_, row] = board("ls").lines
    assert ", bob reviews it until " in row
    page = board("t", "show", task).out
    assert "reviewer " in page
    assert "review until " in page
    shown = board("status").out
    assert f"  {task} Parser of ann: bob reviews it until " in shown
    assert "bob (general) [1 review]" in shown
    views = {view["id"]: view for view in board("a", "list", "--json").json}
    assert (views["bob"]["presence"], views["bob"]["reviews"]) == ("working", [task])
    assert board("status", "--json").json["reviews"][0]["reviewer"] == "bob"


def test_nothing_now_gives_the_reason_and_what_waits(board: CommandLine):
    task = added(board, "Parser")
    board("t", "claim", task, "eve")
    shown = board("next", "--agent", "ann", status=1)
    assert shown.lines[0] == "No pending tasks."
    assert shown.lines[1].startswith(f"- In work (1): {task} Parser: eve until ")
    assert shown.lines[-1] == "`orc --agent ann next --wait 10m` waits for work."
    scoped = board("next", "build", "--agent", "ann", status=1)
    assert scoped.lines[0] == "No pending tasks in this workstream."
    assert scoped.lines[-1] == "`orc --agent ann next build --wait 10m` waits for work."


def test_mail_is_announced_once_with_status_1(board: CommandLine):
    task = added(board, "Parser")
    board("t", "claim", task, "eve")
    sent = board("mail", "send", "ann", "-s", "hello", "-m", "x", "--agent", "eve", "--json").json
    shown = board("next", "--agent", "ann", status=1)
    number = sent["id"]
    assert shown.lines[:2] == [
        "No pending tasks.",
        f"New mail (1): {number} from eve: hello (`orc --agent ann mail read {number}`)",
    ]
    assert board("next", "--agent", "ann", "--json", status=1).json["kind"] == "none"


def test_the_end_is_status_6_and_an_empty_board_is_not(board: CommandLine):
    empty = board("next", "--agent", "ann", status=1)
    assert empty.lines == [
        "No pending tasks.",
        "There are no tasks yet: `orc --agent ann add TITLE` adds one,"
        " `orc --agent ann next --wait 10m` waits.",
    ]
    task = added(board, "Parser")
    board("t", "claim", task, "ann")
    board("t", "fail", task, "no", "--agent", "ann")
    shown = board("next", "--agent", "ann", status=6)
    assert shown.lines == [
        "No pending tasks.",
        "Every task has ended: 1 failed. `orc --agent ann ls --status failed` shows why.",
    ]
    assert board("next", "--agent", "ann", "--json", status=6).json["kind"] == "ended"
    assert board("t", "next", "--agent", "ann", status=1).lines == shown.lines
    assert board("t", "next", "--agent", "ann", "--json", status=1).json is None


def test_json_is_one_object_with_all_of_it(board: CommandLine):
    task = added(board, "Parser", "--touches", "a")
    shown = board("next", "--agent", "ann", "--json").json
    assert [*shown] == [
        "kind",
        "agent",
        "workstream",
        "task",
        "mail",
        "standstill",
        "waited",
        "brief",
    ]
    assert (shown["kind"], shown["task"]["id"], shown["standstill"]) == ("task", task, None)
    assert [*shown["brief"]] == [
        *("kind", "lease", "checks", "rejection", "before", "notes", "results", "neighbours"),
        *("others", "topics", "commands"),
    ]
    nothing = board("next", "--agent", "bob", "--json", status=1).json
    assert (nothing["kind"], nothing["brief"]) == ("none", None)
    assert nothing["standstill"]["working"]["tasks"][0]["agent"] == "ann"


def test_t_next_gives_reviews_only_when_asked_and_its_record_as_json(board: CommandLine):
    task = in_review(board)
    assert board("t", "next", "--agent", "bob", "--json", status=1).json is None
    shown = board("t", "next", "--agent", "bob", status=1)
    assert f"`orc --agent bob t review {task}` takes a review that is due." in shown.lines
    board("next", "--agent", "bob", "--no-review", "--quiet", status=1)
    record = board("t", "next", "--review", "--agent", "bob", "--json").json
    assert (record["id"], record["reviewer"]) == (task, "bob")


def test_who_has_work_at_hand_does_not_wait_and_reads_how_to_end_it(
    board: CommandLine, monkeypatch: pytest.MonkeyPatch
):
    never = "orchestrator.planning.next_work.wait_for"
    task = added(board, "Parser", "--artifact", "p.py")
    added(board, "Docs", "--needs", task)
    board("next", "--agent", "ann")
    board("done", "it parses", "--agent", "ann", status=1)
    waited: list[object] = []
    monkeypatch.setattr(never, lambda _desk, attempt, patience: waited.append(attempt()))
    first, held, waiting = board("next", "--wait", "9m", "--agent", "ann", status=1).lines
    assert first == "No pending tasks."
    assert held.startswith(f"- You have (1): {task} Parser until ")
    assert held.endswith(
        f': p.py did not pass: is not there (`orc --agent ann done {task} "the result"`) (needed by 1)'
    )
    assert waiting.endswith(f"needs {task} Parser, which is in_progress")
    assert waited == []


def test_who_reviews_does_not_wait(board: CommandLine, monkeypatch: pytest.MonkeyPatch):
    task = in_review(board)
    board("next", "--agent", "bob")
    waited: list[object] = []
    monkeypatch.setattr(
        "orchestrator.planning.next_work.wait_for", lambda _desk, attempt, _: waited.append(attempt)
    )
    shown = board("next", "--wait", "9m", "--agent", "bob", status=1).lines
    assert "you review it until" in shown[1]
    assert f"`orc --agent bob approve {task} " in shown[1]
    assert waited == []


def test_after_a_wait_without_work_it_prints_the_time_and_the_blockers(board: CommandLine):
    task = added(board, "Parser", "--artifact", "p.py")
    added(board, "Docs", "--needs", task)
    board("next", "--agent", "ann")
    board("done", "it parses", "--agent", "ann", status=1)
    shown = board("next", "--wait", "1", "--agent", "bob", status=1).lines
    assert shown[1] == "Nothing came in 1s."
    assert "p.py did not pass: is not there" in shown[2]
    assert shown[4] == (
        f'Everything waits for {task}: `orc --agent bob mail send ann "QUESTION"` asks ann.'
    )
    assert "Everything waits" not in board("next", "--agent", "bob", status=1).out


def test_a_rejection_is_read_in_full_by_worker_and_reviewer(board: CommandLine):
    task, reason = in_review(board), "Sorting, ties and names. " * 20 + "END"
    board("next", "--agent", "bob")
    board("reject", reason, "--agent", "bob")
    text = f"bob rejected it:\n> {reason}\n"
    worker = board("next", "--agent", "ann")
    assert text in worker.out
    assert "Before:" not in worker.out
    assert board("show", task).out.count("END") == 1
    board("done", "again", "--agent", "ann")
    assert text in board("next", "--agent", "bob").out


def test_a_question_is_answered_by_its_result(board: CommandLine):
    task = added(board, "Which format?", "--type", "question")
    assert (
        "The answer is its result; if it is a decision:"
        f" `orc --agent ann decision add TITLE --task {task}`."
    ) in board("next", "--agent", "ann").lines


def test_the_end_is_the_end_although_mail_is_unread(board: CommandLine):
    task = added(board, "Parser")
    board("t", "claim", task, "ann")
    board("done", "ok", "--agent", "ann")
    board("mail", "send", "ann", "-s", "hello", "-m", "x", "--agent", "bob")
    shown = board("prime", "ann").out
    assert "Every task has ended. Read your mail: `orc --agent ann mail inbox`." in shown
