"""The words ``[WS] ID [TEXT...]`` or ``--ids`` that name tasks, and the answers that name one."""

from typing import TYPE_CHECKING, Any

from orchestrator.core.errors import NotFound, OrchestratorError, UsageError
from orchestrator.core.printable import escape
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.layout import parts
from orchestrator.interfaces.cli.parameters import Decorator, argument, option, together
from orchestrator.interfaces.cli.rendering import Answer
from orchestrator.interfaces.cli.run import Run, either, once

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.domain.tasks.records import Task
    from orchestrator.domain.tasks.several import Verb

Words = tuple[str, ...]

IDS = option("--ids", "Several tasks in place of the one, in one commit.", types.TASK_ID, many=True)


def task_words(
    more: str = "", help: str = "The task.", *, or_mine: bool = False, or_ids: bool = False
) -> Decorator:
    """Declare the words ``[WS] ID`` and perhaps more after them; with ``or_mine`` the ID is optional.

    With ``or_ids`` the option ``--ids`` may name several tasks instead; see :func:`several`.
    """
    usage = f"{'[[WS] ID]' if or_mine else '[WS] ID'} {more}".rstrip()
    place = "[words...]" if or_mine or or_ids else "words..."
    words = argument(place, help, types.TASK_ID, metavar=usage)
    return together(words, IDS) if or_ids else words


def reason_words(*, required: bool = False, or_mine: bool = False) -> Decorator:
    """Declare the words ``[WS] ID REASON...`` or ``--ids``, and ``--reason`` in place of the reason."""
    usage = "REASON..." if required else "[REASON...]"
    help = "The task, mine if not given, and why." if or_mine else "The task, and why."
    words = task_words(usage, help, or_mine=or_mine, or_ids=True)
    return together(words, option("--reason", "Why."))


def several(
    run: Run,
    verb: "Verb",
    ids: Words,
    words: Words,
    text: str | None = None,
    file: str | None = None,
    *,
    name: str = "reason",
    required: bool = False,
    **alone: Any,
) -> "list[Task]":
    """Apply a command to all tasks that ``--ids`` names; the words are then the text.

    Args:
        run: The run of the command.
        verb: The command.
        ids: The tasks.
        words: The words of the line.
        text: The text of the option.
        file: The text of ``--file``.
        name: The name of the text.
        required: Whether a text is needed.
        alone: The options that are only for one task, by name.

    Raises:
        UsageError: A task is also named by position, or one of these options is given.
    """
    if words and _is_task(run, words[0]):
        raise UsageError(
            f"--ids replaces the task, and {words[0]!a} is one, too",
            hint=f"Name it there: --ids {','.join((*ids, words[0]))}",
        )
    for option_name in (option_name for option_name, value in alone.items() if value):
        raise UsageError(f"--{option_name} is for one task and does not go with --ids")
    given = text_of(run, words, text, file, name=name, required=required)
    return run.orc.tasks.each(verb, ids, text=given)


def split_task(run: Run, words: Words) -> tuple[str, Words]:
    """The task at the beginning of the words, and the remaining words.

    If the first word is a workstream and the second one a task in it, they are WS and ID; else the first word
    is the ID.
    """
    if not words:
        raise UsageError("The task is missing: ID", hint="Give its id, or several with --ids a,b.")
    by_id = words[0], words[1:]
    if run.names_task or len(words) < 2 or words[0] not in run.orc.engine.read().workstreams:
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


def mine_or_only(run: Run, words: Words) -> str | None:
    """The task, when nothing may follow it; None if it is not named."""
    return only_task(run, words) if words else None


def task_and_text(run: Run, words: Words, **given: Any) -> tuple[str, str]:
    """The task at the beginning of the words, and the text; see :func:`text_of`."""
    task, rest = split_task(run, words)
    return task, text_of(run, rest, **given)


def text_of(
    run: Run,
    words: Words,
    option: str | None = None,
    file: str | None = None,
    *,
    name: str = "text",
    required: bool = False,
) -> str:
    """The text of the words, of an option of this name, or of ``--file``.

    Raises:
        UsageError: It is given twice, or is needed and missing.
    """
    text = either(name, once(name, run.text_of(words), option), file)
    if required and not text:
        raise UsageError(f"A {name} is needed", hint="Give it as the last word, quoted.")
    return text or ""


def mine_or_named(run: Run, words: Words, **given: Any) -> tuple[str | None, str]:
    """The task at the beginning of the words, or None, and the text; see :func:`text_of`.

    A first word that may be a mistyped id is refused, so that a text about another task is not added to mine.

    Raises:
        NotFound: The first word looks like an id, and there is no such task.
    """
    if words and run.names_task:
        return task_and_text(run, words, **given)
    if words and words[0] != "-" and not any(map(str.isspace, words[0])):
        try:
            task = run.orc.tasks.get(split_task(run, words)[0]).id
        except NotFound as error:
            if error.code != "task_not_found":
                raise
            if not words[0]:  # an unset variable of the shell
                error.hint = "The id is empty: leave it out for your own task."
                raise
            if _may_be_id(words[0]) or "did you mean" in error.message:
                error.hint = _ONE_WORD[given.get("name", "text")]
                raise
        else:
            return task, task_and_text(run, words, **given)[1]
    return None, text_of(run, words, **given)


_ONE_WORD = {
    "result": "A word with a digit is read as an id; a result of one word goes with `done -m RESULT`.",
    "reason": "A word with a digit is read as an id; a reason of one word goes with --reason.",
    "comment": "A word with a digit is read as an id; a comment of one word goes with --comment.",
    "text": "A word with a digit is read as an id; `hook` shows the task that you work on.",
}
"""What to do where a text of one word was taken for an id."""


def _may_be_id(word: str) -> bool:
    """Whether a word looks like an id: it has a digit, or is eight letters from a to f."""
    return any(map(str.isdigit, word)) or (len(word) == 8 and {*word} <= {*"abcdef"})


def refuse_more(words: Words) -> None:
    """Refuse unexpected words."""
    if words:
        raise UsageError(f"{words[0]!a} is one word too many", hint="--help shows the words.")


def done(run: Run, task: "Task", what: str) -> "Answer[Task]":
    """The answer of a command that changed a task."""
    return run.changed(task, f"{what}: {escape(task.title)}")


def all_changed(
    run: Run, tasks: "list[Task]", line: "Callable[[Task], str]"
) -> "Answer[list[Task]]":
    """The answer of a command that changed several tasks: one line for each."""
    return Answer(tasks, lambda: parts(*map(line, tasks), run.unchanged))


def named(task: "Task") -> str:
    """``ID (TITLE)``."""
    return f"{task.id} ({escape(task.title)})"
