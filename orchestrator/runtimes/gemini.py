"""``runtime: gemini``: the Gemini CLI. It has no argument for a system prompt, so stdin has it too."""

from collections.abc import Iterable
from typing import Any

from orchestrator.domain.validation import LONGEST_TEXT
from orchestrator.runtimes.context import COMMANDS, whole_prompt
from orchestrator.runtimes.json_output import LONGEST_LINE, JsonReader, count_in, text_in
from orchestrator.runtimes.output import AttemptResult
from orchestrator.runtimes.port import NETWORK, AgentRun, ProgramCall, Runtime


class _GeminiReader(JsonReader):
    """The stream-json of the Gemini CLI; its messages come in parts that end anywhere."""

    def __init__(self) -> None:
        super().__init__()
        self._text = ""
        self._parts: list[str] = []
        self._size = 0

    def end(self, status: int | None, seconds: float) -> tuple[list[str], AttemptResult]:
        text, self._text = self._text, ""
        self.answer = "".join(self._parts)
        rest = self._kept(text.splitlines())
        lines, result = super().end(status, seconds)
        return [*rest, *lines], result

    def record(self, type: str, record: dict[str, Any]) -> Iterable[str]:
        if type == "message":
            if record.get("role") == "assistant":
                yield from self._message(text_in(record, "content"))
            return
        yield self._text
        self._text = ""
        if type == "init":
            self.begin(record.get("session_id"))
        elif type == "tool_use":
            self._parts.clear()
            self._size = 0
            yield self.use(record.get("tool_name"), record.get("parameters"))
        elif type == "error":
            yield f"{text_in(record, 'severity') or 'error'}: {text_in(record, 'message')}"
        elif type == "result":
            self.is_complete = True
            self.input_tokens = count_in(record, "stats", "input_tokens")
            self.output_tokens = count_in(record, "stats", "output_tokens")
            if record.get("status") == "error":
                self.error = text_in(record, "error", "message") or "it reports an error"

    def _message(self, text: str) -> Iterable[str]:
        """Keep a part of the answer, as long as its size is allowed; yield the lines that end in it."""
        if text and self._size < LONGEST_TEXT:
            self._parts.append(text)
            self._size += len(text)
        *lines, self._text = (self._text + text).split("\n")
        yield from lines
        if len(self._text) >= LONGEST_LINE:
            yield self._text
            self._text = ""


class GeminiRuntime(Runtime):
    """The Gemini CLI; it has no effort."""

    source = "npm install -g @google/gemini-cli"
    reader = _GeminiReader
    passes = (
        *NETWORK,
        *("GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_APPLICATION_CREDENTIALS"),
        *("GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION"),
        *("GOOGLE_GENAI_USE_GCA", "GOOGLE_GENAI_USE_VERTEXAI", "GEMINI_CLI_TRUST_WORKSPACE"),
    )

    def call(self, run: AgentRun) -> ProgramCall:
        settings = run.agent.settings
        words = ["gemini", "--output-format", "stream-json"]
        if "*" in settings.allowed_tools:
            words += ["--approval-mode", "yolo"]
        else:
            mine = [f"run_shell_command({command})" for command in COMMANDS]
            words += [f"--allowed-tools={tool}" for tool in (*settings.allowed_tools, *mine)]
        words += ["--model", settings.model] if settings.model else []
        words += ["--resume", run.resumed] if run.resumed else []
        return ProgramCall(words=tuple(words), stdin=whole_prompt(run))


RUNTIME = GeminiRuntime()
