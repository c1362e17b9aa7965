"""What an agent is told before its own text: who it is, how to push an event, how to claim one."""

from orchestrator.runtimes.port import AgentRun


def prompt_of(run: AgentRun) -> str:
    """The system prompt of an agent: the context, then the body of its file."""
    agent = run.agent
    name = agent.id
    lines = [f"You are the agent `{name}`."]
    if agent.settings.description:
        lines[0] += f" {agent.settings.description.rstrip('.')}."
    if run.brief:
        lines.append(
            "Your input is your task. Its result is what you answer last; `orc t fail` and"
            " `orc t block` say that it cannot be done, and why."
        )
    else:
        lines += [
            "An event has started you. Your input is the event as JSON: id, type, timestamp,"
            " worker_id (who pushed it) and payload.",
            "",
            "Push an event:",
            "",
            f"    busytown events push --worker {name} --type TYPE --payload 'JSON'",
            "",
        ]
        if agent.settings.emits:
            lines += [f"Types that you push: {', '.join(agent.settings.emits)}.", ""]
        lines += [
            "Claim an event before work that only one agent may do:",
            "",
            f"    busytown events claim --worker {name} --event {run.event.get('id', 'ID')}",
            "",
            'If it prints `"claimed":false`, another agent works on it: stop.',
        ]
    return "\n".join([*lines, "", "---", "", run.agent.body.strip(), ""])
