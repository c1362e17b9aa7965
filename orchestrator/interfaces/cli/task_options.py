"""The options of ``orc task add``, ``edit`` and ``list``: one for each fact that callers may give."""

from typing import Any

from msgspec.structs import replace

from orchestrator.domain.tasks.fact_values import CLEARED, LISTS, Kind
from orchestrator.domain.tasks.given_facts import FACTS, Fact
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.parameters import Decorator, flag, option, together

_TYPES: dict[Kind, types.Type] = {
    "text": types.TEXT,
    "word": types.WORD,
    "task": types.TASK_ID,
    "time": types.TIME,
    "integer": types.PRIORITY,
    "minutes": types.MINUTES,
    "duration": types.DURATION,
    "words": types.WORDS,
    "tasks": types.TASK_ID,
    "lines": types.Type("TEXT"),
    "pairs": types.Type("KEY=VALUE"),
}


def _option(name: str, fact: Fact, type: types.Type, *, clears: bool = False) -> Decorator:
    flags = "/".join(f"--{word.replace('_', '-')}" for word in (name, fact.singular) if word)
    if fact.kind == "flag":
        return flag(flags, fact.help, rare=fact.is_rare)
    settings: dict[str, Any] = {"metavar": fact.metavar} if fact.metavar else {}
    settings |= {"many": fact.kind in LISTS, "commas": fact.kind not in ("lines", "pairs")}
    settings |= {"rare": fact.is_rare, "clears": clears}
    return option(flags, fact.help, type, **settings)


def fact_options(*, clears: bool = False) -> Decorator:
    """Declare an option for every fact but the title; with ``clears`` an empty list clears one."""
    facts = ((name, fact) for name, fact in FACTS.items() if name != "title")
    return together(*(_given(name, fact, clears) for name, fact in facts))


def _given(name: str, fact: Fact, clears: bool) -> Decorator:
    type = _TYPES.get(fact.kind, types.TEXT)
    type = type.or_empty() if fact.kind in CLEARED else type
    return _option(name, fact, type, clears=clears)


def _filter(name: str, fact: Fact) -> Decorator:
    type = types.Type("WORD", types.filled) if fact.kind == "word" else _TYPES[fact.kind]
    return _option(name, replace(fact, help=fact.filter), type)


FACT_FILTERS = together(*(_filter(name, fact) for name, fact in FACTS.items() if fact.filter))
"""An option for every fact that tasks are filtered by."""
