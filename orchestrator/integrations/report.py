"""What came in or went out, what is called otherwise now, and what had no place on the other side."""

import hashlib
import re
from collections.abc import Callable, Iterable

import msgspec

from orchestrator.core import names
from orchestrator.core.errors import BadName
from orchestrator.domain.tasks.records import Task


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What an import or export did.

    Attributes:
        tasks: How many tasks came in or went out.
        statuses: How many of each status they have here.
        skipped: Ids of tasks that were here before and stay as they are.
        renamed: Names that are written otherwise now, by what they were: ``label needs review``.
        no_place: Fields that the other side does not have, each with how many values were left out.
    """

    tasks: int
    statuses: dict[str, int]
    skipped: tuple[str, ...]
    renamed: dict[str, str]
    no_place: dict[str, int]


class Losses:
    """Collects what had no place, and the names that had to change."""

    def __init__(self) -> None:
        self.no_place: dict[str, int] = {}
        self.renamed: dict[str, str] = {}

    def lose(self, field: str, values: int = 1) -> None:
        """Note values of a field that are left out."""
        if values:
            self.no_place[field] = self.no_place.get(field, 0) + values

    def add(self, other: "Losses") -> None:
        """Note what another one noted, too."""
        self.renamed |= other.renamed
        for field, values in other.no_place.items():
            self.lose(field, values)

    def fitted(self, kind: str, text: str, check: Callable[[str], str] | None = None) -> str:
        """A text as a name: itself if it is a good one, else the nearest that is."""
        try:
            return self._checked(kind, text, check)
        except BadName:
            near = re.sub(r"[^\w.@+-]+", "-", text)[:60].strip("-. ").replace("..", ".")
        try:
            fitted = self._checked(kind, near, check)
        except BadName:
            fitted = f"{kind}-{digest(text)}"
        self.renamed[f"{kind} {text}"] = fitted
        return fitted

    @staticmethod
    def _checked(kind: str, text: str, check: Callable[[str], str] | None) -> str:
        return names.name(kind, text) if check is None else check(text)

    def report(self, tasks: Iterable[Task], skipped: Iterable[str] = ()) -> Report:
        """The report about these tasks."""
        statuses: dict[str, int] = {}
        for task in tasks:
            statuses[task.status] = statuses.get(task.status, 0) + 1
        return Report(
            tasks=sum(statuses.values()),
            statuses=statuses,
            skipped=tuple(skipped),
            renamed=dict(sorted(self.renamed.items())),
            no_place=dict(sorted(self.no_place.items())),
        )


def digest(text: str) -> str:
    """Eight hex digits that stand for a text that cannot be a name; always the same ones."""
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:8]


_DERIVED = {
    *("open_needs", "held", "waiting", "progress", "events", "lease", "lease_until", "token"),
    *("reviewer", "review_lease", "review_until"),
}
"""What is known from other fields, or stands for a claim; no claim goes along."""


def count_lost(losses: Losses, task: Task, placed: Iterable[str]) -> None:
    """Note the fields of a task that are not empty and have no place."""
    for field in {*Task.__struct_fields__}.difference(_DERIVED, placed):
        if value := getattr(task, field):
            losses.lose(field, len(value) if isinstance(value, tuple | dict) else 1)
