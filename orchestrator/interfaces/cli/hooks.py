"""``orc hook``, ``sling``, ``unsling``, ``dispatch``: the assigned work of agents."""

from typing import TYPE_CHECKING, Any

from orchestrator.core.errors import NotFound
from orchestrator.core.printable import escape
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import BOARD, HOOK
from orchestrator.interfaces.cli.formulas import FORMULA_OPTIONS, compiled_in_place
from orchestrator.interfaces.cli.layout import parts, table_of, titled
from orchestrator.interfaces.cli.next_work import BRIEF, with_brief
from orchestrator.interfaces.cli.parameters import (
    DRY_RUN,
    IN_WORKSTREAM,
    REASON,
    argument,
    flag,
    option,
)
from orchestrator.interfaces.cli.rendering import Answer, present
from orchestrator.interfaces.cli.run import Run, given
from orchestrator.interfaces.cli.task_lines import line
from orchestrator.interfaces.cli.task_words import named
from orchestrator.interfaces.cli.workflows import poured_answer

if TYPE_CHECKING:
    from orchestrator.domain.agents.dispatch import Assignment
    from orchestrator.domain.agents.hooks import Hook
    from orchestrator.domain.tasks.records import Task
    from orchestrator.domain.workflows.commands import Poured

_FORCE = flag("--force", "Also if other work has to go back to pending.")


@HOOK.command("hang", example="299833bc --agent agent-1", reads=("task",), idempotent=True)
@argument("[task]", "What to hang there and begin.", types.TASK_ID)
@_FORCE
@BRIEF
def hang(run: Run, task: str | None, force: bool, **brief: Any) -> "Answer[Hook | Task]":
    """Show the task on my hook, or hang a task there and begin it."""
    if task is None:
        return present(run.orc.hooks.show(), _page)
    occupant = run.orc.hooks.show().task if force else None
    hung = run.orc.hooks.hang(task, force=force)
    agent = hung.assigned_to or ""
    first = f"Hung: {escape(hung.title)} -> {escape(agent)}"
    if occupant is not None and occupant.id != hung.id:
        first += f"\nPending again, it hung there: {named(occupant)}"
    return with_brief(run, hung, agent, first, **brief)


@HOOK.command("show", example="show agent-1", reads=True)
@argument("[agent]", "Whose hook; mine if not given.", types.AGENT_NAME)
def show(run: Run, agent: str | None) -> "Answer[Hook]":
    """Show the task on an agent's hook, and the queue behind it."""
    return present(run.orc.hooks.show(run.actor(agent)), _page)


@BOARD.command("sling", example="sling 299833bc agent-1")
@argument("task", "What is to be done: a task, or a formula.", types.TASK_ID)
@argument("[to]", "Who is to do it; oneself if not given.", types.AGENT_NAME, metavar="AGENT")
@option("--message/-m", "A message to the agent with the task.", default="")
@flag("--no-convoy", "Do not track it by a convoy of its own.", rare=True)
@_FORCE
@FORMULA_OPTIONS
@DRY_RUN
def sling(
    run: Run,
    task: str,
    to: str | None,
    message: str,
    no_convoy: bool,
    force: bool,
    dry_run: bool,
    **formula: Any,
) -> "Answer[Poured | Task]":
    """Give a task to an agent: on its hook if that is free, else in the queue behind it.

    With the name of a formula, pour it and give the agent the workflow. A task of the same name comes first.
    """
    how: dict[str, Any] = {"force": force, "convoy": not no_convoy, "message": message}
    with run.rehearsed(dry_run):
        if given(**formula) or not _is_task(run, task):
            compiled, place = compiled_in_place(run, task, **formula)
            poured = run.orc.workflows.sling(compiled, to, **place, **how)
            whom = poured.root.assigned_to or ""
            return poured_answer(poured, f"{'Would sling' if dry_run else 'Slung'} to {whom}:")
        slung = run.orc.hooks.sling(task, to, **how)
    whom = escape(slung.assigned_to or "")
    verb = "Would hang" if dry_run else "Slung"
    return run.changed(slung, f"{verb}: {escape(slung.title)} -> {whom}")


def _is_task(run: Run, word: str) -> bool:
    """Whether a word means a task, and not only a formula."""
    try:
        run.orc.tasks.get(word)
    except NotFound:
        return word not in run.orc.formulas.names()
    return True


@BOARD.command("unsling", example="unsling 299833bc")
@argument("[task]", "The task; what hangs on my hook if not given.", types.TASK_ID)
@REASON
def unsling(run: Run, task: str | None, reason: str) -> "Answer[Task]":
    """Take a task from the agent that has it; it is pending again."""
    freed = run.orc.hooks.unsling(task, reason=reason)
    return run.changed(freed, f"Unslung: {escape(freed.title)}")


@BOARD.command("dispatch", example="dispatch --ws build --dry-run")
@IN_WORKSTREAM
@option("--priority", "Only tasks of this priority or more urgent.", types.PRIORITY)
@option("--convoy", "Only tasks of this convoy.", types.CONVOY_NAME)
@DRY_RUN
def dispatch(
    run: Run, workstream: str | None, dry_run: bool, **filters: Any
) -> "Answer[list[Assignment]]":
    """Give ready tasks to suitable agents with the least work, with a message for each task."""
    with run.rehearsed(dry_run):
        assigned = run.orc.dispatch.run(workstream, **filters)
    return Answer(assigned, lambda: assignments(assigned, dry_run))


def assignments(assigned: "list[Assignment]", dry_run: bool = False) -> str:
    """One line for each assignment."""
    listed = table_of(assigned, "task", "agent", "load", "title")
    return parts("Would assign:" if dry_run and listed else "", listed or "Nothing to dispatch.")


def _page(hook: "Hook") -> str:
    hung = line(hook.task) if hook.task else "nothing: `t next` finds work"
    return parts(
        f"On the hook of {escape(hook.agent)}: {hung}",
        titled("Also in progress", "\n".join(map(line, hook.working))),
        titled("Behind it", "\n".join(map(line, hook.queue))),
    )
