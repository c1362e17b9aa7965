"""``orc knowledge``: topics in markdown that agents share."""

from orchestrator.core.errors import UsageError
from orchestrator.core.printable import escape, escape_lines
from orchestrator.interfaces.cli.commands import KNOWLEDGE
from orchestrator.interfaces.cli.grammar import Argument, Option, integer, path
from orchestrator.interfaces.cli.rendering import Answer, lines, say, table
from orchestrator.interfaces.cli.run import Run, text_from

_TOPIC = Argument("topic", "The topic.", completes="topics")
_CONTENT = Argument(
    "content",
    "Markdown; its words are joined by blanks. None, or -: from stdin.",
    required=False,
    many=True,
)
_FILE = Option(("--file",), "Take the content from a file.", "FILE", convert=path)
_TAGS = Option(("--tags", "--tag"), "Words to find it by.", "WORDS", many=True)


@KNOWLEDGE.command(
    "write",
    _TOPIC,
    _CONTENT,
    _FILE,
    _TAGS,
    example='write findings "The API needs a key" --tags api',
)
def write(
    run: Run, topic: str, content: tuple[str, ...], file: str | None, tags: tuple[str, ...] | None
) -> Answer:
    """Give a topic a new text; what was there stays in its history."""
    written = run.orc.knowledge.write(topic, _text(content, file), tags=tags)
    return say(written, f"Wrote knowledge: {escape(topic)}")


@KNOWLEDGE.command(
    "append", _TOPIC, _CONTENT, _FILE, _TAGS, example='append findings "- The key expires daily"'
)
def append(
    run: Run, topic: str, content: tuple[str, ...], file: str | None, tags: tuple[str, ...] | None
) -> Answer:
    """Add lines at the end of a topic."""
    written = run.orc.knowledge.append(topic, _text(content, file), tags=tags)
    return say(written, f"Appended to knowledge: {escape(topic)}")


@KNOWLEDGE.command(
    "read",
    _TOPIC,
    Option(("--version",), "An old version, counted from 1.", "N", convert=integer),
    example="read findings",
    reads=True,
)
def read(run: Run, topic: str, version: int | None) -> Answer:
    """Print a topic."""
    document = run.orc.knowledge.document(topic, version=version)
    if document is None:
        return _nothing(topic)
    return Answer(document, lambda: escape_lines(document.text.removesuffix("\n")))


@KNOWLEDGE.command("list", aliases=("ls",), example="list", reads=True)
def list_(run: Run) -> Answer:
    """List the topics."""
    topics = run.orc.knowledge.all()
    return Answer(topics, lambda: lines((escape(topic.name) for topic in topics), empty="(empty)"))


@KNOWLEDGE.command(
    "search",
    Argument("words", "All of them must stand in the topic.", many=True),
    example="search api key",
    reads=True,
)
def search(run: Run, words: tuple[str, ...]) -> Answer:
    """Find the topics that hold all the words, most hits first."""
    found = run.orc.knowledge.search(" ".join(words))
    rows = [(match.topic, match.hits, match.line.strip()) for match in found]
    return Answer(found, lambda: table(("topic", "hits", "line"), rows) if rows else "(no match)")


@KNOWLEDGE.command("history", _TOPIC, example="history findings", reads=True)
def history(run: Run, topic: str) -> Answer:
    """List the versions of a topic, oldest first."""
    versions = run.orc.knowledge.history(topic)
    rows = [(v.version, v.updated_at, v.author, ", ".join(v.tags), len(v.text)) for v in versions]
    headers = ("version", "time", "author", "tags", "characters")
    return Answer(versions, lambda: table(headers, rows))


@KNOWLEDGE.command("delete", _TOPIC, example="delete findings")
def delete(run: Run, topic: str) -> Answer:
    """Delete a topic; its versions stay in the log."""
    if not run.orc.knowledge.delete(topic):
        return _nothing(topic)
    return say({"topic": topic, "deleted": True}, f"Deleted knowledge: {escape(topic)}")


def _nothing(topic: str) -> Answer:
    return say(None, f'(no knowledge on "{escape(topic)}")', 1)


def _text(content: tuple[str, ...], file: str | None) -> str:
    """The content: from the words, a file, or stdin."""
    if file is not None and content:
        raise UsageError("The content is given twice", hint="Leave the words or --file out.")
    if file is not None or content in ((), ("-",)):
        return text_from(file)
    return " ".join(content)
