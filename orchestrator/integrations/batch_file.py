r"""Batches as files: JSON, or markdown that people like to write.

JSON is a list of objects, or ``{"workstream": ..., "tasks": [...]}``. Markdown::

    # Version 2 {workstream: build, priority: 3}

    ## Payment {key: pay}
    Text below a heading is its description, items are its parts.

    - [ ] Ask the bank {key: bank, assign: ann}
    - [ ] Build the form {needs: bank, labels: [ui, web]}
      Indented lines are the description.
      - [ ] Test it

A heading of level 1 is not a task: its braces apply to the tasks below it. Deeper headings and the items of
lists are tasks; a nested item is a part of the item or heading above it. The braces at the end of a line are
the
fields of :mod:`orchestrator.domain.tasks.batch`, in YAML; a title that ends with braces of its own gets
``{}``. A ticked item is refused, because it was not done on this board.
"""

import re
import textwrap
from typing import Any

import msgspec

from orchestrator.core.errors import BadInput
from orchestrator.core.strict_json import strict_json
from orchestrator.domain.knowledge import frontmatter
from orchestrator.domain.tasks.batch import Entry

_DEFAULTS = ("workstream", "type", "priority", "labels", "assign")
"""What the title of a markdown file may say for all tasks."""

_HEADING = re.compile(r"(#{1,6})[ \t]+(\S.*)")
_ITEM = re.compile(r"([ ]*)((?:[-*+]|\d{1,9}[.)])[ ]+)(?:\[([ xX])\][ ]+)?(\S.*)")
_RULE = re.compile(r" *(?:(?:- ?){3,}|(?:\* ?){3,}|(?:_ ?){3,})\s*")
_TABS = re.compile(r"^[ \t]*\t[ \t]*")
_FENCE = re.compile(r"\s*(```|~~~)")


def entries_of(text: str, name: str = "") -> list[Entry]:
    """The entries of a batch file.

    Args:
        text: Its text.
        name: Its name: ``.json`` or ``.md`` sets the format; otherwise the first character does.

    Raises:
        BadInput: It is JSON, but no batch.
    """
    if name.endswith((".md", ".markdown")):
        return _Markdown().read(text)
    if name.endswith(".json") or text.lstrip()[:1] in ("{", "["):
        return _of_json(text)
    return _Markdown().read(text)


def _of_json(text: str) -> list[Entry]:
    value = strict_json(text)
    top: dict[str, Any] = {}
    if isinstance(value, dict):
        top = dict(value)
        value = top.pop("tasks", None)
        workstream = top.pop("workstream", None)
        if top:
            raise BadInput(
                f"{min(top)!a} is not a field of a batch", hint="It has `tasks` and `workstream`."
            )
        top = {} if workstream is None else {"workstream": workstream}
    if not isinstance(value, list):
        raise BadInput("The batch is neither a list of tasks nor an object with `tasks`")
    return [_of_object(f"entry {n}", item, top) for n, item in enumerate(value, start=1)]


def _of_object(place: str, item: Any, defaults: dict[str, Any]) -> Entry:
    if not isinstance(item, dict):
        return Entry(place=place, fields={}, problem="it is not an object")
    return Entry(place=place, fields=item if "id" in item else {**defaults, **item})


class _Open(msgspec.Struct):
    """An entry whose description or parts may still follow.

    ``depth`` grows from heading to item to nested item; ``indent`` is where its text begins.
    """

    depth: int
    indent: int
    number: int
    lines: list[str]


class _Markdown:
    """Reads headings and lists line by line."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._open: list[_Open] = []
        self._texts: dict[int, list[str]] = {}
        self._defaults: dict[str, Any] = {}
        self._fence = ""

    def read(self, text: str) -> list[Entry]:
        """The entries of a text."""
        for number, line in enumerate(text.split("\n"), start=1):
            spaced = _TABS.sub(lambda tabs: tabs[0].expandtabs(4), line.removesuffix("\r"))
            self._line(f"line {number}", spaced)
        return [self._with_description(number, entry) for number, entry in enumerate(self._entries)]

    def _line(self, place: str, line: str) -> None:
        fence = _FENCE.match(line)
        if self._fence or fence:
            if fence and self._fence in ("", fence[1]):
                self._fence = "" if self._fence else fence[1]
            self._add_text(line)
        elif heading := _HEADING.fullmatch(line):
            self._heading(place, len(heading[1]), _without_closing(heading[2]))
        elif _RULE.fullmatch(line):
            if line[0] == " ":
                self._add_text(line)
        elif item := _ITEM.fullmatch(line):
            depth = len(item[1]) + 10
            indent = len(item[1]) + len(item[2])
            self._begin(place, depth, indent, item[4], is_ticked=item[3] in ("x", "X"))
        else:
            self._add_text(line)

    def _heading(self, place: str, level: int, text: str) -> None:
        if level > 1:
            self._begin(place, level, 0, text)
            return
        self._open = []
        _, given, problem = _split_braces(text)
        self._defaults = {name: given[name] for name in given if name in _DEFAULTS}
        wrong = [name for name in given if name not in _DEFAULTS]
        if wrong and not problem:
            problem = f"{wrong[0]!a} cannot be set for all tasks: only {', '.join(_DEFAULTS)}"
        if problem:
            self._entries.append(Entry(place=place, fields={}, problem=problem))

    def _begin(
        self, place: str, depth: int, indent: int, text: str, *, is_ticked: bool = False
    ) -> None:
        while self._open and self._open[-1].depth >= depth:
            self._open.pop()
        title, given, problem = _split_braces(text)
        if is_ticked:
            problem = "it is ticked off; take the line out, or untick it"
        fields = given if "id" in given else {**self._defaults, **given}
        if title:
            fields = {"title": title, **fields}
        inside = self._open[-1].number if self._open else None
        number = len(self._entries)
        self._open.append(_Open(depth, indent, number, []))
        self._texts[number] = self._open[-1].lines
        self._entries.append(Entry(place=place, fields=fields, inside=inside, problem=problem))

    def _add_text(self, line: str) -> None:
        """Add a line to the description of the entry above its indent; without one, ignore it."""
        indent = len(line) - len(line.lstrip())
        for entry in reversed(self._open):
            if not line.strip() or self._fence or indent > entry.depth - 10 or entry.depth < 10:
                entry.lines.append(line[min(indent, entry.indent) :])
                return

    def _with_description(self, number: int, entry: Entry) -> Entry:
        text = textwrap.dedent("\n".join(self._texts.get(number, ()))).strip("\n").rstrip()
        if not text or entry.problem:
            return entry
        if "description" in entry.fields:
            return msgspec.structs.replace(entry, problem="it has two descriptions")
        return msgspec.structs.replace(entry, fields={**entry.fields, "description": text})


def _without_closing(text: str) -> str:
    """The text of a heading without the signs that may close it."""
    text = text.rstrip()
    bare = text.rstrip("#")
    return bare.rstrip() if bare[-1:] in (" ", "\t") else text


def _split_braces(text: str) -> tuple[str, dict[str, Any], str]:
    """The title, the fields in the braces after it, and an error in them."""
    text = text.strip()
    begin = text.rfind("{")
    if begin < 0 or text.find("}", begin) != len(text) - 1:
        return text, {}, ""
    title, braces = text[:begin].rstrip(), text[begin:]
    try:
        fields = frontmatter.load(braces)
    except BadInput as error:
        reason = error.message.rpartition("read: ")[2].replace(" in line 1", "")
        return title, {}, f"the braces cannot be read: {reason}"
    if "title" in fields and title:
        return title, {}, "it has two titles"
    return title, fields, ""
