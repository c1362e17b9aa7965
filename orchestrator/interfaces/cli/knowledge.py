"""``orc knowledge``: topics in markdown that agents share."""

from typing import TYPE_CHECKING, Any, TypedDict

from orchestrator.core.errors import suggestion
from orchestrator.core.printable import escape, escape_lines
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import KNOWLEDGE
from orchestrator.interfaces.cli.layout import parts
from orchestrator.interfaces.cli.parameters import argument, option, text_file, together
from orchestrator.interfaces.cli.rendering import Answer, listing, present_lines, say
from orchestrator.interfaces.cli.run import Run, either, given

if TYPE_CHECKING:
    from orchestrator.domain.knowledge.commands import Document
    from orchestrator.domain.knowledge.records import DocumentChange, Topic
    from orchestrator.index.topics import Match

_TOPIC = argument("topic", "The topic.", types.TOPIC_NAME)
_WRITING = together(
    _TOPIC,
    argument("[content...]", "Markdown; its words are joined by blanks. None, or -: from stdin."),
    text_file("the content"),
    option("--tags/--tag", "Words to find it by.", types.WORDS, many=True, clears=True),
)


@KNOWLEDGE.command(
    "write", example='write findings "The API needs a key" --tags api', signed=True, idempotent=True
)
@_WRITING
@option("--replaces", "Only if the topic has this digest: `read --json`; empty: if it is new.")
def write(
    run: Run, topic: str, tags: tuple[str, ...] | None, replaces: str | None, **content: Any
) -> "Answer[Topic]":
    """Replace the text of a topic; its history keeps the old text."""
    text = _text(run, **content)
    written = run.orc.knowledge.write(topic, text, tags=tags, **given(replaces=replaces))
    return run.changed(written, f"Wrote knowledge: {escape(topic)}")


@KNOWLEDGE.command("append", example='append findings "- The key expires daily"', signed=True)
@_WRITING
def append(run: Run, topic: str, tags: tuple[str, ...] | None, **content: Any) -> "Answer[Topic]":
    """Add lines at the end of a topic."""
    text = _text(run, **content)
    written = run.orc.knowledge.append(topic, text, tags=tags)
    return say(written, f"Appended to knowledge: {escape(topic)}")


@KNOWLEDGE.command("read", example="read findings", reads=True)
@_TOPIC
@option("--version", "An old version, counted from 1.", types.INTEGER)
def read(run: Run, topic: str, version: int | None) -> "Answer[Document | None]":
    """Print a topic."""
    document = run.orc.knowledge.document(topic, version=version)
    if document is None:
        return _nothing(run, topic)
    return Answer(document, lambda: escape_lines(document.text.removesuffix("\n")))


@KNOWLEDGE.command("list", example="list", reads=True)
def list_(run: Run) -> "Answer[list[Topic]]":
    """List the topics."""
    return present_lines(run.orc.knowledge.all(), lambda topic: escape(topic.name), empty="(empty)")


@KNOWLEDGE.command("search", example="search api key", reads=True)
@argument("words...", "All of them must be in the topic.")
def search(run: Run, words: tuple[str, ...]) -> "Answer[list[Match]]":
    """Find the topics that hold all the words, the most relevant first, as `search` ranks them."""
    return listing(
        run.orc.knowledge.search(" ".join(words)),
        "topic",
        "hits",
        ("line", lambda match: match.line.strip()),
        empty="(no match)",
    )


@KNOWLEDGE.command("history", example="history findings", reads=True)
@_TOPIC
def history(run: Run, topic: str) -> "Answer[list[Document]]":
    """List the versions of a topic, oldest first."""
    return listing(
        run.orc.knowledge.history(topic),
        "version",
        ("time", "updated_at"),
        "author",
        "tags",
        ("characters", lambda version: len(version.text)),
        empty="",
    )


class _Deleted(TypedDict):
    """A topic that is deleted."""

    topic: str
    deleted: bool


@KNOWLEDGE.command("delete", example="delete findings", destructive=True)
@_TOPIC
def delete(run: Run, topic: str) -> "Answer[_Deleted | None]":
    """Delete a topic; its versions stay in the log."""
    if not run.orc.knowledge.delete(topic):
        return _nothing(run, topic)
    return say(_Deleted(topic=topic, deleted=True), f"Deleted knowledge: {escape(topic)}")


@KNOWLEDGE.command("sync", example="sync", local=True)
def sync(run: Run) -> "Answer[list[DocumentChange]]":
    """Bring the files of this machine and the documents of a board in a database to the same state.

    Files that were edited are adopted. If the document has changed too, its text stays, and yours is in its
    history. `init --store` and the runner do this automatically. On a board of files there is nothing to do.
    The exit status is 1 if a file could not be adopted.
    """
    orc = run.orc
    orc.engine.note_machine()
    changes = orc.knowledge.sync()
    nothing = (
        "The documents of this board are files already: there is nothing to synchronise."
        if orc.engine.store.is_local
        else "All documents are the same on both sides."
    )
    is_kept = any(change.action == "kept" for change in changes)
    return say(changes, "\n".join(map(_synchronised, changes)) or nothing, int(is_kept))


def _synchronised(change: "DocumentChange") -> str:
    detail = f": {escape(change.detail)}" if change.detail else ""
    return f"{_ACTIONS[change.action]} {escape(change.path)}{detail}"


_ACTIONS = {
    "written": "Wrote",
    "deleted": "Deleted",
    "adopted": "Adopted",
    "conflict": "Both sides had changed",
    "kept": "Left alone",
}


def _nothing(run: Run, topic: str) -> "Answer[None]":
    near = suggestion(topic, (known.name for known in run.orc.knowledge.all()))
    return say(None, parts(f'(no knowledge on "{escape(topic)}")', near), 1)


def _text(run: Run, content: tuple[str, ...], file: str | None) -> str:
    """The content: from the words, a file, or stdin, byte for byte."""
    if content in ((), ("-",)) and file is None:
        return run.text_from("-")
    return either("content", " ".join(content) if content else None, file) or ""
