"""``runtime: command``: any program; the event is on stdin, the prompt in the file ``$ORC_PROMPT_FILE``."""

from orchestrator.runtimes.context import prompt_of
from orchestrator.runtimes.port import AgentRun, ProgramCall, Runtime

_PROMPT = "prompt.md"


class CommandRuntime(Runtime):
    """A program of the user's own."""

    def call(self, run: AgentRun) -> ProgramCall:
        return ProgramCall(
            words=run.agent.settings.command,
            stdin=run.work,
            variables={"ORC_PROMPT_FILE": f"{run.scratch}/{_PROMPT}"},
            files={_PROMPT: prompt_of(run)},
        )


RUNTIME = CommandRuntime()
