"""Rules for the tools of an agent: a pattern, and whether it allows or denies.

A pattern is the name of a tool (``WebFetch``), the beginning of names (``mcp__github__*``), every tool
(``*``), a shell command (``Bash(npm test)``), or the words that a command begins with (``Bash(git:*)``). Of
the rules that fit, the most specific one answers; if none does, people are asked.

A command comes from a model that has perhaps read hostile text, so a pattern of commands fits only a *plain*
command: one program with its arguments, in which nothing can begin a second command or become another word.
What is not plain fits no such pattern. If one of them denies, a broader rule does not allow it either, so
``true; rm x`` does not get around ``Bash(rm:*)``.
"""

import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from orchestrator.core.errors import BadInput, did_you_mean
from orchestrator.domain.permissions.records import Behavior

SHELL = "Bash"
"""The tool whose input is a shell command."""

_FORMS = "Write WebFetch, mcp__github__*, Bash(npm test), Bash(git:*) or *."

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,200}")
"""The name of a tool. Another name fits no rule."""

_PIECE = r"""[A-Za-z0-9_./:=@%+,^~-]+|'[^']*'|"[^"$`\\!]*\""""
"""A part of a word: without quotes, no character ends a command, expands to words or code, or quotes."""

_WORD = re.compile(f"(?:{_PIECE})+")

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=", re.ASCII)
"""The beginning of a word that sets a variable, if the program comes behind it."""

_PLAIN_FIELDS = {"command", "description", "timeout", "run_in_background"}
"""The fields of the input of the shell that do not change what a command may do."""


class Pattern(msgspec.Struct, frozen=True):
    """The tools that a rule is for.

    Attributes:
        tool: The name, or the beginning of it.
        is_open: Whether names go on behind it.
        words: The words of a command; None: any input.
        is_whole: Whether these are all words of the command.
    """

    tool: str
    is_open: bool = False
    words: tuple[str, ...] | None = None
    is_whole: bool = True

    def __str__(self) -> str:
        """The one text for it."""
        if self.words is None:
            return f"{self.tool}{'*' * self.is_open}"
        return f"{self.tool}({shlex.join(self.words)}{'' if self.is_whole else ':*'})"

    @property
    def rank(self) -> tuple[bool, bool, int]:
        """How specific it is. Two patterns that fit the same call differ in this."""
        if self.words is not None:
            return True, self.is_whole, len(self.words)
        return False, not self.is_open, len(self.tool)

    def fits(self, tool: str, words: tuple[str, ...] | None) -> bool:
        """Whether a call is of this pattern.

        Args:
            tool: The name of the tool.
            words: The words of its plain command; None if it has none.
        """
        if not _NAME.fullmatch(tool):
            return False
        if self.words is None:
            return tool.startswith(self.tool) if self.is_open else tool == self.tool
        if tool != self.tool or words is None:
            return False
        return words == self.words if self.is_whole else words[: len(self.words)] == self.words


def parse_pattern(text: str) -> Pattern:
    """Read a pattern.

    Raises:
        BadInput: It is none, or is about a command that is not plain.
    """
    tool, bracket, inner = text.partition("(")
    if not bracket:
        name = tool.removesuffix("*")
        if (name and not _NAME.fullmatch(name)) or not text:
            raise BadInput(f"{text!a} is not a pattern of tools", hint=_FORMS)
        return Pattern(name, is_open=tool.endswith("*"))
    if not inner.endswith(")"):
        raise BadInput(f"{text!a} has no end: a bracket is open", hint=_FORMS)
    if tool != SHELL:
        raise BadInput(
            f"Only patterns of {SHELL} name a command in brackets{did_you_mean(tool, [SHELL])}",
            hint=_FORMS,
        )
    command = inner[:-1]
    words = plain_words(command.removesuffix(":*"))
    if words is None:
        raise BadInput(
            f"{command!a} is not a plain command, which a pattern needs",
            hint="`Bash(git:*)` is every plain command that begins with git.",
        )
    return Pattern(tool, words=words, is_whole=not command.endswith(":*"))


def plain_words(command: str) -> tuple[str, ...] | None:
    """The words of a plain command, without quotes; None if it is not plain.

    Not plain are operators, redirections, substitutions, variables, assignments, wildcards, braces, comments,
    escapes, more than one line, and characters that are not visible.
    """
    words = _WORD.findall(command)
    rest = _WORD.sub("", command)
    if not words or rest.strip(" ") or not command.isprintable() or _ASSIGNMENT.match(words[0]):
        return None
    return tuple("".join(map(_unquoted, re.findall(_PIECE, word))) for word in words)


def _unquoted(piece: str) -> str:
    return piece[1:-1] if piece[0] in "\"'" else piece


def decide(
    rules: Mapping[str, Behavior], tool: str, tool_input: Mapping[str, Any]
) -> Behavior | None:
    """The answer of the most specific rule that fits; None: people are asked.

    Args:
        rules: By pattern.
        tool: The name of the tool.
        tool_input: What it is called with.
    """
    patterns = {parse_pattern(text): behavior for text, behavior in rules.items()}
    words = _words_of(tool, tool_input)
    fitting = [pattern for pattern in patterns if pattern.fits(tool, words)]
    if not fitting:
        return None
    answer = patterns[max(fitting, key=lambda pattern: pattern.rank)]
    if answer == "allow" and tool == SHELL and words is None and _denies_commands(patterns.items()):
        return None
    return answer


def _words_of(tool: str, tool_input: Mapping[str, Any]) -> tuple[str, ...] | None:
    command = tool_input.get("command")
    if tool != SHELL or not isinstance(command, str) or not {*tool_input} <= _PLAIN_FIELDS:
        return None
    return plain_words(command)


def _denies_commands(patterns: Iterable[tuple[Pattern, Behavior]]) -> bool:
    return any(behavior == "deny" and pattern.words is not None for pattern, behavior in patterns)
