"""``orc task add``, ``edit``, ``note``, ``batch``: the facts of a task."""

from typing import TYPE_CHECKING, Any

from orchestrator.core.errors import OrchestratorError, UsageError
from orchestrator.core.printable import escape
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import BOARD, TASK
from orchestrator.interfaces.cli.layout import lines
from orchestrator.interfaces.cli.parameters import (
    DRY_RUN,
    argument,
    flag,
    option,
    text_file,
    together,
)
from orchestrator.interfaces.cli.rendering import Answer, say, warn
from orchestrator.interfaces.cli.run import Run, either, given, once
from orchestrator.interfaces.cli.task_options import fact_options
from orchestrator.interfaces.cli.task_words import (
    Words,
    done,
    mine_or_named,
    mine_or_only,
    refuse_more,
    task_words,
)

if TYPE_CHECKING:
    from orchestrator.domain.tasks.batch import Applied
    from orchestrator.domain.tasks.records import Task


_NEW_FACTS = together(
    fact_options(),
    text_file("the description"),
    option(
        "--name",
        "With --parent: the last part of the id; else the next number.",
        types.NAME,
        rare=True,
    ),
)


@TASK.command("add", example='add build "Ship v1" --priority 1 --needs 299833bc --touches git')
@argument("workstream", "Where it belongs.", types.WORKSTREAM_NAME, metavar="WS")
@argument("title", "One line that says what is to be done.")
@argument("[desc]", "What is to be done, at length.")
@argument("[number]", "Its priority; 1 comes first.", types.PRIORITY, metavar="PRIORITY")
@_NEW_FACTS
def add(run: Run, workstream: str, title: str, **facts: Any) -> "Answer[Task]":
    """Add a task to a workstream."""
    return _added(run, workstream, title, **facts)


@BOARD.command("add", example='add "Write the parser" --acceptance "All samples parse"')
@argument(
    "words...",
    "One text is the title; of several the first is the workstream.",
    metavar="TITLE | WS TITLE [DESC] [PRIORITY]",
)
@_NEW_FACTS
def add_here(run: Run, words: Words, **facts: Any) -> "Answer[Task]":
    """Add a task.

    Without WS it belongs to the default in `config.toml` (`workstream = "build"`), else to the only
    workstream. The first task of an empty board creates the workstream `main`.
    """
    workstream, words = (words[0], words[1:]) if len(words) > 1 else (None, words)
    title, desc, number, *_ = [*words, None, None]
    refuse_more(words[3:])
    facts["number"] = types.PRIORITY.convert(number, None, None)
    title = run.text_of((title or "",)) or ""
    return _added(run, workstream, title, desc=run.text_of((desc,)) if desc else desc, **facts)


def _added(
    run: Run,
    workstream: str | None,
    title: str,
    *,
    desc: str | None,
    number: int | None,
    file: str | None,
    **facts: Any,
) -> "Answer[Task]":
    description = once("description", desc, facts["description"])
    facts["description"] = either("description", description, file)
    facts["priority"] = once("priority", number, facts["priority"])
    task = run.orc.tasks.add(workstream, title=title, **given(**facts))
    _name_twin(run, task)
    return say(task, f"Added task {task.id}: {escape(task.title)}")


def _name_twin(run: Run, task: "Task") -> None:
    """Warn about an open task with nearly the same title."""
    from orchestrator.reports.similar import open_twin

    try:
        twin = open_twin(run.orc.engine, task)
    except (OrchestratorError, OSError):
        return  # the task is added, even if reading the board fails now
    if twin:
        warn(f"{twin.id} says the same: {twin.title}; `{run.prog} similar {task.id}` compares them")


@TASK.command("batch", example="batch plan.md --ws build --dry-run", local=True)
@argument("file", "JSON or markdown; - is stdin.", types.FILE)
@option("--ws", "Where tasks belong that do not say it.", types.WORKSTREAM_NAME)
@DRY_RUN
def batch(run: Run, file: str, ws: str | None, dry_run: bool) -> "Answer[Applied]":
    """Add, edit and assign many tasks in one commit, from a file of JSON or markdown."""
    from orchestrator.integrations.batch_file import entries_of

    entries = entries_of(run.text_from(file), file)
    with run.rehearsed(dry_run):
        applied = run.orc.batch.apply(entries, workstream=ws)
        _warn_of_repetition(applied, run.orc.batch.repeated(applied))
    return Answer(applied, lambda: _batch_page(applied, dry_run))


def _warn_of_repetition(applied: "Applied", repeated: dict[str, str]) -> None:
    """Warn about added tasks with titles of open tasks: perhaps the file was applied before."""
    if repeated:
        examples = ", ".join(f"{new} is like {old}" for new, old in [*repeated.items()][:3])
        more = ", ..." if len(repeated) > 3 else ""
        warn(
            f"{len(repeated)} of {len(applied.added)} new tasks have the titles of open ones"
            f" ({examples}{more}): was this file applied before?"
        )


def _batch_page(applied: "Applied", dry_run: bool) -> str:
    titles = {task.id: escape(task.title) for task in applied.tasks}
    add, edit, assign = [
        f"Would {verb}" if dry_run else verb.capitalize() + "ed"
        for verb in ("add", "edit", "assign")
    ]
    return lines(
        [
            *(f"{add} {task}: {titles[task]}" for task in applied.added),
            *(f"{edit} {task}: {titles[task]}" for task in applied.edited),
            *(f"{assign} {task} -> {escape(agent)}" for task, agent in applied.assigned.items()),
        ],
        empty="Nothing to change.",
    )


@TASK.command(
    "edit", example='edit 299833bc --priority 1 --labels ui,urgent --needs ""', idempotent=True
)
@task_words(help="The task, the one that I have if not given.", or_mine=True)
@option("--title", "One line that says what is to be done.")
@fact_options(clears=True)
@text_file("the description")
@flag("--no-review", "No approval is needed.")
@option("--reason", "Why I change how my own task is judged.", default="")
def edit(
    run: Run,
    words: Words,
    file: str | None,
    review: bool,
    no_review: bool,
    reason: str,
    **facts: Any,
) -> "Answer[Task]":
    """Change fields of a task; an empty list clears a field with several values.

    Without fields, at a terminal, it opens the task in the editor of `VISUAL` or `EDITOR`, as markdown: the
    other facts above the description. Changes are applied; an empty value clears a fact.

    The agent that has a task gives a --reason to change acceptance, checks, artifacts or review, or to remove
    an open need or part. The reason is in the evidence, and the creator gets it by mail.
    """
    if review and no_review:
        raise UsageError("--review and --no-review exclude each other")
    facts["description"] = either("description", facts["description"], file)
    changes = given(**facts, review=review if review or no_review else None)
    if not changes:
        from orchestrator.interfaces.cli import task_editor

        if run.settings.json or not task_editor.can_edit():
            raise UsageError("There is nothing to change", hint="Give a field, such as --title.")
        return done(
            run, task_editor.edit_in_editor(run, mine_or_only(run, words), reason), "Edited"
        )
    task = run.orc.tasks.edit(mine_or_only(run, words), reason=reason, **changes)
    return done(run, task, "Edited")


@TASK.command("note", example='note 299833bc "The API needs a key"', signed=True)
@task_words("TEXT...", "The task, mine if not given, and the text.", or_mine=True)
@text_file("the text")
def note(run: Run, words: Words, file: str | None) -> "Answer[Task]":
    """Append a note to a task."""
    task, text = mine_or_named(run, words, file=file, required=True)
    return done(run, run.orc.tasks.note(task, text), "Noted")
