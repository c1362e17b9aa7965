"""Files and a database: equal commands give equal answers, logs and states, alone and in groups."""

from pathlib import Path

import pytest
from boards import SettableClock, check_law
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator import Orchestrator, snapshot
from orchestrator.core.store import START
from tests import postgres_server

from .test_groups import COMMANDS, Command, Settled, count_ids, outcome

pytestmark = pytest.mark.skipif(
    not postgres_server.is_here(), reason="no PostgreSQL server is installed here"
)


def run(
    where: Path | str, groups: list[tuple[bool, list[Command]]]
) -> tuple[list[str], bytes, list[object]]:
    """The answers to commands on a new board, its state and its log."""
    with pytest.MonkeyPatch.context() as patch:
        count_ids(patch)
        with Orchestrator.open(where, agent="kim", now=SettableClock()) as orc:
            orc.engine._current.machine = "here"  # files have no need to name it
            orc.workstreams.create("build")
            answers = []
            for is_grouped, commands in groups:
                if is_grouped:
                    with orc.engine.grouped(Settled().append):
                        answers += [outcome(command, orc) for command in commands]
                else:
                    answers += [outcome(command, orc) for command in commands]
            check_law(orc)
            log = [
                replace(record, payload=bytes(record.payload))
                for chunk in orc.engine.store.read(START)
                for record in chunk.events
            ]
            return answers, snapshot.encode(orc.engine.read(), START), log


@settings(max_examples=max(1, settings().max_examples // 5))
@given(
    st.lists(
        st.tuples(st.booleans(), st.lists(st.sampled_from(COMMANDS), max_size=6)),
        min_size=1,
        max_size=4,
    )
)
def test_files_and_a_database_do_not_differ(
    tmp_path_factory: pytest.TempPathFactory, groups: list[tuple[bool, list[Command]]]
):
    url = f"{postgres_server.shared().new_board()}&commit=asynchronous"
    assert run(tmp_path_factory.mktemp("files") / "b", groups) == run(url, groups)
