"""Progress of long work: its items pass through a function that shows how many are done."""

from collections.abc import Iterable
from typing import Protocol, TypeVar

Item = TypeVar("Item")


class ShowProgress(Protocol):
    """Yields items one by one, and shows how many are done."""

    def __call__(
        self, items: Iterable[Item], label: str, length: int | None = None
    ) -> Iterable[Item]:
        """Pass items through.

        Args:
            items: The items of the work.
            label: The name of the work: ``Reading archived tasks``.
            length: The number of items, if ``items`` has no length.
        """


def no_progress(
    items: Iterable[Item],
    label: str,  # noqa: ARG001  as in the protocol
    length: int | None = None,  # noqa: ARG001
) -> Iterable[Item]:
    """Show nothing."""
    return items
