"""``orc task add``, ``edit``, ``note``, ``batch``: what a task says."""

from typing import TYPE_CHECKING, Any

from orchestrator.core.errors import UsageError
from orchestrator.core.printable import escape
from orchestrator.interfaces.cli.commands import TASK
from orchestrator.interfaces.cli.parameters import (
    DRY_RUN,
    DURATION,
    FILE,
    INTEGER,
    MINUTES,
    TASK_ID,
    TIME,
    WORD,
    WORDS,
    WORKSTREAM_NAME,
    argument,
    flag,
    option,
    together,
)
from orchestrator.interfaces.cli.rendering import Answer, lines, say
from orchestrator.interfaces.cli.run import Run, given, once, text_from
from orchestrator.interfaces.cli.task_words import Words, done, only_task, task_and_text, task_words

if TYPE_CHECKING:
    from orchestrator.domain.tasks.batch import Applied

_FIELDS = together(
    option("--description", help="What is to be done."),
    option("--type", type=WORD, help="A word such as task, bug, feature."),
    option("--priority", type=INTEGER, help="1 comes first; 5 if not given."),
    option("--labels", "--label", type=WORDS, many=True, help="Words to find it by."),
    option("--acceptance", help="What must be true when it is done."),
    option("--estimate", type=MINUTES, help="Minutes of work, or a duration: 90, 2h."),
    option(
        "--needs", type=TASK_ID, metavar="IDS", many=True, help="Tasks that must be done before."
    ),
    option(
        "--touches",
        metavar="NAMES",
        many=True,
        help="Resources it needs while it runs: git, src/**, db:shared.",
    ),
    option("--parent", type=TASK_ID, help="The task that it is a part of."),
    option(
        "--waits-for", metavar="WHICH", help="Children it waits for: all or any of its own; all:ID."
    ),
    option("--defer", type=TIME, help="Not to be taken before: 2026-12-01, or 3d from now."),
    option("--due", type=TIME, help="When it should be done, in the same forms."),
    option(
        "--verify",
        metavar="CMD",
        many=True,
        commas=False,
        help="A command that must succeed before it is complete; no shell reads it. Repeatable.",
    ),
    option(
        "--verify-timeout", type=DURATION, help="How long each of them may take: 30m; else 10m."
    ),
    option(
        "--artifacts",
        "--artifact",
        metavar="PATH",
        many=True,
        commas=False,
        help="A file or folder that must be there then, and hold something. Repeatable.",
    ),
    flag("--review", help="Another agent than the worker must approve it."),
)


# Adding and changing


@TASK.command("add", example='add build "Ship v1" --priority 1 --needs 299833bc --touches git')
@argument("workstream", type=WORKSTREAM_NAME, metavar="WS", help="Where it belongs.")
@argument("title", help="One line that says what is to be done.")
@argument("desc", required=False, help="What is to be done, at length.")
@argument(
    "number", type=INTEGER, metavar="PRIORITY", required=False, help="Its priority; 1 comes first."
)
@_FIELDS
@option("--name", help="With --parent: the last part of the id; else the next number.")
def add(
    run: Run,
    workstream: str,
    title: str,
    desc: str | None,
    number: int | None,
    description: str | None,
    priority: int | None,
    **fields: Any,
) -> Answer:
    """Add a task to a workstream."""
    fields["description"] = once("description", desc, "--description", description)
    fields["priority"] = once("priority", number, "--priority", priority)
    task = run.orc.tasks.add(workstream, title=title, **given(**fields))
    return say(task, f"Added task {task.id}: {escape(task.title)}")


@TASK.command("batch", example="batch plan.md --ws build --dry-run")
@argument("file", type=FILE, help="JSON or markdown; - is stdin.")
@option("--ws", type=WORKSTREAM_NAME, help="Where tasks belong that do not say it.")
@DRY_RUN
def batch(run: Run, file: str, ws: str | None, dry_run: bool) -> Answer:
    """Add, edit and assign many tasks in one commit, from a file of JSON or markdown."""
    from orchestrator.integrations.batch_file import entries_of

    entries = entries_of(text_from(file), file)
    with run.rehearsed(dry_run):
        applied = run.orc.batch.apply(entries, workstream=ws)
    return Answer(applied, lambda: _batch_page(applied, dry_run))


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


@TASK.command("edit", example='edit 299833bc --priority 1 --labels ui,urgent --needs ""')
@task_words()
@option("--title", help="One line that says what is to be done.")
@_FIELDS
@option("--commits", "--commit", metavar="SHA", many=True, help="Commits that belong to it, by id.")
@flag("--no-review", help="Nobody needs to approve it.")
def edit(run: Run, words: Words, review: bool, no_review: bool, **fields: Any) -> Answer:
    """Change fields of a task; an empty list clears a field that holds several."""
    if review and no_review:
        raise UsageError("--review and --no-review exclude each other")
    changes = given(**fields, review=review if review or no_review else None)
    if not changes:
        raise UsageError("There is nothing to change", hint="Give a field, such as --title.")
    task = run.orc.tasks.edit(only_task(run, words), **changes)
    return done(task, "Edited")


@TASK.command("note", example='note 299833bc "The API needs a key"')
@task_words("TEXT...", "The task, and what there is to say.")
def note(run: Run, words: Words) -> Answer:
    """Append a note to a task."""
    task, text = task_and_text(run, words, required=True)
    return done(run.orc.tasks.note(task, text), "Noted")
