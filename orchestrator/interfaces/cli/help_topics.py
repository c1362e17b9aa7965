"""The topics of ``orc help``: short texts, and pages made from the tables of options and of habits."""

import os

import click

from orchestrator.domain.tasks.fact_values import PRIORITY_WORDS
from orchestrator.interfaces.cli import habits
from orchestrator.interfaces.cli.groups import GLOBALS, HELP, VERSION
from orchestrator.interfaces.cli.help_pages import rows, wrapped

_FOLDER = os.path.join(os.path.dirname(__file__), "topics")
_WRITTEN = ("agents", "formulas", "json", "time", "exit")

TOPICS = (*_WRITTEN, "options", "habits")
"""What ``orc help`` has a page for beside the commands."""


def topic(name: str) -> str:
    """The text of a topic."""
    if name in _WRITTEN:
        with open(os.path.join(_FOLDER, f"{name}.txt"), encoding="utf-8", newline=None) as file:
            return file.read().rstrip("\n")
    return {"options": _options, "habits": _habits}[name]()


def _options() -> str:
    context = click.Context(click.Command("orc"))
    records = (option.get_help_record(context) for option in (*GLOBALS, HELP, VERSION))
    return "\n".join(
        [
            "Options of every command; they may stand anywhere on the line:",
            *rows(record for record in records if record),
            *wrapped(
                "Of listings --agent chooses what is shown; there $ORC_AGENT says who acts. A list takes"
                " commas and repetition: --needs a,b --needs c. Behind `--` every word is an argument."
                ' `config.toml` in the board may say `workstream = "build"`: where `orc add` adds.'
            ),
            *wrapped("Help leaves rare options out: --help --all shows them."),
        ]
    )


def _habits() -> str:
    """The tables of habits, in short."""
    return "\n".join(
        [
            "Words of other tools that work here, each as the first of these that there is:",
            *_table("commands", habits.COMMANDS),
            *_table("at the top", habits.ELSEWHERE),
            *_table("options", habits.OPTIONS),
            *_table("options of listings", habits.FILTERS),
            *_table("values", habits.VALUES),
            *wrapped(
                "priorities: P1 is 1; "
                + ", ".join(f"{word} is {number}" for word, number in PRIORITY_WORDS.items())
            ),
            *wrapped("Every command of `task` works at the top: `orc edit` is `orc task edit`."),
        ]
    )


def _table(title: str, table: dict[str, str]) -> list[str]:
    pairs = (f"{words} = {meant}" for words, meant in table.items())
    return wrapped(f"{title}: {'; '.join(pairs)}")
