"""The routes of the Node original, with its shapes; where a rule refuses, ours answer 404 or 409, not 500."""

from typing import Any

import msgspec

from orchestrator import Orchestrator
from orchestrator.core.errors import NotFound, Refused
from orchestrator.domain.agents.commands import AgentView
from orchestrator.domain.event_log import EventObject, as_dict
from orchestrator.domain.tasks.records import Task
from orchestrator.domain.workstreams.records import Workstream
from orchestrator.interfaces.web.answers import PROBLEM, details_of, to_json
from orchestrator.interfaces.web.endpoints import Endpoint, Given, Reply
from orchestrator.reports.status import Status

# Bodies and queries


class NewWorkstream(msgspec.Struct, forbid_unknown_fields=True):
    """A new workstream."""

    name: str
    description: str = ""
    priority: int = 5


class NewTask(msgspec.Struct, forbid_unknown_fields=True):
    """A new task."""

    title: str
    description: str = ""
    priority: int = 5
    estimate: float | str | None = None
    agent: str | None = None


class Actor(msgspec.Struct, forbid_unknown_fields=True):
    """Who acts; else the person of the server."""

    agent: str | None = None


class GivenResult(msgspec.Struct, forbid_unknown_fields=True):
    """The result of a task, and who has done it; else its holder."""

    result: str | None = None
    agent: str | None = None


class NewAgent(msgspec.Struct, forbid_unknown_fields=True):
    """A new agent."""

    id: str
    type: str = "general"
    capabilities: list[str] = []


class Text(msgspec.Struct, forbid_unknown_fields=True):
    """The text of a topic, and who wrote it."""

    content: str
    agent: str | None = None


class NewLock(msgspec.Struct, forbid_unknown_fields=True):
    """A lock: what, for whom, and for how many milliseconds."""

    resource: str
    agent: str | None = None
    ttl: float = 60_000


class EventQuery(msgspec.Struct):
    """Which events: of an agent, of a type (``action``), from a time or after an event, the last ones."""

    agent: str | None = None
    action: str | None = None
    since: str | None = None
    last: int | None = None


# Results


class CountedStream(Workstream, frozen=True, kw_only=True):
    """A workstream with the number of its tasks by status."""

    counts: dict[str, int]


class Confirmed(msgspec.Struct):
    """It is done."""

    ok: bool = True


class Acquired(msgspec.Struct):
    """Whether the lock was acquired."""

    acquired: bool


class Released(msgspec.Struct):
    """Whether the lock was held and is released."""

    released: bool


class TopicText(msgspec.Struct):
    """A topic with its text."""

    topic: str
    content: str


class NoTask(msgspec.Struct):
    """There is none."""

    message: str


# What they do


def _actor(given: Given) -> str:
    """The agent that the body names, else that of the server."""
    return given.body.agent or given.agent


def _stream(orc: Orchestrator, given: Given) -> str:
    """The full name of the workstream that the path names."""
    return orc.workstreams.get(given.path["ws"]).name


def _counted(orc: Orchestrator, stream: Workstream) -> CountedStream:
    return CountedStream(
        **msgspec.structs.asdict(stream), counts=orc.workstreams.counts(stream.name)
    )


def _create_stream(orc: Orchestrator, given: Given) -> CountedStream:
    new: NewWorkstream = given.body
    stream = orc.workstreams.create(
        new.name, description=new.description, priority=new.priority, agent=given.agent
    )
    return _counted(orc, stream)


def _add_task(orc: Orchestrator, given: Given) -> Task:
    new: NewTask = given.body
    facts: dict[str, Any] = {"description": new.description, "priority": new.priority}
    if new.estimate is not None:
        facts["estimate"] = new.estimate
    return orc.tasks.add(_stream(orc, given), title=new.title, agent=_actor(given), **facts)


def _task_in(orc: Orchestrator, given: Given) -> Task:
    """The task of a path.

    Raises:
        NotFound: The workstream has no such task.
    """
    stream = _stream(orc, given)
    task = orc.tasks.get(given.path["task"])
    if task.workstream != stream:
        raise NotFound(f"Task {task.id} is not in {stream}", code="task_not_found")
    return task


def _complete(orc: Orchestrator, given: Given) -> Task:
    task = _task_in(orc, given)
    agent = given.body.agent or task.assigned_to or given.agent
    return orc.tasks.complete(task.id, result=given.body.result, agent=agent)


def _next(orc: Orchestrator, given: Given) -> Task | NoTask:
    task = orc.tasks.next(_stream(orc, given), agent=_actor(given))
    return task or NoTask("No pending tasks")


def _register(orc: Orchestrator, given: Given) -> AgentView:
    new: NewAgent = given.body
    orc.agents.register(new.id, type=new.type, capabilities=new.capabilities)
    return orc.agents.get(new.id)


def _heartbeat(orc: Orchestrator, given: Given) -> Confirmed:
    orc.agents.heartbeat(given.path["id"])
    return Confirmed()


def _events(orc: Orchestrator, given: Given) -> list[EventObject]:
    query: EventQuery = given.query
    records = orc.events.read(
        agent=query.agent, type=query.action, since=query.since, last=query.last
    )
    return [as_dict(record) for record in records]


def _read_topic(orc: Orchestrator, given: Given) -> TopicText:
    text = orc.knowledge.read(given.path["topic"])
    if text is None:
        raise _no_topic(given)
    return TopicText(given.path["topic"], text)


def _no_topic(given: Given) -> NotFound:
    return NotFound(f"There is no topic {given.path['topic']!a}", code="topic_not_found")


def _write_topic(orc: Orchestrator, given: Given) -> Confirmed:
    orc.knowledge.write(given.path["topic"], given.body.content, agent=_actor(given))
    return Confirmed()


def _delete_topic(orc: Orchestrator, given: Given) -> Confirmed:
    if not orc.knowledge.delete(given.path["topic"], agent=given.agent):
        raise _no_topic(given)
    return Confirmed()


def _acquire(orc: Orchestrator, given: Given) -> Acquired | Reply:
    lock: NewLock = given.body
    try:
        orc.locks.acquire(lock.resource, agent=_actor(given), ttl=lock.ttl / 1000)
    except Refused as error:
        if error.code != "lock_denied":
            raise
        return Reply(to_json({"acquired": False, **details_of(error)}), 409, PROBLEM)
    return Acquired(True)


def _release(orc: Orchestrator, given: Given) -> Released:
    try:
        orc.locks.release(given.path["resource"], agent=_actor(given))
    except (NotFound, Refused):
        return Released(False)
    return Released(True)


_AGENT = {"agent": "ann"}

ORIGINAL = (
    Endpoint(
        method="GET", path="/api/status", about="The status.",
        run=lambda orc, _: orc.status(), result=Status, is_kept=True,
    ),
    Endpoint(
        method="GET",
        path="/api/status/text",
        about="The status as text.",
        run=lambda orc, _: Reply(orc.status().text().encode(), media_type="text/plain"),
        result=str,
        media_type="text/plain",
    ),
    Endpoint(
        method="GET", path="/api/workstreams", about="The workstreams, by priority.",
        run=lambda orc, _: [_counted(orc, stream) for stream in orc.workstreams.all()],
        result=list[CountedStream],
    ),
    Endpoint(
        method="POST", path="/api/workstreams", about="Create a workstream.", run=_create_stream,
        body=NewWorkstream, result=CountedStream, status=201,
        example={"name": "build", "description": "The build", "priority": 2},
    ),
    Endpoint(
        method="GET", path="/api/workstreams/{ws}/tasks", about="The tasks of a workstream.",
        run=lambda orc, given: orc.tasks.all(workstream=_stream(orc, given)),
        result=list[Task], errors=(404,),
    ),
    Endpoint(
        method="POST", path="/api/workstreams/{ws}/tasks", about="Add a task.", run=_add_task,
        body=NewTask, result=Task, status=201, errors=(404,),
        example={"title": "Write the parser", "priority": 2},
    ),
    Endpoint(
        method="POST", path="/api/workstreams/{ws}/tasks/{task}/claim", about="Claim a task.",
        run=lambda orc, given: orc.tasks.claim(_task_in(orc, given).id, agent=_actor(given)),
        body=Actor, result=Task, errors=(404,), example=_AGENT,
    ),
    Endpoint(
        method="POST", path="/api/workstreams/{ws}/tasks/{task}/complete",
        about="Complete a task; its holder acts if no agent is named.",
        run=_complete, body=GivenResult, result=Task, errors=(404,),
        example={"result": "Shipped"},
    ),
    Endpoint(
        method="POST", path="/api/workstreams/{ws}/next", about="Claim the task to do next.",
        run=_next, body=Actor, result=(Task, NoTask), errors=(404,), example=_AGENT,
    ),
    Endpoint(
        method="GET", path="/api/agents", about="The agents, with `stale`.",
        run=lambda orc, _: orc.agents.all(), result=list[AgentView],
    ),
    Endpoint(
        method="POST", path="/api/agents", about="Register an agent.", run=_register,
        body=NewAgent, result=AgentView, status=201,
        example={"id": "ann", "type": "coder", "capabilities": ["python"]},
    ),
    Endpoint(
        method="POST", path="/api/agents/{id:path}/heartbeat", about="Say that an agent is active.",
        run=_heartbeat, result=Confirmed, errors=(404,),
    ),
    Endpoint(
        method="GET", path="/api/events", about="The events, the oldest first.", run=_events,
        query=EventQuery, result=list[EventObject],
    ),
    Endpoint(
        method="GET", path="/api/knowledge", about="The names of the topics.",
        run=lambda orc, _: [topic.name for topic in orc.knowledge.all()], result=list[str],
    ),
    Endpoint(
        method="GET", path="/api/knowledge/{topic:path}", about="A topic.", run=_read_topic,
        result=TopicText, errors=(404,),
    ),
    Endpoint(
        method="PUT", path="/api/knowledge/{topic:path}", about="Write a topic.", run=_write_topic,
        body=Text, result=Confirmed, errors=(404,),
        example={"content": "Parsers by hand are fast"},
    ),
    Endpoint(
        method="DELETE", path="/api/knowledge/{topic:path}", about="Delete a topic.",
        run=_delete_topic, result=Confirmed, errors=(404,),
    ),
    Endpoint(
        method="GET", path="/api/locks", about="The locks that are held.",
        run=lambda orc, _: orc.locks.all(), result=list[Any],
    ),
    Endpoint(
        method="POST", path="/api/locks", about="Acquire a lock.", run=_acquire, body=NewLock,
        result=Acquired, example={"resource": "git", "agent": "ann", "ttl": 60000},
    ),
    Endpoint(
        method="DELETE", path="/api/locks/{resource:path}", about="Release a lock.", run=_release,
        body=Actor, result=Released, errors=(404,), example=_AGENT,
    ),
)  # fmt: skip
"""The routes of the original."""
