"""A request of an earlier version is known again: the line gives its command the same arguments."""

import json
import shlex
from pathlib import Path

import pytest

from .conftest import CommandLine

LINES = {
    "ws create docs --description d --priority 3 --agent bob": "97d131a0",
    "agent register ann builder --capability python,docs --max-load 3": "ab1242f9",
    "agent register bob": "0eeab7e0",
    "agent register cyd --capabilities a --capability b": "e4438eb8",
    "t add build One Desc 2 --agent ann": "2e5136b3",
    "t add build Six --type epic": "39a5a9b2",
    "t next build ann": "2bf6b5e4",
    "lock acquire git ann --ttl 5m": "1209ad29",
    "lock acquire db ann --shared --ttl 1h --wait 1s": "ad100bfb",
    "kb write findings The API needs a key --tags api,key --agent ann": "341bd2d3",
    "kb append f3 '- more'": "3b475ce5",
    "m send queue:reviews -s Hello -m Body --agent ann": "9de119a7",
    "m list reviewers ann bob": "641480c5",
    "e log deployed service=api replicas=3 --agent ann": "161706f0",
    "session start ann --agent ann": "2f238376",
    "handoff -s 'Tests next' -m 'See notes' --agent ann": "d7d2097a",
    "escalate 'Key expired' --severity high -m 'No deploy' --agent ann": "e5a43886",
    "runner plan --max 4": "fcb5a6f4",
    "runner collect --format markdown --save cyc": "d4c7451a",
}
"""Lines, and the digest that the version 1 wrote of their arguments."""


@pytest.mark.parametrize("line", LINES)
def test_the_arguments_of_a_line_have_the_digest_that_they_always_had(
    cli: CommandLine, tmp_path: Path, line: str
):
    cli("ws", "create", "build")
    cli("t", "add", "build", "first")
    cli("--request-id", "r-1", *shlex.split(line))
    log = (tmp_path / "board" / "state" / "events.jsonl").read_text().splitlines()
    requests = [json.loads(event).get("req") for event in log]
    assert [request["arguments"] for request in requests if request] == [LINES[line]]
