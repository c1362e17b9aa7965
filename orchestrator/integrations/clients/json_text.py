"""Edits of JSON that a person or another program keeps: every other byte stays as it is.

Comments and trailing commas are allowed, because some programs allow them in their files. Reading gives the
place of each value; an edit cuts and inserts text at these places, in the style of the file, and the result
is read again and compared with what it has to be.
"""

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

import msgspec

from orchestrator.core.errors import BadInput, OrchestratorError

_TOKEN = re.compile(
    r"""(?:[ \t\r\n]|//[^\r\n]*|/\*[\s\S]*?\*/)*+
    (?:(?P<mark>[{}\[\],:])
    |(?P<text>"[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+")
    |(?P<plain>-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)
    |(?P<end>\Z)
    |(?P<bad>[\s\S]))""",
    re.VERBOSE | re.ASCII,
)

_DECODER = json.JSONDecoder()
_CLOSING = {"{": "}", "[": "]"}

DEEPEST = 200
"""How many objects and arrays may be inside each other."""

Path = tuple[str, ...]
"""The names of members, from the top on."""


class Node(msgspec.Struct, frozen=True):
    """A value with its place in the text.

    Attributes:
        value: What it means.
        start: Where it begins.
        end: Where it ends.
        names: The names of the members of an object.
        parts: The values in an object or an array.
        begins: Where each part begins; in an object this is its name.
        commas: Where the commas are.
    """

    value: Any
    start: int
    end: int
    names: tuple[str, ...] = ()
    parts: tuple["Node", ...] = ()
    begins: tuple[int, ...] = ()
    commas: tuple[int, ...] = ()

    def member(self, name: str) -> "Node | None":
        """The value of a member; None if there is none, or this is not an object."""
        return self.parts[self.names.index(name)] if name in self.names else None


@lru_cache(maxsize=4)
def parse(text: str) -> Node:
    """Read a text; an empty one is an empty object.

    Raises:
        BadInput: It is not JSON with comments, or two members of an object have one name.
    """
    return _JsonReading(text).root() if text.strip() else Node({}, 0, len(text))


class _JsonReading:
    """One pass over a text, from token to token."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _TOKEN.finditer(text)
        self._depth = 0
        self._advance()

    def root(self) -> Node:
        node = self._value()
        if self._kind != "end":
            raise self._fault()
        return node

    def _advance(self) -> None:
        token = next(self._tokens)
        self._kind = kind = token.lastgroup or ""
        self._start, self._end = token.span(kind)
        self._mark = token[kind] if kind == "mark" else ""

    def _value(self) -> Node:
        kind, start, end = self._kind, self._start, self._end
        if self._mark in _CLOSING:
            return self._container(_CLOSING[self._mark])
        if kind not in ("text", "plain"):
            raise self._fault()
        value = _DECODER.raw_decode(self._text, start)[0]
        self._advance()
        return Node(value, start, end)

    def _container(self, closing: str) -> Node:
        self._depth += 1
        if self._depth > DEEPEST:
            raise BadInput("its objects and arrays are too deep")
        start = self._start
        names: list[str] = []
        parts: list[Node] = []
        begins: list[int] = []
        commas: list[int] = []
        self._advance()
        while self._mark != closing:
            begins.append(self._start)
            if closing == "}":
                names.append(self._name())
            parts.append(self._value())
            if self._mark == ",":
                commas.append(self._start)
                self._advance()
            elif self._mark != closing:
                raise self._fault()
        end = self._end
        self._advance()
        self._depth -= 1
        value: Any = [part.value for part in parts]
        if closing == "}":
            if len(set(names)) < len(names):
                twice = next(name for name in names if names.count(name) > 1)
                raise BadInput(f"two members have the name {twice!a}")
            value = dict(zip(names, value, strict=True))
        return Node(value, start, end, tuple(names), tuple(parts), tuple(begins), tuple(commas))

    def _name(self) -> str:
        if self._kind != "text":
            raise self._fault()
        name: str = _DECODER.raw_decode(self._text, self._start)[0]
        self._advance()
        if self._mark != ":":
            raise self._fault()
        self._advance()
        return name

    def _fault(self) -> BadInput:
        line = self._text.count("\n", 0, self._start) + 1
        column = self._start - self._text.rfind("\n", 0, self._start)
        return BadInput(f"line {line}, column {column}: this is not JSON")


def read(text: str) -> Any:
    """The value of a text, without the places; fast for plain JSON."""
    with suppress(ValueError, RecursionError):
        return json.loads(text, object_pairs_hook=_members, parse_constant=int)
    return parse(text).value


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError
    return value


class JsonText:
    """A JSON text that is edited in place.

    Attributes:
        text: The text.
        value: What it means.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.value = read(text)
        self._root: Node | None = None
        if not isinstance(self.value, dict):
            raise BadInput("it is not an object")

    @property
    def root(self) -> Node:
        """The values with their places."""
        if self._root is None:
            self._root = parse(self.text)
        return self._root

    def get(self, path: Path) -> Any:
        """The value at a path; None if there is none."""
        value: Any = self.value
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return value

    def set(self, path: Path, value: Any) -> None:
        """Set the member at a path; missing objects around it are made.

        Raises:
            BadInput: The value at this place is not an object.
        """
        wanted = _with(self.value, path, value)
        if not self.text.strip():
            self.text += f"{{{self._line}}}" + ("" if self.text.endswith("\n") else self._line)
            self._root = None
        node, depth = self.root, 0
        while depth < len(path) and (inner := node.member(path[depth])) is not None:
            node, depth = inner, depth + 1
        if depth == len(path):
            self._replace(node.start, node.end, self._shown(value, node.start))
        else:
            for name in reversed(path[depth + 1 :]):
                value = {name: value}
            self._insert(node, value, path[depth])
        self._expect(wanted)

    def append(self, path: Path, value: Any) -> None:
        """Add a value at the end of the array at a path, which is made if it is missing.

        Raises:
            BadInput: The value at this place is not an array.
        """
        node = self._at(path)
        if node is None:
            self.set(path, [value])
            return
        if not isinstance(node.value, list):
            raise BadInput(f"{'.'.join(path)} is not a list")
        wanted = _with(self.value, path, [*node.value, value])
        self._insert(node, value, None)
        self._expect(wanted)

    def remove(self, path: Path, index: int | None = None) -> None:
        """Remove the member at a path, or an element of the array there."""
        around = self._at(path if index is not None else path[:-1])
        assert around is not None
        if index is None:
            index = around.names.index(path[-1])
            rest = {k: v for k, v in around.value.items() if k != path[-1]}
            wanted = _with(self.value, path[:-1], rest)
        else:
            wanted = _with(self.value, path, [v for i, v in enumerate(around.value) if i != index])
        self._cut(around, index, wanted)

    def remove_inner(self, path: Path, index: int, name: str, inner: int) -> None:
        """Remove an element of an array that is a member of an element of the array at a path."""
        groups = self._at(path)
        assert groups is not None
        around = groups.parts[index].member(name)
        assert around is not None
        rest = [v for i, v in enumerate(around.value) if i != inner]
        group = {**groups.value[index], name: rest}
        wanted = [group if i == index else v for i, v in enumerate(groups.value)]
        self._cut(around, inner, _with(self.value, path, wanted))

    def _at(self, path: Sequence[str]) -> Node | None:
        node: Node | None = self.root
        for name in path:
            if node is not None:
                node = node.member(name)
        return node

    def _expect(self, wanted: Any) -> None:
        """Read the text again, which must mean what was intended."""
        self._root, self.value = None, read(self.text)
        if self.value != wanted:
            raise OrchestratorError("An edit of JSON went wrong", code="edit_failed")

    def _replace(self, start: int, end: int, text: str) -> None:
        self.text = self.text[:start] + text + self.text[end:]

    @property
    def _line(self) -> str:
        """How a line ends."""
        return "\r\n" if "\r\n" in self.text else "\n"

    @property
    def _unit(self) -> str:
        """The indentation of one level: that of the first member, else two blanks."""
        for begin in self.root.begins[:1]:
            if indent := self._indent_of(begin):
                return indent
        return "  "

    def _indent_of(self, place: int) -> str:
        """The blanks at the beginning of the line of a place."""
        start = self.text.rfind("\n", 0, place) + 1
        line = self.text[start:place]
        return line[: len(line) - len(line.lstrip(" \t"))]

    def _shown(self, value: Any, place: int) -> str:
        """A value as text, for lines as indented as the one of a place."""
        text = json.dumps(value, indent=self._unit, ensure_ascii=False)
        return text.replace("\n", self._line + self._indent_of(place))

    def _insert(self, around: Node, value: Any, name: str | None) -> None:
        """Add a part at the end of an object (with its name) or of an array."""
        if name is not None and not isinstance(around.value, dict):
            raise BadInput(f"what holds {name!a} is not an object")
        has_comma_at_end = len(around.commas) == len(around.parts) > 0
        inner_end = around.start + len(self.text[around.start : around.end - 1].rstrip())
        tail = self.text[around.parts[-1].end if around.parts else around.start : around.end]
        is_one_line = bool(around.parts) and "\n" not in tail
        is_one_line = is_one_line and "\n" not in self.text[around.start : around.begins[0]]
        label = "" if name is None else json.dumps(name, ensure_ascii=False) + ": "
        if is_one_line:
            new = f" {label}{json.dumps(value, ensure_ascii=False)}"
        else:
            indent = self._indent_of(around.start) + self._unit
            if around.parts and self.text[: around.begins[-1]].rstrip(" \t").endswith("\n"):
                indent = self._indent_of(around.begins[-1])
            shown = json.dumps(value, indent=self._unit, ensure_ascii=False)
            new = self._line + indent + label + shown.replace("\n", self._line + indent)
        if has_comma_at_end:
            new += ","
        if not around.parts and "\n" not in self.text[inner_end : around.end]:
            new += self._line + self._indent_of(around.start)
        self._replace(inner_end, inner_end, new)
        if around.parts and not has_comma_at_end:
            end = around.parts[-1].end
            self._replace(end, end, ",")

    def _cut(self, around: Node, index: int, wanted: Any) -> None:
        """Remove a part with its comma, and the blanks before it."""
        part, text, begin = around.parts[index], self.text, around.begins[index]
        start = len(text[:begin].rstrip())
        # The end of a comment that reaches to the end of its line must stay.
        for kept in ("", text[start:begin]):
            if index < len(around.commas):  # its own comma
                comma = around.commas[index]
                left = text[:start] + kept + text[part.end : comma] + text[comma + 1 :]
            elif index:
                comma = around.commas[index - 1]
                left = text[:comma] + text[comma + 1 : start] + kept + text[part.end :]
            else:
                left = text[:start] + kept + text[part.end :]
            rest = left[around.start + 1 :]
            if len(around.parts) == 1 and rest.lstrip()[:1] in ("}", "]"):
                left = left[: around.start + 1] + rest.lstrip()
            with suppress(BadInput):
                if read(left) == wanted:
                    self.text = left
                    break
        self._expect(wanted)


def _with(value: Any, path: Sequence[str], new: Any) -> Any:
    """A copy of a value with another value at a path."""
    if not path:
        return new
    if not isinstance(value, dict):
        raise BadInput(f"what holds {path[0]!a} is not an object")
    return {**value, path[0]: _with(value.get(path[0], {}), path[1:], new)}
