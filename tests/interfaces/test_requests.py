"""A request of an earlier version is recognised: the same line gives its command the same arguments."""

import json
import shlex
import shutil
from pathlib import Path

import pytest

from .conftest import CommandLine

DATA = Path(__file__).parent.parent / "data"

LINES = {
    "ws create docs --description d --priority 3 --agent bob": ("workstreams.create", "97d131a0"),
    "agent register ann builder --capability python,docs --max-load 3": (
        "agents.register",
        "ab1242f9",
    ),
    "agent register bob": ("agents.register", "0eeab7e0"),
    "agent register cyd --capabilities a --capability b": ("agents.register", "e4438eb8"),
    "t add build One Desc 2 --agent ann": ("tasks.add", "2e5136b3"),
    "t add build Six --type epic": ("tasks.add", "39a5a9b2"),
    "t next build ann": ("tasks.next", "2bf6b5e4"),
    "lock acquire git ann --ttl 5m": ("locks.acquire", "1209ad29"),
    "lock acquire db ann --shared --ttl 1h --wait 1s": ("locks.acquire", "ad100bfb"),
    "kb write findings The API needs a key --tags api,key --agent ann": (
        "knowledge.write",
        "341bd2d3",
    ),
    "kb append f3 '- more'": ("knowledge.append", "3b475ce5"),
    "m send queue:reviews -s Hello -m Body --agent ann": ("mail.send", "9de119a7"),
    "m send bob,ann -s Hello -m Body --priority high --agent ann": ("mail.send", "d83af15d"),
    "m broadcast -s Freeze -m All --agent ann": ("mail.send", "feebee3a"),
    "m list reviewers ann bob": ("mail.set_list", "641480c5"),
    "e log deployed service=api replicas=3 --agent ann": ("journal.log", "161706f0"),
    "session start ann --agent ann": ("sessions.start", "2f238376"),
    "handoff -s 'Tests next' -m 'See notes' --agent ann": ("sessions.handoff", "d7d2097a"),
    "dispatch --ws build": ("dispatch.run", "d01e4693"),
    "escalate 'Key expired' --severity high -m 'No deploy' --agent ann": (
        "sessions.escalate",
        "e5a43886",
    ),
    "runner plan --max 4": ("runner.plan", "fcb5a6f4"),
    "runner collect --format markdown --save cyc": ("runner.save_report", "d4c7451a"),
}
"""Lines, with the command and the digest of its arguments that the first version wrote into the log."""


RECORDS = {
    "f pour feature --var feature=Login": "workflows.pour",
    "sling feature dan --var feature=Login --agent ann": "workflows.sling",
    "import beads issues.jsonl --ws imported": "arrivals.arrive",
    "import opspawn opspawn": "transfer.opspawn",
    "t batch plan.md --ws build": "batch.apply",
}
"""Lines whose commands are given records, of which no digest is promised."""


def requests_of(board: Path) -> list[tuple[str, str]]:
    log = (board / "state" / "events.jsonl").read_text(encoding="utf-8").splitlines()
    requests = [json.loads(event).get("req") for event in log]
    return [(request["command"], request["arguments"]) for request in requests if request]


@pytest.mark.parametrize("line", LINES)
def test_a_line_has_the_command_and_the_digest_that_it_always_had(
    cli: CommandLine, tmp_path: Path, line: str
):
    cli("ws", "create", "build")
    cli("t", "add", "build", "first")
    cli("agent", "register", "zoe")
    cli("--request-id", "r-1", *shlex.split(line))
    assert requests_of(tmp_path / "board") == [LINES[line]]


@pytest.mark.parametrize("line", RECORDS)
def test_a_line_with_records_has_the_command_that_it_always_had(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
):
    monkeypatch.chdir(tmp_path)
    bead = {"id": "bd-1", "title": "Bead", "status": "open", "priority": 1, "issue_type": "task"}
    Path("issues.jsonl").write_text(json.dumps(bead), encoding="utf-8")
    Path("plan.md").write_text("- One\n- Two\n", encoding="utf-8")
    shutil.copytree(DATA / "opspawn-board", "opspawn")
    if "opspawn" not in line:
        cli("ws", "create", "build")
    cli("--request-id", "r-1", *shlex.split(line))
    assert [command for command, _ in requests_of(tmp_path / "board")] == [RECORDS[line]]


def test_a_repeated_request_reports_its_change_again(cli: CommandLine) -> None:
    cli("ws", "create", "w")
    first = cli("ws", "edit", "w", "--priority", "2", "--request-id", "r1").out
    assert cli("ws", "edit", "w", "--priority", "2", "--request-id", "r1").out == first
    assert "Nothing changed" in cli("ws", "edit", "w", "--priority", "2").out
