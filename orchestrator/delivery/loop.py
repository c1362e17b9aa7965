"""Hand over the new mail of an agent: at least once, in ascending order, marked only afterwards."""

from collections.abc import Callable, Iterator

from orchestrator.api import Orchestrator
from orchestrator.core.errors import OrchestratorError
from orchestrator.delivery.ports import Delivery, NewMail, Trigger
from orchestrator.delivery.triggers import Poll
from orchestrator.domain.mail.letters import Letter

NET = 3.0
"""Seconds between two looks at a mailbox, whatever the trigger says: also the time changes what is new."""


def hand_over(orc: Orchestrator, agent: str, delivery: Delivery) -> bool:
    """Hand over the new mail of an agent.

    Returns:
        Whether a message was handed over, so that it is worth to look again at once.
    """
    pending = orc.mail.pending(agent=agent)
    marked: list[int] = []

    def letters() -> Iterator[Letter]:
        for message in pending:
            letter = orc.mail.peek(message)
            orc.engine.pause()  # others have the board while the session takes the message
            yield letter

    def handed_over(messages: list[int]) -> None:
        marked.extend(messages)
        orc.mail.deliver(messages, agent=agent)

    if pending:
        delivery.push(NewMail(agent, len(pending), letters()), handed_over)
    return bool(marked)


def deliver(
    orc: Orchestrator,
    agent: Callable[[], str],
    trigger: Trigger,
    delivery: Delivery,
    *,
    warn: Callable[[str], object],
    until: Callable[[], bool] = lambda: False,
) -> None:
    """Hand over the mail of an agent as it comes, until ``until`` is true.

    A failure loses nothing: what was not handed over is still new, and is tried again.

    Args:
        orc: The board.
        agent: Returns whose mail it is; the name may change meanwhile.
        trigger: Wakes this.
        delivery: Takes the messages.
        warn: Called with a failure, once as long as it stays the same.
        until: Asked before each look.
    """
    last = ""
    while not until():
        # From before the look: what comes while messages are handed over is not missed.
        wait = trigger.watch()
        failure = ""
        try:
            if hand_over(orc, agent(), delivery):
                continue
        except (OrchestratorError, OSError) as error:
            failure = f"mail was not handed over: {getattr(error, 'message', '') or error}"
        if failure and failure != last:
            warn(failure)
        last = failure
        if failure:  # a log that is damaged would wake this again and again
            wait = Poll(orc.engine, NET).watch()
        wait(NET)
