"""The reference of commands in markdown, a page for each group, from their declarations.

``python -m orchestrator.interfaces.cli.reference docs/commands`` writes the pages; a test fails when they
differ from the declarations.
"""

import inspect
import os
import sys
from collections.abc import Iterator, Sequence

from orchestrator.interfaces.cli.commands import BOARD
from orchestrator.interfaces.cli.groups import AGENT_FILTER, GLOBALS, Command, Group
from orchestrator.interfaces.cli.help_topics import TOPICS, topic
from orchestrator.interfaces.cli.parameters import Argument, Option


def commands(group: Group = BOARD) -> Iterator[tuple[str, Command]]:
    """Every command with its path, such as ``task next``."""
    for inner in group.groups:
        yield from ((f"{inner.name} {path}", command) for path, command in commands(inner))
    yield from ((command.name, command) for command in group.declared)


def pages() -> dict[str, str]:
    """The pages by file name."""
    texts = {f"{group.name}.md": _page(group) for group in BOARD.groups}
    texts["whole-board.md"] = _page(BOARD)
    texts["topics.md"] = _topics()
    texts["README.md"] = _index()
    return texts


def write(folder: str) -> None:
    """Write the pages into a folder."""
    os.makedirs(folder, exist_ok=True)
    for name, text in pages().items():
        with open(os.path.join(folder, name), "w", encoding="utf-8", newline="\n") as file:
            file.write(text)


def _index() -> str:
    rows = [
        (f"[`{node.name}`]({page})", ", ".join(BOARD.words[node.name][1:]), node.summary)
        for node, page in (
            *((group, f"{group.name}.md") for group in BOARD.groups),
            *((command, f"whole-board.md#{command.name}") for command in BOARD.declared),
        )
    ]
    return "\n".join(
        [
            "# Commands",
            "",
            "Written by `python -m orchestrator.interfaces.cli.reference docs/commands`.",
            "From a checkout, `python cli.py` stands for `orc` and `python runner.py` for `orc runner`.",
            "",
            *_table(("command", "short", "what for"), rows),
            "",
            "## Options of every command",
            "",
            "They are allowed anywhere on the line.",
            "",
            *_options(GLOBALS),
            "",
            "## Topics",
            "",
            "`orc help TOPIC` prints them; [one page](topics.md) has all of them, with the words of other"
            " tools that work here.",
            "",
        ]
    )


def _topics() -> str:
    """The topics of ``orc help``, as they are printed."""
    lines = ["# Topics", "", "What `orc help TOPIC` prints.", ""]
    for name in TOPICS:
        lines += [f"## {name}", "", "```", topic(name), "```", ""]
    return "\n".join(lines)


def _page(group: Group) -> str:
    title = "The whole board" if group is BOARD else group.name
    short = f" Short: `{'`, `'.join(group.names[1:])}`." if group.names[1:] else ""
    words = ("orc", "orc") if group is BOARD else _words(("orc", "orc"), group)
    lines = [f"# {title}", "", group.summary + short, ""]
    lines += _sections(group, words, "")
    if group is not BOARD:
        for inner in group.groups:
            lines += _sections(inner, _words(words, inner), f"{inner.name} ")
    return "\n".join(lines)


def _words(lead: tuple[str, str], group: Group) -> tuple[str, str]:
    """The path to a group, in full and short."""
    return f"{lead[0]} {group.name}", f"{lead[1]} {(*group.names[1:], group.name)[0]}"


def _sections(group: Group, words: tuple[str, str], title: str) -> list[str]:
    return [line for command in group.declared for line in _section(group, command, words, title)]


def _section(group: Group, command: Command, lead: tuple[str, str], title: str) -> list[str]:
    words, short = lead
    may_be_left_out = command.name in (group.default, group.otherwise)
    named = f"[{command.name}]" if may_be_left_out else command.name
    short_forms = [
        *group.words[command.name][1:],
        *(f"orc {verb}" for verb, meant in BOARD.verbs.items() if meant == (group, command.name)),
    ]
    aliases = f" Also `{'`, `'.join(short_forms)}`." if short_forms else ""
    places = [argument.make_metavar() for argument in command.arguments]
    usage = " ".join([words, named, *places, *(["[OPTIONS]"] if command.options else [])])
    lines = [f"## {title}{command.name}", "", inspect.cleandoc(command.help or "") + aliases, ""]
    lines += ["```", usage, "```", ""]
    if command.arguments:
        lines += [*_arguments(command.arguments), ""]
    options = [*command.options, *([AGENT_FILTER] if command.filters_agent else [])]
    if options:
        lines += [*_options(options), ""]
    return [*lines, "Example:", "", "```", f"{short} {command.example}", "```", ""]


def _arguments(arguments: Sequence[Argument]) -> list[str]:
    return _table(
        ("argument", "meaning"), [(f"`{a.make_metavar()}`", a.help or "") for a in arguments]
    )


def _options(options: Sequence[Option]) -> list[str]:
    return _table(("option", "meaning"), [(_option(o), f"{o.help}{_default(o)}") for o in options])


def _option(option: Option) -> str:
    value = "" if option.is_flag else " " + (option.metavar or option.type.name)
    return "`" + ", ".join(option.opts) + value.replace("|", "\\|") + "`"


def _default(option: Option) -> str:
    many = " Takes commas and repetition." if option.takes_commas else ""
    return many + (f" Default: `{option.default}`." if option.show_default else "")


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [headers, ["---"] * len(headers), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


if __name__ == "__main__":
    write(sys.argv[1])
