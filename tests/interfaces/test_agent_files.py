"""``trust`` and ``events map``: the files of agents that events start."""

import os
from pathlib import Path

import pytest

from orchestrator.api import Orchestrator
from orchestrator.engine import cause_mark

from .conftest import CommandLine

PLAN = (
    "---\ndescription: Plans\nlisten: [plan.request, review.*]\nemits: [plan.created]\n---\nPlan.\n"
)
REVIEW = "---\ntype: shell\nlisten: [plan.*]\nemits: [review.created]\n---\necho {{event.id}}\n"
BAD = '---\ntype: shell\nlisten: [x]\nretry: no\n---\necho "{{event.payload.x}}"\n'


@pytest.fixture(autouse=True)
def _user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_DATA_HOME", "HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "user"))


@pytest.fixture
def folder(cli: CommandLine) -> Path:
    agents = Path(os.environ["ORCHESTRATOR_DIR"], "agents")
    agents.mkdir()
    (agents / "plan.md").write_text(PLAN)
    (agents / "review.md").write_text(REVIEW)
    return agents


def states(cli: CommandLine) -> dict[str, str]:
    return {row["agent"]: row["state"] for row in cli("trust", "--json").json["agents"]}


def test_files_are_new_until_they_are_trusted_and_again_when_they_change(
    cli: CommandLine, folder: Path
):
    assert states(cli) == {"plan": "new", "review": "new"}
    assert cli("trust", "plan").out == f"Trusted: plan ({folder / 'plan.md'})\n"
    assert states(cli) == {"plan": "trusted", "review": "new"}
    cli("trust", "--all")
    assert states(cli) == {"plan": "trusted", "review": "trusted"}
    (folder / "plan.md").write_text(PLAN + "More.")
    assert states(cli) == {"plan": "changed", "review": "trusted"}
    cli("trust", "--revoke", "review")
    assert states(cli) == {"plan": "changed", "review": "new"}
    assert "changed" in cli("trust").out


def test_a_bad_file_is_reported_with_all_its_problems_and_cannot_be_trusted(
    cli: CommandLine, folder: Path
):
    (folder / "bad.md").write_text(BAD)
    out = cli("trust").out
    assert f"{folder / 'bad.md'} is skipped:\n  line 4: retry: " in out
    assert "  line 6: {{event.payload.x}} is refused, because it is inside double quotes" in out
    assert "line 4: retry" in cli("trust", "bad", status=2).err
    trusted = cli("trust", "--all").out
    assert f"{folder / 'bad.md'} is skipped:\n  line 4: retry: " in trusted
    assert states(cli) == {"plan": "trusted", "review": "trusted"}


def test_that_every_event_starts_an_agent_is_said_where_it_is_trusted_and_checked(
    cli: CommandLine, folder: Path
):
    (folder / "all.md").write_text("---\ntype: shell\n---\ntrue\n")
    (folder / "none.md").write_text("---\nruntime: shell\n---\ntrue\n")
    trusted = cli("trust", "all", "none").out.splitlines()
    assert trusted[2].startswith("all is started by every event of the board")
    assert len(trusted) == 3
    checked = cli("runner", "check", "all", "none").out
    assert "  starts on  every event of the board: " in checked
    assert "  starts on  nothing: it has no listen, takes, every or cron" in checked


class TestCheck:
    def test_the_agents_that_are_named_are_checked(self, cli: CommandLine, folder: Path):
        (folder / "bad.md").write_text(BAD)
        assert [
            row["agent"]
            for row in cli("runner", "check", "plan", "--json", status=None).json["agents"]
        ] == ["plan"]
        assert "bad.md cannot be used" in cli("runner", "check", status=1).out
        assert "line 4: retry" in cli("runner", "check", "bad", status=2).err
        assert "did you mean 'plan'?" in cli("runner", "check", "plam", status=1).err

    def test_no_line_is_long(self, cli: CommandLine, folder: Path):
        (folder / "plan.md").write_text(PLAN.replace("Plan.", "Plan. " * 100))
        out = cli("runner", "check", status=None).out
        assert max(map(len, out.replace(str(folder), "").splitlines())) < 120


class TestPush:
    @pytest.mark.parametrize(
        ("type", "why"),
        [
            ("plam.request", "No agent listens for plam.request; did you mean 'plan.request'?"),
            ("plan.request", "No runner has loaded plan, review yet, and an agent hears events"),
        ],
    )
    def test_an_event_that_starts_no_agent_says_so_after_it_is_pushed(
        self, cli: CommandLine, folder: Path, type: str, why: str
    ):
        pushed = cli("events", "push", "--type", type, "--worker", "ann")
        assert pushed.json["type"] == type
        assert pushed.err.startswith(f"Note: {why}")
        with Orchestrator.open(os.environ["ORCHESTRATOR_DIR"]) as orc:
            orc.subscriptions.open("plan")
        again = cli("events", "push", "--type", type, "--worker", "ann")
        assert bool(again.err) == (type == "plam.request")

    def test_without_agent_files_and_for_agents_nothing_is_said(
        self, cli: CommandLine, folder: Path, monkeypatch: pytest.MonkeyPatch
    ):
        with Orchestrator.open(os.environ["ORCHESTRATOR_DIR"]) as orc:
            mark = cause_mark(orc.events.push("x", agent="ann"))
        monkeypatch.setenv("ORC_CAUSE", mark)
        assert not cli("events", "push", "--type", "x", "--worker", "plan").err
        monkeypatch.delenv("ORC_CAUSE")
        for path in folder.iterdir():
            path.unlink()
        assert not cli("events", "push", "--type", "x", "--worker", "ann").err


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("trust nobody", 1),
        ("trust --revoke", 2),
        ("trust plan --all", 2),
        ("trust --agents-dir no", 1),
    ],
)
def test_what_is_refused(cli: CommandLine, folder: Path, line: str, status: int):
    assert cli(*line.split(), status=status).err.startswith("Error: ")
    assert states(cli) == {"plan": "new", "review": "new"}


def test_a_near_name_is_offered(cli: CommandLine, folder: Path):
    assert "did you mean 'plan'?" in cli("trust", "plam", status=1).err


def test_the_map_draws_who_listens_to_what_and_emits_what(cli: CommandLine, folder: Path):
    assert cli("events", "map").out == (
        "flowchart LR\n"
        '  event1(["plan.created"])\n'
        '  event2(["review.created"])\n'
        '  event3(["plan.request"])\n'
        '  agent1["plan"]\n'
        '  agent2["review"]\n'
        "  event3 --> agent1\n"
        "  event2 --> agent1\n"
        "  event1 --> agent2\n"
        "  agent1 --> event1\n"
        "  agent2 --> event2\n"
    )


def test_another_folder_of_agent_files(cli: CommandLine, folder: Path, tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "only.md").write_text(PLAN)
    assert '["only"]' in cli("events", "map", "--agents-dir", str(tmp_path / "mine")).out
    assert (
        cli("trust", "--agents-dir", str(tmp_path / "mine"), "--json").json["agents"][0]["agent"]
        == "only"
    )


def test_without_agent_files_there_is_nothing_to_trust(cli: CommandLine, folder: Path):
    for path in folder.iterdir():
        path.unlink()
    assert cli("trust").out == "No agents.\n"
    assert cli("events", "map").out == "flowchart LR\n"


class TestTemplates:
    def test_add_copies_files_and_names_the_next_commands(
        self, cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.chdir(tmp_path)
        assert cli("agent", "template").lines[0] == "plan-code-review: code, plan, review"
        added = cli("agent", "template", "add", "plan-code-review").out.splitlines()
        assert [line.split()[0] for line in added] == 3 * ["Added:"] + [
            "Read",
            *2 * ["orc"],
            "busytown",
        ]
        assert added[4:] == [
            "  orc trust code plan review",
            "  orc runner run",
            "  busytown plan FILE",
        ]
        assert states(cli) == {"code": "new", "plan": "new", "review": "new"}
        cli(*added[4].split()[1:])
        again = cli("agent", "template", "add", "plan-code-review", status=1)
        assert "nothing is overwritten" in again.err

    def test_a_folder_that_is_named_is_made(
        self, cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.chdir(tmp_path)
        line = ("agent", "template", "add", "plan-code-review", "--agents-dir", "a b")
        assert "  orc runner run --agents-dir 'a b'" in cli(*line).out.splitlines()
        assert sorted(path.name for path in (tmp_path / "a b").iterdir()) == [
            "code.md",
            "plan.md",
            "review.md",
        ]


class TestRequest:
    def test_a_request_is_an_event_with_a_convoy_for_its_tasks(
        self, cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.chdir(tmp_path)
        first = cli("request", "Add a dark\ntheme", "--agent", "ann").out
        assert "No agent listens for requests: `orc agent template add team` adds a team." in first
        cli("agent", "template", "add", "team")
        second = cli("request", "Add a light theme", "--agent", "bob", "--json").json
        third = cli("request", "x", "--agent", "ann").out
        assert "No agent" not in third
        assert "No runner has loaded planner yet" in third
        with Orchestrator.open(os.environ["ORCHESTRATOR_DIR"]) as orc:
            orc.subscriptions.open("planner")
        assert "No runner" not in cli("request", "x", "--agent", "ann").out
        (event,) = cli("events", "--worker", "bob", "--type", "team.request", "--json").json
        assert event["payload"] == {"text": "Add a light theme", "convoy": second["convoy"]}
        listed = {row["name"]: row for row in cli("convoy", "list", "--json").json}
        first_convoy = first.splitlines()[0].removeprefix("Requested: ")
        assert listed[first_convoy]["description"] == "Add a dark theme"
        assert listed[second["convoy"]]["notify"] == ["bob"]

    def test_what_is_refused(self, cli: CommandLine, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.delenv("ORC_AGENT", raising=False)
        assert "agent" in cli("request", "x", status=2).err
        assert "empty" in cli("request", " ", "--agent", "ann", status=2).err
        assert "missing" in cli("request", "--agent", "ann", status=2).err
        cli("ws", "create", "team")
        cli("ws", "close", "team")
        assert "closed" in cli("request", "x", "--agent", "ann", status=1).err
