"""``orc patrol``: find work without progress."""

import time
from typing import TYPE_CHECKING

from orchestrator.core import clock
from orchestrator.core.errors import OrchestratorError, UsageError
from orchestrator.core.printable import escape
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import PATROL
from orchestrator.interfaces.cli.layout import lines
from orchestrator.interfaces.cli.parameters import argument, flag, option
from orchestrator.interfaces.cli.rendering import Answer, warn
from orchestrator.interfaces.cli.run import Run

if TYPE_CHECKING:
    from orchestrator import Orchestrator
    from orchestrator.domain.patrols.commands import PatrolRound
    from orchestrator.trees.patrol import TaskExplanation


@PATROL.command("run", example="run --every 30s", idempotent=True, local=True)
@flag("--once", "Look once; this is the default.")
@option("--every", "Look again after this pause, until the process is ended: 30s.", types.DURATION)
def run_(run: Run, once: bool, every: str | None) -> "Answer[PatrolRound] | None":
    """Tell agents by mail about work without progress, and give back work whose lease has ended.

    It finds tasks whose agent gives no sign of life, agents that are gone and still have work or locks,
    leases that are about to end, branches that wait to be merged, convoys without a change, and worktrees
    whose task no agent has. After some nudges it tells the overseer. It ends no process and removes nothing.
    Two patrols at the same time do nothing twice. [patrol] in config.toml sets the limits.
    """
    from orchestrator.trees.patrol import told

    def answer(done: "PatrolRound") -> "Answer[PatrolRound]":
        return Answer(done, lambda: lines(map(escape, told(done)), empty="Nothing is due."))

    if every is None:
        return answer(_look(run.orc))
    if once:
        raise UsageError("Give one of --once and --every")
    pause = max(clock.duration(every), 1.0)
    with run.lasting() as orc:
        while True:
            done = _look(orc)
            if any(told(done)):
                run.show(answer(done), as_json=run.settings.json, lossy=True)
            _rest(orc, pause)


@PATROL.command("explain", example="explain 7f3a0c1e", reads=True)
@argument("task", "The task.", types.TASK_ID)
def explain(run: Run, task: str) -> "Answer[TaskExplanation]":
    """Show what a patrol knows about a task, whom it told, and what it does next."""
    known = run.orc.patrols.explain(task)
    now = run.orc.engine.now()
    return Answer(known, lambda: lines(map(escape, known.lines(now)), empty=""))


def _look(orc: "Orchestrator") -> "PatrolRound":
    """Look once; ends of terminals that tmux has missed are recorded first."""
    try:
        orc.terminals.reap()
    except OrchestratorError as error:  # tmux was removed meanwhile, or fails
        warn(error.message)
    return orc.patrols.run()


def _rest(orc: "Orchestrator", seconds: float) -> None:
    """Wait for the next look; signals are delivered meanwhile."""
    orc.engine.pause()
    time.sleep(seconds)
