"""The text that teaches the loop: short, and of commands that exist."""

import re

from orchestrator.integrations.clients.onboarding import BEGIN, DESCRIPTION, END, block
from orchestrator.interfaces.cli.commands import BOARD


def test_it_costs_less_than_300_tokens() -> None:
    assert len(block().encode()) / 4 < 300


def test_every_command_in_it_exists() -> None:
    lines = [*re.findall(r"`orc ([^`]+)`", block()), *re.findall(r"`orc ([^`]+)`", DESCRIPTION)]
    assert len(lines) > 8
    for line in lines:
        word, *_ = line.split()
        assert word in BOARD.words or word in BOARD.verbs or word == "COMMAND", line


def test_it_is_marked_at_both_ends() -> None:
    assert block().startswith(BEGIN)
    assert block().endswith(f"{END}\n")
