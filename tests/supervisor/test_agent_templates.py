"""The agents that come with the toolkit: their files are copied, and they work from a request to its end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator import NotFound, Refused
from orchestrator.supervisor.agent_files import load_agents
from orchestrator.supervisor.agent_templates import TEMPLATES, add_template, find_template

from .running import Town, payload

EXAMPLES = Path(__file__).parents[2] / "examples"


def add(town: Town, template: str) -> None:
    """Add the agents of a template as they are, and trust them."""
    add_template(find_template(template), str(town.agents))
    town.trust.add(
        {agent.path: agent.digest for agent in load_agents(str(town.agents)).agents.values()}
    )


def program(town: Town, monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    folder = town.project / "programs"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_files_of_a_template_are_agents_and_short(name: str):
    files = load_agents(TEMPLATES[name].folder)
    assert not files.bad
    assert files.agents
    for agent in files.agents.values():
        assert agent.settings.description
        assert len(agent.body) < 1000  # each attempt pays for it


def test_nothing_is_overwritten_and_all_files_are_added_or_none(tmp_path: Path):
    template = find_template("plan-code-review")
    (tmp_path / "plan.md").write_text("mine")
    with pytest.raises(Refused, match=r"plan\.md exists"):
        add_template(template, str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["plan.md"]
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(Refused, match="link"):
        add_template(template, str(tmp_path / "link"))
    with pytest.raises(NotFound, match="did you mean 'plan-code-review'"):
        find_template("plan-code-reviw")


def test_plan_code_review_works_a_request_until_the_review_approves(
    town: Town, monkeypatch: pytest.MonkeyPatch
):
    add(town, "plan-code-review")
    script = f'exec "{sys.executable}" "{EXAMPLES / "stand_in_claude.py"}" 0 "$@"'
    program(town, monkeypatch, "claude", f"#!/bin/sh\n{script}\n")
    with town.running() as runner:
        town.push("plan.request", {"prd_path": "prds/greet.md"}, agent="ann")
        runner.until_events("subscription.finished", 7)
    made = [record.type for record in runner.events if "subscription" not in record.type]
    round_ = ["plan.created", "code.review", "review.created"]
    assert made == ["plan.request", *round_, *round_]
    verdicts = [payload(record)["verdict"] for record in runner.of_type("review.created")]
    assert verdicts == ["revise", "approve"]
    assert "empty name" in (town.project / "plans" / "greet.md").read_text()
    assert 'or "world"' in (town.project / "greet.py").read_text()
    assert all(not subscriber.attempts for subscriber in town.orc.subscriptions.all())
    assert town.orc.subscriptions.dead() == []


ENDLESS = """\
#!/bin/sh
cat > /dev/null
case "$ORC_AGENT" in
plan) type=plan.created ;;
code) type=code.review ;;
review) type=review.created ;;
esac
busytown events push --worker "$ORC_AGENT" --type $type --payload '{"verdict": "revise"}' > /dev/null
echo '{"type": "result", "subtype": "success"}'
"""


def test_a_review_that_never_approves_ends_after_the_rounds_of_the_plan(
    town: Town, monkeypatch: pytest.MonkeyPatch
):
    add(town, "plan-code-review")
    program(town, monkeypatch, "claude", ENDLESS)
    with town.running() as runner:
        town.push("plan.request", {"prd_path": "prds/greet.md"}, agent="ann")
        (died,) = runner.until_events("subscription.died")
    assert len(runner.of_type("plan.created")) == 5
    assert payload(died)["event"] == runner.of_type("review.created")[-1].id
    assert "has been started 5 times" in payload(died)["reason"]
    assert "plan has been started 5 times" in town.orc.status().text()


TEAM = """\
#!/bin/sh
work=$(cat)
answer() { echo "{\\"type\\": \\"result\\", \\"subtype\\": \\"success\\", \\"result\\": \\"$1\\"}"; }
added() { sed -n 's/Added task \\([^:]*\\):.*/\\1/p'; }
case "$ORC_AGENT" in
planner)
    a=$(orc add team "Write a" --review --touches a | added)
    b=$(orc add team "Write b" --review --touches b | added)
    c=$(orc add team "Join them" --review --needs $a,$b | added)
    orc convoy add $(echo "$work" | sed 's/.*"convoy":"\\([^"]*\\)".*/\\1/') $a $b $c > /dev/null
    answer "three tasks" ;;
worker)
    case "$work" in
    *"not tested"*) touch tested ;;
    *": Write a"*) echo met > meet ;;
    *": Write b"*) read met < meet ;;
    *) ls tested ;;
    esac
    answer "written" ;;
reviewer)
    case "$work" in
    *": Write a"*) test -e tested && answer "approve" || answer "reject: it is not tested" ;;
    *) answer "approve" ;;
    esac ;;
esac
"""


def test_a_team_turns_a_request_into_tasks_works_them_side_by_side_and_reports(
    town: Town, monkeypatch: pytest.MonkeyPatch
):
    add(town, "team")
    program(town, monkeypatch, "claude", TEAM)
    os.mkfifo(town.project / "meet")  # both ends are opened only if two workers run at once
    with town.running() as runner:
        request = town.orc.supervisor.request("Write a and b", agent="ann")
        runner.until_events("convoy.landed")
        runner.until_events("subscription.finished", 9)
    convoy = town.orc.convoys.get(payload(request)["convoy"])
    ended = [town.orc.tasks.get(id) for id in convoy.tasks]
    assert [(task.title, task.status) for task in ended] == [
        ("Write a", "done"),
        ("Write b", "done"),
        ("Join them", "done"),
    ]
    assert {task.assigned_to for task in ended} == {"worker"}
    assert {item.agent for task in ended for item in task.evidence} == {"reviewer"}
    assert len(runner.of_type("task.rejected")) == 1
    (report,) = town.orc.mail.inbox(agent="ann")
    assert report.subject == f"Convoy {convoy.name} has landed"
    assert town.orc.subscriptions.dead() == []


def test_who_asks_hears_that_the_planner_could_not_work_the_request(
    town: Town, monkeypatch: pytest.MonkeyPatch
):
    add(town, "team")
    program(town, monkeypatch, "claude", "#!/bin/sh\necho no key >&2; exit 1\n")
    with town.running() as runner:
        request = town.orc.supervisor.request("Write a and b", agent="ann")
        runner.until_events("message.sent")
    (message,) = [
        town.orc.mail.read(item.id, agent="ann") for item in town.orc.mail.inbox(agent="ann")
    ]
    (letter,) = town.orc.subscriptions.dead()
    assert message.subject == "Given up: Write a and b"
    assert f"planner could not work event {request.id}" in message.body
    assert letter.reason in message.body
    assert f"`events retry {letter.number}` tries again" in message.body


def test_a_task_that_the_reviewer_always_rejects_fails_after_the_rounds_of_the_worker(
    town: Town, monkeypatch: pytest.MonkeyPatch
):
    add(town, "team")
    text = (
        'cat > /dev/null; echo \'{"type": "result", "subtype": "success", "result": "reject: no"}\''
    )
    program(town, monkeypatch, "claude", f"#!/bin/sh\n{text}\n")
    town.orc.workstreams.create("team")
    task = town.orc.tasks.add("team", title="Write it", review=True)
    town.orc.convoys.create("c", [task.id], notify=["ann"])
    with town.running() as runner:
        runner.until_events("task.failed")
        assert len(runner.of_type("task.rejected")) == 5
        reason = "it was rejected 5 times, and `rounds` of worker allows no more"
        assert town.orc.tasks.get(task.id).reason == reason
        messages = [
            town.orc.mail.read(item.id, agent="ann") for item in town.orc.mail.inbox(agent="ann")
        ]
        assert any(reason in message.body for message in messages)
        town.orc.tasks.reopen(task.id)
        runner.until_events("task.rejected", 6)


def test_the_demo_ends_approved_and_leaves_nothing(memory_path: Path):
    demo = subprocess.run(
        [sys.executable, EXAMPLES / "demo_runner.py", "0"],
        cwd=memory_path,
        env=os.environ | {"TMPDIR": str(memory_path)},
        capture_output=True,
        text=True,
    )
    assert (demo.returncode, demo.stderr) == (0, "")
    assert "verdict=revise" in demo.stdout
    assert "verdict=approve" in demo.stdout
    assert "Hello, Ann!\n\n$ python greet.py ''\nHello, world!\n" in demo.stdout
    assert [*memory_path.iterdir()] == []
