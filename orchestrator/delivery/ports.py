"""The two ports of live delivery."""

from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from orchestrator.domain.mail.letters import Letter


class Trigger(Protocol):
    """Says when a mailbox may have changed."""

    def watch(self) -> Callable[[float], bool]:
        """Return a function that waits for the first change after this call.

        Returns:
            A function that blocks up to so many seconds; True if there may be a change. It may be wrong about
            that, but misses none: what comes between this call and the wait ends the wait, too.
        """


class NewMail(msgspec.Struct, frozen=True):
    """New messages of a mailbox.

    Attributes:
        agent: Its owner.
        count: How many there are.
        letters: They, in ascending order of their ids; each is read from the log when it is reached.
    """

    agent: str
    count: int
    letters: Iterable[Letter]


class Delivery(Protocol):
    """Hands messages to a session."""

    def push(self, mail: NewMail, handed_over: Callable[[list[int]], object]) -> None:
        """Hand over the first messages in their order: as many as possible now, perhaps none.

        Args:
            mail: The messages.
            handed_over: Called with the ids of messages after they have been handed over, never before.

        Raises:
            OSError: The session cannot be reached; what was not reported stays new.
        """
