"""The reference of commands as markdown, a page a noun, written from the grammar.

``python -m orchestrator.interfaces.cli.reference docs/commands`` writes the pages; a test fails when they
are not what the grammar says.
"""

import inspect
import os
import sys
from collections.abc import Iterator, Sequence

from orchestrator.interfaces.cli.commands import BOARD
from orchestrator.interfaces.cli.grammar import (
    AGENT_FILTER,
    GLOBALS,
    Argument,
    Command,
    Group,
    Option,
)


def commands(group: Group = BOARD) -> Iterator[tuple[str, Command]]:
    """Every command with the words that lead to it, such as ``task next``."""
    for node in group.nodes:
        if isinstance(node, Group):
            yield from ((f"{node.name} {path}", command) for path, command in commands(node))
        else:
            yield node.name, node


def pages() -> dict[str, str]:
    """The pages by file name."""
    found = {f"{group.name}.md": _page(group) for group in BOARD.groups}
    found["board.md"] = _page(BOARD)
    found["README.md"] = _index()
    return found


def write(folder: str) -> None:
    """Write the pages into a folder."""
    os.makedirs(folder, exist_ok=True)
    for name, text in pages().items():
        with open(os.path.join(folder, name), "w", encoding="utf-8", newline="\n") as file:
            file.write(text)


def _index() -> str:
    rows = [(f"[`{g.name}`]({g.name}.md)", ", ".join(g.aliases), g.summary) for g in BOARD.groups]
    rows += [
        (f"[`{c.name}`](board.md#{c.name})", ", ".join(c.aliases), c.summary)
        for c in BOARD.commands
    ]
    return "\n".join(
        [
            "# Commands",
            "",
            "Written from the grammar by `python -m orchestrator.interfaces.cli.reference docs/commands`.",
            "From a checkout, `python cli.py` stands for `orc` and `python runner.py` for `orc runner`.",
            "",
            *_table(("command", "short", "what for"), rows),
            "",
            "## Options of every command",
            "",
            "They may stand anywhere on the line.",
            "",
            *_options(GLOBALS),
            "",
        ]
    )


def _page(group: Group) -> str:
    title = "The whole board" if group is BOARD else group.name
    short = f" Short: `{'`, `'.join(group.aliases)}`." if group.aliases else ""
    words = ("orc", "orc") if group is BOARD else _words(("orc", "orc"), group)
    lines = [f"# {title}", "", group.summary + short, ""]
    lines += _sections(group, words, "")
    if group is not BOARD:
        for inner in group.groups:
            lines += _sections(inner, _words(words, inner), f"{inner.name} ")
    return "\n".join(lines)


def _words(lead: tuple[str, str], group: Group) -> tuple[str, str]:
    """The words that lead to a group, in full and short."""
    return f"{lead[0]} {group.name}", f"{lead[1]} {(*group.aliases, group.name)[0]}"


def _sections(group: Group, words: tuple[str, str], title: str) -> list[str]:
    return [line for command in group.commands for line in _section(group, command, words, title)]


def _section(group: Group, command: Command, lead: tuple[str, str], title: str) -> list[str]:
    words, short = lead
    named = command.name if command.name != group.default else f"[{command.name}]"
    aliases = f" Also `{'`, `'.join(command.aliases)}`." if command.aliases else ""
    places = [argument.usage for argument in command.arguments]
    usage = " ".join([words, named, *places, *(["[OPTIONS]"] if command.options else [])])
    lines = [f"## {title}{command.name}", "", inspect.cleandoc(command.help) + aliases, ""]
    lines += ["```", usage, "```", ""]
    if command.arguments:
        lines += [*_arguments(command.arguments), ""]
    options = [*command.options, *([AGENT_FILTER] if command.filters_agent else [])]
    if options:
        lines += [*_options(options), ""]
    return [*lines, "Example:", "", "```", f"{short} {command.example}", "```", ""]


def _arguments(arguments: Sequence[Argument]) -> list[str]:
    return _table(("argument", "meaning"), [(f"`{a.usage}`", a.help) for a in arguments])


def _options(options: Sequence[Option]) -> list[str]:
    return _table(("option", "meaning"), [(_option(o), o.help + _default(o)) for o in options])


def _option(option: Option) -> str:
    value = "" if option.flag else " " + ("|".join(option.choices) or option.metavar)
    return "`" + ", ".join(option.flags) + value.replace("|", "\\|") + "`"


def _default(option: Option) -> str:
    many = " Takes commas and repetition." if option.many and option.commas else ""
    return many + (f" Default: `{option.default}`." if option.default not in (None, "") else "")


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [headers, ["---"] * len(headers), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


if __name__ == "__main__":
    write(sys.argv[1])
