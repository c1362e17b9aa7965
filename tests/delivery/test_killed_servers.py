"""Eight sessions send to each other while servers are killed: the short form of the stress suite."""

from pathlib import Path

from tests.stress.delivery import violations


def test_each_message_arrives_in_order_although_servers_are_killed(memory_path: Path) -> None:
    assert violations(memory_path, messages=64, kills=4, seed=1) == []
