"""The record of a decision, and its document in markdown."""

import re
from collections.abc import Iterator
from typing import Literal

from orchestrator.domain.slices import MapSlice, Record, Remark


class Decision(Record, frozen=True, kw_only=True):
    """A decision.

    Attributes:
        number: Counted from 1, and never reused.
        text: Its sections in markdown: context, decision, consequences.
        task: The task of the decision.
        superseded_by: The number of the decision that replaced it.
        path: The path of its document, which stays when the title changes.
        replaced: The digest of the document that the last change replaced.
        versions: The events that have its title and text as they were, oldest first.
    """

    number: int
    title: str
    status: Literal["accepted", "superseded"]
    text: str
    task: str | None = None
    superseded_by: int | None = None
    path: str
    replaced: str = ""
    decided_at: str
    decided_by: str
    versions: tuple[int, ...] = ()

    @property
    def document(self) -> str:
        """The whole decision record."""
        status = self.status.capitalize()
        if self.superseded_by is not None:
            status += f" by {self.superseded_by:04}"
        head = [f"Status: {status}", f"Date: {self.decided_at[:10]}", f"By: {self.decided_by}"]
        if self.task is not None:
            head.append(f"Task: {self.task}")
        lines = "".join(f"- {line}\n" for line in head)
        return f"# {self.number}. {self.title}\n\n{lines}\n{self.text}"


class DecisionSlice(MapSlice[int, Decision]):
    """The decisions by number."""

    MAIN, NOUN = "decisions", "decision"
    HINT = "`decision list` shows the decisions."
    decisions: dict[int, Decision] = {}

    def remarks_on(self, task: str) -> Iterator[Remark]:
        """The valid decisions for the task, newest first."""
        for decision in reversed(self.decisions.values()):
            if decision.task == task and decision.status == "accepted":
                label = f"Decision {decision.number}"
                text = f"{decision.title}\n\n{decision.text}"
                command = f"decision show {decision.number}"
                yield Remark(label, decision.decided_by, text, command)


def path_of(number: int, title: str) -> str:
    """The path of the document of a new decision."""
    words = re.findall("[a-z0-9]+", title.lower())
    slug = "-".join(words)[:60].strip("-") or "decision"
    return f"knowledge/decisions/{number:04}-{slug}.md"


def sections(context: str, decision: str, consequences: str) -> str:
    """The sections of a decision record as one text."""
    named = {"Context": context, "Decision": decision, "Consequences": consequences}
    return "\n".join(f"## {name}\n\n{text.strip()}\n" for name, text in named.items())


_RENDERED = r"(?i)- (Date|By|Task):|\W*status\W*:"
"""A line of the head that is made from the record; the status also in other forms that people write."""

_STATUS_SECTION = r"(?im)##\s+status\s*$"


def split(document: str) -> tuple[str, str]:
    """The title and the sections of a document that was edited by hand; either may be empty.

    A status is left out: it changes only through commands.
    """
    first, _, rest = document.lstrip().partition("\n")
    if not first.startswith("# "):
        first, rest = "", document
    title = re.sub(r"^#\s+(\d+\.\s*)?", "", first).strip()
    head, *parts = re.split(r"(?m)^(?=##\s)", rest)
    head = "".join(line for line in head.splitlines(keepends=True) if not re.match(_RENDERED, line))
    text = "".join((head, *(part for part in parts if not re.match(_STATUS_SECTION, part))))
    return title, text.strip() + "\n"
