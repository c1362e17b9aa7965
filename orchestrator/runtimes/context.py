"""What an agent reads before its own text: who it is, how to push an event, how to claim one."""

from orchestrator.core.errors import BadInput
from orchestrator.runtimes.port import AgentRun
from orchestrator.supervisor.templates import LARGE

COMMANDS = ("busytown events", "orc t")
"""Commands that every agent may run, because the context tells it to."""


def prompt_of(run: AgentRun) -> str:
    """The system prompt of an agent: the context, then the body of its file."""
    agent = run.agent
    name = agent.id
    lines = [f"You are the agent `{name}`."]
    if agent.settings.description:
        lines[0] += f" {agent.settings.description.rstrip('.')}."
    if run.is_review:
        lines.append(
            "Your input is the work of another agent on a task: judge it. End your answer with a line"
            " `approve`, or `reject: what is missing`."
        )
    elif run.brief:
        lines.append(
            "Your input is your task. Your last answer is its result. If it cannot be done, run"
            ' `orc t fail "why"`, or `orc t block "what it waits for"`.'
        )
    else:
        lines.append(
            "An event has started you. Your input is the event as JSON: `id`, `type`, `timestamp`,"
            " `worker_id` (who pushed it), `payload`."
        )
    lines += ["", "Push an event, which may start other agents:", ""]
    lines += [f"    busytown events push --worker {name} --type TYPE --payload 'JSON'", ""]
    if agent.settings.emits:
        lines += [f"You push these types: {', '.join(agent.settings.emits)}.", ""]
    if not run.brief:
        lines += [
            "Claim the event first if only one agent may work on it:",
            "",
            f"    busytown events claim --worker {name} --event {run.event.get('id', 'ID')}",
            "",
            'If this prints `"claimed":false`, another agent works on it: stop at once.',
            "",
        ]
    return "\n".join([*lines, "---", "", agent.body.strip(), ""])


def prompt_argument(run: AgentRun) -> str:
    """The system prompt for an argument, which systems limit.

    Raises:
        BadInput: It is too long.
    """
    prompt = prompt_of(run)
    if "\0" in prompt or len(prompt.encode("utf-8", "replace")) > LARGE:
        raise BadInput(
            f"The text of {run.agent.path} is over {LARGE:,} bytes or has a NUL character",
            hint="Move parts of it to a file that the agent reads.",
        )
    return prompt


def whole_prompt(run: AgentRun) -> str:
    """System prompt and work in one text, for programs that take no system prompt."""
    return f"{prompt_of(run)}\n---\n\nYour input:\n\n{run.work}"
