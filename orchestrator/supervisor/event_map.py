"""A drawing of which agent listens to what, and what it emits, as a flowchart of Mermaid."""

from collections.abc import Iterable

from orchestrator.domain.subscriptions.patterns import hears
from orchestrator.supervisor.agent_files import AgentFile


def event_map(agents: Iterable[AgentFile]) -> str:
    """Draw agents as boxes and types of events as round boxes between them.

    A pattern that no emitted type matches is drawn itself: what it stands for comes from outside.
    """
    agents = [*agents]
    emitted = dict.fromkeys(type for agent in agents for type in agent.settings.emits)
    types = dict(emitted)
    edges: dict[tuple[str, str], None] = {}
    boxes = {agent.id: f"agent{number}" for number, agent in enumerate(agents, start=1)}
    for agent in agents:
        for pattern in agent.settings.listen:
            heard = [type for type in emitted if type == pattern or hears([pattern], type)]
            for type in heard or [pattern]:
                types[type] = None
                edges[f"event:{type}", boxes[agent.id]] = None
    rounds = {type: f"event{number}" for number, type in enumerate(types, start=1)}
    lines = ["flowchart LR"]
    lines += [f'  {rounds[type]}(["{type}"])' for type in types]
    lines += [f'  {boxes[agent.id]}["{agent.id}"]' for agent in agents]
    lines += [f"  {rounds[event.removeprefix('event:')]} --> {box}" for event, box in edges]
    lines += [
        f"  {boxes[agent.id]} --> {rounds[type]}"
        for agent in agents
        for type in agent.settings.emits
    ]
    return "\n".join(dict.fromkeys(lines))
