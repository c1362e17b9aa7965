"""``orc hook``, ``sling``, ``unsling``, ``dispatch``: work that agents have, and how they come to it."""

from typing import TYPE_CHECKING, Any

from orchestrator.core.errors import NotFound
from orchestrator.core.printable import escape
from orchestrator.interfaces.cli.commands import BOARD, HOOK
from orchestrator.interfaces.cli.formulas import (
    ON,
    PRESET,
    VARIABLES,
    WS,
    cooked_for,
    poured_answer,
    variables,
)
from orchestrator.interfaces.cli.grammar import Argument, Option, integer
from orchestrator.interfaces.cli.rendering import Answer, lines, parts, say, table
from orchestrator.interfaces.cli.run import DRY_RUN, Run
from orchestrator.interfaces.cli.tasks import line

if TYPE_CHECKING:
    from orchestrator.domain.agents.dispatch import Assignment
    from orchestrator.domain.agents.hooks import Hook
    from orchestrator.domain.workflows.commands import Poured

_FORCE = Option(("--force",), "Also if other work has to go back to pending.", flag=True)


@HOOK.command(
    "hang",
    Argument("task", "What to hang there and begin.", "TASK", False, completes="tasks"),
    _FORCE,
    example="299833bc --agent agent-1",
)
def hang(run: Run, task: str | None, force: bool) -> Answer:
    """Show what hangs on my hook, or hang a task there and begin it."""
    if task is None:
        return _shown(run.orc.hooks.show())
    hung = run.orc.hooks.hang(task, force=force)
    return say(hung, f"Hung: {escape(hung.title)} -> {escape(hung.assigned_to or '')}")


@HOOK.command(
    "show",
    Argument("agent", "Whose hook; mine if not given.", "AGENT", False, completes="agents"),
    example="show agent-1",
    reads=True,
)
def show(run: Run, agent: str | None) -> Answer:
    """Show what hangs on an agent's hook, and what queues behind it."""
    return _shown(run.orc.hooks.show(run.actor(agent)))


@BOARD.command(
    "sling",
    Argument("task", "What is to be done: a task, or a formula.", completes="tasks"),
    Argument("agent", "Who is to do it; oneself if not given.", required=False, completes="agents"),
    Option(("--message", "-m"), "What to tell the agent beside the task."),
    Option(("--no-convoy",), "Do not track it by a convoy of its own.", flag=True),
    _FORCE,
    *VARIABLES,
    PRESET,
    ON,
    WS,
    DRY_RUN,
    example="sling 299833bc agent-1",
)
def sling(
    run: Run,
    task: str,
    agent: str | None,
    message: str | None,
    no_convoy: bool,
    force: bool,
    dry_run: bool,
    **formula: Any,
) -> Answer:
    """Give work to an agent: it hangs on its hook if that is free, else it queues behind.

    A formula is poured, and the workflow given to the agent; a task of the same name comes first.
    """
    how: dict[str, Any] = {"force": force, "convoy": not no_convoy, "message": message or ""}
    said = any(value is not None for value in formula.values())
    with run.rehearsed(dry_run):
        if said or not _is_task(run, task):
            poured = _slung(run, task, agent, how, **formula)
            to = poured.root.assigned_to or ""
            return poured_answer(poured, f"{'Would sling' if dry_run else 'Slung'} to {to}:")
        given = run.orc.hooks.sling(task, agent, **how)
    return say(given, f"Slung: {escape(given.title)} -> {escape(given.assigned_to or '')}")


def _is_task(run: Run, word: str) -> bool:
    """Whether a word means a task; not if there is only a formula of this name."""
    try:
        run.orc.tasks.get(word)
    except NotFound:
        return word not in run.orc.formulas.names()
    return True


def _slung(
    run: Run,
    name: str,
    agent: str | None,
    how: dict[str, Any],
    *,
    var: tuple[tuple[str, str], ...] | None,
    vars_file: str | None,
    preset: str | None,
    on: str | None,
    ws: str | None,
) -> "Poured":
    cooked = cooked_for(run, name, variables(var, vars_file), preset=preset, on=on)
    return run.orc.workflows.sling(cooked, agent, workstream=ws, on=on, **how)


@BOARD.command(
    "unsling",
    Argument("task", "The task; what hangs on my hook if not given.", "TASK", False),
    Option(("--reason",), "Why.", default=""),
    example="unsling 299833bc",
)
def unsling(run: Run, task: str | None, reason: str) -> Answer:
    """Take a task from the agent that has it; it is pending again."""
    freed = run.orc.hooks.unsling(task, reason=reason)
    return say(freed, f"Unslung: {escape(freed.title)}")


@BOARD.command(
    "dispatch",
    Option(("--ws",), "Only tasks of this workstream.", "WS", completes="workstreams"),
    Option(("--priority",), "Only tasks of this priority or more urgent.", "N", convert=integer),
    Option(("--convoy",), "Only tasks of this convoy.", "NAME"),
    DRY_RUN,
    example="dispatch --ws build --dry-run",
)
def dispatch(
    run: Run, ws: str | None, priority: int | None, convoy: str | None, dry_run: bool
) -> Answer:
    """Give ready tasks to the agents that suit them and have least to do, one message each."""
    with run.rehearsed(dry_run):
        given = run.orc.dispatch.run(ws, priority=priority, convoy=convoy)
    return Answer(given, lambda: assignments(given))


def assignments(given: "list[Assignment]") -> str:
    """A line for each task that was given to an agent."""
    rows = [(one.task, one.agent, one.load, one.title) for one in given]
    return table(("task", "agent", "load", "title"), rows) if rows else "Nothing to dispatch."


def _shown(hook: "Hook") -> Answer:
    return Answer(hook, lambda: _page(hook))


def _page(hook: "Hook") -> str:
    agent = escape(hook.agent)
    hung = line(hook.task) if hook.task else "nothing: `t next` finds work"

    def listed(title: str, tasks: Any) -> str:
        return (
            lines([f"{title}:", *(f"  {line(task)}" for task in tasks)], empty="") if tasks else ""
        )

    return parts(
        f"On the hook of {agent}: {hung}",
        listed("Also in progress", hook.working),
        listed("Behind it", hook.queue),
    )
