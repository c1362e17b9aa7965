"""``busytown plan``: the command of busytown beside its event queue, for scripts and agents made for it."""

from orchestrator.domain.event_log import QueueEvent
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import BUSYTOWN
from orchestrator.interfaces.cli.event_queue import WORKER, pushed
from orchestrator.interfaces.cli.parameters import argument
from orchestrator.interfaces.cli.rendering import Answer
from orchestrator.interfaces.cli.run import Run


@BUSYTOWN.command("plan", example="plan prds/pay.md --worker ann")
@argument("prd", "The file that says what is wanted.", types.Type("FILE"))
@WORKER
def plan(run: Run, prd: str, worker: str | None) -> "Answer[QueueEvent]":
    """Push a plan.request for a file."""
    return pushed(run, "plan.request", {"prd_path": prd}, worker)
