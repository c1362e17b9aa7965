"""``runtime: opencode``: ``opencode run``. It has no argument for a system prompt, so stdin has it too."""

from collections.abc import Iterable
from typing import Any

from orchestrator.runtimes.context import whole_prompt
from orchestrator.runtimes.json_output import JsonReader, cost_in, count_in, text_in, value_in
from orchestrator.runtimes.port import NETWORK, AgentRun, ProgramCall, Runtime


class _OpencodeReader(JsonReader):
    """The JSON lines of ``opencode run``: what is reported at the end of each step is added up."""

    def record(self, type: str, record: dict[str, Any]) -> Iterable[str]:
        self.begin(record.get("sessionID"))
        part = record.get("part")
        if type == "text":
            self.answer = text_in(part, "text")
            yield self.answer
        elif type == "tool_use":
            yield self.use(value_in(part, "tool"), value_in(part, "state", "input"))
        elif type == "step_finish":
            self.is_complete = value_in(part, "reason") != "tool-calls"
            self.error = ""
            tokens = value_in(part, "tokens")
            self.input_tokens += count_in(tokens, "input")
            self.input_tokens += sum(count_in(tokens, "cache", name) for name in ("read", "write"))
            self.output_tokens += count_in(tokens, "output") + count_in(tokens, "reasoning")
            self.cost += cost_in(part, "cost")
        elif type == "error":
            error = record.get("error")
            self.error = text_in(error, "data", "message") or text_in(error, "name") or type
            yield f"error: {self.error}"


class OpencodeRuntime(Runtime):
    """OpenCode; what it may do is in its own configuration, and ``*`` answers its questions with yes."""

    source = "npm install -g opencode-ai"
    reader = _OpencodeReader
    passes = (
        *NETWORK,
        *("ANTHROPIC_API_KEY", "GEMINI_API_KEY", "OPENAI_API_KEY", "OPENROUTER_API_KEY"),
        *("OPENCODE_API_KEY", "OPENCODE_CONFIG", "OPENCODE_CONFIG_DIR"),
    )

    def call(self, run: AgentRun) -> ProgramCall:
        settings = run.agent.settings
        words = ["opencode", "run", "--format", "json"]
        words += ["--auto"] if "*" in settings.allowed_tools else []
        words += ["--model", settings.model] if settings.model else []
        words += ["--variant", settings.effort] if settings.effort else []
        words += ["--session", run.resumed] if run.resumed else []
        return ProgramCall(words=tuple(words), stdin=whole_prompt(run))


RUNTIME = OpencodeRuntime()
