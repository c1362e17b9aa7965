"""The language of ``--where``: ``status in (open, blocked) and priority <= 2 and label = "api"``.

Read by a grammar into a filter of :mod:`orchestrator.domain.tasks.filters`. The parser builds from below and
keeps a stack of its own, so no expression is too deep for it.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import Any, NoReturn

import msgspec
from lark import Lark, Token, UnexpectedInput, UnexpectedToken, v_args
from lark.exceptions import VisitError
from lark.visitors import Transformer_NonRecursive

from orchestrator.core.errors import OrchestratorError, UsageError, did_you_mean
from orchestrator.core.printable import escape
from orchestrator.domain.state import State
from orchestrator.domain.tasks import filters
from orchestrator.domain.tasks.filter_fields import FIELDS, NAMES, ORDERED, Field, field_of
from orchestrator.domain.tasks.filters import Compare, Every, Filter, Not, Some

LONGEST = 4000
"""Characters of an expression."""

DEEPEST = 50
"""How deep ``and``, ``or`` and ``not`` may stand in each other."""

SHOWN = 60
"""Characters around a mistake that an error shows."""

_END = r"""(?=[\s()=!<>,"'&|]|$)"""

GRAMMAR = rf"""
    ?start: some
    ?some: every (_OR every)*
    ?every: part (_AND part)*
    ?part: _NOT part -> negated
        | "(" some ")"
        | test
    ?test: WORD OPERATOR _value -> compared
        | WORD _IN "(" _value ("," _value)* ")" -> one_of
        | WORD _NOT _IN "(" _value ("," _value)* ")" -> none_of
        | WORD SEARCHED _value -> searched
        | WORD _NOT SEARCHED _value -> not_searched
        | WORD _IS _EMPTY -> empty
        | WORD _IS _NOT _EMPTY -> has
        | _HAS "(" WORD ")" -> has
        | WORD -> flag
    _value: WORD | TEXT

    OPERATOR: "==" | "=" | "!=" | "<>" | "<=" | ">=" | "<" | ">"
    _AND.2: /and{_END}/i | "&&"
    _OR.2: /or{_END}/i | "||"
    _NOT.2: /not{_END}/i
    _IN.2: /in{_END}/i
    _IS.2: /is{_END}/i
    _EMPTY.2: /(empty|null|none){_END}/i
    _HAS.2: /has(?=\s*\()/i
    SEARCHED.2: /(contains|like){_END}/i
    TEXT: /"(\\.|[^"\\])*"/s | /'(\\.|[^'\\])*'/s
    WORD: /[^\s()=!<>,"'&|]+/
    %ignore /\s+/
"""

_WORDS = {
    "_AND": "and",
    "_OR": "or",
    "_NOT": "not",
    "_IN": "in",
    "_IS": "is",
    "_EMPTY": "empty",
    "OPERATOR": "= != < <= > >=",
    "SEARCHED": "contains, like",
    "LPAR": "(",
    "RPAR": ")",
    "COMMA": ",",
    "TEXT": "a value",
    "$END": "the end",
}
"""How an error calls what could stand at a place."""


def parse(text: str, state: State, now: str) -> Filter:
    """Read an expression.

    Args:
        text: The expression.
        state: The board, for the tasks and workstreams that it names.
        now: The time that its moments are counted from.

    Raises:
        UsageError: It cannot be read; the output in its details shows where.
    """
    if len(text) > LONGEST:
        raise UsageError(f"The expression has {len(text)} characters; {LONGEST} are allowed")
    if not text.strip():
        raise UsageError(
            "The expression is empty", hint='Write "priority <= 2 and not label = api".'
        )
    try:
        tree = _parser().parse(text)
        part: _Clause = _Meaning(text, state, now).transform(tree)
    except UnexpectedInput as error:
        _refuse_syntax(text, error)
    except VisitError as error:
        raise error.orig_exc from None
    return part.filter


@cache
def _parser() -> Lark:
    return Lark(GRAMMAR, parser="lalr")


class _Clause(msgspec.Struct, frozen=True):
    """A filter, and how deep its parts stand in each other."""

    filter: Filter
    depth: int = 0


@v_args(inline=True)
class _Meaning(Transformer_NonRecursive[Token, _Clause]):
    """Makes filters of what the grammar has read."""

    def __init__(self, text: str, state: State, now: str) -> None:
        super().__init__()
        self._text, self._state, self._now = text, state, now

    def some(self, *parts: _Clause) -> _Clause:
        return self._joined(Some, parts)

    def every(self, *parts: _Clause) -> _Clause:
        return self._joined(Every, parts)

    def negated(self, part: _Clause) -> _Clause:
        return self._deeper(Not(part.filter), part.depth)

    def compared(self, name: Token, sign: Token, value: Token) -> _Clause:
        field = self._field(name)
        operator = {"==": "=", "<>": "!="}.get(sign, str(sign))
        if operator in ("=", "!="):
            filter = self._equal(field, value)
            return _Clause(filter if operator == "=" else Not(filter))
        if field.form not in ORDERED:
            self._refuse(sign, f"{field.name} has no order", hint=_takes(field))
        text = _text(value)
        return _Clause(
            self._of(value, lambda: filters.ordered(field, operator, text, self._state, self._now))  # type: ignore[arg-type]
        )

    def one_of(self, name: Token, *values: Token) -> _Clause:
        field = self._field(name)
        return _Clause(Some(tuple(self._equal(field, value) for value in values)))

    def none_of(self, name: Token, *values: Token) -> _Clause:
        return _Clause(Not(self.one_of(name, *values).filter))

    def searched(self, name: Token, how: Token, value: Token) -> _Clause:
        field = self._field(name)
        if field.form not in SEARCHED:
            self._refuse(how, f"{field.name} is not searched", hint=_takes(field))
        search = filters.like if how.lower() == "like" else filters.contains
        return _Clause(self._of(value, lambda: search(field, _words(value))))

    def not_searched(self, name: Token, how: Token, value: Token) -> _Clause:
        return _Clause(Not(self.searched(name, how, value).filter))

    def empty(self, name: Token) -> _Clause:
        field = self._field(name)
        return _Clause(self._of(name, lambda: filters.equal(field, "", self._state, self._now)))

    def has(self, name: Token) -> _Clause:
        return _Clause(Not(self.empty(name).filter))

    def flag(self, name: Token) -> _Clause:
        field = self._field(name)
        if field.form != "flag":
            self._refuse(name, f"{field.name} is not compared with a value", hint=_takes(field))
        return _Clause(Compare(field, "=", True))

    def _field(self, name: Token) -> Field:
        field = field_of(str(name)) or field_of(name.lower())
        if field is None:
            near = did_you_mean(name.lower(), (*FIELDS, *NAMES))
            hint = "`help where` lists the facts of a task."
            self._refuse(name, f"There is no fact {str(name)!a}{near}", hint=hint)
        return field

    def _equal(self, field: Field, value: Token) -> Filter:
        text = _text(value)
        return self._of(value, lambda: filters.equal(field, text, self._state, self._now))

    def _of(self, token: Token, make: Callable[[], Filter]) -> Filter:
        try:
            return make()
        except OrchestratorError as error:
            self._refuse(token, error.message, hint=error.hint or _HELP)

    def _joined(self, kind: Callable[[Any], Filter], parts: tuple[_Clause, ...]) -> _Clause:
        return self._deeper(kind(tuple(part.filter for part in parts)), max(p.depth for p in parts))

    def _deeper(self, filter: Filter, depth: int) -> _Clause:
        if depth == DEEPEST:
            raise UsageError(f"The expression is deeper than {DEEPEST} levels")
        return _Clause(filter, depth + 1)

    def _refuse(self, token: Token, message: str, *, hint: str) -> NoReturn:
        raise _refusal(self._text, token.start_pos or 0, message, hint)


SEARCHED = ("text", "word", "task", "workstream")
"""Forms of facts that are searched by `contains` and `like`."""


def _takes(field: Field) -> str:
    """Say how a fact is compared."""
    if field.form == "flag":
        return f"Write {field.name} or not {field.name}."
    if field.form in ORDERED:
        return f"Write {field.name} with =, !=, <, <=, >, >=, in, or is empty."
    more = ", contains, like" if field.form in SEARCHED else ""
    return f"Write {field.name} with =, !=, in{more}, or is empty."


def _text(value: Token) -> str:
    """The text of a value; `none` without quotes is no value."""
    return "" if value.lower() in ("none", "null") else _words(value)


def _words(value: Token) -> str:
    """The text of a value, without its quotes."""
    if value.type == "WORD":
        return str(value)
    return re.sub(r"\\(.)", r"\1", value[1:-1], flags=re.DOTALL)


def _refuse_syntax(text: str, error: UnexpectedInput) -> NoReturn:
    """Say what is wrong at the place where the grammar does not go on."""
    if not isinstance(error, UnexpectedToken):
        place = error.pos_in_stream or 0
        character = text[place]
        is_quote = character in "\"'"
        what = "This quote is not closed" if is_quote else f"{character!a} means nothing here"
        raise _refusal(text, place, what, _HELP) from None
    token = error.token
    at_end = token.type == "$END"
    place = len(text.rstrip()) if at_end else token.start_pos or 0
    terminals = sorted(error.accepts or error.expected, key=lambda name: (name == "$END", name))
    words = [_WORDS.get(terminal, "") for terminal in terminals]
    if "WORD" in error.expected and "TEXT" not in error.expected:
        words.insert(0, "a fact")
    what = f"Expected {', '.join(filter(None, words))}; here is {'the end' if at_end else ascii(str(token))}"
    is_value = token.type == "WORD" and "_AND" in error.expected
    hint = 'Write several words in quotes: title contains "two words".' if is_value else _HELP
    raise _refusal(text, place, what, hint) from None


_HELP = "`help where` shows how an expression is written."


def _refusal(text: str, place: int, message: str, hint: str) -> UsageError:
    """Return an error that shows the expression around a place, with a sign below it."""
    begin, end = max(0, place - SHOWN), place + SHOWN
    from wcwidth import width

    before = escape(("…" if begin else "") + text[begin:place])
    after = escape(text[place:end] + ("…" if end < len(text) else ""))
    output = f"{before}{after}\n{' ' * width(before)}^"
    return UsageError(message, hint=hint, code="bad_expression", position=place, output=output)
