"""What would start an agent, and what is started then; nothing is."""

import os
import sys
from collections.abc import Mapping

import msgspec

from orchestrator.core.errors import OrchestratorError
from orchestrator.core.trust import Trust
from orchestrator.domain.subscriptions.task_attempts import TaskFilter
from orchestrator.runtimes.port import AgentRun, runtime_of
from orchestrator.supervisor.agent_files import AgentFile
from orchestrator.supervisor.agent_schema import EVERYTHING
from orchestrator.supervisor.schedules import coming_moments, schedule_of

HEARS_EVERYTHING = "every event of the board: `listen` is *, as in a file of busytown without it"


class AgentCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of an agent.

    Attributes:
        trust: ``trusted``, ``changed`` since it was trusted, or ``new``.
        starts: What starts it.
        command: The program and its arguments, for an event without a payload.
        folder: Where it works.
        problem: Why it cannot be started although its file is valid.
    """

    agent: str
    file: str
    trust: str
    starts: tuple[str, ...]
    command: tuple[str, ...] = ()
    folder: str = ""
    problem: str = ""


def check_agent(
    agent: AgentFile,
    trust: Trust,
    *,
    project: str,
    board: str,
    variables: Mapping[str, str],
    now: str,
) -> AgentCheck:
    """Say what would start an agent, and with which command line.

    Args:
        agent: The agent.
        trust: What may run on this machine.
        project: The folder of the project.
        board: The folder of the board.
        variables: The environment of the runner.
        now: The time.
    """
    settings = agent.settings
    event = {
        "id": 0,
        "timestamp": 0,
        "type": settings.listen[0] if settings.listen else "schedule.due",
        "worker_id": "",
        "payload": {},
    }
    run = AgentRun(
        agent=agent,
        event=event,
        project=project,
        board=board,
        scratch=os.path.join(board, "state", "runner", "ATTEMPT.files"),
        variables=variables,
        commands=(os.path.dirname(sys.executable),),
    )
    runtime = runtime_of(settings)
    command: tuple[str, ...] = ()
    problem = ""
    starts = _starts(agent)
    try:
        command = runtime.call(run).words
        command = runtime.launch(run).words
        if (schedule := schedule_of(agent)) is not None:
            coming = ", ".join(coming_moments(schedule, now, most=1))
            starts.append(f"{schedule.text}, next {coming}")
    except OrchestratorError as error:
        problem = error.message
    folder = os.path.join(project, settings.folder).rstrip(os.sep)
    if not problem and not os.path.isdir(folder):
        problem = f"There is no folder {folder}"
    return AgentCheck(
        agent=agent.id,
        file=agent.path,
        trust=trust.state_of(agent.path, agent.digest),
        starts=tuple(starts),
        command=command,
        folder=folder,
        problem=problem,
    )


def _starts(agent: AgentFile) -> list[str]:
    starts = [
        f"event {pattern}" if pattern != EVERYTHING else HEARS_EVERYTHING
        for pattern in agent.settings.listen
    ]
    return starts + [f"task {_shown(filter)}" for filter in agent.settings.takes]


def _shown(filter: TaskFilter) -> str:
    facts = msgspec.structs.asdict(filter).items()
    texts = ((k, ",".join(v) if isinstance(v, tuple) else v) for k, v in facts)
    return " ".join(f"{name}={text}" for name, text in texts if text) or "of any kind"
