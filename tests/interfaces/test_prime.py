"""Every command that ``orc prime`` prints runs as it is printed."""

import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import forked

Shell = Callable[..., str]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Run a line as a shell does that finds `orc`, with no agent named by a variable."""
    environment = {"ORCHESTRATOR_DIR": str(tmp_path / "board"), "PATH": os.environ["PATH"]}

    def run(line: str, *, agent: str = "", statuses: tuple[int, ...] = (0,)) -> str:
        named = {"ORC_AGENT": agent} if agent else {}
        program, *words = shlex.split(line)
        assert program == "orc"
        ended = forked.run(words, cwd=Path.cwd(), env={**environment, **named})
        assert ended.returncode in statuses, f"{line}: {ended.stderr}"
        return ended.stdout

    return run


def commands(page: str) -> list[str]:
    """The commands on a page, each once; waits are removed."""
    own = "\n".join(line for line in page.split("\n") if not line.startswith(">"))
    printed = dict.fromkeys(re.findall(r"`([^`]+)`", own))
    return [command.replace("--wait 10m", "--wait 0s") for command in printed if command != ">"]


def added(shell: Shell, title: str, options: str = "") -> str:
    return shell(f"orc t add build '{title}' {options}").split()[2].rstrip(":")


# 1: there is nothing to claim; 6: every task has ended.
ANSWERS = (0, 1, 6)


@pytest.mark.parametrize("stage", ["new", "ready", "hook", "review", "stuck", "ended"])
def test_every_command_runs_as_it_is_printed(shell: Shell, stage: str) -> None:
    shell("orc ws create build")
    shell("orc kb write grammar 'LL(1)' --agent bob")
    if stage != "new":
        task = added(shell, "Parser", "--review" if stage == "review" else "")
    if stage == "hook":
        shell(f"orc hook {task} --agent ann")
        shell("orc mail send ann -s hi -m x --agent bob")
        shell(f"orc claim {added(shell, 'Lexer')} ann")
    if stage in ("review", "stuck", "ended"):
        shell(f"orc claim {task} bob")
    if stage in ("review", "ended"):
        shell(f"orc done {task} --agent bob")
    page = shell("orc prime ann")
    printed = commands(page)
    assert len(printed) >= 2
    for command in printed:
        assert command.startswith("orc --agent ann ")
        shell(command, statuses=ANSWERS)


def test_a_variable_that_names_the_agent_makes_the_commands_shorter(shell: Shell) -> None:
    shell("orc ws create build")
    added(shell, "Parser")
    page = shell("orc prime", agent="ann")
    assert "--agent" not in page
    for command in commands(page):
        shell(command, agent="ann", statuses=ANSWERS)


def test_an_agent_works_a_board_to_its_end_with_the_commands_of_prime(shell: Shell) -> None:
    shell("orc ws create build")
    for title in ("Lexer", "Parser"):
        added(shell, title)
    give, done = commands(shell("orc prime ann").partition("## The loop")[2])[:2]
    for _ in range(2):
        assert "Claimed next task" in shell(give)
        assert shell(done).startswith("Completed: ")
    assert "Every task has ended" in shell("orc prime ann")
