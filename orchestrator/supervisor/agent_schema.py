"""The schema of agent files: each field of the frontmatter is declared once, with its check."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec

from orchestrator.core import clock, names
from orchestrator.core.errors import OrchestratorError, did_you_mean
from orchestrator.core.problems import Problems
from orchestrator.domain.subscriptions.limits import NO_LIMITS, Budget
from orchestrator.domain.subscriptions.patterns import check_pattern
from orchestrator.domain.subscriptions.task_attempts import TaskFilter
from orchestrator.domain.tasks.fact_values import priority_of
from orchestrator.domain.validation import check_line
from orchestrator.supervisor.schedule_moments import check_cron, check_zone

RUNTIMES = ("claude", "codex", "gemini", "opencode", "shell", "command")
"""What runs an agent; `command` is a program of one's own, with an argument list."""

EFFORTS = ("low", "medium", "high")

BUSYTOWN = frozenset(
    ("type", "description", "listen", "emits", "ignore_self", "allowed_tools", "model", "effort")
)
"""The fields of a file of busytown, where an agent without ``listen`` hears everything."""

EVERYTHING = "*"
"""The pattern of every event."""

Lines = Mapping[tuple[str | int, ...], int]
"""The line of each value of the frontmatter, by its path: ``("takes", 0, "ws")``."""


class AgentSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The frontmatter of an agent file.

    Attributes:
        timeout: Seconds.
        rounds: 0 if it is not given.
        every: Seconds; 0 if it is not given.
    """

    description: str = ""
    runtime: str = "claude"
    command: tuple[str, ...] = ()
    listen: tuple[str, ...] = ()
    emits: tuple[str, ...] = ()
    takes: tuple[TaskFilter, ...] = ()
    every: float = 0.0
    cron: str = ""
    timezone: str = ""
    ignore_self: bool = True
    allowed_tools: tuple[str, ...] = ()
    model: str = ""
    effort: str = ""
    resume: bool = False
    timeout: float = 3600.0
    retry: int = 0
    rounds: int = 0
    concurrency: int = 1
    priority: int = 2
    budget: Budget = NO_LIMITS
    env: tuple[str, ...] = ()
    workdir: str = ""
    unsafe: bool = False

    @property
    def folder(self) -> str:
        """The folder inside the project in which its process starts; empty: the project itself."""
        return "" if self.workdir == TASK_WORKTREE else self.workdir


class AgentField(msgspec.Struct, frozen=True):
    """A field of the frontmatter.

    Attributes:
        about: What it is for.
        read: Makes its value of what YAML holds: texts, lists and mappings. It raises ValueError or an
            error of ours with a sentence. A reader with a second parameter gets the problems, and notes them.
        form: How its value is written, for documents.
    """

    about: str
    read: Callable[[Any], Any]
    form: str


# Values


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a text is expected")
    return check_line("value", value)


def _word(value: Any) -> str:
    text = _text(value)
    if not text or any(c.isspace() or not c.isprintable() for c in text) or text.startswith("-"):
        raise ValueError(f"{text!a} is not a word")
    return text


def _choice(*words: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        text = _text(value)
        if text not in words:
            raise ValueError(
                f"{text!a} is not one of {', '.join(words)}{did_you_mean(text, words)}"
            )
        return text

    return read


def _truth(value: Any) -> bool:
    text = _text(value).lower()
    if text not in ("true", "false"):
        raise ValueError(f"{text!a} is neither true nor false")
    return text == "true"


def _whole(least: int, most: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        text = _text(value)
        if not re.fullmatch(r"\d{1,15}", text, re.ASCII) or not least <= int(text) <= most:
            raise ValueError(f"{text!a} is not a whole number from {least} to {most}")
        return int(text)

    return read


def _seconds(value: Any) -> float:
    seconds = clock.duration(_text(value))
    if seconds <= 0:
        raise ValueError("it must be longer than 0")
    return seconds


def _money(value: Any) -> float:
    text = _text(value)
    if not re.fullmatch(r"\d{1,9}(\.\d{1,6})?", text, re.ASCII) or not float(text):
        raise ValueError(f"{text!a} is not an amount of US dollars, such as 2.50")
    return float(text)


def _priority(value: Any) -> int:
    text = _text(value)
    word = priority_of(text)
    return word if word is not None else _whole(0, 99)(text)


def _argument(value: Any) -> str:
    text = _text(value)
    if not text:
        raise ValueError("it is empty")
    return text


def _tool(value: Any) -> str:
    text = _argument(value)
    if text.startswith("-"):
        raise ValueError(f"{text!a} is not the name of a tool")
    return text


def _variable(value: Any) -> str:
    text = _text(value)
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text):
        raise ValueError(f"{text!a} is not the name of a variable")
    return text


def _folder(value: Any) -> str:
    text = _text(value)
    parts = text.replace("\\", "/").split("/")
    is_absolute = text[:1] in ("/", "\\", "~") or ":" in parts[0]
    if not text or is_absolute or ".." in parts or not text.isprintable():
        raise ValueError(f"{text!a} is not a folder inside the project")
    return text


def _interval(value: Any) -> float:
    seconds = _seconds(value)
    if seconds < 1:
        raise ValueError("it must be 1s or longer")
    return seconds


def _checked(check: Callable[[str], str]) -> Callable[[Any], str]:
    """Read a text that another module checks."""
    return lambda value: check(_text(value))


class _ListOf:
    """A list, each item read for itself, so that each bad one is reported."""

    def __init__(self, read: Callable[[Any], Any]) -> None:
        self.item = read

    def __call__(self, value: Any) -> tuple[Any, ...]:
        return tuple(map(self.item, value))


class _RecordOf:
    """A mapping with declared fields."""

    def __init__(self, record: type[msgspec.Struct], **fields: Callable[[Any], Any]) -> None:
        self.record = record
        self.fields = fields

    def __call__(self, value: Any) -> Any:
        return self.record(**{name: self.fields[name](item) for name, item in value.items()})


TASK_WORKTREE = "task"
"""The ``workdir`` that stands for the worktree of the task."""

FIELDS: dict[str, AgentField] = {
    "type": AgentField("busytown's word for `runtime`.", _choice("claude", "shell"), "claude"),
    "runtime": AgentField(
        "What runs the agent; `claude` if it is not given.",
        _choice(*RUNTIMES),
        " | ".join(RUNTIMES),
    ),
    "command": AgentField(
        "The program of the runtime `command`, with its arguments.",
        _ListOf(_argument),
        "[PROGRAM, ...]",
    ),
    "description": AgentField("What the agent does, in a line.", _text, "TEXT"),
    "listen": AgentField(
        "Types of events that start it: plan.created, plan.*, *. A file that has only fields of busytown "
        "and no `listen` has `*`.",
        _ListOf(_checked(check_pattern)),
        "[TYPE, ...]",
    ),
    "emits": AgentField(
        "Types of events that it pushes, for `events map`.",
        _ListOf(_checked(check_pattern)),
        "[TYPE, ...]",
    ),
    "takes": AgentField(
        "Tasks that it is given: of a workstream, a type, with labels, that need a capability.",
        _ListOf(
            _RecordOf(
                TaskFilter,
                ws=_checked(partial(names.name, "workstream")),
                type=_word,
                labels=_ListOf(_word),
                capability=_word,
            )
        ),
        "[{ws, type, labels, capability}, ...]",
    ),
    "every": AgentField("Start it so often.", _interval, "1h"),
    "cron": AgentField("Start it at these times.", _checked(check_cron), '"0 7 * * 1-5"'),
    "timezone": AgentField(
        "The time zone of `cron`; that of the machine if it is not given.",
        _checked(check_zone),
        "Europe/Berlin",
    ),
    "ignore_self": AgentField("Events of its own do not start it.", _truth, "true"),
    "allowed_tools": AgentField(
        "Tools of the runtime that it may use without a question.",
        _ListOf(_tool),
        '[Read, "Bash(git:*)"]',
    ),
    "model": AgentField("The model of the runtime.", _word, "NAME"),
    "effort": AgentField("How hard the model thinks.", _choice(*EFFORTS), " | ".join(EFFORTS)),
    "resume": AgentField("Go on in the session of its last run.", _truth, "false"),
    "timeout": AgentField("End an attempt after this time.", _seconds, "1h"),
    "retry": AgentField("How often an event is tried again.", _whole(0, 100), "0"),
    "rounds": AgentField(
        "How often a loop may start it: one chain of events, or a task that reviews reject.",
        _whole(1, 50),
        "5",
    ),
    "concurrency": AgentField("How many events it works at a time.", _whole(1, 100), "1"),
    "priority": AgentField("Which agent starts first where a limit is reached.", _priority, "2"),
    "budget": AgentField(
        "The most it may use: runs an hour, tokens a day, cost in US dollars a day.",
        _RecordOf(Budget, runs=_whole(1, 10**6), tokens=_whole(1, 10**12), cost=_money),
        "{runs, tokens, cost}",
    ),
    "env": AgentField(
        "Variables that it gets beside the usual ones.", _ListOf(_variable), "[NAME, ...]"
    ),
    "workdir": AgentField(
        "The folder that it works in, inside the project; `task`: the worktree of its task, made first.",
        _folder,
        "DIR | task",
    ),
    "unsafe": AgentField("Allow {{{...}}} in its script.", _truth, "false"),
}
"""The fields of the frontmatter."""


def read_settings(metadata: Mapping[str, Any], lines: Lines, problems: Problems) -> AgentSettings:
    """Read the frontmatter of an agent file.

    Args:
        metadata: What YAML holds: texts, lists and mappings.
        lines: The line of each value.
        problems: Gets every field that is wrong, with its line.
    """
    reader = _FieldReader(lines, problems)
    values: dict[str, Any] = {}
    for name, value in metadata.items():
        if name not in FIELDS:
            reader.note((name,), f"there is no field {name!a}{did_you_mean(name, FIELDS)}")
        else:
            values[name] = reader.value((name,), FIELDS[name].read, value)
    if "listen" not in metadata and metadata.keys() <= BUSYTOWN:
        values["listen"] = (EVERYTHING,)
    values = {name: value for name, value in values.items() if value is not None}
    kind = values.pop("type", None)
    runtime = values.get("runtime", kind or ("command" if "command" in metadata else "claude"))
    if kind is not None and kind != runtime:
        reader.note(("type",), f"`type` is {kind} and `runtime` is {runtime}: leave `type` out")
    if ("command" in metadata) != (runtime == "command"):
        place = ("command",) if "command" in metadata else ("runtime",)
        reader.note(place, "`command` and the runtime `command` belong together")
    elif values.get("command") == ():
        reader.note(("command",), "the program is missing: write [PROGRAM, ARGUMENT]")
    if "every" in values and "cron" in values:
        reader.note(("cron",), "`every` and `cron` are both given: leave one out")
    if values.get("workdir") == TASK_WORKTREE and not values.get("takes"):
        reader.note(("workdir",), "`task` is the worktree of a task, and `takes` is missing")
    if "timezone" in metadata and "cron" not in metadata:
        reader.note(("timezone",), "`timezone` is that of `cron`, which is missing")
    return AgentSettings(**{**values, "runtime": runtime})


class _FieldReader:
    """Reads values with their places, and notes what is wrong."""

    def __init__(self, lines: Lines, problems: Problems) -> None:
        self._lines = lines
        self._problems = problems

    def note(self, path: tuple[str | int, ...], message: str) -> None:
        line = next(
            (self._lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self._lines), 1
        )
        name = ".".join(str(part) for part in path if isinstance(part, str))
        prefix = "" if message.startswith(("there is no", "`")) else f"{name}: "
        self._problems.note(f"line {line}", f"{prefix}{message}")

    def value(self, path: tuple[str | int, ...], read: Callable[[Any], Any], value: Any) -> Any:
        """The value; None if it is wrong."""
        if isinstance(read, _ListOf):
            if not isinstance(value, list):
                self.note(path, "a list is expected: [a, b]")
                return None
            items = [self.value((*path, n), read.item, item) for n, item in enumerate(value)]
            return tuple(item for item in items if item is not None)
        if isinstance(read, _RecordOf):
            return self._record(path, read, value)
        try:
            return read(value)
        except OrchestratorError as error:
            self.note(path, error.message)
        except ValueError as error:
            self.note(path, str(error))
        return None

    def _record(self, path: tuple[str | int, ...], read: _RecordOf, value: Any) -> Any:
        if not isinstance(value, dict):
            self.note(path, f"fields are expected: {', '.join(read.fields)}")
            return None
        values = {}
        for name, item in value.items():
            if name not in read.fields:
                self.note(
                    (*path, name), f"there is no field {name!a}{did_you_mean(name, read.fields)}"
                )
            elif (inner := self.value((*path, name), read.fields[name], item)) is not None:
                values[name] = inner
        return read.record(**values)
