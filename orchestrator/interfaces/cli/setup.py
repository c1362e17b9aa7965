"""``orc setup`` and ``onboard``: make the programs of agents know the board."""

import os
import shutil
import sys
from typing import TYPE_CHECKING

from orchestrator.core.errors import UsageError
from orchestrator.core.paths import inside
from orchestrator.core.printable import escape, escape_lines
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import BOARD
from orchestrator.interfaces.cli.layout import lines
from orchestrator.interfaces.cli.parameters import DRY_RUN, argument, flag
from orchestrator.interfaces.cli.rendering import Answer, say, warn
from orchestrator.interfaces.cli.run import Run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.integrations.clients.clients import SetupPlace
    from orchestrator.integrations.clients.setting_up import Setup

ALL = "all"
NAMES = ("claude", "codex", "gemini", "cursor", "opencode")


@BOARD.command("setup", example="setup claude --dry-run", reads=(), local=True)
@argument(
    "[client]",
    "claude, codex, gemini, cursor, opencode or all; else what is installed is listed.",
    types.choice(*NAMES, ALL, name="CLIENT"),
)
@flag("--project", "For everybody in this project; that is the default.")
@flag("--user", "For all projects of this user.")
@flag("--check", "Change nothing: exit 0 if all is there, 1 if not.")
@flag("--remove", "Take out what a setup has added.")
@flag("--print", "Print what belongs in which file, to add it by hand.")
@DRY_RUN
def setup(
    run: Run,
    client: str | None,
    project: bool,
    user: bool,
    check: bool,
    remove: bool,
    print: bool,
    dry_run: bool,
) -> "Answer[Mapping[str, str] | Setup]":
    """Set up a client: its MCP server, the hooks of a session, and instructions in AGENTS.md.

    It can be repeated: what is there stays, also comments and the form of the files. Copies of changed files
    are kept, and foreign entries are never overwritten.
    """
    from orchestrator.integrations.clients.setting_up import set_up

    if project and user:
        raise UsageError("--project and --user are given", hint="Leave one of them out.")
    if check + remove + print > 1:
        raise UsageError("--check, --remove and --print are three commands", hint="Give one.")
    place = _place(run, is_user=user)
    if client is None:
        if check or remove or print or dry_run:
            raise UsageError("No client is named", hint="`setup all` stands for every client.")
        return _found(run, place)
    names = NAMES if client == ALL else (client,)
    if print:
        return _printed(names, place)
    if not (remove or user) and place.words[0] != "orc":
        warn(f"`orc` is not in PATH, so the files name {place.words[0]}, which others may not have")
    is_dry = dry_run or check
    done = set_up(names, place, removes=remove, dry=is_dry)
    status = 1 if check and not done.is_complete else 0
    return Answer(done, lambda: _page(done, removes=remove, dry=is_dry), status)


@BOARD.command("onboard", example="onboard", reads=True, local=True)
def onboard(_run: Run) -> "Answer[dict[str, str]]":
    """Print the instructions for agents that `setup` writes into AGENTS.md."""
    from orchestrator.integrations.clients.onboarding import block

    return say({"text": block()}, block().rstrip("\n"))


def _place(run: Run, *, is_user: bool) -> "SetupPlace":
    from orchestrator.core.repository import top_of
    from orchestrator.integrations.clients.clients import SetupPlace

    top = os.path.expanduser("~") if is_user else top_of(os.getcwd())
    words = (*program(), *run.board_words)
    return SetupPlace(top=top, is_user=is_user, words=words, variables=dict(os.environ))


def program() -> tuple[str, ...]:
    """The words that call this program: its name if a shell finds it, else its path."""
    if shutil.which("orc"):
        return ("orc",)
    beside = shutil.which("orc", path=os.path.dirname(sys.executable))
    if beside:
        return (os.path.abspath(beside),)
    return (sys.executable, os.path.abspath(sys.argv[0]))


def _found(run: Run, place: "SetupPlace") -> "Answer[Mapping[str, str]]":
    """The clients of this machine, and the command that sets each up."""
    from orchestrator.integrations.clients.clients import CLIENTS
    from orchestrator.integrations.clients.setting_up import installed, is_set_up

    traces = installed(os.path.expanduser("~"))
    form = " --user" if place.is_user else ""

    def row(name: str, trace: str) -> str:
        client = CLIENTS[name]
        known = "is set up" if is_set_up(client, place) else f"`{run.prog} setup {name}{form}`"
        return f"{client.title} ({trace}): {known}"

    empty = f"No client was found. `{run.prog} setup NAME` sets one up: {', '.join(NAMES)}."
    return Answer(
        traces, lambda: lines((escape(row(*item)) for item in traces.items()), empty=empty)
    )


def _printed(names: tuple[str, ...], place: "SetupPlace") -> "Answer[dict[str, str]]":
    from orchestrator.integrations.clients.setting_up import parts

    files = parts(names, place).items()
    texts = {shown_path(path, place.top): part.shown() for path, part in files}
    return Answer(
        texts,
        lambda: "\n\n".join(f"# {escape(path)}\n{text.rstrip()}" for path, text in texts.items()),
    )


def shown_path(path: str, top: str) -> str:
    """A path for people: from the top of the project on."""
    return inside(path, top) or path


_VERBS = {"create": "Created", "change": "Changed", "delete": "Deleted"}


def _page(done: "Setup", *, removes: bool, dry: bool) -> str:
    from orchestrator.integrations.clients.clients import CLIENTS

    texts = []
    for change in done.files:
        if change.action == "keep":
            continue
        verb = f"Would {change.action}" if dry else _VERBS[change.action]
        texts.append(f"{verb} {escape(shown_path(change.path, done.place))}")
        texts += [escape_lines(change.diff.rstrip("\n"))] if dry else []
        texts += [f"    The old one: {escape(change.backup)}"] if change.backup else []
    if not texts:
        return "Nothing is set up here." if removes else "All is set up."
    if not removes and not dry:
        texts += [
            f"Next for {CLIENTS[name].title}: {CLIENTS[name].next_step}." for name in done.clients
        ]
    return lines(texts, empty="")
