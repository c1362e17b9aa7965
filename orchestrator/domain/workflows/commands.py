"""Workflows: compiled formulas on the board, where any agent can continue them.

A workflow is a task, its root, and steps that are children of it, with ids such as ``299833bc.design``. The
tasks are the checkpoint: the next agent continues at the next ready step, and no step is done twice. The
automatic changes are in :mod:`orchestrator.domain.workflows.automation`.
"""

import msgspec

from orchestrator.core.errors import Refused, UsageError
from orchestrator.core.transaction import Committed, Noun, Transaction, command
from orchestrator.domain.agents import hooks
from orchestrator.domain.agents.identity import act_in_session
from orchestrator.domain.state import State
from orchestrator.domain.tasks.circles import check_no_circle
from orchestrator.domain.tasks.completion import Completion, complete
from orchestrator.domain.tasks.edit_events import TaskEdited
from orchestrator.domain.tasks.events import (
    TaskAssigned,
    TaskClaimed,
    TaskCompleted,
    TaskHung,
    TaskNoted,
    TaskSignalled,
)
from orchestrator.domain.tasks.leases import current_task, named_or, take
from orchestrator.domain.tasks.lookup import changed_task, find_live, resolve_all
from orchestrator.domain.tasks.records import ENDED, Task
from orchestrator.domain.tasks.verification_events import TaskSubmitted
from orchestrator.domain.validation import LONGEST_TITLE, check_text
from orchestrator.domain.workflows import automation, wisps
from orchestrator.domain.workflows.compiled import CompiledFormula
from orchestrator.domain.workflows.events import WorkflowBurned, WorkflowPoured, WorkflowSquashed
from orchestrator.domain.workflows.instantiate import instantiate
from orchestrator.domain.workflows.lookup import descendants, find_workflow, live_steps
from orchestrator.domain.workflows.progress import WorkflowProgress, progress_of
from orchestrator.domain.workflows.records import Workflow

UNTIL = "until"
"""The kind of the signal that ends the children of a task early."""


class Poured(msgspec.Struct, frozen=True, kw_only=True):
    """A poured workflow: its record, its root, and its steps in order."""

    workflow: Workflow
    root: Task
    steps: tuple[Task, ...]


class Advanced(msgspec.Struct, frozen=True, kw_only=True):
    """A completed step, and the next step.

    Attributes:
        completed: The step, done or in review.
        next: The step that was claimed with it; None if none is ready.
        workflow: The root of the workflow.
        ended: How many of its steps are done or cancelled, of ``total``; milestones are not counted.
        complete: Whether all steps are.
    """

    completed: Task
    next: Task | None
    workflow: str
    ended: int
    total: int
    complete: bool


class EndedWisp(msgspec.Struct, frozen=True, kw_only=True):
    """A squashed or burned wisp: how many steps were removed, and the digest if it was squashed."""

    workflow: str
    outcome: str
    steps: int
    digest: str = ""


class Bonded(msgspec.Struct, frozen=True, kw_only=True):
    """Two workflows, by their roots; the second begins when the first is done."""

    first: str
    then: str
    poured: tuple[str, ...]


# Results of commands


def poured_roots(events: Committed) -> tuple[str, ...]:
    """The roots of the workflows that were poured."""
    return tuple(event.workflow for _, event in events if isinstance(event, WorkflowPoured))


def poured_workflow(state: State, events: Committed) -> Poured:
    """The last workflow that was poured; if none was, the workflow that was given to an agent."""
    poured = poured_roots(events)
    given = (e.task for _, e in events if isinstance(e, TaskAssigned | TaskHung))
    return _poured(state, poured[-1] if poured else next(given))


def _poured(state: State, root: str) -> Poured:
    steps = tuple(live_steps(state, root))
    return Poured(workflow=state.workflows[root], root=state.tasks[root], steps=steps)


def ended_wisp(state: State, events: Committed) -> EndedWisp:
    """The wisp that was squashed or burned."""
    ended = [e for _, e in events if isinstance(e, (WorkflowSquashed, WorkflowBurned))][-1]
    digest = ended.digest if isinstance(ended, WorkflowSquashed) else ""
    outcome = "squashed" if isinstance(ended, WorkflowSquashed) else "burned"
    steps = len(ended.steps)
    return EndedWisp(workflow=ended.workflow, outcome=outcome, steps=steps, digest=digest)


def bonded_workflows(state: State, events: Committed) -> Bonded:
    """The two workflows that were chained."""
    link = [e for _, e in events if isinstance(e, TaskEdited) and isinstance(e.needs, tuple)][-1]
    assert isinstance(link.needs, tuple)
    return Bonded(first=link.needs[-1], then=link.task, poured=poured_roots(events))


def advanced_workflow(state: State, events: Committed) -> Advanced:
    """The step that was completed, and the one that was claimed after it."""
    endings = (TaskCompleted, TaskSubmitted, TaskNoted)
    completed = state.tasks[next(e.task for _, e in events if isinstance(e, endings))]
    claimed = [e.task for _, e in events if isinstance(e, TaskClaimed) and e.task != completed.id]
    return _advanced(state, completed, state.tasks[claimed[0]] if claimed else None)


def _advanced(state: State, completed: Task, following: Task | None) -> Advanced:
    assert completed.workflow is not None
    root = state.tasks.get(completed.workflow)
    work = state.workflows.work[completed.workflow]
    ended = work.done + work.cancelled
    return Advanced(
        completed=completed,
        next=following,
        workflow=completed.workflow,
        ended=ended,
        total=work.total,
        complete=root is None or root.status == "done" or ended == work.total,
    )


class Workflows(Noun[State]):
    """``orc.workflows``: pour, sling, advance, signal, bond, squash, burn; get, all, standing."""

    @command(poured_workflow)
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
        """Add the steps of a compiled formula as tasks, in one commit.

        Args:
            cooked: The result of ``orc.formulas.cook``.
            workstream: The workstream of the tasks; that of ``on``, else ``workflows``.
            on: A task that becomes the root, and is done with its last step. If it has checks, its holder
                completes it then.
            assignee: The agent for steps that name none; each is assigned when it is ready.
            ephemeral: Make it a wisp. Old wisps are collected with it.
            agent: Who pours.

        Raises:
            NotFound: The task, the workstream, or a task that a gate names does not exist.
            Refused: The task has ended, has a workflow or waits for children already; it would wait for
                itself; the workstream is closed; an id was used before.
            UsageError: The formula has no steps.
        """
        act_in_session(tx, agent)
        instantiate(
            tx, cooked, workstream=workstream, on=on, ephemeral=ephemeral, assignee=assignee
        )

    @command(poured_workflow)
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
    ) -> Poured:
        """Pour a formula and give the workflow to an agent, in one commit; its root hangs on the hook.

        A formula that is declared as a wisp becomes a wisp. If the task has this workflow, and this agent has
        the task already, nothing changes.

        Args:
            cooked: The result of ``orc.formulas.cook``.
            to: The agent; None for the acting agent.
            workstream: As in :meth:`pour`.
            on: As in :meth:`pour`.
            force: Take the task ``on`` from another agent that has it.
            convoy: Create a convoy for a root that has none.
            message: A message for the agent.
            agent: Who acts; needed, unless ``to`` is given.

        Raises:
            NotFound: As in :meth:`pour`.
            Refused: As in :meth:`pour`; or another agent has the task, or the agent is retired.
        """
        actor = act_in_session(tx, agent, needed=to is None)
        to = actor if to is None else tx.state.agents.aliases.get(to, to)
        root = "" if on is None else find_live(tx.state, on).id
        known = tx.state.workflows.get(root)
        if known is None or known.formula != cooked.formula:
            is_wisp = cooked.ephemeral
            root = instantiate(
                tx, cooked, workstream=workstream, on=on, ephemeral=is_wisp, assignee=to
            )
        task = tx.state.tasks[root]
        hooks.hand_over(tx, task, to, force=force, convoy=convoy, message=message)
        return _poured(tx.state, root)

    def advance(
        self,
        task: str | None = None,
        *,
        result: str | None = None,
        force: bool = False,
        reason: str = "",
        lease: float | str | None = None,
        agent: str | None = None,
        token: int | None = None,
    ) -> Advanced:
        """Complete a step and claim the next ready one of the same workflow, in one commit.

        If the agent has completed it already, nothing changes.

        Args:
            task: The step; None for the agent's current step.
            result: As in :meth:`orchestrator.domain.tasks.commands.Tasks.complete`, like the others.
            lease: How long the new claim lasts, as ``30m`` or seconds; None: as long as the one that ends.

        Raises:
            Refused: The task is not a step of a workflow, or cannot be completed.
        """
        arguments = (task, result, force, reason, lease, agent, token)
        return complete(
            self._desk,
            ("workflows.advance", arguments),
            advanced_workflow,
            lambda tx: _find_step(tx.state, named_or(current_task, tx, task, agent)).id,
            Completion(result, force, reason, agent, token),
            then=lambda tx, step: _claim_next(tx, step, lease),
            again=_advanced_before,
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
        """Give a signal that a task waits for, or that ends a loop. It can also end a timer.

        Args:
            task: The task that waits; or the loop, whose rounds that are not started are cancelled.
            name: The name or kind of the signal; None for all signals of the task.
            text: A remark, kept as a note.
            agent: Who gives it.

        Raises:
            Refused: It does not wait for this signal.
        """
        act_in_session(tx, agent)
        waiting = find_live(tx.state, task)
        text = check_text("text", text)
        if waiting.until and waiting.status not in ENDED and name in (None, waiting.until, UNTIL):
            tx.record(TaskSignalled(task=waiting.id, kind=UNTIL, name=waiting.until, text=text))
            _end_children(tx, waiting)
            return
        signals = [signal for signal in waiting.signals if signal.keeps_back(tx.now)]
        given = {(s.kind, s.name): None for s in signals if name in (None, s.name, s.kind)}
        if not given:
            keys = [signal.key for signal in signals]
            which = f" {name!a}" if name is not None else ""
            raise Refused(
                f"Task {waiting.id} waits for no signal{which}",
                code="no_signal",
                hint=f"It waits for: {', '.join(keys)}."
                if keys
                else "`t blocked` shows what waits.",
                waiting=keys,
            )
        for kind, key in given:
            tx.record(TaskSignalled(task=waiting.id, kind=kind, name=key, text=text))
            text = ""

    @command(bonded_workflows)
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
            first: A workflow, by its root or a step; or a compiled formula.
            then: The same.
            workstream: The workstream of poured formulas.
            agent: Who acts.

        Raises:
            NotFound: There is no such workflow.
            Refused: They would wait for each other, or a formula cannot be poured.
            UsageError: Both are the same workflow.
        """
        act_in_session(tx, agent)
        pair = (first, then)
        known = [find_workflow(tx.state, item).root for item in pair if isinstance(item, str)]
        keep = frozenset(known)
        before, after = (
            known.pop(0)
            if isinstance(item, str)
            else instantiate(tx, item, workstream=workstream, ephemeral=item.ephemeral, keep=keep)
            for item in pair
        )
        if before == after:
            raise UsageError("A workflow cannot be chained to itself")
        task = find_live(tx.state, after)
        if before in task.needs:
            return Bonded(first=before, then=after, poured=())
        needs = resolve_all(tx.state, (*task.needs, before))
        check_no_circle(tx.state, after, msgspec.structs.replace(task, needs=needs))
        tx.record(TaskEdited(task=after, needs=needs))
        return None

    @command(ended_wisp)
    def squash(
        self, tx: Transaction[State], workflow: str, *, summary: str = "", agent: str | None = None
    ) -> None:
        """End a wisp with a digest: its root is done, with the digest as its result; its steps leave.

        Args:
            workflow: Its root or a step of it.
            summary: A text for the digest.
            agent: Who acts.

        Raises:
            NotFound: There is no such workflow.
            Refused: It is not a wisp, an agent works on a step, or other tasks wait for one.
        """
        act_in_session(tx, agent)
        wisp = _find_wisp(tx.state, workflow, tx.now, burning=False)
        wisps.squash(tx, wisp, check_text("summary", summary))

    @command(ended_wisp)
    def burn(self, tx: Transaction[State], workflow: str, *, agent: str | None = None) -> None:
        """Remove a wisp from the board without a digest; only the log keeps it.

        Raises:
            NotFound: There is no such workflow.
            Refused: It is not a wisp, an agent works on a step, or other tasks wait for one.
        """
        act_in_session(tx, agent)
        wisps.burn(tx, _find_wisp(tx.state, workflow, tx.now, burning=True))

    # Queries

    def get(self, workflow: str) -> Workflow:
        """Return the workflow of a root or step.

        Raises:
            NotFound: There is none.
        """
        return find_workflow(self._state, workflow)

    def all(self, *, ended: bool = False, agent: str | None = None) -> list[Workflow]:
        """Return the open workflows, oldest first.

        Args:
            ended: Also ended ones.
            agent: Only workflows whose root or a step this agent has.
        """
        state = self._state
        workflows = [*state.workflows.values()] if ended else state.workflows.open()
        if agent is None:
            return workflows
        held = state.schedule.held_by(agent)
        roots = {task.id for task in held} | {task.workflow for task in held}
        return [workflow for workflow in workflows if workflow.root in roots]

    def standing(self, workflow: str) -> WorkflowProgress:
        """Return the progress of a workflow: what is done, held, ready and stuck.

        Raises:
            NotFound: There is no such workflow.
        """
        return progress_of(self._desk, find_workflow(self._state, workflow))


def _find_wisp(state: State, text: str, now: str, *, burning: bool) -> Workflow:
    workflow = find_workflow(state, text)
    if not workflow.ephemeral:
        raise Refused(
            f"Workflow {workflow.root} is not a wisp",
            code="not_ephemeral",
            hint="`t cancel` ends it with all of its steps; `t archive` removes ended tasks.",
        )
    wisps.check_unused(state, workflow, now, burning=burning)
    return workflow


def _find_step(state: State, text: str) -> Task:
    task = find_live(state, text)
    if task.workflow is None:
        raise Refused(
            f"Task {task.id} is not a step of a workflow, so no step follows it",
            code="no_workflow",
            hint="`t complete` without --continue completes it; `t next` finds the next task.",
        )
    return task


def _claim_next(tx: Transaction[State], step: Task, lease: float | str | None) -> None:
    """Claim the next step of a workflow for the agent that has just completed one."""
    assert step.workflow is not None
    agent = tx.agent
    automation.settle(tx)
    best = tx.state.schedule.best_step(step.workflow, agent, tx.now)
    if best is not None:
        take(tx, best, agent, step.lease if lease is None else lease)


def _advanced_before(tx: Transaction[State], step: Task) -> Advanced:
    """The result for an agent that completed a step before: the step that it works on now."""
    held = [task for task in tx.state.schedule.held_by(tx.agent) if task.workflow == step.workflow]
    working = [task for task in held if task.is_run_by(tx.agent, tx.now)]
    return _advanced(tx.state, step, working[0] if working else None)


def _end_children(tx: Transaction[State], task: Task) -> None:
    """Cancel the children of a task that are not started, with their descendants."""
    state, reason = tx.state, f"the signal was given: {task.until}"[:LONGEST_TITLE]
    for child in state.tasks.children.get(task.id, []):
        live = state.tasks.present((child, *descendants(state, child)))
        begun = ("in_progress", "in_review", "done", "failed")
        if not any(each.attempt or each.status in begun for each in live):
            automation.cancel(tx, live, reason)
