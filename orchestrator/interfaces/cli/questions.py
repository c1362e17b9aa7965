"""``orc task lint``, ``similar``: what the board can say of its tasks when it is asked."""

from itertools import groupby
from typing import TYPE_CHECKING

from orchestrator.core.printable import escape
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import BOARD, TASK
from orchestrator.interfaces.cli.layout import lines
from orchestrator.interfaces.cli.parameters import ONLY_WORKSTREAM, WHERE, argument, option
from orchestrator.interfaces.cli.rendering import Answer
from orchestrator.interfaces.cli.run import Run
from orchestrator.interfaces.cli.task_lines import line

if TYPE_CHECKING:
    from orchestrator.reports.lint import Flaw


@TASK.command("lint", example="lint build --where 'priority <= 2'", reads=True)
@ONLY_WORKSTREAM
@WHERE
def lint(run: Run, workstream: str | None, where: str) -> Answer:
    """Look open tasks over: what is not well, and the command that mends it. 0 clean, 1 not."""
    flaws = run.orc.lint(workstream, where=where)
    return Answer(flaws, lambda: _page(run.prog, flaws), 1 if flaws else 0)


def _page(prog: str, flaws: "list[Flaw]") -> str:
    texts: list[str] = []
    tasks = 0
    for (task, title), group in groupby(flaws, lambda flaw: (flaw.task, flaw.title)):
        texts.append(f"{task}: {escape(title)}")
        texts += [f"    {escape(f.says)}: `{prog} {escape(f.command)}`" for f in group]
        tasks += 1
    if not texts:
        return "Nothing is wrong with the open tasks."
    return lines([*texts, f"Flaws: {len(flaws)}, tasks: {tasks}."], empty="")


@BOARD.command("similar", example='similar "Write a parser"', reads=True)
@argument("text", "A task, or a title.", types.TASK_ID, metavar="ID|TEXT")
@WHERE
@option("--limit", "At most so many.", types.COUNT, default=10)
def similar(run: Run, text: str, where: str, limit: int) -> Answer:
    """List the tasks that say nearly the same, with how like they are: candidates for duplicates."""
    likes = run.orc.similar(text, where=where, limit=limit)
    texts = (f"{like.likeness:.0%} {line(like.task)}" for like in likes)
    return Answer(likes, lambda: lines(texts, empty="No task is like it."))
