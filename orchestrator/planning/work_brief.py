"""The short brief of work that an agent has just taken: what to do, what is checked, how to end it.

It follows the answer of a claim, so it has at most a few hundred tokens: the least important parts are left
out first. :mod:`orchestrator.planning.brief` is complete.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Literal

import msgspec

from orchestrator.core.clock import local_time, spoken
from orchestrator.core.events import Event, decode
from orchestrator.core.printable import TOKEN, escape, one_line, shortened
from orchestrator.core.transaction import Desk
from orchestrator.domain.state import State
from orchestrator.domain.tasks import events, verification_events
from orchestrator.domain.tasks.checks import Checks
from orchestrator.domain.tasks.records import Evidence, Note, Task
from orchestrator.planning.brief_context import BriefContext
from orchestrator.planning.quoting import quote

BUDGET = 400
"""The default budget of a short brief, in tokens."""

NAMED = 3
"""How many results, neighbours, notes and topics are named."""

LINE = 160
"""Characters of a result or a reason in one line."""

TITLE = 60
"""Characters of a title in a list."""


class NearTask(msgspec.Struct, frozen=True, kw_only=True):
    """Another task: a need with its result, a task of another agent, or another task of this agent."""

    task: str
    title: str
    status: str
    agent: str = ""
    until: str = ""
    result: str = ""


class WorkBrief(msgspec.Struct, frozen=True, kw_only=True):
    """Information about the work of an agent that is not in the record of the task.

    Attributes:
        kind: task or review.
        lease: How long it has the work, in words.
        checks: The checks of `complete`, in words.
        rejection: What the last reviewer who rejected it wants, and who that was.
        before: How other attempts ended, the latest first.
        results: The results of its needs.
        neighbours: The running tasks of others.
        others: The other tasks of the agent.
        topics: Topics of knowledge whose name or tags fit.
        commands: The commands that end the work.
    """

    kind: Literal["task", "review"]
    lease: str
    checks: tuple[str, ...]
    rejection: Note | None
    before: tuple[str, ...]
    notes: tuple[Note, ...]
    results: tuple[NearTask, ...]
    neighbours: tuple[NearTask, ...]
    others: tuple[NearTask, ...]
    topics: tuple[str, ...]
    commands: tuple[str, ...]


def brief_work(desk: Desk[State], task: Task, agent: str, *, prog: str = "orc") -> WorkBrief:
    """Return the short brief of a task, or of a review, that an agent has.

    Args:
        desk: The board.
        task: The task.
        agent: The agent.
        prog: How the command line is called as this agent.
    """
    context = BriefContext(desk, task, prog, agent)
    is_review = task.status == "in_review"
    return WorkBrief(
        kind="review" if is_review else "task",
        lease=_lease(context, is_review=is_review),
        checks=() if is_review else (*_checks(task.checks),),
        rejection=_rejection(task),
        before=(*islice(_before(context), NAMED),),
        notes=_notes_on(task),
        results=() if is_review else (*map(_result, islice(context.earlier_tasks(), NAMED)),),
        neighbours=() if is_review else (*map(_near, _neighbours(context)),),
        others=(*map(_near, _others(context)),),
        topics=() if is_review else (*context.fitting_topics()[:NAMED],),
        commands=(*_commands(context, is_review=is_review),),
    )


def _lease(context: BriefContext, *, is_review: bool) -> str:
    task = context.task
    length = task.review_lease if is_review else task.lease
    until = local_time(task.review_until if is_review else task.lease_until, context.now)
    attempt = f" This is attempt {task.attempt}." if task.attempt > 1 and not is_review else ""
    return (
        f"You have it for {spoken(length or 0)}, until {until}; your commands extend it.{attempt}"
    )


def _checks(checks: Checks | None) -> Iterator[str]:
    if checks is None:
        return
    if checks.verify:
        inert = " (imported: `t trust` allows them to run)" if checks.are_inert else ""
        yield f"runs here {', '.join(f'`{escape(command)}`' for command in checks.verify)}{inert}"
    if checks.artifacts:
        yield f"looks for {', '.join(map(escape, checks.artifacts))}"
    if checks.review:
        yield "asks another agent to approve"


def _before(context: BriefContext) -> Iterator[str]:
    """Yield how earlier attempts ended, the latest first, and the notes of their agents."""
    task, seen = context.task, set[str]()
    rejection = _rejection(task)
    if task.attempt < 2 and not task.evidence:
        return
    for number in reversed(task.events):
        record = context.desk.event(number)
        ending = _ending(decode(record), record.agent)
        if ending is None:
            continue
        agent, sentence = ending
        if rejection is None or record.ts != rejection.at:  # else it is shown in full
            yield sentence
        session = context.state.agents.sessions.get(agent)
        if session is not None and session.note and agent not in {*seen, context.agent}:
            yield f"{agent} handed off: {one_line(session.note, LINE)}"
        seen.add(agent)


def _ending(event: Event | None, agent: str) -> tuple[str, str] | None:
    """Return the agent whose attempt an event ended, and how it ended."""
    if isinstance(event, events.TaskReleased):
        return event.holder, f"{event.holder or agent} gave it back{_because(event.reason)}"
    if isinstance(event, events.TaskLapsed):
        return event.holder, f"the lease of {event.holder} ended"
    if isinstance(event, events.TaskFailed):
        return agent, f"{agent} failed{_because(event.reason)}"
    if isinstance(event, verification_events.TaskRejected):
        return agent, f"{agent} rejected it{_because(event.reason)}"
    if isinstance(event, events.TaskReopened):
        return agent, f"{agent} reopened it{_because(event.reason)}"
    return None


def _because(reason: str) -> str:
    return f": {one_line(reason, LINE)}" if reason else ""


def _rejection(task: Task) -> Note | None:
    """Return the last rejection of a task."""
    rejections = (item for item in reversed(task.evidence) if item.kind == "review")
    last = next((item for item in rejections if not item.passed), None)
    return None if last is None else Note(last.agent, last.at, last.what)


def _notes_on(task: Task) -> tuple[Note, ...]:
    """Return the latest notes without those of rejections, whose reasons are already shown."""
    rejections = {item.what for item in task.evidence if item.kind == "review"}
    notes = [note for note in task.notes if note.text not in rejections]
    return tuple(notes[: -NAMED - 1 : -1])


def _result(task: Task) -> NearTask:
    result = one_line(task.result or "", LINE)
    title = one_line(task.title, TITLE)
    agent = task.assigned_to or ""
    return NearTask(task=task.id, title=title, status=task.status, agent=agent, result=result)


def _near(task: Task) -> NearTask:
    is_review = task.status == "in_review"
    return NearTask(
        task=task.id,
        title=one_line(task.title, TITLE),
        status=task.status,
        agent=(task.reviewer if is_review else task.assigned_to) or "",
        until=task.review_until if is_review else task.lease_until,
    )


def _neighbours(context: BriefContext) -> list[Task]:
    """Return the running tasks of others in the same workstream."""
    stream, agent = context.task.workstream, context.agent
    others = context.others_at_work()
    return [t for t in others if t.workstream == stream and t.assigned_to != agent][:NAMED]


def _others(context: BriefContext) -> list[Task]:
    """Return the other tasks of the agent."""
    schedule, now = context.state.schedule, context.now
    reviews = [t for t in schedule.reviews.held_by(context.agent) if t.review_until > now]
    tasks = [t for t in schedule.held_by(context.agent) if not t.has_lapsed(now)]
    return [task for task in (*tasks, *reviews) if task.id != context.task.id]


def _commands(context: BriefContext, *, is_review: bool) -> Iterator[str]:
    prog, task = context.prog, context.task
    if is_review:
        yield f'{prog} approve {task.id} "what you looked at"'
        yield f'{prog} reject {task.id} "what is missing"'
        yield f'{prog} release {task.id} "why another agent should review it"'
        return
    onward = " --continue" if task.workflow is not None else ""
    yield f'{prog} done {task.id} "the result"{onward}'
    yield f'{prog} fail {task.id} "why it cannot be done"'
    yield f'{prog} release {task.id} "why another agent should do it"'
    yield f'{prog} note {task.id} "what you learned"'


# The text


class _Part(msgspec.Struct, frozen=True):
    """A part of the text; the smallest ``weight`` is left out first; ``share`` if it may be cut."""

    weight: int
    text: str
    share: float = 0.0


def brief_text(task: Task, brief: WorkBrief, *, budget: int, prog: str, now: str) -> str:
    """Return a short brief as text of at most so many tokens.

    Args:
        task: The task.
        brief: Its short brief.
        budget: The tokens.
        prog: How the command line is called as this agent.
        now: The time, which says how a time is written.
    """
    room = budget * TOKEN
    show = f"{prog} show {task.id}"
    parts = [part for part in _parts(task, brief, prog, now) if part.text]
    fitted: dict[int, str] = {}
    order = sorted(range(len(parts)), key=lambda i: -parts[i].weight)
    whole = sum(len(part.text) + 1 for part in parts)
    for i in order:
        text = parts[i].text
        share = int(parts[i].share * budget * TOKEN)
        if whole > budget * TOKEN and share and len(text) > share:
            whole -= len(text)
            text = _cut(text, share, show)
            whole += len(text)
        if len(text) + 1 <= room:
            fitted[i] = text
            room -= len(text) + 1
    return "\n".join(fitted[i] for i in sorted(fitted))


def _cut(text: str, length: int, show: str) -> str:
    """Return the beginning of a quoted text, and the command that shows the rest."""
    rest = f"\n(more: `{show}`)"
    return f"{shortened(text, max(length - len(rest), 0))}{rest}"


def _parts(task: Task, brief: WorkBrief, prog: str, now: str) -> Iterator[_Part]:
    """Yield the parts in the order in which they are read."""
    is_review = brief.kind == "review"
    also = [
        f"{near.task} ({near.title}) until {local_time(near.until, now)}" for near in brief.others
    ]
    yield _Part(93, f"You also have {'; '.join(map(escape, also))}" if also else "", 0.15)
    yield _Part(95, brief.lease)
    if is_review:
        yield _Part(92, f"{escape(task.assigned_to or 'No agent')} did it: look, then judge.")
    if (note := brief.rejection) is not None:
        yield _Part(94, _quoted(f"{escape(note.agent)} rejected it", note.text), 0.5)
    yield _Part(75, _listed("Before", brief.before), 0.2)
    yield _Part(80, _quoted("To do", task.description), 0.3)
    yield _Part(85, _quoted("Done means", task.acceptance), 0.2)
    yield _Part(90, f"`done` {'; '.join(brief.checks)}." if brief.checks else "", 0.3)
    if is_review:
        yield _Part(90, _quoted("Result", task.result or ""), 0.3)
        yield _Part(88, _evidence(task), 0.3)
    if task.type == "question" and not is_review:
        decide = f"`{prog} decision add TITLE --task {task.id}`"
        yield _Part(89, f"The answer is its result; if it is a decision: {decide}.")
    yield _Part(60, _notes(brief.notes), 0.15)
    yield _Part(55, f"Touches: {', '.join(map(escape, task.touches))}" if task.touches else "", 0.1)
    yield _Part(70, "\n".join(map(_needed, brief.results)), 0.25)
    beside = [f"{near.agent} on {_named(near)}" for near in brief.neighbours]
    yield _Part(40, _listed("At work beside you", beside), 0.15)
    topics = ", ".join(map(escape, brief.topics))
    yield _Part(30, f"Knowledge: {topics}" if topics else "")
    for weight, command in zip((99, 50, 45, 35), brief.commands, strict=False):
        yield _Part(weight, f"  {command}")


def _listed(label: str, items: "tuple[str, ...] | list[str]") -> str:
    return f"{label}: {'; '.join(map(escape, items))}" if items else ""


def _quoted(label: str, text: str) -> str:
    return f"{label}:\n{quote(text)}" if text.strip() else ""


def _named(near: NearTask) -> str:
    return f"{near.task} {near.title}"


def _needed(near: NearTask) -> str:
    result = near.result or "no result was written down"
    return f"After {escape(_named(near))}: {escape(result)}"


def _notes(notes: tuple[Note, ...]) -> str:
    return "\n".join(f"{note.agent} noted: {escape(one_line(note.text, LINE))}" for note in notes)


def _evidence(task: Task) -> str:
    """Return the results of the checks, and the approval; rejections are shown before."""
    return _listed("Shown", [*filter(None, map(_shown, task.evidence))])


def _shown(item: Evidence) -> str:
    if item.kind == "review":
        return f"{item.agent} approved: {item.what}" if item.passed else ""
    if item.kind in ("force", "change"):
        return f"{item.agent} {item.problem or 'went past the checks'}: {item.what}"
    if not item.passed:
        return f"{item.what}: did not pass {item.problem}".rstrip()
    return f"{item.what}: {'is there' if item.kind == 'artifact' else 'passed'}"
