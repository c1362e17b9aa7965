"""Sessions of programs without a name: one process is one agent, and two never share a name."""

import os

import pytest

from orchestrator import Orchestrator
from orchestrator.core import processes

HERE = f"{os.getpid()} " + " ".join(map(str, processes.system.identity(os.getpid())))
"""A process that runs."""

GONE = "1 1 another-boot"


def test_everything_of_one_process_is_one_session(orc: Orchestrator) -> None:
    first = orc.sessions.join("claude", host=HERE, folder="/w")
    assert (first.agent, first.incarnation, first.client) == ("claude", 1, "claude")
    assert orc.sessions.join("claude", host=HERE, folder="/w") == first
    assert orc.sessions.in_host(HERE) == first


@pytest.mark.needs("proc")
def test_a_second_program_gets_a_name_of_its_own(orc: Orchestrator) -> None:
    orc.sessions.join("claude", host=HERE, folder="/w")
    assert orc.sessions.join("claude", host=f"{HERE}x", folder="/w").agent == "claude-2"


@pytest.mark.needs("proc")
def test_the_name_is_kept_per_folder(orc: Orchestrator) -> None:
    orc.sessions.join("claude", host=GONE, folder="/one")
    orc.agents.rename("claude", "backend", agent="claude")
    assert orc.sessions.join("claude", host=f"{GONE}2", folder="/two").agent == "claude-2"
    again = orc.sessions.join("claude", host=HERE, folder="/one")
    assert (again.agent, again.incarnation) == ("backend", 2)


def test_a_name_that_others_gave_themselves_is_left_to_them(orc: Orchestrator) -> None:
    orc.agents.register("claude")
    assert orc.sessions.join("claude", host=HERE, folder="/w").agent == "claude-2"


def test_ending_a_session_twice_changes_nothing(orc: Orchestrator) -> None:
    orc.sessions.join("claude", host=HERE, folder="/w")
    assert orc.agents.get("claude").presence == "online"
    assert orc.sessions.end(agent="claude").outcome == "left"


@pytest.mark.needs("proc")
def test_an_agent_is_gone_with_its_program(orc: Orchestrator) -> None:
    orc.sessions.join("claude", host=GONE, folder="/w")
    assert orc.agents.get("claude").presence == "gone"


def test_a_note_without_words_keeps_those_of_this_session_only(orc: Orchestrator) -> None:
    orc.sessions.start("ann")
    orc.sessions.handoff(subject="one", note="n", keep=True, agent="ann")
    session = orc.sessions.handoff(keep=True, collect=True, agent="ann")
    assert (session.subject, session.note, session.is_live) == ("one", "n", True)
    orc.sessions.start("ann")
    session = orc.sessions.handoff(keep=True, agent="ann")
    assert (session.subject, session.note) == ("", "")
