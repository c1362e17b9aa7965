"""The quick reader: reads a plain line by the grammar, and leaves every other line to click.

It answers only when there is nothing to explain: known options with good values, enough words and none too
many. Help, completion and mistakes are click's, which reads the same line by the same grammar. A test
shows with random lines that the two agree whenever this one answers.
"""

from collections.abc import Sequence
from typing import Any

from orchestrator.interfaces.cli.grammar import (
    GLOBALS,
    Argument,
    Call,
    Command,
    Group,
    Option,
    call,
    is_option,
    value,
)

Named = dict[str, list[str]]
"""What was given to each option, by its first flag."""


def read(top: Group, words: Sequence[str]) -> Call | None:
    """The call that a line means, or None if it is not plain."""
    sorted_words = _sort(top, words)
    if sorted_words is None:
        return None
    command, places, named = sorted_words
    try:
        values = _arguments(command.arguments, places)
        if values is None:
            return None
        values.update((option.name, _value(option, named)) for option in command.options)
        given = {option.name: _value(option, named) for option in GLOBALS}
    except ValueError:  # click says in its own words what is wrong
        return None
    return call(command, values, given)


def _sort(top: Group, words: Sequence[str]) -> tuple[Command, list[str], Named] | None:
    """Tell the command, the words that are arguments, and the values of options apart."""
    rest, named = list(words), Named()
    known = {flag: option for option in GLOBALS for flag in option.flags}
    command = _command(top, rest, known, named)
    if command is None:
        return None
    known.update((flag, option) for option in command.options for flag in option.flags)
    places: list[str] = []
    while rest:
        word = rest.pop(0)
        if word == "--":
            places.extend(rest)
            break
        if not is_option(word):
            places.append(word)
        elif not _take(word, rest, known, named):
            return None
    return command, places, named


def _command(top: Group, rest: list[str], known: dict[str, Option], named: Named) -> Command | None:
    """Take the words that lead to the command off the line, with the global options among them."""
    node: Group | Command | None = top
    while isinstance(node, Group):
        word = rest[0] if rest else ""
        if word.partition("=")[0] in known:
            if not _take(rest.pop(0), rest, known, named):
                return None
        elif (found := node.find(word)) is not None:
            del rest[0]
            node = found
        else:
            node = node.find(node.default) if node.default else None
    return node


def _take(word: str, rest: list[str], known: dict[str, Option], named: Named) -> bool:
    """Take an option and its value off the line; whether that went well."""
    flag, equals, text = word.partition("=")
    option = known.get(flag)
    if option is None or (equals and (option.flag or not flag.startswith("--"))):
        return False
    if not option.flag and not equals:
        if not rest:
            return False
        text = rest.pop(0)
    named.setdefault(option.flags[0], []).append(text)
    return True


def _value(option: Option, named: Named) -> Any:
    texts = named.get(option.flags[0])
    if texts is None:
        return False if option.flag else option.default
    return True if option.flag else value(option, texts)


def _arguments(arguments: Sequence[Argument], places: list[str]) -> dict[str, Any] | None:
    """Give each argument its words; None when there are too few or too many."""
    values: dict[str, Any] = {}
    for argument in arguments:
        if argument.required and not places:
            return None
        if argument.many:
            values[argument.name] = tuple(argument.convert(word) for word in places)
            places = []
        elif places:
            values[argument.name] = argument.convert(places[0])
            places = places[1:]
        else:
            values[argument.name] = argument.default
    return None if places else values
