"""The report of an import or export: its tasks, changed names, and data without a place."""

import hashlib
import re
from collections.abc import Callable, Iterable

import msgspec

from orchestrator.core import names
from orchestrator.core.errors import BadName
from orchestrator.core.transaction import SYSTEM
from orchestrator.domain.tasks.records import Note, Task


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What an import or export did.

    Attributes:
        tasks: How many tasks were imported or exported.
        statuses: How many of them have each status here.
        updated: Ids of tasks that were on the board, and were updated from the file.
        skipped: Ids of tasks that were on the board, and were not changed.
        topics: Imported topics of knowledge.
        kept_back: Ids of tasks whose needs are not on the board: `t signal ID` unblocks a task.
        renamed: The new spelling of each name that had to change: ``label needs review``.
        no_place: How many values were left out or changed, by kind: fields without a counterpart, records
            that are not work or cannot be read.
        examples: For each kind of ``no_place`` the first tasks, or places in the file.
    """

    tasks: int
    statuses: dict[str, int]
    updated: tuple[str, ...] = ()
    skipped: tuple[str, ...]
    topics: tuple[str, ...] = ()
    kept_back: tuple[str, ...] = ()
    renamed: dict[str, str]
    no_place: dict[str, int]
    examples: dict[str, tuple[str, ...]] = {}


EXAMPLES = 3
"""Tasks that a report names for each kind of loss."""


class Losses:
    """Collects data without a place, and names that had to change."""

    def __init__(self) -> None:
        self.no_place: dict[str, int] = {}
        self.examples: dict[str, list[str]] = {}
        self.renamed: dict[str, str] = {}

    def lose(self, kind: str, values: int = 1, example: str = "") -> None:
        """Note values of a kind that are left out, and their task if it is given."""
        if not values:
            return
        self.no_place[kind] = self.no_place.get(kind, 0) + values
        known = self.examples.setdefault(kind, [])
        if example and example not in known and len(known) < EXAMPLES:
            known.append(example)

    def add(self, other: "Losses", task_id: str) -> None:
        """Add the notes about a task."""
        self.renamed |= other.renamed
        for kind, values in other.no_place.items():
            self.lose(kind, values, task_id)

    def fitted(self, kind: str, text: str, check: Callable[[str], str] | None = None) -> str:
        """Return a text as a valid name: unchanged if it is valid, else the most similar one."""
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

    def agent(self, text: str) -> str:
        """Return the name of an agent without the ``@`` of a tracker; empty if there is none."""
        return self.fitted("agent", text.removeprefix("@"), names.agent) if text else ""

    def labels(self, texts: Iterable[str]) -> tuple[str, ...]:
        """Return texts as labels, each once."""
        return tuple(dict.fromkeys(self.fitted("label", text) for text in texts))

    @staticmethod
    def _checked(kind: str, text: str, check: Callable[[str], str] | None) -> str:
        return names.name(kind, text) if check is None else check(text)

    def report(
        self,
        tasks: Iterable[Task],
        updated: Iterable[str] = (),
        skipped: Iterable[str] = (),
        topics: Iterable[str] = (),
        kept_back: Iterable[str] = (),
    ) -> Report:
        """The report about these tasks; see :class:`Report`."""
        statuses: dict[str, int] = {}
        for task in tasks:
            statuses[task.status] = statuses.get(task.status, 0) + 1
        return Report(
            tasks=sum(statuses.values()),
            statuses=statuses,
            updated=tuple(updated),
            skipped=tuple(skipped),
            topics=tuple(topics),
            kept_back=tuple(kept_back),
            renamed=dict(sorted(self.renamed.items())),
            no_place=dict(sorted(self.no_place.items())),
            examples={kind: tuple(ids) for kind, ids in sorted(self.examples.items()) if ids},
        )


def digest(text: str) -> str:
    """Eight hex digits in place of a text that cannot be a name; equal for equal texts."""
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:8]


_DERIVED = {
    *("open_needs", "held", "waiting", "progress", "events", "lease", "lease_until", "token"),
    *("workers", "reviewer", "review_lease", "review_until", "waits_for", "proposal"),
}
"""Fields that follow from other fields or belong to a claim; claims are not transferred."""


def count_lost(losses: Losses, task: Task, placed: Iterable[str]) -> None:
    """Note the fields of a task that are not empty and have no place."""
    for field in {*Task.__struct_fields__}.difference(_DERIVED, placed):
        if value := getattr(task, field):
            losses.lose(field, len(value) if isinstance(value, tuple | dict) else 1, task.id)


def known_agent(agent: str) -> str:
    """The name of an agent; empty for the default agent."""
    return "" if agent == SYSTEM else agent


def is_plain(note: Note) -> bool:
    """Whether a note came from a field of a tracker that has neither author nor time."""
    return note.agent in ("beads", "backlog") and not note.at
