"""``orc runner``: one cycle of plan, brief, work, collect."""

from typing import TYPE_CHECKING, Any

from orchestrator.core.clock import exact_times, local_time
from orchestrator.core.errors import UsageError
from orchestrator.core.printable import escape_json, escape_lines
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import RUNNER
from orchestrator.interfaces.cli.layout import is_terminal
from orchestrator.interfaces.cli.parameters import argument, flag, option
from orchestrator.interfaces.cli.rendering import Answer, say, to_json
from orchestrator.interfaces.cli.run import Run

if TYPE_CHECKING:
    from orchestrator.planning.cycle_report import Collected
    from orchestrator.planning.records import Plan

_FORMAT = option("--format", "A page at a terminal, else JSON.", types.choice("json", "markdown"))


@RUNNER.command("plan", example="plan --max 4")
@option("--max", "At most so many tasks side by side.", types.INTEGER, default=8)
@flag("--look", "Show the plan, and begin no cycle.")
@_FORMAT
def plan(run: Run, max: int, look: bool, format: str | None) -> "Answer[Plan]":
    """Begin a cycle: what can run side by side, what must wait, what needs attention."""
    from orchestrator.planning.plan_page import plan_page

    is_page = _is_page(format)
    with run.rehearsed(look), exact_times(not is_page):
        planned = run.orc.plan(max=max)
    if is_page:
        return Answer(planned, lambda: plan_page(planned, begun=not look).rstrip("\n"))
    return Answer(planned, lambda: _shown_json(planned))


@RUNNER.command("brief", example="brief build", reads=True)
@argument("target", "A workstream or a task.", types.WORKSTREAM_NAME)
@option("--budget", "Tokens of knowledge at most.", types.COUNT, default=4000)
def brief(run: Run, target: str, budget: int) -> "Answer[dict[str, str]]":
    """Print all that an agent needs to start a task, as markdown."""
    text = run.orc.brief(target, budget=budget, prog=run.prog, agent=run.agent)
    return say({"target": target, "brief": text}, escape_lines(text.removesuffix("\n")))


@RUNNER.command("collect", example="collect --format markdown --save cycle-3", reads=("save",))
@option("--cycle", "Which cycle; else the present one.", types.INTEGER)
@option("--since", "From a time on, or that long ago, or after an event.", types.WHEN)
@option("--save", "Write it into the knowledge base.", types.TOPIC_NAME)
@_FORMAT
def collect(run: Run, save: str | None, format: str | None, **period: Any) -> "Answer[Collected]":
    """Report the results of a cycle: tasks finished, failed, running and added, and knowledge."""
    if None not in period.values():
        raise UsageError("--cycle and --since exclude each other")
    collected = run.orc.collect(**period)
    if save is not None:
        run.orc.save_report(save, **period)
    if _is_page(format):
        return Answer(collected, lambda: escape_lines(collected.markdown(local_time).rstrip("\n")))
    return Answer(collected, lambda: _shown_json(collected))


def _is_page(format: str | None) -> bool:
    return format == "markdown" or (format is None and is_terminal())


def _shown_json(value: object) -> str:
    return escape_json(to_json(value).decode().rstrip("\n"))
