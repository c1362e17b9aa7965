"""``orc task``: every step of a task's life, and looking tasks up."""

from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.core.clock import spoken
from orchestrator.core.errors import OrchestratorError, UsageError
from orchestrator.core.printable import escape, escape_lines
from orchestrator.domain.tasks.records import ENDED, HELD, STATUSES
from orchestrator.interfaces.cli.commands import TASK
from orchestrator.interfaces.cli.parameters import (
    AGENT_NAME,
    DURATION,
    FILE,
    INTEGER,
    MINUTES,
    TASK_ID,
    TIME,
    WORD,
    WORDS,
    WORKSTREAM_NAME,
    Decorator,
    argument,
    choice,
    flag,
    option,
    together,
)
from orchestrator.interfaces.cli.rendering import (
    Answer,
    fields,
    lines,
    paint,
    parts,
    plain,
    say,
    section,
    table,
    titled,
)
from orchestrator.interfaces.cli.run import DRY_RUN, Run, given, once, text_from

if TYPE_CHECKING:
    from orchestrator.core.events import Recorded
    from orchestrator.domain.tasks.batch import Applied
    from orchestrator.domain.tasks.blockers import Blocker, Edge
    from orchestrator.domain.tasks.records import Evidence, Task
    from orchestrator.domain.tasks.relations import Signal
    from orchestrator.domain.workflows.commands import Advanced

_COLOURS = {
    "in_progress": "blue",
    "blocked": "yellow",
    "in_review": "yellow",
    "done": "green",
    "failed": "red",
}

SHOWN = 3
"""Reasons that a line of a listing gives."""

_WORKSTREAM = argument("workstream", type=WORKSTREAM_NAME, metavar="WS", help="Where it belongs.")
_LEASE = option("--lease", type=DURATION, help="How long the claim lasts: 30m, 2h.")
_TOKEN = option(
    "--token", type=INTEGER, help="The fencing token of the claim; an older one is refused."
)
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


def _words(usage: str, help: str) -> Decorator:
    """The words of a command that takes ``[WS] ID`` and perhaps more."""
    return argument("words", type=TASK_ID, metavar=usage, many=True, help=help)


def task_of(run: Run, words: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The task that the words begin with, and the words after it.

    If the first word is a workstream and the second resolves to a task in it, they are WS and ID; else
    the first is the ID.
    """
    if len(words) < 2 or words[0] not in run.orc.tasks.state.workstreams:
        return words[0], words[1:]
    try:
        found = run.orc.tasks.get(words[1])
    except OrchestratorError:
        if _is_task(run, words[0]):
            return words[0], words[1:]
        raise
    if found.workstream != words[0]:
        return words[0], words[1:]
    return found.id, words[2:]


def _is_task(run: Run, word: str) -> bool:
    try:
        run.orc.tasks.get(word)
    except OrchestratorError:
        return False
    return True


def _task_only(run: Run, words: tuple[str, ...]) -> str:
    task, rest = task_of(run, words)
    return _no_more(task, rest)


def _task_and_text(
    run: Run, words: tuple[str, ...], flag: str, option: str | None
) -> tuple[str, str | None]:
    """The task, and the text that is given by the words after it or by an option."""
    task, rest = task_of(run, words)
    return task, once("text", " ".join(rest) if rest else None, flag, option)


def _no_more(value: str, rest: tuple[str, ...]) -> str:
    if rest:
        raise UsageError(f"{rest[0]!a} is one word too many", hint="--help shows the words.")
    return value


# Adding and changing


@TASK.command("add", example='add build "Ship v1" --priority 1 --needs 299833bc --touches git')
@_WORKSTREAM
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
        done = run.orc.batch.apply(entries, workstream=ws)
    return Answer(done, lambda: _batch_page(done, dry_run))


def _batch_page(done: "Applied", dry_run: bool) -> str:
    titles = {task.id: escape(task.title) for task in done.tasks}
    words = (
        ("Would add", "Would edit", "Would assign") if dry_run else ("Added", "Edited", "Assigned")
    )
    added, edited, assigned = words
    return lines(
        [
            *(f"{added} {task}: {titles[task]}" for task in done.added),
            *(f"{edited} {task}: {titles[task]}" for task in done.edited),
            *(f"{assigned} {task} -> {escape(agent)}" for task, agent in done.assigned.items()),
        ],
        empty="Nothing to change.",
    )


@TASK.command("edit", example='edit 299833bc --priority 1 --labels ui,urgent --needs ""')
@_words("[WS] ID", "The task.")
@option("--title", help="One line that says what is to be done.")
@_FIELDS
@option("--commits", "--commit", metavar="SHA", many=True, help="Commits that belong to it, by id.")
@flag("--no-review", help="Nobody needs to approve it.")
def edit(run: Run, words: tuple[str, ...], review: bool, no_review: bool, **fields: Any) -> Answer:
    """Change fields of a task; an empty list clears a field that holds several."""
    if review and no_review:
        raise UsageError("--review and --no-review exclude each other")
    changes = given(**fields, review=review if review or no_review else None)
    if not changes:
        raise UsageError("There is nothing to change", hint="Give a field, such as --title.")
    task = run.orc.tasks.edit(_task_only(run, words), **changes)
    return say(task, f"Edited: {escape(task.title)}")


@TASK.command("note", example='note 299833bc "The API needs a key"')
@_words("[WS] ID TEXT...", "The task, and what there is to say.")
def note(run: Run, words: tuple[str, ...]) -> Answer:
    """Append a note to a task."""
    task, text = _task_and_text(run, words, "", None)
    return _stepped(run.orc.tasks.note(task, _needed("text", text)), "Noted")


# Working


@TASK.command("claim", example="claim build 299833bc agent-1")
@_words("[WS] ID [AGENT]", "The task, and who takes it.")
@_LEASE
def claim(run: Run, words: tuple[str, ...], lease: str | None) -> Answer:
    """Take a task under a lease."""
    task, rest = task_of(run, words)
    agent = run.actor(rest[0] if rest else None)
    _no_more(task, rest[1:])
    claimed = run.orc.tasks.claim(task, agent=agent, lease=lease)
    return say(claimed, f"Claimed: {escape(claimed.title)} -> {escape(claimed.assigned_to or '')}")


@TASK.command("next", example="next build agent-1 --wait 30s")
@argument(
    "workstream", type=WORKSTREAM_NAME, metavar="WS", required=False, help="Only tasks of this one."
)
@argument("agent", type=AGENT_NAME, required=False, help="Who takes it.")
@_LEASE
@option("--wait", type=DURATION, default="0", help="Wait so long for a task to become free: 30s.")
def next_(
    run: Run, workstream: str | None, agent: str | None, lease: str | None, wait: str
) -> Answer:
    """Claim the task to do next: by workstream priority, task priority, age."""
    task = run.orc.tasks.next(workstream, agent=run.actor(agent), lease=lease, wait=wait)
    if task is None:
        return say(None, f"No pending tasks{' in this workstream' if workstream else ''}.", 1)
    return say(task, f"Claimed next task: {task.id} - {escape(task.title)}")


@TASK.command("renew", example="renew 299833bc --lease 1h")
@_words("[WS] ID", "The task.")
@_LEASE
@_TOKEN
def renew(run: Run, words: tuple[str, ...], lease: str | None, token: int | None) -> Answer:
    """Extend the lease of a task, from now."""
    task = run.orc.tasks.renew(_task_only(run, words), lease=lease, token=token)
    return say(task, f"Renewed: {escape(task.title)} (until {task.lease_until})")


@TASK.command("complete", example='complete 299833bc "Shipped as v1.0.2" --token 17')
@_words("[WS] ID [RESULT...]", "The task, and what came out.")
@option("--result", help="What came out, for whoever needs it next.")
@flag("--force", help="Although a check does not pass; with --reason.")
@option("--reason", default="", help="Why by force; it is kept.")
@_TOKEN
@flag("--continue", help="Of a workflow: claim the next ready step with it, in one commit.")
@option("--lease", type=DURATION, help="With --continue: how long, as 30m; else as long as before.")
def complete(
    run: Run,
    words: tuple[str, ...],
    result: str | None,
    force: bool,
    reason: str,
    token: int | None,
    lease: str | None,
    **more: bool,
) -> Answer:
    """Say that a task is done; its checks are run here first.

    They run in the present folder, without a shell, and with few variables. If one does not pass, the task
    stays with its holder, and `task show` prints what the checks wrote. A task that is to be reviewed waits
    for `task approve` then.
    """
    task, text = _task_and_text(run, words, "--result", result)
    how: dict[str, Any] = {"result": text, "force": force, "reason": reason, "token": token}
    if lease is not None and not more["continue"]:
        raise UsageError("--lease goes with --continue", hint="`t renew --lease` extends a claim.")
    if more["continue"]:
        advanced = run.orc.workflows.advance(task, lease=lease, **how)
        return Answer(advanced, lambda: _advanced_page(advanced))
    completed = run.orc.tasks.complete(task, **how)
    return _stepped(completed, _completed(completed))


def _completed(task: "Task") -> str:
    return "Completed" if task.status == "done" else "To be reviewed"


def _advanced_page(advanced: "Advanced") -> str:
    done, following = advanced.completed, advanced.next
    if following is not None:
        says = f"Claimed next step: {following.id} - {escape(following.title)}"
    elif advanced.complete:
        says = f"Workflow {advanced.workflow} is complete."
    else:
        says = f"No step is ready: `formula current {advanced.workflow}` shows what they wait for."
    return parts(
        f"{_completed(done)}: {escape(done.title)} ({advanced.ended} of {advanced.total} steps ended)",
        says,
    )


@TASK.command("approve", example='approve 299833bc "Reads well" --agent bob')
@_words("[WS] ID [COMMENT...]", "The task, and what there is to say.")
@option("--comment", help="What there is to say.")
def approve(run: Run, words: tuple[str, ...], comment: str | None) -> Answer:
    """Say that the work of another agent is done."""
    task, text = _task_and_text(run, words, "--comment", comment)
    return _stepped(run.orc.reviews.approve(task, comment=text or ""), "Approved")


@TASK.command("reject", example='reject 299833bc "The migration has no test" --agent bob')
@_words("[WS] ID REASON...", "The task, and what is missing.")
@option("--reason", help="What is missing.")
def reject(run: Run, words: tuple[str, ...], reason: str | None) -> Answer:
    """Give the work of another agent back to it, with the reason."""
    task, text = _task_and_text(run, words, "--reason", reason)
    rejected = run.orc.reviews.reject(task, reason=_needed("reason", text))
    return _stepped(rejected, "Rejected")


@TASK.command("trust", example="trust 299833bc")
@argument("tasks", type=TASK_ID, metavar="IDS...", many=True, help="Tasks that came by import.")
def trust(run: Run, tasks: tuple[str, ...]) -> Answer:
    """Let the commands run that tasks came with by import; `task show` prints them."""
    trusted = run.orc.reviews.trust(tasks)
    said = (
        f"Trusted: {escape(task.title)}: {escape(command)}"
        for task in trusted
        if task.checks is not None
        for command in task.checks.verify
    )
    return Answer(trusted, lambda: lines(said, empty="Nothing to trust."))


def _reason(needed: bool = False) -> Decorator:
    usage = "[WS] ID REASON..." if needed else "[WS] ID [REASON...]"
    return together(_words(usage, "The task, and why."), option("--reason", help="Why."))


@TASK.command("fail", example='fail 299833bc "The API is gone"')
@_reason()
@_TOKEN
def fail(run: Run, words: tuple[str, ...], reason: str | None, token: int | None) -> Answer:
    """Say that a task was tried and cannot be done."""
    task, text = _task_and_text(run, words, "--reason", reason)
    return _stepped(run.orc.tasks.fail(task, reason=text or "", token=token), "Failed")


@TASK.command("release", example="release 299833bc")
@_reason()
@_TOKEN
def release(run: Run, words: tuple[str, ...], reason: str | None, token: int | None) -> Answer:
    """Give a task back; it is pending again."""
    task, text = _task_and_text(run, words, "--reason", reason)
    return _stepped(run.orc.tasks.release(task, reason=text or "", token=token), "Released")


@TASK.command("block", example='block 299833bc "Waiting for a key"')
@_reason(needed=True)
def block(run: Run, words: tuple[str, ...], reason: str | None) -> Answer:
    """Set a task aside because of something outside the board."""
    task, text = _task_and_text(run, words, "--reason", reason)
    return _stepped(run.orc.tasks.block(task, reason=_needed("reason", text)), "Blocked")


@TASK.command("unblock", example="unblock 299833bc")
@_words("[WS] ID", "The task.")
def unblock(run: Run, words: tuple[str, ...]) -> Answer:
    """Make a blocked task pending again."""
    return _stepped(run.orc.tasks.unblock(_task_only(run, words)), "Unblocked")


@TASK.command("cancel", example='cancel 299833bc "Not wanted any more"')
@_reason()
def cancel(run: Run, words: tuple[str, ...], reason: str | None) -> Answer:
    """End a task that is not wanted any more."""
    task, text = _task_and_text(run, words, "--reason", reason)
    return _stepped(run.orc.tasks.cancel(task, reason=text or ""), "Cancelled")


@TASK.command("reopen", example='reopen 299833bc "The fix did not hold" --downstream')
@_reason()
@flag("--downstream", help="Also all that was done after it, by way of others too.")
def reopen(run: Run, words: tuple[str, ...], reason: str | None, downstream: bool) -> Answer:
    """Make an ended task pending again.

    What needs it waits again; what was done after it stays done, unless ``--downstream`` reopens that too.
    With the root of a cancelled workflow the steps are open again that were cancelled with it.
    """
    task, text = _task_and_text(run, words, "--reason", reason)
    found = run.orc.tasks.reopen(task, downstream=downstream, reason=text or "")
    return _stepped(
        found, "Reopened, with all that was done after it" if downstream else "Reopened"
    )


@TASK.command("archive", example="archive --older-than 30d")
@argument(
    "tasks",
    type=TASK_ID,
    metavar="IDS...",
    required=False,
    many=True,
    help="Tasks that have ended.",
)
@option("--older-than", type=DURATION, help="Every task that ended so long ago: 30d.")
def archive(run: Run, tasks: tuple[str, ...], older_than: str | None) -> Answer:
    """Take ended tasks out of the state; the log and `t show` keep them."""
    if not tasks and older_than is None:
        raise UsageError("Nothing to archive is named", hint="Give ids or --older-than 30d.")
    archived = run.orc.tasks.archive(tasks, older_than=older_than)
    said = (f"Archived: {escape(task.title)}" for task in archived)
    return Answer(archived, lambda: lines(said, empty="Nothing to archive."))


def _stepped(task: "Task", step: str) -> Answer:
    return say(task, f"{step}: {escape(task.title)}")


def _needed(what: str, text: str | None) -> str:
    if not text:
        raise UsageError(f"A {what} is needed", hint="Give it as the last word, quoted.")
    return text


# Looking up


@TASK.command("list", example="list build --status pending,blocked", reads=True, filters_agent=True)
@argument(
    "workstream", type=WORKSTREAM_NAME, metavar="WS", required=False, help="Only tasks of this one."
)
@option("--status", type=choice(*STATUSES), many=True, help="Only with one of these.")
@option("--labels", "--label", type=WORDS, many=True, help="Only with all of these labels.")
@option(
    "--any-labels", "--any-label", type=WORDS, many=True, help="Only with one of these at least."
)
@option("--type", type=WORD, help="Only of this type.")
@option("--priority", type=INTEGER, help="Only of this priority.")
@option("--parent", type=TASK_ID, help="Only the parts of this task.")
@flag("--overdue", help="Only open ones that should be done by now.")
@flag("--ready", help="Only tasks that can be claimed now.")
def list_(
    run: Run,
    workstream: str | None,
    status: tuple[str, ...] | None,
    labels: tuple[str, ...] | None,
    any_labels: tuple[str, ...] | None,
    agent: str | None,
    **filters: Any,
) -> Answer:
    """List tasks, in the order they were added."""
    tasks = run.orc.tasks.all(
        workstream,
        status=status or (),
        agent=agent,
        labels=labels or (),
        any_labels=any_labels or (),
        **filters,
    )
    return Answer(tasks, lambda: lines((line_of(run, t) for t in tasks), empty="No tasks."))


@TASK.command("show", example="show 299833bc", reads=True)
@_words("[WS] ID", "The task.")
def show(run: Run, words: tuple[str, ...]) -> Answer:
    """Show everything about a task, with its history."""
    task = run.orc.tasks.get(_task_only(run, words))
    history = run.orc.tasks.history(task.id)
    around = _Around.of(run, task)
    record = {**plain(task), **plain(around), "history": _history(history)}
    return Answer(record, lambda: _page(task, around, history))


class _Around(msgspec.Struct):
    """What stands around a task in the graph, beside what its record says."""

    needed_by: list[str]
    children: list[str]
    linked_by: "list[Edge]"
    kept_back_by: "list[Blocker]"

    @classmethod
    def of(cls, run: Run, task: "Task") -> "_Around":
        is_open = task.status not in ENDED
        return cls(
            needed_by=[dependant.id for dependant in run.orc.tasks.needed_by(task.id)],
            children=list(run.orc.links.state.tasks.children.get(task.id, ())),
            linked_by=run.orc.links.linked(task.id),
            kept_back_by=run.orc.links.blockers(task.id) if is_open else [],
        )


def line(task: "Task") -> str:
    """``[status] ID: TITLE -> agent``."""
    status = paint(f"[{task.status}]", _COLOURS.get(task.status, ""))
    holder = f" -> {escape(task.assigned_to)}" if task.assigned_to else ""
    return f"{status} {task.id}: {escape(task.title)}{holder}"


def why(blocker: "Blocker") -> str:
    """Why a task is kept back, with the command that takes that away."""
    way = f" (`{escape(blocker.command)}`)" if blocker.command else ""
    return f"{escape(blocker.says)}{way}"


def line_of(run: Run, task: "Task") -> str:
    """The line of a task with, in short, what other tasks and the calendar do to it."""
    return line(task) + _in_short(run, task)


def _in_short(run: Run, task: "Task") -> str:
    if task.status in ENDED or (task.is_clear and not task.defer_until):
        return ""
    notes: dict[str, None] = {}
    for blocker in run.orc.links.blockers(task.id):
        if blocker.kind == "deferred":
            notes[f"put off until {task.defer_until[:16]}"] = None
        elif blocker.task is not None:
            children = "children of " if blocker.kind == "children" else ""
            notes[f"waits for {children}{blocker.task}"] = None
        elif blocker.kind == "signal":
            notes[escape(blocker.says)] = None
    said = list(notes)
    more = f", and {len(said) - SHOWN} more" if len(said) > SHOWN else ""
    return f" ({', '.join(said[:SHOWN])}{more})" if said else ""


def _history(events: "list[Recorded]") -> list[dict[str, Any]]:
    from orchestrator.domain.event_log import as_dict

    return [as_dict(event) for event in events]


def _page(task: "Task", around: _Around, history: "list[Recorded]") -> str:
    notes = "\n".join(f"{note.at} {note.agent}: {note.text}" for note in task.notes)
    rows = [(event.id, event.ts, event.agent, event.type) for event in history]
    return parts(
        line(task),
        fields(_facts(task, around)),
        titled("Kept back", "\n".join(map(why, around.kept_back_by))),
        section("Description", task.description),
        section("Acceptance", task.acceptance),
        section("Reason", task.reason),
        section("Result", task.result or ""),
        section("Checks", _checks(task)),
        section("Evidence", "\n".join(map(_shown, task.evidence))),
        section("Notes", notes),
        "History:\n" + table(("event", "time", "agent", "type"), rows),
    )


def _checks(task: "Task") -> str:
    checks = task.checks
    if checks is None:
        return ""
    within = f", each within {spoken(checks.patience)}" if checks.timeout else ""
    said = [f"verify{within}: {escape(command)}" for command in checks.verify]
    said += [f"artifact: {escape(path)}" for path in checks.artifacts]
    if checks.review:
        said.append("review: another agent must approve")
    if checks.are_inert:
        said.append(f"The commands came by import and do not run before `t trust {task.id}`.")
    return "\n".join(said)


def _shown(item: "Evidence") -> str:
    """One check: whether it passed, what it was, how it ended, and the end of what it wrote."""
    outcome = "passed" if item.passed else "FAILED"
    if item.kind == "review":
        outcome = "approved" if item.passed else "rejected"
    facts = [
        item.problem,
        "" if item.seconds is None else f"{item.seconds:.1f}s",
        "" if item.size is None else f"{item.size} bytes, sha256 {item.sha256}",
        f"{item.agent}, {item.at}",
    ]
    said = f": {escape(item.what)}" if item.what else ""
    first = f"{outcome} {item.kind}{said} ({'; '.join(filter(None, facts))})"
    output = escape_lines(item.output.replace("\r\n", "\n").rstrip("\n"))
    return "\n".join([first, *(f"  | {row}" for row in output.split("\n") if output)])


def _facts(task: "Task", around: _Around) -> list[tuple[str, object]]:
    held = task.status in HELD
    waits = f" ({task.open_needs} open)" if task.open_needs else ""
    return [
        ("workstream", task.workstream),
        ("type", task.type),
        ("priority", task.priority),
        ("labels", ", ".join(task.labels)),
        ("estimate", task.estimate and spoken(task.estimate * 60)),
        ("needs", ", ".join(task.needs) + waits),
        ("needed by", ", ".join(around.needed_by)),
        ("parent", task.parent),
        ("children", ", ".join(around.children)),
        ("progress", task.progress.text if task.progress else ""),
        ("waits for", _gate(task)),
        ("signals", ", ".join(map(_signal, task.signals))),
        ("milestone", "done by itself when it is reached" if task.milestone else ""),
        ("until", task.until),
        ("workflow", task.workflow),
        ("to be given to", task.assignee),
        ("links", ", ".join(f"{link.kind} {link.task}" for link in task.links)),
        ("linked by", ", ".join(f"{edge.task} ({edge.kind})" for edge in around.linked_by)),
        ("touches", ", ".join(task.touches)),
        ("put off until", task.defer_until),
        ("due", task.due),
        ("commits", ", ".join(task.commits)),
        ("lease until", task.lease_until if held else ""),
        ("token", task.token if held else ""),
        ("attempt", task.attempt or ""),
        ("created", f"{task.created_at} by {task.created_by}"),
        ("updated", task.updated_at),
        ("ended", task.ended_at),
    ]


def _signal(signal: "Signal") -> str:
    when = f"given {signal.given_at}" if signal.given_at else "not given"
    until = f", until {signal.until}" if signal.until else ""
    return f"{signal.kind} {signal.name} ({when}{until})"


def _gate(task: "Task") -> str:
    if task.gate is None:
        return ""
    whose = "its own children" if task.gate.of == task.id else f"the children of {task.gate.of}"
    return f"{task.gate.how} of {whose}{'' if task.waiting else ' (open)'}"
