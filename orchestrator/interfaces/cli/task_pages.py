"""``orc task show``: everything about a task."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from orchestrator.core.clock import spoken
from orchestrator.core.printable import escape, escape_lines
from orchestrator.domain.event_log import EventObject, as_dict
from orchestrator.domain.tasks.facts import KEPT
from orchestrator.domain.tasks.records import ENDED, HELD, Evidence, Task
from orchestrator.domain.tasks.transitions import allowed_transitions
from orchestrator.interfaces.cli.commands import TASK
from orchestrator.interfaces.cli.layout import fields, parts, section, shown_time, titled
from orchestrator.interfaces.cli.moments import sentence_line
from orchestrator.interfaces.cli.rendering import Answer, Joined
from orchestrator.interfaces.cli.run import Run
from orchestrator.interfaces.cli.task_lines import line, why
from orchestrator.interfaces.cli.task_words import Words, mine_or_only, task_words

if TYPE_CHECKING:
    from orchestrator import Orchestrator
    from orchestrator.core.events import Recorded
    from orchestrator.domain.merges.records import Submission
    from orchestrator.domain.tasks.blockers import Blocker, Edge
    from orchestrator.domain.tasks.relations import Signal


@TASK.command("show", example="show 299833bc", reads=True)
@task_words(help="The task, the one that I have if not given.", or_mine=True)
def show(run: Run, words: Words) -> "Answer[Joined[Task, Joined[_Around, _TaskHistory]]]":
    """Show everything about a task, with its history."""
    task = run.orc.tasks.get(mine_or_only(run, words))
    history = run.orc.tasks.history(task.id)
    around = _Around.of(run.orc, task)
    named = _named(run.orc, task, around)
    rest = _TaskHistory(allowed_transitions(task), named, [*map(as_dict, history)])
    record = Joined(task, Joined(around, rest))
    return Answer(record, lambda: _page(run.orc, task, around, history))


def task_page(orc: "Orchestrator", task_id: str) -> str:
    """Everything about a task, as safe lines."""
    task = orc.tasks.get(task_id)
    return _page(orc, task, _Around.of(orc, task), orc.tasks.history(task.id))


class _TaskHistory(msgspec.Struct):
    """What the status of a task allows, the tasks around it by id, and its events."""

    allowed: list[str]
    named: "dict[str, _Named]"
    history: "list[EventObject]"


class _Around(msgspec.Struct):
    """The neighbours of a task in the graph, which are not in its record."""

    needed_by: list[str]
    children: list[str]
    linked_by: "list[Edge]"
    goals: list[str]
    submission: "Submission | None"
    kept_back_by: "list[Blocker]"

    @classmethod
    def of(cls, orc: "Orchestrator", task: "Task") -> "_Around":
        is_open = task.status not in ENDED
        state = orc.engine.read()
        return cls(
            needed_by=[dependant.id for dependant in orc.tasks.needed_by(task.id)],
            children=list(state.tasks.children.get(task.id, ())),
            linked_by=orc.links.linked(task.id),
            goals=list(state.goals.goals_of.get(task.id, ())),
            submission=state.merges.last_of_task(task.id),
            kept_back_by=orc.links.blockers(task.id) if is_open else [],
        )


class _Named(msgspec.Struct):
    """A task that another one names."""

    title: str
    status: str


def _named(orc: "Orchestrator", task: "Task", around: _Around) -> dict[str, _Named]:
    """The tasks that a task names or that name it, by id."""
    ids = [*task.needs, *task.needs_failure_of, *around.needed_by, *around.children]
    ids += [link.task for link in task.links] + [edge.task for edge in around.linked_by]
    ids += [name for name in (task.parent, task.gate and task.gate.of, task.workflow) if name]
    others = (orc.tasks.get(other) for other in dict.fromkeys(ids) if other != task.id)
    return {other.id: _Named(other.title, other.status) for other in others}


def _page(orc: "Orchestrator", task: "Task", around: _Around, history: "list[Recorded]") -> str:
    notes = "\n".join(
        f"{shown_time(note.at)} {note.agent}: {note.text}".lstrip() for note in task.notes
    )
    line_of_event = sentence_line(orc, subject=task.id)
    return parts(
        line(task),
        fields(_facts(task, around)),
        titled("Kept back", "\n".join(map(why, around.kept_back_by))),
        *(
            section(kept.label, getattr(task, field))
            for field, kept in KEPT.items()
            if kept.is_long
        ),
        section("Reason", task.reason),
        section("Result", task.result or ""),
        section("Checks", _checks(task)),
        section("Evidence", "\n".join(_shown(item, task) for item in task.evidence)),
        section("Notes", notes),
        titled("History", "\n".join(map(line_of_event, history))),
    )


def _checks(task: "Task") -> str:
    checks = task.checks
    if checks is None:
        return ""
    within = f", each within {spoken(checks.patience)}" if checks.timeout else ""
    texts = [f"verify{within}: {escape(command)}" for command in checks.verify]
    texts += [f"artifact: {escape(path)}" for path in checks.artifacts]
    if checks.review:
        texts.append("review: another agent must approve")
    if checks.are_inert:
        texts.append(f"The commands came by import and do not run before `t trust {task.id}`.")
    return "\n".join(texts)


def _shown(item: "Evidence", task: "Task") -> str:
    """One check: its result, its command or path, its exit, and the end of its output.

    What a reviewer rejected it for is not repeated: it is a note.
    """
    outcome = "passed" if item.passed else "FAILED"
    if item.kind == "review":
        outcome = "approved" if item.passed else "rejected"
    outcome = {"force": "completed by", "change": "reason for a"}.get(item.kind, outcome)
    facts = [
        item.problem,
        "" if item.seconds is None else f"{item.seconds:.1f}s",
        "" if item.size is None else f"{item.size} bytes, sha256 {item.sha256}",
        f"{item.agent}, {shown_time(item.at)}",
    ]
    is_noted = item.kind == "review" and any(note.text == item.what for note in task.notes)
    what = f": {escape(item.what)}" if item.what and not is_noted else ""
    first = f"{outcome} {item.kind}{what} ({'; '.join(filter(None, facts))})"
    output = escape_lines(item.output.replace("\r\n", "\n").rstrip("\n"))
    return "\n".join([first, *(f"  | {row}" for row in output.split("\n") if output)])


def _facts(task: "Task", around: _Around) -> list[tuple[str, object]]:
    held = task.status in HELD
    derived: dict[str, list[tuple[str, object]]] = {
        "needs": [("needed by", ", ".join(around.needed_by))],
        "parent": [
            ("children", ", ".join(around.children)),
            ("progress", task.progress.text if task.progress else ""),
        ],
        "links": [("linked by", ", ".join(f"{e.task} ({e.kind})" for e in around.linked_by))],
        "milestone": [("goals", ", ".join(around.goals))],
    }
    rows: list[tuple[str, object]] = [("workstream", task.workstream)]
    for field, kept in KEPT.items():
        if kept.label and not kept.is_long:
            rows += [(kept.label, _fact(task, field)), *derived.get(field, ())]
    return [
        *rows,
        ("lease until", shown_time(task.lease_until) if held else ""),
        ("token", task.token if held else ""),
        ("merge", _submission(around.submission)),
        ("reviewer", task.reviewer),
        ("review until", shown_time(task.review_until)),
        ("attempt", task.attempt or ""),
        ("created", f"{shown_time(task.created_at)} by {task.created_by}"),
        ("updated", shown_time(task.updated_at)),
        ("ended", shown_time(task.ended_at)),
    ]


def _submission(submission: "Submission | None") -> str:
    if submission is None:
        return ""
    names = f"{submission.branch} into {submission.target}"
    return f"{submission.status}: {names} (submission {submission.number})"


def _fact(task: "Task", field: str) -> object:
    value = getattr(task, field)
    if field in _FORMATS:
        return _FORMATS[field](task) if value else ""
    if isinstance(value, tuple):
        return ", ".join(value)
    if isinstance(value, dict):
        return ", ".join(f"{key}={text}" for key, text in value.items())
    return value


def _gate(task: "Task") -> str:
    assert task.gate is not None
    whose = "its own children" if task.gate.of == task.id else f"the children of {task.gate.of}"
    return f"{task.gate.how} of {whose}{'' if task.waiting else ' (open)'}"


def _signal(signal: "Signal") -> str:
    when = f"given {shown_time(signal.given_at)}" if signal.given_at else "not given"
    until = f", until {shown_time(signal.until)}" if signal.until else ""
    return f"{signal.kind} {signal.name} ({when}{until})"


def _adds(task: "Task") -> str:
    each = task.for_each
    assert each is not None
    how = ", one after another" if each.sequential else ""
    return f"{each.formula} for each of {each.list} of {each.step}{how}"


_FORMATS: "dict[str, Callable[[Task], str]]" = {
    "estimate": lambda task: spoken((task.estimate or 0) * 60),
    "needs": lambda task: (
        ", ".join(task.needs) + (f" ({task.open_needs} open)" if task.open_needs else "")
    ),
    "gate": _gate,
    "signals": lambda task: ", ".join(map(_signal, task.signals)),
    "milestone": lambda _: "completes automatically when it is reached",
    "for_each": _adds,
    "due": lambda task: shown_time(task.due),
    "defer_until": lambda task: shown_time(task.defer_until),
    "links": lambda task: ", ".join(f"{link.kind} {link.task}" for link in task.links),
}
"""How a fact is written that is not a plain text, number or list of words."""
