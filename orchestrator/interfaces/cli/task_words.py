"""The words ``[WS] ID [TEXT...]`` by which commands name a task, and the answers that name one."""

from typing import TYPE_CHECKING

from orchestrator.core.errors import OrchestratorError, UsageError
from orchestrator.core.printable import escape
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.parameters import Decorator, argument, option, together
from orchestrator.interfaces.cli.rendering import Answer
from orchestrator.interfaces.cli.run import Run, either, once

if TYPE_CHECKING:
    from orchestrator.domain.tasks.records import Task

Words = tuple[str, ...]


def task_words(more: str = "", help: str = "The task.") -> Decorator:
    """Declare the words ``[WS] ID`` and perhaps more behind them."""
    usage = f"[WS] ID {more}".rstrip()
    return argument("words...", help, types.TASK_ID, metavar=usage)


def reason_words(*, required: bool = False) -> Decorator:
    """Declare the words ``[WS] ID REASON...``, or the option ``--reason`` in place of the reason."""
    usage = "REASON..." if required else "[REASON...]"
    return together(task_words(usage, "The task, and why."), option("--reason", "Why."))


def split_task(run: Run, words: Words) -> tuple[str, Words]:
    """The task that the words begin with, and the words after it.

    If the first word is a workstream and the second resolves to a task in it, they are WS and ID; else
    the first is the ID.
    """
    by_id = words[0], words[1:]
    if len(words) < 2 or words[0] not in run.orc.engine.read().workstreams:
        return by_id
    try:
        task = run.orc.tasks.get(words[1])
    except OrchestratorError:
        if _is_task(run, words[0]):
            return by_id
        raise
    return (task.id, words[2:]) if task.workstream == words[0] else by_id


def _is_task(run: Run, word: str) -> bool:
    try:
        run.orc.tasks.get(word)
    except OrchestratorError:
        return False
    return True


def only_task(run: Run, words: Words) -> str:
    """The task, when nothing may follow it."""
    task, rest = split_task(run, words)
    refuse_more(rest)
    return task


def task_and_text(
    run: Run,
    words: Words,
    option: str | None = None,
    file: str | None = None,
    *,
    name: str = "text",
    required: bool = False,
) -> tuple[str, str]:
    """The task, and the text: the words after it, that of an option of this name, or that of ``--file``."""
    task, rest = split_task(run, words)
    text = either(name, once(name, run.text_of(rest), option), file)
    if required and not text:
        raise UsageError(f"A {name} is needed", hint="Give it as the last word, quoted.")
    return task, text or ""


def refuse_more(words: Words) -> None:
    """Refuse words that the command does not know what to do with."""
    if words:
        raise UsageError(f"{words[0]!a} is one word too many", hint="--help shows the words.")


def done(run: Run, task: "Task", what: str) -> Answer:
    """The answer of a command that changed a task."""
    return run.changed(task, f"{what}: {escape(task.title)}")


def named(task: "Task") -> str:
    """``ID (TITLE)``."""
    return f"{task.id} ({escape(task.title)})"
