"""Agents that events start, after the merge of a board on which they have worked."""

import shutil

from orchestrator import Orchestrator
from orchestrator.core.transaction import SYSTEM
from orchestrator.maintenance.board_merge.merge import merge_board

from .running import Town, payload


def test_an_agent_works_what_was_merged_unless_it_has_worked_it_there(town: Town):
    town.add("count", "true", listen="[job]")
    with town.running():
        pass  # it hears what comes from now on
    town.orc.close()
    other = town.project / "other"
    shutil.copytree(town.board, other)
    town.push("own")
    with Orchestrator.open(other, agent=SYSTEM) as there:
        settled = there.events.push("job")
        attempt = there.subscriptions.start("count", settled.id, after=0, lease=60)
        assert attempt is not None
        there.subscriptions.finish("count", settled.id, attempt.token)
        waiting = there.events.push("job")
        merge_board(town.orc.engine, there.engine, name="other")
    copies = [r for r in town.orc.engine.read_backwards() if r.type == "job"]
    (copy,) = [r.id for r in copies if r.origin is not None and r.origin.event == waiting.id]
    with town.running() as runner:
        (finished,) = runner.until_events("subscription.finished")
    assert payload(finished)["event"] == copy
    assert town.orc.subscriptions.get("count").attempts == ()
