"""Workflows: cooked formulas poured onto the board, where any agent can go on with them.

A workflow is a task, its root, and steps that are parts of it, with ids such as ``299833bc.design``. The
tasks are the checkpoint: whoever comes next goes on at the next ready step, and nothing is done twice. What
follows by itself is in :mod:`orchestrator.domain.workflows.automation`.
"""

import msgspec

from orchestrator.core.errors import NotFound, Refused, UsageError
from orchestrator.core.transaction import Committed, Noun, Transaction, command
from orchestrator.domain.agents import hooks
from orchestrator.domain.agents.identity import act_in_session
from orchestrator.domain.state import State
from orchestrator.domain.tasks.circles import check_no_circle
from orchestrator.domain.tasks.commands import claimed_task
from orchestrator.domain.tasks.completion import complete
from orchestrator.domain.tasks.events import TaskCompleted, TaskEdited, TaskSignalled
from orchestrator.domain.tasks.leases import take
from orchestrator.domain.tasks.lookup import changed_task, find_live, resolve, resolve_all
from orchestrator.domain.tasks.records import ENDED, Task
from orchestrator.domain.tasks.verification_events import TaskSubmitted
from orchestrator.domain.validation import LONGEST_TITLE, check_text
from orchestrator.domain.workflows import automation
from orchestrator.domain.workflows.compiled import CompiledFormula
from orchestrator.domain.workflows.events import WorkflowBurned, WorkflowPoured, WorkflowSquashed
from orchestrator.domain.workflows.instantiate import Pouring
from orchestrator.domain.workflows.progress import Standing, standing_of
from orchestrator.domain.workflows.records import Workflow

UNTIL = "until"
"""The kind of the signal that ends the parts of a task early."""


class Poured(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow that was poured: its record, the task that is its root, and its steps in order."""

    workflow: Workflow
    root: Task
    steps: tuple[Task, ...]


class Advanced(msgspec.Struct, frozen=True, kw_only=True):
    """A step that was completed, and what comes next.

    Attributes:
        completed: The step, done or in review.
        next: The step that was claimed with it; None if none is ready.
        workflow: The root of the workflow.
        ended: How many of its steps are done or cancelled, of ``total``; milestones are not counted.
        complete: Whether all of them are.
    """

    completed: Task
    next: Task | None
    workflow: str
    ended: int
    total: int
    complete: bool


class EndedWisp(msgspec.Struct, frozen=True, kw_only=True):
    """A wisp that was squashed or burned: how many steps left the board, and the digest of a squashed one."""

    workflow: str
    outcome: str
    steps: int
    digest: str = ""


class Bonded(msgspec.Struct, frozen=True, kw_only=True):
    """Two workflows of which the second begins when the first is done, by their roots."""

    first: str
    then: str
    poured: tuple[str, ...]


# Results of commands


def the_poured(state: State, events: Committed) -> Poured:
    """The result of pouring: the last workflow that was poured."""
    poured = [event.workflow for _, event in events if isinstance(event, WorkflowPoured)]
    return _poured(state, poured[-1])


def _poured(state: State, root: str) -> Poured:
    steps = tuple(automation.live_steps(state, root))
    return Poured(workflow=state.workflows[root], root=state.tasks[root], steps=steps)


def the_ended(state: State, events: Committed) -> EndedWisp:
    """The result of squashing and burning."""
    ended = [e for _, e in events if isinstance(e, (WorkflowSquashed, WorkflowBurned))][-1]
    is_squashed = isinstance(ended, WorkflowSquashed)
    return EndedWisp(
        workflow=ended.workflow,
        outcome="squashed" if is_squashed else "burned",
        steps=len(ended.steps),
        digest=ended.digest if isinstance(ended, WorkflowSquashed) else "",
    )


def the_bonded(state: State, events: Committed) -> Bonded:
    """The result of bonding."""
    poured = tuple(event.workflow for _, event in events if isinstance(event, WorkflowPoured))
    link = [e for _, e in events if isinstance(e, TaskEdited) and isinstance(e.needs, tuple)][-1]
    assert isinstance(link.needs, tuple)
    return Bonded(first=link.needs[-1], then=link.task, poured=poured)


def the_advanced(state: State, events: Committed) -> Advanced:
    """The result of advancing."""
    ending = (e for _, e in events if isinstance(e, (TaskCompleted, TaskSubmitted)))
    completed = state.tasks[next(ending).task]
    assert completed.workflow is not None
    root = state.tasks.get(completed.workflow)
    work = state.workflows.work[completed.workflow]
    ended = work.done + work.cancelled
    return Advanced(
        completed=completed,
        next=claimed_task(state, events),
        workflow=completed.workflow,
        ended=ended,
        total=work.total,
        complete=root is None or root.status == "done" or ended == work.total,
    )


class Workflows(Noun[State]):
    """``orc.workflows``: pour, sling, advance, signal, bond, squash, burn; get, all, standing."""

    @command(the_poured)
    def pour(
        self,
        tx: Transaction[State],
        cooked: CompiledFormula,
        *,
        workstream: str | None = None,
        on: str | None = None,
        assignee: str | None = None,
        ephemeral: bool = False,
        agent: str | None = None,
    ) -> None:
        """Make the steps of a cooked formula tasks, in one commit.

        Args:
            cooked: What :func:`orchestrator.formulas.cook` gave.
            workstream: Where the tasks belong; that of ``on``, else ``workflows``.
            on: A task that gets done this way: it becomes the root, and is done with its last step. One
                with checks is not: whoever has it completes it then.
            assignee: Whom the steps are given to that name nobody, each when it can be begun.
            ephemeral: Make it a wisp. Wisps that ended long ago are collected with it.
            agent: Who pours.

        Raises:
            NotFound: The task or workstream is not there, or a task that a gate names.
            Refused: The task has ended, has a workflow or waits for children already; it would wait for
                itself; the workstream is closed; an id was used before.
            UsageError: The formula has no steps.
        """
        act_in_session(tx, agent)
        Pouring(tx, cooked, workstream, on, ephemeral, assignee).pour()

    @command(the_poured)
    def sling(
        self,
        tx: Transaction[State],
        cooked: CompiledFormula,
        to: str | None = None,
        *,
        workstream: str | None = None,
        on: str | None = None,
        force: bool = False,
        convoy: bool = True,
        message: str = "",
        agent: str | None = None,
    ) -> Poured | None:
        """Pour a formula and give the workflow to an agent, in one commit; its root hangs on the hook.

        A formula that is made to run as a wisp becomes one. On a task that is done in this way already, and
        by this agent: no second effect.

        Args:
            cooked: What :func:`orchestrator.formulas.cook` gave.
            to: The agent; None for oneself.
            workstream: As in :meth:`pour`.
            on: As in :meth:`pour`.
            force: Take the task ``on`` from another agent that has it.
            convoy: Track the root by a convoy if none does.
            message: What to tell the agent.
            agent: Who acts; needed, unless ``to`` is given.

        Raises:
            NotFound: As in :meth:`pour`.
            Refused: As in :meth:`pour`; or another agent has the task, or the agent is retired.
        """
        actor = act_in_session(tx, agent, needed=to is None)
        to = actor if to is None else tx.state.agents.aliases.get(to, to)
        before = len(tx.events)
        root = None if on is None else find_live(tx.state, on).id
        known = tx.state.workflows.get(root) if root is not None else None
        if known is None or known.formula != cooked.formula:
            root = Pouring(tx, cooked, workstream, on, cooked.ephemeral, to).pour()
        assert root is not None
        task = tx.state.tasks[root]
        hooks.hand_over(tx, task, to, force=force, convoy=convoy, message=message)
        return _poured(tx.state, root) if len(tx.events) == before or known else None

    def advance(
        self,
        task: str,
        *,
        result: str | None = None,
        force: bool = False,
        reason: str = "",
        lease: float | str | None = None,
        agent: str | None = None,
        token: int | None = None,
    ) -> Advanced:
        """Complete a step and claim the next ready one of the same workflow, in one commit.

        Args:
            task: The step.
            result: As in :meth:`orchestrator.domain.tasks.commands.Tasks.complete`, like the others.
            lease: How long the new claim lasts, as ``30m`` or seconds; None: as long as the one that ends.

        Raises:
            Refused: The task is no step of a workflow, or cannot be completed.
        """
        arguments = (task, result, force, reason, lease, agent, token)
        return complete(
            self._desk,
            ("workflows.advance", arguments),
            the_advanced,
            lambda tx: _the_step(tx.state, task).id,
            result=result,
            force=force,
            reason=reason,
            agent=agent,
            token=token,
            then=lambda tx, step: _claim_next(tx, step, lease),
        )

    @command(changed_task)
    def signal(
        self,
        tx: Transaction[State],
        task: str,
        name: str | None = None,
        *,
        text: str = "",
        agent: str | None = None,
    ) -> None:
        """Give a signal that a task waits for, or the one that ends a loop; a timer is over then.

        Args:
            task: The task that waits; or the loop, whose rounds that nobody has begun are cancelled.
            name: Which signal, by its name or kind; None for all that it waits for.
            text: What there is to say, kept as a note.
            agent: Who gives it.

        Raises:
            Refused: It waits for no such signal.
        """
        act_in_session(tx, agent)
        found = find_live(tx.state, task)
        said = check_text("text", text)
        if found.until and found.status not in ENDED and name in (None, found.until, UNTIL):
            tx.record(TaskSignalled(task=found.id, kind=UNTIL, name=found.until, text=said))
            _end_parts(tx, found)
            return
        waiting = [one for one in found.signals if one.keeps_back(tx.now)]
        keys = {(s.kind, s.name): None for s in waiting if name in (None, s.name, s.kind)}
        if not keys:
            awaited = ", ".join(one.key for one in waiting)
            which = f" {name!a}" if name is not None else ""
            raise Refused(
                f"Task {found.id} waits for no signal{which}",
                code="no_signal",
                hint=f"It waits for: {awaited}." if awaited else "`t blocked` shows what waits.",
                waiting=[one.key for one in waiting],
            )
        for kind, what in keys:
            tx.record(TaskSignalled(task=found.id, kind=kind, name=what, text=said))
            said = ""

    @command(the_bonded)
    def bond(
        self,
        tx: Transaction[State],
        first: str | CompiledFormula,
        then: str | CompiledFormula,
        *,
        workstream: str | None = None,
        agent: str | None = None,
    ) -> Bonded | None:
        """Chain two workflows: the second begins when the first is done. Formulas are poured first.

        Args:
            first: A workflow, by its root or a step; or a cooked formula.
            then: The same.
            workstream: Where poured ones belong.
            agent: Who acts.

        Raises:
            NotFound: There is no such workflow.
            Refused: They would wait for each other, or a formula cannot be poured.
            UsageError: Both are one workflow.
        """
        act_in_session(tx, agent)
        known = [find_workflow(tx.state, one).root for one in (first, then) if isinstance(one, str)]
        keep = frozenset(known)
        before, after = (
            known.pop(0)
            if isinstance(one, str)
            else Pouring(tx, one, workstream, None, one.ephemeral, keep=keep).pour()
            for one in (first, then)
        )
        if before == after:
            raise UsageError("A workflow cannot be chained to itself")
        task = find_live(tx.state, after)
        needs = resolve_all(tx.state, (*(n for n in task.needs if n != before), before))
        if before in task.needs:
            return Bonded(first=before, then=after, poured=())
        check_no_circle(tx.state, after, msgspec.structs.replace(task, needs=needs))
        tx.record(TaskEdited(task=after, needs=needs))
        return None

    @command(the_ended)
    def squash(
        self,
        tx: Transaction[State],
        workflow: str,
        *,
        summary: str = "",
        agent: str | None = None,
    ) -> None:
        """End a wisp with a digest: its root stays, done, with the digest as its result; its steps leave.

        Args:
            workflow: Its root or a step of it.
            summary: What there is to say, put into the digest.
            agent: Who acts.

        Raises:
            NotFound: There is no such workflow.
            Refused: It is no wisp, somebody works on a step, or others wait for one.
        """
        act_in_session(tx, agent)
        found = _wisp(tx.state, workflow, tx.now, burning=False)
        automation.squash(tx, found, check_text("summary", summary))

    @command(the_ended)
    def burn(self, tx: Transaction[State], workflow: str, *, agent: str | None = None) -> None:
        """End a wisp without a trace on the board; the log keeps that it was.

        Raises:
            NotFound: There is no such workflow.
            Refused: It is no wisp, somebody works on a step, or others wait for one.
        """
        act_in_session(tx, agent)
        automation.burn(tx, _wisp(tx.state, workflow, tx.now, burning=True))

    # Queries

    def get(self, workflow: str) -> Workflow:
        """The workflow of a root or step.

        Raises:
            NotFound: There is none.
        """
        return find_workflow(self.state, workflow)

    def all(self, *, ended: bool = False, agent: str | None = None) -> list[Workflow]:
        """The workflows that are open, oldest first.

        Args:
            ended: Also those that have ended.
            agent: Only those of which this agent has the root or a step.
        """
        state = self.state
        found = [w for w in state.workflows.values() if ended or not w.ended_at]
        if agent is None:
            return found
        held = state.schedule.held_by(agent)
        roots = {task.id for task in held} | {task.workflow for task in held}
        return [workflow for workflow in found if workflow.root in roots]

    def standing(self, workflow: str) -> Standing:
        """Where a workflow stands: what is done, who is at what, what can be taken, what is stuck.

        Raises:
            NotFound: There is no such workflow.
        """
        return standing_of(self._desk, find_workflow(self.state, workflow))


# Finding


def find_workflow(state: State, text: str) -> Workflow:
    """The workflow whose root, or one of whose steps, a text means.

    Raises:
        NotFound: There is no such task, or it belongs to no workflow.
    """
    found = resolve(state, text)
    task_id: str | None = found
    seen: set[str] = set()
    while task_id is not None and task_id not in state.workflows:
        task = state.tasks.get(task_id)
        seen.add(task_id)
        above = _above(task) if task is not None else task_id.rpartition(".")[0] or None
        task_id = None if above in seen else above
    if task_id is None:
        raise NotFound(
            f"Task {found} belongs to no workflow",
            code="workflow_not_found",
            hint="`formula current` shows those that are open; of one that was squashed,"
            " `t show` has the digest.",
        )
    return state.workflows[task_id]


def _above(task: Task) -> str | None:
    return task.workflow or task.parent


def _wisp(state: State, text: str, now: str, *, burning: bool) -> Workflow:
    workflow = find_workflow(state, text)
    if not workflow.ephemeral:
        raise Refused(
            f"Workflow {workflow.root} was poured to stay: it is no wisp",
            code="not_ephemeral",
            hint="`t cancel` ends it with all of its steps; `t archive` takes ended tasks away.",
        )
    automation.check_unused(state, workflow, now, burning=burning)
    return workflow


def _the_step(state: State, text: str) -> Task:
    task = find_live(state, text)
    if task.workflow is None:
        raise Refused(
            f"Task {task.id} is no step of a workflow, so nothing follows it",
            code="no_workflow",
            hint="`t complete` without --continue completes it; `t next` finds the next task.",
        )
    return task


# Advancing


def _claim_next(tx: Transaction[State], step: Task, lease: float | str | None) -> None:
    """Claim the next step of the workflow whose step was just completed, for whoever completed it."""
    assert step.workflow is not None
    agent = tx.agent
    automation.settle(tx)
    found = tx.state.schedule.best_step(step.workflow, agent, tx.now)
    if found is not None:
        take(tx, found, agent, step.lease if lease is None else lease)


def _end_parts(tx: Transaction[State], task: Task) -> None:
    """Cancel the parts of a task that nobody has begun, with theirs."""
    state, reason = tx.state, f"the signal was given: {task.until}"[:LONGEST_TITLE]
    for part in state.tasks.children.get(task.id, []):
        below = [part, *automation.parts_of(state, part)]
        if not any(map(_is_begun, (state.tasks[i] for i in below if i in state.tasks))):
            automation.cancel(tx, (state.tasks[i] for i in below if i in state.tasks), reason)


def _is_begun(task: Task) -> bool:
    return task.attempt > 0 or task.status in ("in_progress", "in_review", "done", "failed")
