"""Progress of long work: the work passes its items through, and an interface shows how many are done."""

from collections.abc import Iterable
from typing import Protocol, TypeVar

Item = TypeVar("Item")


class ShowProgress(Protocol):
    """Gives items back one by one, and shows how many of them are done."""

    def __call__(
        self, items: Iterable[Item], label: str, length: int | None = None
    ) -> Iterable[Item]:
        """Pass items through.

        Args:
            items: What is worked on, one after the other.
            label: What is done with them: ``Reading archived tasks``.
            length: How many there are, if ``items`` has no length.
        """


def no_progress(
    items: Iterable[Item],
    label: str,  # noqa: ARG001  as in the protocol
    length: int | None = None,  # noqa: ARG001
) -> Iterable[Item]:
    """Show nothing."""
    return items
