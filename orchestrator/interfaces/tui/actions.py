"""What a person does in a dashboard: each action is a command in the log, under the person's name."""

from collections.abc import Callable

import msgspec

from orchestrator.api import Orchestrator
from orchestrator.core.printable import amount, escape
from orchestrator.interfaces.tui.feed import Feed
from orchestrator.interfaces.tui.view import BOARD, CLAIMS, CYCLE, PERMISSIONS


class Action(msgspec.Struct, frozen=True):
    """An action on the selected row.

    Attributes:
        word: Its word in the line mode.
        about: What it does, for the help.
        panels: The panels whose rows it is about.
        run: Does it: the board, the person, the key of the row, the texts. Returns a sentence.
        asks: What the person is asked for: the names of texts; those in brackets may be empty.
    """

    word: str
    about: str
    panels: tuple[str, ...]
    run: "Callable[..., str]"
    asks: tuple[str, ...] = ()


def _claim(orc: Orchestrator, person: str, task: str) -> str:
    if orc.tasks.get(task).status == "in_review":
        reviewed = orc.reviews.claim(task, agent=person)
        return f"Review claimed: {reviewed.title}"
    return f"Claimed: {orc.tasks.claim(task, agent=person).title}"


def _release(orc: Orchestrator, person: str, task: str) -> str:
    if orc.tasks.get(task).status == "in_review":
        return f"Review released: {orc.reviews.release(task, agent=person).title}"
    return f"Released: {orc.tasks.release(task, agent=person).title}"


def _approve(orc: Orchestrator, person: str, task: str, comment: str = "") -> str:
    return f"Approved: {orc.reviews.approve(task, comment=comment, agent=person).title}"


def _reject(orc: Orchestrator, person: str, task: str, reason: str) -> str:
    return f"Rejected: {orc.reviews.reject(task, reason=reason, agent=person).title}"


def _allow(orc: Orchestrator, person: str, request: str) -> str:
    answered = orc.permissions.allow(request, agent=person)
    return f"Allowed: {answered.agent} {answered.tool}"


def _deny(orc: Orchestrator, person: str, request: str, message: str = "") -> str:
    answered = orc.permissions.deny(request, message, agent=person)
    return f"Denied: {answered.agent} {answered.tool}"


def _send(orc: Orchestrator, person: str, _row: str, to: str, subject: str, text: str = "") -> str:
    letter = orc.mail.send(to, subject, text, agent=person)
    return f"Sent: message {letter.id} to {amount(len(letter.recipients), 'agent')}"


TASKS = (BOARD, CLAIMS, CYCLE)
"""The panels with tasks."""

ACTIONS = {
    "c": Action("claim", "claim the task, or its review", TASKS, _claim),
    "r": Action("release", "release it", TASKS, _release),
    "a": Action("approve", "approve the work", TASKS, _approve, ("[comment]",)),
    "x": Action("reject", "reject it, with a reason", TASKS, _reject, ("reason",)),
    "y": Action("allow", "allow the tool, once", (PERMISSIONS,), _allow),
    "n": Action("deny", "deny it", (PERMISSIONS,), _deny, ("[message]",)),
    "m": Action("send", "send mail", (), _send, ("to", "subject", "[text]")),
}
"""The actions by key."""


def act(feed: Feed, action: Action, key: str, *texts: str) -> str:
    """Do an action, and return a safe sentence about it.

    Raises:
        OrchestratorError: The board refuses it; its sentence is the answer.
    """
    sentence = escape(feed.ask(lambda orc: action.run(orc, feed.person, key, *texts)))
    return ". ".join([sentence, *feed.warnings()])
