"""The topics of ``orc help``: short texts, and pages made from the tables of options and of habits."""

import os

import click

from orchestrator.domain.tasks.fact_values import PRIORITY_WORDS
from orchestrator.domain.tasks.filter_fields import FIELDS, NUMBERS, Form
from orchestrator.interfaces.cli import habits
from orchestrator.interfaces.cli.groups import GLOBALS, HELP, VERSION
from orchestrator.interfaces.cli.help_lines import fitted, rows, wrapped

_FOLDER = os.path.join(os.path.dirname(__file__), "topics")
_WRITTEN = ("agents", "branches", "formulas", "json", "time", "exit")

TOPICS = {
    "agents": "an agent's day, command by command",
    "branches": "a branch and a worktree for each task, and the merge queue",
    "formulas": "workflows from a file",
    "json": "answers and errors for programs",
    "time": "how durations and moments are written",
    "exit": "the exit statuses",
    "where": "the language of --where",
    "agent-files": "agents that events start",
    "options": "the options of every command",
    "habits": "words of other tools that work here",
}
"""The topics of ``orc help`` that are not commands, each with what it is about."""


LIST = "topics"
"""The topic that lists the others."""


def topic(name: str) -> str:
    """The text of a topic."""
    if name in _WRITTEN:
        with open(os.path.join(_FOLDER, f"{name}.txt"), encoding="utf-8", newline=None) as file:
            return fitted(file.read().rstrip("\n"))
    if name == LIST:
        return "\n".join(["Topics, by `orc help TOPIC`:", *rows(TOPICS.items())])
    made = {"where": _where, "agent-files": _agent_files, "options": _options, "habits": _habits}
    return made[name]()


_FORMS: "dict[str, tuple[Form, ...]]" = {
    "words (=, !=, in, not in, contains, like)": ("word", "task", "workstream"),
    "texts (=, contains: anywhere in it, in any case; like: the whole)": ("text",),
    "closed sets (=, !=, in, not in)": ("status", "stage"),
    "numbers (=, !=, <, <=, >, >=, in); P1, high, 2h": NUMBERS,
    "moments (the same); 2026-12-01, today, -7d, +3d": ("moment",),
    "alone or after `not`": ("flag",),
}
"""The operators for each form of fact."""


def _where() -> str:
    """The language of ``--where``, with every fact."""
    facts = (
        f"{title}: {', '.join(name for name, field in FIELDS.items() if field.form in forms)}"
        for title, forms in _FORMS.items()
    )
    return "\n".join(
        [
            *wrapped(
                "--where chooses tasks in `ls`, `t ls` and `t ready`; other options narrow it."
            ),
            "",
            "  orc ls --where 'status in (open, blocked) and priority <= 2 and label = api'",
            "  orc ls --where 'updated > -7d and not (agent = ann or meta.team = core)'",
            "  orc t ready --where 'title contains \"the parser\" and estimate is empty'",
            "",
            *(line for text in facts for line in wrapped(text)),
            *wrapped(
                "A fact of several values, such as needs, passes by one of them. meta.KEY is a word."
                " In `like`, * is any text and ? a character. `has(due)` and `due is not empty` say the same;"
                " `agent = none` is `agent is empty`. 7d counts back, for due, defer and lease_until on."
                " open is pending, closed is done, failed or cancelled; a status may be a stage."
            ),
        ]
    )


def _agent_files() -> str:
    """The format of agent files, with every field."""
    from orchestrator.supervisor.agent_schema import FIELDS

    return "\n".join(
        [
            *wrapped(
                "An agent that events start is a markdown file, agents/NAME.md: fields in YAML between two"
                " lines `---`, below them its system prompt, or the script of a shell agent. Only files"
                " that are trusted run; these list them, with what is wrong, and draw them:"
            ),
            "  orc trust",
            "  orc events map",
            *wrapped("What would start each of them, and with which command line:"),
            "  orc runner check",
            *wrapped("; ".join(f"{name}: {field.form}" for name, field in FIELDS.items())),
            *wrapped(
                "In scripts {{event.payload.NAME}} is a value of the event, as one word, and so is"
                ' "$ORC_EVENT_PAYLOAD_NAME"; the whole event is on stdin. With `runtime: command` the'
                " text below the fields is in the file $ORC_PROMPT_FILE. `docs/guides/runner.md` has more."
            ),
        ]
    )


def _options() -> str:
    context = click.Context(click.Command("orc"))
    records = (option.get_help_record(context) for option in (*GLOBALS, HELP, VERSION))
    return "\n".join(
        [
            "Options of every command; they are allowed anywhere on the line:",
            *rows(record for record in records if record),
            *wrapped(
                "In listings --agent filters; there $ORC_AGENT names the acting agent. A list takes"
                " commas and repetition: --needs a,b --needs c. After `--` every word is an argument."
                ' `config.toml` in the board may say `workstream = "build"`: where `orc add` adds.'
            ),
            *wrapped("Help leaves rare options out: --help --all shows them."),
        ]
    )


def _habits() -> str:
    """The tables of habits, in short."""
    return "\n".join(
        [
            *wrapped(
                "Words of other tools that work here. Of several meanings the first one that exists counts:"
            ),
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
