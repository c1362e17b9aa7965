"""The programs that can be set up: their files, and the hooks by which each reaches the board."""

import os
import shutil
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from orchestrator.core import system
from orchestrator.integrations.clients.onboarding import block
from orchestrator.integrations.clients.parts import (
    NAME,
    BlockPart,
    ClientHook,
    JsonPart,
    OwnFile,
    Part,
    TomlPart,
)

VARIABLES = ("ORC_AGENT", "ORC_SESSION", "ORC_ATTEMPT", "ORC_CAUSE", "ORCHESTRATOR_DIR")
"""Variables that a server needs from the shell of its client."""

SECONDS = 30
"""How long a hook may take."""

CALL_SECONDS = 660
"""How long a call of a tool may take, where clients give up sooner: `next` waits for ten minutes."""

START_SECONDS = 30
"""How long the server may take to start, on a busy machine."""

START, PROMPT, COMPACTION, END, EDIT = "start", "prompt", "compaction", "end", "edit"

HOOK_WORDS: dict[str, tuple[str, ...]] = {
    START: ("prime",),
    PROMPT: ("mail", "check", "--inject"),
    COMPACTION: ("handoff", "--keep", "--collect"),
    END: ("session", "end"),
    EDIT: ("guard", "check"),
}
"""The command of each moment of a session. None begins a new turn, so none can loop."""


EVENTS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "claude": (
        ("SessionStart", START, ""),
        ("UserPromptSubmit", PROMPT, ""),
        ("PreCompact", COMPACTION, ""),
        ("SessionEnd", END, ""),
        ("PreToolUse", EDIT, "Edit|MultiEdit|Write|NotebookEdit"),
    ),
    "codex": (
        ("SessionStart", START, ""),
        ("UserPromptSubmit", PROMPT, ""),
        ("PreCompact", COMPACTION, ""),
        ("PreToolUse", EDIT, "apply_patch|Edit|Write"),
    ),
    "gemini": (
        ("SessionStart", START, ""),
        ("BeforeAgent", PROMPT, ""),
        ("PreCompress", COMPACTION, ""),
        ("SessionEnd", END, ""),
        ("BeforeTool", EDIT, "write_file|replace"),
    ),
    "cursor": (
        ("sessionStart", START, ""),
        ("beforeSubmitPrompt", PROMPT, ""),
        ("preCompact", COMPACTION, ""),
        ("sessionEnd", END, ""),
        ("preToolUse", EDIT, "Write"),
    ),
}
"""The events of each client that calls hooks: its name, the moment, and the pattern of what it is for."""


class SetupPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where a setup is written, and how the toolkit is called there.

    Attributes:
        top: The folder of the project, or the home of the user.
        is_user: For all projects of this user.
        words: The program, with global options.
        variables: The environment, in which clients have variables for their folders.
    """

    top: str
    is_user: bool
    words: tuple[str, ...]
    variables: dict[str, str] = {}

    def folder(self, variable: str, name: str) -> str:
        """The folder of a client: named by a variable for the user, else in the home or the project."""
        named = self.variables.get(variable, "") if self.is_user else ""
        return named or os.path.join(self.top, name)


Files = dict[str, Part]
"""What is added to which file, by its path."""


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """A program that people run agents in.

    Attributes:
        name: Its name here.
        title: Its name for people.
        program: The program.
        home: Its folder in the home of the user.
        files: What is added to which file.
        next_step: What is left to do for a person.
    """

    name: str
    title: str
    program: str
    home: str
    files: Callable[[SetupPlace], Files]
    next_step: str

    def trace(self, home: str) -> str:
        """How the client was found on this machine; empty if it was not."""
        if shutil.which(self.program):
            return f"the program {self.program}"
        folder = os.path.join(home, self.home)
        return f"the folder ~/{self.home}" if os.path.isdir(folder) else ""


def server_words(place: SetupPlace, client: str) -> tuple[str, ...]:
    """The words that start the MCP server."""
    return (*place.words, "mcp", "--client", client)


def hooks(place: SetupPlace, client: str) -> tuple[ClientHook, ...]:
    """The hooks of a client."""
    return tuple(
        ClientHook(event=event, command=hook_line(place.words, moment, client), matcher=matcher)
        for event, moment, matcher in EVENTS[client]
    )


def hook_line(words: Sequence[str], moment: str, client: str) -> str:
    """The command line of a hook."""
    return system.shell_line([*words, *HOOK_WORDS[moment], "--hook", client])


def _stdio(place: SetupPlace, client: str) -> dict[str, Any]:
    command, *args = server_words(place, client)
    return {"command": command, "args": args}


def _claude(place: SetupPlace) -> Files:
    folder = place.folder("CLAUDE_CONFIG_DIR", ".claude")
    server = os.path.join(place.top, ".mcp.json")
    if place.is_user:
        is_named = bool(place.variables.get("CLAUDE_CONFIG_DIR"))
        server = os.path.join(folder if is_named else place.top, ".claude.json")
    entry = {"type": "stdio", **_stdio(place, "claude")}
    return {
        server: JsonPart("claude", server=(("mcpServers", NAME), entry)),
        os.path.join(folder, "settings.json"): JsonPart(
            "claude", hooks=hooks(place, "claude"), hook_facts={"timeout": SECONDS}
        ),
    }


def _codex(place: SetupPlace) -> Files:
    folder = place.folder("CODEX_HOME", ".codex")
    entry = {
        **_stdio(place, "codex"),
        "env_vars": list(VARIABLES),
        "startup_timeout_sec": START_SECONDS,
        "tool_timeout_sec": CALL_SECONDS,
    }
    return {
        os.path.join(folder, "config.toml"): TomlPart("codex", ("mcp_servers", NAME), entry),
        os.path.join(folder, "hooks.json"): JsonPart(
            "codex", hooks=hooks(place, "codex"), hook_facts={"timeout": SECONDS}
        ),
    }


def _gemini(place: SetupPlace) -> Files:
    home = place.variables.get("GEMINI_CLI_HOME", "") if place.is_user else ""
    folder = os.path.join(home or place.top, ".gemini")
    # Without it `gemini mcp list` gives a server five seconds to start.
    entry = {**_stdio(place, "gemini"), "timeout": CALL_SECONDS * 1000}
    return {
        os.path.join(folder, "settings.json"): JsonPart(
            "gemini",
            server=(("mcpServers", NAME), entry),
            hooks=hooks(place, "gemini"),
            hook_facts={"timeout": SECONDS * 1000},
        )
    }


def _cursor(place: SetupPlace) -> Files:
    folder = os.path.join(place.top, ".cursor")
    return {
        os.path.join(folder, "mcp.json"): JsonPart(
            "cursor", server=(("mcpServers", NAME), _stdio(place, "cursor"))
        ),
        os.path.join(folder, "hooks.json"): JsonPart(
            "cursor",
            hooks=hooks(place, "cursor"),
            hook_facts={"timeout": SECONDS},
            is_flat=True,
            needed={"version": 1},
        ),
    }


_OPENCODE_MARK = "// Written by `orc setup`; `orc setup opencode --remove` deletes it."

_OPENCODE_PLUGIN = """\
const WORDS = %s
const CALLS = %s

// One word of the shell each, whatever is in it: nothing is read by a shell.
async function call(moment, input, directory) {
  const run = Bun.spawn([...WORDS, ...CALLS[moment], "--hook", "opencode"], {
    cwd: directory, stdin: new Blob([JSON.stringify(input)]), stdout: "pipe", stderr: "ignore",
  })
  return (await new Response(run.stdout).text()).trim()
}

export const Orc = async ({ directory }) => {
  const primed = new Set()
  return {
    "chat.message": async (input, output) => {
      const moments = primed.has(input.sessionID) ? ["prompt"] : ["start", "prompt"]
      primed.add(input.sessionID)
      for (const moment of moments) {
        const text = await call(moment, {}, directory).catch(() => "")
        const part = output.parts.find((part) => part.type === "text")
        if (text && part) part.text += `\\n\\n${text}`
      }
    },
    "experimental.session.compacting": async (input) => {
      await call("compaction", {}, directory).catch(() => "")
      primed.delete(input.sessionID)
    },
    "tool.execute.before": async (input, output) => {
      if (!["edit", "write", "patch", "apply_patch", "multiedit"].includes(input.tool)) return
      const edit = { tool_name: input.tool, tool_input: output.args }
      const reason = await call("edit", edit, directory).catch(() => "")
      if (reason) throw new Error(reason)
    },
    dispose: async () => {
      await call("end", {}, directory).catch(() => "")
    },
  }
}
"""


def _opencode(place: SetupPlace) -> Files:
    folder, plugins = place.top, os.path.join(place.top, ".opencode", "plugins")
    if place.is_user:
        config = place.variables.get("XDG_CONFIG_HOME") or os.path.join(place.top, ".config")
        folder = os.path.join(config, "opencode")
        plugins = os.path.join(folder, "plugins")
    names = [os.path.join(folder, name) for name in ("opencode.jsonc", "opencode.json")]
    path = next(filter(os.path.lexists, names), names[-1])
    entry = {
        "type": "local",
        "command": list(server_words(place, "opencode")),
        "enabled": True,
        "timeout": CALL_SECONDS * 1000,
    }
    words = msgspec.json.encode(place.words).decode()
    plugin = _OPENCODE_PLUGIN % (words, msgspec.json.encode(HOOK_WORDS).decode())
    return {
        path: JsonPart(
            "opencode",
            server=(("mcp", NAME), entry),
            needed={"$schema": "https://opencode.ai/config.json"},
        ),
        os.path.join(plugins, "orc.js"): OwnFile(plugin, _OPENCODE_MARK),
    }


CLIENTS = {
    client.name: client
    for client in (
        Client(
            name="claude",
            title="Claude Code",
            program="claude",
            home=".claude",
            files=_claude,
            next_step="start `claude` here and allow the server `orc`",
        ),
        Client(
            name="codex",
            title="Codex",
            program="codex",
            home=".codex",
            files=_codex,
            next_step="start `codex` here, trust the folder, and allow the hooks with `/hooks`",
        ),
        Client(
            name="gemini",
            title="Gemini CLI",
            program="gemini",
            home=".gemini",
            files=_gemini,
            next_step="start `gemini` here and trust the folder",
        ),
        Client(
            name="cursor",
            title="Cursor",
            program="cursor",
            home=".cursor",
            files=_cursor,
            next_step="open the folder and switch the server `orc` on in the settings under MCP",
        ),
        Client(
            name="opencode",
            title="OpenCode",
            program="opencode",
            home=".config/opencode",
            files=_opencode,
            next_step="start `opencode` here",
        ),
    )
}
"""The clients by name."""

INSTRUCTIONS = ("CLAUDE.md", "GEMINI.md")
"""Instruction files that a client reads instead of AGENTS.md: they get the block where they exist."""


def instruction_files(place: SetupPlace) -> Files:
    """The files that get the block; none for the user, because not every project has a board."""
    if place.is_user:
        return {}
    part = BlockPart(block())
    agents = os.path.join(place.top, "AGENTS.md")
    files: Files = {agents: part}
    for name in INSTRUCTIONS:
        path = os.path.join(place.top, name)
        if os.path.isfile(path) and not _includes(path, agents):
            files[path] = part
    return files


def _includes(path: str, agents: str) -> bool:
    """Whether an instruction file is AGENTS.md, or brings it in by a line ``@AGENTS.md``."""
    if os.path.realpath(path) == os.path.realpath(agents):
        return True
    with open(path, "rb") as file:
        return any(line.strip() in (b"@AGENTS.md", b"@./AGENTS.md") for line in file)
