"""``orc runner check`` and ``install``: what would run, and a unit of systemd that runs it."""

import os
import shlex
import shutil
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from orchestrator.core.errors import NotFound
from orchestrator.core.printable import escape
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.agent_files import (
    AGENTS_DIR,
    agents_folder,
    find_agent,
    skipped,
    user_trust,
)
from orchestrator.interfaces.cli.commands import RUNNER
from orchestrator.interfaces.cli.event_runner import (
    OPTIONS,
    absolute,
    option_words,
    runner_place,
)
from orchestrator.interfaces.cli.layout import columns, cut
from orchestrator.interfaces.cli.parameters import argument, flag
from orchestrator.interfaces.cli.rendering import Answer, say, write
from orchestrator.interfaces.cli.run import Run

if TYPE_CHECKING:
    from orchestrator.supervisor.agent_check import AgentCheck

_WORD = 60  # columns of a word of a command line that are shown
_LINE = 80  # columns of a line of a command line
_BREAK = f"\n{' ' * 13}"


@RUNNER.command("check", example="check plan", reads=True, local=True)
@argument("[agents...]", "Which agents; else all.", types.Type("AGENT"))
@AGENTS_DIR
def check(run: Run, agents: tuple[str, ...], agents_dir: str | None) -> "Answer[dict[str, Any]]":
    """Show for each agent file what would start it, with which command line; nothing is started.

    The exit status is 1 if a file cannot be used.
    """
    from orchestrator.supervisor.agent_check import check_agent
    from orchestrator.supervisor.agent_files import AgentFiles, load_agents
    from orchestrator.supervisor.places import project_of

    board = run.orc.folder or ""
    files = load_agents(agents_folder(run, agents_dir))
    if agents:
        files = AgentFiles({name: find_agent(files, name) for name in agents}, {})
    trust = user_trust(run)
    checks = [
        check_agent(
            agent,
            trust,
            project=project_of(board),
            board=board,
            variables=os.environ,
            now=run.orc.engine.now(),
        )
        for agent in files.agents.values()
    ]

    def text() -> str:
        unusable = "\n".join(skipped(files.problems, "cannot be used"))
        return "\n\n".join(filter(None, [*map(_shown, checks), unusable])) or "No agents."

    is_good = not files.bad and not any(item.problem for item in checks)
    return Answer({"agents": checks, "bad": files.problems}, text, int(not is_good))


def _shown(check: "AgentCheck") -> str:
    command = _wrapped(shlex.quote(cut(escape(word), _WORD)) for word in check.command)
    trust = {
        "trusted": "trusted",
        "changed": "changed since it was trusted: read it, then `orc trust {}`",
        "new": "not trusted: read it, then `orc trust {}`",
    }[check.trust]
    rows = [
        ("trust", trust.format(check.agent)),
        (
            "starts on",
            _BREAK.join(map(escape, check.starts))
            or "nothing: it has no listen, takes, every or cron",
        ),
        ("runs", command),
        ("in", escape(check.folder)),
        ("problem", escape(check.problem)),
    ]
    lines = [f"  {name:<9}  {value}" for name, value in rows if value]
    return "\n".join([f"{check.agent} ({escape(check.file)})", *lines])


def _wrapped(words: Iterable[str]) -> str:
    """A command line in lines that are not too long."""
    lines = [""]
    for word in words:
        if lines[-1] and columns(f"{lines[-1]} {word}") > _LINE:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return _BREAK.join(lines)


@RUNNER.command("install", example="install --print", local=True)
@OPTIONS
@flag("--print", "Print the unit, and install nothing.", name="is_printed")
def install(run: Run, is_printed: bool, **options: Any) -> "Answer[dict[str, Any]] | None":
    """Write a unit of systemd that runs the runner of this board while you are logged in."""
    from orchestrator.supervisor.places import command_line
    from orchestrator.supervisor.service_unit import unit_name, unit_text, write_unit

    board = runner_place(run.orc).board
    words = [*command_line(board), "runner", "run", *option_words(absolute(run, options))]
    name, text = unit_name(board), unit_text(board, words, os.environ)
    if is_printed:
        write(text.encode())
        return None
    if shutil.which("systemctl") is None:
        raise NotFound(
            "This system has no systemd, so there is nothing to install",
            code="no_systemd",
            hint="`runner start` starts a runner until the machine is switched off.",
        )
    folder = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    path = os.path.join(folder, "systemd", "user", name)
    is_new = write_unit(path, text)
    commands = [
        "systemctl --user daemon-reload",
        f"systemctl --user enable --now {name}",
        "loginctl enable-linger",
    ]
    lines = [
        f"{'Written' if is_new else 'Unchanged'}: {escape(path)}",
        f"Start it now and at each login: {commands[0]} && {commands[1]}",
        f"Let it run without a login too: {commands[2]}",
    ]
    return say({"path": path, "changed": is_new, "next": commands}, "\n".join(lines))
