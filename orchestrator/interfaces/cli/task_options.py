"""The options of ``orc task add``, ``edit`` and ``list``: one for each fact that callers may give."""

from typing import Any

from msgspec.structs import replace

from orchestrator.domain.tasks.fact_values import LISTS, Kind
from orchestrator.domain.tasks.facts import FACTS, Fact
from orchestrator.interfaces.cli.parameters import (
    DURATION,
    INTEGER,
    MINUTES,
    TASK_ID,
    TEXT,
    TIME,
    WORD,
    WORDS,
    Decorator,
    Type,
    flag,
    option,
    together,
)

_TYPES: dict[Kind, Type] = {
    "text": TEXT,
    "word": WORD,
    "task": TASK_ID,
    "time": TIME,
    "integer": INTEGER,
    "minutes": MINUTES,
    "duration": DURATION,
    "words": WORDS,
    "tasks": TASK_ID,
    "lines": TEXT,
    "pairs": Type("KEY=VALUE"),
}


def _option(name: str, fact: Fact) -> Decorator:
    flags = [f"--{word.replace('_', '-')}" for word in (name, fact.singular) if word]
    if fact.kind == "flag":
        return flag(*flags, help=fact.help)
    settings: dict[str, Any] = {"metavar": fact.metavar} if fact.metavar else {}
    many, commas = fact.kind in LISTS, fact.kind not in ("lines", "pairs")
    return option(
        *flags, type=_TYPES[fact.kind], many=many, commas=commas, help=fact.help, **settings
    )


def _filter(name: str, fact: Fact) -> Decorator:
    return _option(name, replace(fact, help=fact.filter))


FACT_OPTIONS = together(*(_option(name, fact) for name, fact in FACTS.items() if name != "title"))
"""An option for every fact but the title."""

FACT_FILTERS = together(*(_filter(name, fact) for name, fact in FACTS.items() if fact.filter))
"""An option for every fact that tasks are filtered by."""
