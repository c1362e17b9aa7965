"""``runtime: claude``: Claude Code. The event is on stdin, the system prompt is an argument."""

from collections.abc import Iterable
from typing import Any

from orchestrator.runtimes import permission_server
from orchestrator.runtimes.context import COMMANDS, prompt_argument
from orchestrator.runtimes.json_output import (
    JsonReader,
    cost_in,
    count_in,
    items_in,
    text_in,
    value_in,
)
from orchestrator.runtimes.port import NETWORK, AgentRun, ProgramCall, Runtime

_CONFIG = "mcp.json"


class _ClaudeReader(JsonReader):
    """The stream-json of Claude Code."""

    def record(self, type: str, record: dict[str, Any]) -> Iterable[str]:
        if type == "system" and record.get("subtype") == "init":
            self.begin(record.get("session_id"))
        elif type == "assistant":
            for block in items_in(record, "message", "content"):
                if value_in(block, "type") == "text":
                    self.answer = text_in(block, "text")
                    yield self.answer
                elif value_in(block, "type") == "tool_use":
                    yield self.use(value_in(block, "name"), value_in(block, "input"))
        elif type == "result":
            yield from self._result(record)

    def _result(self, record: dict[str, Any]) -> Iterable[str]:
        self.is_complete = True
        self.begin(record.get("session_id"))
        usage = record.get("usage")
        names = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
        self.input_tokens = sum(count_in(usage, name) for name in names)
        self.output_tokens = count_in(usage, "output_tokens")
        self.cost = cost_in(record, "total_cost_usd")
        for denial in items_in(record, "permission_denials"):
            yield f"[{text_in(denial, 'tool_name')}] was not allowed"
        self.answer = text_in(record, "result") or self.answer
        if record.get("is_error"):
            errors = [text_in(error) for error in items_in(record, "errors")]
            self.error = text_in(record, "result") or " ".join(errors) or text_in(record, "subtype")


class ClaudeRuntime(Runtime):
    """Claude Code. Before a tool that is not in ``allowed_tools`` people are asked."""

    source = "npm install -g @anthropic-ai/claude-code"
    reader = _ClaudeReader
    passes = (
        *NETWORK,
        *("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL"),
        *("CLAUDE_CODE_OAUTH_TOKEN", "CLAUDE_CONFIG_DIR"),
    )

    def call(self, run: AgentRun) -> ProgramCall:
        settings = run.agent.settings
        files: dict[str, str] = {}
        variables: dict[str, str] = {}
        words = ["claude", "--print", "--output-format", "stream-json", "--verbose"]
        words += ["--system-prompt", prompt_argument(run)]
        if "*" in settings.allowed_tools:
            words.append("--dangerously-skip-permissions")
        else:
            mine = [f"Bash({command}:*)" for command in COMMANDS]
            words += ["--allowedTools", *settings.allowed_tools, *mine]
            if permission_server.is_there():
                variables = permission_server.VARIABLES
                files[_CONFIG] = permission_server.server_config(run)
                words += ["--mcp-config", f"{run.scratch}/{_CONFIG}"]
                words += ["--permission-prompt-tool", permission_server.TOOL_OF_CLAUDE]
        words += ["--model", settings.model] if settings.model else []
        words += ["--effort", settings.effort] if settings.effort else []
        words += ["--resume", run.resumed] if run.resumed else []
        return ProgramCall(words=tuple(words), stdin=run.work, variables=variables, files=files)


RUNTIME = ClaudeRuntime()
