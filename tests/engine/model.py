"""A simple model of a board: plain dictionaries, every rule written out.

Times are seconds. Every command returns the expected result, or the code of its refusal as text.
"""

from dataclasses import dataclass, field

from orchestrator.domain.tasks.resources import collide, parse

ENDED = ("done", "failed", "cancelled")


@dataclass
class Stream:
    priority: int
    active: bool = True


@dataclass
class Work:
    stream: str
    priority: int
    number: int
    needs: list[str] = field(default_factory=list)
    touches: list[str] = field(default_factory=list)
    failures_needed: list[str] = field(default_factory=list)
    needless: str | None = None
    status: str = "pending"
    holder: str | None = None
    until: float = 0
    lease: float = 0
    token: int | None = None
    attempt: int = 0
    workers: set[str | None] = field(default_factory=set)
    notes: int = 0
    result: str | None = None
    archived: bool = False
    deleted: bool = False
    review: bool = False
    reviewer: str | None = None
    review_until: float = 0
    review_lease: float = 0


@dataclass
class Grip:
    until: float
    shared: bool
    ttl: float


class Refusal(Exception):
    """The code that the real board must refuse with."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Model:
    def __init__(self) -> None:
        self.now = 0.0
        self.streams: dict[str, Stream] = {}
        self.tasks: dict[str, Work] = {}
        self.locks: dict[tuple[str, str], Grip] = {}
        self.topics: dict[str, str | None] = {}
        self.written: dict[str, tuple[str, str]] = {}
        self.versions: dict[str, list[str]] = {}
        self.agents: dict[str, str] = {}

    # What is true

    def stream(self, name: str) -> Stream:
        if name not in self.streams:
            raise Refusal("workstream_not_found")
        return self.streams[name]

    def task(self, task: str) -> Work:
        self.check_kept([task])
        if self.tasks[task].archived:
            raise Refusal("archived")
        return self.tasks[task]

    def is_done(self, task: str) -> bool:
        return self.tasks[task].status == "done"

    def is_open(self, task: Work) -> bool:
        """Whether it is pending, or running with an ended lease, and not blocked."""
        free = task.status == "pending" or (task.status == "in_progress" and task.until <= self.now)
        return free and self.waits_for_nothing(task) and not task.archived

    def waits_for_nothing(self, task: Work) -> bool:
        failed = all(self.tasks[need].status == "failed" for need in task.failures_needed)
        return failed and all(self.is_done(need) for need in task.needs)

    def ready(self) -> set[str]:
        return {
            name
            for name, task in self.tasks.items()
            if self.is_open(task) and self.streams[task.stream].active
        }

    def excludes(self, resource: str, shared: bool, agent: str) -> bool:
        """Whether another agent holds a colliding resource."""
        for (held, holder), grip in self.locks.items():
            alive = holder != agent and grip.until > self.now
            if alive and not (shared and grip.shared) and collide(held, resource):
                return True
        for task in self.tasks.values():
            if task.status != "in_progress" or task.holder == agent or task.until <= self.now:
                continue
            for text in task.touches:
                need = parse(text)
                if not (shared and need.shared) and collide(need.resource, resource):
                    return True
        return False

    def is_excluded(self, task: Work, agent: str) -> bool:
        needs = [parse(text) for text in task.touches]
        return any(self.excludes(need.resource, need.shared, agent) for need in needs)

    def best_review(self, stream: str | None, agent: str) -> str | None:
        due = [
            (self.streams[task.stream].priority, task.priority, task.number, name)
            for name, task in self.tasks.items()
            if task.status == "in_review"
            and stream in (None, task.stream)
            and self.streams[task.stream].active
            and agent not in task.workers
            and (task.reviewer is None or task.review_until <= self.now)
        ]
        return min(due)[3] if due else None

    def best(self, stream: str | None, agent: str) -> str | None:
        ready = [
            (self.streams[task.stream].priority, task.priority, task.number, name)
            for name, task in self.tasks.items()
            if stream in (None, task.stream)
            and self.streams[task.stream].active
            and self.is_open(task)
            and not self.is_excluded(task, agent)
        ]
        return min(ready)[3] if ready else None

    def reaches(self, start: str, goal: str) -> bool:
        if start == goal:
            return True
        task = self.tasks[start]
        needs = [*task.needs, *task.failures_needed]
        return not task.archived and any(self.reaches(need, goal) for need in needs)

    # What commands do

    def acted(self, agent: str | None) -> None:
        """Renew the leases of an agent that have half passed, as each of its commands does."""
        for task in self.tasks.values():
            held = task.status == "in_progress" and task.holder == agent
            if held and task.until - task.lease / 2 <= self.now < task.until:
                task.until = self.now + task.lease
            reviews = task.status == "in_review" and task.reviewer == agent
            if (
                reviews
                and task.review_until - task.review_lease / 2 <= self.now < task.review_until
            ):
                task.review_until = self.now + task.review_lease

    def create(self, name: str, priority: int) -> None:
        if name in self.streams:
            if self.streams[name] == Stream(priority):
                return
            raise Refusal("workstream_exists")
        self.streams[name] = Stream(priority)

    def set_active(self, name: str, active: bool) -> None:
        self.stream(name).active = active

    def check_add(self, stream: str) -> None:
        if not self.stream(stream).active:
            raise Refusal("workstream_closed")

    def check_kept(self, names: list[str]) -> None:
        if any(self.tasks[name].deleted for name in names):
            raise Refusal("deleted")

    def delete(self, name: str) -> None:
        task = self.task(name)
        for other in self.tasks.values():
            is_open = other.status not in ENDED and not other.archived
            if is_open and name in other.needs and task.status != "done":
                raise Refusal("needed")
            if is_open and name in other.failures_needed and task.status != "failed":
                raise Refusal("needed")
        if task.status not in ENDED:
            self.put(task, "cancelled", unheld=False)
        task.archived = task.deleted = True

    def edit_needs(self, name: str, needs: list[str]) -> None:
        task = self.task(name)
        self.check_kept(needs)
        if any(self.reaches(need, name) for need in needs):
            raise Refusal("circle")
        task.needs = needs

    def edit_failures(self, name: str, needs: list[str]) -> None:
        task = self.task(name)
        self.check_kept(needs)
        if any(self.reaches(need, name) for need in needs):
            raise Refusal("circle")
        task.failures_needed = needs
        self.end_needless()

    def end_needless(self) -> None:
        """Cancel the tasks that need the failure of a done task."""
        for task in self.tasks.values():
            done = [need for need in task.failures_needed if self.is_done(need)]
            if done and task.status not in ENDED and not task.archived:
                self.put(task, "cancelled", unheld=False)
                task.needless = done[0]

    def check_not_needless(self, task: Work) -> None:
        if any(self.is_done(need) for need in task.failures_needed):
            raise Refusal("needless")

    def reopened(self, name: str) -> None:
        """Reopen the tasks that were cancelled because a task was done."""
        for task in self.tasks.values():
            if task.needless == name and task.status == "cancelled" and not task.archived:
                self.put(task, "pending", unheld=True)
                task.result = None
        self.end_needless()

    def take(self, task: Work, agent: str, lease: float, token: int) -> None:
        task.status, task.holder, task.token = "in_progress", agent, token
        task.until, task.lease = self.now + lease, lease
        task.attempt += 1
        task.workers.add(agent)

    def check_active(self, agent: str) -> None:
        if self.agents.get(agent) == "retired":
            raise Refusal("retired")

    def is_settled(self, name: str, step: str, agent: str | None, token: int | None) -> bool:
        """Whether a repeated step changes nothing; an end counts only for the agent that made it."""
        task = self.task(name)
        if step in ("complete", "fail"):
            mine = agent in (None, task.holder) and token is None
            return (
                mine
                and task.status in {"complete": ("done", "in_review"), "fail": ("failed",)}[step]
            )
        statuses = {
            "claim": ("in_progress",) if task.holder == agent and task.until > self.now else (),
            "release": ("pending",),
            "block": ("blocked",),
            "unblock": ("pending", "in_progress", "in_review"),
            "cancel": ("cancelled",),
            "reopen": ("pending",),
        }
        return task.status in statuses.get(step, ())

    def check_nothing_open(self, task: Work) -> None:
        if not self.waits_for_nothing(task):
            raise Refusal("not_ready")

    def complete_by_force(self, task: Work, agent: str | None) -> None:
        is_run = task.status == "in_progress"
        actor = task.holder if is_run and agent is None else agent
        if not (is_run and task.holder == actor):
            if is_run and task.until > self.now:
                raise Refusal("not_holder")
            if task.status not in ("pending", "in_progress", "blocked"):
                raise Refusal("illegal_step")
            if actor is None and task.review:
                raise Refusal("agent_needed")
            if actor is not None:
                self.check_active(actor)
                self.take(task, actor, 1800, 0)
        self.put(task, "in_review" if task.review else "done", unheld=False)
        task.result = "r"

    def check_claim(self, name: str, agent: str) -> Work:
        task = self.task(name)
        lapsed = task.status == "in_progress" and task.until <= self.now
        if task.status != "pending" and not lapsed:
            raise Refusal("already_claimed" if task.status == "in_progress" else "illegal_step")
        if not self.is_open(task):
            raise Refusal("not_ready")
        if self.is_excluded(task, agent):
            raise Refusal("resource_held")
        if not self.streams[task.stream].active:
            raise Refusal("workstream_closed")
        return task

    def check_held(self, name: str, agent: str | None, token: int | None) -> Work:
        task = self.task(name)
        if token is not None and token != task.token:
            raise Refusal("not_holder")
        if task.status != "in_progress":
            raise Refusal("illegal_step")
        if agent not in (None, task.holder):
            raise Refusal("not_holder")
        return task

    def check_review(self, name: str, agent: str) -> Work:
        self.check_active(agent)
        task = self.task(name)
        if task.status != "in_review":
            raise Refusal("illegal_step")
        if agent in task.workers:
            raise Refusal("own_work")
        if task.reviewer not in (None, agent) and task.review_until > self.now:
            raise Refusal("review_held")
        return task

    def review(self, task: Work, agent: str, lease: float) -> None:
        if task.reviewer != agent or task.review_until <= self.now:
            task.reviewer, task.review_until = agent, self.now + lease
            task.review_lease = lease

    def step(self, name: str, allowed: tuple[str, ...], status: str, *, unheld: bool) -> Work:
        task = self.task(name)
        if task.status not in allowed:
            raise Refusal("illegal_step")
        self.put(task, status, unheld=unheld)
        return task

    def put(self, task: Work, status: str, *, unheld: bool) -> None:
        task.status, task.token, task.reviewer, task.needless = status, None, None, None
        if unheld:
            task.holder = None
        if status == "done":
            task.workers = set()
            self.end_needless()

    def retire(self, agent: str) -> None:
        if agent not in self.agents:
            raise Refusal("agent_not_found")
        if self.agents[agent] == "retired":
            return
        self.agents[agent] = "retired"
        for task in self.tasks.values():
            if task.status == "in_progress" and task.holder == agent:
                self.put(task, "pending", unheld=True)
            if task.reviewer == agent:
                task.reviewer = None
        for key in [k for k, grip in self.locks.items() if k[1] == agent and grip.until > self.now]:
            del self.locks[key]

    def acquire(self, resource: str, agent: str, shared: bool, ttl: float) -> None:
        self.check_active(agent)
        if self.excludes(resource, shared, agent):
            raise Refusal("lock_denied")
        for key in [k for k, g in self.locks.items() if k[0] == resource and g.until <= self.now]:
            del self.locks[key]
        self.locks[resource, agent] = Grip(self.now + ttl, shared, ttl)

    def release(self, resource: str, agent: str) -> None:
        if (resource, agent) not in self.locks:
            raise Refusal("lock_not_held")
        del self.locks[resource, agent]

    def break_(self, resource: str) -> None:
        held = [key for key in self.locks if key[0] == resource]
        if not held:
            raise Refusal("lock_not_found")
        for key in held:
            del self.locks[key]
