"""The rules of a person: which events give a notice, and where it goes.

They are in a file of the user, never on the board: addresses hold passwords and tokens, and a board is
shared.
"""

import os
import stat
from collections.abc import Callable

import msgspec

from orchestrator.core import names, system
from orchestrator.core.decoding import decode_text
from orchestrator.core.errors import NotFound, Refused, UsageError, did_you_mean
from orchestrator.core.events import FORMAT, is_reserved, types
from orchestrator.core.files import open_file, read_whole
from orchestrator.core.user_files import UserFile
from orchestrator.domain.subscriptions.patterns import check_pattern, matches
from orchestrator.domain.subscriptions.records import NOTICES
from orchestrator.notices.kinds import ADDRESS_HINTS, Kind
from orchestrator.notices.texts import check_template

EVERY = 30.0
"""Seconds between two notices of a rule unless another time is given."""


class Rule(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """What gives a notice, and where it goes; an empty filter fits every event.

    Attributes:
        on: Patterns of types of events.
        address: The address as a URL, ``env:NAME`` or ``file:PATH``.
        words: The program and its arguments. A program that was given by a path has its absolute path.
        agents: Who caused the event.
        workstreams: The workstream of a task of the event.
        tasks: A task of the event.
        labels: Labels that a task of the event has, all of them.
        priority: A task of the event has this priority or is more urgent.
        title: The template of the title.
        body: The template of a line of the text.
        every: Seconds between two notices.
    """

    on: tuple[str, ...]
    to: Kind
    address: str = ""
    words: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    workstreams: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    priority: int | None = None
    title: str = ""
    body: str = ""
    every: float = EVERY

    def __repr__(self) -> str:
        """Without the address, so that no error shows it."""
        return f"Rule(on={self.on!r}, to={self.to!r})"

    @property
    def is_about_tasks(self) -> bool:
        """Whether only events of tasks can fit."""
        filters = (self.workstreams, self.tasks, self.labels)
        return any(filters) or self.priority is not None


class NoticeRuleFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of the file: the rules of each board by name, by the real path of the board."""

    boards: dict[str, dict[str, Rule]] = {}


class NoticeRules(UserFile[NoticeRuleFile]):
    """The rules of the user of this machine for a board.

    Args:
        board: The folder of the board.
        folder: Where the file is kept; else the folder for the data of programs of this user.
    """

    FILE = "notices.json"
    CONTENT = NoticeRuleFile
    WHAT = "gives a notice"
    COMMAND = "notify add"
    DAMAGED = "bad_notice_file"

    def __init__(self, board: str, folder: str | None = None) -> None:
        super().__init__(folder, project=board)
        self._board = os.path.realpath(board)

    def all(self) -> dict[str, Rule]:
        """The rules of this board by name.

        Raises:
            Refused: The file is damaged, or others may read it.
        """
        check_private(self.path)
        return dict(sorted(self.read().boards.get(self._board, {}).items()))

    def get(self, name: str) -> Rule:
        """A rule.

        Raises:
            NotFound: There is none of this name.
        """
        known = self.all()
        if name not in known:
            raise NotFound(
                f"There is no rule {name!a} for notices{did_you_mean(name, known)}",
                code="rule_not_found",
                hint="`notify list` shows them.",
            )
        return known[name]

    def add(self, name: str, rule: Rule) -> None:
        """Add a rule.

        Raises:
            Refused: There is one of this name, or an agent that an event started asks for it.
        """

        def with_rule(rules: dict[str, Rule]) -> dict[str, Rule]:
            if name in rules:
                raise Refused(
                    f"There is a rule {name!a} already",
                    code="exists",
                    hint=f"`notify remove {name}` removes it.",
                )
            return {**rules, name: rule}

        self._edit(with_rule)

    def remove(self, name: str) -> None:
        """Remove a rule.

        Raises:
            NotFound: There is none of this name.
            Refused: An agent that an event started asks for it.
        """
        self.get(name)
        self._edit(lambda rules: {known: rules[known] for known in rules if known != name})

    def _edit(self, edit: Callable[[dict[str, Rule]], dict[str, Rule]]) -> None:
        def changed(file: NoticeRuleFile) -> NoticeRuleFile:
            boards = {**file.boards, self._board: edit(file.boards.get(self._board, {}))}
            return NoticeRuleFile({board: rules for board, rules in boards.items() if rules})

        self.change(changed)


def subscriber_of(name: str) -> str:
    """The name under which the board knows a rule."""
    return f"{NOTICES}{name}"


def checked(name: str, rule: Rule) -> Rule:
    """Check a rule that a person has written.

    Raises:
        BadName: Its name or a pattern is not allowed.
        UsageError: What its kind needs is not there, or it has what its kind does not take.
    """
    names.name("rule", name)
    for pattern in rule.on:
        _check_pattern(pattern)
    for template in (rule.title, rule.body):
        check_template(template)
    if (rule.to in ADDRESS_HINTS) != bool(rule.address):
        if rule.address:
            raise UsageError(f"A {rule.to} has no address", hint="Leave --url out.")
        raise UsageError(f"{_article(rule.to)} needs an address", hint=ADDRESS_HINTS[rule.to])
    if (rule.to == "command") != bool(rule.words):
        if rule.words:
            raise UsageError(f"{_article(rule.to)} takes no program", hint="Give --to command.")
        raise UsageError(
            "A command needs its program", hint="Write it last: `--to command -- notify-me --now`"
        )
    if rule.every < 0:
        raise UsageError("The time between two notices is less than 0")
    return rule


def _article(kind: str) -> str:
    return f"An {kind}" if kind == "email" else f"A {kind}"


def _check_pattern(pattern: str) -> None:
    """Check a pattern; of the toolkit's own events it must fit some type."""
    check_pattern(pattern)
    noun = pattern.partition(".")[0]
    known = {name for name in types() if is_reserved(name, FORMAT)}
    if is_reserved(pattern.replace("*", "x"), FORMAT) and not any(
        matches(pattern, n) for n in known
    ):
        raise UsageError(
            f"There are no events {pattern}{did_you_mean(pattern, known)}",
            hint=f"Events of {noun}: {', '.join(sorted(n for n in known if matches(f'{noun}.*', n)))}",
        )


def address_of(rule: Rule) -> str:
    """The address of a rule itself, which nothing may print or log.

    Raises:
        Refused: The variable or file that it refers to is not there, empty, or of others.
    """
    kind, _, place = rule.address.partition(":")
    if kind == "env":
        value = os.environ.get(place, "")
    elif kind == "file":
        check_private(place)
        with open_file(place, follow=True) as file:
            value = decode_text(read_whole(place, file), place)
    else:
        return rule.address
    value = value.strip()
    if not value or len(value.split()) > 1:
        what = f"The variable {place}" if kind == "env" else place
        raise Refused(f"{what} holds no address", code="no_address")
    return value


def shown_address(rule: Rule) -> str:
    """The address of a rule as it may be shown: a reference, or only its scheme."""
    scheme, colon, _ = rule.address.partition(":")
    if not colon:
        return "***" if rule.address else ""
    return rule.address if scheme in ("env", "file") else f"{scheme}://***"


def check_private(path: str) -> None:
    """Refuse a file with secrets that other users of the machine may read.

    Raises:
        Refused: They may.
    """
    if not system.HAS_MODES:
        return
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return
    if stat.S_IMODE(mode) & 0o077:
        raise Refused(
            f"Others may read {path}, which holds secrets",
            code="not_private",
            hint=f"`chmod 600 {path}`",
        )
