"""``runtime: codex``: ``codex exec``. The event is on stdin, the prompt is in the developer instructions."""

import os
from collections.abc import Iterable
from typing import Any

import msgspec

from orchestrator.runtimes.context import prompt_argument
from orchestrator.runtimes.json_output import JsonReader, count_in, text_in, value_in
from orchestrator.runtimes.port import NETWORK, AgentRun, ProgramCall, Runtime

_TOOLS = {
    "command_execution": "command",
    "file_change": "changes",
    "mcp_tool_call": "tool",
    "web_search": "query",
}
"""The items that are tools, each with the field that says what it does."""


class _CodexReader(JsonReader):
    """The JSON lines of ``codex exec``."""

    def record(self, type: str, record: dict[str, Any]) -> Iterable[str]:
        if type == "thread.started":
            self.begin(record.get("thread_id"))
        elif type == "item.completed":
            yield from self._item(record.get("item"))
        elif type == "turn.completed":
            self.is_complete = True
            self.error = ""
            self.input_tokens += count_in(record, "usage", "input_tokens")
            self.output_tokens += count_in(record, "usage", "output_tokens")
        elif type in ("turn.failed", "error"):
            self.error = text_in(record, "error", "message") or text_in(record, "message") or type
            yield f"error: {self.error}"

    def _item(self, item: Any) -> Iterable[str]:
        type = text_in(item, "type")
        if type == "agent_message":
            self.answer = text_in(item, "text")
            yield self.answer
        elif type == "error":
            yield f"error: {text_in(item, 'message')}"
        elif type in _TOOLS:
            name = text_in(item, "tool") if type == "mcp_tool_call" else type
            given = "arguments" if type == "mcp_tool_call" else _TOOLS[type]
            yield self.use(name, value_in(item, given))


class CodexRuntime(Runtime):
    """Codex.

    It has no list of allowed tools: an agent works in the sandbox of the folder that it works in and the
    board; ``*`` is without one.
    """

    source = "npm install -g @openai/codex"
    reader = _CodexReader
    passes = (*NETWORK, "OPENAI_API_KEY", "OPENAI_BASE_URL", "CODEX_API_KEY", "CODEX_HOME")

    def call(self, run: AgentRun) -> ProgramCall:
        settings = run.agent.settings
        words = ["codex", "exec", "--json", "--color", "never", "--skip-git-repo-check"]
        if "*" in settings.allowed_tools:
            words.append("--dangerously-bypass-approvals-and-sandbox")
        else:
            words += ["--sandbox", "workspace-write"]
            words += ["--add-dir", run.board] if os.path.isabs(run.board) else []
        words += ["-c", f"developer_instructions={_toml(prompt_argument(run))}"]
        words += ["--model", settings.model] if settings.model else []
        words += ["-c", f"model_reasoning_effort={settings.effort}"] if settings.effort else []
        words += ["resume", run.resumed] if run.resumed else []
        return ProgramCall(words=(*words, "-"), stdin=run.work)


def _toml(text: str) -> str:
    """A text as a string of TOML, which JSON is but for DEL."""
    return msgspec.json.encode(text).decode().replace("\x7f", "\\u007f")


RUNTIME = CodexRuntime()
