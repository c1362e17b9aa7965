"""Answers of commands, and how they reach people and programs: text, JSON with every field, progress."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from time import monotonic
from typing import Any, Generic, TypeVar

import click
import msgspec

from orchestrator.core.calls import check_list, split_list
from orchestrator.core.errors import SHOWN_PROBLEMS, OrchestratorError, UsageError, did_you_mean
from orchestrator.core.printable import escape, escape_json, escape_lines
from orchestrator.interfaces.cli.layout import Column, is_terminal, lines, table_of

Item = TypeVar("Item")
Value = TypeVar("Value")
Value_co = TypeVar("Value_co", covariant=True)
Records = TypeVar("Records", bound=Iterable[Any])


class Answer(msgspec.Struct, Generic[Value_co]):
    """The result of a command: a value for programs, its text for people, and the exit status.

    The text is built only when it is shown. ``after`` is called once the answer has been written out, and not
    if that failed: for facts that need a printed answer. A failure in it is a warning.
    """

    value: Value_co
    text: Callable[[], str]
    exit_status: int = 0
    after: Callable[[], object] | None = None


First = TypeVar("First")
Second = TypeVar("Second")


class Joined(msgspec.Struct, Generic[First, Second]):
    """Two records that are one object for programs. For a field that both have, the second one counts."""

    first: First
    second: Second


def say(value: Value, text: str, exit_status: int = 0) -> "Answer[Value]":
    """An answer with a text that exists already."""
    return Answer(value, lambda: text, exit_status)


def present(value: Value, page: Callable[[Value], str], exit_status: int = 0) -> "Answer[Value]":
    """An answer whose text is a page about its value."""
    return Answer(value, lambda: page(value), exit_status)


def present_lines(records: Records, line: Callable[[Any], str], *, empty: str) -> "Answer[Records]":
    """An answer that shows each record by a line, or a sentence if there is none."""
    return Answer(records, lambda: lines(map(line, records), empty=empty))


def listing(records: Records, *columns: Column, empty: str) -> "Answer[Records]":
    """An answer that shows records as a table, or a sentence if there is none."""
    return Answer(records, lambda: table_of(records, *columns) or empty)


# Progress

_PATIENCE, _STEP = 0.5, 0.1
"""Seconds before a bar is shown, and between two updates."""


def progress_bar(items: Iterable[Item], label: str, length: int | None = None) -> Iterable[Item]:
    """Yield the items, with a bar on stderr if it is a terminal and the work takes long."""
    is_seen = sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    return _with_bar(items, label, length) if is_seen else items


def _with_bar(items: Iterable[Item], label: str, length: int | None) -> Iterator[Item]:
    bar = click.progressbar(items, length=length, label=label, file=sys.stderr)
    shown, due = 0, monotonic() + _PATIENCE
    with ExitStack() as stack:
        for done, item in enumerate(items, start=1):
            yield item
            if monotonic() >= due:
                if not shown:
                    stack.enter_context(bar)
                bar.update(done - shown)
                shown, due = done, monotonic() + _STEP


# JSON


def to_json(value: Any) -> bytes:
    """One JSON document, indented. A record has all of its fields, also those at their default."""
    try:
        data = msgspec.json.encode(plain(value))
    except UnicodeEncodeError:  # a lone surrogate, from an argument that is not UTF-8
        data = msgspec.json.encode(_without_surrogates(plain(value)))
    return msgspec.json.format(data, indent=2) + b"\n"


_SCALARS = frozenset([str, int, float, bool, type(None)])


def plain(value: Any) -> Any:
    """Convert records to objects and arrays with all their fields."""
    kind = type(value)
    if kind in _SCALARS:
        return value
    if issubclass(kind, Joined):
        return {**plain(value.first), **plain(value.second)}
    if issubclass(kind, msgspec.Struct):
        pairs = [(field, getattr(value, field)) for field in value.__struct_fields__]
        return {
            name: item if type(item) in _SCALARS else plain(item)  # most are: a call costs more
            for name, item in pairs
            if item is not msgspec.UNSET
        }
    if issubclass(kind, dict):
        return {name: plain(item) for name, item in value.items()}
    if issubclass(kind, (list, tuple)):
        return [plain(item) for item in value]
    return value


def chosen(value: Any, fields: str) -> Any:
    """Only these fields, in this order, of a record or of each record of a list.

    Args:
        value: What a command answers with.
        fields: The names, with commas; empty: the whole value. A field that a record does not have is left
            out of it.

    Raises:
        UsageError: No record has one of the fields.
    """
    if not fields or value is None:
        return value
    names = split_list(fields)
    check_list("fields", names)
    records = value if isinstance(value, list) else [value]
    kept = [_fields_of(record, names) for record in records]
    for name in names:
        if records and not any(name in record for record in kept):
            known = dict.fromkeys(each for record in records for each in _content_of(record))
            raise UsageError(
                f"There is no field {name!a}{did_you_mean(name, known)}",
                hint=f"The fields are: {', '.join(known) or 'none'}.",
            )
    return kept if isinstance(value, list) else kept[0]


def _fields_of(record: Any, names: Iterable[str]) -> dict[str, Any]:
    content = _content_of(record)
    pairs = ((name, content.get(name, msgspec.UNSET)) for name in names)
    return {name: plain(item) for name, item in pairs if item is not msgspec.UNSET}


def _content_of(record: Any) -> dict[str, Any]:
    """The fields of a record with their values; a text or a number has none."""
    if isinstance(record, msgspec.Struct) and not isinstance(record, Joined):
        return msgspec.structs.asdict(record)  # only the values that are kept become plain
    content = plain(record)
    return content if isinstance(content, dict) else {}


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, dict):
        return {_without_surrogates(k): _without_surrogates(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


# Errors

_OUTPUT = 20
"""The number of output lines of a failed check in its error."""


def error_text(error: OrchestratorError) -> str:
    """An error for people and agents: the sentence, the problems, the end of a check's output, the hint."""
    problems = error.details.get("problems")
    listed = problems[SHOWN_PROBLEMS:] if isinstance(problems, list) else []
    # The message names a problem once, with the first of its places.
    more = [text for text in listed if text.partition(": ")[2] not in error.message]
    text = f"Error: {escape(error.message)}\n"
    text += "".join(f"  {escape(problem)}\n" for problem in more)
    text += _quoted_end(error.details.get("output"))
    return text + (f"Hint: {escape(error.hint)}\n" if error.hint else "")


def _quoted_end(output: object) -> str:
    """The last lines of the output of a program, each after a sign."""
    if not isinstance(output, str):
        return ""
    lines = output.replace("\r\n", "\n").rstrip("\n").split("\n") if output.strip() else []
    left_out = f"  ({len(lines) - _OUTPUT} lines above)\n" if len(lines) > _OUTPUT else ""
    return left_out + "".join(f"  | {escape_lines(line)}\n" for line in lines[-_OUTPUT:])


# Writing


_kept: ContextVar[list[str] | None] = ContextVar("warnings", default=None)
"""Where the warnings of a call go, which has no stderr."""


@contextmanager
def kept_warnings(warnings: list[str]) -> Iterator[None]:
    """Add the warnings and notes that are written meanwhile to a list."""
    token = _kept.set(warnings)
    try:
        yield
    finally:
        _kept.reset(token)


def warn(text: str) -> None:
    """Write a warning on stderr."""
    if (kept := _kept.get()) is not None:
        kept.append(text)
    elif sys.stderr is not None:
        sys.stderr.write(f"Warning: {escape(text)}\n")


def note(text: str) -> None:
    """Write a note on stderr."""
    if (kept := _kept.get()) is not None:
        kept.append(text)
    elif sys.stderr is not None:
        with suppress(OSError):
            sys.stderr.write(f"Note: {escape(text)}\n")


def show(answer: Answer[Any], *, as_json: bool, lossy: bool) -> None:
    """Write an answer to stdout, and call its ``after``.

    A closed pipe is no failure. If the answer cannot be written, a query has failed, but a committed change
    (``lossy``) has not.
    """
    try:
        written = write(_rendered(answer, as_json=as_json))
    except BrokenPipeError:
        return
    except OSError as error:
        if not lossy:
            raise
        done = "it is done, but " if answer.after is None else ""
        warn(f"{done}the answer could not be written: {error.strerror}")
        return
    if written and answer.after is not None:
        _follow(answer.after)


def _rendered(answer: Answer[Any], *, as_json: bool) -> bytes:
    if as_json:
        data = to_json(answer.value)
        return escape_json(data.decode()).encode() if is_terminal() else data
    text = answer.text()
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return (text + "\n" if text else "").encode(encoding, "backslashreplace")


def _follow(after: Callable[[], object]) -> None:
    """Call ``after`` of a written answer; a failure is a warning, because the answer is valid."""
    try:
        after()
    except OrchestratorError as error:
        warn(f"the answer is valid, but the action after it failed: {error.message}")
    except OSError as error:
        warn(f"the answer is valid, but the action after it failed: {error.strerror}")


def write(data: bytes) -> bool:
    """Write to stdout immediately; False for a process that has no stdout."""
    if sys.stdout is None:
        return False
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
    return True
