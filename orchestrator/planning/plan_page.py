"""A plan as a page of markdown for people."""

from collections.abc import Iterable

from orchestrator.core import clock
from orchestrator.core.printable import amount, escape, one_line
from orchestrator.planning.records import Plan, SerialGroup

TITLE = 80
"""Characters of a title."""


def plan_page(plan: Plan, *, begun: bool = True) -> str:
    """Lay out a plan as a page: tasks to start, tasks that wait, and alerts.

    Args:
        plan: The plan.
        begun: Whether its cycle has begun; else the page says that it has not.
    """
    now = clock.local_time(plan.generated_at, plan.generated_at)
    head = f"# Cycle {plan.cycle}, {now}" if begun else f"# Cycle {plan.cycle} if it began at {now}"
    path, left_out = plan.critical_path, plan.left_out
    sections = {
        "Start side by side": [
            _entry(
                r.task.id,
                f"{r.workstream}, P{r.task.priority}",
                r.task.title,
                _start(r.agent, r.touches),
            )
            for r in plan.recommended_parallel
        ],
        "Do one after another": [
            *(_group(group, plan.generated_at) for group in plan.recommended_serial),
            *_more(left_out.recommended_serial, "group"),
        ],
        "Waiting": [
            *(_entry(w.task, w.workstream, w.title, "; ".join(w.reasons)) for w in plan.waiting),
            *_more(left_out.waiting, "task"),
        ],
        f"Critical path: {clock.spoken(path.minutes * 60)}": [
            *(
                _entry(t.task, _minutes(t.minutes, t.assumed), t.title, t.status)
                for t in path.tasks
            ),
            *_more(path.left_out, "task"),
        ],
        "Needs attention": [
            *(_with_command(alert.text, alert.command) for alert in plan.attention),
            *_more(left_out.attention, "alert"),
        ],
    }
    shown = [_section(title, entries) for title, entries in sections.items() if entries]
    nothing = [] if shown else ["There is nothing to do: no task is open."]
    return "\n\n".join([head, *shown, *nothing]) + "\n"


def _section(title: str, entries: Iterable[str]) -> str:
    return "\n".join([f"## {title}", "", *(f"- {entry}" for entry in entries)])


def _entry(task: str, place: str, title: str, note: str) -> str:
    about = f" ({escape(note)})" if note else ""
    return f"{task} [{escape(place)}] {escape(one_line(title, TITLE))}{about}"


def _start(agent: str | None, touches: list[str]) -> str:
    who = f"for {agent}" if agent else ""
    return ", ".join(filter(None, [who, f"touches {', '.join(touches)}" if touches else ""]))


def _group(group: SerialGroup, now: str) -> str:
    holds = (f"{hold.agent} until {clock.local_time(hold.until, now)}" for hold in group.waits_for)
    waits = ", ".join(holds)
    more = f" and {group.left_out} more" if group.left_out else ""
    held = f" (held by {escape(waits)})" if waits else ""
    return f"{escape(', '.join(group.resources))}: {', '.join(group.tasks)}{more}{held}"


def _minutes(minutes: float, assumed: bool) -> str:
    return f"{clock.spoken(minutes * 60)}{' assumed' if assumed else ''}"


def _with_command(text: str, command: str | None) -> str:
    return f"{escape(text)}: `{escape(command)}`" if command else escape(text)


def _more(number: int, what: str) -> list[str]:
    return [amount(number, f"more {what}")] if number else []
