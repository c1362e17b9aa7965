"""The sections of a brief, the most important first. Text by others is quoted in all of them."""

import shlex
from collections.abc import Iterator
from itertools import islice

from orchestrator.core.clock import local_time, spoken
from orchestrator.core.events import decode
from orchestrator.core.printable import escape, times
from orchestrator.domain.knowledge.commands import Knowledge
from orchestrator.domain.tasks.blockers import ancestors
from orchestrator.domain.tasks.facts import KEPT
from orchestrator.index.matching import match_any
from orchestrator.index.topics import ranked_topics
from orchestrator.planning.brief_context import BriefContext
from orchestrator.planning.page import PageBlock, Section
from orchestrator.planning.quoting import quote, quote_line, quote_titled, writer
from orchestrator.planning.survey import place

EVENTS = 10
"""How many events of the workstream a brief shows."""

LATEST = 1000
"""How many of the latest events of the board are searched for events of the workstream."""

NEIGHBOURS = 10
"""How many running tasks a brief shows."""


def sections(context: BriefContext) -> Iterator[Section]:
    """Yield the sections with the share of the brief that each may have."""
    task, prog, show = context.task, context.prog, context.show
    touches = _text(context, "touches", _lines(task.touches))
    lately = f"Recent events of {task.workstream}"
    yield Section("What ends its loop", list(_loops(context)), 0.05, show)
    for field, kept in KEPT.items():
        if kept.brief:
            text = _text(context, field, _lines(getattr(task, field)))
            yield Section(kept.label.capitalize(), text, kept.brief, show)
    yield Section("The workflow it is a step of", list(_parents(context)), 0.08, context.current)
    yield Section("Its worktree", list(_worktree(context)), 0.03, f"{prog} worktree show {task.id}")
    yield Section("What is checked", list(_checks(context)), 0.05, show)
    yield Section("It touches", touches, 0.03, show)
    yield Section("Results of earlier tasks", list(_results(context)), 0.15, show)
    yield Section("Earlier attempts and notes", list(_history(context)), 0.08, show)
    yield Section("Recorded about it", list(_remarks(context)), 0.1, show)
    yield Section("Knowledge", list(_knowledge(context)), 0.25, f"{prog} kb list")
    yield Section("Who works next to it", list(_neighbours(context)), 0.08, f"{prog} status")
    yield Section(lately, _events(context), 0.05, f"{prog} events --last 50")


def _block(label: str, text: str, rest: str) -> PageBlock:
    return PageBlock(f"{label}\n\n{quote(text)}", rest)


def _text(context: BriefContext, field: str, text: str) -> list[PageBlock]:
    label = f"Written by {context.writer_of(field)}:"
    return [_block(label, text, context.show)] if text.strip() else []


def _lines(value: str | tuple[str, ...] | dict[str, str]) -> str:
    """Return a text unchanged, or each item of a list or mapping on its own line."""
    if isinstance(value, dict):
        value = tuple(f"{key}={text}" for key, text in value.items())
    return value if isinstance(value, str) else "\n".join(value)


def _loops(context: BriefContext) -> Iterator[PageBlock]:
    """Yield the loops that contain the task, with the command that ends each."""
    for loop in ancestors(context.state, context.task.parent):
        if loop.until:
            label = (
                f"When this is so, `{context.prog} t signal {loop.id}` before you complete the task:"
                " then no further round begins."
            )
            yield _block(label, loop.until, context.show)


def _parents(context: BriefContext) -> Iterator[PageBlock]:
    """Yield the parents of a step, the root of its workflow first."""
    if context.task.workflow is None:
        return
    for parent in reversed([*ancestors(context.state, context.task.parent)]):
        if not parent.until:
            label = f"`{parent.id}`, written by {writer(parent.created_by)}:"
            text = "\n\n".join(filter(None, [parent.title, parent.description]))
            yield _block(label, text, context.show_of(parent))


def _worktree(context: BriefContext) -> Iterator[PageBlock]:
    """Yield where the task is worked on, if it has a worktree."""
    worktree = context.state.worktrees.get(context.task.id)
    if worktree is not None:
        command = f"{context.prog} worktree path {worktree.task}"
        text = (
            f'Work and commit in it: `cd "$({command})"`; its branch is {escape(worktree.branch)}.'
        )
        yield PageBlock(text, command)


def _checks(context: BriefContext) -> Iterator[PageBlock]:
    """Yield the checks of `t complete`, and the checks that failed the last time."""
    task, checks, show = context.task, context.task.checks, context.show
    if checks is None:
        return
    author = context.writer_of("checks")
    has_worktree = task.id in context.state.worktrees
    place_of_checks = "in its worktree" if has_worktree else "where you call it"
    if checks.verify:
        inert = "" if checks.trusted else f" They came by import: first `t trust {task.id}`."
        label = (
            f"`t complete` runs these commands {place_of_checks}, without a shell, each within"
            f" {spoken(checks.patience)}, and refuses if one fails; written by {author}:{inert}"
        )
        yield PageBlock("\n".join([label, "", *map(_item, checks.verify)]), show)
    if checks.artifacts:
        label = f"These files must exist and not be empty; written by {author}:"
        yield PageBlock("\n".join([label, "", *map(_item, checks.artifacts)]), show)
    if checks.review:
        yield PageBlock("Another agent must approve the work before it is done.", show)
    for item in task.evidence:
        if item.kind != "review" and not item.passed:
            when = local_time(item.at, context.now)
            label = f"This did not pass at {when}, when {writer(item.agent)} tried:"
            lines = [label, "", quote_line(item.what), quote_line(item.problem)]
            lines += [">", quote(item.output)] if item.output else []
            yield PageBlock("\n".join(lines), show)


def _item(text: str) -> str:
    return quote_line(f"- {text}")


def _results(context: BriefContext) -> Iterator[PageBlock]:
    for need in context.earlier_tasks():
        result = f"its result by {writer(need.assigned_to)}" if need.result else "no result"
        label = (
            f"`{need.id}` of {need.workstream} is {need.status}; its title was written by"
            f" {writer(need.created_by)}, {result}:"
        )
        yield PageBlock(quote_titled(label, need.title, need.result), context.show_of(need))


def _history(context: BriefContext) -> Iterator[PageBlock]:
    task, show = context.task, context.show
    if task.failures:
        yield PageBlock(f"It failed {times(task.failures)} before.", show)
    if task.reason:
        author = writer(context.writers.get("reason"))
        yield _block(f"Why it is {task.status}, written by {author}:", task.reason, show)
    for note in reversed(task.notes):
        label = f"Note of {local_time(note.at, context.now)}" if note.at else "Note"
        yield _block(f"{label}, written by {writer(note.agent)}:", note.text, show)


def _remarks(context: BriefContext) -> Iterator[PageBlock]:
    """Yield the remarks of other nouns about the task."""
    for slice in context.state.slices():
        for remark in slice.remarks_on(context.task.id):
            command = f"{context.prog} {remark.command}"
            label = f"{remark.label}, written by {writer(remark.author)} (`{command}`):"
            yield _block(label, remark.text, command)


def _knowledge(context: BriefContext) -> Iterator[PageBlock]:
    """Yield the topics that match the task, the most relevant first."""
    documents = {document.topic: document for document in Knowledge(context.desk).documents()}
    query = match_any(context.query(), begins=True)
    for name in ranked_topics(context.desk, documents, query) if documents else ():
        # A file that was made by hand may have any name.
        command = f"{context.prog} kb read {escape(shlex.quote(name))}"
        label = (
            f"Topic `{escape(name)}`, written by {writer(documents[name].author)} (`{command}`):"
        )
        yield _block(label, documents[name].text, command)


def _neighbours(context: BriefContext) -> Iterator[PageBlock]:
    """Yield the holders of the task's resources, then other running tasks, the same workstream first."""
    state, now, task = context.state, context.now, context.task
    for hold in state.schedule.task_collisions(task, context.agent, now):
        if hold.task != task.id:
            purpose = f" for task {hold.task}" if hold.task else ""
            holder = f"{writer(hold.agent)} holds until {local_time(hold.until, now)}{purpose}"
            label = f"{holder}, so the claim is refused:"
            yield PageBlock(quote_titled(label, hold.resource), f"{context.prog} l list")
    for other in context.others_at_work()[:NEIGHBOURS]:
        touches = f" and what it touches ({len(other.touches)})" if other.touches else ""
        since = local_time(other.claimed_at or other.updated_at, now)
        label = (
            f"{writer(other.assigned_to)} works on {place(other)} since {since};"
            f" its title{touches}, written by {writer(other.created_by)}:"
        )
        lines = [quote_titled(label, other.title), *map(_item, other.touches[:5])]
        yield PageBlock("\n".join(lines), context.show_of(other))


def _events(context: BriefContext) -> list[PageBlock]:
    """Return recent events about tasks of the workstream, newest first, so that a cut takes the oldest."""
    state, workstream = context.state, context.task.workstream
    lines: list[str] = []
    for record in islice(context.desk.read_backwards(), LATEST):
        task_id = getattr(decode(record, state.board.format_at(record.id)), "task", None)
        task = state.tasks.get(task_id) if task_id else None
        if task is not None and task.workstream == workstream and record.id in task.events:
            when = local_time(record.ts, context.now)
            lines.append(f"- {when} {writer(record.agent)}: {record.type} {task.id}")
        if len(lines) == EVENTS:
            break
    return [PageBlock("\n".join(lines), f"{context.prog} events --last 50")] if lines else []
