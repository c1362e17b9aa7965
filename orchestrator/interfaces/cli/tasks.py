"""``orc task``: every step of a task's life, and looking tasks up."""

from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.core.clock import spoken
from orchestrator.core.errors import OrchestratorError, UsageError
from orchestrator.core.printable import escape, escape_lines
from orchestrator.domain.tasks.events import ENDED, HELD, STATUSES
from orchestrator.interfaces.cli.commands import TASK
from orchestrator.interfaces.cli.grammar import Argument, Option, integer, minutes, path
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
    from orchestrator.domain.tasks.events import Signal, Task
    from orchestrator.domain.tasks.verification import Evidence
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

_WORKSTREAM = Argument("workstream", "Where it belongs.", "WS", completes="workstreams")
_LEASE = Option(("--lease",), "How long the claim lasts: 30m, 2h.", "DURATION")
_TOKEN = Option(
    ("--token",), "The fencing token of the claim; an older one is refused.", "N", convert=integer
)
_FIELDS = (
    Option(("--description",), "What is to be done."),
    Option(("--type",), "A word such as task, bug, feature.", "WORD"),
    Option(("--priority",), "1 comes first; 5 if not given.", "N", convert=integer),
    Option(("--labels", "--label"), "Words to find it by.", "WORDS", many=True),
    Option(("--acceptance",), "What must be true when it is done."),
    Option(("--estimate",), "Minutes of work, or a duration: 90, 2h.", "TIME", convert=minutes),
    Option(("--needs",), "Tasks that must be done before.", "IDS", many=True, completes="tasks"),
    Option(
        ("--touches",),
        "Resources it needs while it runs: git, src/**, db:shared.",
        "NAMES",
        many=True,
    ),
    Option(("--parent",), "The task that it is a part of.", "ID", completes="tasks"),
    Option(("--waits-for",), "Children it waits for: all or any of its own; all:ID.", "WHICH"),
    Option(("--defer",), "Not to be taken before: 2026-12-01, or 3d from now.", "TIME"),
    Option(("--due",), "When it should be done, in the same forms.", "TIME"),
    Option(
        ("--verify",),
        "A command that must succeed before it is complete; no shell reads it. Repeatable.",
        "CMD",
        many=True,
        commas=False,
    ),
    Option(("--verify-timeout",), "How long each of them may take: 30m; else 10m.", "DURATION"),
    Option(
        ("--artifacts", "--artifact"),
        "A file or folder that must be there then, and hold something. Repeatable.",
        "PATH",
        many=True,
        commas=False,
    ),
    Option(("--review",), "Another agent than the worker must approve it.", flag=True),
)


def _words(usage: str, help: str) -> Argument:
    """The words of a command that takes ``[WS] ID`` and perhaps more."""
    return Argument("words", help, usage, many=True, completes="tasks")


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


@TASK.command(
    "add",
    _WORKSTREAM,
    Argument("title", "One line that says what is to be done."),
    Argument("desc", "What is to be done, at length.", required=False),
    Argument("number", "Its priority; 1 comes first.", "PRIORITY", False, convert=integer),
    *_FIELDS,
    Option(("--name",), "With --parent: the last part of the id; else the next number."),
    example='add build "Ship v1" --priority 1 --needs 299833bc --touches git',
)
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


@TASK.command(
    "batch",
    Argument("file", "JSON or markdown; - is stdin.", convert=path),
    Option(("--ws",), "Where tasks belong that do not say it.", "WS", completes="workstreams"),
    DRY_RUN,
    example="batch plan.md --ws build --dry-run",
)
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


@TASK.command(
    "edit",
    _words("[WS] ID", "The task."),
    Option(("--title",), "One line that says what is to be done."),
    *_FIELDS,
    Option(("--commits", "--commit"), "Commits that belong to it, by id.", "SHA", many=True),
    Option(("--no-review",), "Nobody needs to approve it.", flag=True),
    example='edit 299833bc --priority 1 --labels ui,urgent --needs ""',
)
def edit(run: Run, words: tuple[str, ...], review: bool, no_review: bool, **fields: Any) -> Answer:
    """Change fields of a task; an empty list clears a field that holds several."""
    if review and no_review:
        raise UsageError("--review and --no-review exclude each other")
    changes = given(**fields, review=review if review or no_review else None)
    if not changes:
        raise UsageError("There is nothing to change", hint="Give a field, such as --title.")
    task = run.orc.tasks.edit(_task_only(run, words), **changes)
    return say(task, f"Edited: {escape(task.title)}")


@TASK.command(
    "note",
    _words("[WS] ID TEXT...", "The task, and what there is to say."),
    example='note 299833bc "The API needs a key"',
)
def note(run: Run, words: tuple[str, ...]) -> Answer:
    """Append a note to a task."""
    task, text = _task_and_text(run, words, "", None)
    return _stepped(run.orc.tasks.note(task, _needed("text", text)), "Noted")


# Working


@TASK.command(
    "claim",
    _words("[WS] ID [AGENT]", "The task, and who takes it."),
    _LEASE,
    example="claim build 299833bc agent-1",
)
def claim(run: Run, words: tuple[str, ...], lease: str | None) -> Answer:
    """Take a task under a lease."""
    task, rest = task_of(run, words)
    agent = run.actor(rest[0] if rest else None)
    _no_more(task, rest[1:])
    claimed = run.orc.tasks.claim(task, agent=agent, lease=lease)
    return say(claimed, f"Claimed: {escape(claimed.title)} -> {escape(claimed.assigned_to or '')}")


@TASK.command(
    "next",
    Argument("workstream", "Only tasks of this one.", "WS", False, completes="workstreams"),
    Argument("agent", "Who takes it.", required=False, completes="agents"),
    _LEASE,
    Option(("--wait",), "Wait so long for a task to become free: 30s.", "DURATION", default="0"),
    example="next build agent-1 --wait 30s",
)
def next_(
    run: Run, workstream: str | None, agent: str | None, lease: str | None, wait: str
) -> Answer:
    """Claim the task to do next: by workstream priority, task priority, age."""
    task = run.orc.tasks.next(workstream, agent=run.actor(agent), lease=lease, wait=wait)
    if task is None:
        return say(None, f"No pending tasks{' in this workstream' if workstream else ''}.", 1)
    return say(task, f"Claimed next task: {task.id} - {escape(task.title)}")


@TASK.command(
    "renew", _words("[WS] ID", "The task."), _LEASE, _TOKEN, example="renew 299833bc --lease 1h"
)
def renew(run: Run, words: tuple[str, ...], lease: str | None, token: int | None) -> Answer:
    """Extend the lease of a task, from now."""
    task = run.orc.tasks.renew(_task_only(run, words), lease=lease, token=token)
    return say(task, f"Renewed: {escape(task.title)} (until {task.lease_until})")


@TASK.command(
    "complete",
    _words("[WS] ID [RESULT...]", "The task, and what came out."),
    Option(("--result",), "What came out, for whoever needs it next."),
    Option(("--force",), "Although a check does not pass; with --reason.", flag=True),
    Option(("--reason",), "Why by force; it is kept.", default=""),
    _TOKEN,
    Option(
        ("--continue",),
        "Of a workflow: claim the next ready step with it, in one commit.",
        flag=True,
    ),
    Option(("--lease",), "With --continue: how long, as 30m; else as long as before.", "DURATION"),
    aliases=("done",),
    example='complete 299833bc "Shipped as v1.0.2" --token 17',
)
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


@TASK.command(
    "approve",
    _words("[WS] ID [COMMENT...]", "The task, and what there is to say."),
    Option(("--comment",), "What there is to say."),
    example='approve 299833bc "Reads well" --agent bob',
)
def approve(run: Run, words: tuple[str, ...], comment: str | None) -> Answer:
    """Say that the work of another agent is done."""
    task, text = _task_and_text(run, words, "--comment", comment)
    return _stepped(run.orc.reviews.approve(task, comment=text or ""), "Approved")


@TASK.command(
    "reject",
    _words("[WS] ID REASON...", "The task, and what is missing."),
    Option(("--reason",), "What is missing."),
    example='reject 299833bc "The migration has no test" --agent bob',
)
def reject(run: Run, words: tuple[str, ...], reason: str | None) -> Answer:
    """Give the work of another agent back to it, with the reason."""
    task, text = _task_and_text(run, words, "--reason", reason)
    rejected = run.orc.reviews.reject(task, reason=_needed("reason", text))
    return _stepped(rejected, "Rejected")


@TASK.command(
    "trust",
    Argument("tasks", "Tasks that came by import.", "IDS...", many=True, completes="tasks"),
    example="trust 299833bc",
)
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


def _reason(needed: bool = False) -> tuple[Argument, Option]:
    usage = "[WS] ID REASON..." if needed else "[WS] ID [REASON...]"
    return _words(usage, "The task, and why."), Option(("--reason",), "Why.")


@TASK.command("fail", *_reason(), _TOKEN, example='fail 299833bc "The API is gone"')
def fail(run: Run, words: tuple[str, ...], reason: str | None, token: int | None) -> Answer:
    """Say that a task was tried and cannot be done."""
    task, text = _task_and_text(run, words, "--reason", reason)
    return _stepped(run.orc.tasks.fail(task, reason=text or "", token=token), "Failed")


@TASK.command("release", *_reason(), _TOKEN, example="release 299833bc")
def release(run: Run, words: tuple[str, ...], reason: str | None, token: int | None) -> Answer:
    """Give a task back; it is pending again."""
    task, text = _task_and_text(run, words, "--reason", reason)
    return _stepped(run.orc.tasks.release(task, reason=text or "", token=token), "Released")


@TASK.command("block", *_reason(needed=True), example='block 299833bc "Waiting for a key"')
def block(run: Run, words: tuple[str, ...], reason: str | None) -> Answer:
    """Set a task aside because of something outside the board."""
    task, text = _task_and_text(run, words, "--reason", reason)
    return _stepped(run.orc.tasks.block(task, reason=_needed("reason", text)), "Blocked")


@TASK.command("unblock", _words("[WS] ID", "The task."), example="unblock 299833bc")
def unblock(run: Run, words: tuple[str, ...]) -> Answer:
    """Make a blocked task pending again."""
    return _stepped(run.orc.tasks.unblock(_task_only(run, words)), "Unblocked")


@TASK.command("cancel", *_reason(), example='cancel 299833bc "Not wanted any more"')
def cancel(run: Run, words: tuple[str, ...], reason: str | None) -> Answer:
    """End a task that is not wanted any more."""
    task, text = _task_and_text(run, words, "--reason", reason)
    return _stepped(run.orc.tasks.cancel(task, reason=text or ""), "Cancelled")


@TASK.command(
    "reopen",
    *_reason(),
    Option(("--downstream",), "Also all that was done after it, by way of others too.", flag=True),
    example='reopen 299833bc "The fix did not hold" --downstream',
)
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


@TASK.command(
    "archive",
    Argument("tasks", "Tasks that have ended.", "IDS...", False, many=True, completes="tasks"),
    Option(("--older-than",), "Every task that ended so long ago: 30d.", "DURATION"),
    example="archive --older-than 30d",
)
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


@TASK.command(
    "list",
    Argument("workstream", "Only tasks of this one.", "WS", False, completes="workstreams"),
    Option(("--status",), "Only with one of these.", "STATUS", many=True, choices=STATUSES),
    Option(("--labels", "--label"), "Only with all of these labels.", "WORDS", many=True),
    Option(("--any-labels", "--any-label"), "Only with one of these at least.", "WORDS", many=True),
    Option(("--type",), "Only of this type.", "WORD"),
    Option(("--priority",), "Only of this priority.", "N", convert=integer),
    Option(("--parent",), "Only the parts of this task.", "ID", completes="tasks"),
    Option(("--overdue",), "Only open ones that should be done by now.", flag=True),
    Option(("--ready",), "Only tasks that can be claimed now.", flag=True),
    aliases=("ls",),
    example="list build --status pending,blocked",
    reads=True,
    filters_agent=True,
)
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


@TASK.command("show", _words("[WS] ID", "The task."), example="show 299833bc", reads=True)
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
            children=list(run.orc.links.state.children.get(task.id, ())),
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
        ("progress", task.progress.says if task.progress else ""),
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
