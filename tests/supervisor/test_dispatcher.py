"""The dispatcher with real processes: each event has one finish, and nothing is left of an agent."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .running import Town


@pytest.fixture
def town(memory_path: Path) -> Iterator[Town]:
    town = Town(memory_path)
    yield town
    town.orc.close()


def payload(record: Any) -> Any:
    return json.loads(bytes(record.payload))


def test_an_event_starts_an_agent_which_finishes(town: Town):
    town.add("count", "echo counted {{event.payload.path}}; echo oh >&2", listen="[plan.*]")
    with town.running() as runner:
        event = town.push("plan.created", {"path": "a b.md"})
        (finished,) = runner.until_events("subscription.finished")
    said = payload(finished)
    assert (said["subscriber"], said["event"], said["attempt"]) == ("count", event, 1)
    assert said["report"]["exit_status"] == 0
    assert sorted(said["report"]["output"].splitlines()) == ["counted a b.md", "oh"]
    assert "counted a b.md\n" in town.log("count")
    assert town.notes() == []
