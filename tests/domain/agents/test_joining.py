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


@pytest.mark.needs("proc")
def test_a_given_name_is_kept_and_gets_a_number_while_another_program_has_it(
    orc: Orchestrator,
) -> None:
    assert orc.sessions.join("claude", host=HERE, folder="/w", name="ann").agent == "ann"
    assert orc.sessions.join("claude", host=HERE, folder="/w", name="ann").incarnation == 1
    second = orc.sessions.join("claude", host=f"{HERE}x", folder="/w", name="ann")
    assert second.agent == "ann-2"
    assert orc.sessions.join("claude", host=f"{HERE}x", folder="/w", name="ann") == second
    assert orc.sessions.in_host(f"{HERE}x", "ann") == second
    orc.sessions.end(agent="ann")
    assert orc.sessions.join("claude", host=GONE, folder="/w", name="ann").incarnation == 2


def test_a_given_name_is_that_of_a_registered_agent_but_no_number_of_it_is(
    orc: Orchestrator,
) -> None:
    orc.agents.register("ann")
    orc.agents.register("ann-2")
    assert orc.sessions.join("claude", host=HERE, name="ann").agent == "ann"
    with orc.engine.presence.serving_as("ann"):
        other = orc.sessions.join("claude", host=HERE, name="ann", alone=True)
    assert other.agent == "ann-3"


@pytest.mark.parametrize("name", ["", "ann"])
def test_two_servers_of_one_program_share_no_name(orc: Orchestrator, name: str) -> None:
    join = {"client": "claude", "host": HERE, "folder": "/w", "name": name, "alone": True}
    first = orc.sessions.join(**join)
    with orc.engine.presence.serving_as(first.agent):
        second = orc.sessions.join(**join)
        assert second.agent == f"{first.agent}-2"
    assert orc.sessions.join(**join) == first


def test_a_renamed_agent_is_the_one_that_the_former_name_means(orc: Orchestrator) -> None:
    orc.sessions.join("claude", host=HERE, folder="/w", name="ann")
    orc.agents.rename("ann", "anna", agent="ann")
    assert orc.sessions.join("claude", host=HERE, folder="/w", name="ann").agent == "anna"
    with orc.engine.presence.serving_as("ann"):
        assert orc.agents.get("anna").presence == "online"


@pytest.mark.needs("proc")
def test_a_served_agent_is_gone_with_the_program_that_it_is_served_to(orc: Orchestrator) -> None:
    orc.sessions.join("claude", host=GONE, folder="/w", name="ann")
    with orc.engine.presence.serving_as("ann"):
        assert orc.agents.get("ann").presence == "gone"


def test_a_served_agent_without_a_session_is_online(orc: Orchestrator) -> None:
    orc.agents.register("ann")
    with orc.engine.presence.serving_as("ann"):
        assert orc.agents.get("ann").presence == "online"
