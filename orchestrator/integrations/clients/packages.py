"""Write the packages of clients: a plugin for Claude Code, an extension for Gemini CLI, and an Agent Skill.

All of their text comes from :mod:`orchestrator.integrations.clients.onboarding`, and their hooks and servers
from the declarations by which ``orc setup`` writes them. ``make docs`` writes them into ``plugins/``.
"""

import os
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import tomlkit

from orchestrator.integrations.clients.clients import CLIENTS, SetupPlace
from orchestrator.integrations.clients.onboarding import DESCRIPTION, LOOP, TITLE
from orchestrator.version import __version__

SUMMARY = "A board of tasks that all agents of a repository share: work, mail, locks and knowledge."

PROMPTS = {
    "next": (
        "Get the next task from the board and work on it",
        "Run `orc next` and do what it gives you: a task or a review. Work on it until it is done, then run"
        ' `orc done ID "RESULT"`. If there is nothing to do, report the reasons that it prints.',
    ),
    "board": (
        "Show the board: who works on what, and what is ready",
        "Run `orc status` and `orc ready`, and summarize who works on what, what is ready, and what is"
        " blocked. Change nothing.",
    ),
    "handoff": (
        "Leave a note for the next session and end this one",
        "Run `orc handoff --collect -s SUBJECT -m NOTE`. The subject is one line. The note says what is done,"
        " what is next, and what the next session could not know.",
    ),
}
"""The commands of a package: the description, and the prompt."""


def packages() -> Iterator[tuple[str, str]]:
    """Every file of the packages: its path below ``plugins/``, and its text."""
    yield "skill/orc/SKILL.md", _skill()
    yield from _claude("claude")
    yield from _gemini("gemini")


def marketplace() -> str:
    """The list of plugins for Claude Code, at the top of the repository."""
    return _json(
        {
            "name": "orc",
            "owner": {"name": "agent-orchestrator"},
            "metadata": {"description": SUMMARY},
            "plugins": [{"name": "orc", "source": "./plugins/claude", "description": SUMMARY}],
        }
    )


def _skill() -> str:
    head = f"---\nname: orc\ndescription: {_quoted(DESCRIPTION)}\n---\n"
    return f"{head}\n{TITLE.replace('##', '#')}\n\n{LOOP}\n"


def _claude(folder: str) -> Iterator[tuple[str, str]]:
    manifest = {"name": "orc", "version": __version__, "description": SUMMARY, "license": "MIT"}
    yield f"{folder}/.claude-plugin/plugin.json", _json(manifest | {"author": {"name": "orc"}})
    yield f"{folder}/.mcp.json", _added("claude", ".mcp.json")
    yield f"{folder}/hooks/hooks.json", _added("claude", "settings.json")
    yield f"{folder}/skills/orc/SKILL.md", _skill()
    for name, (description, prompt) in PROMPTS.items():
        head = f"---\ndescription: {_quoted(description)}\nallowed-tools: Bash(orc:*)\n---\n\n"
        yield f"{folder}/commands/{name}.md", f"{head}{prompt}\n"


def _gemini(folder: str) -> Iterator[tuple[str, str]]:
    settings = msgspec.json.decode(_added("gemini", "settings.json"))
    manifest = {
        "name": "orc",
        "version": __version__,
        "description": SUMMARY,
        "mcpServers": settings["mcpServers"],
        "contextFileName": "GEMINI.md",
    }
    yield f"{folder}/gemini-extension.json", _json(manifest)
    yield f"{folder}/hooks/hooks.json", _json({"hooks": settings["hooks"]})
    yield f"{folder}/GEMINI.md", f"{TITLE}\n\n{LOOP}\n"
    yield f"{folder}/skills/orc/SKILL.md", _skill()
    for name, (description, prompt) in PROMPTS.items():
        command = {"description": description, "prompt": prompt}
        yield f"{folder}/commands/orc/{name}.toml", tomlkit.dumps(command)


def _added(client: str, name: str) -> str:
    """What a setup writes into a new file of a client."""
    place = SetupPlace(top="", is_user=False, words=("orc",))
    files = CLIENTS[client].files(place)
    return (
        next(part.shown() for path, part in files.items() if os.path.basename(path) == name) + "\n"
    )


def _quoted(text: str) -> str:
    """A text as a scalar of YAML."""
    return msgspec.json.encode(text).decode()


def _json(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"


def write(root: str) -> None:
    """Write all packages into a checkout."""
    texts = {os.path.join("plugins", path): text for path, text in packages()}
    texts[os.path.join(".claude-plugin", "marketplace.json")] = marketplace()
    for name, text in texts.items():
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)


if __name__ == "__main__":
    write(sys.argv[1])
