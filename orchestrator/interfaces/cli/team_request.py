"""``orc request``: ask the team of agents for work."""

from typing import TypedDict

from orchestrator.core import system
from orchestrator.core.errors import UsageError
from orchestrator.interfaces.cli.agent_files import AGENTS_DIR, agents_folder
from orchestrator.interfaces.cli.commands import BOARD
from orchestrator.interfaces.cli.parameters import argument, text_file
from orchestrator.interfaces.cli.rendering import Answer, say
from orchestrator.interfaces.cli.run import Run, either


class _Requested(TypedDict):
    """The event of a request, and the convoy of its tasks."""

    event: int
    convoy: str


@BOARD.command("request", example='request "Add a dark theme" --agent ann')
@argument("[text]", "What is wanted.")
@text_file("the request")
@AGENTS_DIR
def request(
    run: Run, text: str | None, file: str | None, agents_dir: str | None
) -> "Answer[_Requested]":
    """Ask the agents of the template `team` for work: it becomes tasks, which they work and review.

    You get a message when all of its tasks have ended.
    """
    import msgspec

    from orchestrator.domain.subscriptions.patterns import hears
    from orchestrator.supervisor.agent_files import load_agents
    from orchestrator.supervisor.embedded import REQUEST

    wanted = either("text", text, file)
    if wanted is None:
        raise UsageError("The request is missing", hint='Write `request "WHAT YOU WANT"`.')
    # Nothing is read after the commit: an error would look like a failed command.
    agents = load_agents(agents_folder(run, agents_dir)).agents.values()
    listeners = [agent.id for agent in agents if hears(agent.settings.listen, REQUEST)]
    loaded = run.orc.engine.read().subscriptions
    is_loaded = any(agent in loaded for agent in listeners)
    event = run.orc.supervisor.request(wanted)
    convoy = msgspec.json.decode(event.payload)["convoy"]
    lines = [f"Requested: {convoy}", f"`orc convoy show {convoy}` shows its tasks."]
    if not listeners:
        lines.append("No agent listens for requests: `orc agent template add team` adds a team.")
    elif not is_loaded:
        option = f" --agents-dir {system.shell_line([agents_dir])}" if agents_dir else ""
        lines.append(
            f"No runner has loaded {', '.join(listeners)} yet: start `orc runner run{option}`, and ask again."
        )
    return say(_Requested(event=event.id, convoy=convoy), "\n".join(lines))
