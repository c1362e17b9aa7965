"""What becomes of knowledge and decisions when two boards are merged: texts are merged line by line.

All versions of the other board enter the history. If both boards changed a text since the last version that
both know, git merges the two; where they contradict, the later text counts and the other one becomes a topic
beside it. No markers of a conflict are written.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from orchestrator.core import names
from orchestrator.core.errors import BadName, NotFound, Refused
from orchestrator.core.events import FORMAT, Event, Recorded, decode
from orchestrator.core.git import Git
from orchestrator.core.transaction import SYSTEM
from orchestrator.domain.decisions.commands import adopt as adopt_decision
from orchestrator.domain.decisions.events import DecisionAdded, DecisionEdited, DecisionSuperseded
from orchestrator.domain.decisions.records import Decision, path_of
from orchestrator.domain.knowledge.commands import Knowledge, adopt, join, record_text, split_any
from orchestrator.domain.knowledge.events import (
    KnowledgeDeleted,
    KnowledgeEdited,
    KnowledgeWritten,
    VersionEvent,
    digest_of,
    document_path,
)
from orchestrator.engine import Engine
from orchestrator.maintenance.board_merge.merging import MergeInProgress, Won

_MOST_CONFLICTS = 127
"""The largest exit status of ``git merge-file`` that counts conflicts."""


class Version(msgspec.Struct, frozen=True):
    """A version of a text; ``newline``: the last character of the text was added to the file only."""

    text: str
    author: str
    at: str
    event: int = 0
    newline: bool = False


class MergedTopic(msgspec.Struct):
    """A topic that the other board has changed.

    Attributes:
        versions: The versions of this board, oldest first.
        mine: The text of this board; None if the topic is not there or is deleted.
        theirs: The last text of the other board.
        is_deleted_there: Whether the other board has deleted it at last.
    """

    versions: list[Version]
    mine: Version | None
    theirs: Version | None = None
    is_deleted_there: bool = False


class Texts:
    """The topics and decisions of a merge."""

    def __init__(self, merging: MergeInProgress) -> None:
        self._merging = merging
        self._topics: dict[str, MergedTopic] = {}

    # Knowledge

    def take(self, event: Event) -> None:
        """Record what an event of knowledge means here."""
        merging = self._merging
        name = self._name_here(event.topic)  # type: ignore[attr-defined]
        topic = self._topic(name)
        known = merging.state.knowledge.get(name)
        is_live = known is not None and not known.deleted
        topic.is_deleted_there = not isinstance(event, VersionEvent)
        if isinstance(event, VersionEvent):
            if known is not None and is_live and known.digest == digest_of(event.content.encode()):
                merging.leave()
                number = known.versions[-1]
            else:
                number = merging.copy(self._written(name, event)).id
            topic.theirs = _version_of(event, merging.record.ts, number)
        elif not is_live:
            merging.leave()
        elif merging.is_concurrent(("knowledge", name)):
            merging.leave()
            merging.conflict(f"topic {name}", "text", "changed", "deleted", "here")
        else:
            merging.copy(KnowledgeDeleted(topic=name))

    def recognise(self, record: Recorded, known: int) -> None:
        """Note that the other board went back to a version that both boards have."""
        if not known or record.type not in (KnowledgeWritten.TYPE, KnowledgeEdited.TYPE):
            return
        event = decode(self._merging.tx.event(known), FORMAT)
        assert isinstance(event, VersionEvent)
        if event.topic in self._topics:
            topic = self._topics[event.topic]
            topic.theirs = _version_of(event, record.ts, known)
            topic.is_deleted_there = False

    def _name_here(self, name: str) -> str:
        """The name of a topic here; another one, if only its case differs from that of a topic here."""
        live = [
            topic for topic, known in self._merging.state.knowledge.items() if not known.deleted
        ]
        names.name("topic", name)
        try:
            return names.name("topic", name, among=live)
        except BadName:
            self._merging.renamed[f"topic {name}"] = f"topic {name}-2"
            return f"{name}-2"

    def _topic(self, name: str) -> MergedTopic:
        if name not in self._topics:
            merging = self._merging
            before = len(merging.tx.events)
            adopt(merging.tx, name)
            for record, _ in merging.tx.events[before:]:
                merging.logs.change(("knowledge", name), record.id)
            known = merging.state.knowledge.get(name)
            versions = [self._version(number) for number in known.versions] if known else []
            is_live = known is not None and not known.deleted
            mine = versions[-1] if versions and is_live else None
            self._topics[name] = MergedTopic(versions, mine)
        return self._topics[name]

    def _version(self, number: int) -> Version:
        tx = self._merging.tx
        record = tx.event(number)
        event = decode(record, tx.state.board.format_at(number))
        assert isinstance(event, VersionEvent)
        return _version_of(event, record.ts, number)

    def _written(self, name: str, event: VersionEvent) -> KnowledgeWritten:
        """A version for the log of this board, where a command writes the file."""
        return KnowledgeWritten(
            topic=name,
            text=event.text,
            author=event.author,
            tags=event.tags,
            newline=getattr(event, "newline", False),
            replaces=digest_of(self._merging.tx.documents.get(document_path(name))),
        )

    def take_hand_edits(self, other: Engine) -> None:
        """Take over the files of the other board that were edited by hand, and not recorded there."""
        merging = self._merging
        for document in Knowledge(other).documents():
            if not document.edited:
                continue
            data = merging.other.store.documents.read(document_path(document.topic)) or b""
            try:
                name = self._name_here(document.topic)
            except BadName:
                merging.conflict(
                    f"file {document_path(document.topic)}", "name", "", document.text, "here"
                )
                continue
            topic = self._topic(name)
            text = data.decode("utf-8", "replace")
            if text in (version.text for version in topic.versions):
                continue
            written = KnowledgeWritten(
                topic=name,
                text=text,
                author=document.author,
                tags=document.tags,
                replaces=digest_of(merging.tx.documents.get(document_path(name))),
            )
            record = merging.tx.record(written)
            merging.taken += 1
            topic.theirs = Version(text, document.author, merging.tx.now, record.id)

    def finish(self) -> None:
        """Merge the topics that both boards have changed."""
        for name, topic in self._topics.items():
            concurrent = set(self._merging.logs.concurrent(("knowledge", name)))
            if topic.theirs is None:
                continue
            if concurrent:
                known = [v for v in topic.versions if v.event not in concurrent]
                self._merge(name, topic, known[-1].text if known else None)
            else:
                self._restore(name, topic)

    def _restore(self, name: str, topic: MergedTopic) -> None:
        """Let the last text of the other board count, which knows all versions of this one."""
        known = self._merging.state.knowledge[name]
        assert topic.theirs is not None
        is_live = not known.deleted and not topic.is_deleted_there
        if is_live and known.digest != digest_of(topic.theirs.text.encode()):
            self._write(name, topic.theirs)

    def _merge(self, name: str, topic: MergedTopic, base: str | None) -> None:
        mine, theirs = topic.mine, topic.theirs
        assert theirs is not None
        if topic.is_deleted_there or (mine is not None and mine.text == theirs.text):
            if mine is not None and mine.text != theirs.text:
                self._write(name, mine)
            return
        if mine is None:
            self._merging.conflict(f"topic {name}", "text", "deleted", theirs.text, "there")
            return
        heads, bodies = zip(*map(split_any, (mine.text, theirs.text)), strict=True)
        before = split_any(base)[1] if base is not None else None
        merged = three_way(bodies[0], before, bodies[1])
        if merged is not None:
            head = _merged_heads(*heads)
            if join(head, merged) not in (theirs.text, theirs.text.removesuffix("\n")):
                record_text(self._merging.tx, name, head, merged, None, self._merging.tx.agent)
            return
        won: Won = "here" if mine.at > theirs.at else "there"
        if won == "here":
            self._write(name, mine)
        loser = theirs if won == "here" else mine
        kept = self.keep(f"{name}-conflict", loser)
        self._merging.conflict(f"topic {name}", "text", mine.text, theirs.text, won, kept)

    def _write(self, name: str, version: Version) -> None:
        tx = self._merging.tx
        head, _ = split_any(version.text)
        tags = head.get("tags", ())
        written = KnowledgeWritten(
            topic=name,
            text=version.text.removesuffix("\n") if version.newline else version.text,
            author=version.author,
            tags=tuple(map(str, tags)) if isinstance(tags, list) else (),
            newline=version.newline,
            replaces=digest_of(tx.documents.get(document_path(name))),
        )
        tx.record(written)

    def keep(self, name: str, version: Version) -> str:
        """Keep a text as a topic of its own, and return where it is."""
        state = self._merging.state
        count, free = 1, name
        while (known := state.knowledge.get(free)) is not None and not known.deleted:
            if known.digest == digest_of(version.text.encode()):
                return f"topic {free}"
            count += 1
            free = f"{name}-{count}"
        adopt(self._merging.tx, free)
        self._write(free, version)
        return f"topic {free}"

    # Decisions

    def decide(self, event: DecisionAdded) -> None:
        """Add a decision; if its number is taken here, under the next one, which its text says."""
        merging, number = self._merging, event.number
        decisions = merging.state.decisions
        while number in decisions or merging.tx.read_document(path_of(number, event.title)):
            number = max(number, *decisions, 0) + 1
        if number != event.number:
            merging.numbers[event.number] = number
            merging.renamed[f"decision {event.number}"] = f"decision {number}"
            event = replace(event, number=number, text=_with_reference(event.text, event.number))
        merging.copy(event)

    def edit_decision(self, event: DecisionEdited) -> None:
        """Change a decision; if both boards changed it, as the texts of topics are merged."""
        found = self._decision(event.number)
        if found is None:
            return
        merging, (decision, digest) = self._merging, found
        if decision.number != event.number:
            event = replace(event, text=_with_reference(event.text, event.number))
        merged = replace(event, number=decision.number, replaces=digest)
        mine = [*merging.concurrent(("decision", decision.number), DecisionEdited)]
        if mine and (decision.title, decision.text) != (event.title, event.text):
            text = three_way(decision.text, self._text_before(decision), event.text)
            is_older = merging.is_older_here(mine[-1][0])
            if text is None:
                text = event.text if is_older else decision.text
                loser = decision.text if is_older else event.text
                version = Version(loser, merging.record.agent, merging.record.ts)
                kept = self.keep(f"decision-{decision.number:04}-conflict", version)
                won: Won = "there" if is_older else "here"
                what = f"decision {decision.number}"
                merging.conflict(what, "text", decision.text, event.text, won, kept)
            title = event.title if is_older else decision.title
            merged = replace(merged, title=title, text=text)
        if (merged.title, merged.text) == (decision.title, decision.text):
            merging.leave()
        else:
            merging.copy(merged)

    def _text_before(self, decision: Decision) -> str | None:
        """The last text of a decision that both boards know."""
        concurrent = set(self._merging.logs.concurrent(("decision", decision.number)))
        known = [number for number in decision.versions if number not in concurrent]
        if not known:
            return None
        event = decode(self._merging.tx.event(known[-1]), self._merging.state.board.format)
        assert isinstance(event, (DecisionAdded, DecisionEdited))
        return event.text

    def supersede(self, event: DecisionSuperseded) -> None:
        """Replace a decision by a newer one, unless this board has replaced it by another."""
        found = self._decision(event.number)
        by = self._merging.numbers.get(event.by, event.by)
        if found is None or by not in self._merging.state.decisions:
            return
        decision, digest = found
        if decision.superseded_by is None:
            self._merging.copy(replace(event, number=decision.number, by=by, replaces=digest))
            return
        self._merging.leave()
        if decision.superseded_by != by:
            what = f"decision {decision.number}"
            self._merging.conflict(what, "superseded by", decision.superseded_by, by, "here")

    def _decision(self, number: int) -> tuple[Decision, str] | None:
        """A decision by its number there, with a hand edit recorded, and the digest of its document."""
        merging = self._merging
        known = merging.state.decisions.get(merging.numbers.get(number, number))
        if known is None:
            merging.leave()
            return None
        before = len(merging.tx.events)
        data, _ = adopt_decision(merging.tx, known)
        for record, _ in merging.tx.events[before:]:
            merging.logs.change(("decision", known.number), record.id)
        return merging.state.decisions[known.number], digest_of(data)


def _version_of(event: VersionEvent, at: str, number: int) -> Version:
    newline = getattr(event, "newline", False)
    return Version(event.content, event.author, at, number, newline)


def three_way(mine: str, base: str | None, theirs: str) -> str | None:
    """Merge two texts by lines, as git does; None if they contradict, or git is not installed.

    Args:
        mine: The text here.
        base: The last text that both boards know; None: there is none.
        theirs: The text there.
    """
    if mine == theirs or base == theirs:
        return mine
    if base == mine:
        return theirs
    if base is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("mine", mine), ("base", base), ("theirs", theirs)):
            Path(folder, name).write_bytes(text.encode())
        words = ("merge-file", "-p", "-q", "--", "mine", "base", "theirs")
        try:
            result = Git(os.path.realpath(folder)).run(
                *words, accepted=tuple(range(_MOST_CONFLICTS + 1))
            )
        except (NotFound, Refused):
            return None
    return result.output.decode() if result.status == 0 else None


def _with_reference(text: str, number: int) -> str:
    """The text of a decision that has another number on the board that it came from."""
    reference = f"On the board that it came from, this is decision {number}."
    return text if reference in text else f"{text.rstrip()}\n\n{reference}\n"


def _merged_heads(mine: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """The frontmatter of both; the tags of both are kept."""
    tags = [
        tag
        for head in (mine, theirs)
        if isinstance(known := head.get("tags", []), list)
        for tag in known
    ]
    both = {**theirs, **mine, **({"tags": list(dict.fromkeys(tags))} if tags else {})}
    return {key: value for key, value in both.items() if (key, value) != ("author", SYSTEM)}
