"""The text of knowledge files: strict YAML frontmatter above markdown.

Only mappings, lists and strings are read: ``no`` and ``012`` stay strings. Tags, anchors, aliases and
duplicate keys are refused, because with them YAML turns a text into another value.
"""

from collections.abc import Iterable
from typing import Any

import yaml
from frontmatter.default_handlers import YAMLHandler

from orchestrator.core.errors import BadInput

_DEEPEST = 20

# libyaml is ten times as fast; most builds of PyYAML contain it.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _StrictYAML(YAMLHandler):
    """python-frontmatter's handler, but exact: nothing is stripped, and only plain YAML is read."""

    def split(self, text: str) -> tuple[str, str]:
        """The exact text between the ``---`` lines, and the text below them."""
        lines = text.split("\n")
        end = next(i for i, line in enumerate(lines[1:], 1) if _is_rule(line))
        head, below = "\n".join(lines[1:end]), lines[end + 1 :]
        if len(below) > 1 and not below[0].strip():
            del below[0]  # the blank line that join() puts there
        return head, "\n".join(below)

    def load(self, fm: str, **_: object) -> Any:
        """The metadata, read strictly."""
        return load(fm)


_handler = _StrictYAML()


def split(text: str) -> tuple[dict[str, Any], str]:
    """The frontmatter and the text below it; an empty mapping if there is none.

    Raises:
        BadInput: The frontmatter is not strict YAML, or not a mapping.
    """
    first, _, below = text.partition("\n")
    if not _is_rule(first) or not any(map(_is_rule, below.split("\n"))):
        return {}, text  # a single `---` is a rule, not frontmatter
    head, body = _handler.split(text)
    metadata = _handler.load(head)
    if not isinstance(metadata, dict):
        raise _bad("it is not a mapping")
    return metadata, body


def join(metadata: dict[str, Any], body: str) -> str:
    """A text with its frontmatter above it; an empty mapping adds nothing."""
    if not metadata:
        return body
    head = _dumped(metadata, allow_unicode=True)
    # Some blanks of Unicode (U+0085, U+00A0) are lost unless they are escaped.
    if not head.isascii() and load(head) != metadata:
        head = _dumped(metadata, allow_unicode=False)
    return f"---\n{head}---\n\n{body}"


def _dumped(metadata: dict[str, Any], *, allow_unicode: bool) -> str:
    text = yaml.dump(
        metadata, Dumper=_Dumper, allow_unicode=allow_unicode, sort_keys=True, width=10_000
    )
    return str(text)


def load(text: str) -> Any:
    """Load strict YAML; see the module.

    Raises:
        BadInput: The text is not valid; the message names the position.
    """
    try:
        # Parsed lazily, so that the reader can stop at text that is nested too deep.
        return _Reader(yaml.parse(text, Loader=_Loader)).document()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" in line {mark.line + 1}" if mark else ""
        raise _bad(f"it is not valid YAML{place}") from None
    except UnicodeEncodeError:
        raise _bad("it contains half of a character (a lone surrogate)") from None
    except RecursionError:
        raise _bad("it is nested too deep") from None


class _Reader:
    """Builds values from the events of a YAML parser."""

    def __init__(self, events: Iterable[Any]) -> None:
        self._events = iter(events)

    def document(self) -> Any:
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                value = self._value(next(self._events), 0)
                for _ in self._events:  # the rest must be YAML too
                    pass
                return value
        return {}

    def _value(self, event: Any, depth: int) -> Any:
        line = event.start_mark.line + 1
        if depth > _DEEPEST:
            raise _bad(f"it is nested deeper than {_DEEPEST} levels in line {line}")
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise _bad(f"it has an anchor or alias in line {line}")
        if event.tag is not None:
            raise _bad(f"it has a tag in line {line}")
        if isinstance(event, yaml.ScalarEvent):
            return event.value
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(depth)
        return self._mapping(depth)

    def _sequence(self, depth: int) -> list[Any]:
        values = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            values.append(self._value(event, depth + 1))
        return values

    def _mapping(self, depth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._value(event, depth + 1)
            line = event.start_mark.line + 1
            if not isinstance(key, str):
                raise _bad(f"it has a key that is not a word in line {line}")
            if key in values:
                raise _bad(f"it has the key {key!a} twice, again in line {line}")
            values[key] = self._value(next(self._events), depth + 1)
        return values


def _is_rule(line: str) -> bool:
    return line.rstrip() == "---"


def _bad(why: str) -> BadInput:
    return BadInput(
        f"The frontmatter cannot be read: {why}",
        code="bad_frontmatter",
        hint="Write plain `key: value` lines and lists between the `---` lines.",
    )
