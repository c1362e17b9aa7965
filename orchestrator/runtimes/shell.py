"""``runtime: shell``: the body of the file is a script for ``sh``; the event is on stdin."""

from orchestrator.runtimes.port import AgentRun, ProgramCall, Runtime
from orchestrator.supervisor.templates import LARGE, render

_SCRIPT = "script"


class ShellRuntime(Runtime):
    """A script with values of the event."""

    def call(self, run: AgentRun) -> ProgramCall:
        script = run.agent.script
        assert script is not None
        rendered = render(script, run.event)
        files = dict(rendered.large)
        words: tuple[str, ...] = ("sh", "-c", rendered.text)
        if len(rendered.text.encode("utf-8", "replace")) > LARGE:  # systems limit an argument
            files[_SCRIPT] = rendered.text
            words = ("sh", f"{run.scratch}/{_SCRIPT}")
        values = {"ORC_VALUES": run.scratch} if files else {}
        return ProgramCall(
            words=words,
            stdin=run.work,
            variables={**rendered.variables, **values},
            files=files,
        )


RUNTIME = ShellRuntime()
