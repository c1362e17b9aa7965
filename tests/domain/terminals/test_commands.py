"""The rules of terminals, without tmux."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from boards import add
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import BadName, Orchestrator, Refused
from orchestrator.domain.terminals.commands import TerminalRecords, TerminalStart
from orchestrator.domain.terminals.records import Terminal, session_name

START = TerminalStart(("claude", "-v", "-v", ""), "/work", "here", "/run/tmux")


def start(orc: Orchestrator, id: str, task: str | None = None) -> Terminal:
    return TerminalRecords(orc.engine)._start(id, START, task, "boss")


def end(orc: Orchestrator, terminal: Terminal, status: int | None = 0) -> Terminal:
    return TerminalRecords(orc.engine)._end(terminal, "exited", status, None)


@contextmanager
def refused(code: str, text: str = "") -> Iterator[None]:
    """The block is refused with this code, and a message or hint with this text."""
    with pytest.raises(Refused) as caught:
        yield
    assert caught.value.code == code
    assert text in f"{caught.value.message}. {caught.value.hint}"


def test_an_agent_has_one_terminal_and_each_has_a_session_of_its_own(orc: Orchestrator):
    first = start(orc, "ann")
    assert (first.started_by, first.program, first.is_live) == ("boss", "claude", True)
    with refused("terminal_exists", "`terminal stop ann` ends it"):
        start(orc, "ann")
    assert end(orc, first).status == 0
    second = start(orc, "ann")
    assert second.session != first.session
    end(orc, first)  # an old end does not end the new one
    assert orc.terminals.get("ann").is_live


def test_an_end_is_recorded_once(orc: Orchestrator):
    terminal = start(orc, "ann")
    ended = end(orc, terminal, 3)
    count = orc.engine.read().event
    assert end(orc, terminal, 7) == ended
    assert (orc.engine.read().event, ended.status) == (count, 3)


def test_the_cap_of_the_board_counts_what_runs(orc: Orchestrator):
    orc.engine.documents.write("config.toml", b"[terminal]\nmax = 2\n")
    first = start(orc, "ann")
    start(orc, "ben")
    with refused("too_many_terminals", "2 terminals run"):
        start(orc, "cid")
    end(orc, first)
    start(orc, "cid")


def test_a_task_must_be_open_and_not_in_the_hands_of_another(build: Orchestrator):
    held, free, done = (add(build, name) for name in ("held", "free", "done"))
    build.tasks.claim(held, agent="ben")
    build.tasks.cancel(done)
    with refused("already_claimed", "ben has task"):
        start(build, "ann", held)
    with refused("illegal_step", "is cancelled"):
        start(build, "ann", done)
    assert start(build, "ann", free[:5]).task == free
    assert start(build, "ben", held).task == held


def test_a_retired_agent_gets_none_and_a_name_is_checked(orc: Orchestrator):
    orc.agents.register("ann")
    orc.agents.retire("ann")
    with refused("retired"):
        start(orc, "ann")
    for name in ("../x", "a:b", "a\nb", "-x"):
        with pytest.raises(BadName):
            start(orc, name)
    orc.agents.register("Ben")
    with pytest.raises(BadName):
        start(orc, "ben")


def test_a_renamed_agent_keeps_its_terminal_and_no_other_takes_its_name(orc: Orchestrator):
    orc.agents.register("ann")
    session = start(orc, "ann").session
    start(orc, "eve")
    orc.agents.rename("ann", "anna")
    assert (orc.terminals.get("ann").agent, orc.terminals.get("anna").session) == ("anna", session)
    with refused("terminal_exists"):
        start(orc, "ann")
    with refused("name_taken"):
        orc.agents.rename("anna", "eve")


@given(st.lists(st.text(min_size=1), min_size=2, max_size=2, unique=True), st.integers(0, 10**9))
def test_names_of_sessions_differ_and_hold_nothing_that_tmux_reads(names: list[str], number: int):
    names = [name.encode("utf-8", "replace").decode() for name in names]
    sessions = {session_name(name, number) for name in names}
    assert len(sessions) == len({*names})
    for session in sessions:
        assert session.isascii()
        assert session.replace("-", "").replace("_", "").isalnum()
