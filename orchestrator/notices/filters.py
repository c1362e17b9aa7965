"""Which events a rule for notices is about."""

import msgspec

from orchestrator.core.events import Recorded
from orchestrator.domain.state import State
from orchestrator.domain.subscriptions.patterns import hears
from orchestrator.domain.subscriptions.records import NOTICES, NOUN
from orchestrator.domain.tasks.records import Task
from orchestrator.notices.rules import Rule
from orchestrator.reports.timeline import tasks_in


def fits(rule: Rule, record: Recorded, state: State) -> bool:
    """Whether an event gives a notice under a rule.

    What notices themselves record never does, or two rules would give notices of each other without end.
    Facts of a task are those that it has now.
    """
    if not hears(rule.on, record.type) or _is_of_notices(record):
        return False
    if rule.agents and record.agent not in rule.agents:
        return False
    if not rule.is_about_tasks:
        return True
    payload = msgspec.json.decode(record.payload)
    if not isinstance(payload, dict):
        return False
    return any(_is_about(rule, name, state) for name in tasks_in(payload))


def _is_of_notices(record: Recorded) -> bool:
    if not record.type.startswith(f"{NOUN}."):
        return False
    subscriber = msgspec.json.decode(record.payload).get("subscriber", "")
    return bool(subscriber.startswith(NOTICES))


def _is_about(rule: Rule, name: str, state: State) -> bool:
    if rule.tasks and name not in rule.tasks:
        return False
    task: Task | None = state.tasks.get(name)
    if task is None:
        archived = state.tasks.archived.get(name)
        others = rule.labels or rule.priority is not None
        return bool(
            not others
            and (not rule.workstreams or (archived and archived.workstream in rule.workstreams))
        )
    return (
        (not rule.workstreams or task.workstream in rule.workstreams)
        and all(label in task.labels for label in rule.labels)
        and (rule.priority is None or task.priority <= rule.priority)
    )
