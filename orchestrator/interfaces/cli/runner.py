"""``orc runner``: one cycle of plan, brief, work, collect."""

from typing import Any

from orchestrator.core.errors import UsageError
from orchestrator.core.printable import escape_json, escape_lines
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import RUNNER
from orchestrator.interfaces.cli.layout import is_terminal
from orchestrator.interfaces.cli.parameters import argument, flag, option
from orchestrator.interfaces.cli.rendering import Answer, say, to_json
from orchestrator.interfaces.cli.run import Run


@RUNNER.command("plan", example="plan --max 4")
@option("--max", "At most so many tasks side by side.", types.INTEGER, default=8)
@flag("--look", "Show the plan, and begin no cycle.")
@option("--format", "A page at a terminal, else JSON.", types.choice("json", "markdown"))
def plan(run: Run, max: int, look: bool, format: str | None) -> Answer:
    """Begin a cycle: what can run side by side, what must wait, what needs attention."""
    with run.rehearsed(look):
        planned = run.orc.plan(max=max)
    if format == "markdown" or (format is None and is_terminal()):
        from orchestrator.planning.plan_page import plan_page

        return Answer(planned, lambda: plan_page(planned, begun=not look).rstrip("\n"))
    return Answer(planned, lambda: escape_json(to_json(planned).decode().rstrip("\n")))


@RUNNER.command("brief", example="brief build", reads=True)
@argument("target", "A workstream or a task.", types.WORKSTREAM_NAME)
@option("--budget", "Tokens of knowledge at most.", types.COUNT, default=4000)
def brief(run: Run, target: str, budget: int) -> Answer:
    """Print all that an agent needs to start a task, as markdown."""
    from orchestrator.planning.runner import Planning

    planning = Planning(run.orc.engine)
    text = planning.brief(target, budget=budget, prog=run.prog, agent=run.agent)
    return say({"target": target, "brief": text}, escape_lines(text.removesuffix("\n")))


@RUNNER.command("collect", example="collect --format markdown --save cycle-3", reads=("save",))
@option("--cycle", "Which cycle; else the present one.", types.INTEGER)
@option("--since", "From a time on, or that long ago, or after an event.", types.WHEN)
@option("--save", "Write it into the knowledge base.", types.TOPIC_NAME)
@option("--format", "How to print it.", types.choice("json", "markdown"), default="json")
def collect(run: Run, save: str | None, format: str, **period: Any) -> Answer:
    """Report what came of a cycle: finished, failed, running, added, learned."""
    if None not in period.values():
        raise UsageError("--cycle and --since exclude each other")
    collected = run.orc.collect(**period)
    if save is not None:
        run.orc.save_report(save, **period)
    if format == "markdown":
        return Answer(collected, lambda: escape_lines(collected.markdown().removesuffix("\n")))
    return Answer(collected, lambda: escape_json(to_json(collected).decode().rstrip("\n")))
